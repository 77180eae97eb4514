//! The guard for submitted SQL, from outside.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    reason = "tests"
)]

mod attacks;
mod bounds;
mod fixed_point;
mod fuzz;
mod lexical;
mod postgres;
mod precedence;
mod property;
mod qualified;
mod rules;
mod scopes;
mod sqlite;
mod support;
