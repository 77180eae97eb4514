//! What the tests of several crates share.

pub mod issuer;
pub mod postgres;

pub use issuer::{SigningKey, TestIssuer};
pub use postgres::{PgDatabase, PgSession, PostgresServer, Version};
