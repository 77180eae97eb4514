//! Refusals cannot become a kill switch: before anyone is verified, each source has a token bucket for records of refusals.
//!
//! Beyond it the answer is 429 and the refusal is counted into one summary record a window. A verified caller from the same
//! address is not affected.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// The bucket of each source.
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

/// More sources than this share one bucket.
const SOURCES_MAX: usize = 4096;

#[derive(Debug)]
pub(crate) struct Flood {
    limits: FloodLimits,
    buckets: Mutex<Buckets>,
}

#[derive(Debug, Default)]
struct Buckets {
    by_source: HashMap<IpAddr, Bucket>,
    others: Option<Bucket>,
}

/// Thousandths of a refusal, so that a refill of less than one a millisecond is exact.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    level_milli: u64,
    filled_ms: i64,
}

impl Flood {
    pub(crate) fn new(limits: FloodLimits) -> Self {
        Self { limits, buckets: Mutex::default() }
    }

    pub(crate) const fn burst(&self) -> u32 {
        self.limits.burst
    }

    /// Takes one refusal from the source's bucket; false: it is empty. Only refused callers come here, so the lock is not on
    /// the way of an honest request.
    pub(crate) fn admits_refusal(&self, source: IpAddr, now_ms: i64) -> bool {
        let full = Bucket { level_milli: u64::from(self.limits.burst) * 1000, filled_ms: now_ms };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let Buckets { by_source, others } = &mut *buckets;
        let source = network_of(source);
        if by_source.len() >= SOURCES_MAX && !by_source.contains_key(&source) {
            by_source.retain(|_, bucket| self.refilled(*bucket, now_ms).level_milli < full.level_milli);
        }
        let bucket = if by_source.len() >= SOURCES_MAX && !by_source.contains_key(&source) {
            others.get_or_insert(full)
        } else {
            by_source.entry(source).or_insert(full)
        };
        *bucket = self.refilled(*bucket, now_ms);
        let admitted = bucket.level_milli >= 1000;
        if admitted {
            bucket.level_milli -= 1000;
        }
        admitted
    }

    fn refilled(&self, bucket: Bucket, now_ms: i64) -> Bucket {
        let passed_ms = u64::try_from(now_ms.saturating_sub(bucket.filled_ms)).unwrap_or(0);
        let gained = passed_ms.saturating_mul(u64::from(self.limits.per_second));
        let level_milli = bucket.level_milli.saturating_add(gained).min(u64::from(self.limits.burst) * 1000);
        Bucket { level_milli, filled_ms: now_ms }
    }
}

/// Whoever holds one IPv6 address holds its /64.
fn network_of(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V4(_) => source,
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
        },
    }
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

    #[test]
    fn memory_is_bounded_and_the_overflow_is_still_limited() {
        let flood = flood();
        for source in 0..=u32::try_from(SOURCES_MAX).unwrap() {
            flood.admits_refusal(IpAddr::from(source.to_be_bytes()), 0);
        }
        let admitted =
            (1_000_000..1_000_100u32).filter(|n| flood.admits_refusal(IpAddr::from(n.to_be_bytes()), 0)).count();
        assert!(admitted <= 3);
        assert!(flood.buckets.lock().unwrap().by_source.len() <= SOURCES_MAX);
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
