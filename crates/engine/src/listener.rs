//! Our own addresses: which listener a request leaves from, and what we call ourselves towards a peer.
//!
//! It refuses to ask the system: a wildcard listener's addresses are told to it (`Listener::addresses`).
use crate::config::Listener;
use crate::flow::{FLOW_HOST, Flow, Signer, Token};
use crate::network::{Network, Routing, is_private};
use crate::transport::{ListenerId, Origin, Transport};
use sip::{Host, Uri};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};

/// How many addresses that came later one listener remembers.
const LEARNT: usize = 16;

/// What a listener calls itself, as text, made once.
struct Name {
    host_port: String,
    contact: String,
}

impl Name {
    fn new(transport: Transport, host: &str, port: u16) -> Name {
        let host_port = host_port(host, port);
        Name {
            contact: contact(transport, &host_port),
            host_port,
        }
    }
}

/// The names of one listener.
struct Names {
    listener: Listener,
    /// By address.
    bound: SmallVec<[(IpAddr, Name); 2]>,
    advertised: Option<Name>,
    /// Addresses that this host has got since, the oldest first.
    learnt: SmallVec<[IpAddr; 1]>,
    /// That a private address was shown to a peer elsewhere has been said.
    is_warned: AtomicBool,
}

/// The listeners of an engine.
pub(crate) struct Listeners {
    all: Vec<Names>,
    network: Network,
    signer: Option<Signer>,
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

impl Names {
    fn new(listener: &Listener) -> Names {
        let port = listener.bound.port();
        let name = |address: &IpAddr| {
            let name = Name::new(listener.transport, &address.to_string(), port);
            (*address, name)
        };
        Names {
            bound: listener.addresses.iter().map(name).collect(),
            advertised: listener
                .advertised
                .as_ref()
                .map(|(host, port)| Name::new(listener.transport, host, *port)),
            listener: listener.clone(),
            learnt: SmallVec::new(),
            is_warned: AtomicBool::new(false),
        }
    }

    /// The address that this peer is to see: the one it spoke to (or that messages to it leave from), where that is known; else the one
    /// that the system would send from.
    fn address(&self, peer: IpAddr, local: Option<IpAddr>, routing: Option<&Routing>) -> IpAddr {
        let bound = self.listener.bound.ip();
        if !bound.is_unspecified() {
            return bound;
        }
        let is_one = |local: &IpAddr| !local.is_unspecified() && local.is_ipv4() == bound.is_ipv4();
        let known = local.filter(is_one).or_else(|| {
            let routed = routing.and_then(|routing| routing.source(peer.to_canonical()));
            routed.filter(is_one)
        });
        let mut own = self.listener.addresses.iter().copied();
        known
            .or_else(|| own.find(|address| !peer.is_loopback() || address.is_loopback()))
            .or_else(|| self.listener.addresses.first().copied())
            .unwrap_or(bound)
    }
}

impl Listeners {
    /// Makes the names of these listeners.
    pub(crate) fn new(listeners: &[Listener], network: &Network) -> Listeners {
        Listeners {
            all: listeners.iter().map(Names::new).collect(),
            signer: network.key.as_ref().map(Signer::new),
            network: network.clone(),
        }
    }

    fn get(&self, id: ListenerId) -> Option<&Names> {
        self.all.get(usize::from(id.0))
    }

