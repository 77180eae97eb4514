//! Sockets: connections in, [`Answer`]s out. The only place that opens an answer.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use asuser_audit::{Answer, Opened, Released};
use asuser_core::{Problem, Reason, ServiceName};
use asuser_gateway::{Gateway, State};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use crate::body::Bodies;
use crate::counts::Counts;
use crate::health::Watch;
use crate::mcp::{self, Asked, Extra, Surroundings};
use crate::metadata::{Metadata, Resource};
use crate::origin::Origins;
use crate::patience::Patient;
use crate::places::Places;
use crate::stream::Streamed;
use crate::{ListenerOptions, PublicUrl, ServerLimits, TrustedProxies, credential, rest};

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
    bodies: Bodies,
    metadata: Metadata,
    origins: Origins,
    extra: Option<Arc<dyn Extra>>,
}

impl Listener {
    /// Binds a socket.
    ///
    /// # Errors
    /// When the address is in use or not ours.
    pub async fn bind(address: SocketAddr, gateway: Arc<Gateway>, options: ListenerOptions) -> std::io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        let ListenerOptions { proxies, limits, public_url, allowed_origins, scopes, extra } = options;
        let address = socket.local_addr()?;
        let public = public_url.unwrap_or_else(|| PublicUrl::of_listen(address));
        let shared = Shared {
            gateway,
            proxies,
            counts: Arc::default(),
            bodies: Bodies::new(limits.body_time_ms_max),
            origins: Origins::new(public.clone(), address, allowed_origins),
            metadata: Metadata { public, scopes },
            extra,
        };
        Ok(Self { socket, shared: Arc::new(shared), limits })
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

async fn respond(
    shared: &Shared,
    peer: SocketAddr,
    request: Request<Incoming>,
    deadline: watch::Sender<Option<Instant>>,
) -> Response<Content> {
    let (parts, body) = request.into_parts();
    if let Some(response) = shared.unaudited(&parts) {
        return response;
    }
    let source = shared.proxies.source(peer.ip(), &parts.headers);
    let (mut response, unread) = if parts.uri.path() == mcp::PATH {
        shared.answer_mcp(&parts, body, source, deadline).await
    } else {
        shared.answer_rest(&parts, body, source, deadline).await
    };
    if unread {
        // What follows on this connection may be the body that was not read.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// How a request's failure is written.
enum Face<'a> {
    /// With the methods that the route takes.
    Rest(&'static str),
    Mcp(&'a Asked),
}

impl Shared {
    /// What holds nothing of a person, table or value, and needs no credential.
    fn unaudited(&self, parts: &Parts) -> Option<Response<Content>> {
        let path = parts.uri.path();
        let get = parts.method == Method::GET;
        if let Some(watch) = Watch::of(path).filter(|_| get) {
            let (status, media_type, body) = watch.answer(&self.gateway, &self.counts);
            return Some(with_media_type(response(status, whole(body.into())), media_type));
        }
        let described = Resource::described_at(path);
        if parts.method == Method::OPTIONS && (described.is_some() || path == mcp::PATH) {
            return self.origins.preflight(&parts.headers).map(|headers| {
                let mut response = response(204, whole(Vec::new()));
                response.headers_mut().remove(header::CONTENT_TYPE);
                response.headers_mut().extend(headers);
                response
            });
        }
        let resource = described.filter(|_| get)?;
        let state = self.gateway.state();
        let issuers: Vec<String> = state.identities.issuers().iter().map(ToString::to_string).collect();
        let services: Vec<ServiceName> = state.services.keys().cloned().collect();
        let mut response = response(200, whole(self.metadata.document(resource, &issuers, &services).into()));
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
        response.headers_mut().extend(self.origins.cors(&parts.headers));
        Some(response)
    }

    /// A message of MCP. With it: whether a body was left unread.
    async fn answer_mcp(
        &self,
        parts: &Parts,
        body: Incoming,
        source: IpAddr,
        deadline: watch::Sender<Option<Instant>>,
    ) -> (Response<Content>, bool) {
        let body = if parts.method == Method::POST { Some(self.bodies.read(&parts.headers, body).await) } else { None };
        let unread = !matches!(body, Some(Ok(_))) && credential::has_body(&parts.headers);
        let state = self.gateway.state();
        let services: Vec<ServiceName> = state.services.keys().cloned().collect();
        let (request, asked) = {
            let around = Surroundings {
                origins: &self.origins,
                services: &services,
                configured: &|name| state.tools.contains_key(name),
                extra: self.extra.as_deref(),
            };
            let body = match &body {
                Some(Ok(body)) => Ok(&body[..]),
                Some(Err(problem)) => Err(problem.clone()),
                None => Ok(&[][..]),
            };
            mcp::read(parts, body, source, around)
        };
        let answer = self.gateway.answer(request).await;
        let mut response = self.write(answer, deadline, &Face::Mcp(&asked), &state);
        response.headers_mut().extend(self.origins.cors(&parts.headers));
        (response, unread)
    }

    /// A request in the REST dialect. With it: whether a body was left unread.
    async fn answer_rest(
        &self,
        parts: &Parts,
        body: Incoming,
        source: IpAddr,
        deadline: watch::Sender<Option<Instant>>,
    ) -> (Response<Content>, bool) {
        let head = rest::Head::of(parts);
        let allowed = head.allowed();
        let body = if head.takes_body(parts) { Some(self.bodies.read(&parts.headers, body).await) } else { None };
        let unread = !matches!(body, Some(Ok(_))) && credential::has_body(&parts.headers);
        let state = self.gateway.state();
        let request = {
            let body = body.as_ref().map(|body| body.as_deref().map_err(Clone::clone));
            let has_tool =
                |service: &ServiceName, name: &str| state.tools.get(name).is_some_and(|tool| tool.service == *service);
            head.read(parts, body, source, &has_tool)
        };
        let answer = self.gateway.answer(request).await;
        (self.write(answer, deadline, &Face::Rest(allowed), &state), unread)
    }

    /// Opens an answer, whose record is durable by now, and writes it.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that opens an answer")]
    fn write(
        &self,
        answer: Answer,
        deadline: watch::Sender<Option<Instant>>,
        face: &Face<'_>,
        state: &State,
    ) -> Response<Content> {
        let mut opened = answer.open();
        let result = std::mem::replace(&mut opened.result, Ok(Released::Whole(Vec::new())));
        let (mut response, problem) = match result {
            Ok(Released::Whole(body)) => (released(body, face), None),
            Ok(Released::Stream(stream)) => (response(200, Either::Right(Streamed::new(stream, deadline))), None),
            Err(problem) => {
                let detail = problem.detail.as_deref().unwrap_or_default();
                tracing::info!(request_id = %opened.request_id, reason = problem.reason.code(), problem = problem.message, detail, "refused");
                (failed(&opened, &problem, face), Some(problem))
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
        let Some(problem) = problem else { return response };
        if let Some(seconds) = problem.retry_after_s {
            set("retry-after", seconds.to_string());
        }
        let (resource, needed, allowed) = match face {
            Face::Rest(allowed) => (Resource::Root, &[][..], *allowed),
            Face::Mcp(asked) => (Resource::Mcp, &asked.scopes[..], "POST, OPTIONS"),
        };
        let services: Vec<ServiceName> = state.services.keys().cloned().collect();
        if let Some(challenge) = self.metadata.challenge(resource, &problem, needed, &services) {
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
            set("allow", allowed.to_owned());
        }
        response
    }
}

fn released(body: Vec<u8>, face: &Face<'_>) -> Response<Content> {
    match face {
        Face::Mcp(asked) if asked.is_notification() => {
            let mut response = response(202, whole(Vec::new()));
            response.headers_mut().remove(header::CONTENT_TYPE);
            response
        }
        Face::Mcp(asked) if asked.is_events() => with_media_type(response(200, whole(body)), EVENTS),
        _ => response(200, whole(body)),
    }
}

fn failed(opened: &Opened, problem: &Problem, face: &Face<'_>) -> Response<Content> {
    match face {
        Face::Rest(_) => response(problem.reason.status(), whole(rest::problem_body(opened, problem))),
        Face::Mcp(asked) => {
            let failure = mcp::write_problem(asked, opened, problem);
            let response = response(failure.status, whole(failure.body));
            if failure.events { with_media_type(response, EVENTS) } else { response }
        }
    }
}

const EVENTS: &str = "text/event-stream";

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

    /// What cancels a statement: its request is dropped when the client goes away, a body that was read or not.
    #[tokio::test]
    async fn a_request_ends_with_its_connection() {
        struct Told(Option<tokio::sync::oneshot::Sender<()>>);
        impl Drop for Told {
            fn drop(&mut self) {
                let _ = self.0.take().map(|told| told.send(()));
            }
        }
        for read in [true, false] {
            let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut client = TcpStream::connect(socket.local_addr().unwrap()).await.unwrap();
            let (stream, _) = socket.accept().await.unwrap();
            let (begun, has_begun) = tokio::sync::oneshot::channel();
            let (told, is_told) = tokio::sync::oneshot::channel();
            let parts = std::sync::Mutex::new(Some((begun, Told(Some(told)))));
            let service = service_fn(move |request: Request<Incoming>| {
                let (begun, told) = parts.lock().unwrap().take().unwrap();
                async move {
                    if read {
                        let body = Bodies::new(60_000).read(&http::HeaderMap::new(), request.into_body()).await;
                        assert_eq!(body.unwrap(), "{}");
                    }
                    begun.send(()).unwrap();
                    std::future::pending::<()>().await;
                    drop(told);
                    Ok::<_, Infallible>(response(200, whole(Vec::new())))
                }
            });
            let (_stop, stopping) = watch::channel(false);
            let (_deadline, until) = watch::channel(None);
            let driven = tokio::spawn(drive(stream, service, until, ServerLimits::default(), stopping));
            client.write_all(b"POST /mcp HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}").await.unwrap();
            has_begun.await.unwrap();
            drop(client);
            is_told.await.expect("the request's future was dropped");
            let _ = driven.await.unwrap();
        }
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
