//! `[server]`: where asuser listens, and what it tells clients of itself.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use asuser_server::{ListenerOptions, PublicUrl, TrustedProxies};
use serde::Deserialize;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ServerConfig {
    pub(crate) listen: SocketAddr,
    pub(crate) behind_tls_proxy: bool,
    pub(crate) trusted_proxies: Vec<String>,
    /// Where clients reach asuser; `None`: at `listen`.
    pub(crate) public_url: Option<String>,
    /// Web pages that may ask over MCP.
    pub(crate) allowed_origins: Vec<String>,
    /// The scopes that clients are told to ask for; `None`: `{service}:read` of each service.
    pub(crate) scopes: Option<Vec<String>>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            behind_tls_proxy: false,
            trusted_proxies: Vec::new(),
            public_url: None,
            allowed_origins: Vec::new(),
            scopes: None,
        }
    }
}

impl ServerConfig {
    /// Checks it.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        if !self.listen.ip().is_loopback() && !self.behind_tls_proxy {
            bail!(
                "server.listen = \"{}\" is reachable from other machines, and tokens must not cross a network in clear: listen on \
                 127.0.0.1, or put a proxy that speaks TLS in front and say so with server.behind_tls_proxy = true",
                self.listen
            );
        }
        self.options().map(drop)
    }

    /// What a listener takes of it.
    pub(crate) fn options(&self) -> anyhow::Result<ListenerOptions> {
        let proxies =
            TrustedProxies::parse(self.trusted_proxies.iter().map(String::as_str)).context("server.trusted_proxies")?;
        let public_url = self.public_url.as_deref().map(str::parse).transpose().context("server.public_url")?;
        let mut allowed_origins = Vec::new();
        for origin in &self.allowed_origins {
            let parsed = PublicUrl::origin(origin);
            allowed_origins.push(parsed.map_err(|why| {
                anyhow::anyhow!("server.allowed_origins: `{origin}`: {why}; write it like http://localhost:6274")
            })?);
        }
        for scope in self.scopes.iter().flatten() {
            // RFC 6749 §3.3
            let fits = scope.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e));
            if scope.is_empty() || scope.len() > 128 || !fits {
                bail!("server.scopes: `{scope}` is no scope: letters, digits and signs but spaces, `\"` and `\\`");
            }
        }
        Ok(ListenerOptions { proxies, public_url, allowed_origins, scopes: self.scopes.clone(), ..Default::default() })
    }

    /// Clients cannot reach it at the address that it tells them.
    pub(crate) fn needs_public_url(&self) -> bool {
        self.public_url.is_none() && (self.behind_tls_proxy || !self.listen.ip().is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(text: &str) -> anyhow::Result<ServerConfig> {
        let config: ServerConfig = toml::from_str(text)?;
        config.check()?;
        Ok(config)
    }

    #[test]
    fn what_clients_are_told_is_checked() {
        let good = server(
            "public_url = \"https://data.example.com\"\nallowed_origins = [\"http://localhost:6274\"]\nscopes = [\"db:read\", \"data\"]",
        );
        let options = good.unwrap().options().unwrap();
        assert_eq!(options.public_url.unwrap().as_str(), "https://data.example.com");
        assert_eq!((options.allowed_origins.len(), options.scopes.unwrap().len()), (1, 2));
        for (text, word) in [
            ("public_url = \"http://data.example.com\"", "server.public_url"),
            ("public_url = \"https://data.example.com/asuser\"", "server.public_url"),
            ("allowed_origins = [\"*\"]", "server.allowed_origins"),
            ("allowed_origins = [\"null\"]", "server.allowed_origins"),
            ("scopes = [\"a b\"]", "server.scopes"),
            ("trusted_proxies = [\"x\"]", "server.trusted_proxies"),
            ("listen = \"0.0.0.0:80\"", "behind_tls_proxy"),
        ] {
            let message = format!("{:#}", server(text).unwrap_err());
            assert!(message.contains(word), "{text}: {message}");
        }
    }

    #[test]
    fn behind_a_proxy_clients_need_another_address() {
        assert!(!server("").unwrap().needs_public_url());
        assert!(server("behind_tls_proxy = true").unwrap().needs_public_url());
        assert!(!server("behind_tls_proxy = true\npublic_url = \"https://a.example\"").unwrap().needs_public_url());
    }
}
