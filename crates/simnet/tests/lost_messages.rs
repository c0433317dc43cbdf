//! What is lost for good ends in an event for who waits for it: no ACK ends the call by a BYE, no answer to a BYE ends the dialog.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
use engine::event::DialogEndReason;
use simnet::actions::SDP;
use simnet::{Faults, World};
use std::time::Duration;

#[test]
fn an_answer_whose_ack_never_comes_is_ended_by_the_engine() {
    let mut world = World::new(2, Faults::none());
    let [alice, bob] = [world.host("alice"), world.host("bob")];
    world.act(alice, |actions| actions.invite("sip:bob@192.0.2.2"));
    world.sent(alice);
    let invite = world.request(bob);
    world.lose(1000, |packet| packet.is("ACK"));
    world.act(bob, |actions| actions.respond(invite.transaction, 200, SDP));
    world.sent(bob);
    let dialog = world.response(alice).dialog.unwrap();
    world.act(alice, |actions| actions.ack(dialog));
    world.sent(alice);
    world.run(Duration::from_secs(33));
    assert_eq!(world.dialog_ended(bob).reason, DialogEndReason::AckTimeout);
    let bye = world.request(alice);
    world.act(alice, |actions| actions.respond(bye.transaction, 200, b""));
    world.sent(alice);
    world.no_event(bob);
    world.rest();
}

#[test]
fn a_lost_bye_is_repeated_and_the_call_ends_once() {
    let mut world = World::new(3, Faults::none());
    let [alice, bob] = [world.host("alice"), world.host("bob")];
    let (here, _) = world.call(alice, bob);
    world.lose(3, |packet| packet.is("BYE"));
    world.lose(2, |packet| packet.answers(200, "BYE"));
    world.act(alice, |actions| actions.bye(here));
    world.sent(alice);
    world.run(Duration::from_secs(10));
    let bye = world.request(bob);
    world.act(bob, |actions| actions.respond(bye.transaction, 200, b""));
    world.sent(bob);
    world.run(Duration::from_secs(15));
    assert_eq!(world.response(alice).message.status(), 200);
    world.no_event(bob);
    world.rest();
}

#[test]
fn a_bye_that_never_arrives_ends_the_dialog_of_who_sent_it() {
    let mut world = World::new(4, Faults::none());
    let [alice, bob] = [world.host("alice"), world.host("bob")];
    let (here, there) = world.call(alice, bob);
    world.lose(1000, |packet| packet.is("BYE"));
    world.act(alice, |actions| actions.bye(here));
    world.sent(alice);
    world.run(Duration::from_secs(33));
    assert_eq!(world.response(alice).message.status(), 408);
    assert_eq!(
        world.counts(alice).dialogs,
        0,
        "RFC 3261 §12.2.1.2: a 408 ends the dialog"
    );
    world.faults = Faults::none();
    world.act(bob, |actions| actions.bye(there));
    world.sent(bob);
    world.run(Duration::from_secs(33));
    world.events(bob);
    world.rest();
}

#[test]
fn a_final_response_that_never_arrives_ends_the_invite_of_the_caller_in_time() {
    let mut world = World::new(5, Faults::none());
    let [alice, bob] = [world.host("alice"), world.host("bob")];
    world.lose(1000, move |packet| {
        packet.from.ip() == bob.address().ip() && !packet.is("BYE")
    });
    world.act(alice, |actions| actions.invite("sip:bob@192.0.2.2"));
    world.sent(alice);
    let invite = world.request(bob);
    world.act(bob, |actions| actions.respond(invite.transaction, 200, SDP));
    world.sent(bob);
    world.run(Duration::from_secs(32));
    assert_eq!(world.response(alice).message.status(), 408);
    assert_eq!(world.dialog_ended(bob).reason, DialogEndReason::AckTimeout);
    world.rest();
}
