//! Which web pages may ask, and under which host names asuser answers them (MC-05).
//!
//! A browser sends what any page wants, to whatever address the page's name stands for at the moment. So the MCP face looks at both
//! headers: `Host` must be a name of ours (else a page has pointed its own name here: DNS rebinding), and `Origin`, which browsers
//! always send here, must be allowed. No page is allowed to bring cookies: asuser has none.

use std::net::{IpAddr, SocketAddr};

use asuser_core::{Problem, Reason};
use http::{HeaderMap, HeaderValue, header};

use crate::public_url::{PublicUrl, is_local, split_host};

/// What a page may read of an answer's head.
const EXPOSED: &str = "WWW-Authenticate, Audit-Id, X-Request-Id, Retry-After, MCP-Protocol-Version, Mcp-Session-Id";
/// What a page may send.
const SENT: &str = "Authorization, Content-Type, Accept, MCP-Protocol-Version, Mcp-Method, Mcp-Name, Mcp-Session-Id, Last-Event-ID, \
     X-Request-Id, X-DreamFactory-API-Key";

/// The pages and hosts that are allowed.
#[derive(Debug, Clone)]
pub(crate) struct Origins {
    public: PublicUrl,
    listen: IpAddr,
    allowed: Vec<PublicUrl>,
}

impl Origins {
    pub(crate) fn new(public: PublicUrl, listen: SocketAddr, allowed: Vec<PublicUrl>) -> Self {
        Self { public, listen: listen.ip().to_canonical(), allowed }
    }

    /// Refuses a host that is not ours, and a page that is not allowed.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let refused = |message: &str| Err(Problem::new(Reason::OriginDenied, message));
        if !single(headers, header::HOST).is_some_and(|host| self.is_ours(host)) {
            return refused(
                "asuser does not answer to the name in `Host`: an administrator can set `server.public_url`",
            );
        }
        if headers.contains_key(header::ORIGIN) && self.page(headers).is_none() {
            return refused(
                "this page may not ask here: an administrator can add its origin to `server.allowed_origins`",
            );
        }
        Ok(())
    }

    /// The origin of a page that is allowed, as it was sent.
    pub(crate) fn page<'a>(&self, headers: &'a HeaderMap) -> Option<&'a HeaderValue> {
        let text = single(headers, header::ORIGIN)?;
        // `null` is any page in a sandbox.
        let origin = PublicUrl::origin(text).ok()?;
        let local = self.public.is_local() && origin.is_local();
        let allowed = local || origin == self.public || self.allowed.contains(&origin);
        headers.get(header::ORIGIN).filter(|_| allowed)
    }

    /// For a page that is allowed: it may read the answer. Never with credentials of the browser's own.
    pub(crate) fn cors(&self, headers: &HeaderMap) -> HeaderMap {
        let mut cors = HeaderMap::new();
        cors.insert(header::VARY, HeaderValue::from_static("Origin"));
        if let Some(page) = self.page(headers) {
            cors.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, page.clone());
            cors.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
        }
        cors
    }

    /// For a page that is allowed: what it may send. `None`: this is no preflight of such a page.
    pub(crate) fn preflight(&self, headers: &HeaderMap) -> Option<HeaderMap> {
        headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
        self.page(headers)?;
        self.check(headers).ok()?;
        let mut cors = self.cors(headers);
        cors.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, OPTIONS"));
        cors.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(SENT));
        cors.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        Some(cors)
    }

    fn is_ours(&self, host: &str) -> bool {
        let lower = host.to_ascii_lowercase();
        let Some((host, _)) = split_host(&lower) else { return false };
        // A page cannot make an address stand for another, only a name.
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        let address = bare.parse().ok().map(|ip: IpAddr| ip.to_canonical());
        host == self.public.host()
            || is_local(host)
            || address.is_some_and(|address| address == self.listen || self.listen.is_unspecified())
    }
}

fn single(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(public: &str, allowed: &[&str]) -> Origins {
        let allowed = allowed.iter().map(|text| PublicUrl::origin(text).unwrap()).collect();
        Origins::new(public.parse().unwrap(), "127.0.0.1:8080".parse().unwrap(), allowed)
    }
    fn check(origins: &Origins, pairs: &[(header::HeaderName, &str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, value.parse().unwrap());
        }
        origins.check(&headers).is_ok()
    }

    #[test]
    fn only_our_names_are_hosts() {
        let public = origins("https://data.example.com", &[]);
        for host in ["data.example.com", "DATA.example.com:443", "127.0.0.1:8080", "localhost", "[::1]:9"] {
            assert!(check(&public, &[(header::HOST, host)]), "{host}");
        }
        for host in [
            "evil.example.com",
            "data.example.com.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "",
            "a b",
            "u@localhost",
        ] {
            assert!(!check(&public, &[(header::HOST, host)]), "{host}");
        }
        assert!(!check(&public, &[]));
        assert!(!check(&public, &[(header::HOST, "localhost"), (header::HOST, "localhost")]));
    }

    #[test]
    fn only_allowed_pages_ask() {
        let public = origins("https://data.example.com", &["http://localhost:6274", "https://app.example.com"]);
        let asks = |origin: &str| check(&public, &[(header::HOST, "data.example.com"), (header::ORIGIN, origin)]);
        for origin in [
            "https://data.example.com",
            "https://data.example.com:443",
            "http://localhost:6274",
            "https://APP.example.com",
        ] {
            assert!(asks(origin), "{origin}");
        }
        for origin in [
            "null",
            "",
            "https://evil.example",
            "http://data.example.com",
            "http://localhost:1",
            "https://app.example.com.evil.example",
            "https://app.example.com, https://data.example.com",
            "file://",
            "https://data.example.com:444",
            "https://app.example.com/",
        ] {
            assert!(!asks(origin), "{origin}");
        }
        let twice = [
            (header::HOST, "data.example.com"),
            (header::ORIGIN, "https://data.example.com"),
            (header::ORIGIN, "https://data.example.com"),
        ];
        assert!(!check(&public, &twice));
    }

    #[test]
    fn only_an_allowed_page_has_its_preflight_answered() {
        let local = origins("http://127.0.0.1:8080", &[]);
        let preflight = |origin: &'static str, method: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static("127.0.0.1:8080"));
            headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            if method {
                headers.insert(header::ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("POST"));
            }
            local.preflight(&headers)
        };
        let answer = preflight("http://localhost:6274", true).unwrap();
        assert_eq!(answer[header::ACCESS_CONTROL_ALLOW_ORIGIN], "http://localhost:6274");
        assert!(!answer.contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS));
        assert!(preflight("http://evil.example", true).is_none() && preflight("null", true).is_none());
        assert!(preflight("http://localhost:6274", false).is_none());
    }

    #[test]
    fn on_this_machine_its_own_pages_may_ask() {
        let local = origins("http://127.0.0.1:8080", &[]);
        for origin in ["http://localhost:6274", "http://127.0.0.1:8080", "http://[::1]:1"] {
            assert!(check(&local, &[(header::HOST, "localhost:8080"), (header::ORIGIN, origin)]), "{origin}");
        }
        assert!(!check(&local, &[(header::HOST, "localhost:8080"), (header::ORIGIN, "http://evil.example")]));
        assert!(!check(&local, &[(header::HOST, "localhost:8080"), (header::ORIGIN, "null")]));
    }
}
