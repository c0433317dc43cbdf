//! Field ask 9: races of CANCEL, 200 and BYE that comparable servers lost (drachtio-server #480 #255 #98, drachtio-srf#113,
//! opensips#1388). The crossings of any two messages are in `crossings.rs` and `cancel_race.rs`; here is what reports add to them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod raw;

use engine::event::{CommandError, DialogEndReason};
use raw::{arrived, reply, send, values};
use simnet::actions::SDP;
use simnet::host::config;
use simnet::{Faults, HostId, Packet, World};
use sip::Method;
use std::time::Duration;

const PEER: &str = "198.51.100.9:5060";

fn request(method: &str, sent_by: &str, branch: &str, call_id: &str) -> String {
    format!(
        "{method} sip:bob@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP {sent_by};branch={branch};rport\r\nMax-Forwards: 70\r\n\
         From: <sip:a@example.com>;tag=a\r\nTo: <sip:bob@example.com>\r\nCall-ID: {call_id}\r\nCSeq: 1 {method}\r\n\
         Contact: <sip:a@{sent_by}>\r\nContent-Length: 0\r\n\r\n"
    )
}

fn has(packets: &[Packet], status: u16, method: &str) -> bool {
    packets.iter().any(|packet| packet.answers(status, method))
}

/// Bob rings for a caller whose Via names its private address.
fn ringing(seed: u64) -> (World, HostId, engine::id::TransactionId) {
    let mut world = World::new(seed, Faults::none());
    let bob = world.host("bob");
    send(
        &mut world,
        PEER,
        bob,
        request("INVITE", "10.0.0.7:5060", "z9hG4bKnat", "call"),
    );
    let invite = world.request(bob).transaction;
    world.act(bob, |actions| actions.respond(invite, 180, b""));
    assert!(world.sent(bob).dialog.is_some(), "an early dialog");
    (world, bob, invite)
}

/// drachtio-server #480: the caller learned its public address from `rport` and writes it into the CANCEL's Via.
#[test]
fn a_cancel_whose_sent_by_changed_behind_a_nat_cancels_its_invite() {
    let (mut world, bob, invite) = ringing(220);
    send(
        &mut world,
        PEER,
        bob,
        request("CANCEL", PEER, "z9hG4bKnat", "call"),
    );
    let cancel = world.request(bob);
    assert_eq!(
        (cancel.message.method(), cancel.transaction),
        (Method::Cancel, invite)
    );
    let seen = arrived(&mut world, PEER);
    assert!(
        has(&seen, 200, "CANCEL") && has(&seen, 487, "INVITE"),
        "{seen:?}"
    );
    assert!(!has(&seen, 481, "CANCEL"));
    world.rest();
}

/// The other side of it: a branch alone cancels nobody else's call.
#[test]
fn a_cancel_of_another_call_or_another_branch_cancels_nothing() {
    let (mut world, bob, invite) = ringing(221);
    send(
        &mut world,
        PEER,
        bob,
        request("CANCEL", PEER, "z9hG4bKnat", "other"),
    );
    send(
        &mut world,
        PEER,
        bob,
        request("CANCEL", PEER, "z9hG4bKelse", "call"),
    );
    let elsewhere = request("CANCEL", PEER, "z9hG4bKnat", "call").replace("tag=a", "tag=b");
    send(&mut world, PEER, bob, elsewhere);
    world.no_event(bob);
    let refused = arrived(&mut world, PEER);
    let count = refused
        .iter()
        .filter(|packet| packet.answers(481, "CANCEL"))
        .count();
    assert_eq!(count, 3, "{refused:?}");
    world.act(bob, |actions| actions.respond(invite, 486, b""));
    world.sent(bob);
    world.rest();
}

