//! A request other than INVITE gets no 100 before its sender's timer E has grown to T2, gets one then, and is never answered 408 by a
//! proxy whose target is silent, or for an application that is (RFC 4320 §4); one that is given up in silence is the same request when it is repeated.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
use engine::command::ProxyOptions;
use simnet::{Faults, World};
use sip::Method;
use std::time::Duration;

/// Alice's MESSAGE goes through a proxy to bob, who is silent for so long. Gives when each 100 was sent to her, in milliseconds, and
/// what she got.
fn message(silent: Duration) -> (Vec<u128>, Vec<u16>, World) {
    let mut world = World::new(1, Faults::none());
    let start = world.now();
    let [alice, proxy, bob] = ["alice", "proxy", "bob"].map(|name| world.host(name));
    world.act(alice, |actions| {
        actions.send(Method::Message, "sip:bob@192.0.2.2", &[], b"")
    });
    world.sent(alice);
    let seen = world.request(proxy);
    world.act(proxy, |actions| {
        actions.proxy(
            seen.transaction,
            &[&bob.uri("bob")],
            ProxyOptions::default(),
        );
    });
    let there = world.request(bob);
    world.run(silent);
    world.act(bob, |actions| actions.respond(there.transaction, 200, b""));
    world.run(Duration::from_secs(1));
    let trying = world
        .ladder()
        .steps()
        .iter()
        .filter(|step| step.packet.to == alice.address() && step.packet.answers(100, "MESSAGE"))
        .map(|step| step.at.since(start).as_millis())
        .collect();
    let got = world
        .events(alice)
        .iter()
        .filter_map(|event| match event {
            engine::Event::Response(response) => Some(response.message.status()),
            _ => None,
        })
        .collect();
    (trying, got, world)
}

#[test]
fn a_prompt_answer_is_preceded_by_nothing() {
    let (trying, got, mut world) = message(Duration::from_secs(3));
    assert_eq!((trying.len(), got), (0, vec![200]));
    world.rest();
}

#[test]
fn a_slow_one_by_a_100_when_timer_e_has_grown_to_t2() {
    let (trying, got, mut world) = message(Duration::from_secs(6));
    assert_eq!(got, [200]);
    // The first at 3.5 s; it is repeated for the repeated request.
    assert!((3500..3600).contains(&trying[0]), "{trying:?}");
    assert!(trying.len() <= 2, "{trying:?}");
    world.rest();
}

#[test]
fn a_silent_target_makes_no_408() {
    let (trying, got, mut world) = message(Duration::from_secs(40));
    assert!(!trying.is_empty());
    // Alice's own timer F gave her the 408.
    assert_eq!(got, [408]);
    assert_eq!(world.count(|packet| packet.answers(408, "MESSAGE")), 0);
    world.rest();
}

#[test]
fn one_that_was_given_up_is_not_proxied_again_when_it_is_repeated() {
    let mut world = World::new(1, Faults::none());
    let [alice, proxy, bob] = ["alice", "proxy", "bob"].map(|name| world.host(name));
    world.act(alice, |actions| {
        actions.send(Method::Message, "sip:bob@192.0.2.2", &[], b"")
    });
    world.sent(alice);
    let seen = world.request(proxy);
    let options = ProxyOptions {
        final_timeout: Some(Duration::from_secs(2)),
        ..ProxyOptions::default()
    };
    world.act(proxy, |actions| {
        actions.proxy(seen.transaction, &[&bob.uri("bob")], options);
    });
    world.request(bob);
    world.run(Duration::from_secs(40));
    let requests = |events: &[engine::Event]| {
        let is_request = |event: &&engine::Event| matches!(event, engine::Event::Request(_));
        events.iter().filter(is_request).count()
    };
    assert_eq!(
        requests(&world.events(proxy)),
        0,
        "alice repeats it until her timer F"
    );
    assert_eq!(requests(&world.events(bob)), 0, "there is one MESSAGE");
    assert_eq!(world.count(|packet| packet.answers(408, "MESSAGE")), 0);
    world.rest();
}

#[test]
fn what_the_application_never_answers_gets_no_answer_and_its_repetitions_reach_nobody() {
    let mut world = World::new(2, Faults::none());
    let alice = world.host("alice");
    let mut config = simnet::host::config(simnet::HostId(1));
    config.timers.application = Duration::from_secs(5);
    let bob = world.host_with("bob", config);
    let (here, _) = world.call(alice, bob);
    for method in [Method::Message, Method::Options] {
        let dialog = method == Method::Options;
        world.act(alice, |actions| {
            if dialog {
                actions.send_in(here, method.clone(), b"")
            } else {
                actions.send(method.clone(), &bob.uri("bob"), &[], b"")
            }
        });
        world.sent(alice);
        let request = world.request(bob);
        world.run(Duration::from_secs(34));
        world.no_event(bob);
        assert_eq!(
            world.response(alice).message.status(),
            408,
            "her own timer F"
        );
        assert_eq!(
            world.count(|packet| packet.answers(408, method.as_str())),
            0
        );
        // Whoever answers now is told that nobody waits for it.
        world.act(bob, |actions| {
            actions.respond(request.transaction, 200, b"")
        });
        assert_eq!(
            world.failed(bob).error,
            engine::event::CommandError::UnknownTransaction
        );
    }
    world.hang_up(alice, here, bob);
    world.rest();
}

#[test]
fn a_bye_that_the_application_never_answers_ends_the_call_all_the_same() {
    let mut world = World::new(3, Faults::none());
    let [alice, bob] = ["alice", "bob"].map(|name| world.host(name));
    let (here, _) = world.call(alice, bob);
    world.act(alice, |actions| actions.bye(here));
    world.sent(alice);
    world.request(bob);
    world.run(Duration::from_secs(70));
    assert_eq!(world.counts(bob).dialogs, 0);
    assert_eq!(world.count(|packet| packet.answers(408, "BYE")), 0);
    world.events(alice);
    world.rest();
}
