//! A response that comes when its transaction is over, or that belongs to none, reaches no application and leaves nothing behind.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
use engine::Event;
use simnet::actions::SDP;
use simnet::{Faults, World};
use sip::Method;
use std::time::Duration;

#[test]
fn a_final_response_after_the_timeout_is_dropped() {
    let mut world = World::new(30, Faults::none());
    let [alice, bob] = [world.host("alice"), world.host("bob")];
    world.hold(|packet| packet.answers(200, "OPTIONS"));
    world.act(alice, |actions| {
        actions.send(Method::Options, "sip:bob@192.0.2.2", &[], b"")
    });
    world.sent(alice);
    let request = world.request(bob);
    world.act(bob, |actions| {
        actions.respond(request.transaction, 200, b"")
    });
    world.sent(bob);
    world.run(Duration::from_secs(40));
    assert_eq!(world.response(alice).message.status(), 408);
    world.release();
    world.no_event(alice);
    world.rest();
}

#[test]
fn an_answer_after_the_timeout_of_the_invite_does_not_leave_the_callee_talking() {
    let mut world = World::new(31, Faults::none());
    let [alice, bob] = [world.host("alice"), world.host("bob")];
    world.hold(|packet| {
        packet.start_line().starts_with("SIP/2.0") && packet.cseq_method() == "INVITE"
    });
    world.act(alice, |actions| actions.invite("sip:bob@192.0.2.2"));
    world.sent(alice);
    let invite = world.request(bob);
    world.run(Duration::from_secs(20));
    world.act(bob, |actions| actions.respond(invite.transaction, 200, SDP));
    world.sent(bob);
    world.run(Duration::from_secs(13));
    assert_eq!(world.response(alice).message.status(), 408);
    world.release();
    world.run(Duration::from_secs(60));
    let ended = world.events(bob).iter().any(|event| match event {
        Event::DialogEnded(_) => true,
        Event::Request(request) => request.message.method() == Method::Bye,
        _ => false,
    });
    assert!(ended, "the callee's dialog ended");
    assert!(
        !world
            .events(alice)
            .iter()
            .any(|event| matches!(event, Event::Response(_))),
        "nothing follows the 408"
    );
    world.rest();
}

#[test]
fn a_repeated_answer_that_arrives_after_the_bye_opens_no_dialog() {
    let mut world = World::new(32, Faults::none());
    let [alice, bob] = [world.host("alice"), world.host("bob")];
    world.act(alice, |actions| actions.invite("sip:bob@192.0.2.2"));
    world.sent(alice);
    let invite = world.request(bob);
    world.act(bob, |actions| actions.respond(invite.transaction, 200, SDP));
    world.sent(bob);
    let here = world.response(alice).dialog.unwrap();
    // The ACK is late, so the answer is repeated; the repetition is later than the end of the call.
    world.hold(|packet| packet.answers(200, "INVITE"));
    world.run(Duration::from_millis(600));
    world.act(alice, |actions| actions.ack(here));
    world.sent(alice);
    world.request(bob);
    world.hang_up(alice, here, bob);
    world.release();
    world.no_event(alice);
    assert_eq!(world.counts(alice).dialogs, 0);
    assert_eq!(
        world.count(|packet| packet.is("ACK")),
        2,
        "the repetition got its ACK again"
    );
    world.rest();
}

#[test]
fn a_response_to_nothing_is_dropped() {
    let mut world = World::new(33, Faults::none());
    let alice = world.host("alice");
    let peer = "198.51.100.9:5060".parse().unwrap();
    let response = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK00\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\n\
                    Call-ID: x\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n";
    world.inject(peer, alice, response);
    world.no_event(alice);
    assert!(world.strays().is_empty());
    world.rest();
}