/// drachtio-server #255: the 200 crosses our CANCEL, and came by way of a proxy that stays in the path: so go ACK and BYE.
#[test]
fn the_ack_and_bye_of_a_200_that_crossed_our_cancel_take_its_route() {
    let mut world = World::new(222, Faults::none());
    let alice = world.host("alice");
    let proxy = "198.51.100.20:5060";
    world.act(alice, |actions| {
        actions.invite_by("sip:bob@example.com", &format!("sip:{proxy}"))
    });
    let client = world.sent(alice).transaction;
    let invite = raw::one(&mut world, proxy);
    send(
        &mut world,
        proxy,
        alice,
        reply(&invite, "180 Ringing", "b", ""),
    );
    assert_eq!(world.response(alice).message.status(), 180);
    world.act(alice, |actions| actions.cancel(client));
    world.sent(alice);
    let more = format!("Record-Route: <sip:{proxy};lr>\r\nContact: <sip:bob@203.0.113.77>\r\n");
    send(
        &mut world,
        proxy,
        alice,
        reply(&invite, "200 OK", "b", &more),
    );
    world.run(Duration::from_millis(50));
    let strays = world.strays();
    for method in ["ACK", "BYE"] {
        let sent: Vec<&Packet> = strays.iter().filter(|packet| packet.is(method)).collect();
        assert!(!sent.is_empty(), "{method}: {strays:?}");
        for packet in sent {
            assert_eq!(
                packet.to,
                proxy.parse().unwrap(),
                "{method} by way of the proxy"
            );
            assert_eq!(values(packet, "Route"), [format!("<sip:{proxy};lr>")]);
            assert!(packet.start_line().contains("sip:bob@203.0.113.77"));
        }
    }
    let bye = strays
        .iter()
        .find(|packet| packet.is("BYE"))
        .unwrap()
        .clone();
    send(&mut world, proxy, alice, reply(&bye, "200 OK", "b", ""));
    world.run(Duration::from_millis(50));
    world.events(alice);
    world.rest();
}

/// drachtio-server #273, drachtio-srf#113: a caller gives up before the application has looked at the call.
#[test]
fn a_cancel_before_the_application_looked_reaches_it_and_its_answer_fails() {
    let mut world = World::new(223, Faults::none());
    let bob = world.host("bob");
    send(
        &mut world,
        PEER,
        bob,
        request("INVITE", PEER, "z9hG4bKquick", "quick"),
    );
    send(
        &mut world,
        PEER,
        bob,
        request("CANCEL", PEER, "z9hG4bKquick", "quick"),
    );
    world.run(Duration::from_millis(50));
    let invite = world.request(bob);
    assert_eq!(
        world.request(bob).message.method(),
        Method::Cancel,
        "in this order"
    );
    for status in [180, 200, 486] {
        world.act(bob, |actions| {
            actions.respond(invite.transaction, status, b"")
        });
        assert_eq!(world.failed(bob).error, CommandError::AlreadyAnswered);
    }
    assert!(has(&arrived(&mut world, PEER), 487, "INVITE"));
    world.rest();
}

/// opensips#1388: the CANCEL comes after our 200. RFC 3261 §9.2 lets the call stand, the caller has to hang up; a server that is to
/// behave as drachtio's ends it, since many callers never do.
#[test]
fn a_cancel_after_the_answer_ends_the_call_where_that_is_wanted() {
    for compatible in [false, true] {
        let mut world = World::new(224, Faults::none());
        let mut config = config(HostId(0));
        config.drachtio_compatible = compatible;
        let bob = world.host_with("bob", config);
        send(
            &mut world,
            PEER,
            bob,
            request("INVITE", PEER, "z9hG4bKlate", "late"),
        );
        let invite = world.request(bob);
        world.act(bob, |actions| actions.respond(invite.transaction, 200, SDP));
        world.sent(bob);
        send(
            &mut world,
            PEER,
            bob,
            request("CANCEL", PEER, "z9hG4bKlate", "late"),
        );
        world.run(Duration::from_millis(50));
        let seen = world.strays();
        assert!(has(&seen, 200, "CANCEL"));
        world.run(Duration::from_secs(40));
        let reason = world.dialog_ended(bob).reason;
        let expected = if compatible {
            DialogEndReason::CancelAfterAnswer
        } else {
            DialogEndReason::AckTimeout
        };
        assert_eq!(reason, expected);
        world.rest();
    }
}
