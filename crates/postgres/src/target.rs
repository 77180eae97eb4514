//! Where a server is, and as whom to go there.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use asuser_core::Secret;
use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::PgError;

const PORT: u16 = 5432;
const HOSTS_MAX: usize = 16;
const CONNECT_MS_MAX: u64 = 5_000;

/// A database on one or several servers.
#[derive(Debug, Clone)]
pub struct Target {
    /// Tried in this order: at least one.
    pub hosts: Vec<Host>,
    /// The database's name.
    pub database: String,
    /// What the URL names as user.
    pub user: String,
    /// How the connection is protected.
    pub tls: Tls,
    /// Only a server that takes writes will do (`target_session_attrs=read-write`).
    pub read_write: bool,
    /// For each host, TLS and authentication included.
    pub connect_ms_max: u64,
}

/// A server's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A name or address, and a port.
    Tcp(String, u16),
    /// The folder of a socket, and the port in its name.
    Unix(PathBuf, u16),
}

/// How the connection is protected.
#[derive(Debug, Clone)]
pub enum Tls {
    /// Not at all.
    Off,
    /// TLS with the server's certificate and name verified.
    Verified(Arc<RootCertStore>),
}

/// Who connects.
#[derive(Debug)]
pub struct Credentials {
    /// The login role.
    pub user: String,
    /// Its password, if the server asks for one.
    pub password: Option<Secret>,
    /// A client certificate (with what leads to its CA) and its key, if there is one.
    pub certificate: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

impl Credentials {
    /// A login with or without a password.
    #[must_use]
    pub fn of(user: impl Into<String>, password: Option<Secret>) -> Self {
        Self { user: user.into(), password, certificate: None }
    }
}

impl Tls {
    /// Trusts the certificates of a PEM text, and no others.
    ///
    /// # Errors
    /// Where it holds none, or one that cannot be read.
    pub fn verified(pem: &[u8]) -> Result<Self, PgError> {
        let refuse = |why: String| PgError::Target(format!("the CA file cannot be used: {why}"));
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| refuse(error.to_string()))?;
            roots.add(certificate).map_err(|error| refuse(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(refuse("it holds no certificate in PEM form".to_owned()));
        }
        Ok(Self::Verified(Arc::new(roots)))
    }
}

impl Host {
    /// Whether what is sent there stays on this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Unix(..) => true,
            Self::Tcp(name, _) => {
                name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
            }
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(name, port) if name.contains(':') => write!(f, "[{name}]:{port}"),
            Self::Tcp(name, port) => write!(f, "{name}:{port}"),
            Self::Unix(folder, port) => write!(f, "{}/.s.PGSQL.{port}", folder.display()),
        }
    }
}

