//! A server that does one thing to everybody who connects, and remembers what they said.

use std::sync::{Arc, Mutex};

use asuser_fetch::Url;
use asuser_testkit::postgres::TestCa;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What it does after it has read a request.
#[derive(Clone)]
pub(crate) enum Behaviour {
    /// Says this and closes.
    Say(Vec<u8>),
    /// Says this and nothing more.
    Stall(Vec<u8>),
    /// Says nothing.
    Silent,
    /// Sends a body without end.
    Endless,
    /// Says this before anybody asked, and closes.
    Greet(Vec<u8>),
}

pub(crate) struct Server {
    pub(crate) port: u16,
    is_tls: bool,
    connections: Arc<Mutex<usize>>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(crate) async fn plain(behaviour: Behaviour) -> Self {
        Self::start(behaviour, None).await
    }
    pub(crate) async fn tls(ca: &TestCa, behaviour: Behaviour) -> Self {
        let (certificate, key) = ca.server();
        let chain = CertificateDer::pem_slice_iter(certificate.as_bytes()).map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        Self::start(behaviour, Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn start(behaviour: Behaviour, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (connections, seen) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(Vec::new())));
        let server = Self { port, is_tls: tls.is_some(), connections: connections.clone(), seen: seen.clone() };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *connections.lock().unwrap() += 1;
                let (behaviour, seen, tls) = (behaviour.clone(), seen.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => behave(stream, behaviour, &seen).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                behave(stream, behaviour, &seen).await;
                            }
                        }
                    }
                });
            }
        });
        server
    }

    pub(crate) fn url(&self, path: &str) -> Url {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}{path}", self.port).parse().unwrap()
    }
    pub(crate) fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }
    /// The requests, whole.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

async fn behave(mut stream: impl AsyncRead + AsyncWrite + Unpin, behaviour: Behaviour, seen: &Mutex<Vec<String>>) {
    if let Behaviour::Greet(bytes) = behaviour {
        let _gone = stream.write_all(&bytes).await;
        return;
    }
    let mut request = Vec::new();
    while !is_whole(&request) {
        match stream.read_buf(&mut request).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    seen.lock().unwrap().push(String::from_utf8_lossy(&request).into_owned());
    match behaviour {
        Behaviour::Greet(_) => {}
        Behaviour::Say(bytes) => {
            let _gone = stream.write_all(&bytes).await;
            let _gone = stream.shutdown().await;
        }
        Behaviour::Stall(bytes) => {
            let _gone = stream.write_all(&bytes).await;
            let _until_the_other_side_goes = stream.read(&mut [0]).await;
        }
        Behaviour::Silent => _ = stream.read(&mut [0]).await,
        Behaviour::Endless => {
            let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
        }
    }
}

/// Whether a request is there with its body.
fn is_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let head = head.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    body.len() >= length.unwrap_or(0)
}
