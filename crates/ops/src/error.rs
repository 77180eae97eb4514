//! Why an operator's tool gave nothing. All of it is for the operator, who may see what the server says.

use asuser_postgres::PgError;

/// Why an operator's command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum OpsError {
    /// The server cannot be reached, or does not let the operator in.
    #[error("the operator cannot connect: {0}")]
    Connect(PgError),
    /// The server refused a statement.
    #[error("{doing}: {error}")]
    Statement {
        /// What was being done.
        doing: &'static str,
        /// What the server said.
        error: PgError,
    },
    /// The operator may not do this, or it makes no sense here. The words say what to do.
    #[error("{0}")]
    Refused(String),
    /// What the server answered is not what was asked for.
    #[error("{0}: the server's answer cannot be read")]
    Answer(&'static str),
    /// No random bytes for a key.
    #[error("the operating system has no random bytes to give")]
    Random,
}
