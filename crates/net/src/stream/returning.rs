//! Whom a response must reach whose connection is gone (RFC 3261 §18.2.2): another one is opened to where the request came from, and whoever
//! is there has to be the sent-by of its Via.
//!
//! The engine names nobody: what it sends goes back over the connection that the request came over, whose peer needs no other name.
use super::reuse::one_spelling;
use engine::Transmit;
use engine::flow::is_invalid;
use engine::transport::Transport;
use sip::{Host, Limits, Message};
use std::sync::Arc;

/// Whom a message is for, where it names no connection.
pub(super) struct Addressee {
    /// The domain that the peer of a new connection has to prove: what the message says itself or, of a response, the host of its top Via.
    /// None where that host is an address, or where the transport proves nothing.
    pub name: Option<Arc<str>>,
    /// A response to the very address that its request came from: whoever connected from there sent it, whatever his Via calls him.
    pub is_source: bool,
}

pub(super) fn addressee(transmit: &Transmit) -> Addressee {
    let transport = transmit.destination.transport;
    let mut addressee = Addressee {
        name: transmit.server_name.clone(),
        is_source: false,
    };
    if transport == Transport::Tcp
        || addressee.name.is_some()
        || !transmit.bytes.starts_with(b"SIP/2.0 ")
    {
        return addressee;
    }
    let message = Message::parse(transmit.bytes.clone(), &Limits::unlimited());
    if let Some(via) = message.as_ref().ok().and_then(|it| it.top_via().ok()) {
        let peer = transmit.destination.peer;
        addressee.is_source =
            via.received_address() == Some(peer.ip()) && via.rport().flatten() == Some(peer.port());
        if let Host::Name(name) = via.host {
            addressee.name = Some(one_spelling(Arc::from(name)));
        }
    }
    addressee
}

/// Whether nobody can be connected to under this name: a browser gives itself one (RFC 7118 §5.6), and is gone with its connection.
pub(super) fn is_nobody(name: Option<&Arc<str>>) -> bool {
    name.is_some_and(|name| is_invalid(name))
}
