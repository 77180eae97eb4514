//! The face of every database: an intent in, an unreleased result out.
//!
//! A connector sees no token and no request, only a sealed plan. It holds a socket or a file, though, and what it sends there
//! no type can check: that part is reviewed, and the conformance suite compares what came back with what was sealed.

mod role;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use asuser_audit::{Intent, ReadResult, SqlResult, Unreleased};
use asuser_core::{Catalog, Problem, Reach, Reason};
use asuser_identity::Verified;
use asuser_query::{Read, Sql};

pub use crate::role::{NoRole, RoleMapping, check_name};

/// A future that a connector gives.
pub type Running<'a, T> = Pin<Box<dyn Future<Output = Result<T, ConnectorError>> + Send + 'a>>;

/// One configured database.
pub trait Connector: Send + Sync + 'static {
    /// Reads the shape of the database anew.
    fn catalog(&self) -> Running<'_, Arc<Catalog>>;

    /// What the database itself lets this person read. It may be a minute old: what was revoked since, the database refuses.
    fn reach<'a>(&'a self, verified: &'a Verified) -> Running<'a, Arc<Reach>>;

    /// Runs a read. Dropping the future cancels the statement, and its connection serves nobody else.
    fn read(&self, intent: Intent<Read>) -> Running<'_, Unreleased<ReadResult>>;

    /// Runs SQL, on a connection that serves nobody but this person. Dropping the future cancels the statement.
    fn sql(&self, intent: Intent<Sql>) -> Running<'_, Unreleased<SqlResult>>;
}

/// Why a database gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectorError {
    /// It cannot be reached or opened.
    #[error("the database cannot be reached: {0}")]
    Unavailable(String),
    /// All connections are busy and the queue is full.
    #[error("all connections to the database are busy")]
    Busy,
    /// The statement ran longer than allowed.
    #[error("the statement ran longer than {time_ms_max} ms")]
    Timeout {
        /// The limit.
        time_ms_max: u64,
    },
    /// The answer is larger than allowed.
    #[error("the answer is larger than {bytes_max} bytes")]
    AnswerTooLarge {
        /// The limit.
        bytes_max: usize,
    },
    /// The condition is deeper or longer than the database takes.
    #[error("the condition is too complex: {0}")]
    TooComplex(String),
    /// A value cannot be compared with its column.
    #[error("a value does not fit its column: {0}")]
    BadValue(String),
    /// This person has no role in the database, or more than one.
    #[error("no database role: {0}")]
    NoRole(String),
    /// This person's role may not be used: it is privileged, expired, or gone.
    #[error("the database role may not be used: {0}")]
    RoleRefused(String),
    /// The database does not let this person read it.
    #[error("the database denies it: {0}")]
    Denied(String),
    /// The table may run functions that nobody vouched for, and the role alone does not say who asks.
    #[error("functions that are not trusted with a shared role: {}", functions.join(", "))]
    UntrustedFunctions {
        /// `schema.name(arguments)`
        functions: Vec<String>,
    },
    /// Submitted SQL that the database does not take as it stands; the words name what the statement itself names.
    #[error("the database does not take the statement: {0}")]
    Statement(String),
    /// Submitted SQL that failed on a value.
    #[error("the statement failed: {0}")]
    Failed(String),
    /// The database expects submitted SQL to cost more than is allowed.
    #[error("the statement is expected to cost {cost}, more than {cost_max}")]
    TooCostly {
        /// In the planner's units.
        cost: u64,
        /// The limit.
        cost_max: u64,
    },
    /// Submitted SQL under a role that several people share, on connections that they could see.
    #[error("submitted SQL is not run under the shared role `{0}`")]
    SharedRole(String),
    /// The database refused or failed the statement.
    #[error("the database refused the statement: {0}")]
    Refused(String),
}

impl From<ConnectorError> for Problem {
    /// What the driver said goes to the operator alone: it may name what the caller must not see.
    fn from(error: ConnectorError) -> Self {
        let detail = error.to_string();
        let problem = match error {
            ConnectorError::Unavailable(_) => {
                Self::new(Reason::DatabaseUnavailable, "the database cannot be reached: try again later").retry_after(5)
            }
            ConnectorError::Busy => {
                Self::new(Reason::DatabaseBusy, "the database is busy: try again in a moment").retry_after(1)
            }
            ConnectorError::Timeout { time_ms_max } => Self::new(
                Reason::DatabaseTimeout,
                format!("the database took longer than {time_ms_max} ms: narrow the filter or ask for fewer records"),
            ),
            ConnectorError::AnswerTooLarge { bytes_max } => Self::new(
                Reason::AnswerTooLarge,
                format!("the answer is larger than {bytes_max} bytes: ask for fewer fields or a smaller `limit`"),
            ),
            ConnectorError::TooComplex(_) => {
                Self::new(Reason::TooComplex, "the filter is too complex for the database: ask in several requests")
            }
            ConnectorError::BadValue(_) => {
                Self::new(Reason::BadValue, "a value in the request cannot be compared with its column")
            }
            ConnectorError::NoRole(_) => {
                Self::new(Reason::NotMapped, "you have no database role in this service: ask your administrator")
            }
            ConnectorError::RoleRefused(_) => Self::new(
                Reason::DatabaseRole,
                "your database role may not be used here (it is unknown, expired, locked or privileged): ask your administrator",
            ),
            ConnectorError::Denied(_) => {
                Self::new(Reason::DatabaseDenied, "the database does not let you read this: ask its administrator")
            }
            ConnectorError::UntrustedFunctions { functions } => Self::new(
                Reason::UntrustedFunction,
                format!(
                    "reading this runs {}, which nobody vouched for: the administrator can list it in `trusted_functions`, or sign \
                     the claims with `asuser install`",
                    functions.first().map_or("a function", String::as_str)
                ),
            ),
            ConnectorError::Statement(words) => {
                Self::new(Reason::BadStatement, format!("the database does not accept the statement: {words}"))
            }
            ConnectorError::Failed(words) => {
                Self::new(Reason::StatementFailed, format!("the statement failed while it ran: {words}"))
            }
            // How much is not said: an estimate tells of rows that the caller may not see.
            ConnectorError::TooCostly { .. } => Self::new(
                Reason::TooCostly,
                "the database expects this statement to cost more than is allowed: narrow it by WHERE, join on keys, or use `query_table`",
            ),
            ConnectorError::SharedRole(_) => Self::new(
                Reason::StatementNotAllowed,
                "submitted SQL is not run under a database role that several people share: use `query_table`, or ask your \
                 administrator for a role of your own",
            ),
            ConnectorError::Refused(_) => Self::new(Reason::DatabaseRefused, "the database refused the statement"),
        };
        problem.detail(detail)
    }
}
