//! Where a request comes from: the peer, or what a trusted proxy says of it.

use std::net::IpAddr;
use std::str::FromStr;

use http::HeaderMap;

/// The proxies whose `X-Forwarded-For` is believed, as addresses or networks (`10.0.0.0/8`). Nobody by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<Network>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    address: u128,
    bits: u32,
}

/// The text is no address or network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseTrustedProxyError(String);

impl std::fmt::Display for ParseTrustedProxyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` is no address or network such as 10.0.0.7 or 10.0.0.0/8", self.0)
    }
}
impl std::error::Error for ParseTrustedProxyError {}

impl TrustedProxies {
    /// Reads a list of addresses and networks.
    ///
    /// # Errors
    /// When an entry is neither.
    pub fn parse<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, ParseTrustedProxyError> {
        let network = |text: &str| text.parse().map_err(|()| ParseTrustedProxyError(text.to_owned()));
        Ok(Self(entries.into_iter().map(network).collect::<Result<_, _>>()?))
    }

    /// The nearest address that no trusted proxy speaks for. An unreadable header ends the chain where it is unreadable.
    pub(crate) fn source(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut nearest = peer;
        if self.0.is_empty() {
            return nearest;
        }
        let lines = headers.get_all("x-forwarded-for").iter().filter_map(|line| line.to_str().ok());
        let hops: Vec<&str> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
        for hop in hops.into_iter().rev().take(32) {
            if !self.trusts(nearest) {
                break;
            }
            match hop.parse() {
                Ok(address) => nearest = address,
                Err(_) => break,
            }
        }
        nearest
    }

    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        let address = wide(address);
        self.0.iter().any(|network| (network.address ^ address).checked_shr(128 - network.bits).unwrap_or(0) == 0)
    }
}

impl FromStr for Network {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, bits) = match text.split_once('/') {
            None => (text, None),
            Some((address, bits)) => (address, Some(bits.parse::<u32>().map_err(|_| ())?)),
        };
        let address: IpAddr = address.parse().map_err(|_| ())?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(width);
        if bits > width {
            return Err(());
        }
        Ok(Self { address: wide(address), bits: 128 - width + bits })
    }
}

/// IPv4 as IPv4-mapped IPv6, so that both forms of one address are one address.
fn wide(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().into(),
        IpAddr::V6(v6) => v6.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(proxies: &[&str], peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let proxies = TrustedProxies::parse(proxies.iter().copied()).unwrap();
        proxies.source(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        assert_eq!(source(&[], "10.0.0.1", &["1.2.3.4"]), "10.0.0.1");
        assert_eq!(source(&["10.0.0.0/8"], "10.0.0.1", &["6.6.6.6, 1.2.3.4"]), "1.2.3.4");
        assert_eq!(source(&["10.0.0.0/8"], "10.0.0.1", &["6.6.6.6", "1.2.3.4, 10.9.9.9"]), "1.2.3.4");
        assert_eq!(source(&["10.0.0.0/8"], "9.9.9.9", &["1.2.3.4"]), "9.9.9.9");
        assert_eq!(source(&["10.0.0.0/8"], "10.0.0.1", &["nonsense"]), "10.0.0.1");
        assert_eq!(source(&["::1"], "::1", &["2001:db8::1"]), "2001:db8::1");
        assert_eq!(source(&["0.0.0.0/0"], "10.0.0.1", &["1.2.3.4"]), "1.2.3.4");
    }

    #[test]
    fn networks_are_read_strictly() {
        for wrong in ["", "10.0.0.0/33", "10.0.0", "host", "10.0.0.0/", "::/129"] {
            assert!(TrustedProxies::parse([wrong]).is_err(), "{wrong}");
        }
    }
}
