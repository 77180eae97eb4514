//! The faces of asuser. A face turns bytes into a `gateway::Request` and says how an answer is written; it decides nothing.
//!
//! `listener` is the only place that opens an answer and writes to the wire.

mod health;
mod listener;
mod rest;
mod source;

pub use listener::{Listener, ServerLimits};
pub use source::{ParseTrustedProxyError, TrustedProxies};
