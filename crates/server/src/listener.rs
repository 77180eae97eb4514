//! Sockets: connections in, [`Answer`]s out. The only place that opens an answer.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use asuser_audit::{Answer, Released, ReleasedStream};
use asuser_core::{Problem, Reason};
use asuser_gateway::Gateway;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{Either, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use crate::TrustedProxies;
use crate::health::Watch;
use crate::rest;

/// A limit on everything that a peer can hold.
#[derive(Debug, Clone, Copy)]
pub struct ServerLimits {
    /// Connections at once; further ones wait in the kernel's queue.
    pub connections_max: usize,
    /// Bytes of request line and headers.
    pub head_bytes_max: usize,
    /// Time for a peer to send its request head, milliseconds.
    pub head_time_ms_max: u64,
    /// Time for requests under way when the server stops, milliseconds.
    pub drain_time_ms_max: u64,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self { connections_max: 1024, head_bytes_max: 64 * 1024, head_time_ms_max: 10_000, drain_time_ms_max: 10_000 }
    }
}

/// A bound socket with the gateway behind it.
pub struct Listener {
    socket: TcpListener,
    shared: Arc<Shared>,
    limits: ServerLimits,
}

struct Shared {
    gateway: Arc<Gateway>,
    proxies: TrustedProxies,
}

impl Listener {
    /// Binds a socket.
    ///
    /// # Errors
    /// When the address is in use or not ours.
    pub async fn bind(
        address: SocketAddr,
        gateway: Arc<Gateway>,
        proxies: TrustedProxies,
        limits: ServerLimits,
    ) -> std::io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        Ok(Self { socket, shared: Arc::new(Shared { gateway, proxies }), limits })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the operating system cannot tell.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves until `stop` turns true; then lets the requests under way end, within the limit.
    pub async fn serve(self, mut stop: watch::Receiver<bool>) {
        let places = Arc::new(Semaphore::new(self.limits.connections_max));
        loop {
            let place = Arc::clone(&places).acquire_owned();
            let accepted = tokio::select! {
                () = stopped(&mut stop) => break,
                accepted = async { (place.await, self.socket.accept().await) } => accepted,
            };
            match accepted {
                (Ok(place), Ok((stream, peer))) => {
                    // A peer that does not want its answer delayed for a fuller packet: answers are written whole.
                    let _ = stream.set_nodelay(true);
                    let connection =
                        serve_connection(stream, peer, Arc::clone(&self.shared), self.limits, stop.clone());
                    tokio::spawn(async move {
                        connection.await;
                        drop(place);
                    });
                }
                (_, Err(error)) => {
                    // Out of descriptors, or a peer that was gone: waiting a little is all that helps.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                (Err(_), Ok(_)) => break,
            }
        }
        let all = u32::try_from(self.limits.connections_max).unwrap_or(u32::MAX);
        let drained =
            tokio::time::timeout(Duration::from_millis(self.limits.drain_time_ms_max), places.acquire_many(all));
        if drained.await.is_err() {
            tracing::warn!("some requests did not end in time");
        }
    }
}

/// Ends when the server is to stop, or nobody is left who could say so.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // Either answer means: stop.
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn serve_connection(
    stream: tokio::net::TcpStream,
    peer: SocketAddr,
    shared: Arc<Shared>,
    limits: ServerLimits,
    mut stop: watch::Receiver<bool>,
) {
    let (deadline, mut until) = watch::channel(None);
    let service = service_fn(move |request: Request<Incoming>| {
        let (shared, deadline) = (Arc::clone(&shared), deadline.clone());
        async move { Ok::<_, Infallible>(respond(&shared, peer, request, deadline).await) }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(limits.head_time_ms_max))
        .max_buf_size(limits.head_bytes_max.max(8192))
        .half_close(false);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let mut stopping = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended early");
                }
                return;
            }
            () = stopped(&mut stop), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            // Whoever reads too slowly is cut off: the body would not be asked again before there is room for it.
            () = passed(&mut until) => return,
        }
    }
}

