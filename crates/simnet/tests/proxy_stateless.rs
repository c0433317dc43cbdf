//! A request forwarded without state leaves nothing behind: repetitions take the same branch, CANCEL and ACK follow their INVITE, and
//! responses go by their Via (RFC 3261 §16.11).
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod calls;
mod raw;

use calls::{Callee, Caller, Forwarder, Manner};
use engine::command::ProxyOptions;
use raw::{arrived, branch, reply};
use simnet::host::config;
use simnet::{Faults, HostId, Packet, Random, World};
use std::net::SocketAddr;
use std::time::Duration;

const ALICE: &str = "198.51.100.9:5060";
const BOB: &str = "203.0.113.5:5060";

fn stateless() -> ProxyOptions {
    ProxyOptions {
        stateless: true,
        ..ProxyOptions::default()
    }
}

fn milliseconds(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A proxy that leaves a 100 to the callee, as one without state must (RFC 3261 §16.11).
fn proxy(world: &mut World, index: usize) -> HostId {
    let mut config = config(HostId(index));
    config.timers.trying = milliseconds(200);
    world.host_with("proxy", config)
}

fn request(method: &str, to_tag: &str) -> String {
    let number = if method == "MESSAGE" { 2 } else { 1 };
    let cseq = if method == "CANCEL" || method == "ACK" {
        1
    } else {
        number
    };
    format!(
        "{method} sip:bob@b.example SIP/2.0\r\nVia: SIP/2.0/UDP {ALICE};branch=z9hG4bKa{cseq}\r\nMax-Forwards: 70\r\n\
         From: <sip:a@example.com>;tag=one\r\nTo: <sip:bob@b.example>{to_tag}\r\nCall-ID: stateless\r\nCSeq: {cseq} {method}\r\n\
         Contact: <sip:a@{ALICE}>\r\nContent-Length: 0\r\n\r\n"
    )
}

#[test]
fn a_response_that_nobody_was_asked_for_is_not_passed_on() {
    let mut world = World::new(1, Faults::none());
    let proxy = proxy(&mut world, 0);
    let (alice, bob): (SocketAddr, SocketAddr) = (ALICE.parse().unwrap(), BOB.parse().unwrap());
    world.inject(alice, proxy, request("MESSAGE", ""));
    let seen = world.request(proxy);
    world.act(proxy, |actions| {
        actions.proxy(seen.transaction, &["sip:bob@203.0.113.5"], stateless());
    });
    assert_eq!(world.proxy_done(proxy).status, None);
    let forwarded = arrived(&mut world, BOB).remove(0);
    let genuine = reply(&forwarded, "200 OK", "two", "");
    // The branch of one, the Via of a victim beneath; and a branch made up.
    let victim = "203.0.113.77:5060";
    let aimed = genuine.replace(
        &format!("{ALICE};branch=z9hG4bKa2"),
        &format!("{victim};branch=z9hG4bKa2"),
    );
    let aimed = aimed.replace("received=198.51.100.9", "received=203.0.113.77");
    let forged = genuine.replace(
        &branch(&forwarded),
        "z9hG4bKs00112233445566770011223344556677",
    );
    let short = genuine.replace(&branch(&forwarded), "z9hG4bKs0011223344556677");
    for response in [aimed, forged, short] {
        assert_ne!(response, genuine);
        world.inject(bob, proxy, response);
        world.run(milliseconds(20));
        assert!(world.strays().is_empty());
    }
    world.inject(bob, proxy, genuine);
    assert!(arrived(&mut world, ALICE)[0].answers(200, "MESSAGE"));
    world.rest();
}

#[test]
fn repetitions_cancel_and_ack_go_the_way_of_the_invite() {
    let mut world = World::new(1, Faults::none());
    let proxy = proxy(&mut world, 0);
    let (alice, bob): (SocketAddr, SocketAddr) = (ALICE.parse().unwrap(), BOB.parse().unwrap());
    let mut branches = Vec::new();
    let mut invite = None;
    for _ in 0..2 {
        world.inject(alice, proxy, request("INVITE", ""));
        let seen = world.request(proxy);
        world.act(proxy, |actions| {
            actions.proxy(seen.transaction, &["sip:bob@203.0.113.5"], stateless());
        });
        assert_eq!(world.proxy_done(proxy).status, None);
        let forwarded = arrived(&mut world, BOB).remove(0);
        assert_eq!(forwarded.start_line(), "INVITE sip:bob@203.0.113.5 SIP/2.0");
        branches.push(branch(&forwarded));
        invite = Some(forwarded);
    }
    let invite = invite.unwrap();
    world.inject(bob, proxy, reply(&invite, "180 Ringing", "two", ""));
    let ringing = arrived(&mut world, ALICE).remove(0);
    assert_eq!(ringing.start_line(), "SIP/2.0 180 Ringing");
    assert_eq!(branch(&ringing), "z9hG4bKa1", "our Via is off");
    for (method, status) in [("CANCEL", "200 OK"), ("ACK", "")] {
        world.inject(alice, proxy, request(method, ";tag=two"));
        let forwarded = arrived(&mut world, BOB).remove(0);
        assert_eq!(
            forwarded.start_line(),
            format!("{method} sip:bob@203.0.113.5 SIP/2.0")
        );
        branches.push(branch(&forwarded));
        if !status.is_empty() {
            world.inject(bob, proxy, reply(&forwarded, status, "two", ""));
            world.inject(
                bob,
                proxy,
                reply(&invite, "487 Request Terminated", "two", ""),
            );
            let back: Vec<String> = arrived(&mut world, ALICE)
                .iter()
                .map(Packet::start_line)
                .collect();
            assert_eq!(back, ["SIP/2.0 200 OK", "SIP/2.0 487 Request Terminated"]);
        }
    }
    branches.dedup();
    assert_eq!(branches.len(), 1, "{branches:?}");
    world.no_event(proxy);
    world.rest();
}

#[test]
fn other_methods_are_forwarded_and_forgotten_at_once() {
    let mut world = World::new(2, Faults::none());
    let proxy = proxy(&mut world, 0);
    world.inject(ALICE.parse().unwrap(), proxy, request("MESSAGE", ""));
    let seen = world.request(proxy);
    world.act(proxy, |actions| {
        actions.proxy(seen.transaction, &["sip:bob@203.0.113.5"], stateless());
    });
    world.proxy_done(proxy);
    let forwarded = arrived(&mut world, BOB).remove(0);
    world.inject(
        BOB.parse().unwrap(),
        proxy,
        reply(&forwarded, "200 OK", "two", ""),
    );
    assert_eq!(
        arrived(&mut world, ALICE).remove(0).start_line(),
        "SIP/2.0 200 OK"
    );
    assert_eq!(world.counts(proxy).timers, 0);
    world.rest();
}

#[test]
fn a_cancel_of_what_never_came_gets_481() {
    let mut world = World::new(3, Faults::none());
    let proxy = proxy(&mut world, 0);
    world.inject(ALICE.parse().unwrap(), proxy, request("CANCEL", ""));
    let refused = arrived(&mut world, ALICE).remove(0);
    assert!(refused.start_line().starts_with("SIP/2.0 481"));
    world.rest();
}

#[test]
fn calls_come_to_their_end_over_a_lossy_network() {
    for seed in 0..300 {
        let mut random = Random::new(seed, 3000);
        let faults = Faults {
            loss: [0.0, 0.1, 0.2][usize::try_from(seed % 3).unwrap()],
            duplication: 0.1,
            delay: milliseconds(1),
            most_delay: milliseconds(1 + random.below(200)),
        };
        let mut world = World::new(seed, faults);
        let alice = world.host("alice");
        let proxy = proxy(&mut world, 1);
        let bob = world.host("bob");
        let (forwarder, _) = Forwarder::new(vec![bob.uri("bob")], stateless());
        world.script(proxy, forwarder);
        let manner = Manner {
            ring: Some(milliseconds(100)),
            decide: milliseconds(200 + random.below(3000)),
            status: [200, 486][usize::try_from(random.below(2)).unwrap()],
            hang_up: None,
        };
        let (callee, there) = Callee::new(manner);
        world.script(bob, callee);
        let cancel = random.chance(0.4).then(|| milliseconds(random.below(3000)));
        let by = format!("sip:{};lr", proxy.address().ip());
        let hang_up = Some(milliseconds(2000));
        let (caller, here) = Caller::new("sip:bob@192.0.2.2".to_owned(), Some(by), cancel, hang_up);
        world.script(alice, caller);
        world.rest();
        world.note(format!("{:?} {:?}", here.borrow(), there.borrow()));
        assert_eq!(here.borrow().faults, Vec::<String>::new());
        assert!(!here.borrow().ended.is_empty(), "seed {seed}");
        if here.borrow().finals == [487] && there.borrow().invites > 0 {
            assert_eq!(there.borrow().finals, [487], "seed {seed}");
        }
    }
}
