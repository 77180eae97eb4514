//! What a build for tests adds to the protocol's face. The product has none: see [`crate::ListenerOptions::extra`].
//!
//! The conformance suite of the protocol wants tools, prompts and resources of its own. A program for tests registers them here, so
//! that what is tested is this face, this gateway and this audit, and not another server. Nothing of it sees a database, a decision or
//! a person; what it answers is released to verified callers only, and recorded like all else.

use serde_json::{Map, Value as Json};

/// A further method, tool, prompt or resource.
pub trait Extra: Send + Sync + 'static {
    /// What it adds to `capabilities`.
    fn capabilities(&self) -> Map<String, Json>;
    /// Its entries of a list: `tools/list`, `prompts/list`, `resources/list` or `resources/templates/list`.
    fn listed(&self, method: &str) -> Vec<Json>;
    /// Its answer to a request; `None`: the request is none of its own.
    fn answer(&self, request: &ExtraRequest<'_>) -> Option<ExtraAnswer>;
}

/// A request, as it was understood.
#[derive(Debug, Clone, Copy)]
pub struct ExtraRequest<'a> {
    /// Such as `tools/call`.
    pub method: &'a str,
    /// As sent, `_meta` included.
    pub params: &'a Map<String, Json>,
    /// In 2026-07-28; otherwise 2025-06-18 or 2025-11-25.
    pub modern: bool,
}

/// What comes back.
#[derive(Debug, Clone, PartialEq)]
pub enum ExtraAnswer {
    /// A result, and notifications that are sent before it (then all of it as server-sent events).
    Result {
        /// The result's members. With `resultType` among them none is added.
        result: Map<String, Json>,
        /// Whole messages.
        before: Vec<Json>,
    },
    /// An error.
    Error {
        /// JSON-RPC's or MCP's code.
        code: i64,
        /// The HTTP status.
        status: u16,
        /// For the caller.
        message: String,
        /// Particulars.
        data: Option<Json>,
    },
}
