//! The control socket: commands that append to the log go through the process that has it open.
//!
//! In: one line of JSON from a process of the same user or root. Out: one line of JSON. Refused, by either end: another user at the
//! other end; by who asks also a folder or socket that others could have put there: their `erased` would not be true.

use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use asuser_audit::Audit;
use asuser_audit_log::{Draft, Erasure, Kind, Leaf};
use asuser_core::{AuditId, Clock as _, PrincipalKey, ServiceName, SystemClock};
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
    /// Record what an operator is about to do to a service's database.
    Operator {
        service: ServiceName,
        /// `install`, `uninstall`, `provision`, …
        action: String,
    },
}

/// How it went.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// Done: the entry that records it.
    Erased { audit_id: String },
    /// It stands in the log, on the disk.
    Recorded { audit_id: String },
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
        // Nobody else can write to the folder; whoever came in between is refused by their user.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self { socket, path, audit })
    }

    pub(crate) async fn serve(self, mut stopped: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                _ = stopped.changed() => break,
                accepted = self.socket.accept() => match accepted {
                    Ok((stream, _)) if !is_trusted(&stream) => {
                        tracing::warn!("another user's process asked for a control command");
                    }
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
    Ok(match command {
        Command::Erase { issuer, subject, note } => {
            let audit_id = erase(audit.log(), issuer, subject, note).await?;
            Answer::Erased { audit_id: audit_id.to_string() }
        }
        Command::Operator { service, action } => {
            let audit_id = operator_acts(audit.log(), &service, &action).await?;
            Answer::Recorded { audit_id: audit_id.to_string() }
        }
    })
}

/// Records in an open log what an operator is about to do: durable before it is done (law 7).
pub(crate) async fn operator_acts(
    log: &asuser_audit_log::Log,
    service: &ServiceName,
    action: &str,
) -> anyhow::Result<AuditId> {
    let audit_id = AuditId::random()?;
    let mut leaf = Leaf::new(Kind::Config, audit_id, 0, SystemClock.now_ms());
    leaf.service = Some(service.to_string());
    leaf.action = Some(action.to_owned());
    leaf.note = Some("operator".to_owned());
    log.append(vec![Draft::new(leaf)]).await?;
    Ok(audit_id)
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
    let path = folder.join(NAME);
    if !is_ours_alone(folder, &path)? {
        return Ok(None);
    }
    let Ok(stream) = UnixStream::connect(&path).await else { return Ok(None) };
    if !is_trusted(&stream) {
        bail!("another user's process answers on {}: {AS_WHOM}", path.display());
    }
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

const AS_WHOM: &str =
    "nothing was asked; run this command as the user that asuser runs as, such as with `sudo -u asuser`";

/// Whether there is a socket in the folder; an error, if it or the folder could be another user's doing.
fn is_ours_alone(folder: &Path, socket: &Path) -> anyhow::Result<bool> {
    let Ok(found) = std::fs::symlink_metadata(socket) else { return Ok(false) };
    let around = std::fs::metadata(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    if !is_own(around.uid()) || around.mode() & 0o022 != 0 {
        let folder = folder.display();
        bail!("the folder {folder} is another user's, or others can write to it (then: chmod 700): {AS_WHOM}");
    }
    if !is_own(found.uid()) || !found.file_type().is_socket() {
        bail!("{} is not a socket of this user: {AS_WHOM}", socket.display());
    }
    Ok(true)
}

/// The process at the other end, as the kernel knows it, is this user's or root's.
fn is_trusted(stream: &UnixStream) -> bool {
    stream.peer_cred().is_ok_and(|peer| is_own(peer.uid()))
}

fn is_own(uid: u32) -> bool {
    uid == 0 || uid == rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::chown;

    use super::*;

    /// Somebody who says `erased` to whatever is asked, and what `send` makes of it once the folder was prepared.
    async fn sent(prepare: impl FnOnce(&Path, &Path)) -> anyhow::Result<Option<Answer>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        let socket = UnixListener::bind(&path).unwrap();
        prepare(folder.path(), &path);
        let liar = tokio::spawn(async move {
            let (stream, _) = socket.accept().await.unwrap();
            let (reader, mut writer) = stream.into_split();
            BufReader::new(reader).read_line(&mut String::new()).await.unwrap();
            writer.write_all(b"{\"erased\":{\"audit_id\":\"x\"}}\n").await.unwrap();
        });
        let command = Command::Erase { issuer: "i".into(), subject: "s".into(), note: None };
        let answer = send(folder.path(), &command).await;
        liar.abort();
        answer
    }

    fn refused(answer: anyhow::Result<Option<Answer>>) -> String {
        answer.expect_err("refused").to_string()
    }

    #[tokio::test]
    async fn a_socket_in_our_own_folder_is_asked() {
        for mode in [0o700, 0o755] {
            let answer = sent(|folder, _| set_permissions(folder, Permissions::from_mode(mode)).unwrap()).await;
            assert!(matches!(answer, Ok(Some(Answer::Erased { .. }))), "{mode:o}: {answer:?}");
        }
        let gone = sent(|_, path| std::fs::remove_file(path).unwrap()).await;
        assert!(matches!(gone, Ok(None)), "no socket: nobody has the log");
    }

    #[tokio::test]
    async fn a_socket_that_others_could_have_put_there_is_not_asked() {
        for mode in [0o777, 0o770, 0o1777] {
            let answer = sent(|folder, _| set_permissions(folder, Permissions::from_mode(mode)).unwrap()).await;
            assert!(refused(answer).contains("chmod 700"), "{mode:o}");
        }
        let answer = sent(|_, path| {
            std::fs::rename(path, path.with_extension("old")).unwrap();
            std::os::unix::fs::symlink(path.with_extension("old"), path).unwrap();
        });
        assert!(refused(answer.await).contains("not a socket"));
        if !rustix::process::geteuid().is_root() {
            println!("skipped: only root can give files away");
            return;
        }
        let others = sent(|folder, _| chown(folder, Some(65_534), None).unwrap()).await;
        assert!(refused(others).contains("another user's"));
        let others = sent(|_, path| chown(path, Some(65_534), None).unwrap()).await;
        assert!(refused(others).contains("not a socket of this user"));
    }

    #[tokio::test]
    async fn both_ends_know_the_other_by_its_user() {
        let (one, other) = UnixStream::pair().unwrap();
        assert!(is_trusted(&one) && is_trusted(&other));
        let own = rustix::process::geteuid().as_raw();
        assert!(is_own(own) && is_own(0) && !is_own(own.wrapping_add(1).max(1)));
    }
}