impl Target {
    /// Reads `postgres://user@host:5432,other:5433/database?target_session_attrs=read-write&connect_timeout=5`. A host may be the
    /// folder of a socket (`%2Fvar%2Frun%2Fpostgresql`). TLS is not the URL's to say: see [`Target::tls`], which starts as off.
    ///
    /// # Errors
    /// Where it cannot be read, holds a password (a URL ends up in logs), or asks for what is not known here.
    pub fn parse(url: &str) -> Result<Self, PgError> {
        let refuse = |why: &str| PgError::Target(format!("the URL of the database cannot be used: {why}"));
        let rest = url
            .strip_prefix("postgres://")
            .or_else(|| url.strip_prefix("postgresql://"))
            .ok_or_else(|| refuse("it does not begin with `postgres://`"))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').ok_or_else(|| refuse("it names no database"))?;
        let (user, hosts) = authority.rsplit_once('@').ok_or_else(|| refuse("it names no user before `@`"))?;
        if user.contains(':') {
            return Err(refuse("it holds a password: use the key `password` with `env:NAME` or `file:PATH`"));
        }
        let decode = |text: &str| {
            decoded(text).ok_or_else(|| refuse("a `%` is not followed by two digits, or the text is not UTF-8"))
        };
        let (user, database) = (decode(user)?, decode(database)?);
        if user.is_empty() || database.is_empty() {
            return Err(refuse("user and database must both be named"));
        }
        let hosts: Vec<Host> = hosts
            .split(',')
            .map(|host| parse_host(host).ok_or_else(|| refuse("a host or port is not one")))
            .collect::<Result<_, _>>()?;
        if hosts.len() > HOSTS_MAX {
            return Err(refuse("it names more than 16 hosts"));
        }
        let mut target =
            Self { hosts, database, user, tls: Tls::Off, read_write: false, connect_ms_max: CONNECT_MS_MAX };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("target_session_attrs", "read-write")) => target.read_write = true,
                Some(("target_session_attrs", "any")) => target.read_write = false,
                Some(("connect_timeout", seconds)) => {
                    let seconds: u64 = seconds
                        .parse()
                        .ok()
                        .filter(|seconds| (1..=60).contains(seconds))
                        .ok_or_else(|| refuse("`connect_timeout` is 1 to 60 seconds"))?;
                    target.connect_ms_max = seconds * 1_000;
                }
                Some(("sslmode", _)) => {
                    return Err(refuse("TLS is set by the keys `tls` and `tls_ca`, not by `sslmode`"));
                }
                _ => {
                    return Err(refuse(
                        "only `target_session_attrs` (any, read-write) and `connect_timeout` may follow `?`",
                    ));
                }
            }
        }
        Ok(target)
    }

    /// Whether everything stays on this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.hosts.iter().all(Host::is_local)
    }

    pub(crate) const fn connect_time(&self) -> Duration {
        Duration::from_millis(self.connect_ms_max)
    }
}

fn parse_host(text: &str) -> Option<Host> {
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (name, port) = rest.split_once(']')?;
            (name, port.strip_prefix(':').or_else(|| port.is_empty().then_some("")).map(str::to_owned)?)
        }
        None => text.split_once(':').map_or((text, String::new()), |(name, port)| (name, port.to_owned())),
    };
    let port = if port.is_empty() { PORT } else { port.parse().ok().filter(|port| *port != 0)? };
    let name = decoded(name).filter(|name| !name.is_empty())?;
    Some(if name.starts_with('/') { Host::Unix(name.into(), port) } else { Host::Tcp(name, port) })
}

/// Percent-decoding (RFC 3986 §2.1).
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        bytes.push(digit(rest.next()?)? * 16 + digit(rest.next()?)?);
    }
    let text = String::from_utf8(bytes).ok()?;
    (!text.contains('\0')).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_hosts_user_and_database() {
        let target =
            Target::parse("postgres://as%40user@db1,db2:6432,[::1]:1/shop?target_session_attrs=read-write").unwrap();
        assert_eq!((target.user.as_str(), target.database.as_str(), target.read_write), ("as@user", "shop", true));
        let hosts: Vec<String> = target.hosts.iter().map(ToString::to_string).collect();
        assert_eq!(hosts, ["db1:5432", "db2:6432", "[::1]:1"]);
        assert!(!target.is_local());
        let socket = Target::parse("postgresql://u@%2Frun%2Fpg:5433/d").unwrap();
        assert_eq!((socket.hosts[0].to_string().as_str(), socket.is_local()), ("/run/pg/.s.PGSQL.5433", true));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (url, word) in [
            ("mysql://u@h/d", "postgres://"),
            ("postgres://u:secret@h/d", "password"),
            ("postgres://h/d", "user"),
            ("postgres://u@h", "database"),
            ("postgres://u@h:0/d", "port"),
            ("postgres://u@h:x/d", "port"),
            ("postgres://u@/d", "host"),
            ("postgres://u@h/d?sslmode=require", "tls"),
            ("postgres://u@h/d?x=y", "target_session_attrs"),
            ("postgres://u%zz@h/d", "%"),
            ("postgres://u%00@h/d", "%"),
        ] {
            let message = Target::parse(url).unwrap_err().to_string();
            assert!(message.contains(word) && !message.contains("secret"), "{url}: {message}");
        }
    }
}
