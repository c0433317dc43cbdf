//! One peer that fills what it may is refused, and the others are served; a flood of half-open INVITEs with forged addresses leaves the
//! calls that there are, and the calls of peers that have shown themselves; who is refused often gets silence, and nobody who may not have
//! asked gets an answer many times.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod raw;

use engine::admit::{Admission, Rate};
use engine::command::Respond;
use engine::event::Event;
use raw::caller::{ask, bye, call, invite, request};
use raw::{arrived, send, values};
use simnet::actions::draft;
use simnet::host::config;
use simnet::{Faults, HostId, World};
use std::time::Duration;

const PEER: &str = "198.51.100.9:5060";
const OTHER: &str = "198.51.100.10:5060";

fn world(limits: impl FnOnce(&mut Admission)) -> (World, HostId) {
    let mut world = World::new(80, Faults::none());
    let mut strict = config(HostId(0));
    strict.admission = Admission::default();
    limits(&mut strict.admission);
    let bob = world.host_with("bob", strict);
    (world, bob)
}

#[test]
fn one_peer_fills_what_it_may_and_another_is_served() {
    let (mut world, bob) = world(|limits| limits.transactions = 100);
    for number in 1..=1000 {
        ask(&mut world, bob, PEER, ("MESSAGE", number, "many", ""));
    }
    world.run(Duration::from_millis(50));
    assert_eq!(world.counts(bob).server_transactions, 100);
    assert_eq!(world.counts(bob).sources, 1);
    assert_eq!(world.counts(bob).total("refused_quota").unwrap(), 900);
    let busy = arrived(&mut world, PEER);
    assert_eq!(
        busy.iter()
            .filter(|packet| packet.answers(503, "MESSAGE"))
            .count(),
        20,
        "then it gets silence"
    );
    assert!(!values(&busy[0], "Retry-After").is_empty());
    world.events(bob);
    ask(&mut world, bob, OTHER, ("MESSAGE", 1, "one", ""));
    let message = world.request(bob);
    world.act(bob, |actions| {
        actions.respond(message.transaction, 200, b"")
    });
    world.sent(bob);
    assert!(arrived(&mut world, OTHER)[0].answers(200, "MESSAGE"));
    world.rest();
    assert_eq!(world.counts(bob).sources, 0);
}

#[test]
fn a_flood_of_half_open_invites_is_bounded_and_calls_go_on() {
    let (mut world, bob) = world(|limits| {
        limits.half_open = 10;
        limits.strangers_half_open = 200;
    });
    let tag = call(&mut world, bob, PEER, "before");
    for source in 0..250_u32 {
        let from = format!("203.0.113.{source}:5060");
        for number in 1..=20 {
            let call_id = format!("flood{source}-{number}");
            ask(&mut world, bob, &from, ("INVITE", number, &call_id, ""));
        }
    }
    world.run(Duration::from_millis(50));
    // Twenty sources have ten each; the others find no room, and are not told so: an answer may go to somebody else.
    assert_eq!(world.events(bob).len(), 200);
    let held = world.counts(bob).server_transactions;
    assert!(held <= 202, "{held}");
    let refused = world
        .strays()
        .iter()
        .filter(|p| p.answers(503, "INVITE"))
        .count();
    assert!(refused <= 250, "{refused}");
    // Who has acknowledged a call of ours is not one of those.
    let second = call(&mut world, bob, PEER, "during");
    bye(&mut world, bob, PEER, "during", &second);
    bye(&mut world, bob, PEER, "before", &tag);
    world.rest();
    assert_eq!(world.counts(bob).sources, 0);
}

#[test]
fn acknowledged_calls_are_no_half_open_ones() {
    let (mut world, bob) = world(|limits| limits.half_open = 2);
    for number in 0..20 {
        let call_id = format!("call{number}");
        let tag = call(&mut world, bob, PEER, &call_id);
        if number % 2 == 0 {
            bye(&mut world, bob, PEER, &call_id, &tag);
        }
        // A refusal that is acknowledged neither.
        let call_id = format!("refused{number}");
        let tag = invite(&mut world, bob, PEER, &call_id, 486);
        ask(&mut world, bob, PEER, ("ACK", 1, &call_id, &tag));
        world.run(Duration::from_millis(20));
    }
    assert_eq!(world.counts(bob).total("refused_quota").unwrap(), 0);
}

