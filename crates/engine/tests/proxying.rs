//! A proxied call passes both ways, ends as its caller or callee wants, and leaves nothing behind in the proxy.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod network;

use engine::command::{Forking, ProxyOptions};
use engine::event::{CommandError, DialogEndReason, Event};
use engine::id::TransactionId;
use network::{Network, SDP, seconds};
use sip::{HeaderName, Method};

const CALLER: usize = 0;
const PROXY: usize = 1;
const CALLEE: usize = 2;

fn options(record_route: bool) -> ProxyOptions {
    ProxyOptions {
        record_route,
        ..ProxyOptions::default()
    }
}

fn dialled(hosts: usize, targets: &[&str], options: ProxyOptions) -> (Network, TransactionId) {
    let mut network = Network::new(hosts);
    network.send(CALLER, Method::Invite, "sip:bob@192.0.2.2", &[], SDP);
    let client = network.sent(CALLER).transaction;
    let invite = network.request(PROXY);
    network.proxy(PROXY, invite.transaction, targets, options);
    (network, client)
}

fn done(network: &mut Network) -> Option<u16> {
    match network.event(PROXY) {
        Event::ProxyDone(done) => done.status,
        other => panic!("{other:?}"),
    }
}

#[test]
fn with_record_route_the_whole_call_passes_and_no_application_sees_its_bye() {
    let (mut network, _) = dialled(3, &["sip:bob@192.0.2.3"], options(true));
    let invite = network.request(CALLEE);
    assert_eq!(invite.message.request_uri(), "sip:bob@192.0.2.3");
    assert_eq!(invite.message.vias().count(), 2);
    network.respond(CALLEE, invite.transaction, 180, b"");
    network.sent(CALLEE);
    network.respond(CALLEE, invite.transaction, 200, SDP);
    network.sent(CALLEE);
    assert_eq!(network.response(CALLER).message.status(), 180);
    let answer = network.response(CALLER);
    assert_eq!(answer.message.status(), 200);
    assert_eq!(answer.message.vias().count(), 1);
    assert_eq!(done(&mut network), Some(200));
    network.send_in(CALLER, answer.dialog.unwrap(), Method::Ack, b"");
    network.sent(CALLER);
    assert_eq!(network.request(CALLEE).message.method(), Method::Ack);
    network.hang_up(CALLER, answer.dialog.unwrap(), CALLEE);
    network.no_event(PROXY);
    let acks = network
        .wire
        .iter()
        .filter(|(_, _, line)| line.starts_with("ACK"))
        .map(|(from, to, _)| (*from, *to));
    assert_eq!(acks.collect::<Vec<_>>(), [(CALLER, PROXY), (PROXY, CALLEE)]);
    assert_eq!(network.count("BYE"), 2);
    network.rest_empty();
}

#[test]
fn without_record_route_the_rest_of_the_call_goes_past_the_proxy() {
    let (mut network, _) = dialled(3, &["sip:bob@192.0.2.3"], options(false));
    let invite = network.request(CALLEE);
    network.respond(CALLEE, invite.transaction, 200, SDP);
    network.sent(CALLEE);
    let answer = network.response(CALLER);
    assert_eq!(done(&mut network), Some(200));
    network.send_in(CALLER, answer.dialog.unwrap(), Method::Ack, b"");
    network.sent(CALLER);
    network.request(CALLEE);
    network.hang_up(CALLER, answer.dialog.unwrap(), CALLEE);
    assert_eq!(network.count("BYE"), 1);
    network.rest_empty();
}

#[test]
fn a_reinvite_and_its_ack_pass_a_proxy_that_stays_in_the_path() {
    let (mut network, _) = dialled(3, &["sip:bob@192.0.2.3"], options(true));
    let invite = network.request(CALLEE);
    network.respond(CALLEE, invite.transaction, 200, SDP);
    let callee = network.sent(CALLEE).dialog.unwrap();
    let caller = network.response(CALLER).dialog.unwrap();
    network.send_in(CALLER, caller, Method::Ack, b"");
    network.sent(CALLER);
    network.request(CALLEE);
    network.send_in(CALLEE, callee, Method::Invite, SDP);
    network.sent(CALLEE);
    let again = network.request(CALLER);
    network.respond(CALLER, again.transaction, 200, SDP);
    network.sent(CALLER);
    assert_eq!(network.response(CALLEE).message.status(), 200);
    network.send_in(CALLEE, callee, Method::Ack, b"");
    network.sent(CALLEE);
    assert_eq!(network.request(CALLER).message.method(), Method::Ack);
    network.hang_up(CALLEE, callee, CALLER);
    network.rest_empty();
}

