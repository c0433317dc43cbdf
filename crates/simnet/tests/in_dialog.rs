//! Within a dialog requests reach the other end by its Contact and in order, refresh the session, and after the end get 481.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
use engine::event::CommandError;
use simnet::actions::SDP;
use simnet::{Faults, World};
use sip::Method;
use std::time::Duration;

#[test]
fn each_side_s_requests_reach_the_other() {
    let mut world = World::new(40, Faults::none());
    let [alice, bob] = [world.host("alice"), world.host("bob")];
    let (here, there) = world.call(alice, bob);
    for (from, dialog, to, expected) in [(alice, here, bob, there), (bob, there, alice, here)] {
        let mut last = 0;
        for method in [Method::Info, Method::Options, Method::Message, Method::Info] {
            world.act(from, |actions| actions.send_in(dialog, method.clone(), b""));
            world.sent(from);
            let request = world.request(to);
            assert_eq!(
                (request.message.method(), request.dialog),
                (method, Some(expected))
            );
            let number = request.message.cseq().unwrap().number;
            assert!(number > last, "the CSeq rises");
            last = number;
            world.act(to, |actions| actions.respond(request.transaction, 200, b""));
            world.sent(to);
            assert_eq!(world.response(from).message.status(), 200);
        }
    }
    world.hang_up(bob, there, alice);
    world.rest();
}

#[test]
fn a_reinvite_is_answered_and_acknowledged_within_the_dialog() {
    let mut world = World::new(41, Faults::none());
    let [alice, bob] = [world.host("alice"), world.host("bob")];
    let (here, there) = world.call(alice, bob);
    world.act(bob, |actions| actions.send_in(there, Method::Invite, SDP));
    world.sent(bob);
    let invite = world.request(alice);
    assert_eq!((invite.dialog, invite.message.body()), (Some(here), SDP));
    world.act(alice, |actions| {
        actions.respond(invite.transaction, 200, SDP)
    });
    world.sent(alice);
    assert_eq!(world.response(bob).dialog, Some(there));
    world.act(bob, |actions| actions.ack(there));
    world.sent(bob);
    assert_eq!(world.request(alice).message.method(), Method::Ack);
    world.run(Duration::from_secs(60));
    assert_eq!(world.counts(alice).dialogs, 1, "the call stands");
    world.hang_up(alice, here, bob);
    world.rest();
}

#[test]
fn a_call_goes_on_until_its_challenged_bye_comes_again() {
    for status in [401, 407] {
        let mut world = World::new(43, Faults::none());
        let [alice, bob] = [world.host("alice"), world.host("bob")];
        let (here, there) = world.call(alice, bob);
        world.act(alice, |actions| actions.send_in(here, Method::Bye, b""));
        world.sent(alice);
        let bye = world.request(bob);
        world.act(bob, |actions| actions.respond(bye.transaction, status, b""));
        world.sent(bob);
        assert_eq!(world.response(alice).message.status(), status);
        assert_eq!(
            [world.counts(alice).dialogs, world.counts(bob).dialogs],
            [1, 1],
            "neither side has ended it"
        );
        world.act(bob, |actions| actions.send_in(there, Method::Info, b""));
        world.sent(bob);
        let info = world.request(alice);
        world.act(alice, |actions| actions.respond(info.transaction, 200, b""));
        world.sent(alice);
        assert_eq!(world.response(bob).message.status(), 200);
        world.hang_up(alice, here, bob);
        world.rest();
    }
}

#[test]
fn an_answer_to_a_reinvite_that_comes_again_after_the_bye_reaches_nobody() {
    let mut world = World::new(42, Faults::none());
    let [alice, bob] = [world.host("alice"), world.host("bob")];
    let (here, _) = world.call(alice, bob);
    world.act(alice, |actions| actions.send_in(here, Method::Invite, SDP));
    world.sent(alice);
    let invite = world.request(bob);
    world.act(bob, |actions| actions.respond(invite.transaction, 200, SDP));
    world.sent(bob);
    assert_eq!(world.response(alice).message.status(), 200);
    world.hold(|packet| packet.answers(200, "INVITE"));
    world.run(Duration::from_millis(600));
    world.act(alice, |actions| actions.ack(here));
    world.sent(alice);
    world.request(bob);
    world.hang_up(alice, here, bob);
    world.release();
    world.no_event(alice);
    world.rest();
}

#[test]
fn byes_that_cross_end_the_call_at_both_ends() {
    let mut world = World::new(43, Faults::none());
    let [alice, bob] = [world.host("alice"), world.host("bob")];
    let (here, there) = world.call(alice, bob);
    world.act(alice, |actions| actions.bye(here));
    world.act(bob, |actions| actions.bye(there));
    for host in [alice, bob] {
        world.sent(host);
    }
    for host in [alice, bob] {
        let bye = world.request(host);
        world.act(host, |actions| actions.respond(bye.transaction, 200, b""));
        world.sent(host);
    }
    for host in [alice, bob] {
        assert_eq!(world.response(host).message.status(), 200);
        world.no_event(host);
    }
    world.rest();
}

#[test]
fn after_the_end_there_is_no_dialog() {
    let mut world = World::new(44, Faults::none());
    let [alice, bob] = [world.host("alice"), world.host("bob")];
    let (here, there) = world.call(alice, bob);
    world.hang_up(alice, here, bob);
    for (host, dialog) in [(alice, here), (bob, there)] {
        world.act(host, |actions| actions.send_in(dialog, Method::Info, b""));
        assert_eq!(world.failed(host).error, CommandError::UnknownDialog);
    }
    world.rest();
}
