//! Our own addresses: which listener a request leaves from, and what we call ourselves towards a peer.
//!
//! It refuses to ask the system: a wildcard listener's addresses are told to it (`Listener::addresses`).
use crate::config::Listener;
use crate::transport::{ListenerId, Origin, Transport};
use sip::Host;
use std::net::{IpAddr, SocketAddr};

/// The names of one listener, as text, made once.
struct Names {
    listener: Listener,
    /// For peers elsewhere: the advertised host and port, or the first address.
    public: String,
    /// For peers on this machine.
    loopback: String,
    public_contact: String,
    loopback_contact: String,
}

/// The listeners of an engine.
pub(crate) struct Listeners {
    all: Vec<Names>,
}

/// `host:port`, an IPv6 address in brackets.
fn host_port(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

fn contact(transport: Transport, host_port: &str) -> String {
    match transport {
        Transport::Udp => format!("<sip:{host_port}>"),
        Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => {
            format!("<sip:{host_port};transport={transport}>")
        }
    }
}

fn port_differs(port: Option<u16>, own: u16, transport: Transport) -> bool {
    port.unwrap_or_else(|| transport.default_port()) != own
}

impl Listeners {
    /// Makes the names of these listeners.
    pub(crate) fn new(listeners: &[Listener]) -> Listeners {
        let all = listeners
            .iter()
            .map(|listener| {
                let port = listener.bound.port();
                let first = listener
                    .addresses
                    .first()
                    .copied()
                    .unwrap_or_else(|| listener.bound.ip());
                let local = listener
                    .addresses
                    .iter()
                    .copied()
                    .find(IpAddr::is_loopback)
                    .unwrap_or(first);
                let public = match &listener.advertised {
                    Some((host, port)) => host_port(host, *port),
                    None => host_port(&first.to_string(), port),
                };
                // A peer on this machine may not reach the advertised address (NAT without hairpin), so it gets the loopback one if bound.
                let loopback = if local.is_loopback() {
                    host_port(&local.to_string(), port)
                } else {
                    public.clone()
                };
                Names {
                    public_contact: contact(listener.transport, &public),
                    loopback_contact: contact(listener.transport, &loopback),
                    listener: listener.clone(),
                    public,
                    loopback,
                }
            })
            .collect();
        Listeners { all }
    }

    fn get(&self, id: ListenerId) -> Option<&Names> {
        self.all.get(usize::from(id.0))
    }

    /// What a listener calls itself towards this peer: `host:port`.
    pub(crate) fn host_port(&self, id: ListenerId, peer: IpAddr) -> &str {
        self.get(id).map_or("", |names| {
            if peer.is_loopback() {
                &names.loopback
            } else {
                &names.public
            }
        })
    }

    /// The Contact of a listener towards this peer: `<sip:host:port;transport=tcp>`.
    pub(crate) fn contact(&self, id: ListenerId, peer: IpAddr) -> &str {
        self.get(id).map_or("", |names| {
            if peer.is_loopback() {
                &names.loopback_contact
            } else {
                &names.public_contact
            }
        })
    }

    /// The address that a listener sends from towards this peer, as far as can be told.
    pub(crate) fn local(&self, id: ListenerId, peer: IpAddr) -> Option<SocketAddr> {
        let listener = &self.get(id)?.listener;
        if !listener.bound.ip().is_unspecified() {
            return Some(listener.bound);
        }
        let mut addresses = listener.addresses.iter().copied();
        let address = addresses
            .find(|address| !peer.is_loopback() || address.is_loopback())
            .unwrap_or_else(|| listener.bound.ip());
        Some(SocketAddr::new(address, listener.bound.port()))
    }

    /// The listener to send from over this transport to this peer, `preferred` if it fits.
    pub(crate) fn choose(
        &self,
        transport: Transport,
        peer: IpAddr,
        preferred: Option<ListenerId>,
    ) -> Option<ListenerId> {
        let score = |index: usize, names: &Names| {
            let bound = names.listener.bound.ip();
            if names.listener.transport != transport || bound.is_ipv4() != peer.is_ipv4() {
                return None;
            }
            // A loopback socket reaches loopback only; towards loopback it is the best there is.
            let place = match (
                bound.is_unspecified(),
                bound.is_loopback(),
                peer.is_loopback(),
            ) {
                (false, true, false) => 0,
                (false, false, true) => 1,
                (true, _, _) => 2,
                (false, _, _) => 3,
            };
            let preferred = preferred.is_some_and(|id| usize::from(id.0) == index);
            Some((place > 0, preferred, place))
        };
        let scored = self
            .all
            .iter()
            .enumerate()
            .filter_map(|(index, names)| Some((score(index, names)?, index)));
        // The first of equals.
        let best = scored.max_by(|(one, a), (other, b)| one.cmp(other).then(b.cmp(a)))?;
        u16::try_from(best.1).ok().map(ListenerId)
    }

    /// Whether a URI or a Via with this host and port reaches this server.
    pub(crate) fn is_own(&self, host: Host<'_>, port: Option<u16>) -> bool {
        self.all.iter().any(|names| {
            let listener = &names.listener;
            let advertised = listener.advertised.as_ref().is_some_and(|(name, own)| {
                !port_differs(port, *own, listener.transport)
                    && match host {
                        Host::Name(host) => host.eq_ignore_ascii_case(name),
                        Host::V4(address) => name.parse() == Ok(address),
                        Host::V6(address) => name.trim_matches(['[', ']']).parse() == Ok(address),
                    }
            });
            let address = match host {
                Host::V4(address) => IpAddr::V4(address),
                Host::V6(address) => IpAddr::V6(address),
                Host::Name(_) => return advertised,
            };
            let bound = listener.bound.ip() == address || listener.addresses.contains(&address);
            advertised || (bound && !port_differs(port, listener.bound.port(), listener.transport))
        })
    }

    /// Where a message from this listener to this peer goes, as an origin: our own address and the peer's.
    pub(crate) fn path(&self, destination: &crate::transport::Destination) -> Origin {
        Origin {
            listener: destination.listener,
            transport: destination.transport,
            peer: destination.peer,
            local: self
                .local(destination.listener, destination.peer.ip())
                .unwrap_or(destination.peer),
            connection: destination.connection,
        }
    }
}

#[cfg(test)]
mod tests {
    //! A request leaves from a listener that can reach its peer, under a name that the peer can reach.
    use super::*;

    fn listener(
        transport: Transport,
        bound: &str,
        addresses: &[&str],
        advertised: Option<(&str, u16)>,
    ) -> Listener {
        Listener {
            transport,
            bound: bound.parse().unwrap(),
            addresses: addresses
                .iter()
                .map(|address| address.parse().unwrap())
                .collect(),
            advertised: advertised.map(|(host, port)| (host.to_owned(), port)),
        }
    }

    fn sample() -> Listeners {
        Listeners::new(&[
            listener(Transport::Udp, "127.0.0.1:5060", &["127.0.0.1"], None),
            listener(
                Transport::Udp,
                "0.0.0.0:5080",
                &["192.0.2.7", "127.0.0.1"],
                Some(("sip.example", 5099)),
            ),
            listener(Transport::Tcp, "[::]:5060", &["2001:db8::1", "::1"], None),
        ])
    }

    #[test]
    fn the_listener_fits_transport_family_and_reach() {
        let listeners = sample();
        let choose = |transport, peer: &str, preferred| {
            listeners.choose(transport, peer.parse().unwrap(), preferred)
        };
        assert_eq!(
            choose(Transport::Udp, "127.0.0.1", None),
            Some(ListenerId(0))
        );
        assert_eq!(
            choose(Transport::Udp, "127.0.0.1", Some(ListenerId(1))),
            Some(ListenerId(1))
        );
        assert_eq!(
            choose(Transport::Udp, "192.0.2.9", None),
            Some(ListenerId(1))
        );
        assert_eq!(
            choose(Transport::Tcp, "2001:db8::9", None),
            Some(ListenerId(2))
        );
        assert_eq!(choose(Transport::Tcp, "192.0.2.9", None), None);
        assert_eq!(choose(Transport::Tls, "192.0.2.9", None), None);
    }

    #[test]
    fn names_are_the_advertised_ones_and_loopback_for_loopback() {
        let listeners = sample();
        assert_eq!(
            listeners.host_port(ListenerId(1), "192.0.2.9".parse().unwrap()),
            "sip.example:5099"
        );
        assert_eq!(
            listeners.host_port(ListenerId(1), "127.0.0.1".parse().unwrap()),
            "127.0.0.1:5080"
        );
        assert_eq!(
            listeners.contact(ListenerId(2), "2001:db8::9".parse().unwrap()),
            "<sip:[2001:db8::1]:5060;transport=tcp>"
        );
        assert!(listeners.is_own(Host::Name("SIP.example"), Some(5099)));
        assert!(!listeners.is_own(Host::Name("sip.example"), None));
        assert!(listeners.is_own(Host::V4("192.0.2.7".parse().unwrap()), Some(5080)));
    }
}
