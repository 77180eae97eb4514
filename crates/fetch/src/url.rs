//! Addresses that can be fetched.
//!
//! In: text. Out: scheme, host, port and path. Refuses what two readers could read differently, and names and passwords in it.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use http::uri::Scheme;

use crate::FetchError;

const URL_BYTES_MAX: usize = 2048;

/// An absolute `https` or `http` URL without user, password and fragment. Prints without its query, which may hold what is not for logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    uri: Uri,
    host: String,
    port: u16,
    is_https: bool,
}

impl FromStr for Url {
    type Err = FetchError;

    fn from_str(text: &str) -> Result<Self, FetchError> {
        let refuse = |why: &'static str| FetchError::BadUrl(text.chars().take(200).collect(), why);
        if text.len() > URL_BYTES_MAX {
            return Err(refuse("it is longer than 2048 bytes"));
        }
        if text.contains('#') {
            return Err(refuse("it has a fragment (`#`)"));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(refuse("it holds blanks, or characters that are not ASCII"));
        }
        let uri: Uri = text.parse().map_err(|_| refuse("it is no URL"))?;
        let is_https = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err(refuse("it does not begin with https://")),
        };
        let authority = uri.authority().ok_or_else(|| refuse("it names no host"))?;
        if authority.as_str().contains('@') {
            // Not in the message: it may be a password.
            return Err(FetchError::BadUrl("https://…@…".into(), "it holds a user or a password"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        if host.is_empty() {
            return Err(refuse("it names no host"));
        }
        let rest = authority.as_str().get(authority.host().len()..).unwrap_or_default();
        let port = match authority.port_u16() {
            Some(0) => return Err(refuse("its port is 0")),
            Some(port) => port,
            None if rest.is_empty() => {
                if is_https {
                    443
                } else {
                    80
                }
            }
            None => return Err(refuse("its port is no number")),
        };
        Ok(Self { uri, host, port, is_https })
    }
}

impl Url {
    /// The whole text, query included.
    #[must_use]
    pub fn text(&self) -> String {
        self.uri.to_string()
    }
    /// The name or address, in lower case and without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }
    /// The port, written or not.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
    /// Whether it is encrypted.
    #[must_use]
    pub const fn is_https(&self) -> bool {
        self.is_https
    }
    /// Path and query, as they stand in a request.
    pub(crate) fn target(&self) -> &str {
        self.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str)
    }
    /// What stands in `Host`.
    pub(crate) fn authority(&self) -> &str {
        self.uri.authority().map_or("", http::uri::Authority::as_str)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_https { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.uri.path())
    }
}
impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_has_one_meaning() {
        let url: Url = "https://Login.Example.com/a/b?client_id=x".parse().unwrap();
        assert_eq!(
            (url.host(), url.port(), url.is_https(), url.target()),
            ("login.example.com", 443, true, "/a/b?client_id=x")
        );
        assert_eq!(url.to_string(), "https://Login.Example.com/a/b");
        let url: Url = "http://[::1]:8080".parse().unwrap();
        assert_eq!((url.host(), url.port(), url.is_https(), url.target()), ("::1", 8080, false, "/"));
    }

    #[test]
    fn refuses_what_has_two() {
        for text in [
            "",
            "login.example.com",
            "/path",
            "ftp://x/",
            "file:///etc/passwd",
            "https://",
            "https:///x",
            "https://u:p@x/",
            "https://x@y/",
            "https://x/#f",
            "https://x/a b",
            "https://x:0/",
            "https://x:99999/",
            "https://x:/",
            "https://ö/",
            "https://x/\r\nHost: y",
        ] {
            assert!(text.parse::<Url>().is_err(), "{text}");
        }
        assert!(!format!("{}", "https://u:hunter2@x/".parse::<Url>().unwrap_err()).contains("hunter2"));
        assert!(format!("https://x/{}", "a".repeat(2048)).parse::<Url>().is_err());
    }
}
