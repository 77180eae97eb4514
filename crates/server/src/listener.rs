//! Sockets: connections in, [`Answer`]s out. The only place that opens an answer.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
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
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use crate::TrustedProxies;
use crate::counts::Counts;
use crate::health::Watch;
use crate::patience::Patient;
use crate::places::Places;
use crate::rest;

/// A limit on everything that a peer can hold.
#[derive(Debug, Clone, Copy)]
pub struct ServerLimits {
    /// Connections at once; further ones wait in the kernel's queue.
    pub connections_max: usize,
    /// Connections at once of one address, for IPv6 of one /48; further ones are closed. Loopback and trusted proxies, who
    /// speak for others, may have all.
    pub connections_per_address_max: usize,
    /// Bytes of request line and headers.
    pub head_bytes_max: usize,
    /// Time for a peer to send its request head, milliseconds.
    pub head_time_ms_max: u64,
    /// Time in which a peer must take something of an answer that waits for it, milliseconds; then the connection is closed.
    pub write_time_ms_max: u64,
    /// Time for requests under way when the server stops, milliseconds.
    pub drain_time_ms_max: u64,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections_max: 1024,
            connections_per_address_max: 256,
            head_bytes_max: 64 * 1024,
            head_time_ms_max: 10_000,
            write_time_ms_max: 30_000,
            drain_time_ms_max: 10_000,
        }
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
    counts: Arc<Counts>,
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
        Ok(Self { socket, shared: Arc::new(Shared { gateway, proxies, counts: Arc::default() }), limits })
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
        let all_places = Arc::new(Semaphore::new(self.limits.connections_max));
        let places = Places::new(self.limits.connections_per_address_max);
        loop {
            let place = Arc::clone(&all_places).acquire_owned();
            let accepted = tokio::select! {
                () = stopped(&mut stop) => break,
                accepted = async { (place.await, self.socket.accept().await) } => accepted,
            };
            match accepted {
                (Ok(place), Ok((stream, peer))) => {
                    let its_place = if speaks_for_others(&self.shared.proxies, peer.ip()) {
                        None
                    } else if let Some(its_place) = places.take(peer.ip()) {
                        Some(its_place)
                    } else {
                        Counts::add(&self.shared.counts.crowded);
                        continue;
                    };
                    // A peer that does not want its answer delayed for a fuller packet: answers are written whole.
                    let _ = stream.set_nodelay(true);
                    let connection =
                        serve_connection(stream, peer, Arc::clone(&self.shared), self.limits, stop.clone());
                    tokio::spawn(async move {
                        connection.await;
                        drop((place, its_place));
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
            tokio::time::timeout(Duration::from_millis(self.limits.drain_time_ms_max), all_places.acquire_many(all));
        if drained.await.is_err() {
            tracing::warn!("some requests did not end in time");
        }
    }
}

/// Whoever speaks for others may have their places.
fn speaks_for_others(proxies: &TrustedProxies, peer: IpAddr) -> bool {
    peer.to_canonical().is_loopback() || proxies.trusts(peer)
}

/// Ends when the server is to stop, or nobody is left who could say so.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // Either answer means: stop.
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    shared: Arc<Shared>,
    limits: ServerLimits,
    stop: watch::Receiver<bool>,
) {
    let (deadline, until) = watch::channel(None);
    let counts = Arc::clone(&shared.counts);
    let service = service_fn(move |request: Request<Incoming>| {
        let (shared, deadline) = (Arc::clone(&shared), deadline.clone());
        async move { Ok::<_, Infallible>(respond(&shared, peer, request, deadline).await) }
    });
    match drive(stream, service, until, limits, stop).await {
        Ok(Ended::Closed | Ended::Late) => {}
        Ok(Ended::Stalled) => Counts::add(&counts.stalled),
        Err(error) => {
            // hyper answered by itself, and no request came of it.
            if error.is_parse() {
                Counts::add(&counts.malformed);
            }
            tracing::debug!(%error, "a connection ended early");
        }
    }
}

/// How a connection ended that nothing was wrong with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Closed,
    /// The peer took nothing of an answer for too long.
    Stalled,
    /// A stream's time was over before the peer had taken it.
    Late,
}

/// Lets hyper have a connection until it ends, or its peer has had its time.
async fn drive<S>(
    stream: TcpStream,
    service: S,
    mut until: watch::Receiver<Option<Instant>>,
    limits: ServerLimits,
    mut stop: watch::Receiver<bool>,
) -> hyper::Result<Ended>
where
    S: Service<Request<Incoming>, Response = Response<Content>, Error = Infallible>,
{
    let (stream, mut stalled) = Patient::new(stream, Duration::from_millis(limits.write_time_ms_max));
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
            ended = connection.as_mut() => return ended.map(|()| Ended::Closed),
            () = stopped(&mut stop), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            // Whoever reads too slowly is cut off: the body would not be asked again before there is room for it.
            () = passed(&mut until) => return Ok(Ended::Late),
            () = passed(&mut stalled) => return Ok(Ended::Stalled),
        }
    }
}

/// Ends when what is being sent should have been taken.
async fn passed(until: &mut watch::Receiver<Option<Instant>>) {
    loop {
        let deadline = *until.borrow_and_update();
        let changed = async {
            // Nobody is left who could send anything.
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
        let (status, media_type, body) = watch.answer(&shared.gateway, &shared.counts);
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// More than the kernels at both ends hold.
    const MIB_32: usize = 32 * 1024 * 1024;

    /// A connection to a server whose every answer is long, and how that connection ends.
    async fn connected(
        write_time_ms_max: u64,
    ) -> (TcpStream, tokio::task::JoinHandle<hyper::Result<Ended>>, watch::Sender<bool>) {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(socket.local_addr().unwrap()).await.unwrap();
        let (stream, _) = socket.accept().await.unwrap();
        let limits = ServerLimits { write_time_ms_max, ..ServerLimits::default() };
        let service = service_fn(|_| async { Ok::<_, Infallible>(response(200, whole(vec![b'x'; MIB_32]))) });
        let (stop, stopping) = watch::channel(false);
        let (_, until) = watch::channel(None);
        let ended = tokio::spawn(drive(stream, service, until, limits, stopping));
        (client, ended, stop)
    }

    #[tokio::test]
    async fn a_peer_that_never_reads_is_cut_off() {
        let (mut client, ended, _stop) = connected(50).await;
        client.write_all(&b"GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n".repeat(100)).await.unwrap();
        assert_eq!(ended.await.unwrap().unwrap(), Ended::Stalled, "though the peer keeps its side open");
    }

    #[tokio::test]
    async fn a_peer_that_reads_has_all_of_it() {
        let (mut client, ended, _stop) = connected(600_000).await;
        client.write_all(b"GET /metrics HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut heard = Vec::new();
        client.read_to_end(&mut heard).await.unwrap();
        assert!(heard.len() > MIB_32);
        assert_eq!(ended.await.unwrap().unwrap(), Ended::Closed);
    }

    #[test]
    fn loopback_and_trusted_proxies_speak_for_others() {
        let proxies = TrustedProxies::parse(["10.0.0.0/8"]).unwrap();
        let speaks = |text: &str| speaks_for_others(&proxies, text.parse().unwrap());
        assert!(speaks("127.0.0.1") && speaks("::1") && speaks("::ffff:127.0.0.1") && speaks("10.1.2.3"));
        assert!(!speaks("192.0.2.1") && !speaks("2001:db8::1"));
        assert!(!speaks_for_others(&TrustedProxies::default(), "10.1.2.3".parse().unwrap()));
    }
}
