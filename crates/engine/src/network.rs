//! What an engine is told of the networks around it: which peers see its bound address, whose Contact is not believed, and with
//! which key it marks what it relays. Plain data, and the questions that follow from it.
pub use crate::admit::Prefix;
use crate::transport::Origin;
use sip::header::via::Via;
use sip::{HeaderName, Host, Message, Uri};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The networks around an engine, and its place among them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Network {
    /// The key of marks and flow tokens (`flow`); none: nothing is marked, and a request of a call that passed here is followed
    /// wherever its Route says, as it was before there were marks.
    pub key: Option<RelayKey>,
    /// What becomes of a request that is to be relayed within a call and has no mark of ours.
    pub unsigned: Unsigned,
    /// Peers in these networks see the address that a listener is bound to, all others the advertised one.
    pub local: Vec<Prefix>,
    /// When a Contact is not believed.
    pub nat: NatRules,
    /// From which address of this host a peer is spoken to, where a listener is bound to all of them; none: from the first.
    pub routing: Option<Routing>,
}

/// What answers from which address of this host the system would send to a peer. The engine asks no system: whoever drives it does.
#[derive(Clone)]
pub struct Routing(Arc<dyn Fn(IpAddr) -> Option<IpAddr> + Send + Sync>);

impl Routing {
    /// One that asks `source`, which may be asked often and must not wait.
    pub fn new(source: impl Fn(IpAddr) -> Option<IpAddr> + Send + Sync + 'static) -> Routing {
        Routing(Arc::new(source))
    }

    pub(crate) fn source(&self, peer: IpAddr) -> Option<IpAddr> {
        (self.0)(peer)
    }
}

impl PartialEq for Routing {
    fn eq(&self, other: &Routing) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Routing {}

impl fmt::Debug for Routing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Routing")
    }
}

impl Default for Network {
    fn default() -> Network {
        Network {
            key: None,
            unsigned: Unsigned::default(),
            local: PRIVATE
                .iter()
                .filter_map(|text| text.parse().ok())
                .collect(),
            nat: NatRules::default(),
            routing: None,
        }
    }
}

/// The key of marks and tokens.
#[derive(Clone, PartialEq, Eq)]
pub struct RelayKey {
    /// The key: the same in every process that is to know the others' marks.
    pub secret: [u64; 2],
    /// This process: the numbers of its connections mean nothing to another.
    pub epoch: u32,
}

impl fmt::Debug for RelayKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RelayKey")
    }
}

/// What becomes of a request within a call that names us in its Route without a mark of ours.
#[derive(Copy, Clone, Default, PartialEq, Eq, Debug)]
pub enum Unsigned {
    /// 403.
    #[default]
    Refuse,
    /// Nothing: no answer.
    Drop,
    /// It is relayed all the same. For a network that strangers do not reach.
    Relay,
}

/// When the Contact of a user agent is not believed, so that what it is sent goes where its requests came from. Only of requests
/// that came from it straight: behind a proxy the Contact is the user agent's, and the source the proxy's.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct NatRules {
    /// Contact has a private address (RFC 1918, RFC 6598, RFC 4193, link-local), which is not the source, and the source is in no
    /// local network: nobody could reach it there.
    pub contact_private: bool,
    /// The address or port of Contact is not that of the source.
    pub contact_differs: bool,
    /// The address or port of the Via is not that of the source.
    pub via_differs: bool,
}

impl Default for NatRules {
    fn default() -> NatRules {
        NatRules {
            contact_private: true,
            contact_differs: false,
            via_differs: false,
        }
    }
}

/// The networks that are local unless others are given: loopback, private (RFC 1918, RFC 4193) and link-local addresses.
pub const PRIVATE: [&str; 8] = [
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
];

/// Whether an address means something within a private network only (RFC 1918, RFC 6598, RFC 3927, RFC 4193, RFC 4291).
#[must_use]
pub fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || (first == 100 && second & 0xc0 == 64)
        }
        IpAddr::V6(address) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
    }
}

/// The address that a host is, if it is one.
fn address_of(host: Host<'_>) -> Option<IpAddr> {
    match host {
        Host::V4(address) => Some(IpAddr::V4(address)),
        Host::V6(address) => Some(IpAddr::V6(address)),
        Host::Name(_) => None,
    }
}

impl Network {
    /// Whether a peer is in a local network.
    #[must_use]
    pub fn is_local(&self, peer: IpAddr) -> bool {
        self.local.iter().any(|network| network.contains(peer))
    }

    /// Whether the rules say that a Contact is not where requests for its user agent should go: it spoke from `origin`.
    #[must_use]
    pub fn disbelieves_contact(&self, contact: &Uri<'_>, origin: &Origin) -> bool {
        let peer = SocketAddr::new(origin.peer.ip().to_canonical(), origin.peer.port());
        let Some(address) = address_of(contact.host()) else {
            return false;
        };
        let port = contact
            .port()
            .unwrap_or_else(|| origin.transport.default_port());
        let differs = SocketAddr::new(address, port) != peer;
        let unreachable = is_private(address) && address != peer.ip() && !self.is_local(peer.ip());
        (self.nat.contact_private && unreachable) || (self.nat.contact_differs && differs)
    }

