//! Requests that asuser makes itself: a provider's metadata and keys, a token endpoint. Small, bounded, and only where they may go.
//!
//! In: an address from the configuration, or from metadata that came from there. Out: an answer of bounded size within a bounded time.
//! Refuses: addresses that are not encrypted, redirects, and hosts that stand in a private, link-local or metadata range and are not
//! allowed expressly. The address that is looked at is the one that is connected to, so a name that changes between the two gains
//! nothing. A caller's token is never among what is sent (law 8): nothing here knows of one.

mod address;
mod client;
mod error;
mod request;
mod tls;
mod url;

pub use address::{Allowed, Range};
pub use client::{Client, Options};
pub use error::FetchError;
pub use request::{Answer, Request};
pub use url::Url;