    fn name<'a>(
        &'a self,
        id: ListenerId,
        (peer, local): (IpAddr, Option<IpAddr>),
        text: for<'b> fn(&'b Name) -> &'b str,
    ) -> Cow<'a, str> {
        let Some(names) = self.get(id) else {
            return Cow::Borrowed("");
        };
        // A peer beside us may not reach the advertised address (NAT without hairpin).
        let is_local = self.network.is_local(peer);
        if let Some(name) = names.advertised.as_ref().filter(|_| !is_local) {
            return Cow::Borrowed(text(name));
        }
        let address = names.address(peer, local, self.network.routing.as_ref());
        if !is_local && is_private(address) && !names.is_warned.swap(true, Ordering::Relaxed) {
            let listener = names.listener.bound;
            tracing::warn!(
                %listener, %peer, %address,
                "a peer outside the local networks is shown a private address, which it cannot reach: give the listener advertise=HOST[:PORT]"
            );
        }
        match names.bound.iter().find(|(own, _)| *own == address) {
            Some((_, name)) => Cow::Borrowed(text(name)),
            // One that the host got since.
            None => {
                let listener = &names.listener;
                let name = Name::new(
                    listener.transport,
                    &address.to_string(),
                    listener.bound.port(),
                );
                Cow::Owned(text(&name).to_owned())
            }
        }
    }

    /// What a listener calls itself towards this peer: `host:port`. `local` is the address that the peer spoke to, or that messages
    /// to it leave from, where that is known.
    pub(crate) fn host_port(
        &self,
        id: ListenerId,
        peer: IpAddr,
        local: Option<IpAddr>,
    ) -> Cow<'_, str> {
        self.name(id, (peer, local), |name| &name.host_port)
    }

    /// The Contact of a listener towards this peer: `<sip:host:port;transport=tcp>`; a `sips` URI for a dialog that demands one, where the
    /// listener is secure.
    pub(crate) fn contact(
        &self,
        id: ListenerId,
        (peer, local): (IpAddr, Option<IpAddr>),
        wants_secure: impl FnOnce() -> bool,
    ) -> Cow<'_, str> {
        let transport = self.get(id).map(|names| names.listener.transport);
        let parameter = match transport {
            Some(Transport::Tls) => Some(""),
            Some(Transport::Wss) => Some(";transport=ws"),
            Some(_) | None => None,
        };
        let Some(parameter) = parameter.filter(|_| wants_secure()) else {
            return self.name(id, (peer, local), |name| &name.contact);
        };
        let host_port = self.host_port(id, peer, local);
        Cow::Owned(format!("<sips:{host_port}{parameter}>"))
    }

    /// The address that a listener sends from towards this peer, as far as can be told.
    pub(crate) fn local(&self, id: ListenerId, peer: IpAddr) -> Option<SocketAddr> {
        let names = self.get(id)?;
        let address = names.address(peer, None, self.network.routing.as_ref());
        Some(SocketAddr::new(address, names.listener.bound.port()))
    }

    /// The networks around.
    pub(crate) fn network(&self) -> &Network {
        &self.network
    }

    /// Makes and reads tokens; none where nothing is signed.
    pub(crate) fn signer(&self) -> Option<&Signer> {
        self.signer.as_ref()
    }

    /// The token of the flow that a message came over.
    pub(crate) fn flow_token(&self, origin: &Origin) -> Option<String> {
        Some(self.signer()?.flow(Flow::of(origin), false, None))
    }

    /// What the user part of this URI says, where the URI is ours or the one that stands for flows.
    pub(crate) fn read_token(&self, user: &str, uri: &Uri<'_>, call_id: &str) -> Token {
        let Some(signer) = self.signer() else {
            return Token::Absent;
        };
        let token = signer.read(user, call_id);
        let is_ours = || {
            matches!(uri.host(), Host::Name(host) if host.eq_ignore_ascii_case(FLOW_HOST))
                || self.is_own(uri.host(), uri.port())
        };
        if token == Token::Absent || is_ours() {
            token
        } else {
            Token::Absent
        }
    }

    /// The way from a listener to an address from which it was spoken to.
    pub(crate) fn datagram_flow(&self, id: ListenerId, peer: SocketAddr) -> Option<Origin> {
        let fits = |id: ListenerId| {
            self.get(id).is_some_and(|names| {
                names.listener.transport == Transport::Udp
                    && names.listener.bound.is_ipv4() == peer.is_ipv4()
            })
        };
        // The token may be of a process that had its listeners in another order.
        let listener = Some(id)
            .filter(|id| fits(*id))
            .or_else(|| self.choose(Transport::Udp, peer.ip(), None))?;
        Some(Origin {
            listener,
            transport: Transport::Udp,
            peer,
            local: self.local(listener, peer.ip())?,
            connection: None,
        })
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

    /// A message came to this address: it is one of ours, where a listener is bound to all of them, also when the host has had it for a
    /// minute only.
    pub(crate) fn learn(&mut self, origin: &Origin) {
        let local = origin.local.ip();
        let Some(names) = self.all.get_mut(usize::from(origin.listener.0)) else {
            return;
        };
        let bound = names.listener.bound.ip();
        if !bound.is_unspecified()
            || names.listener.addresses.contains(&local)
            || names.learnt.contains(&local)
        {
            return;
        }
        let is_nobody = local.is_unspecified() || local.is_multicast() || local.is_loopback();
        let is_broadcast = local == IpAddr::V4(Ipv4Addr::BROADCAST);
        if is_nobody || is_broadcast || local.is_ipv4() != bound.is_ipv4() {
            return;
        }
        if names.learnt.len() >= LEARNT {
            names.learnt.remove(0);
        }
        names.learnt.push(local);
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
            let bound = listener.bound.ip() == address
                || listener.addresses.contains(&address)
                || names.learnt.contains(&address)
                // Each address of 127.0.0.0/8 is this host's.
                || (listener.bound.ip().is_unspecified() && listener.bound.is_ipv4() == address.is_ipv4() && address.is_loopback());
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
        sample_in(&Network::default())
    }

    fn sample_in(network: &Network) -> Listeners {
        let listeners = [
            listener(Transport::Udp, "127.0.0.1:5060", &["127.0.0.1"], None),
            listener(
                Transport::Udp,
                "0.0.0.0:5080",
                &["192.0.2.7", "127.0.0.1"],
                Some(("sip.example", 5099)),
            ),
            listener(Transport::Tcp, "[::]:5060", &["2001:db8::1", "::1"], None),
        ];
        Listeners::new(&listeners, network)
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
    fn a_peer_in_a_local_network_sees_the_bound_address_and_others_the_advertised_one() {
        let listeners = sample();
        let host_port = |id, peer: &str, local: Option<&str>| {
            let local = local.map(|local| local.parse().unwrap());
            listeners
                .host_port(ListenerId(id), peer.parse().unwrap(), local)
                .into_owned()
        };
        assert_eq!(host_port(1, "198.51.100.9", None), "sip.example:5099");
        assert_eq!(host_port(1, "127.0.0.1", None), "127.0.0.1:5080");
        assert_eq!(host_port(1, "10.1.2.3", None), "192.0.2.7:5080");
        // The address that it spoke to, whether it was there when the listener was opened or not.
        assert_eq!(host_port(1, "10.1.2.3", Some("10.0.0.1")), "10.0.0.1:5080");
        assert_eq!(
            host_port(1, "127.0.0.1", Some("127.0.0.5")),
            "127.0.0.5:5080"
        );
        assert_eq!(
            host_port(0, "127.0.0.1", Some("127.0.0.5")),
            "127.0.0.1:5060"
        );
        assert_eq!(
            host_port(2, "2001:db8::9", Some("::")),
            "[2001:db8::1]:5060"
        );
        assert_eq!(
            listeners.contact(
                ListenerId(2),
                ("2001:db8::9".parse().unwrap(), None),
                || false
            ),
            "<sip:[2001:db8::1]:5060;transport=tcp>"
        );
        let routing = Routing::new(|peer: IpAddr| {
            let near = peer == IpAddr::from([203, 0, 113, 9]);
            Some(IpAddr::from([if near { 203 } else { 192 }, 0, 113, 1]))
        });
        let routed = sample_in(&Network {
            local: vec!["0.0.0.0/0".parse().unwrap()],
            routing: Some(routing),
            ..Network::default()
        });
        let shown = |peer: [u8; 4], local: Option<IpAddr>| {
            routed.host_port(ListenerId(1), IpAddr::from(peer), local)
        };
        assert_eq!(shown([203, 0, 113, 9], None), "203.0.113.1:5080");
        assert_eq!(shown([198, 51, 100, 9], None), "192.0.113.1:5080");
        let spoken_to = Some(IpAddr::from([192, 0, 2, 7]));
        assert_eq!(shown([203, 0, 113, 9], spoken_to), "192.0.2.7:5080");
        let none = Network {
            local: Vec::new(),
            ..Network::default()
        };
        let elsewhere = sample_in(&none);
        let peer = "127.0.0.1".parse().unwrap();
        assert_eq!(
            elsewhere.host_port(ListenerId(1), peer, None),
            "sip.example:5099"
        );
    }

    #[test]
    fn every_name_of_ours_is_known() {
        let listeners = sample();
        assert!(listeners.is_own(Host::Name("SIP.example"), Some(5099)));
        assert!(!listeners.is_own(Host::Name("sip.example"), None));
        assert!(listeners.is_own(Host::V4("192.0.2.7".parse().unwrap()), Some(5080)));
        assert!(listeners.is_own(Host::V4("127.0.0.9".parse().unwrap()), Some(5080)));
        assert!(!listeners.is_own(Host::V4("127.0.0.9".parse().unwrap()), Some(5060)));
        assert!(listeners.is_own(Host::V6("2001:db8::1".parse().unwrap()), None));
    }
}
