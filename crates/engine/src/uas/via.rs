//! The top Via of a request: completed on receipt, and where it sends the response (RFC 3261 §18.2, RFC 3581).
use crate::transport::{Destination, Origin};
use sip::header::via::Via;
use sip::{HeaderName, Limits, Message, Patch};
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

/// The request with `received` and `rport` in its top Via. The engine puts them into every request: whoever sends from an
/// address it does not know needs them, and nobody minds (`rport` forced, as the deployed world does).
///
/// None when the result cannot be read, which cannot happen to a message that was read.
pub(crate) fn complete(message: &Message, via: &Via<'_>, origin: &Origin) -> Option<Message> {
    let (host, port) = via.sent_by();
    let mut value = String::with_capacity(160);
    let _ = write!(value, "SIP/2.0/{} {host}", via.transport);
    if let Some(port) = port {
        let _ = write!(value, ":{port}");
    }
    for (name, content) in via.params.iter() {
        if name.eq_ignore_ascii_case("rport") || name.eq_ignore_ascii_case("received") {
            continue;
        }
        let _ = match content {
            Some(content) => write!(value, ";{name}={content}"),
            None => write!(value, ";{name}"),
        };
    }
    let _ = write!(
        value,
        ";rport={};received={}",
        origin.peer.port(),
        origin.peer.ip().to_canonical()
    );
    if let Some(completed) = message.with_first_value(HeaderName::Via, value.as_bytes()) {
        return Some(completed);
    }
    let mut patch = Patch::new(message);
    patch.replace_first_value(HeaderName::Via, value);
    // What was within the limits on receipt stays so to its reader: the few bytes added are ours.
    Message::parse(patch.write(), &unlimited()).ok()
}

/// Limits for messages that the engine wrote itself.
pub(crate) fn unlimited() -> Limits {
    Limits::unlimited()
}

/// Whether an address is everybody's or nobody's: nothing is sent there because a message says so (RFC 4475 §3.3.10).
pub(crate) fn is_everybody(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_broadcast() || address.is_unspecified(),
        IpAddr::V6(address) => address.is_unspecified(),
    }
}

/// Where the response to a request goes (RFC 3261 §18.2.2, RFC 3581 §4). `maddr` is followed to the source itself, and where
/// the source `is_trusted`: else whoever asks could have the answers, and what is repeated of them, sent to anybody.
pub(crate) fn response_destination(
    via: &Via<'_>,
    origin: &Origin,
    is_trusted: bool,
) -> Destination {
    let (_, port) = via.sent_by();
    let port = port.unwrap_or_else(|| origin.transport.default_port());
    let peer = if origin.transport.is_reliable() {
        // Used when the connection is gone: the request's source address, at the port that the Via names.
        SocketAddr::new(origin.peer.ip(), port)
    } else {
        let source = origin.peer.ip().to_canonical();
        let named = via
            .params
            .get("maddr")
            .flatten()
            .and_then(|address| address.parse::<IpAddr>().ok())
            .filter(|address| !is_everybody(*address))
            .filter(|address| *address == source || is_trusted);
        named.map_or(origin.peer, |address| SocketAddr::new(address, port))
    };
    Destination {
        listener: origin.listener,
        transport: origin.transport,
        peer,
        connection: origin.connection,
    }
}

#[cfg(test)]
mod tests {
    //! Nobody has answers sent to somebody else.
    use super::*;
    use crate::transport::{ListenerId, Transport};

    #[test]
    fn maddr_is_followed_to_the_source_and_for_who_is_trusted() {
        let origin = Origin {
            listener: ListenerId(0),
            transport: Transport::Udp,
            peer: "198.51.100.7:4000".parse().unwrap(),
            local: "192.0.2.1:5060".parse().unwrap(),
            connection: None,
        };
        let towards = |maddr: &str, is_trusted| {
            let via = format!("SIP/2.0/UDP a.example:5070;branch=z9hG4bKx;maddr={maddr}");
            let via = Via::parse(&via).unwrap();
            response_destination(&via, &origin, is_trusted)
                .peer
                .to_string()
        };
        assert_eq!(towards("203.0.113.9", false), "198.51.100.7:4000");
        assert_eq!(towards("127.0.0.1", false), "198.51.100.7:4000");
        assert_eq!(towards("255.255.255.255", true), "198.51.100.7:4000");
        assert_eq!(towards("203.0.113.9", true), "203.0.113.9:5070");
        assert_eq!(towards("224.0.1.75", false), "198.51.100.7:4000");
        assert_eq!(towards("224.0.1.75", true), "224.0.1.75:5070");
        assert_eq!(towards("198.51.100.7", false), "198.51.100.7:5070");
    }
}
