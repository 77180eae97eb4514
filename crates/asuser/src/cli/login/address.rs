//! Which asuser, and who may be asked on its behalf.
//!
//! In: `--url`. Out: its one way of writing, and clients that reach it, or its authorization server. Refuses http to another machine.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context as _;
use asuser_fetch::{Allowed, Client, Options, Url};
use asuser_server::PublicUrl;

/// A company's own authorization server may stand in its own network. This machine is not among them, nor the link with its metadata.
const PRIVATE: &[&str] = &["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"];
const THIS_MACHINE: &[&str] = &["127.0.0.0/8", "::1"];

/// An authority's certificate is a few KiB.
const CA_BYTES_MAX: u64 = 1 << 20;

/// Where an asuser is: scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    origin: String,
    host: String,
}

impl FromStr for Address {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        // What clients are configured with is often at hand: it means the same.
        let text = text.trim_end_matches('/');
        let text = text.strip_suffix("/mcp").unwrap_or(text);
        let origin = text.parse::<PublicUrl>()?.as_str().to_owned();
        let host = origin.parse::<Url>()?.host().to_owned();
        Ok(Self { origin, host })
    }
}

impl Address {
    /// Without a slash at the end.
    pub(crate) fn as_str(&self) -> &str {
        &self.origin
    }
    /// The URL of a path, which begins with a slash.
    pub(crate) fn at(&self, path: &str) -> anyhow::Result<Url> {
        Ok(format!("{}{path}", self.origin).parse()?)
    }

    /// A client that reaches this asuser; on purpose also in a private network, since a person named it.
    pub(crate) fn client(&self, limits: Limits, ca_pem: Option<&[u8]>) -> anyhow::Result<Client> {
        client(&[self.host.as_str()], limits, ca_pem)
    }

    /// A client that reaches its authorization server. Only an asuser on this machine may name one on this machine.
    pub(crate) fn provider_client(&self, ca_pem: Option<&[u8]>) -> anyhow::Result<Client> {
        let mut allowed = PRIVATE.to_vec();
        if self.origin.starts_with("http://") || is_loopback(&self.host) {
            allowed.extend(THIS_MACHINE);
        }
        client(&allowed, Limits::SMALL, ca_pem)
    }
}

/// What one request may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) timeout: Duration,
    pub(crate) body_bytes_max: usize,
}

impl Limits {
    /// For metadata and tokens.
    pub(crate) const SMALL: Self = Self { timeout: Duration::from_secs(15), body_bytes_max: 1 << 20 };
}

fn client(allowed: &[&str], limits: Limits, ca_pem: Option<&[u8]>) -> anyhow::Result<Client> {
    let Limits { timeout, body_bytes_max } = limits;
    let allowed = Allowed::parse(allowed.iter().copied()).map_err(anyhow::Error::msg)?;
    Ok(Client::new(Options { timeout, body_bytes_max, ca_pem: ca_pem.map(<[u8]>::to_vec), allowed })?)
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.to_canonical().is_loopback())
}

/// The certificates of `--ca`.
pub(crate) fn read_ca(path: Option<&Path>) -> anyhow::Result<Option<Vec<u8>>> {
    let Some(path) = path else { return Ok(None) };
    let cannot = || format!("{} cannot be read", path.display());
    let length = std::fs::metadata(path).with_context(cannot)?.len();
    anyhow::ensure!(length <= CA_BYTES_MAX, "{} is no file of certificates: it is too large", path.display());
    std::fs::read(path).map(Some).with_context(cannot)
}

#[cfg(test)]
mod tests {
    use asuser_fetch::FetchError;

    use super::*;

    #[test]
    fn an_address_has_one_way_of_writing() {
        for (text, written) in [
            ("https://Data.Example.com/", "https://data.example.com"),
            ("https://data.example.com:443/mcp", "https://data.example.com"),
            ("https://data.example.com/mcp/", "https://data.example.com"),
            ("http://127.0.0.1:8080/mcp", "http://127.0.0.1:8080"),
            ("http://[::1]:8080", "http://[::1]:8080"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().as_str(), written, "{text}");
        }
        for wrong in [
            "",
            "data.example.com",
            "http://data.example.com",
            "https://a/b",
            "https://u@a",
            "http://127.0.0.1.evil.example",
        ] {
            assert!(wrong.parse::<Address>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn loopback_is_known() {
        for (host, wanted) in
            [("localhost", true), ("127.0.0.1", true), ("::1", true), ("10.0.0.1", false), ("x.localhost", false)]
        {
            assert_eq!(is_loopback(host), wanted, "{host}");
        }
    }

    /// An asuser elsewhere does not have this machine ask itself.
    #[tokio::test]
    async fn only_an_asuser_on_this_machine_names_a_provider_on_it() {
        let at_provider = async |asuser: &str, provider: &str| {
            let http = asuser.parse::<Address>().unwrap().provider_client(None).unwrap();
            http.get(&provider.parse().unwrap()).await.unwrap_err()
        };
        // Nobody listens at port 9: whoever gets as far as that was let through.
        for provider in ["https://127.0.0.1:9/", "https://[::1]:9/", "http://127.0.0.1:9/", "https://169.254.169.254/"]
        {
            let error = at_provider("https://203.0.113.1", provider).await;
            assert!(matches!(error, FetchError::Blocked { .. }), "{provider}: {error}");
        }
        for asuser in ["http://127.0.0.1:8080", "https://localhost"] {
            let error = at_provider(asuser, "https://127.0.0.1:9/").await;
            assert!(matches!(error, FetchError::Connect { .. }), "{asuser}: {error}");
        }
        let metadata = at_provider("http://127.0.0.1:8080", "http://169.254.169.254/").await;
        assert!(matches!(metadata, FetchError::Blocked { .. }), "{metadata}");
    }
}
