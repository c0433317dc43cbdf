//! However many places say that they ring or answer, one INVITE of ours holds a bounded number of dialogs; those who ring without
//! end do not keep the one that answers from being heard.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod raw;

use raw::{arrived, one, reply, send};
use simnet::actions::SDP;
use simnet::{Faults, HostId, Packet, World};
use sip::Method;
use std::time::Duration;

const PEER: &str = "198.51.100.7:5060";
/// More than any INVITE reaches (RFC 5393 §5.3.3 recommends a Max-Breadth of 60).
const RINGING: usize = 64;
/// Those that answer have as much room again.
const ALL: usize = 128;

fn invited(seed: u64) -> (World, HostId, Packet) {
    let mut world = World::new(seed, Faults::none());
    let alice = world.host("alice");
    let headers = [("Supported", "100rel")];
    world.act(alice, |actions| {
        actions.send(Method::Invite, &format!("sip:bob@{PEER}"), &headers, SDP)
    });
    world.sent(alice);
    let invite = one(&mut world, PEER);
    (world, alice, invite)
}

fn respond(world: &mut World, alice: HostId, invite: &Packet, status: &str, tag: &str) {
    let contact = format!("Contact: <sip:{tag}@{PEER}>\r\n");
    send(world, PEER, alice, reply(invite, status, tag, &contact));
}

#[test]
fn a_thousand_places_that_ring_make_a_bounded_number_of_dialogs_and_the_answer_is_heard() {
    let (mut world, alice, invite) = invited(60);
    for tag in 0..1000 {
        respond(
            &mut world,
            alice,
            &invite,
            "180 Ringing",
            &format!("t{tag}"),
        );
    }
    world.run(Duration::from_millis(50));
    assert_eq!(world.counts(alice).dialogs, RINGING);
    // They are still told of, as responses that belong to no dialog.
    let told = world.events(alice).len();
    assert_eq!(told, 1000);
    respond(&mut world, alice, &invite, "200 OK", "answers");
    let answer = world.response(alice);
    assert_eq!(answer.message.status(), 200);
    let dialog = answer.dialog.unwrap();
    world.act(alice, |actions| actions.ack(dialog));
    world.sent(alice);
    assert!(one(&mut world, PEER).is("ACK"));
    world.run(Duration::from_secs(40));
    assert_eq!(world.counts(alice).dialogs, 1, "the others ended");
    world.act(alice, |actions| actions.bye(dialog));
    world.sent(alice);
    let bye = one(&mut world, PEER);
    send(&mut world, PEER, alice, reply(&bye, "200 OK", "", ""));
    assert_eq!(world.response(alice).message.status(), 200);
    world.rest();
}

#[test]
fn a_thousand_places_that_answer_make_a_bounded_number_of_calls() {
    let (mut world, alice, invite) = invited(61);
    for tag in 0..1000 {
        respond(&mut world, alice, &invite, "200 OK", &format!("t{tag}"));
    }
    world.run(Duration::from_millis(50));
    assert_eq!(world.counts(alice).dialogs, ALL);
    assert_eq!(world.events(alice).len(), ALL);
    assert!(arrived(&mut world, PEER).is_empty());
}

#[test]
fn a_refusal_after_a_thousand_that_rang_leaves_nothing() {
    let (mut world, alice, invite) = invited(62);
    for tag in 0..1000 {
        respond(
            &mut world,
            alice,
            &invite,
            "180 Ringing",
            &format!("t{tag}"),
        );
    }
    respond(&mut world, alice, &invite, "486 Busy Here", "t0");
    world.run(Duration::from_millis(50));
    world.events(alice);
    assert_eq!(world.counts(alice).dialogs, 0);
    world.rest();
}

#[test]
fn cancelled_with_a_thousand_answers_on_the_way_each_is_ended_as_far_as_there_is_room() {
    let (mut world, alice, invite) = invited(63);
    respond(&mut world, alice, &invite, "180 Ringing", "first");
    let transaction = world.response(alice).transaction;
    world.act(alice, |actions| actions.cancel(transaction));
    world.run(Duration::from_millis(20));
    world.strays();
    for tag in 0..1000 {
        respond(&mut world, alice, &invite, "200 OK", &format!("t{tag}"));
    }
    let sent = arrived(&mut world, PEER);
    assert_eq!(
        sent.iter().filter(|packet| packet.is("ACK")).count(),
        ALL - 1
    );
    assert_eq!(
        sent.iter().filter(|packet| packet.is("BYE")).count(),
        ALL - 1
    );
    world.rest();
}
