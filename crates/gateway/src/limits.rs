//! Refusals cannot become a kill switch: before anyone is verified, each source has token buckets for records of refusals: one
//! of its own, for IPv6 one of its site, and one of all sources together. A refusal is recorded singly if all of them admit it.
//!
//! Beyond them the answer is 429 and the refusal is counted into one summary record a window. A verified caller from the same
//! address is not affected.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

/// The bucket of each source. An IPv6 site (/48) has four times, and all sources together sixteen times as much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FloodLimits {
    /// Refusals that are recorded singly before the bucket is empty.
    pub burst: u32,
    /// Refusals a second that refill it.
    pub per_second: u32,
}

impl Default for FloodLimits {
    fn default() -> Self {
        Self { burst: 100, per_second: 5 }
    }
}

/// More sources than this share one bucket, and so do more sites.
const SOURCES_MAX: usize = 4096;
/// An IPv6 site's bucket in buckets of one source: whoever holds a /48 has 65,536 sources.
const SITE: u64 = 4;
/// The bucket of everybody in buckets of one source: a botnet has any number of them.
const EVERYBODY: u64 = 16;

#[derive(Debug)]
pub(crate) struct Flood {
    limits: FloodLimits,
    buckets: Mutex<Buckets>,
}

#[derive(Debug)]
struct Buckets {
    sources: Networks,
    sites: Networks,
    everybody: Bucket,
}

/// A bucket for each network, of a bounded number.
#[derive(Debug)]
struct Networks {
    size: Size,
    by_network: HashMap<IpAddr, Bucket>,
    others: Bucket,
}

/// In thousandths of a refusal, so that a refill of less than one a millisecond is exact.
#[derive(Debug, Clone, Copy)]
struct Size {
    full_milli: u64,
    per_second: u64,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    size: Size,
    level_milli: u64,
    filled_ms: i64,
}

impl Flood {
    pub(crate) fn new(limits: FloodLimits) -> Self {
        let size = |times: u64| Size {
            full_milli: u64::from(limits.burst).saturating_mul(1000).saturating_mul(times),
            per_second: u64::from(limits.per_second).saturating_mul(times),
        };
        let buckets = Buckets {
            sources: Networks::new(size(1)),
            sites: Networks::new(size(SITE)),
            everybody: Bucket::full(size(EVERYBODY), i64::MIN),
        };
        Self { limits, buckets: Mutex::new(buckets) }
    }

    pub(crate) const fn burst(&self) -> u32 {
        self.limits.burst
    }

    /// Takes one refusal from each of the source's buckets, or none; false: one is empty. Only refused callers come here, so the
    /// lock is not on the way of an honest request.
    pub(crate) fn admits_refusal(&self, source: IpAddr, now_ms: i64) -> bool {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let Buckets { sources, sites, everybody } = &mut *buckets;
        let source = network_of(source);
        let site = site_of(source).map(|site| sites.bucket(site, now_ms));
        let mut all: Vec<&mut Bucket> =
            [Some(sources.bucket(source, now_ms)), site, Some(everybody)].into_iter().flatten().collect();
        // All are looked at before any is taken from: what one refuses must not empty the others.
        let admitted = all.iter_mut().all(|bucket| bucket.admits(now_ms));
        if admitted {
            all.into_iter().for_each(Bucket::take);
        }
        admitted
    }
}

impl Networks {
    fn new(size: Size) -> Self {
        Self { size, by_network: HashMap::new(), others: Bucket::full(size, i64::MIN) }
    }

    fn bucket(&mut self, network: IpAddr, now_ms: i64) -> &mut Bucket {
        if self.is_strange(network) {
            self.by_network.retain(|_, bucket| !bucket.fills_up(now_ms));
        }
        if self.is_strange(network) {
            return &mut self.others;
        }
        self.by_network.entry(network).or_insert_with(|| Bucket::full(self.size, now_ms))
    }

    /// There is no bucket for it, and no place for one.
    fn is_strange(&self, network: IpAddr) -> bool {
        self.by_network.len() >= SOURCES_MAX && !self.by_network.contains_key(&network)
    }
}

impl Bucket {
    const fn full(size: Size, now_ms: i64) -> Self {
        Self { size, level_milli: size.full_milli, filled_ms: now_ms }
    }

    fn admits(&mut self, now_ms: i64) -> bool {
        self.fills_up(now_ms);
        self.level_milli >= 1000
    }

    fn take(&mut self) {
        self.level_milli = self.level_milli.saturating_sub(1000);
    }

    /// Refills it up to now; true: it is full.
    fn fills_up(&mut self, now_ms: i64) -> bool {
        let passed_ms = u64::try_from(now_ms.saturating_sub(self.filled_ms)).unwrap_or(0);
        let gained = passed_ms.saturating_mul(self.size.per_second);
        self.level_milli = self.level_milli.saturating_add(gained).min(self.size.full_milli);
        self.filled_ms = now_ms;
        self.level_milli >= self.size.full_milli
    }
}

