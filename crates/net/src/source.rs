//! Remembers, for a wildcard UDP socket, to which of our addresses a peer speaks, so that it is answered from there:
//! a response comes from the address and port that the request was sent to (RFC 3581 §4), which the routing table may not choose.
//!
//! A fixed number of places, each overwritten by the next peer that falls on it: what is forgotten is left to the routing table.
use rustc_hash::FxHasher;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

const PLACES: usize = 4096;

/// Which of our addresses peers speak to.
pub(crate) struct Sources {
    places: Vec<Option<(SocketAddr, IpAddr)>>,
    usual: Option<IpAddr>,
}

impl Sources {
    /// For a host whose routing table usually chooses `usual`.
    pub fn new(usual: Option<IpAddr>) -> Sources {
        Sources {
            places: Vec::new(),
            usual,
        }
    }

    /// `peer` sent to `local`.
    pub fn remember(&mut self, peer: SocketAddr, local: IpAddr) {
        let is_usual = Some(local) == self.usual || local.is_loopback() && peer.ip() == local;
        if self.places.is_empty() {
            if is_usual {
                return;
            }
            self.places.resize(PLACES, None);
        }
        if let Some(place) = self.places.get_mut(index(peer)) {
            if !is_usual {
                *place = Some((peer, local));
            } else if place.is_some_and(|(known, _)| known == peer) {
                *place = None;
            }
        }
    }

    /// The address to send to `peer` from, where it is not the usual one.
    pub fn for_peer(&self, peer: SocketAddr) -> Option<IpAddr> {
        let (known, local) = (*self.places.get(index(peer))?)?;
        (known == peer).then_some(local)
    }
}

fn index(peer: SocketAddr) -> usize {
    let mut hasher = FxHasher::default();
    peer.hash(&mut hasher);
    usize::try_from(hasher.finish() % PLACES as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_speaks_to_another_address_is_answered_from_there() {
        let usual: IpAddr = "192.0.2.1".parse().unwrap();
        let other: IpAddr = "192.0.2.2".parse().unwrap();
        let peer: SocketAddr = "198.51.100.1:5060".parse().unwrap();
        let mut sources = Sources::new(Some(usual));
        sources.remember(peer, usual);
        assert_eq!(sources.for_peer(peer), None);
        sources.remember(peer, other);
        assert_eq!(sources.for_peer(peer), Some(other));
        sources.remember(peer, usual);
        assert_eq!(sources.for_peer(peer), None);
    }
}