#[test]
fn the_second_target_is_tried_when_the_first_refuses() {
    let (mut network, _) = dialled(
        4,
        &["sip:bob@192.0.2.3", "sip:bob@192.0.2.4"],
        options(false),
    );
    let first = network.request(CALLEE);
    network.respond(CALLEE, first.transaction, 486, b"");
    let second = network.request(3);
    network.respond(3, second.transaction, 200, SDP);
    let dialog = network.sent(3).dialog.unwrap();
    let answer = network.response(CALLER);
    assert_eq!(answer.message.status(), 200);
    assert_eq!(done(&mut network), Some(200));
    network.send_in(CALLER, answer.dialog.unwrap(), Method::Ack, b"");
    network.sent(CALLER);
    network.request(3);
    network.hang_up(3, dialog, CALLER);
    network.rest_empty();
}

#[test]
fn of_two_targets_at_once_the_first_to_answer_wins_and_the_other_is_cancelled() {
    let options = ProxyOptions {
        forking: Forking::Simultaneous,
        ..ProxyOptions::default()
    };
    let (mut network, _) = dialled(4, &["sip:bob@192.0.2.3", "sip:bob@192.0.2.4"], options);
    let (first, second) = (network.request(CALLEE), network.request(3));
    network.respond(CALLEE, first.transaction, 180, b"");
    network.respond(3, second.transaction, 200, SDP);
    assert_eq!(network.response(CALLER).message.status(), 180);
    let answer = network.response(CALLER);
    assert_eq!(answer.message.status(), 200);
    network.sent(CALLEE);
    assert_eq!(network.request(CALLEE).message.method(), Method::Cancel);
    assert_eq!(done(&mut network), Some(200));
    network.send_in(CALLER, answer.dialog.unwrap(), Method::Ack, b"");
    network.sent(CALLER);
    network.sent(3);
    network.request(3);
    network.hang_up(CALLER, answer.dialog.unwrap(), 3);
    network.rest_empty();
}

#[test]
fn a_request_that_comes_back_unchanged_is_a_loop() {
    let (mut network, _) = dialled(2, &[], options(false));
    let again = network.request(PROXY);
    network.proxy(PROXY, again.transaction, &[], options(false));
    match network.event(PROXY) {
        Event::Failed(failed) => assert_eq!(failed.error, CommandError::Loop),
        other => panic!("{other:?}"),
    }
    assert_eq!(network.response(CALLER).message.status(), 482);
    assert_eq!(done(&mut network), Some(482));
    network.rest_empty();
}

#[test]
fn the_callers_cancel_reaches_the_callee_and_487_the_caller() {
    let (mut network, client) = dialled(3, &["sip:bob@192.0.2.3"], options(true));
    let invite = network.request(CALLEE);
    network.respond(CALLEE, invite.transaction, 180, b"");
    network.sent(CALLEE);
    network.response(CALLER);
    network.cancel(CALLER, client);
    network.sent(CALLER);
    assert_eq!(network.request(CALLEE).message.method(), Method::Cancel);
    assert_eq!(network.response(CALLER).message.status(), 487);
    assert_eq!(done(&mut network), Some(487));
    network.rest_empty();
}

#[test]
fn an_answer_that_crosses_the_cancel_still_reaches_the_caller() {
    let (mut network, client) = dialled(3, &["sip:bob@192.0.2.3"], options(true));
    let invite = network.request(CALLEE);
    network.respond(CALLEE, invite.transaction, 180, b"");
    network.sent(CALLEE);
    network.response(CALLER);
    network.losses = vec![("CANCEL sip:bob@192.0.2.3", 1)];
    network.cancel(CALLER, client);
    network.sent(CALLER);
    network.respond(CALLEE, invite.transaction, 200, SDP);
    assert_eq!(network.response(CALLER).message.status(), 200);
    match network.event(CALLER) {
        Event::DialogEnded(ended) => assert_eq!(ended.reason, DialogEndReason::AnsweredAfterCancel),
        other => panic!("{other:?}"),
    }
    network.sent(CALLEE);
    assert_eq!(network.request(CALLEE).message.method(), Method::Ack);
    let bye = network.request(CALLEE);
    network.respond(CALLEE, bye.transaction, 200, b"");
    network.rest_empty();
}

