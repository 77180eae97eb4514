//! A plain HTTP client for the scene: what an agent does.

use std::net::SocketAddr;

use anyhow::Context as _;
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use serde_json::Value as Json;

/// An answer as an agent sees it.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) audit_id: String,
    pub(super) body: Json,
}

/// `GET` with a bearer token.
pub(super) async fn get(server: SocketAddr, path: &str, token: &str) -> anyhow::Result<Reply> {
    let stream = tokio::net::TcpStream::connect(server).await.context("the demo's server cannot be reached")?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get(path)
        .header(header::HOST, server.to_string())
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let audit_id = response.headers().get("audit-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
    let bytes = response.into_body().collect().await?.to_bytes();
    let body = serde_json::from_slice(&bytes).context("the answer is not JSON")?;
    Ok(Reply { status, audit_id, body })
}
