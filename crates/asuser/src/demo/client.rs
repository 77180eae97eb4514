//! A plain HTTP client for the scene: what an agent does.

use std::net::SocketAddr;

use anyhow::Context as _;
use bytes::Bytes;
use http::request::Builder;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value as Json, json};

/// An answer as an agent sees it.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) audit_id: String,
    pub(super) body: Json,
}

/// `GET` with a bearer token.
pub(super) async fn get(server: SocketAddr, path: &str, token: &str) -> anyhow::Result<Reply> {
    send(server, Request::get(path), token, Bytes::new()).await
}

/// A tool's call over MCP.
pub(super) async fn call_tool(server: SocketAddr, token: &str, name: &str, arguments: &Json) -> anyhow::Result<Reply> {
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": name, "arguments": arguments } });
    let request = Request::post("/mcp")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json, text/event-stream")
        .header("mcp-protocol-version", "2025-11-25");
    send(server, request, token, message.to_string().into()).await
}

async fn send(server: SocketAddr, request: Builder, token: &str, body: Bytes) -> anyhow::Result<Reply> {
    let stream = tokio::net::TcpStream::connect(server).await.context("the demo's server cannot be reached")?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = request
        .header(header::HOST, server.to_string())
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(Full::new(body))?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let audit_id = response.headers().get("audit-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
    let bytes = response.into_body().collect().await?.to_bytes();
    let body = serde_json::from_slice(&bytes).context("the answer is not JSON")?;
    Ok(Reply { status, audit_id, body })
}