#[test]
fn lost_messages_are_made_good_on_each_hop() {
    let mut network = Network::new(3);
    network.losses = vec![
        ("INVITE sip:bob@192.0.2.3", 2),
        ("200 OK", 2),
        ("ACK", 2),
        ("BYE", 2),
    ];
    network.send(CALLER, Method::Invite, "sip:bob@192.0.2.2", &[], SDP);
    network.sent(CALLER);
    let invite = network.request(PROXY);
    network.proxy(
        PROXY,
        invite.transaction,
        &["sip:bob@192.0.2.3"],
        options(true),
    );
    network.advance(seconds(3));
    let invite = network.request(CALLEE);
    network.respond(CALLEE, invite.transaction, 200, SDP);
    network.sent(CALLEE);
    network.advance(seconds(8));
    let dialog = network.response(CALLER).dialog.unwrap();
    assert_eq!(done(&mut network), Some(200));
    network.send_in(CALLER, dialog, Method::Ack, b"");
    network.sent(CALLER);
    network.advance(seconds(10));
    assert_eq!(network.request(CALLEE).message.method(), Method::Ack);
    network.send_in(CALLER, dialog, Method::Bye, b"");
    network.sent(CALLER);
    network.advance(seconds(5));
    let bye = network.request(CALLEE);
    network.respond(CALLEE, bye.transaction, 200, b"");
    assert_eq!(network.response(CALLER).message.status(), 200);
    network.rest_empty();
}

#[test]
fn a_target_that_never_answers_gives_the_caller_408() {
    let (mut network, _) = dialled(2, &["sip:bob@192.0.2.9"], options(false));
    network.advance(seconds(33));
    assert_eq!(network.response(CALLER).message.status(), 408);
    assert_eq!(done(&mut network), Some(408));
    network.rest_empty();
}

#[test]
fn requests_without_a_dialog_are_proxied_too_and_without_state_if_so_asked() {
    for stateless in [false, true] {
        let mut network = Network::new(3);
        network.send(
            CALLER,
            Method::Message,
            "sip:bob@192.0.2.2",
            &[("Content-Type", "text/plain")],
            b"hello",
        );
        network.sent(CALLER);
        let message = network.request(PROXY);
        let options = ProxyOptions {
            stateless,
            ..ProxyOptions::default()
        };
        network.proxy(PROXY, message.transaction, &["sip:bob@192.0.2.3"], options);
        let message = network.request(CALLEE);
        assert_eq!(message.message.body(), b"hello");
        assert_eq!(
            message
                .message
                .header(HeaderName::MaxForwards)
                .unwrap()
                .text(),
            "69"
        );
        network.respond(CALLEE, message.transaction, 200, b"");
        assert_eq!(network.response(CALLER).message.status(), 200);
        assert_eq!(done(&mut network), if stateless { None } else { Some(200) });
        network.rest_empty();
    }
}

#[test]
fn a_list_of_more_targets_than_are_tried_fails_and_the_application_still_answers() {
    let targets: Vec<String> = (0..1000)
        .map(|number| format!("sip:u{number}@192.0.2.3"))
        .collect();
    let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
    let mut network = Network::new(3);
    network.send(CALLER, Method::Invite, "sip:bob@192.0.2.2", &[], SDP);
    network.sent(CALLER);
    let invite = network.request(PROXY);
    network.proxy(PROXY, invite.transaction, &targets, options(false));
    match network.event(PROXY) {
        Event::Failed(failed) => assert!(matches!(failed.error, CommandError::Limit(_))),
        other => panic!("{other:?}"),
    }
    network.no_event(CALLEE);
    network.no_event(CALLER);
    network.respond(PROXY, invite.transaction, 480, b"");
    assert_eq!(network.response(CALLER).message.status(), 480);
    network.rest_empty();
}

#[test]
fn silent_targets_are_given_up_when_the_caller_would_have_been() {
    let targets: Vec<String> = (0..100)
        .map(|number| format!("sip:bob@192.0.2.{}", 100 + number))
        .collect();
    let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
    let (mut network, _) = dialled(1 + PROXY, &targets, options(false));
    network.advance(seconds(230));
    assert_eq!(done(&mut network), Some(408));
    assert_eq!(network.response(CALLER).message.status(), 408);
    network.rest_empty();
}
