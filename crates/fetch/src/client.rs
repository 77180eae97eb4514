//! Makes one request: resolve, judge, connect, encrypt, ask, read. Each step within the one limit of time.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_ENCODING, HOST, LOCATION, USER_AGENT};
use http::{HeaderValue, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::{Allowed, Answer, FetchError, Range, Request, Url, tls};

/// A host with more addresses is tried at these.
const ADDRESSES_MAX: usize = 4;
/// One address of several that does not answer must not use up the time of all.
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// An answer's head is at most this long.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// How requests are made.
#[derive(Debug, Clone)]
pub struct Options {
    /// For everything together: resolving, connecting, TLS, the whole body. Default 5 s.
    pub timeout: Duration,
    /// The largest body that is read. Default 1 MiB.
    pub body_bytes_max: usize,
    /// Certificates (PEM) that are trusted besides the system's.
    pub ca_pem: Option<Vec<u8>>,
    /// What may be connected to besides the internet.
    pub allowed: Allowed,
}

impl Default for Options {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(5), body_bytes_max: 1 << 20, ca_pem: None, allowed: Allowed::default() }
    }
}

/// Makes requests, each on a connection of its own. Holds no state but its options: cheap to keep, safe to share.
#[derive(Debug, Clone)]
pub struct Client {
    timeout: Duration,
    body_bytes_max: usize,
    allowed: Allowed,
    tls: Arc<ClientConfig>,
}

impl Client {
    /// A client. Reads the system's authorities at the first call in the process; no network.
    ///
    /// # Errors
    /// Where the certificates cannot be used.
    pub fn new(options: Options) -> Result<Self, FetchError> {
        let Options { timeout, body_bytes_max, ca_pem, allowed } = options;
        Ok(Self { timeout, body_bytes_max, allowed, tls: tls::config(ca_pem.as_deref())? })
    }

    /// `GET`, and only an answer of 2xx.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn get(&self, url: &Url) -> Result<Answer, FetchError> {
        self.send(Request::get(url.clone())).await?.success()
    }

    /// Makes a request. An answer of any status but 3xx comes back as it is.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn send(&self, request: Request) -> Result<Answer, FetchError> {
        let url = request.url.clone();
        let timeout = || FetchError::Timeout { url: url.clone(), after_ms: self.timeout.as_millis() };
        tokio::time::timeout(self.timeout, self.exchange(request)).await.unwrap_or_else(|_| Err(timeout()))
    }

    async fn exchange(&self, request: Request) -> Result<Answer, FetchError> {
        let url = request.url.clone();
        let tcp = self.connect(&url).await?;
        if !url.is_https() {
            return self.ask(TokioIo::new(tcp), request).await;
        }
        let failed = |why: String| FetchError::Tls { host: url.host().to_owned(), port: url.port(), why };
        let name = ServerName::try_from(url.host().to_owned()).map_err(|error| failed(error.to_string()))?;
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        let stream = connector.connect(name, tcp).await.map_err(|error| failed(error.to_string()))?;
        self.ask(TokioIo::new(stream), request).await
    }

    /// A connection to an address that was judged itself, not by its name.
    async fn connect(&self, url: &Url) -> Result<TcpStream, FetchError> {
        let addresses = self.addresses(url).await?;
        let mut why = String::new();
        for (at, address) in addresses.iter().enumerate() {
            let last = at + 1 == addresses.len();
            let patience = if last { self.timeout } else { CONNECT_MAX.min(self.timeout) };
            match tokio::time::timeout(patience, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => why = error.to_string(),
                Err(_) => why = "no answer".into(),
            }
        }
        Err(FetchError::Connect { host: url.host().to_owned(), port: url.port(), why })
    }

    async fn addresses(&self, url: &Url) -> Result<Vec<SocketAddr>, FetchError> {
        let host = url.host();
        let found: Vec<SocketAddr> = match host.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, url.port())],
            Err(_) => tokio::net::lookup_host((host, url.port()))
                .await
                .map_err(|error| FetchError::NoAddress { host: host.to_owned(), why: error.to_string() })?
                .collect(),
        };
        let Some(first) = found.first().copied() else {
            return Err(FetchError::NoAddress { host: host.to_owned(), why: "the resolver knows none".into() });
        };
        let permitted = |address: &SocketAddr| self.allowed.permits(host, address.ip());
        let blocked = found.iter().copied().find(|address| !permitted(address));
        let mut usable: Vec<SocketAddr> = found.into_iter().filter(permitted).collect();
        if usable.is_empty() {
            let address = blocked.unwrap_or(first).ip();
            return Err(FetchError::Blocked { host: host.to_owned(), address, range: Range::of(address) });
        }
        if !url.is_https() {
            usable.retain(|address| Range::of(address.ip()) == Range::Loopback);
            if usable.is_empty() {
                return Err(FetchError::Plain(url.clone()));
            }
        }
        usable.truncate(ADDRESSES_MAX);
        Ok(usable)
    }

    async fn ask<S>(&self, stream: TokioIo<S>, request: Request) -> Result<Answer, FetchError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Request { url, method, mut headers, body } = request;
        let failed = |why: String| FetchError::Protocol { url: url.clone(), why };
        let host = HeaderValue::from_str(url.authority()).map_err(|error| failed(error.to_string()))?;
        headers.insert(HOST, host);
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("asuser/", env!("CARGO_PKG_VERSION"))));
        let mut request = http::Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = url.target().parse().map_err(|_| failed("the path cannot be sent".into()))?;
        *request.headers_mut() = headers;

        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(HEAD_BYTES_MAX)
            .handshake(stream)
            .await
            .map_err(|error| failed(words(&error)))?;
        // Ends with this function, however it ends.
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        let response = sender.send_request(request).await.map_err(|error| failed(words(&error)))?;
        self.read(&url, response).await
    }

    async fn read(&self, url: &Url, response: Response<Incoming>) -> Result<Answer, FetchError> {
        let failed = |why: String| FetchError::Protocol { url: url.clone(), why };
        let (parts, mut body) = response.into_parts();
        let status = parts.status.as_u16();
        if (300..400).contains(&status) {
            let to = parts.headers.get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("nowhere");
            // Its query may hold what is not for logs.
            let to = to.split(['?', '#']).next().unwrap_or_default().chars().take(200).collect();
            return Err(FetchError::Redirect { url: url.clone(), status, to });
        }
        if parts.headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
            return Err(failed("it is compressed, which nobody asked for".into()));
        }
        let too_large = || FetchError::TooLarge { url: url.clone(), bytes_max: self.body_bytes_max };
        let mut bytes = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| failed(words(&error)))?;
            let data: Bytes = frame.into_data().unwrap_or_default();
            if bytes.len() + data.len() > self.body_bytes_max {
                return Err(too_large());
            }
            bytes.extend_from_slice(&data);
        }
        Ok(Answer { url: url.clone(), status, headers: parts.headers, body: bytes.freeze() })
    }
}

/// An error with its causes, in one line.
fn words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}
