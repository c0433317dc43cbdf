//! A flood of half-open INVITEs from addresses that nobody has shown to be his, and callers that come meanwhile: the oldest of the flood
//! makes room for the newest, who may be a caller. Nothing is lost for those that are known, in a call, or too young to have shown themselves.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod raw;

use engine::admit::Admission;
use engine::command::ProxyOptions;
use engine::event::{DialogEndReason, Event};
use engine::id::TransactionId;
use raw::caller::{ask, bye, call, request};
use raw::{arrived, send, values};
use simnet::actions::SDP;
use simnet::host::config;
use simnet::{Faults, HostId, World};
use sip::{HeaderName, Method};
use std::time::Duration;

const CALLER: &str = "198.51.100.10:5060";

fn world(most: usize) -> (World, HostId) {
    let mut world = World::new(81, Faults::none());
    let mut strict = config(HostId(0));
    strict.admission = Admission {
        strangers_half_open: most,
        ..Admission::default()
    };
    let bob = world.host_with("bob", strict);
    (world, bob)
}

fn total(world: &World, host: HostId, name: &str) -> u64 {
    world.counts(host).total(name).unwrap()
}

/// An INVITE of a forged address, of which there is one for each number.
fn flood(world: &mut World, bob: HostId, number: u32) -> String {
    let from = format!("203.0.{}.{}:5060", number / 250, number % 250 + 1);
    let text = request(&from, "INVITE", 1, &format!("flood{number}"), "");
    send(world, &from, bob, text);
    from
}

/// The INVITEs that an application was told of, and those whose CANCEL it got.
fn heard(events: &[Event]) -> (Vec<TransactionId>, Vec<TransactionId>) {
    let of = |method: Method| {
        let requests = events.iter().filter_map(|event| match event {
            Event::Request(request) if request.message.method() == method => {
                Some(request.transaction)
            }
            _ => None,
        });
        requests.collect()
    };
    (of(Method::Invite), of(Method::Cancel))
}

#[test]
fn the_oldest_makes_room_and_its_application_hears_of_it_as_of_a_cancel() {
    let (mut world, bob) = world(100);
    let oldest = flood(&mut world, bob, 0);
    world.run(Duration::from_millis(20));
    for number in 1..100 {
        flood(&mut world, bob, number);
    }
    world.run(Duration::from_secs(1));
    let (waiting, none) = heard(&world.events(bob));
    assert_eq!((waiting.len(), none.len()), (100, 0));
    ask(&mut world, bob, CALLER, ("INVITE", 1, "call", ""));
    world.run(Duration::from_millis(20));
    let events = world.events(bob);
    let (new, shed) = heard(&events);
    assert_eq!((new.len(), shed), (1, vec![waiting[0]]));
    let Event::Request(cancel) = &events[0] else {
        panic!("{events:?}");
    };
    let reason = cancel.message.header(HeaderName::Reason).unwrap();
    assert!(reason.text().contains("cause=503"), "{}", reason.text());
    assert_eq!(total(&world, bob, "half_open_shed"), 1);
    assert_eq!(total(&world, bob, "refused_quota"), 0);
    // Whoever was let go is told when to come again, and told once.
    world.run(Duration::from_secs(3));
    let strays = world.strays();
    let busy: Vec<_> = strays.iter().filter(|p| p.answers(503, "INVITE")).collect();
    assert_eq!(busy.len(), 1);
    assert_eq!(busy[0].to.to_string(), oldest);
    assert!(!values(busy[0], "Retry-After").is_empty());
    // What the application says to it now comes too late.
    world.act(bob, |actions| actions.respond(waiting[0], 200, SDP));
    assert!(matches!(world.events(bob)[..], [Event::Failed(_)]));
    world.rest();
    assert_eq!(world.counts(bob).sources, 0);
}

#[test]
fn a_caller_whom_nobody_knows_gets_through_in_a_flood_that_never_ends() {
    let (mut world, bob) = world(300);
    let mut number = 0;
    let mut second = |world: &mut World| {
        // 500 a second, each of which would ring for ever.
        for _ in 0..50 {
            for _ in 0..10 {
                flood(world, bob, number);
                number += 1;
            }
            world.run(Duration::from_millis(20));
        }
        world.events(bob);
    };
    for round in 0..20 {
        second(&mut world);
        world.strays();
        let from = format!("198.51.100.{round}:5060");
        let call_id = format!("call{round}");
        let tag = call(&mut world, bob, &from, &call_id);
        second(&mut world);
        world.strays();
        bye(&mut world, bob, &from, &call_id, &tag);
    }
    assert!(total(&world, bob, "half_open_shed") > 5_000);
    assert!(world.counts(bob).server_transactions < 6_000);
    world.rest();
    assert_eq!(world.counts(bob).sources, 0);
}

