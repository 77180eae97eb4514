//! The control socket: commands that append to the log go through the process that has it open.
//!
//! In: one line of JSON from a process of the same user (the socket is 0600). Out: one line of JSON.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use asuser_audit::Audit;
use asuser_audit_log::{Erasure, Kind, Leaf};
use asuser_core::{AuditId, Clock as _, PrincipalKey, SystemClock};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

const NAME: &str = "control.sock";
const LINE_BYTES_MAX: u64 = 16 * 1024;
const PATIENCE: Duration = Duration::from_secs(30);

/// What can be asked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Command {
    /// Make everything personal about a principal unreadable.
    Erase {
        issuer: String,
        subject: String,
        /// Why, for the record: the operator's words, which must name nobody.
        note: Option<String>,
    },
}

/// How it went.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// Done: the entry that records it.
    Erased { audit_id: String },
    /// Not done.
    Failed { why: String },
}

pub(crate) struct Control {
    socket: UnixListener,
    path: PathBuf,
    audit: Arc<Audit>,
}

impl Control {
    /// Binds the socket in the log's folder, whose lock this process holds: a socket that lies there is a dead one's.
    pub(crate) fn bind(folder: &Path, audit: Arc<Audit>) -> anyhow::Result<Self> {
        let path = folder.join(NAME);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("{} cannot be replaced", path.display()));
            }
            _ => {}
        }
        let socket = UnixListener::bind(&path).with_context(|| format!("{} cannot be made", path.display()))?;
        // The folder is 0700, so nobody else came in between.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self { socket, path, audit })
    }

    pub(crate) async fn serve(self, mut stopped: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                _ = stopped.changed() => break,
                accepted = self.socket.accept() => match accepted {
                    // One at a time: these are an operator's commands.
                    Ok((stream, _)) => {
                        let served = tokio::time::timeout(PATIENCE, serve_one(stream, &self.audit)).await;
                        if !matches!(served, Ok(Ok(()))) {
                            tracing::warn!("a control command was not completed");
                        }
                    }
                    Err(error) => tracing::warn!(%error, "the control socket failed"),
                }
            }
        }
        // Gone or not, nobody listens on it any more.
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn serve_one(stream: UnixStream, audit: &Audit) -> anyhow::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    BufReader::new(reader.take(LINE_BYTES_MAX)).read_line(&mut line).await?;
    let answer = match serde_json::from_str(&line) {
        Ok(command) => run(command, audit).await,
        Err(error) => Err(error.into()),
    };
    let answer = answer.unwrap_or_else(|error| Answer::Failed { why: format!("{error:#}") });
    writer.write_all(format!("{}\n", serde_json::to_string(&answer)?).as_bytes()).await?;
    Ok(())
}

async fn run(command: Command, audit: &Audit) -> anyhow::Result<Answer> {
    let Command::Erase { issuer, subject, note } = command;
    let audit_id = erase(audit.log(), issuer, subject, note).await?;
    Ok(Answer::Erased { audit_id: audit_id.to_string() })
}

/// Erases in an open log.
pub(crate) async fn erase(
    log: &asuser_audit_log::Log,
    issuer: String,
    subject: String,
    note: Option<String>,
) -> anyhow::Result<AuditId> {
    let mut leaf = Leaf::new(Kind::Erase, AuditId::random()?, 0, SystemClock.now_ms());
    leaf.note = note;
    let key = PrincipalKey { issuer: issuer.into(), subject: subject.into() };
    Ok(log.erase(Erasure::Principal(key), leaf).await?)
}

/// Sends a command to the process that has the log open; `None`: nobody has.
pub(crate) async fn send(folder: &Path, command: &Command) -> anyhow::Result<Option<Answer>> {
    let Ok(stream) = UnixStream::connect(folder.join(NAME)).await else { return Ok(None) };
    let exchange = async {
        let (reader, mut writer) = stream.into_split();
        writer.write_all(format!("{}\n", serde_json::to_string(command)?).as_bytes()).await?;
        let mut line = String::new();
        BufReader::new(reader.take(LINE_BYTES_MAX)).read_line(&mut line).await?;
        if line.is_empty() {
            bail!("the running asuser gave no answer: look into its log");
        }
        Ok(serde_json::from_str(&line)?)
    };
    tokio::time::timeout(PATIENCE, exchange).await.context("the running asuser gave no answer in time")?.map(Some)
}
