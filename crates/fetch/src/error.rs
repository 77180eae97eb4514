//! Why nothing could be fetched: for the operator, in words that say what to change. Nothing here holds a body, a query or a credential.

use std::net::IpAddr;

use crate::{Range, Url};

/// A request that was not made, or not answered as it must be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The text is no address to fetch from.
    #[error("the URL `{0}` cannot be used: {1}")]
    BadUrl(String, &'static str),
    /// Not encrypted, and not on this machine.
    #[error("{0} is not encrypted: use https (http is only for an address of this machine that is allowed expressly)")]
    Plain(Url),
    /// The name has no address.
    #[error("the host `{host}` has no address: {why}")]
    NoAddress {
        /// The host.
        host: String,
        /// What the resolver said.
        why: String,
    },
    /// Every address of the host is in a range that is not allowed.
    #[error(
        "`{host}` is at {address}, which is {range}, and not fetched from unless it is allowed expressly (allow_addresses)"
    )]
    Blocked {
        /// The host.
        host: String,
        /// One of its addresses.
        address: IpAddr,
        /// The range.
        range: Range,
    },
    /// Nobody took the connection.
    #[error("{host}:{port} cannot be connected to: {why}")]
    Connect {
        /// The host.
        host: String,
        /// Its port.
        port: u16,
        /// What the system said.
        why: String,
    },
    /// The certificate is not trusted or not its, or the other side speaks no TLS.
    #[error("no trusted TLS connection to {host}:{port}: {why}")]
    Tls {
        /// The host.
        host: String,
        /// Its port.
        port: u16,
        /// What is wrong.
        why: String,
    },
    /// It took too long.
    #[error("{url} did not answer within {after_ms} ms")]
    Timeout {
        /// What was asked.
        url: Url,
        /// The limit.
        after_ms: u128,
    },
    /// It points elsewhere. Whoever configured the address meant that one.
    #[error("{url} answers {status} and points to {to}: redirects are not followed, configure the final address")]
    Redirect {
        /// What was asked.
        url: Url,
        /// 3xx
        status: u16,
        /// Where it points.
        to: String,
    },
    /// The answer is larger than the limit.
    #[error("the answer of {url} is larger than {bytes_max} bytes")]
    TooLarge {
        /// What was asked.
        url: Url,
        /// The limit.
        bytes_max: usize,
    },
    /// Not HTTP/1.1, or broken off.
    #[error("the answer of {url} cannot be read: {why}")]
    Protocol {
        /// What was asked.
        url: Url,
        /// What is wrong.
        why: String,
    },
    /// An answer, but no good one.
    #[error("{url} answers {status}")]
    Status {
        /// What was asked.
        url: Url,
        /// The status.
        status: u16,
    },
    /// The client cannot be built as configured.
    #[error("{0}")]
    Setup(String),
}
