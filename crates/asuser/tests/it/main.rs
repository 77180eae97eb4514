//! The integration tests: one binary, so that it links once. Each test starts the real `asuser` over a real database.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod audit;
mod bleed;
mod demo;
mod http;
mod mission;
mod postgres;
mod postgres_attacks;
mod reload;
mod rest;
mod site;
mod stream;
mod tidy;
mod tokens;
