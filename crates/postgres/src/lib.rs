//! PostgreSQL's protocol, as asuser speaks it: who goes where, what was said, and nothing of what it means.
//!
//! In: a [`Target`] and [`Credentials`]. Out: a [`Client`], whose messages its owner queues, flushes and reads, so that a whole
//! transaction is one round trip and its order is certain. Refuses a server whose certificate does not verify, and methods of
//! authentication that would show a password. Knows no principal, plan or policy.
//!
//! The protocol is version 3.0 (PostgreSQL documentation, chapter "Frontend/Backend Protocol").

mod client;
mod error;
mod input;
mod login;
mod stream;
mod target;

pub use crate::client::{Canceller, Client, Row, bind};
pub use crate::error::{PgError, ServerError};
pub use crate::input::{Frame, Tag, fields};
pub use crate::target::{Credentials, Host, Target, Tls};
pub use postgres_protocol::message::frontend;
