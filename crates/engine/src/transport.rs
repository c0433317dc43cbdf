//! Where a message came from and where it is to go: plain data, no sockets.
use crate::id::ConnectionId;
use bytes::Bytes;
use sip::Host;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// A SIP transport (RFC 3261 §18, RFC 7118).
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Transport {
    /// UDP datagrams.
    Udp,
    /// TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
    /// WebSocket over TCP.
    Ws,
    /// WebSocket over TLS.
    Wss,
}

impl Transport {
    /// The name in a Via header field: `UDP`, `TCP`, `TLS`, `WS`, `WSS`.
    #[must_use]
    pub fn via(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS",
            Transport::Ws => "WS",
            Transport::Wss => "WSS",
        }
    }

    /// The name in a URI's `transport` parameter, and on the control protocol: lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
            Transport::Ws => "ws",
            Transport::Wss => "wss",
        }
    }

    /// The transport of that name, in any case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Transport> {
        [
            Transport::Udp,
            Transport::Tcp,
            Transport::Tls,
            Transport::Ws,
            Transport::Wss,
        ]
        .into_iter()
        .find(|transport| transport.name().eq_ignore_ascii_case(name))
    }

    /// Whether the transport delivers what it accepted, in order (RFC 3261 §17: no retransmission timers).
    #[must_use]
    pub fn is_reliable(self) -> bool {
        !matches!(self, Transport::Udp)
    }

    /// Whether the transport is encrypted.
    #[must_use]
    pub fn is_secure(self) -> bool {
        matches!(self, Transport::Tls | Transport::Wss)
    }

    /// The port when a URI names none (RFC 3261 §19.1.2).
    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Transport::Udp | Transport::Tcp => 5060,
            Transport::Tls => 5061,
            Transport::Ws => 80,
            Transport::Wss => 443,
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The index of a listener in `Config::listeners`.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct ListenerId(pub u16);

/// Where a message was received.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Origin {
    /// The listener that received it, or through which the connection was opened.
    pub listener: ListenerId,
    /// The transport it came over.
    pub transport: Transport,
    /// The sender's address.
    pub peer: SocketAddr,
    /// Our own address that received it.
    pub local: SocketAddr,
    /// The connection it came over; none on UDP.
    pub connection: Option<ConnectionId>,
}

/// The certificate of a peer, who proved to have its key and whose authority is trusted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PeerCertificate {
    /// The domains that it proves (RFC 5922 §7.1), lower case: its SIP URIs without a user, and its DNS names.
    pub domains: Vec<String>,
    /// All its names (subject alternative names), as written: DNS names, URIs, addresses.
    pub names: Vec<String>,
    /// Its subject, as text: `CN=sip.example.com, O=Example`.
    pub subject: String,
}

impl PeerCertificate {
    /// Whether it proves this host: a domain, or an address that it names.
    #[must_use]
    pub fn proves_host(&self, host: Host<'_>) -> bool {
        let address = match host {
            Host::Name(domain) => return self.proves(domain),
            Host::V4(address) => IpAddr::V4(address),
            Host::V6(address) => IpAddr::V6(address),
        };
        let mut names = self.names.iter();
        // What is written like an address is none where it is named as a domain.
        names.any(|own| own.parse() == Ok(address) && !self.domains.contains(own))
    }

    /// Whether it proves this domain.
    #[must_use]
    pub fn proves(&self, domain: &str) -> bool {
        let domain = domain.trim_end_matches('.');
        self.domains
            .iter()
            .any(|own| own.eq_ignore_ascii_case(domain))
    }
}

/// Where a message is to be sent.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Destination {
    /// The listener to send from (UDP), or whose identity a new connection takes.
    pub listener: ListenerId,
    /// The transport to use.
    pub transport: Transport,
    /// The address to send to.
    pub peer: SocketAddr,
    /// The connection to use while it is open; otherwise the driver reuses or opens one to `peer`.
    pub connection: Option<ConnectionId>,
}

/// A message to put on the wire.
#[derive(Clone, Debug)]
pub struct Transmit {
    /// Where it goes.
    pub destination: Destination,
    /// Over TLS and WSS, the domain that the peer has to prove (RFC 5922 §4): the host of the URI, before it was looked up. None where
    /// the address is all that is known, or wanted: any connection to it will do.
    pub server_name: Option<Arc<str>>,
    /// The whole message.
    pub bytes: Bytes,
    /// What to name it by when it cannot be delivered.
    pub token: TransmitToken,
}

/// Names a message that was transmitted, for `Engine::handle_transmit_failed`. Opaque to the driver.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct TransmitToken {
    pub(crate) transaction: u64,
    pub(crate) attempt: u32,
}

impl TransmitToken {
    /// The token of a message whose loss changes nothing: reporting it may be left out.
    pub const NONE: TransmitToken = TransmitToken {
        transaction: u64::MAX,
        attempt: 0,
    };
}

/// Why a message could not be delivered.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum TransmitError {
    /// The peer refused the connection (or an ICMP error said that nobody listens).
    Refused,
    /// No route to the peer, or no permission.
    Unreachable,
    /// The connection could not be opened in time.
    TimedOut,
    /// The connection was lost with the message unsent.
    Closed,
    /// The message is longer than a datagram can be.
    TooLarge,
    /// Too much is waiting to be sent to this peer.
    Congested,
    /// The certificate that the peer showed is not trusted, or not for its name; or it does not trust ours.
    Untrusted(Distrust),
    /// TLS or WebSocket could not be agreed upon with the peer.
    Handshake,
}

/// What was wrong with a certificate. A closed list: nothing that the peer wrote into its certificate gets further than the log.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Distrust {
    /// The peer's is past its end.
    Expired,
    /// The peer's has not begun.
    NotYetValid,
    /// The peer's is for other names than the one that was wanted (RFC 5922 §7.3).
    OtherName,
    /// The peer's is by an authority that is not trusted here.
    UnknownAuthority,
    /// The peer's is an authority's own, not a server's.
    Authority,
    /// The peer's was revoked.
    Revoked,
    /// The peer's cannot be trusted for another reason: the log has it.
    Other,
    /// Ours was not accepted by the peer.
    OwnRefused,
    /// The peer demands one of ours, and there is none.
    OwnMissing,
}

impl Distrust {
    /// What was wrong, for people.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Distrust::Expired => "certificate not trusted: it expired",
            Distrust::NotYetValid => "certificate not trusted: it is not valid yet",
            Distrust::OtherName => "certificate not trusted: it is for another name",
            Distrust::UnknownAuthority => "certificate not trusted: unknown authority",
            Distrust::Authority => "certificate not trusted: it is an authority's own",
            Distrust::Revoked => "certificate not trusted: it was revoked",
            Distrust::Other => "certificate not trusted",
            Distrust::OwnRefused => "the peer does not accept our certificate",
            Distrust::OwnMissing => "the peer demands a certificate of ours",
        }
    }
}

impl TransmitError {
    /// What happened, for people and the reason phrase of a locally made 503.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            TransmitError::Refused => "connection refused",
            TransmitError::Unreachable => "no route to host",
            TransmitError::TimedOut => "connection timed out",
            TransmitError::Closed => "connection lost",
            TransmitError::TooLarge => "message too large",
            TransmitError::Congested => "too much waiting for this peer",
            TransmitError::Untrusted(distrust) => distrust.text(),
            TransmitError::Handshake => "TLS or WebSocket handshake failed",
        }
    }
}
