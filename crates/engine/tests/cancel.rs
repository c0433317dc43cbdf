//! A CANCEL ends a call that was not answered, and a call that was answered meanwhile ends all the same.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod network;

use engine::event::{CommandError, DialogEndReason, Event};
use network::{Network, SDP, seconds};
use sip::Method;

fn ringing() -> (
    Network,
    engine::id::TransactionId,
    engine::id::TransactionId,
) {
    let mut network = Network::new(2);
    network.send(0, Method::Invite, "sip:bob@192.0.2.2", &[], SDP);
    let client = network.sent(0).transaction;
    let server = network.request(1).transaction;
    network.respond(1, server, 180, b"");
    network.sent(1);
    assert_eq!(network.response(0).message.status(), 180);
    (network, client, server)
}

#[test]
fn the_callee_is_told_and_the_caller_gets_487() {
    let (mut network, client, server) = ringing();
    network.cancel(0, client);
    assert_eq!(network.sent(0).message.method(), Method::Cancel);
    let cancel = network.request(1);
    assert_eq!(
        (cancel.message.method(), cancel.transaction),
        (Method::Cancel, server)
    );
    let response = network.response(0);
    assert_eq!(
        (response.message.status(), response.transaction),
        (487, client)
    );
    network.no_event(0);
    network.respond(1, server, 200, SDP);
    match network.event(1) {
        Event::Failed(failed) => assert_eq!(failed.error, CommandError::AlreadyAnswered),
        other => panic!("{other:?}"),
    }
    network.rest_empty();
}

#[test]
fn a_cancel_waits_for_a_provisional_response() {
    let mut network = Network::new(2);
    network.losses = vec![("100 Trying", 1)];
    network.send(0, Method::Invite, "sip:bob@192.0.2.2", &[], SDP);
    let client = network.sent(0).transaction;
    network.cancel(0, client);
    assert_eq!(network.count("CANCEL"), 0);
    network.advance(seconds(1));
    assert_eq!(
        network.count("CANCEL"),
        1,
        "the repeated INVITE got its 100"
    );
    assert_eq!(network.sent(0).message.method(), Method::Cancel);
    assert_eq!(network.response(0).message.status(), 487);
    network.request(1);
    assert_eq!(network.request(1).message.method(), Method::Cancel);
    network.rest_empty();
}

#[test]
fn an_answer_that_crosses_the_cancel_is_acknowledged_and_ended() {
    let (mut network, client, server) = ringing();
    network.losses = vec![("CSeq", 1)];
    network.cancel(0, client);
    network.sent(0);
    network.respond(1, server, 200, SDP);
    network.sent(1);
    let answer = network.response(0);
    assert_eq!(answer.message.status(), 200);
    match network.event(0) {
        Event::DialogEnded(ended) => {
            assert_eq!(ended.reason, DialogEndReason::AnsweredAfterCancel);
            assert_eq!(Some(ended.dialog), answer.dialog);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(network.request(1).message.method(), Method::Ack);
    let bye = network.request(1);
    assert_eq!(bye.message.method(), Method::Bye);
    network.respond(1, bye.transaction, 200, b"");
    network.rest_empty();
}

#[test]
fn a_cancel_of_nothing_gets_481_and_one_after_the_answer_only_200() {
    let (mut network, client, server) = ringing();
    network.respond(1, server, 200, SDP);
    let dialog = network.sent(1).dialog;
    network.cancel(0, client);
    let answer = network.response(0);
    assert_eq!(answer.message.status(), 200);
    match network.event(0) {
        Event::Failed(failed) => assert_eq!(failed.error, CommandError::AlreadyAnswered),
        other => panic!("{other:?}"),
    }
    network.send_in(0, answer.dialog.unwrap(), Method::Ack, b"");
    network.sent(0);
    network.request(1);
    network.hang_up(1, dialog.unwrap(), 0);
    network.rest_empty();
}

#[test]
fn an_invite_that_ends_silently_after_its_cancel_is_given_up() {
    let (mut network, client, _) = ringing();
    network.losses = vec![("487", 100), ("200 OK", 100)];
    network.cancel(0, client);
    network.sent(0);
    network.advance(seconds(33));
    assert_eq!(network.response(0).message.status(), 408);
    network.rest_empty();
}
