//! Why PostgreSQL gave nothing. What the server said is for the operator: it may name what the caller must not see.

use asuser_postgres::PgError;

/// Why a read, a catalogue or an opening failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PostgresError {
    /// The options make no sense; the service cannot start.
    #[error("{0}")]
    Options(String),
    /// The server cannot be reached, or does not let asuser's login in.
    #[error("the server cannot be reached: {0}")]
    Unavailable(String),
    /// asuser's own login may do what only people may, so the service does not start.
    #[error("the login is not powerless: {0}")]
    Login(String),
    /// No catalogue was read yet, so no plan can belong to it.
    #[error("the catalogue has not been read yet")]
    NotReady,
    /// The table is no longer what the plan was made for: read the catalogue and decide again.
    #[error("the table changed since the catalogue was read")]
    SchemaChanged,
    /// This person has no database role here, or more than one. The words are for the operator.
    #[error("no database role: {0}")]
    NoRole(String),
    /// This person's role may not be used. The words are for the operator.
    #[error("no usable database role: {0}")]
    Role(String),
    /// The database does not let the role read this.
    #[error("the database denies it: {0}")]
    Denied(String),
    /// The claims of a shared role could be overridden by a function that nobody vouched for.
    #[error("the table may run functions that are not trusted with a shared role: {}", functions.join(", "))]
    Untrusted {
        /// The functions, `schema.name(arguments)`.
        functions: Vec<String>,
    },
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
    /// The condition is deeper, or holds more values, than PostgreSQL takes.
    #[error("the condition is too complex: {0}")]
    TooComplex(&'static str),
    /// A value cannot be compared with its column.
    #[error("a value does not fit its column: {0}")]
    BadValue(String),
    /// The plan asks for what this connector does not print. Never printed approximately.
    #[error("the plan cannot be printed for PostgreSQL: {0}")]
    Plan(String),
    /// The server does not take somebody's own SQL as it stands. The words are about the statement's own names.
    #[error("the server does not take the statement: {0}")]
    Statement(String),
    /// Somebody's own SQL failed on a value.
    #[error("the statement failed: {0}")]
    Failed(&'static str),
    /// Somebody's own SQL is expected to cost more than is allowed.
    #[error("the statement is expected to cost {cost}, more than {cost_max}")]
    TooCostly {
        /// In the planner's units.
        cost: u64,
        /// The limit.
        cost_max: u64,
    },
    /// Somebody's own SQL on a connection whose login other people have too.
    #[error("the role `{0}` is shared, and its sessions could see each other")]
    SharedRole(String),
    /// The server refused or failed the statement.
    #[error("the server refused the statement: {0}")]
    Refused(String),
    /// What came back is not what was asked for. Nothing of it is released.
    #[error("{0}")]
    Internal(String),
}

impl PostgresError {
    /// The server says that time was up, not how much it was.
    pub(crate) fn with_limit(self, time_ms_max: u64) -> Self {
        match self {
            Self::Timeout { time_ms_max: 0 } => Self::Timeout { time_ms_max },
            other => other,
        }
    }
}

impl From<PgError> for PostgresError {
    fn from(error: PgError) -> Self {
        match error {
            // The server stops, has no room, or was told to end this connection: it may be better in a moment.
            PgError::Server(server) if server.code.starts_with("57P0") || server.code.starts_with("53") => {
                Self::Unavailable(server.to_string())
            }
            PgError::Server(server) => Self::Refused(server.to_string()),
            other => Self::Unavailable(other.to_string()),
        }
    }
}
