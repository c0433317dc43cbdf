//! A callee's BYE waits for the ACK of its 2xx, or until none can come any more (RFC 3261 §15).
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod network;

use engine::event::{CommandError, Event};
use network::{Network, SDP, seconds};
use sip::Method;

/// A call that host 1 answered and host 0 has not acknowledged; gives both dialogs.
fn answered(network: &mut Network) -> (engine::id::DialogId, engine::id::DialogId) {
    network.send(0, Method::Invite, "sip:bob@192.0.2.2", &[], SDP);
    network.sent(0);
    let invite = network.request(1);
    network.respond(1, invite.transaction, 200, SDP);
    let callee = network.sent(1).dialog.unwrap();
    let caller = network.response(0).dialog.unwrap();
    (caller, callee)
}

#[test]
fn it_goes_out_when_the_ack_comes() {
    let mut network = Network::new(2);
    let (caller, callee) = answered(&mut network);
    network.send_in(1, callee, Method::Bye, b"");
    network.no_event(0);
    assert_eq!(network.count("BYE"), 0);
    network.send_in(0, caller, Method::Ack, b"");
    network.sent(0);
    assert_eq!(network.request(1).message.method(), Method::Ack);
    assert_eq!(network.sent(1).message.method(), Method::Bye);
    let bye = network.request(0);
    network.respond(0, bye.transaction, 200, b"");
    network.sent(0);
    assert_eq!(network.response(1).message.status(), 200);
    network.rest_empty();
}

#[test]
fn without_an_ack_it_goes_out_after_64_t1() {
    let mut network = Network::new(2);
    let (_, callee) = answered(&mut network);
    network.send_in(1, callee, Method::Bye, b"");
    network.advance(seconds(31));
    assert_eq!(network.count("BYE"), 0);
    network.advance(seconds(2));
    assert_eq!(network.sent(1).message.method(), Method::Bye);
    let bye = network.request(0);
    network.respond(0, bye.transaction, 200, b"");
    network.sent(0);
    assert_eq!(network.response(1).message.status(), 200);
    network.rest_empty();
}

#[test]
fn it_fails_when_the_caller_hangs_up_first() {
    let mut network = Network::new(2);
    let (caller, callee) = answered(&mut network);
    network.send_in(1, callee, Method::Bye, b"");
    network.send_in(0, caller, Method::Bye, b"");
    network.sent(0);
    let bye = network.request(1);
    network.respond(1, bye.transaction, 200, b"");
    let events = [network.event(1), network.event(1)];
    assert!(events.iter().any(
        |event| matches!(event, Event::Failed(failed) if failed.error == CommandError::UnknownDialog)
    ));
    network.response(0);
    network.rest_empty();
}
