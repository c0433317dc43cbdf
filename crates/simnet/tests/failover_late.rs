//! A target that was given up and answers late leaves no phone ringing for nobody: what rings is cancelled, what is answered is
//! acknowledged and ended by the engine, whatever the network loses, and nothing is left of it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
use engine::Event;
use engine::event::{DialogEndReason, Request};
use engine::id::DialogId;
use engine::resolve::Resolved;
use engine::transport::Transport;
use simnet::actions::SDP;
use simnet::{Faults, HostId, Packet, World};
use sip::Method;
use std::time::Duration;

/// The address of the caller; of the phone at the first target; of the one at the second.
const ALICE: HostId = HostId(0);
const FIRST: HostId = HostId(1);
const SECOND: HostId = HostId(2);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn leads_to(world: &mut World, transport: Transport) {
    let target = |transport, host: HostId| Resolved {
        transport,
        address: host.address(),
    };
    let targets = vec![target(Transport::Udp, FIRST), target(transport, SECOND)];
    world.name("example.com", targets);
}

/// Alice calls a name that leads to the first phone over UDP, and to the second over `transport`.
fn world(seed: u64, transport: Transport) -> World {
    let mut world = World::new(seed, Faults::none());
    for name in ["alice", "first", "second"] {
        world.host(name);
    }
    leads_to(&mut world, transport);
    world
}

/// What the first phone sends is held back, until the world releases it.
fn hold_first(world: &mut World) {
    world.hold(|packet| packet.from == FIRST.address());
}

/// Alice's INVITE reached the first phone, whose responses are held back, and then the second one.
fn both_are_called(world: &mut World) -> (Request, Request) {
    hold_first(world);
    world.act(ALICE, |actions| actions.invite("sip:bob@example.com"));
    world.sent(ALICE);
    let first = world.request(FIRST);
    world.run(seconds(6));
    let second = world.request(SECOND);
    (first, second)
}

fn respond(world: &mut World, host: HostId, invite: &Request, status: u16) {
    let body = if (200..300).contains(&status) {
        SDP
    } else {
        b""
    };
    world.act(host, |actions| {
        actions.respond(invite.transaction, status, body)
    });
    world.sent(host);
}

/// The statuses that Alice's application saw, and how often it was told of an end.
fn told(world: &mut World) -> (Vec<u16>, usize) {
    let events = world.events(ALICE);
    let statuses = events.iter().filter_map(|event| match event {
        Event::Response(response) => Some(response.message.status()),
        _ => None,
    });
    let ends = |event: &&Event| matches!(event, Event::DialogEnded(_));
    (statuses.collect(), events.iter().filter(ends).count())
}

/// Requests of this method that arrived at the application of a host; BYEs and CANCELs of the peer among them are answered.
fn arrived(world: &mut World, host: HostId) -> Vec<Method> {
    let mut methods = Vec::new();
    for event in world.events(host) {
        let Event::Request(request) = event else {
            continue;
        };
        let method = request.message.method();
        if method == Method::Bye {
            world.act(host, |actions| {
                actions.respond(request.transaction, 200, b"")
            });
        }
        methods.push(method);
    }
    methods
}

/// How often a request of this method went from Alice to a host.
fn sent_to(world: &World, host: HostId, method: &'static str) -> usize {
    let chosen = move |packet: &Packet| packet.to == host.address() && packet.is(method);
    world.count(chosen)
}

#[test]
fn an_answer_of_the_first_after_the_second_answered_is_acknowledged_and_ended() {
    let mut world = world(60, Transport::Udp);
    let (first, second) = both_are_called(&mut world);
    respond(&mut world, SECOND, &second, 200);
    let here = world.response(ALICE).dialog.unwrap();
    world.act(ALICE, |actions| actions.ack(here));
    world.sent(ALICE);
    world.request(SECOND);
    respond(&mut world, FIRST, &first, 200);
    world.release();
    world.run(seconds(1));
    assert_eq!(arrived(&mut world, FIRST), [Method::Ack, Method::Bye]);
    assert_eq!(told(&mut world), (vec![], 0), "it has its call");
    world.hang_up(ALICE, here, SECOND);
    world.rest();
}

#[test]
fn an_answer_of_the_first_after_the_second_refused_is_acknowledged_and_ended() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut world = world(61, transport);
        let (first, second) = both_are_called(&mut world);
        respond(&mut world, SECOND, &second, 486);
        assert_eq!(world.response(ALICE).message.status(), 486);
        world.run(seconds(5));
        respond(&mut world, FIRST, &first, 200);
        world.release();
        world.run(seconds(1));
        assert_eq!(
            arrived(&mut world, FIRST),
            [Method::Ack, Method::Bye],
            "{transport}"
        );
        assert_eq!(told(&mut world), (vec![], 0), "{transport}");
        world.rest();
    }
}