/// Whoever holds one IPv6 address holds its /64.
fn network_of(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V4(_) => source,
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None => IpAddr::V6(prefix(v6, 64)),
        },
    }
}

/// A customer of a provider holds a /48 (RFC 6177 §2: that or somewhat less). IPv4 has no such unit.
fn site_of(network: IpAddr) -> Option<IpAddr> {
    match network {
        IpAddr::V4(_) => None,
        IpAddr::V6(v6) => Some(IpAddr::V6(prefix(v6, 48))),
    }
}

fn prefix(address: Ipv6Addr, bits: u32) -> Ipv6Addr {
    (u128::from(address) & u128::MAX.checked_shl(128u32.saturating_sub(bits)).unwrap_or(0)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flood() -> Flood {
        Flood::new(FloodLimits { burst: 3, per_second: 2 })
    }

    #[test]
    fn a_source_is_cut_off_and_comes_back() {
        let (flood, source) = (flood(), IpAddr::from([10, 0, 0, 1]));
        let admitted = |now| flood.admits_refusal(source, now);
        assert_eq!([admitted(0), admitted(0), admitted(0), admitted(0)], [true, true, true, false]);
        assert!(!admitted(499));
        assert!(admitted(999) && admitted(1000) && !admitted(1001), "two a second");
        assert!(flood.admits_refusal(IpAddr::from([10, 0, 0, 2]), 0), "another source has a bucket of its own");
    }

    #[test]
    fn one_ipv6_network_is_one_source() {
        let flood = flood();
        for last in 0..3 {
            assert!(flood.admits_refusal(IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last]), 0));
        }
        assert!(!flood.admits_refusal(IpAddr::from([0x2001, 0xdb8, 0, 0, 9, 9, 9, 9]), 0));
        assert!(flood.admits_refusal(IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, 0]), 0));
    }

    /// `2001:db8:<site>:<net>::1`
    fn v6(site: u16, net: u16) -> IpAddr {
        IpAddr::from([0x2001, 0xdb8, site, net, 0, 0, 0, 1])
    }

    #[test]
    fn a_48_has_four_times_a_sources_bucket_and_no_more() {
        let flood = flood();
        let admitted = (0..5000).filter(|net| flood.admits_refusal(v6(1, *net), 0)).count();
        assert_eq!(admitted, 12, "whatever number of /64 it has");
        assert!(flood.admits_refusal(v6(2, 0), 0), "another site has a bucket of its own");
        let later = (0..5000).filter(|net| flood.admits_refusal(v6(1, *net), 1000)).count();
        assert_eq!(later, 8, "four times two a second");
    }

    #[test]
    fn all_together_have_sixteen_times_a_sources_bucket_and_no_more() {
        let everywhere = |flood: &Flood, now| {
            let v4 = (0..3000u32).filter(|n| flood.admits_refusal(IpAddr::from(n.to_be_bytes()), now)).count();
            v4 + (0..3000).filter(|site| flood.admits_refusal(v6(*site, 7), now)).count()
        };
        let flood = flood();
        assert_eq!((everywhere(&flood, 0), everywhere(&flood, 0), everywhere(&flood, 1000)), (48, 0, 32));
        assert!(flood.admits_refusal(v6(9, 9), 2000), "and all come back");
    }

    #[test]
    fn what_one_bucket_refuses_is_not_taken_from_the_others() {
        let flood = flood();
        let source = IpAddr::from([10, 0, 0, 1]);
        assert_eq!((0..1000).filter(|_| flood.admits_refusal(source, 0)).count(), 3);
        let admitted = (1..=100u8).filter(|last| flood.admits_refusal(IpAddr::from([10, 0, 1, *last]), 0)).count();
        assert_eq!(admitted, 45, "one source that floods empties its own bucket only");
    }

    #[test]
    fn memory_is_bounded_and_the_overflow_is_still_limited() {
        let flood = flood();
        for source in 0..=u32::try_from(SOURCES_MAX).unwrap() {
            flood.admits_refusal(IpAddr::from(source.to_be_bytes()), 0);
        }
        let admitted =
            (1_000_000..1_000_100u32).filter(|n| flood.admits_refusal(IpAddr::from(n.to_be_bytes()), 0)).count();
        assert!(admitted <= 3);
        for site in 0..=u16::MAX {
            flood.admits_refusal(v6(site, site), 0);
        }
        let buckets = flood.buckets.lock().unwrap();
        assert!(buckets.sources.by_network.len() <= SOURCES_MAX && buckets.sites.by_network.len() <= SOURCES_MAX);
    }

    #[test]
    fn a_clock_set_back_neither_panics_nor_fills() {
        let (flood, source) = (flood(), IpAddr::from([10, 0, 0, 1]));
        for _ in 0..3 {
            assert!(flood.admits_refusal(source, i64::MAX));
        }
        assert!(!flood.admits_refusal(source, i64::MIN));
    }
}
