//! The person's browser, where there is one.

use std::process::{Command, Stdio};

/// Opens an address. Gives whether a program could be started for it; whether it shows anything, nobody learns.
pub(super) fn open(address: &str) -> bool {
    let program = if cfg!(target_os = "macos") {
        "open"
    } else if has_display() {
        "xdg-open"
    } else {
        // It would start a browser for terminals, within this one.
        return false;
    };
    let started =
        Command::new(program).arg(address).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let Ok(mut child) = started else { return false };
    std::thread::spawn(move || child.wait());
    true
}

fn has_display() -> bool {
    ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}
