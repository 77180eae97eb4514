//! What the tests of several crates share.

pub mod issuer;

pub use issuer::{SigningKey, TestIssuer};
