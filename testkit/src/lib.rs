//! What the tests of several crates share.

pub mod glewlwyd;
pub mod issuer;
mod node;
pub mod oidc_provider;
pub mod postgres;

pub use glewlwyd::Glewlwyd;
pub use issuer::{SigningKey, TestIssuer};
pub use oidc_provider::{OidcOptions, OidcProvider};
pub use postgres::{PgDatabase, PgSession, PostgresServer, Version};
