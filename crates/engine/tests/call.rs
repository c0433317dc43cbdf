//! Two engines set a call up and down, and nothing is left of it afterwards.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod network;

use engine::event::{CommandError, DialogEndReason, Event};
use network::{Network, SDP, seconds};
use sip::{HeaderName, Method};

#[test]
fn a_call_is_answered_acknowledged_and_ended_and_leaves_nothing() {
    let mut network = Network::new(2);
    let (caller, _) = network.call();
    network.hang_up(0, caller, 1);
    network.rest_empty();
    let lines: Vec<&str> = network
        .wire
        .iter()
        .map(|(_, _, line)| line.as_str())
        .collect();
    assert_eq!(
        lines,
        [
            "INVITE sip:bob@192.0.2.2 SIP/2.0",
            "SIP/2.0 100 Trying",
            "SIP/2.0 200 OK",
            "ACK sip:192.0.2.2:5060 SIP/2.0",
            "BYE sip:192.0.2.2:5060 SIP/2.0",
            "SIP/2.0 200 OK",
        ]
    );
}

#[test]
fn the_callee_may_end_the_call_too() {
    let mut network = Network::new(2);
    let (_, callee) = network.call();
    network.hang_up(1, callee, 0);
    network.rest_empty();
}

#[test]
fn provisional_responses_create_the_dialog_that_the_answer_confirms() {
    let mut network = Network::new(2);
    network.send(0, Method::Invite, "sip:bob@192.0.2.2", &[], SDP);
    let sent = network.sent(0);
    let invite = network.request(1);
    network.respond(1, invite.transaction, 180, b"");
    let ringing = network.sent(1);
    network.respond(1, invite.transaction, 200, SDP);
    let answered = network.sent(1);
    assert_eq!(ringing.dialog, answered.dialog);
    let (first, second) = (network.response(0), network.response(0));
    assert_eq!(
        (first.message.status(), second.message.status()),
        (180, 200)
    );
    assert_eq!(first.transaction, sent.transaction);
    assert_eq!(first.dialog, second.dialog);
    assert!(second.message.header(HeaderName::ContentType).is_some());
    network.send_in(0, second.dialog.unwrap(), Method::Ack, b"");
    network.sent(0);
    network.request(1);
    network.hang_up(0, second.dialog.unwrap(), 1);
    network.rest_empty();
}

#[test]
fn a_response_that_fits_no_datagram_is_refused_and_another_may_be_given() {
    let mut network = Network::new(2);
    network.send(0, Method::Invite, "sip:bob@192.0.2.2", &[], SDP);
    network.sent(0);
    let invite = network.request(1);
    let long = "y".repeat(65_000);
    network.respond_with(
        1,
        invite.transaction,
        404,
        &[("X", &long), ("Y", &long)],
        b"",
    );
    match network.event(1) {
        Event::Failed(failed) => assert!(matches!(failed.error, CommandError::Limit(_))),
        other => panic!("{other:?}"),
    }
    network.respond(1, invite.transaction, 500, b"");
    network.sent(1);
    assert_eq!(network.response(0).message.status(), 500);
    network.rest_empty();
}

#[test]
fn lost_messages_are_repeated_until_the_call_stands() {
    let mut network = Network::new(2);
    network.losses = vec![("INVITE sip:", 2), ("200 OK", 1), ("ACK sip:", 1)];
    network.send(0, Method::Invite, "sip:bob@192.0.2.2", &[], SDP);
    network.sent(0);
    network.advance(seconds(2));
    let invite = network.request(1);
    network.respond(1, invite.transaction, 200, SDP);
    network.sent(1);
    network.advance(seconds(1));
    let answer = network.response(0);
    network.send_in(0, answer.dialog.unwrap(), Method::Ack, b"");
    network.sent(0);
    network.no_event(1);
    network.advance(seconds(5));
    // The repeated 2xx got its ACK repeated by the engine, and reached neither application twice.
    assert_eq!(network.request(1).message.method(), Method::Ack);
    network.no_event(0);
    network.hang_up(0, answer.dialog.unwrap(), 1);
    network.rest_empty();
}

#[test]
fn a_refused_call_is_acknowledged_by_the_engine() {
    let mut network = Network::new(2);
    network.losses = vec![("ACK sip:", 1)];
    network.send(0, Method::Invite, "sip:bob@192.0.2.2", &[], SDP);
    network.sent(0);
    let invite = network.request(1);
    network.respond(1, invite.transaction, 180, b"");
    network.sent(1);
    network.respond(1, invite.transaction, 486, b"");
    network.sent(1);
    assert_eq!(network.response(0).message.status(), 180);
    assert_eq!(network.response(0).message.status(), 486);
    network.rest_empty();
    assert_eq!(
        network.count("ACK"),
        2,
        "the lost ACK, and the one for the repeated 486"
    );
    network.no_event(0);
    network.no_event(1);
}

#[test]
fn an_answer_that_nobody_acknowledges_ends_in_a_bye() {
    let mut network = Network::new(2);
    network.send(0, Method::Invite, "sip:bob@192.0.2.2", &[], SDP);
    network.sent(0);
    let invite = network.request(1);
    network.respond(1, invite.transaction, 200, SDP);
    network.sent(1);
    network.response(0);
    network.advance(seconds(33));
    match network.event(1) {
        Event::DialogEnded(ended) => {
            assert_eq!(ended.reason, DialogEndReason::AckTimeout);
            assert_eq!(ended.message.method(), Method::Bye);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(
        network.count("SIP/2.0 200"),
        11,
        "T1 doubling to T2 for 64*T1"
    );
    let bye = network.request(0);
    network.respond(0, bye.transaction, 200, b"");
    network.rest_empty();
}

#[test]
fn a_request_for_a_dialog_that_is_not_there_gets_481() {
    let mut network = Network::new(2);
    let (caller, callee) = network.call();
    network.hang_up(0, caller, 1);
    network.send_in(1, callee, Method::Bye, b"");
    match network.event(1) {
        Event::Failed(failed) => assert_eq!(failed.error, CommandError::UnknownDialog),
        other => panic!("{other:?}"),
    }
    network.send(
        0,
        Method::Bye,
        "sip:192.0.2.2",
        &[("To", "<sip:b@192.0.2.2>;tag=nobody")],
        b"",
    );
    network.sent(0);
    assert_eq!(network.response(0).message.status(), 481);
    network.rest_empty();
}

#[test]
fn a_reinvite_moves_the_session_and_a_crossing_one_gets_491() {
    let mut network = Network::new(2);
    let (caller, callee) = network.call();
    network.losses = vec![("CSeq", 1)];
    network.send_in(0, caller, Method::Invite, SDP);
    network.sent(0);
    network.send_in(1, callee, Method::Invite, SDP);
    network.sent(1);
    assert_eq!(network.response(1).message.status(), 491);
    network.advance(seconds(1));
    let crossing = network.request(1);
    network.respond(1, crossing.transaction, 200, SDP);
    network.sent(1);
    assert_eq!(network.response(0).message.status(), 200);
    network.send_in(0, caller, Method::Ack, b"");
    network.sent(0);
    let ack = network.request(1);
    assert_eq!(ack.transaction, crossing.transaction);
    network.hang_up(1, callee, 0);
    network.rest_empty();
}
