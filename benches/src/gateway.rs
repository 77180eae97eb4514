//! A gateway under load: a process of ours that listens. Ended when it is dropped.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::http::Client;

const READY_WITHIN: Duration = Duration::from_secs(30);

pub(crate) struct Gateway {
    child: Child,
    pub(crate) address: SocketAddr,
    /// From its start to its first answer.
    pub(crate) ready_ms: u128,
}

impl Gateway {
    /// Starts `asuser serve` in a folder that has an asuser.toml; its log tells where it listens.
    pub(crate) fn asuser(folder: &Path) -> anyhow::Result<Self> {
        let begun = Instant::now();
        let log = folder.join("log");
        let mut command = Command::new(beside("asuser")?);
        command.args(["serve", "--config"]).arg(folder.join("asuser.toml"));
        let mut child = spawn(&mut command, &log)?;
        let address = loop {
            let text = fs::read_to_string(&log)?;
            if let Some((_, rest)) = text.split_once("address=") {
                break rest.lines().next().unwrap_or_default().trim().parse()?;
            }
            if begun.elapsed() > READY_WITHIN || child.try_wait()?.is_some() {
                // It is ours, and it may be gone already.
                let _ = child.kill();
                let _ = child.wait();
                bail!("asuser did not start: {text}");
            }
            std::thread::yield_now();
        };
        Ok(Self { child, address, ready_ms: begun.elapsed().as_millis() })
    }

    /// Starts another's server, ready when it answers `probe`.
    pub(crate) fn start(command: &mut Command, address: SocketAddr, probe: &[u8], log: &Path) -> anyhow::Result<Self> {
        let begun = Instant::now();
        let mut gateway = Self { child: spawn(command, log)?, address, ready_ms: 0 };
        loop {
            let answered = Client::connect(address).and_then(|mut client| client.send(probe).map(drop));
            match answered {
                Ok(()) => break,
                Err(error) if begun.elapsed() > READY_WITHIN || gateway.child.try_wait()?.is_some() => {
                    bail!("it did not start: {error}\n{}", fs::read_to_string(log)?)
                }
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        gateway.ready_ms = begun.elapsed().as_millis();
        Ok(gateway)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It is ours, and it may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(command: &mut Command, log: &Path) -> anyhow::Result<Child> {
    let log = fs::File::create(log)?;
    Ok(command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?)
}

/// The binary beside this one, built with the same profile.
fn beside(name: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    if !path.exists() {
        bail!("{} is missing: cargo build --release -p asuser", path.display());
    }
    Ok(path)
}
