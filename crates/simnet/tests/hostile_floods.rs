//! Floods of requests: the bound on transactions holds for those too that name no application, one dialog's peer does not fill the
//! table, and what a message costs does not grow with the number of dialogs that share its Call-ID.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod raw;

use raw::{arrived, send};
use simnet::actions::SDP;
use simnet::host::config;
use simnet::{Faults, HostId, World};
use std::time::Duration;

const PEER: &str = "198.51.100.9:5060";

fn request(method: &str, number: u32, call_id: &str, from_tag: &str, more: &str) -> String {
    format!(
        "{method} sip:bob@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP {PEER};branch=z9hG4bK{method}{number}{from_tag}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:a@example.com>;tag={from_tag}\r\nCall-ID: {call_id}\r\nCSeq: {number} {method}\r\n\
         Contact: <sip:a@{PEER}>\r\n{more}Content-Length: 0\r\n\r\n"
    )
}

fn small(seed: u64, transactions: usize) -> (World, HostId) {
    let mut world = World::new(seed, Faults::none());
    let mut small = config(HostId(0));
    small.bounds.transactions = transactions;
    // Who takes part in a call has its mark, and may send as many requests as he likes.
    small.network.unsigned = engine::config::Unsigned::Relay;
    let bob = world.host_with("bob", small);
    (world, bob)
}

#[test]
fn requests_that_only_pass_through_are_bounded_as_well() {
    let (mut world, bob) = small(70, 100);
    let more =
        "To: <sip:bob@example.com>;tag=x\r\nRoute: <sip:192.0.2.1;lr>, <sip:198.51.100.66;lr>\r\n";
    for number in 1..=1000 {
        send(
            &mut world,
            PEER,
            bob,
            request("INFO", number, "relayed", "a", more),
        );
    }
    world.run(Duration::from_millis(50));
    let counts = world.counts(bob);
    let held = counts.server_transactions + counts.client_transactions;
    assert!(held <= 126, "{held}");
    let busy = world.strays();
    assert!(busy.iter().any(|packet| packet.answers(503, "INFO")));
    world.rest();
}

#[test]
fn the_peer_of_one_dialog_does_not_fill_the_table() {
    let (mut world, bob) = small(71, 100);
    send(
        &mut world,
        PEER,
        bob,
        request("INVITE", 1, "call", "a", "To: <sip:bob@example.com>\r\n"),
    );
    let invite = world.request(bob);
    world.act(bob, |actions| actions.respond(invite.transaction, 200, SDP));
    let sent = world.sent(bob);
    let tag = sent.message.to().unwrap().tag().unwrap().to_owned();
    let to = format!("To: <sip:bob@example.com>;tag={tag}\r\n");
    send(&mut world, PEER, bob, request("ACK", 1, "call", "a", &to));
    for number in 2..=1000 {
        send(
            &mut world,
            PEER,
            bob,
            request("INFO", number, "call", "a", &to),
        );
    }
    world.run(Duration::from_millis(50));
    let counts = world.counts(bob);
    let held = counts.server_transactions + counts.client_transactions;
    assert!(held <= 200, "{held}");
    // It can still be ended.
    world.events(bob);
    world.strays();
    send(
        &mut world,
        PEER,
        bob,
        request("BYE", 2000, "call", "a", &to),
    );
    let bye = world.request(bob);
    world.act(bob, |actions| actions.respond(bye.transaction, 200, b""));
    assert!(
        arrived(&mut world, PEER)
            .iter()
            .any(|packet| packet.answers(200, "BYE"))
    );
    world.rest();
}

/// How often dialogs are looked at to take up `count` calls and end them, whose Call-IDs are all the same or all different.
#[cfg(debug_assertions)]
fn cost(count: u32, same: bool) -> u64 {
    let mut world = World::new(72, Faults::none());
    let bob = world.host("bob");
    let mut tags = Vec::new();
    let call_id = |number: u32| {
        if same {
            "same".to_owned()
        } else {
            format!("{number}")
        }
    };
    for number in 0..count {
        let to = "To: <sip:bob@example.com>\r\n";
        send(
            &mut world,
            PEER,
            bob,
            request("INVITE", 1, &call_id(number), &format!("f{number}"), to),
        );
        let invite = world.request(bob);
        world.act(bob, |actions| actions.respond(invite.transaction, 200, SDP));
        let sent = world.sent(bob);
        tags.push(sent.message.to().unwrap().tag().unwrap().to_owned());
    }
    for (number, tag) in (0..count).zip(&tags).rev() {
        let to = format!("To: <sip:bob@example.com>;tag={tag}\r\n");
        send(
            &mut world,
            PEER,
            bob,
            request("ACK", 1, &call_id(number), &format!("f{number}"), &to),
        );
        send(
            &mut world,
            PEER,
            bob,
            request("BYE", 2, &call_id(number), &format!("f{number}"), &to),
        );
        world.request(bob);
        let bye = world.request(bob);
        world.act(bob, |actions| actions.respond(bye.transaction, 200, b""));
        world.sent(bob);
    }
    world.dialogs_looked_at(bob)
}

#[test]
#[cfg(debug_assertions)]
fn what_a_message_costs_does_not_grow_with_the_dialogs_of_its_call_id() {
    let (different, same) = (cost(400, false), cost(400, true));
    assert_eq!(same, different);
    assert!(same < 400 * 100, "{same}");
}
