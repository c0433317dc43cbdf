//! Over TCP messages arrive whole and in order however they are cut, a cut connection loses what is on its way and no more, and
//! a refused one is told to the application.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
use engine::Event;
use simnet::actions::SDP;
use simnet::{Faults, World};
use sip::{HeaderName, Method};
use std::time::Duration;

fn slow() -> Faults {
    Faults {
        delay: Duration::from_millis(1),
        most_delay: Duration::from_millis(30),
        ..Faults::none()
    }
}

#[test]
fn a_call_over_tcp_uses_one_connection_both_ways() {
    let mut world = World::new(50, slow());
    let [alice, bob] = [world.host("alice"), world.host("bob")];
    world.act(alice, |actions| {
        actions.invite("sip:bob@192.0.2.2;transport=tcp")
    });
    world.sent(alice);
    let invite = world.request(bob);
    assert_eq!(invite.message.top_via().unwrap().transport, "TCP");
    world.act(bob, |actions| actions.respond(invite.transaction, 200, SDP));
    let there = world.sent(bob).dialog.unwrap();
    let here = world.response(alice).dialog.unwrap();
    world.act(alice, |actions| actions.ack(here));
    world.sent(alice);
    assert_eq!(world.request(bob).message.method(), Method::Ack);
    world.hang_up(bob, there, alice);
    assert_eq!(world.open_connections(), 1);
    world.rest();
}

#[test]
fn requests_arrive_in_the_order_sent() {
    for seed in 0..50 {
        let mut world = World::new(seed, slow());
        let [alice, bob] = [world.host("alice"), world.host("bob")];
        let count = 20;
        world.act(alice, |actions| {
            for number in 0..count {
                let body = vec![b'x'; number * 97];
                let subject = number.to_string();
                let headers = [
                    ("Subject", subject.as_str()),
                    ("Content-Type", "text/plain"),
                ];
                actions.send(
                    Method::Message,
                    "sip:bob@192.0.2.2;transport=tcp",
                    &headers,
                    &body,
                );
            }
        });
        world.run(Duration::from_secs(2));
        let requests: Vec<_> = world
            .events(bob)
            .into_iter()
            .map(|event| match event {
                Event::Request(request) => request,
                other => panic!("{other:?}"),
            })
            .collect();
        let subjects: Vec<usize> = requests
            .iter()
            .map(|request| {
                request
                    .message
                    .header(HeaderName::Subject)
                    .unwrap()
                    .text()
                    .parse()
                    .unwrap()
            })
            .collect();
        assert_eq!(subjects, (0..count).collect::<Vec<_>>());
        for (number, request) in requests.iter().enumerate() {
            assert_eq!(request.message.body().len(), number * 97);
            world.act(bob, |actions| {
                actions.respond(request.transaction, 200, b"")
            });
        }
        world.run(Duration::from_secs(1));
        let finals = world
            .events(alice)
            .iter()
            .filter(|event| matches!(event, Event::Response(_)))
            .count();
        assert_eq!(finals, count);
        world.rest();
    }
}

#[test]
fn an_answer_whose_connection_was_cut_goes_over_a_new_one() {
    let mut world = World::new(51, slow());
    let [alice, bob] = [world.host("alice"), world.host("bob")];
    world.act(alice, |actions| {
        actions.invite("sip:bob@192.0.2.2;transport=tcp")
    });
    world.sent(alice);
    let invite = world.request(bob);
    world.cut(alice, bob);
    world.act(bob, |actions| actions.respond(invite.transaction, 486, b""));
    world.sent(bob);
    assert_eq!(world.response(alice).message.status(), 486);
    world.run(Duration::from_secs(1));
    assert_eq!(world.count(|packet| packet.is("ACK")), 1);
    world.rest();
}

#[test]
fn a_dialog_outlives_its_connection() {
    let mut world = World::new(52, slow());
    let [alice, bob] = [world.host("alice"), world.host("bob")];
    world.act(alice, |actions| {
        actions.invite("sip:bob@192.0.2.2;transport=tcp")
    });
    world.sent(alice);
    let invite = world.request(bob);
    world.act(bob, |actions| actions.respond(invite.transaction, 200, SDP));
    let there = world.sent(bob).dialog.unwrap();
    let here = world.response(alice).dialog.unwrap();
    world.act(alice, |actions| actions.ack(here));
    world.sent(alice);
    world.request(bob);
    world.cut(alice, bob);
    world.hang_up(bob, there, alice);
    world.rest();
}

#[test]
fn a_refused_connection_is_a_503_at_once() {
    let mut world = World::new(53, slow());
    let [alice, _] = [world.host("alice"), world.host("bob")];
    world.refuse_connections = true;
    world.act(alice, |actions| {
        actions.invite("sip:bob@192.0.2.2;transport=tcp")
    });
    let events = world.events(alice);
    let refused = events.iter().any(
        |event| matches!(event, Event::Response(response) if response.message.status() == 503),
    );
    assert!(refused, "RFC 3261 §8.1.3.1: {events:?}");
    world.rest();
}
