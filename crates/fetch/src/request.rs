//! A request, and its answer.

use std::fmt;

use asuser_core::Secret;
use bytes::Bytes;
use data_encoding::BASE64;
use http::header::{ACCEPT, AGE, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value as Json;

use crate::{FetchError, Url};

/// `application/x-www-form-urlencoded` (WHATWG URL §5.2): these stay as they are.
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'*').remove(b'-').remove(b'.').remove(b'_');

/// What is asked. Does not print its body, nor what authenticates it.
#[derive(Clone)]
pub struct Request {
    pub(crate) url: Url,
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Request {
    /// `GET`
    #[must_use]
    pub fn get(url: Url) -> Self {
        Self::new(url, Method::GET, None, Bytes::new())
    }
    /// `POST` of a form.
    #[must_use]
    pub fn form(url: Url, fields: &[(&str, &str)]) -> Self {
        let pairs: Vec<String> =
            fields.iter().map(|(name, value)| format!("{}={}", form_encoded(name), form_encoded(value))).collect();
        Self::new(url, Method::POST, Some("application/x-www-form-urlencoded"), pairs.join("&").into())
    }
    /// `POST` of JSON.
    #[must_use]
    pub fn json(url: Url, body: &Json) -> Self {
        Self::new(url, Method::POST, Some("application/json"), body.to_string().into())
    }

    fn new(url: Url, method: Method, kind: Option<&'static str>, body: Bytes) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(kind) = kind {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        Self { url, method, headers, body }
    }

    /// Authenticates as an OAuth client: both parts form-encoded, as RFC 6749 §2.3.1 asks.
    #[must_use]
    pub fn basic(mut self, client: &str, secret: &Secret) -> Self {
        let pair = format!("{}:{}", form_encoded(client), form_encoded(secret.expose()));
        if let Ok(mut value) = HeaderValue::from_str(&format!("Basic {}", BASE64.encode(pair.as_bytes()))) {
            value.set_sensitive(true);
            self.headers.insert(AUTHORIZATION, value);
        }
        self
    }

    /// Adds a header, in place of one of that name.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.url)
    }
}

fn form_encoded(text: &str) -> String {
    // A blank may be %20 as well as + for every reader of forms.
    utf8_percent_encode(text, FORM).to_string()
}

/// What came back: any status but a redirect. Does not print its body, which may hold a token.
#[derive(Clone)]
pub struct Answer {
    /// Who answered.
    pub url: Url,
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, whole.
    pub body: Bytes,
}

impl Answer {
    /// The answer, if its status is 2xx.
    ///
    /// # Errors
    /// Where it is another.
    pub fn success(self) -> Result<Self, FetchError> {
        if (200..300).contains(&self.status) {
            return Ok(self);
        }
        Err(FetchError::Status { url: self.url, status: self.status })
    }

    /// The body as text.
    ///
    /// # Errors
    /// Where it is not UTF-8.
    pub fn text(&self) -> Result<&str, FetchError> {
        std::str::from_utf8(&self.body)
            .map_err(|_| FetchError::Protocol { url: self.url.clone(), why: "the body is not UTF-8".into() })
    }

    /// How long the answer may be kept, in seconds (RFC 9111 §4.2.1): `max-age` less `Age`; 0 for `no-store` and `no-cache`; `None`
    /// where nothing is said, or nothing that can be read.
    #[must_use]
    pub fn max_age_s(&self) -> Option<u64> {
        let mut max_age_s = None;
        for value in self.headers.get_all(CACHE_CONTROL) {
            for directive in value.to_str().ok()?.split(',') {
                let directive = directive.trim();
                let is = |name: &str| directive.eq_ignore_ascii_case(name);
                if is("no-store") || is("no-cache") {
                    return Some(0);
                }
                let Some((name, value)) = directive.split_once('=') else { continue };
                if name.trim().eq_ignore_ascii_case("max-age") {
                    max_age_s = value.trim().trim_matches('"').parse::<u64>().ok();
                }
            }
        }
        let age_s = self.headers.get(AGE).and_then(|age| age.to_str().ok()?.parse::<u64>().ok()).unwrap_or(0);
        max_age_s.map(|max_age_s| max_age_s.saturating_sub(age_s))
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {}, {} bytes", self.status, self.url, self.body.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(headers: &[(&'static str, &str)]) -> Answer {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        Answer { url: "https://x/".parse().unwrap(), status: 200, headers: map, body: Bytes::new() }
    }

    #[test]
    fn reads_how_long_an_answer_is_good() {
        assert_eq!(answer(&[]).max_age_s(), None);
        assert_eq!(answer(&[("cache-control", "public, Max-Age=3600")]).max_age_s(), Some(3600));
        assert_eq!(answer(&[("cache-control", "max-age=\"60\""), ("age", "20")]).max_age_s(), Some(40));
        assert_eq!(answer(&[("cache-control", "max-age=60"), ("age", "90")]).max_age_s(), Some(0));
        assert_eq!(answer(&[("cache-control", "max-age=60"), ("cache-control", "no-store")]).max_age_s(), Some(0));
        for odd in ["max-age", "max-age=", "max-age=-1", "max-age=x", "max-age=99999999999999999999999"] {
            assert_eq!(answer(&[("cache-control", odd)]).max_age_s(), None, "{odd}");
        }
    }

    #[test]
    fn forms_and_credentials_are_encoded_and_do_not_print() {
        let url: Url = "https://x/token".parse().unwrap();
        let request =
            Request::form(url, &[("a b", "c&d=e"), ("ö", "+")]).basic("cl:ient", &Secret::new("hunter2 %".into()));
        assert_eq!(request.body, "a%20b=c%26d%3De&%C3%B6=%2B");
        let sent = request.headers.get(AUTHORIZATION).unwrap().to_str().unwrap();
        assert_eq!(sent, format!("Basic {}", BASE64.encode(b"cl%3Aient:hunter2%20%25")));
        assert!(!format!("{request:?} {:?}", request.headers).contains(sent));
        assert_eq!(format!("{request:?}"), "POST https://x/token");
    }
}
