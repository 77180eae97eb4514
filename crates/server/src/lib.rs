//! The faces of asuser. A face turns bytes into a `gateway::Request` and says how an answer is written; it decides nothing.
//!
//! `listener` is the only place that opens an answer and writes to the wire.

mod body;
mod counts;
mod credential;
mod health;
mod identity_words;
mod listener;
mod mcp;
mod metadata;
mod options;
mod origin;
mod patience;
mod places;
mod public_url;
mod rest;
mod schema_text;
mod source;
mod stream;

pub use listener::Listener;
pub use mcp::{Extra, ExtraAnswer, ExtraRequest};
pub use options::{ListenerOptions, ServerLimits};
pub use public_url::{ParsePublicUrlError, PublicUrl};
pub use source::{ParseTrustedProxyError, TrustedProxies};
