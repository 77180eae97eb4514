//! What went wrong on the way to a server, or in it.

use std::fmt;

/// Why there is no connection, or no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PgError {
    /// The address or options make no sense.
    #[error("{0}")]
    Target(String),
    /// No host could be reached, in words for the operator.
    #[error("{0}")]
    Connect(String),
    /// TLS failed, or the server's certificate is not the one that was asked for.
    #[error("TLS: {0}")]
    Tls(String),
    /// The server did not accept the login by a method that asuser speaks.
    #[error("authentication: {0}")]
    Authentication(String),
    /// The server said so.
    #[error("{0}")]
    Server(Box<ServerError>),
    /// The connection ended.
    #[error("the connection ended: {0}")]
    Closed(String),
    /// What came is not the protocol, or not what was asked for.
    #[error("unexpected answer: {0}")]
    Protocol(String),
    /// A message is longer than its reader can hold.
    #[error("a message is longer than {0} bytes")]
    TooLarge(usize),
    /// It took too long.
    #[error("no answer within {0} ms")]
    TimedOut(u64),
}

/// An `ErrorResponse` (PostgreSQL documentation, "Error and Notice Message Fields").
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerError {
    /// `FATAL`, `ERROR`, …
    pub severity: String,
    /// SQLSTATE.
    pub code: String,
    /// The message: may name data, so it is for the operator alone.
    pub message: String,
    /// Its detail.
    pub detail: Option<String>,
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.severity, self.code, self.message)
    }
}

impl PgError {
    /// The SQLSTATE, if the server gave one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Server(error) => Some(&error.code),
            _ => None,
        }
    }
}
