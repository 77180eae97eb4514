//! The faces of asuser. A face turns bytes into a `gateway::Request` and says how an answer is written; it decides nothing.
//!
//! `listener` is the only place that opens an answer and writes to the wire.

mod counts;
mod health;
mod listener;
mod patience;
mod places;
mod rest;
mod source;

pub use listener::{Listener, ServerLimits};
pub use source::{ParseTrustedProxyError, TrustedProxies};