/// Ends when the stream that is being sent should have ended.
async fn passed(until: &mut watch::Receiver<Option<Instant>>) {
    loop {
        let deadline = *until.borrow_and_update();
        let changed = async {
            // Nobody is left who could send a stream.
            if until.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        match deadline {
            None => changed.await,
            Some(deadline) => tokio::select! {
                () = tokio::time::sleep_until(deadline.into()) => return,
                () = changed => {}
            },
        }
    }
}

/// What is written: a whole body, or a stream.
type Content = Either<Full<Bytes>, Streamed>;

/// A stream on its connection. An error from it makes hyper close the connection without the last chunk (RFC 9112 §8), so that
/// what came so far is not taken for a whole body.
struct Streamed {
    stream: Box<ReleasedStream>,
    deadline: watch::Sender<Option<Instant>>,
}

impl Streamed {
    fn new(stream: Box<ReleasedStream>, deadline: watch::Sender<Option<Instant>>) -> Self {
        deadline.send_replace(stream.deadline());
        Self { stream, deadline }
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        self.deadline.send_replace(None);
        if !self.stream.is_ended() {
            tracing::info!(request_id = %self.stream.request_id(), "a stream was not taken to its end");
        }
    }
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = Problem;
    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Problem>>> {
        let polled = self.stream.poll_next(context);
        if let Poll::Ready(Some(Err(problem))) = &polled {
            let detail = problem.detail.as_deref().unwrap_or_default();
            tracing::info!(request_id = %self.stream.request_id(), reason = problem.reason.code(), problem = problem.message, detail, "broken off");
        }
        polled.map_ok(|piece| Frame::data(piece.into()))
    }
    fn is_end_stream(&self) -> bool {
        self.stream.is_ended()
    }
}

async fn respond(
    shared: &Shared,
    peer: SocketAddr,
    request: Request<Incoming>,
    deadline: watch::Sender<Option<Instant>>,
) -> Response<Content> {
    let (parts, _body) = request.into_parts();
    if let Some(watch) = Watch::of(parts.uri.path()).filter(|_| parts.method == http::Method::GET) {
        let (status, media_type, body) = watch.answer(&shared.gateway);
        return with_media_type(response(status, whole(body.into())), media_type);
    }
    let source = shared.proxies.source(peer.ip(), &parts.headers);
    let answer = shared.gateway.answer(rest::read(&parts, source)).await;
    let mut response = write(answer, deadline);
    if rest::has_body(&parts.headers) {
        // What follows on this connection may be the body that was not read.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Opens an answer, whose record is durable by now, and writes it.
#[expect(clippy::disallowed_methods, reason = "this is the one place that opens an answer")]
fn write(answer: Answer, deadline: watch::Sender<Option<Instant>>) -> Response<Content> {
    let mut opened = answer.open();
    let result = std::mem::replace(&mut opened.result, Ok(Released::Whole(Vec::new())));
    let (mut response, problem) = match result {
        Ok(Released::Whole(body)) => (response(200, whole(body)), None),
        Ok(Released::Stream(stream)) => (response(200, Either::Right(Streamed::new(stream, deadline))), None),
        Err(problem) => {
            let detail = problem.detail.as_deref().unwrap_or_default();
            tracing::info!(request_id = %opened.request_id, reason = problem.reason.code(), problem = problem.message, detail, "refused");
            (response(problem.reason.status(), whole(rest::problem_body(&opened, &problem))), Some(problem))
        }
    };
    let headers = response.headers_mut();
    let mut set = |name: &'static str, value: String| {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    };
    set("x-request-id", opened.request_id.to_string());
    if let Some(id) = opened.audit_id {
        set("audit-id", id.to_string());
    }
    if let Some(problem) = problem {
        if let Some(seconds) = problem.retry_after_s {
            set("retry-after", seconds.to_string());
        }
        if let Some(challenge) = challenge(&problem) {
            set("www-authenticate", challenge);
        }
        if problem.reason == Reason::TooManyRequests
            && let Some(limit) = problem.context.as_ref().and_then(|context| context.get("limit"))
        {
            set("x-ratelimit-limit", limit.to_string());
            set("x-ratelimit-remaining", "0".to_owned());
            set("x-ratelimit-reset", problem.retry_after_s.unwrap_or(1).to_string());
        }
        if problem.reason == Reason::MethodNotAllowed {
            set("allow", "GET".to_owned());
        }
    }
    response
}

/// RFC 6750 §3: no error code where no credential was sent.
fn challenge(problem: &Problem) -> Option<String> {
    const REALM: &str = r#"Bearer realm="asuser""#;
    match problem.reason {
        Reason::NoCredential => Some(REALM.to_owned()),
        Reason::InsufficientScope => {
            let scope =
                problem.context.as_ref().and_then(|context| context.get("scope")).and_then(|scope| scope.as_str());
            Some(format!(r#"{REALM}, error="insufficient_scope", scope="{}""#, scope.unwrap_or_default()))
        }
        reason if reason.status() == 401 => Some(format!(r#"{REALM}, error="invalid_token""#)),
        _ => None,
    }
}

fn whole(body: Vec<u8>) -> Content {
    Either::Left(Full::new(Bytes::from(body)))
}

fn response(status: u16, content: Content) -> Response<Content> {
    let mut response = Response::new(content);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn with_media_type(mut response: Response<Content>, media_type: &'static str) -> Response<Content> {
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
