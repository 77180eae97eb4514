//! The integration tests: one binary, so that it links once. Each test starts the real `asuser` over a real database.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod audit;
mod bleed;
mod clients;
mod conformance;
mod demo;
mod http;
mod login;
mod mcp;
mod mcp_attacks;
mod mcp_client;
mod mcp_sql;
mod mcp_stdio;
mod mission;
mod oidc;
mod postgres;
mod postgres_attacks;
mod reload;
mod rest;
mod site;
mod sql;
mod stream;
mod tidy;
mod tokens;
