//! The addresses that a wildcard listener has: the one for peers elsewhere first, loopback last.
#![allow(unsafe_code)]
use rustc_hash::FxHashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::ptr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The addresses of this host in the family of `wildcard`. Never empty.
pub(crate) fn of_wildcard(wildcard: IpAddr) -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = outbound(wildcard).into_iter().collect();
    let interfaces = interface_addresses().unwrap_or_default();
    let usable =
        |address: &IpAddr| address.is_ipv4() == wildcard.is_ipv4() && !is_link_local(*address);
    for address in interfaces.into_iter().filter(usable) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    let loopback = match wildcard {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    if addresses.is_empty() {
        addresses.push(loopback);
    }
    addresses.sort_by_key(IpAddr::is_loopback);
    addresses
}

/// The source address that the routing table chooses for peers elsewhere.
fn outbound(wildcard: IpAddr) -> Option<IpAddr> {
    let elsewhere = match wildcard {
        // Addresses for documentation (RFC 5737, RFC 3849): routed as any other, and nobody's.
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
    };
    source_towards(elsewhere)
}

/// How long what the routing table said is believed.
const BELIEVED: Duration = Duration::from_secs(10);
/// For how many peers it is kept.
const PEERS: usize = 4096;

/// The source address that the routing table chooses for each peer, asked once in a while.
#[derive(Default)]
pub(crate) struct Sources {
    known: Mutex<FxHashMap<IpAddr, (Option<IpAddr>, Instant)>>,
}

impl Sources {
    /// The address for this peer; none when there is no route.
    pub(crate) fn of(&self, peer: IpAddr) -> Option<IpAddr> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some((source, asked)) = known.get(&peer)
            && now.saturating_duration_since(*asked) < BELIEVED
        {
            return *source;
        }
        let source = source_towards(peer);
        if known.len() >= PEERS {
            known.clear();
        }
        known.insert(peer, (source, now));
        source
    }
}

/// Connecting a UDP socket sends nothing, and tells the source address.
fn source_towards(peer: IpAddr) -> Option<IpAddr> {
    let wildcard = match peer {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind(SocketAddr::new(wildcard, 0)).ok()?;
    socket.connect(SocketAddr::new(peer, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|address| !address.is_unspecified())
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// Every address of every interface that is up.
fn interface_addresses() -> io::Result<Vec<IpAddr>> {
    let mut list: *mut libc::ifaddrs = ptr::null_mut();
    // SAFETY: getifaddrs writes one pointer, to a list that it allocates.
    if unsafe { libc::getifaddrs(&raw mut list) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut addresses = Vec::new();
    let mut next = list;
    // SAFETY: the list is whole and linked by `ifa_next` until it is freed below, and nothing read from it outlives that. An address,
    // where there is one, is as large as its family says; it is read unaligned.
    unsafe {
        while let Some(entry) = next.as_ref() {
            next = entry.ifa_next;
            if entry.ifa_flags & libc::IFF_UP as libc::c_uint == 0 || entry.ifa_addr.is_null() {
                continue;
            }
            match libc::c_int::from((*entry.ifa_addr).sa_family) {
                libc::AF_INET => {
                    let name = entry.ifa_addr.cast::<libc::sockaddr_in>().read_unaligned();
                    addresses.push(IpAddr::V4(Ipv4Addr::from(u32::from_be(
                        name.sin_addr.s_addr,
                    ))));
                }
                libc::AF_INET6 => {
                    let name = entry.ifa_addr.cast::<libc::sockaddr_in6>().read_unaligned();
                    addresses.push(IpAddr::V6(Ipv6Addr::from(name.sin6_addr.s6_addr)));
                }
                _ => {}
            }
        }
        libc::freeifaddrs(list);
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_towards_a_peer_is_what_the_system_would_send_from() {
        let sources = Sources::default();
        for _ in 0..2 {
            let there = sources.of(IpAddr::V4(Ipv4Addr::LOCALHOST));
            assert_eq!(there, Some(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        }
        for number in 0..5000_u32 {
            let peer = IpAddr::V4(Ipv4Addr::from(0x7f00_0001 + number));
            assert!(sources.of(peer).is_some_and(|it| it.is_loopback()));
        }
        assert!(sources.known.lock().unwrap().len() <= PEERS);
    }

    #[test]
    fn loopback_comes_last_and_nothing_twice() {
        let addresses = of_wildcard(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        assert!(addresses.last().unwrap().is_loopback());
        assert!(addresses.iter().all(IpAddr::is_ipv4));
        let mut unique = addresses.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), addresses.len());
    }
}