#[test]
fn one_that_has_waited_for_less_than_t1_stays_and_the_new_one_is_passed_over() {
    let (mut world, bob) = world(10);
    for number in 0..10 {
        flood(&mut world, bob, number);
    }
    world.run(Duration::from_millis(400));
    world.events(bob);
    ask(&mut world, bob, CALLER, ("INVITE", 1, "call", ""));
    world.run(Duration::from_millis(20));
    world.no_event(bob);
    assert_eq!(total(&world, bob, "refused_quota"), 1);
    // Timer A: it comes again.
    world.run(Duration::from_millis(500));
    call(&mut world, bob, CALLER, "call");
    assert_eq!(total(&world, bob, "half_open_shed"), 1);
}

#[test]
fn refused_calls_that_nobody_acknowledges_go_before_one_that_rings() {
    let (mut world, bob) = world(2);
    flood(&mut world, bob, 0);
    let rings = world.request(bob);
    world.act(bob, |actions| actions.respond(rings.transaction, 180, b""));
    world.sent(bob);
    let refused = flood(&mut world, bob, 1);
    let invite = world.request(bob);
    world.act(bob, |actions| actions.respond(invite.transaction, 486, b""));
    world.sent(bob);
    world.run(Duration::from_millis(100));
    let tag = call(&mut world, bob, CALLER, "call");
    bye(&mut world, bob, CALLER, "call", &tag);
    assert_eq!(total(&world, bob, "half_open_shed"), 1);
    assert!(arrived(&mut world, &refused).is_empty());
    world.run(Duration::from_secs(3));
    assert!(arrived(&mut world, &refused).is_empty(), "not repeated");
    world.act(bob, |actions| actions.respond(rings.transaction, 486, b""));
    world.sent(bob);
    world.rest();
    assert_eq!(world.counts(bob).sources, 0);
}

#[test]
fn an_answered_call_that_nobody_acknowledges_ends() {
    let (mut world, bob) = world(1);
    flood(&mut world, bob, 0);
    let invite = world.request(bob);
    world.act(bob, |actions| actions.respond(invite.transaction, 200, SDP));
    world.sent(bob);
    world.run(Duration::from_secs(1));
    ask(&mut world, bob, CALLER, ("INVITE", 1, "call", ""));
    world.run(Duration::from_millis(20));
    let events = world.events(bob);
    let [Event::DialogEnded(ended), Event::Request(call)] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(ended.reason, DialogEndReason::AckTimeout);
    assert_eq!(call.message.call_id(), Ok("call"));
    world.act(bob, |actions| actions.respond(call.transaction, 486, b""));
    world.rest();
    assert_eq!(world.counts(bob).sources, 0);
}

#[test]
fn a_proxied_call_is_cancelled_where_it_went() {
    const CALLEE: &str = "198.51.100.77:5060";
    let (mut world, bob) = world(1);
    flood(&mut world, bob, 0);
    let invite = world.request(bob);
    world.act(bob, |actions| {
        actions.proxy(
            invite.transaction,
            &["sip:c@198.51.100.77"],
            ProxyOptions::default(),
        )
    });
    let branch = raw::one(&mut world, CALLEE);
    send(
        &mut world,
        CALLEE,
        bob,
        raw::reply(&branch, "180 Ringing", "c", ""),
    );
    world.run(Duration::from_secs(1));
    world.events(bob);
    world.strays();
    ask(&mut world, bob, CALLER, ("INVITE", 1, "call", ""));
    let cancel = raw::one(&mut world, CALLEE);
    assert!(cancel.is("CANCEL"));
    assert!(values(&cancel, "Reason")[0].contains("cause=503"));
    send(
        &mut world,
        CALLEE,
        bob,
        raw::reply(&cancel, "200 OK", "c", ""),
    );
    send(
        &mut world,
        CALLEE,
        bob,
        raw::reply(&branch, "487 Request Terminated", "c", ""),
    );
    world.run(Duration::from_millis(20));
    let (new, _) = heard(&world.events(bob));
    assert_eq!(new.len(), 1);
    world.act(bob, |actions| actions.respond(new[0], 486, b""));
    world.events(bob);
    world.run(Duration::from_secs(60));
    world.events(bob);
    world.rest();
    assert_eq!(world.counts(bob).sources, 0);
}

#[test]
fn a_source_that_has_shown_itself_meanwhile_is_not_cut_off() {
    let (mut world, bob) = world(2);
    ask(&mut world, bob, CALLER, ("INVITE", 1, "rings", ""));
    let rings = world.request(bob);
    call(&mut world, bob, CALLER, "answered");
    flood(&mut world, bob, 0);
    world.request(bob);
    world.run(Duration::from_secs(1));
    flood(&mut world, bob, 1);
    world.request(bob);
    assert_eq!(total(&world, bob, "half_open_shed"), 0);
    world.act(bob, |actions| actions.respond(rings.transaction, 486, b""));
    world.sent(bob);
}

#[test]
fn what_an_application_dropped_takes_no_place() {
    let (mut world, bob) = world(1);
    for number in 0..3 {
        flood(&mut world, bob, number);
        let invite = world.request(bob);
        world.act(bob, |actions| {
            actions.command(|_| engine::command::Command::Drop(invite.transaction))
        });
    }
    assert_eq!(total(&world, bob, "half_open_shed"), 0);
    assert_eq!(total(&world, bob, "refused_quota"), 0);
    world.rest();
}
