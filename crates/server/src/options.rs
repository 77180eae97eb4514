//! What a listener is started with.

use std::sync::Arc;

use crate::mcp::Extra;
use crate::{PublicUrl, TrustedProxies};

/// Everything but the address and the gateway.
#[derive(Clone, Default)]
pub struct ListenerOptions {
    /// Whose `X-Forwarded-For` is believed.
    pub proxies: TrustedProxies,
    /// What a peer can hold.
    pub limits: ServerLimits,
    /// Where clients reach asuser; `None`: at the address that is listened on.
    pub public_url: Option<PublicUrl>,
    /// Web pages that may ask, besides asuser's own host, by their origins.
    pub allowed_origins: Vec<PublicUrl>,
    /// The scopes that clients are told to ask for; `None`: reading each of the services.
    pub scopes: Option<Vec<String>>,
    /// What a program for tests adds to the MCP face; the product has none.
    pub extra: Option<Arc<dyn Extra>>,
}

/// A limit on everything that a peer can hold.
#[derive(Debug, Clone, Copy)]
pub struct ServerLimits {
    /// Connections at once; further ones wait in the kernel's queue.
    pub connections_max: usize,
    /// Connections at once of one address, for IPv6 of one /48; further ones are closed. Loopback and trusted proxies, who
    /// speak for others, may have all.
    pub connections_per_address_max: usize,
    /// Bytes of request line and headers.
    pub head_bytes_max: usize,
    /// Time for a peer to send its request head, milliseconds.
    pub head_time_ms_max: u64,
    /// Time for a peer to send a request's body, milliseconds.
    pub body_time_ms_max: u64,
    /// Time in which a peer must take something of an answer that waits for it, milliseconds; then the connection is closed.
    pub write_time_ms_max: u64,
    /// Time for requests under way when the server stops, milliseconds.
    pub drain_time_ms_max: u64,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections_max: 1024,
            connections_per_address_max: 256,
            head_bytes_max: 64 * 1024,
            head_time_ms_max: 10_000,
            body_time_ms_max: 10_000,
            write_time_ms_max: 30_000,
            drain_time_ms_max: 10_000,
        }
    }
}
