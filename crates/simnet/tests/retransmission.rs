//! Over UDP requests and answers are repeated at the times of RFC 3261 §17, no more often and no longer, and never over a stream.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
use engine::Event;
use simnet::actions::SDP;
use simnet::{Faults, HostId, Packet, World};
use sip::Method;
use std::time::Duration;

fn pair() -> (World, HostId, HostId) {
    let mut world = World::new(1, Faults::none());
    let [alice, bob] = [world.host("alice"), world.host("bob")];
    (world, alice, bob)
}

/// When messages that are chosen were sent, in milliseconds.
fn times(world: &World, chosen: impl Fn(&Packet) -> bool) -> Vec<u128> {
    let steps = world
        .ladder()
        .steps()
        .iter()
        .filter(|step| chosen(&step.packet));
    steps
        .map(|step| step.at.since(engine::Time::START).as_millis())
        .collect()
}

#[test]
fn an_invite_that_nobody_answers_is_sent_seven_times_and_fails_after_64_t1() {
    let (mut world, alice, _) = pair();
    world.lose(100, |packet| packet.is("INVITE"));
    world.act(alice, |actions| actions.invite("sip:bob@192.0.2.2"));
    world.sent(alice);
    world.run(Duration::from_millis(31_990));
    assert_eq!(world.events(alice).len(), 0);
    assert_eq!(
        times(&world, |packet| packet.is("INVITE")),
        [0, 500, 1500, 3500, 7500, 15_500, 31_500]
    );
    assert_eq!(world.response(alice).message.status(), 408);
    world.rest();
}

#[test]
fn a_provisional_response_stops_the_repetitions() {
    let (mut world, alice, bob) = pair();
    world.lose(2, |packet| packet.answers(100, "INVITE"));
    world.act(alice, |actions| actions.invite("sip:bob@192.0.2.2"));
    world.sent(alice);
    let invite = world.request(bob);
    world.run(Duration::from_secs(20));
    assert_eq!(times(&world, |packet| packet.is("INVITE")), [0, 500, 1500]);
    assert_eq!(
        times(&world, |packet| packet.answers(100, "INVITE")).len(),
        3,
        "each repetition got the 100 again"
    );
    world.act(bob, |actions| actions.respond(invite.transaction, 486, b""));
    assert_eq!(world.response(alice).message.status(), 486);
    world.events(bob);
    world.rest();
}

#[test]
fn a_request_that_is_no_invite_slows_down_to_t2() {
    let (mut world, alice, bob) = pair();
    world.lose(100, |packet| packet.is("OPTIONS"));
    world.act(alice, |actions| {
        actions.send(Method::Options, "sip:bob@192.0.2.2", &[], b"")
    });
    world.sent(alice);
    world.run(Duration::from_secs(33));
    let sent = times(&world, |packet| packet.is("OPTIONS"));
    assert_eq!(
        sent,
        [
            0, 500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500
        ]
    );
    assert_eq!(world.response(alice).message.status(), 408);
    world.no_event(bob);
    world.rest();
}

#[test]
fn an_answer_is_given_again_to_a_request_that_comes_again_without_asking_the_application() {
    let (mut world, alice, bob) = pair();
    world.lose(2, |packet| packet.answers(200, "OPTIONS"));
    world.act(alice, |actions| {
        actions.send(Method::Options, "sip:bob@192.0.2.2", &[], b"")
    });
    world.sent(alice);
    let request = world.request(bob);
    world.act(bob, |actions| {
        actions.respond(request.transaction, 200, b"")
    });
    world.sent(bob);
    world.run(Duration::from_secs(5));
    assert_eq!(world.response(alice).message.status(), 200);
    assert_eq!(
        times(&world, |packet| packet.answers(200, "OPTIONS")).len(),
        3
    );
    world.no_event(bob);
    world.rest();
}

#[test]
fn a_refusal_is_repeated_until_its_ack_and_an_answer_until_its_ack() {
    for status in [486, 200] {
        let (mut world, alice, bob) = pair();
        world.act(alice, |actions| actions.invite("sip:bob@192.0.2.2"));
        world.sent(alice);
        let invite = world.request(bob);
        world.lose(3, |packet| packet.is("ACK"));
        let body = if status == 200 { SDP } else { b"" };
        world.act(bob, |actions| {
            actions.respond(invite.transaction, status, body)
        });
        world.sent(bob);
        let response = world.response(alice);
        if let Some(dialog) = response.dialog.filter(|_| status == 200) {
            world.act(alice, |actions| actions.ack(dialog));
            world.sent(alice);
        }
        world.run(Duration::from_secs(30));
        let count = times(&world, |packet| packet.answers(status, "INVITE")).len();
        assert_eq!(count, 4, "{status}: once, and for each lost ACK");
        assert_eq!(times(&world, |packet| packet.is("ACK")).len(), 4);
        assert!(
            world.events(alice).is_empty(),
            "no repetition reaches the application"
        );
        match world.events(bob).as_slice() {
            [] => assert_eq!(status, 486),
            [Event::Request(ack)] => assert_eq!((status, ack.message.method()), (200, Method::Ack)),
            other => panic!("{other:?}"),
        }
        if status == 200 {
            world.hang_up(alice, response.dialog.unwrap(), bob);
        }
        world.rest();
    }
}

#[test]
fn over_a_stream_nothing_is_repeated() {
    let (mut world, alice, bob) = pair();
    world.act(alice, |actions| {
        actions.invite("sip:bob@192.0.2.2;transport=tcp")
    });
    world.sent(alice);
    let invite = world.request(bob);
    world.run(Duration::from_secs(60));
    world.act(bob, |actions| actions.respond(invite.transaction, 603, b""));
    world.sent(bob);
    assert_eq!(world.response(alice).message.status(), 603);
    world.run(Duration::from_secs(60));
    for method in ["INVITE", "ACK"] {
        assert_eq!(
            times(&world, |packet| packet.is(method)).len(),
            1,
            "{method}"
        );
    }
    assert_eq!(
        times(&world, |packet| packet.answers(603, "INVITE")).len(),
        1
    );
    world.rest();
}
