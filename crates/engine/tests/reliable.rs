//! A provisional response that is to be reliable is repeated until its PRACK comes, and reaches the caller once (RFC 3262).
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod network;

use engine::event::{CommandError, Event};
use network::{Network, SDP, seconds};
use sip::{HeaderName, Method};

const RELIABLE: [(&str, &str); 1] = [("Require", "100rel")];

fn invited(headers: &[(&str, &str)]) -> (Network, engine::id::TransactionId) {
    let mut network = Network::new(2);
    network.send(0, Method::Invite, "sip:bob@192.0.2.2", headers, SDP);
    network.sent(0);
    let invite = network.request(1).transaction;
    (network, invite)
}

#[test]
fn it_is_repeated_until_the_prack_and_delivered_once() {
    let (mut network, invite) = invited(&[("Supported", "timer, 100rel")]);
    network.respond_with(1, invite, 183, &RELIABLE, SDP);
    let sent = network.sent(1).message;
    assert!(sent.header(HeaderName::RSeq).is_some());
    network.advance(seconds(2));
    assert_eq!(network.count("SIP/2.0 183"), 3);
    let progress = network.response(0);
    network.no_event(0);
    network.send_in(0, progress.dialog.unwrap(), Method::Prack, b"");
    let number = sent.header(HeaderName::RSeq).unwrap().text().into_owned();
    let prack = network.sent(0).message;
    let sequence = progress.message.cseq().unwrap().number;
    assert_eq!(
        prack.header(HeaderName::RAck).unwrap().text(),
        format!("{number} {sequence} INVITE")
    );
    let prack = network.request(1);
    network.respond(1, prack.transaction, 200, b"");
    network.sent(1);
    assert_eq!(network.response(0).message.status(), 200);
    network.advance(seconds(10));
    assert_eq!(network.count("SIP/2.0 183"), 3, "no more once acknowledged");
    network.respond(1, invite, 200, b"");
    let callee = network.sent(1).dialog.unwrap();
    let dialog = network.response(0).dialog.unwrap();
    assert_eq!(Some(dialog), progress.dialog);
    network.send_in(0, dialog, Method::Ack, b"");
    network.sent(0);
    network.request(1);
    network.hang_up(1, callee, 0);
    network.rest_empty();
}

#[test]
fn a_peer_that_does_not_know_it_is_not_bothered() {
    let (mut network, invite) = invited(&[]);
    network.respond_with(1, invite, 183, &RELIABLE, SDP);
    match network.event(1) {
        Event::Failed(failed) => assert_eq!(failed.error, CommandError::No100rel),
        other => panic!("{other:?}"),
    }
    network.respond(1, invite, 486, b"");
    network.rest_empty();
}

#[test]
fn a_peer_that_insists_gets_it_unasked_and_without_a_prack_the_call_fails() {
    let (mut network, invite) = invited(&[("Require", "100rel")]);
    network.respond(1, invite, 180, b"");
    assert!(network.sent(1).message.header(HeaderName::RSeq).is_some());
    assert_eq!(network.response(0).message.status(), 180);
    network.advance(seconds(33));
    assert_eq!(network.response(0).message.status(), 500);
    network.rest_empty();
}