/// How often the final response to an INVITE that is never acknowledged is sent to `peer`: 4 times to a stranger, else 11.
fn repeats(world: &mut World, bob: HostId, peer: &str) -> usize {
    invite(world, bob, peer, "never", 486);
    world.run(Duration::from_secs(40));
    let finals = world.strays();
    finals.iter().filter(|p| p.answers(486, "INVITE")).count()
}

/// Whoever was told a tag or a branch can send it on from any address that he makes up.
#[test]
fn what_was_told_to_one_address_makes_no_other_one_known() {
    let (mut world, bob) = world(|_| {});
    let tag = invite(&mut world, bob, PEER, "refused", 404);
    let forged = request(PEER, "ACK", 1, "refused", &tag);
    send(&mut world, OTHER, bob, forged);
    let tag = call(&mut world, bob, PEER, "answered");
    send(
        &mut world,
        OTHER,
        bob,
        request(PEER, "OPTIONS", 1, "answered", &tag),
    );
    world.run(Duration::from_millis(50));
    world.events(bob);
    world.strays();
    assert_eq!(repeats(&mut world, bob, OTHER), 4);
    world.events(bob);
    bye(&mut world, bob, PEER, "answered", &tag);
    assert_eq!(repeats(&mut world, bob, PEER), 11);
}

/// A request of `from` outside any call that gets this response.
fn answered(world: &mut World, bob: HostId, text: String, status: u16, headers: &[(&str, &str)]) {
    send(world, OTHER, bob, text);
    let asked = world.request(bob);
    world.act(bob, |actions| {
        actions.command(|id| {
            engine::Command::Respond(Respond {
                id,
                transaction: asked.transaction,
                status,
                reason: String::new(),
                draft: draft(headers, b""),
            })
        });
    });
    world.sent(bob);
}

#[test]
fn credentials_show_their_source_when_they_repeat_what_was_told_there() {
    let challenge = "Digest realm=\"b\", nonce=\"told\", qop=\"auth\"";
    for (is_challenged, nonce, count) in
        [(true, "told", 11), (true, "other", 4), (false, "told", 4)]
    {
        let (mut world, bob) = world(|_| {});
        if is_challenged {
            let text = request(OTHER, "REGISTER", 1, "first", "");
            let headers = [("WWW-Authenticate", challenge)];
            answered(&mut world, bob, text, 401, &headers);
        }
        let credentials =
            format!("Authorization: Digest username=\"x\", nonce=\"{nonce}\"\r\nContent-Length");
        let text =
            request(OTHER, "REGISTER", 2, "first", "").replace("Content-Length", &credentials);
        answered(&mut world, bob, text, 200, &[]);
        assert_eq!(
            repeats(&mut world, bob, OTHER),
            count,
            "{is_challenged} {nonce}"
        );
    }
}

/// How often the final response to an INVITE that is never acknowledged is sent.
fn finals(status: u16, is_known: bool, limits: impl FnOnce(&mut Admission)) -> usize {
    let (mut world, bob) = world(limits);
    if is_known {
        let tag = call(&mut world, bob, PEER, "known");
        bye(&mut world, bob, PEER, "known", &tag);
    }
    invite(&mut world, bob, PEER, "never", status);
    world.run(Duration::from_secs(40));
    let finals = world.strays();
    let count = finals
        .iter()
        .filter(|p| p.answers(status, "INVITE"))
        .count();
    world.rest();
    count
}

#[test]
fn what_nobody_acknowledges_is_repeated_three_times_and_to_known_sources_as_the_rfc_says() {
    for status in [200, 486] {
        assert_eq!(finals(status, false, |_| {}), 4, "{status}");
        assert_eq!(finals(status, true, |_| {}), 11, "{status}");
        let full = |limits: &mut Admission| limits.full_repeats = true;
        assert_eq!(finals(status, false, full), 11, "{status}");
    }
}

