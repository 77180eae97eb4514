//! The way to a server: TCP, TLS over it, or a socket of this machine.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::{Credentials, Host, PgError, Tls};

/// An open connection.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Where a connection went, for a second one that goes to the same server.
#[derive(Debug, Clone)]
pub(crate) enum Address {
    Tcp(SocketAddr, String),
    Unix(PathBuf),
}

impl Address {
    /// The addresses of a host, in the resolver's order.
    pub(crate) async fn of(host: &Host) -> Result<Vec<Self>, PgError> {
        match host {
            Host::Unix(folder, port) => Ok(vec![Self::Unix(folder.join(format!(".s.PGSQL.{port}")))]),
            Host::Tcp(name, port) => {
                let found = tokio::net::lookup_host((name.as_str(), *port)).await;
                let found = found.map_err(|error| PgError::Connect(format!("{host}: {error}")))?;
                Ok(found.map(|address| Self::Tcp(address, name.clone())).collect())
            }
        }
    }

    /// Opens it, with TLS where that is asked for. A socket of this machine needs none.
    pub(crate) async fn open(&self, tls: Option<&TlsConnector>) -> Result<Stream, PgError> {
        let failed = |error: io::Error| PgError::Connect(error.to_string());
        match self {
            Self::Unix(path) => Ok(Stream::Unix(UnixStream::connect(path).await.map_err(failed)?)),
            Self::Tcp(address, name) => {
                let tcp = TcpStream::connect(address).await.map_err(failed)?;
                tcp.set_nodelay(true).map_err(failed)?;
                match tls {
                    None => Ok(Stream::Tcp(tcp)),
                    Some(connector) => Ok(Stream::Tls(Box::new(upgrade(tcp, name, connector).await?))),
                }
            }
        }
    }
}

/// Asks for TLS as PostgreSQL wants it (documentation, "SSL Session Encryption"). What comes before the handshake is one byte:
/// anything more would have been put there by somebody in between (CVE-2021-23222).
async fn upgrade(mut tcp: TcpStream, name: &str, connector: &TlsConnector) -> Result<TlsStream<TcpStream>, PgError> {
    let failed = |error: io::Error| PgError::Tls(error.to_string());
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    tcp.write_all(&request).await.map_err(failed)?;
    let mut answer = [0];
    tcp.read_exact(&mut answer).await.map_err(failed)?;
    if answer != *b"S" {
        return Err(PgError::Tls("the server does not offer it".to_owned()));
    }
    let name = ServerName::try_from(name.to_owned()).map_err(|error| PgError::Tls(error.to_string()))?;
    connector.connect(name, tcp).await.map_err(failed)
}

/// How TLS is spoken for these credentials; `None`: not.
pub(crate) fn connector(tls: &Tls, credentials: &Credentials) -> Result<Option<TlsConnector>, PgError> {
    let Tls::Verified(roots) = tls else {
        return match credentials.certificate {
            Some(_) => Err(PgError::Target("a client certificate needs TLS".to_owned())),
            None => Ok(None),
        };
    };
    let failed = |error: rustls::Error| PgError::Tls(error.to_string());
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(failed)?
        .with_root_certificates(Arc::clone(roots));
    let mut config = match &credentials.certificate {
        Some((chain, key)) => builder.with_client_auth_cert(chain.clone(), key.clone_key()).map_err(failed)?,
        None => builder.with_no_client_auth(),
    };
    // PostgreSQL resumes no session, and a ticket would outlive the certificate it was made with.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Some(TlsConnector::from(Arc::new(config))))
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
