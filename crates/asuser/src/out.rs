//! Standard output. A reader that goes away (`asuser audit tail | head`) ends the command quietly.

use std::io::{self, Write as _};

/// Writes a line.
pub(crate) fn line(text: impl std::fmt::Display) -> anyhow::Result<()> {
    match writeln!(io::stdout().lock(), "{text}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        written => Ok(written?),
    }
}
