//! What is wrong with a message itself, in JSON-RPC's words.

use asuser_core::{Problem, Reason};
use serde_json::{Value as Json, json};

/// JSON-RPC 2.0 §5.1
pub(crate) const PARSE_ERROR: i64 = -32700;
pub(crate) const INVALID_REQUEST: i64 = -32600;
pub(crate) const METHOD_NOT_FOUND: i64 = -32601;
pub(crate) const INVALID_PARAMS: i64 = -32602;
pub(crate) const INTERNAL_ERROR: i64 = -32603;
/// MCP 2025-11-25 and before: there is no such resource.
pub(crate) const RESOURCE_NOT_FOUND: i64 = -32002;
/// MCP 2026-07-28: a header does not say what the body says.
const HEADER_MISMATCH: i64 = -32020;
/// MCP 2026-07-28: the revision is not served.
const UNSUPPORTED_PROTOCOL_VERSION: i64 = -32022;

/// A refusal of a message: a problem for the record, and how the protocol says it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fault {
    pub(crate) problem: Box<Problem>,
    pub(crate) code: i64,
    pub(crate) status: u16,
    pub(crate) data: Option<Box<Json>>,
}

impl Fault {
    fn new(code: i64, status: u16, message: impl Into<String>) -> Self {
        Self { problem: Box::new(Problem::new(Reason::BadMessage, message)), code, status, data: None }
    }
    /// From a problem that has its own HTTP status.
    pub(crate) fn http(problem: Problem) -> Self {
        Self { status: problem.reason.status(), problem: Box::new(problem), code: INVALID_REQUEST, data: None }
    }
    pub(crate) fn parse(error: &str) -> Self {
        Self::new(PARSE_ERROR, 400, format!("the body is not JSON that has one meaning: {error}"))
    }
    pub(crate) fn invalid(message: &str) -> Self {
        Self::new(INVALID_REQUEST, 400, message)
    }
    /// Of the parameters that every request of a revision must have.
    pub(crate) fn metadata(message: impl Into<String>) -> Self {
        Self::new(INVALID_PARAMS, 400, message)
    }
    /// Of a method's own parameters. A client of an older revision takes any other status for a fault of the connection.
    pub(crate) fn parameters(message: impl Into<String>) -> Self {
        Self::new(INVALID_PARAMS, 200, message)
    }
    pub(crate) fn header(message: impl Into<String>) -> Self {
        Self::new(HEADER_MISMATCH, 400, message)
    }
    pub(crate) fn unsupported(requested: &str, supported: &[&str]) -> Self {
        let requested: String = requested.chars().take(64).collect();
        let fault = Self::new(
            UNSUPPORTED_PROTOCOL_VERSION,
            400,
            format!("the protocol version `{requested}` is not served: use {}", supported.join(" or ")),
        );
        Self { data: Some(Box::new(json!({ "supported": supported, "requested": requested }))), ..fault }
    }
    pub(crate) fn method(method: &str, status: u16) -> Self {
        let shown: String = method.chars().take(64).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        Self::new(METHOD_NOT_FOUND, status, format!("there is no method `{shown}` here"))
    }
    pub(crate) fn resource(uri: &str, modern: bool) -> Self {
        let uri: String = uri.chars().take(1024).collect();
        let code = if modern { INVALID_PARAMS } else { RESOURCE_NOT_FOUND };
        let fault = Self::new(code, 200, "there is no such resource that you can reach");
        Self { data: Some(Box::new(json!({ "uri": uri }))), ..fault }
    }
    /// What a fixture of the tests says.
    pub(crate) fn extra(code: i64, status: u16, message: String, data: Option<Json>) -> Self {
        Self { data: data.map(Box::new), ..Self::new(code, status, message) }
    }
}
