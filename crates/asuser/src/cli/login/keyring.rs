//! The desktop's keyring (GNOME Keyring, KWallet, KeePassXC …) through libsecret's own program, `secret-tool`.
//!
//! In and out: a text for a URL. The text goes through pipes, where no list of processes shows it. What is put in is read back: the
//! program cuts long texts off without a word.

use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use asuser_core::Secret;

const PROGRAM: &str = "secret-tool";
/// A locked keyring asks the person for its password.
const PATIENCE: Duration = Duration::from_secs(60);
/// `secret-tool store` reads no more than 8 KiB.
const TEXT_BYTES_MAX: usize = 8 * 1024 - 1;

/// Puts a text in, in place of the one for the same URL.
pub(super) fn store(url: &str, text: &Secret) -> anyhow::Result<()> {
    let bytes = text.expose().len();
    ensure!(
        bytes <= TEXT_BYTES_MAX,
        "these tokens have {bytes} bytes, and the keyring's program takes {TEXT_BYTES_MAX}"
    );
    let label = format!("asuser: {url}");
    run(&["store", "--label", &label, "application", "asuser", "url", url], Some(text))?;
    ensure!(lookup(url)?.as_ref() == Some(text), "the keyring does not give back what was put in");
    Ok(())
}

/// The text for a URL.
pub(super) fn lookup(url: &str) -> anyhow::Result<Option<Secret>> {
    // The program says "not found" by its exit code and by silence; a fault has words.
    let said = run(&["lookup", "application", "asuser", "url", url], None)?;
    Ok(Some(said).filter(|said| !said.expose().is_empty()))
}

/// Removes the text for a URL.
pub(super) fn clear(url: &str) -> anyhow::Result<()> {
    run(&["clear", "application", "asuser", "url", url], None).map(|_| ())
}

fn run(arguments: &[&str], input: Option<&Secret>) -> anyhow::Result<Secret> {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("the keyring's program `{PROGRAM}` cannot be started"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // Less than a pipe holds: it does not block. A program that ended already says why below.
        let _ = stdin.write_all(input.map_or("", Secret::expose).as_bytes());
    }
    let (said, failed) = match outputs(&mut child) {
        Some(outputs) => outputs,
        None => {
            let _ = child.kill();
            let _ = child.wait();
            bail!("the keyring did not answer within {} s", PATIENCE.as_secs());
        }
    };
    let status = child.wait()?;
    // A fault has words; without any, nothing was found.
    if !status.success() && !failed.expose().trim().is_empty() {
        bail!("the keyring refuses: {}", super::words::clean(failed.expose().trim()));
    }
    ensure!(status.success() || input.is_none(), "the keyring refuses");
    Ok(said)
}

/// What it says on both streams, unless that takes too long.
fn outputs(child: &mut Child) -> Option<(Secret, Secret)> {
    let (stdout, stderr) = (child.stdout.take()?, child.stderr.take()?);
    let (sender, both) = mpsc::channel();
    let (of_stdout, of_stderr) = (sender.clone(), sender);
    std::thread::spawn(move || {
        let _ = of_stdout.send((true, read(stdout)));
    });
    std::thread::spawn(move || {
        let _ = of_stderr.send((false, read(stderr)));
    });
    let (mut said, mut failed) = (None, None);
    for _ in 0..2 {
        match both.recv_timeout(PATIENCE).ok()? {
            (true, text) => said = Some(text),
            (false, text) => failed = Some(text),
        }
    }
    Some((said?, failed?))
}

fn read(from: impl std::io::Read) -> Secret {
    let mut text = String::new();
    // What is no text was not put there by asuser.
    let _ = from.take(64 * 1024).read_to_string(&mut text);
    Secret::new(text)
}