    /// Whether the Contact of a message from this peer is not believed.
    #[must_use]
    pub fn has_distrusted_contact(&self, message: &Message, origin: &Origin) -> bool {
        // What most peers are: no Contact is read for them.
        if !self.nat.contact_differs
            && (!self.nat.contact_private || self.is_local(origin.peer.ip()))
        {
            return false;
        }
        let Ok(contacts) = message.contacts() else {
            return false;
        };
        let uri = contacts.first().and_then(|contact| contact.uri().ok());
        uri.is_some_and(|uri| self.disbelieves_contact(&uri, origin))
    }

    /// Whether a request comes from a user agent whose Contact is not believed: straight, and by one of the rules.
    #[must_use]
    pub fn is_behind_nat(&self, request: &Message, origin: &Origin) -> bool {
        let is_straight = || request.values(HeaderName::Via).nth(1).is_none();
        // No Via is read where no rule asks for it, as by default.
        let via_differs = self.nat.via_differs
            && is_straight()
            && request
                .top_via()
                .is_ok_and(|via| self.disbelieves_via(&via, origin));
        via_differs || (self.has_distrusted_contact(request, origin) && is_straight())
    }

    /// Whether the rule about Via says so.
    #[must_use]
    pub fn disbelieves_via(&self, via: &Via<'_>, origin: &Origin) -> bool {
        if !self.nat.via_differs {
            return false;
        }
        let peer = SocketAddr::new(origin.peer.ip().to_canonical(), origin.peer.port());
        let port = via.port.unwrap_or_else(|| origin.transport.default_port());
        address_of(via.host).is_none_or(|address| {
            address != peer.ip() || (!origin.transport.is_reliable() && port != peer.port())
        })
    }
}

#[cfg(test)]
mod tests {
    //! A network has the addresses it should; a Contact is disbelieved by the rules that are on, and by no other.
    use super::*;
    use crate::transport::{ListenerId, Transport};

    fn origin(peer: &str) -> Origin {
        Origin {
            listener: ListenerId(0),
            transport: Transport::Udp,
            peer: peer.parse().unwrap(),
            local: "203.0.113.1:5060".parse().unwrap(),
            connection: None,
        }
    }

    #[test]
    fn a_prefix_holds_what_its_bits_say() {
        let inside = |network: &str, address: &str| {
            network
                .parse::<Prefix>()
                .unwrap()
                .contains(address.parse().unwrap())
        };
        assert!(inside("10.0.0.0/8", "10.255.0.1"));
        assert!(!inside("10.0.0.0/8", "11.0.0.1"));
        assert!(inside("0.0.0.0/0", "198.51.100.1"));
        assert!(!inside("0.0.0.0/0", "2001:db8::1"));
        assert!(inside("192.0.2.7", "192.0.2.7"));
        assert!(!inside("192.0.2.7", "192.0.2.6"));
        assert!(inside("fc00::/7", "fd12::1"));
        assert!(inside("10.0.0.0/8", "::ffff:10.1.1.1"));
        for text in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "ten", "10.0.0.0/"] {
            assert!(text.parse::<Prefix>().is_err(), "{text}");
        }
    }

    #[test]
    fn by_default_only_an_address_that_nobody_could_reach_is_disbelieved() {
        let network = Network::default();
        let judge = |contact: &str, peer: &str| {
            network.disbelieves_contact(&Uri::parse(contact).unwrap(), &origin(peer))
        };
        assert!(judge("sip:a@10.0.0.9:5060", "198.51.100.7:40000"));
        assert!(judge("sip:a@100.64.0.9", "198.51.100.7:40000"));
        assert!(judge("sip:a@[fd00::9]", "[2001:db8::7]:40000"));
        // Another network of ours, which is routed.
        assert!(!judge("sip:a@10.0.0.9:5060", "192.168.1.2:5060"));
        assert!(!judge("sip:a@198.51.100.8:5060", "198.51.100.7:40000"));
        assert!(!judge("sip:a@pc.example.com", "198.51.100.7:40000"));
        assert!(!judge("sip:a@10.0.0.9:5060", "10.0.0.9:1024"));
    }

    #[test]
    fn the_other_rules_are_there_for_who_wants_them() {
        let mut network = Network::default();
        network.nat.contact_differs = true;
        let uri = Uri::parse("sip:a@198.51.100.7:5060").unwrap();
        assert!(network.disbelieves_contact(&uri, &origin("198.51.100.7:40000")));
        assert!(!network.disbelieves_contact(&uri, &origin("198.51.100.7:5060")));
        let via = Via::parse("SIP/2.0/UDP 10.0.0.9:5060;branch=z9hG4bK1").unwrap();
        assert!(!network.disbelieves_via(&via, &origin("198.51.100.7:5060")));
        network.nat.via_differs = true;
        assert!(network.disbelieves_via(&via, &origin("198.51.100.7:5060")));
        assert!(!network.disbelieves_via(&via, &origin("10.0.0.9:5060")));
    }
}
