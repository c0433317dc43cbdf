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

pub(super) fn is_response(transmit: &Transmit) -> bool {
    transmit.bytes.starts_with(b"SIP/2.0 ")
}

/// The domain that the peer of a new connection for this message has to prove: what it says itself or, of a response, the host of its top
/// Via. None where that host is an address, or where the transport proves nothing.
pub(super) fn wanted_name(transmit: &Transmit) -> Option<Arc<str>> {
    let transport = transmit.destination.transport;
    let is_nameless = matches!(transport, Transport::Udp | Transport::Tcp);
    if is_nameless || transmit.server_name.is_some() || !is_response(transmit) {
        return transmit.server_name.clone();
    }
    let message = Message::parse(transmit.bytes.clone(), &Limits::unlimited()).ok()?;
    match message.top_via().ok()?.host {
        Host::Name(name) => Some(one_spelling(Arc::from(name))),
        Host::V4(_) | Host::V6(_) => None,
    }
}

/// Whether nobody can be connected to under this name: a browser gives itself one (RFC 7118 §5.6), and is gone with its connection.
pub(super) fn is_nobody(name: Option<&Arc<str>>) -> bool {
    name.is_some_and(|name| is_invalid(name))
}
