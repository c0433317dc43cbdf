//! In whatever order CANCEL, 200 and 100 cross, a cancelled call ends at both ends, and nobody is left ringing or talking alone.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
use engine::Event;
use engine::event::{CommandError, DialogEndReason};
use engine::id::TransactionId;
use simnet::actions::SDP;
use simnet::{Faults, HostId, World};
use sip::Method;
use std::time::Duration;

/// Alice calls Bob, who rings.
fn ringing(seed: u64) -> (World, HostId, HostId, TransactionId, TransactionId) {
    let mut world = World::new(seed, Faults::none());
    let [alice, bob] = [world.host("alice"), world.host("bob")];
    world.act(alice, |actions| actions.invite("sip:bob@192.0.2.2"));
    let client = world.sent(alice).transaction;
    let server = world.request(bob).transaction;
    world.act(bob, |actions| actions.respond(server, 180, b""));
    world.sent(bob);
    assert_eq!(world.response(alice).message.status(), 180);
    (world, alice, bob, client, server)
}

#[test]
fn the_cancel_comes_first() {
    let (mut world, alice, bob, client, server) = ringing(10);
    world.act(alice, |actions| actions.cancel(client));
    assert_eq!(world.sent(alice).message.method(), Method::Cancel);
    let cancel = world.request(bob);
    assert_eq!(
        (cancel.message.method(), cancel.transaction),
        (Method::Cancel, server)
    );
    world.act(bob, |actions| actions.respond(server, 200, SDP));
    assert_eq!(world.failed(bob).error, CommandError::AlreadyAnswered);
    assert_eq!(world.response(alice).message.status(), 487);
    assert_eq!(world.count(|packet| packet.answers(200, "INVITE")), 0);
    world.rest();
}

#[test]
fn the_answer_crosses_the_cancel() {
    let (mut world, alice, bob, client, server) = ringing(11);
    world.act(alice, |actions| actions.cancel(client));
    world.sent(alice);
    // Bob answers before the CANCEL, which is on its way, arrives.
    world.act(bob, |actions| actions.respond(server, 200, SDP));
    assert!(world.sent(bob).dialog.is_some());
    let answer = world.response(alice);
    assert_eq!(answer.message.status(), 200);
    let ended = world.dialog_ended(alice);
    assert_eq!(
        (ended.reason, Some(ended.dialog)),
        (DialogEndReason::AnsweredAfterCancel, answer.dialog)
    );
    world.run(Duration::from_secs(40));
    let seen: Vec<String> = world
        .events(bob)
        .iter()
        .map(|event| match event {
            Event::Request(request) => request.message.method().to_string(),
            other => format!("{other:?}").chars().take(11).collect(),
        })
        .collect();
    assert!(
        seen.contains(&"BYE".to_owned()) || seen.contains(&"DialogEnded".to_owned()),
        "{seen:?}"
    );
    world.rest();
}

#[test]
fn the_answer_comes_first_and_the_cancel_is_refused_to_the_application() {
    let (mut world, alice, bob, client, server) = ringing(12);
    world.act(bob, |actions| actions.respond(server, 200, SDP));
    let there = world.sent(bob).dialog.unwrap();
    let here = world.response(alice).dialog.unwrap();
    world.act(alice, |actions| actions.cancel(client));
    assert_eq!(world.failed(alice).error, CommandError::AlreadyAnswered);
    world.act(alice, |actions| actions.ack(here));
    world.sent(alice);
    assert_eq!(world.request(bob).message.method(), Method::Ack);
    world.hang_up(bob, there, alice);
    assert_eq!(world.count(|packet| packet.is("CANCEL")), 0);
    world.rest();
}

#[test]
fn a_cancel_before_the_100_waits_for_it() {
    let mut world = World::new(13, Faults::none());
    let [alice, bob] = [world.host("alice"), world.host("bob")];
    world.hold(|packet| packet.answers(100, "INVITE"));
    world.act(alice, |actions| actions.invite("sip:bob@192.0.2.2"));
    let client = world.sent(alice).transaction;
    world.request(bob);
    world.act(alice, |actions| actions.cancel(client));
    world.run(Duration::from_millis(400));
    assert_eq!(
        world.count(|packet| packet.is("CANCEL")),
        0,
        "RFC 3261 §9.1"
    );
    world.release();
    world.run(Duration::from_millis(10));
    assert_eq!(world.count(|packet| packet.is("CANCEL")), 1);
    assert_eq!(world.sent(alice).message.method(), Method::Cancel);
    assert_eq!(world.response(alice).message.status(), 487);
    world.events(bob);
    world.rest();
}

#[test]
fn a_cancel_that_is_followed_by_a_final_response_instead_of_a_100_is_not_sent() {
    let mut world = World::new(14, Faults::none());
    let [alice, bob] = [world.host("alice"), world.host("bob")];
    world.lose(1000, |packet| packet.answers(100, "INVITE"));
    world.act(alice, |actions| actions.invite("sip:bob@192.0.2.2"));
    let client = world.sent(alice).transaction;
    let server = world.request(bob).transaction;
    world.act(alice, |actions| actions.cancel(client));
    world.act(bob, |actions| actions.respond(server, 486, b""));
    world.sent(bob);
    let mut seen = Vec::new();
    while let Some(event) = world.next_event(alice) {
        seen.push(event);
    }
    assert!(
        seen.iter().any(
            |event| matches!(event, Event::Response(response) if response.message.status() == 486)
        ),
        "{seen:?}"
    );
    assert!(seen.iter().any(|event| matches!(event, Event::Failed(failed) if failed.error == CommandError::AlreadyAnswered)), "{seen:?}");
    assert_eq!(world.count(|packet| packet.is("CANCEL")), 0);
    world.rest();
}

#[test]
fn an_answer_that_meets_a_cancel_not_yet_sent_is_acknowledged_and_ended() {
    let mut world = World::new(15, Faults::none());
    let [alice, bob] = [world.host("alice"), world.host("bob")];
    world.lose(1000, |packet| packet.answers(100, "INVITE"));
    world.act(alice, |actions| actions.invite("sip:bob@192.0.2.2"));
    let client = world.sent(alice).transaction;
    let server = world.request(bob).transaction;
    world.act(alice, |actions| actions.cancel(client));
    world.act(bob, |actions| actions.respond(server, 200, SDP));
    world.sent(bob);
    world.run(Duration::from_secs(1));
    let ended = world
        .events(alice)
        .iter()
        .any(|event| matches!(event, Event::DialogEnded(_)));
    assert!(ended, "the caller gave up: the call must not stand");
    assert_eq!(world.request(bob).message.method(), Method::Ack);
    let bye = world.request(bob);
    assert_eq!(bye.message.method(), Method::Bye);
    world.act(bob, |actions| actions.respond(bye.transaction, 200, b""));
    world.sent(bob);
    world.rest();
}

#[test]
fn a_cancelled_invite_whose_487_never_comes_ends_all_the_same() {
    let (mut world, alice, bob, client, server) = ringing(16);
    world.lose(1000, |packet| packet.answers(487, "INVITE"));
    world.act(alice, |actions| actions.cancel(client));
    world.sent(alice);
    assert_eq!(world.request(bob).transaction, server);
    world.run(Duration::from_secs(40));
    assert_eq!(world.response(alice).message.status(), 408);
    world.rest();
}