#[test]
fn an_answer_after_all_were_given_up_is_acknowledged_and_ended() {
    let mut world = world(62, Transport::Udp);
    world.hold(|packet| packet.from == SECOND.address());
    let (first, second) = both_are_called(&mut world);
    world.run(seconds(40));
    assert_eq!(told(&mut world), (vec![408], 0));
    respond(&mut world, FIRST, &first, 200);
    respond(&mut world, SECOND, &second, 200);
    world.lose(2, |packet| packet.is("BYE"));
    world.release();
    world.run(seconds(3));
    for host in [FIRST, SECOND] {
        let methods = arrived(&mut world, host);
        assert_eq!(methods.first(), Some(&Method::Ack), "{methods:?}");
        assert!(methods.contains(&Method::Bye), "{methods:?}");
    }
    assert_eq!(told(&mut world), (vec![], 0));
    world.rest();
}

#[test]
fn what_rings_after_the_call_failed_is_cancelled_until_that_is_heard() {
    let mut world = world(63, Transport::Tcp);
    let (first, second) = both_are_called(&mut world);
    respond(&mut world, SECOND, &second, 486);
    world.run(seconds(5));
    respond(&mut world, FIRST, &first, 180);
    world.lose(3, |packet| packet.is("CANCEL"));
    world.release();
    world.run(seconds(1));
    assert_eq!(arrived(&mut world, FIRST), [], "the first two are lost");
    world.run(seconds(5));
    assert_eq!(arrived(&mut world, FIRST), [Method::Cancel]);
    assert_eq!(sent_to(&world, FIRST, "CANCEL"), 4);
    assert!(sent_to(&world, FIRST, "ACK") > 0, "its 487 is acknowledged");
    assert_eq!(told(&mut world), (vec![486], 0));
    world.rest();
}

#[test]
fn what_rings_late_after_the_call_was_cancelled_is_cancelled_until_that_is_heard() {
    let mut world = world(64, Transport::Udp);
    hold_first(&mut world);
    world.act(ALICE, |actions| actions.invite("sip:bob@example.com"));
    let transaction = world.sent(ALICE).transaction;
    let first = world.request(FIRST);
    world.run(seconds(6));
    let second = world.request(SECOND);
    respond(&mut world, SECOND, &second, 180);
    world.response(ALICE);
    world.act(ALICE, |actions| actions.cancel(transaction));
    world.run(seconds(1));
    assert_eq!(arrived(&mut world, SECOND), [Method::Cancel]);
    respond(&mut world, FIRST, &first, 180);
    world.lose(2, |packet| packet.is("CANCEL"));
    world.release();
    world.run(seconds(3));
    assert_eq!(arrived(&mut world, FIRST), [Method::Cancel]);
    assert_eq!(sent_to(&world, FIRST, "CANCEL"), 3);
    assert_eq!(told(&mut world), (vec![487], 0));
    world.rest();
}

#[test]
fn a_provisional_that_comes_again_brings_no_second_cancel() {
    let mut world = world(65, Transport::Udp);
    let (first, second) = both_are_called(&mut world);
    respond(&mut world, SECOND, &second, 180);
    for _ in 0..4 {
        respond(&mut world, FIRST, &first, 180);
    }
    world.lose(usize::MAX, |packet| packet.answers(487, "INVITE"));
    world.release();
    world.run(seconds(10));
    assert_eq!(sent_to(&world, FIRST, "CANCEL"), 1);
    respond(&mut world, SECOND, &second, 486);
    world.rest();
}

/// A second of everybody's: Alice acknowledges what is answered and hangs up two seconds later, the phones answer BYEs. What the
/// engines of the phones ended, and why.
fn second_passes(world: &mut World, calls: &mut Vec<(DialogId, u32)>) -> Vec<DialogEndReason> {
    world.run(seconds(1));
    for event in world.events(ALICE) {
        if let Event::Response(response) = event
            && response.message.status() == 200
            && let Some(dialog) = response.dialog
            && !calls.iter().any(|(known, _)| *known == dialog)
        {
            world.act(ALICE, |actions| actions.ack(dialog));
            calls.push((dialog, 0));
        }
    }
    for (dialog, age) in calls.iter_mut() {
        *age += 1;
        if *age == 3 {
            world.act(ALICE, |actions| actions.bye(*dialog));
        }
    }
    let mut ended = Vec::new();
    for host in [FIRST, SECOND] {
        for event in world.events(host) {
            match event {
                Event::Request(request) if request.message.method() == Method::Bye => {
                    world.act(host, |actions| {
                        actions.respond(request.transaction, 200, b"")
                    });
                }
                Event::DialogEnded(dialog) => ended.push(dialog.reason),
                _ => {}
            }
        }
    }
    ended
}

#[test]
fn with_loss_no_phone_waits_for_its_ack_in_vain() {
    let cases = [(200, 200), (180, 200), (486, 180), (486, 200)];
    for (seed, (early, late)) in (1000..1080).zip(cases.into_iter().cycle()) {
        let mut world = world(seed, Transport::Udp);
        let (first, second) = both_are_called(&mut world);
        world.faults.loss = 0.3;
        let mut calls = Vec::new();
        respond(&mut world, SECOND, &second, early);
        let mut ended = second_passes(&mut world, &mut calls);
        respond(&mut world, FIRST, &first, late);
        world.release();
        for _ in 0..70 {
            ended.extend(second_passes(&mut world, &mut calls));
        }
        assert_eq!(ended, [], "seed {seed}: {early}, then {late}");
        assert!(calls.len() <= 1, "seed {seed}: {early}, then {late}");
        world.rest();
    }
}
