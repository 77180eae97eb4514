//! Where clients reach asuser, as they write it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// `https://data.example.com`, or `http://` on this machine: scheme, host and perhaps a port, without a path. Compared in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    /// Scheme, host and port; the scheme's own port is left out.
    origin: String,
    host: String,
}

/// The text is no such URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsePublicUrlError {
    text: String,
    why: &'static str,
}

impl fmt::Display for ParsePublicUrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}; write it like https://data.example.com", self.text, self.why)
    }
}
impl std::error::Error for ParsePublicUrlError {}

impl FromStr for PublicUrl {
    type Err = ParsePublicUrlError;
    fn from_str(text: &str) -> Result<Self, ParsePublicUrlError> {
        let refused = |why| ParsePublicUrlError { text: text.chars().take(200).collect(), why };
        let found = Self::origin(text.strip_suffix('/').unwrap_or(text)).map_err(refused)?;
        if text.starts_with("http:") && !found.is_local() {
            return Err(refused("http is for this machine alone, since tokens must not cross a network in clear"));
        }
        Ok(found)
    }
}

impl PublicUrl {
    /// The address that is listened on, where nothing else is known. An address that stands for all is this machine's own.
    #[must_use]
    pub fn of_listen(address: SocketAddr) -> Self {
        let ip = match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
            ip => ip,
        };
        let host = if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() };
        let port = address.port();
        Self { origin: if port == 80 { format!("http://{host}") } else { format!("http://{host}:{port}") }, host }
    }

    /// A web page's origin (RFC 6454 §6.2), of any host.
    ///
    /// # Errors
    /// Why it is none.
    pub fn origin(text: &str) -> Result<Self, &'static str> {
        let lower = text.to_ascii_lowercase();
        let (scheme, rest) = lower.split_once("://").ok_or("there is no https:// in it")?;
        let default = match scheme {
            "https" => "443",
            "http" => "80",
            _ => return Err("its scheme is neither https nor http"),
        };
        let (host, port) = split_host(rest).ok_or("it needs a host and, perhaps, a port, and nothing after them")?;
        let origin = match port {
            Some(port) if port != default => format!("{scheme}://{host}:{port}"),
            _ => format!("{scheme}://{host}"),
        };
        Ok(Self { origin, host: host.to_owned() })
    }

    /// Without a slash at the end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.origin
    }
    /// The host alone; an IPv6 address in brackets.
    #[must_use]
    pub(crate) fn host(&self) -> &str {
        &self.host
    }
    pub(crate) fn is_local(&self) -> bool {
        is_local(&self.host)
    }
}

/// `localhost`, and loopback addresses.
pub(crate) fn is_local(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(|ip: IpAddr| ip.to_canonical().is_loopback())
}

/// Host and port of `host[:port]` (RFC 3986 §3.2.2), nothing else.
pub(crate) fn split_host(text: &str) -> Option<(&str, Option<&str>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let end = rest.find(']')?;
            rest.get(..end)?.parse::<std::net::Ipv6Addr>().ok()?;
            let (host, after) = text.split_at_checked(end + 2)?;
            (host, if after.is_empty() { None } else { Some(after.strip_prefix(':')?) })
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let host_is_one = host.starts_with('[') || (!host.is_empty() && host.len() <= 253 && host.chars().all(named));
    let port_is_one = port.is_none_or(|port| {
        !port.is_empty()
            && port.bytes().all(|byte| byte.is_ascii_digit())
            && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    (host_is_one && port_is_one).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_strictly_and_written_one_way() {
        for (text, written) in [
            ("https://data.example.com", "https://data.example.com"),
            ("https://Data.Example.com/", "https://data.example.com"),
            ("https://data.example.com:443", "https://data.example.com"),
            ("https://data.example.com:8443", "https://data.example.com:8443"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://localhost:80/", "http://localhost"),
            ("http://[::1]:8080", "http://[::1]:8080"),
        ] {
            assert_eq!(text.parse::<PublicUrl>().unwrap().as_str(), written, "{text}");
        }
        for wrong in [
            "",
            "data.example.com",
            "http://data.example.com",
            "https://",
            "https://a/b",
            "https://a//",
            "https://a#x",
            "https://a?x",
            "https://u@a",
            "https://a:0",
            "https://a:99999",
            "https://a:",
            "ftp://a",
            "https://a b",
            "https://[::1",
            "https://[x]",
            "http://127.0.0.1.evil.example",
            "https://a:+80",
        ] {
            assert!(wrong.parse::<PublicUrl>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_listening_address_is_a_url_too() {
        let url = |text: &str| PublicUrl::of_listen(text.parse().unwrap()).as_str().to_owned();
        assert_eq!(url("127.0.0.1:8080"), "http://127.0.0.1:8080");
        assert_eq!(url("0.0.0.0:8080"), "http://127.0.0.1:8080");
        assert_eq!(url("[::1]:80"), "http://[::1]");
    }
}
