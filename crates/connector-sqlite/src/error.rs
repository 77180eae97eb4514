//! Why SQLite gave nothing. What the driver said is for the operator: it may name what the caller must not see.

use std::path::PathBuf;

use rusqlite::ErrorCode;

use crate::connect::Budget;

/// Why a read, a catalogue or an opening failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SqliteError {
    /// The options make no sense; the service cannot start.
    #[error("{0}")]
    Options(String),
    /// The file is missing, locked, damaged or no database. The service is not ready; it is tried anew at the next use.
    #[error("the database file `{}` cannot be read: {why}", path.display())]
    Unavailable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// No catalogue was read yet, so no plan can belong to it.
    #[error("the catalogue has not been read yet")]
    NotReady,
    /// The table is no longer what the plan was made for: read the catalogue and decide again.
    #[error("the table changed since the catalogue was read")]
    SchemaChanged,
    /// All connections are busy and the queue is full.
    #[error("all connections are busy and {waiting_max} reads wait already")]
    Busy {
        /// The length of the queue.
        waiting_max: usize,
    },
    /// The read took longer than allowed, its wait for a connection included.
    #[error("the read took longer than {time_ms_max} ms")]
    Timeout {
        /// The limit.
        time_ms_max: u64,
    },
    /// The caller went away.
    #[error("the caller went away")]
    Cancelled,
    /// The answer is larger than allowed.
    #[error("the answer is larger than {bytes_max} bytes")]
    AnswerTooLarge {
        /// The limit.
        bytes_max: usize,
    },
    /// The condition is deeper, or holds more values, than SQLite is allowed to take.
    #[error("the condition is too complex: {0}")]
    TooComplex(&'static str),
    /// A value cannot be compared with its column.
    #[error("a value does not fit its column: {0}")]
    BadValue(&'static str),
    /// The plan asks for what this connector does not print. Never printed approximately.
    #[error("the plan cannot be printed for SQLite: {0}")]
    Plan(String),
    /// The submitted statement is refused. The words are for the caller and name nothing that was not in the statement.
    #[error("{0}")]
    NotPermitted(String),
    /// The submitted statement failed on a value. The words are for the caller and hold none.
    #[error("{0}")]
    Failed(&'static str),
    /// SQLite refused or failed the statement.
    #[error("SQLite refused the statement: {0}")]
    Refused(String),
    /// A fault of this crate.
    #[error("internal fault: {0}")]
    Internal(String),
}

impl SqliteError {
    /// What a failure of SQLite means for a read with this budget.
    pub(crate) fn from_sqlite(error: &rusqlite::Error, budget: &Budget) -> Self {
        let text = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::OperationInterrupted) if budget.is_cancelled() => Self::Cancelled,
            Some(ErrorCode::OperationInterrupted) => Self::Timeout { time_ms_max: budget.time_ms_max },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) if budget.is_spent() => {
                if budget.is_cancelled() {
                    Self::Cancelled
                } else {
                    Self::Timeout { time_ms_max: budget.time_ms_max }
                }
            }
            Some(
                ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::NotADatabase
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::CannotOpen
                | ErrorCode::SystemIoFailure
                | ErrorCode::PermissionDenied
                | ErrorCode::ReadOnly
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::DiskFull,
            ) => Self::Unavailable { path: budget.path.to_path_buf(), why: text },
            Some(ErrorCode::TooBig) => Self::TooComplex("its statement is too long"),
            _ if text.contains("Expression tree is too large") || text.contains("parser stack overflow") => {
                Self::TooComplex("it is too deep")
            }
            _ if text.contains("no such column") || text.contains("no such table") => Self::SchemaChanged,
            _ => Self::Refused(text),
        }
    }
}
