//! Which addresses may be connected to.
//!
//! In: a resolved address. Out: the range that it stands in, and whether that is allowed. What is not known to be public is not.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Entries of one list.
const ENTRIES_MAX: usize = 64;

/// Where an address leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// The internet.
    Public,
    /// This machine.
    Loopback,
    /// A private network (RFC 1918, RFC 4193), or a provider's own (RFC 6598).
    Private,
    /// The link, where clouds keep their metadata and with it the machine's credentials (RFC 3927, RFC 4291 §2.5.6).
    LinkLocal,
    /// Multicast, broadcast, unspecified, reserved, or a form that hides another address: never.
    Special,
}

impl Range {
    /// The range of an address. An IPv4 address in IPv6 form (RFC 4291 §2.5.5.2, RFC 6052 §2.1) has the range of the IPv4 one.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match plain(address) {
            IpAddr::V4(address) => of_v4(address),
            IpAddr::V6(address) => of_v6(address),
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "public",
            Self::Loopback => "this machine's own",
            Self::Private => "private",
            Self::LinkLocal => "link-local or cloud metadata",
            Self::Special => "special",
        })
    }
}

/// IANA IPv4 Special-Purpose Address Registry (RFC 6890).
fn of_v4(address: Ipv4Addr) -> Range {
    let [a, b, c, d] = address.octets();
    match (a, b, c, d) {
        (127, ..) => Range::Loopback,
        (169, 254, ..) => Range::LinkLocal,
        // Azure's and Alibaba's metadata stand outside 169.254/16.
        (168, 63, 129, 16) | (100, 100, 100, 200) => Range::LinkLocal,
        (10, ..) | (172, 16..=31, ..) | (192, 168, ..) | (100, 64..=127, ..) | (198, 18..=19, ..) => Range::Private,
        (0 | 224..=255, ..) => Range::Special,
        (192, 0, 0 | 2, _) | (192, 88, 99, _) | (198, 51, 100, _) | (203, 0, 113, _) => Range::Special,
        _ => Range::Public,
    }
}

/// Only 2000::/3 is given out as global unicast (RFC 4291 §2.4), and parts of that are not for hosts.
fn of_v6(address: Ipv6Addr) -> Range {
    let [a, b, ..] = address.segments();
    match (a, b) {
        _ if address == Ipv6Addr::LOCALHOST => Range::Loopback,
        // Amazon's and Google's metadata over IPv6.
        (0xfd00, 0x0ec2) | (0xfd20, 0x00ce) => Range::LinkLocal,
        (0xfc00..=0xfdff, _) => Range::Private,
        (0xfe80..=0xfebf, _) => Range::LinkLocal,
        // Protocol assignments with Teredo (RFC 2928), documentation (RFC 3849, RFC 9637), 6to4 (RFC 3056).
        (0x2001, 0..=0x1ff | 0xdb8) | (0x2002, _) | (0x3fff, 0..=0xfff) => Range::Special,
        (0x2000..=0x3fff, _) => Range::Public,
        _ => Range::Special,
    }
}

/// The IPv4 address within an IPv6 one that stands for it.
fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(six) = address else { return address };
    if let Some(four) = six.to_ipv4_mapped() {
        return IpAddr::V4(four);
    }
    match six.segments() {
        // NAT64 (RFC 6052 §2.1).
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        }
        _ => address,
    }
}

/// What may be connected to besides the internet: networks (`10.1.0.0/16`, `127.0.0.1`) and hosts (`idp.corp.example`).
///
/// A host opens whatever private or own address its name has, so that a network can be renumbered; the link and its metadata only a
/// network opens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowed {
    networks: Vec<Network>,
    hosts: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    bits: u8,
}

impl Allowed {
    /// Reads a list.
    ///
    /// # Errors
    /// Where an entry is neither a network nor a host; the text says which, and how to write it.
    pub fn parse<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut allowed = Self::default();
        for (at, entry) in entries.into_iter().enumerate() {
            if at >= ENTRIES_MAX {
                return Err(format!("more than {ENTRIES_MAX} entries: name networks instead of addresses"));
            }
            match Network::parse(entry) {
                Some(network) => allowed.networks.push(network),
                None if is_host(entry) => allowed.hosts.push(entry.to_ascii_lowercase()),
                None => {
                    return Err(format!(
                        "`{entry}` is neither a network such as 10.1.0.0/16 or 127.0.0.1, nor a host such as idp.corp.example"
                    ));
                }
            }
        }
        Ok(allowed)
    }

    /// Whether `host`, which resolved to `address`, may be connected to.
    #[must_use]
    pub fn permits(&self, host: &str, address: IpAddr) -> bool {
        let range = Range::of(address);
        match range {
            Range::Public => true,
            Range::Special => false,
            Range::Loopback | Range::Private | Range::LinkLocal => {
                let address = plain(address);
                let named =
                    range != Range::LinkLocal && self.hosts.iter().any(|known| known.eq_ignore_ascii_case(host));
                named || self.networks.iter().any(|network| network.holds(address))
            }
        }
    }
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.trim_start_matches('[').trim_end_matches(']').parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        (bits <= most).then_some(Self { address, bits })
    }

    fn holds(&self, other: IpAddr) -> bool {
        let differ = match (self.address, other) {
            (IpAddr::V4(a), IpAddr::V4(b)) => u128::from(a.to_bits() ^ b.to_bits()) << 96,
            (IpAddr::V6(a), IpAddr::V6(b)) => a.to_bits() ^ b.to_bits(),
            _ => return false,
        };
        differ.leading_zeros() >= u32::from(self.bits)
    }
}