#[test]
fn the_bye_of_a_call_that_nobody_acknowledged_is_said_once() {
    for (is_known, byes) in [(false, 1), (true, 11)] {
        let (mut world, bob) = world(|_| {});
        if is_known {
            let tag = call(&mut world, bob, PEER, "known");
            bye(&mut world, bob, PEER, "known", &tag);
        }
        invite(&mut world, bob, PEER, "never", 200);
        world.strays();
        world.run(Duration::from_secs(100));
        let sent = world.strays().iter().filter(|p| p.is("BYE")).count();
        assert_eq!(sent, byes);
        world.events(bob);
        world.rest();
    }
}

#[test]
fn an_unknown_dialog_is_answered_now_and_then_and_leaves_no_more_than_the_quota() {
    let (mut world, bob) = world(|limits| {
        limits.transactions = 50;
        limits.refused_rate = Some(Rate::new(1, 5));
    });
    for number in 1..=500 {
        ask(
            &mut world,
            bob,
            PEER,
            ("BYE", number, &format!("no{number}"), "forged"),
        );
    }
    world.run(Duration::from_millis(50));
    assert_eq!(world.counts(bob).server_transactions, 50);
    let answered = arrived(&mut world, PEER).len();
    assert_eq!(answered, 55, "50 with a transaction, 5 without");
    assert_eq!(world.counts(bob).total("refused_silently").unwrap(), 445);
    world.rest();
}

#[test]
fn an_ack_that_guesses_the_tag_shows_nothing() {
    let (mut world, bob) = world(|_| {});
    invite(&mut world, bob, PEER, "blind", 486);
    ask(&mut world, bob, PEER, ("ACK", 1, "blind", "guessed"));
    world.run(Duration::from_millis(20));
    // Still a stranger: its next refusal is repeated three times only.
    world.strays();
    invite(&mut world, bob, PEER, "again", 486);
    world.run(Duration::from_secs(40));
    let finals = world
        .strays()
        .iter()
        .filter(|p| p.answers(486, "INVITE"))
        .count();
    assert_eq!(finals, 4);
}

#[test]
fn an_ack_that_repeats_a_tag_of_its_own_making_shows_nothing() {
    let (mut world, bob) = world(|_| {});
    // Of no dialog here: the 481 says the tag that it came with.
    ask(&mut world, bob, PEER, ("INVITE", 1, "blind", "mine"));
    world.run(Duration::from_millis(20));
    ask(&mut world, bob, PEER, ("ACK", 1, "blind", "mine"));
    world.run(Duration::from_millis(20));
    world.strays();
    invite(&mut world, bob, PEER, "again", 486);
    world.run(Duration::from_secs(40));
    let finals = world
        .strays()
        .iter()
        .filter(|p| p.answers(486, "INVITE"))
        .count();
    assert_eq!(finals, 4);
}

#[test]
fn the_dialogs_of_one_source_are_bounded() {
    let (mut world, bob) = world(|limits| limits.dialogs = 3);
    let mut tags = Vec::new();
    for number in 0..3 {
        tags.push(call(&mut world, bob, PEER, &format!("call{number}")));
    }
    ask(&mut world, bob, PEER, ("INVITE", 1, "fourth", ""));
    world.run(Duration::from_millis(20));
    assert!(
        arrived(&mut world, PEER)
            .iter()
            .any(|p| p.answers(503, "INVITE"))
    );
    let other = call(&mut world, bob, OTHER, "elsewhere");
    bye(&mut world, bob, OTHER, "elsewhere", &other);
    bye(&mut world, bob, PEER, "call0", &tags[0]);
    // There is room again.
    tags[0] = call(&mut world, bob, PEER, "fifth");
    bye(&mut world, bob, PEER, "fifth", &tags[0]);
    for (number, tag) in tags.iter().enumerate().take(3).skip(1) {
        bye(&mut world, bob, PEER, &format!("call{number}"), tag);
    }
    let left: Vec<Event> = world.events(bob);
    assert!(left.is_empty(), "{left:?}");
    world.rest();
    assert_eq!(world.counts(bob).sources, 0);
}
