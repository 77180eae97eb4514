//! Places for connections, so that one address cannot take all of them.
//!
//! In: the address of a peer. Out: a place, given back when it is dropped. Refused: an address that has its share. Memory is bounded
//! by the number of connections.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// How many connections each network has.
#[derive(Debug)]
pub(crate) struct Places {
    each_max: usize,
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// A place of a network.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    network: IpAddr,
}

impl Places {
    pub(crate) fn new(each_max: usize) -> Arc<Self> {
        Arc::new(Self { each_max, taken: Mutex::default() })
    }

    /// A place for this peer; `None`: its network has as many as it may.
    pub(crate) fn take(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let network = network_of(peer);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.get(&network).copied().unwrap_or(0);
        if count >= self.each_max {
            return None;
        }
        taken.insert(network, count.saturating_add(1));
        Some(Place { places: Arc::clone(self), network })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = taken.entry(self.network) {
            *count.get_mut() = count.get().saturating_sub(1);
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// An IPv4 address; of an IPv6 address its site, a /48: whoever holds one has as many addresses as they like.
fn network_of(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from(u128::from(v6) & (u128::MAX << 80))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_all_places_and_others_are_served() {
        let places = Places::new(2);
        let (one, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let first = places.take(one).expect("a place");
        let second = places.take(one).expect("another");
        assert!(places.take(one).is_none());
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
        assert!(places.take(mapped).is_none(), "the same address in other words");
        let others = places.take(other);
        assert!(others.is_some());
        drop(first);
        let again = places.take(one).expect("the place that was given back");
        assert!(places.take(one).is_none());
        drop((second, again, others));
        assert!(places.taken.lock().unwrap().is_empty(), "nothing is kept of who has gone");
    }

    #[test]
    fn an_ipv6_site_is_one_address() {
        let places = Places::new(2);
        let take = |text: &str| places.take(text.parse().unwrap());
        let held = (take("2001:db8:1:1::1"), take("2001:db8:1:2::2"));
        assert!(held.0.is_some() && held.1.is_some());
        assert!(take("2001:db8:1:3::3").is_none());
        assert!(take("2001:db8:2:3::3").is_some());
    }
}
