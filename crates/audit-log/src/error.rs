//! What can go wrong: [`LogError`] while the log is open, [`OpenError`] before it is.

use std::path::{Path, PathBuf};

use asuser_core::{Problem, Reason};

use crate::leaf::LeafError;
use crate::personal::KeyStoreError;

/// Why the log did not take a record, or cannot say that it did.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// Writing or syncing failed, or a record was lost: nothing more is taken until a restart.
    #[error("the audit log has failed and takes nothing more until a restart: {0}")]
    Failed(String),
    /// The disk is at its reserve, which is kept for the outcomes of what has begun.
    #[error("the audit log's disk is at its reserve")]
    Reserve,
    /// Checkpoints do not leave the host or cannot be written, or there is no spare segment or no key of the day. Lifted
    /// when it is over.
    #[error("the audit log takes no new work for now: {0}")]
    Checkpoints(String),
    /// Too many records wait to be written.
    #[error("too many audit records wait to be written")]
    Busy,
    /// The log is closed.
    #[error("the audit log is closed")]
    Closed,
    /// A record cannot be encoded. A fault of the caller's.
    #[error("an audit record cannot be encoded: {0}")]
    Leaf(#[from] LeafError),
    /// A group is empty, too large, or not numbered in order. A fault of the caller's.
    #[error("a group of audit records is ill-formed: {0}")]
    Group(&'static str),
    /// The subjects' keys cannot be had.
    #[error(transparent)]
    Keys(#[from] KeyStoreError),
    /// No random bytes, or the cipher refused.
    #[error("the personal part of an audit record cannot be sealed")]
    Seal,
    /// There is nobody of that description to erase.
    #[error("no such subject is known")]
    NoSuchSubject,
}

impl LogError {
    /// What a caller is told: nothing but that nothing was done.
    #[must_use]
    pub fn problem(&self) -> Problem {
        let (reason, retry) = match self {
            Self::Failed(_) | Self::Reserve | Self::Checkpoints(_) | Self::Closed | Self::Keys(_) => {
                (Reason::AuditUnavailable, None)
            }
            Self::Busy => (Reason::AuditUnavailable, Some(1)),
            Self::Leaf(_) | Self::Group(_) | Self::Seal => (Reason::Internal, None),
            Self::NoSuchSubject => (Reason::NoSuchEntry, None),
        };
        let message = match reason {
            Reason::NoSuchEntry => "no such subject is known to the audit log",
            Reason::Internal => "the audit record could not be made, so nothing is answered",
            _ => "the audit log cannot be written, so nothing is answered; ask the operator to look at /ready",
        };
        let problem = Problem::new(reason, message).detail(self.to_string());
        match retry {
            Some(seconds) => problem.retry_after(seconds),
            None => problem,
        }
    }
}

/// Why the log cannot be opened or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("the audit log in `{0}` is in use by another process: stop that one, or give this one a folder of its own")]
    Locked(PathBuf),
    /// Locks and syncs of network file systems cannot be relied on.
    #[error("the audit log's folder `{0}` is on a network file system ({1}): give it a local disk")]
    NetworkFileSystem(PathBuf, &'static str),
    /// Somebody else could replace what is in it.
    #[error(
        "the audit log's folder `{0}` is another user's, or others can write to it: chown it to this user, and chmod 700"
    )]
    Folder(PathBuf),
    /// A record that was durable has been changed or removed.
    #[error("the audit log is corrupt at record {index}: {what}")]
    Corrupt {
        /// The first record that is not as it was.
        index: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The records are not the ones that the local checkpoint was made over.
    #[error("the audit log is not the one its checkpoint was made over: {0}")]
    Checkpoint(String),
    /// The folder holds another log.
    #[error("the folder holds a log of another origin than `{0}`")]
    Origin(String),
    /// The origin cannot stand in a checkpoint.
    #[error("`{0}` cannot be a log's origin: 1 to 200 characters without blanks, `+` or control characters are needed")]
    BadOrigin(String),
    /// The signing key is gone, damaged or readable by others.
    #[error("the signing key `{0}` cannot be used: {1}")]
    Key(PathBuf, String),
    /// An option is out of its range.
    #[error("an option of the audit log is out of range: {0}")]
    Options(&'static str),
    /// The subjects' keys cannot be had.
    #[error(transparent)]
    Keys(#[from] KeyStoreError),
    /// The first records could not be written.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The system refused.
    #[error("`{0}`: {1}")]
    Io(PathBuf, String),
}

impl OpenError {
    pub(crate) fn io(path: &Path, error: &std::io::Error) -> Self {
        Self::Io(path.to_owned(), error.to_string())
    }
}