/// A DNS name. What looks like a number is none: resolvers read `127.1` as an address.
fn is_host(text: &str) -> bool {
    let sound = |label: &str| {
        !label.is_empty() && label.len() <= 63 && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    text.len() <= 253 && text.split('.').all(sound) && last.bytes().any(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> Range {
        Range::of(text.parse().unwrap())
    }

    #[test]
    fn what_is_not_known_to_be_public_is_not() {
        for text in [
            "8.8.8.8",
            "1.1.1.1",
            "20.190.128.0",
            "2606:4700::1111",
            "2a00:1450::1",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
        ] {
            assert_eq!(range(text), Range::Public, "{text}");
        }
        for text in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"] {
            assert_eq!(range(text), Range::Loopback, "{text}");
        }
        for text in [
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "100.127.255.255",
            "198.18.0.1",
            "fd12::1",
            "fc00::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
        ] {
            assert_eq!(range(text), Range::Private, "{text}");
        }
        for text in ["169.254.169.254", "168.63.129.16", "100.100.100.200", "fe80::1", "::ffff:169.254.169.254"] {
            assert_eq!(range(text), Range::LinkLocal, "{text}");
        }
        for text in ["fd00:ec2::254", "fd20:ce::254"] {
            assert_eq!(range(text), Range::LinkLocal, "metadata over IPv6");
        }
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "198.51.100.1",
            "203.0.113.1",
            "::",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "2002:7f00:1::1",
            "::127.0.0.1",
            "fec0::1",
            "100::1",
            "3fff::1",
            "64:ff9b:1::7f00:1",
        ] {
            assert_eq!(range(text), Range::Special, "{text}");
        }
        for text in ["172.15.0.1", "172.32.0.1", "100.63.0.1", "100.128.0.1", "198.17.0.1", "192.169.0.1", "11.0.0.1"] {
            assert_eq!(range(text), Range::Public, "{text}");
        }
    }

    fn permits(entries: &[&str], host: &str, address: &str) -> bool {
        Allowed::parse(entries.iter().copied()).unwrap().permits(host, address.parse().unwrap())
    }

    #[test]
    fn a_network_opens_itself_and_a_host_its_name() {
        assert!(permits(&[], "idp.example.com", "8.8.8.8"));
        assert!(!permits(&[], "idp.corp", "10.1.2.3"));
        assert!(permits(&["10.1.0.0/16"], "idp.corp", "10.1.2.3"));
        assert!(permits(&["10.1.0.0/16"], "idp.corp", "::ffff:10.1.2.3"));
        assert!(!permits(&["10.1.0.0/16"], "idp.corp", "10.2.2.3"));
        assert!(permits(&["127.0.0.1"], "localhost", "127.0.0.1"));
        assert!(!permits(&["127.0.0.1"], "localhost", "127.0.0.2"));
        assert!(permits(&["0.0.0.0/0"], "x.corp", "192.168.0.1"));
        assert!(!permits(&["0.0.0.0/0"], "x.corp", "fd12::1"));
        assert!(permits(&["fd00::/8"], "x.corp", "fd12::1"));
        assert!(!permits(&["fd00::/8"], "x.corp", "10.0.0.1"));
        assert!(permits(&["IDP.corp"], "idp.CORP", "10.1.2.3"));
        assert!(!permits(&["idp.corp"], "other.corp", "10.1.2.3"));
        // A name may not lead to the metadata, whoever answers for it.
        assert!(!permits(&["idp.corp"], "idp.corp", "169.254.169.254"));
        assert!(permits(&["169.254.0.0/16"], "idp.corp", "169.254.1.1"));
        assert!(!permits(&["idp.corp", "0.0.0.0/0"], "idp.corp", "224.0.0.1"));
    }

    #[test]
    fn what_is_no_entry_is_refused() {
        for entry in [
            "",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/x",
            "10.1",
            "127.1",
            "0x7f.0.0.1",
            "a b",
            "http://idp",
            "*.corp",
            ".corp",
            "corp.",
        ] {
            assert!(Allowed::parse([entry]).is_err(), "{entry}");
        }
        assert!(Allowed::parse(std::iter::repeat_n("10.0.0.1", 65)).is_err());
        assert!(Allowed::parse(["10.0.0.0/8", "localhost", "idp-1.corp.example", "[::1]", "::1/128"]).is_ok());
    }
}
