//! PostgreSQL as a service: the session is the person.
//!
//! In: a sealed read. Out: its records as JSON. Refuses a person without a usable role, a plan made for another table, and
//! whatever did not come from a transaction that ran as this person to its end.

mod catalog;
mod claims;
mod connector;
mod error;
mod handover;
mod options;
mod person;
mod pool;
mod print;
mod roles;
mod rows;
mod session;
mod sql;
mod transaction;
mod types;

pub use crate::connector::PostgresConnector;
pub use crate::error::PostgresError;
pub use crate::options::{PostgresOptions, RunAs};
