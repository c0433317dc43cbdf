//! A subscription lives from its SUBSCRIBE to its last NOTIFY, beside a call or without one, as long as both ends agreed;
//! whoever ends it, or lets it run out, the other end learns of it, and nothing is left.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod watching;

use engine::event::{CommandError, SubscriptionEndReason};
use simnet::{Faults, HostId, World};
use sip::Method;
use std::time::Duration;
use watching::{answer, dialogs, header, notify, refresh, request, response, send, subscribe};

fn two(seed: u64) -> (World, HostId, HostId) {
    let mut world = World::new(seed, Faults::none());
    let [alice, bob] = [world.host("alice"), world.host("bob")];
    (world, alice, bob)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What the host is told about the end of a subscription.
#[track_caller]
fn ended(world: &mut World, host: HostId) -> (String, bool, SubscriptionEndReason) {
    let ended = world.subscription_ended(host);
    (ended.event, ended.is_notifier, ended.reason)
}

#[test]
fn a_subscription_is_notified_refreshed_and_ended_by_the_subscriber() {
    let (mut world, alice, bob) = two(1);
    let (here, there) = subscribe(&mut world, alice, bob, "600");
    notify(
        &mut world,
        bob,
        there,
        alice,
        "presence",
        "active;expires=600",
    );
    world.run(seconds(540));
    refresh(&mut world, alice, here, bob, "600");
    notify(
        &mut world,
        bob,
        there,
        alice,
        "presence",
        "active;expires=600",
    );
    world.run(seconds(590));
    assert_eq!(dialogs(&world, [alice, bob]), [1, 1], "it was refreshed");
    refresh(&mut world, alice, here, bob, "0");
    notify(
        &mut world,
        bob,
        there,
        alice,
        "presence",
        "terminated;reason=timeout",
    );
    assert_eq!(dialogs(&world, [alice, bob]), [0, 0]);
    for host in [alice, bob] {
        world.no_event(host);
    }
    world.rest();
}

#[test]
fn a_subscription_that_nobody_refreshes_ends_at_its_time_at_both_ends() {
    let (mut world, alice, bob) = two(2);
    let (_, there) = subscribe(&mut world, alice, bob, "600");
    let start = world.now();
    notify(
        &mut world,
        bob,
        there,
        alice,
        "presence",
        "active;expires=600",
    );
    let last = loop {
        world.run(seconds(1));
        if let [event] = &world.events(alice)[..] {
            break event.clone();
        }
    };
    let engine::Event::Request(last) = last else {
        panic!("{last:?}")
    };
    assert_eq!(
        header(&last.message, "Subscription-State"),
        "terminated;reason=timeout"
    );
    assert_eq!(header(&last.message, "Event"), "presence");
    let took = world.now().since(start);
    assert!(seconds(600) <= took && took <= seconds(602), "{took:?}");
    assert_eq!(
        ended(&mut world, bob),
        ("presence".to_owned(), true, SubscriptionEndReason::Expired)
    );
    answer(&mut world, alice, &last, 200, &[]);
    assert_eq!(dialogs(&world, [alice, bob]), [0, 0]);
    world.no_event(alice);
    world.rest();
}

#[test]
fn a_notifier_that_is_gone_is_not_waited_for() {
    let (mut world, alice, bob) = two(3);
    let (_, there) = subscribe(&mut world, alice, bob, "60");
    notify(
        &mut world,
        bob,
        there,
        alice,
        "presence",
        "active;expires=60",
    );
    world.lose(100, |packet| packet.is("NOTIFY"));
    world.run(seconds(60 + 30));
    assert_eq!(
        dialogs(&world, [alice, bob]),
        [1, 0],
        "its last NOTIFY may yet come"
    );
    world.run(seconds(5));
    assert_eq!(
        ended(&mut world, alice),
        ("presence".to_owned(), false, SubscriptionEndReason::Expired)
    );
    assert_eq!(dialogs(&world, [alice, bob]), [0, 0]);
    world.rest();
}

#[test]
fn without_a_notify_the_subscriber_gives_up_after_timer_n() {
    let (mut world, alice, bob) = two(4);
    subscribe(&mut world, alice, bob, "600");
    world.run(seconds(31));
    assert_eq!(dialogs(&world, [alice, bob]), [1, 1]);
    world.run(seconds(2));
    assert_eq!(
        ended(&mut world, alice),
        (
            "presence".to_owned(),
            false,
            SubscriptionEndReason::NoNotify
        )
    );
    assert_eq!(dialogs(&world, [alice, bob]), [0, 1]);
    world.rest();
}

#[test]
fn a_notify_says_how_long_the_subscription_lives() {
    let (mut world, alice, bob) = two(5);
    let (here, there) = subscribe(&mut world, alice, bob, "600");
    notify(
        &mut world,
        bob,
        there,
        alice,
        "presence",
        "active;expires=30",
    );
    world.run(seconds(31));
    let last = request(&mut world, alice, "NOTIFY");
    answer(&mut world, alice, &last, 200, &[]);
    world.act(alice, |actions| {
        actions.send_in(here, Method::Subscribe, b"")
    });
    assert_eq!(world.failed(alice).error, CommandError::UnknownDialog);
    world.rest();
}

#[test]
fn the_last_notify_of_an_unsubscription_is_the_application_s_for_a_while() {
    for sends in [true, false] {
        let (mut world, alice, bob) = two(6);
        let (here, there) = subscribe(&mut world, alice, bob, "600");
        notify(
            &mut world,
            bob,
            there,
            alice,
            "presence",
            "active;expires=600",
        );
        refresh(&mut world, alice, here, bob, "0");
        world.run(seconds(15));
        assert_eq!(dialogs(&world, [alice, bob]), [1, 1]);
        if sends {
            notify(
                &mut world,
                bob,
                there,
                alice,
                "presence",
                "terminated;reason=timeout",
            );
        } else {
            // The engine's own comes in time for a peer that waits for Timer N.
            world.run(seconds(1));
            let last = request(&mut world, alice, "NOTIFY");
            assert_eq!(
                header(&last.message, "Subscription-State"),
                "terminated;reason=timeout"
            );
            answer(&mut world, alice, &last, 200, &[]);
            world.subscription_ended(bob);
        }
        assert_eq!(dialogs(&world, [alice, bob]), [0, 0]);
        world.no_event(alice);
        world.rest();
    }
}

#[test]
fn a_fetch_is_a_subscription_of_no_time() {
    let (mut world, alice, bob) = two(7);
    let (_, there) = subscribe(&mut world, alice, bob, "0");
    notify(
        &mut world,
        bob,
        there,
        alice,
        "presence",
        "terminated;reason=timeout",
    );
    assert_eq!(dialogs(&world, [alice, bob]), [0, 0]);
    world.rest();
}

#[test]
fn a_notify_that_overtakes_the_answer_makes_the_dialog() {
    for state in ["active;expires=600", "terminated;reason=noresource"] {
        let (mut world, alice, bob) = two(8);
        world.hold(|packet| packet.answers(200, "SUBSCRIBE"));
        let fields = [("Event", "presence"), ("Expires", "600")];
        let uri = bob.uri("bob");
        world.act(alice, |actions| {
            actions.send(Method::Subscribe, &uri, &fields, b"")
        });
        world.sent(alice);
        let got = request(&mut world, bob, "SUBSCRIBE");
        let there = answer(&mut world, bob, &got, 200, &[("Expires", "600")])
            .dialog
            .unwrap();
        let first = notify(&mut world, bob, there, alice, "presence", state);
        let here = first.dialog.unwrap();
        world.release();
        let late = response(&mut world, alice, 200);
        if state.starts_with("active") {
            assert_eq!(late.dialog, Some(here), "one dialog, not two");
            assert_eq!(dialogs(&world, [alice, bob]), [1, 1]);
            refresh(&mut world, alice, here, bob, "0");
            notify(
                &mut world,
                bob,
                there,
                alice,
                "presence",
                "terminated;reason=timeout",
            );
        } else {
            assert_eq!(late.dialog, None, "what the NOTIFY ended stays ended");
        }
        assert_eq!(dialogs(&world, [alice, bob]), [0, 0]);
        world.rest();
    }
}

#[test]
fn each_fork_that_notifies_makes_a_dialog_of_its_own() {
    let mut world = World::new(9, Faults::none());
    let alice = world.host("alice");
    let phones: [std::net::SocketAddr; 3] = [
        "198.51.100.1:5060".parse().unwrap(),
        "198.51.100.2:5060".parse().unwrap(),
        "198.51.100.3:5060".parse().unwrap(),
    ];
    let fields = [("Event", "presence"), ("Expires", "600")];
    world.act(alice, |actions| {
        actions.send(Method::Subscribe, "sip:bob@198.51.100.1", &fields, b"")
    });
    let sent = world.sent(alice).message;
    let from = header(&sent, "From");
    let call_id = header(&sent, "Call-ID");
    let notify = |at: std::net::SocketAddr, tag: &str, event: &str| {
        format!(
            "NOTIFY sip:alice@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bK{tag}{event}\r\nMax-Forwards: 70\r\n\
             From: <sip:bob@example.org>;tag={tag}\r\nTo: {from}\r\nCall-ID: {call_id}\r\nCSeq: 7 NOTIFY\r\n\
             Contact: <sip:bob@{at}>\r\nEvent: {event}\r\nSubscription-State: active;expires=60\r\nContent-Length: 0\r\n\r\n"
        )
    };
    // Two forks, then somebody who asks about something else, then the 2xx, then one more, late.
    let mut here = Vec::new();
    for (at, tag) in [(phones[0], "one"), (phones[1], "two")] {
        world.inject(at, alice, notify(at, tag, "presence"));
        let got = request(&mut world, alice, "NOTIFY");
        here.push(got.dialog.unwrap());
        answer(&mut world, alice, &got, 200, &[]);
    }
    world.inject(phones[2], alice, notify(phones[2], "three", "dialog"));
    world.no_event(alice);
    let via = header(&sent, "Via");
    let cseq = header(&sent, "CSeq");
    world.inject(
        phones[0],
        alice,
        format!(
            "SIP/2.0 200 OK\r\nVia: {via}\r\nFrom: {from}\r\nTo: <sip:bob@198.51.100.1>;tag=one\r\nCall-ID: {call_id}\r\n\
             CSeq: {cseq}\r\nContact: <sip:bob@198.51.100.1>\r\nExpires: 600\r\nContent-Length: 0\r\n\r\n"
        ),
    );
    assert_eq!(response(&mut world, alice, 200).dialog, Some(here[0]));
    world.run(seconds(20));
    world.inject(phones[2], alice, notify(phones[2], "three", "presence"));
    let got = request(&mut world, alice, "NOTIFY");
    here.push(got.dialog.unwrap());
    answer(&mut world, alice, &got, 200, &[]);
    here.dedup();
    assert_eq!((here.len(), world.counts(alice).dialogs), (3, 3));
    // Timer N is over: a fourth comes too late.
    world.run(seconds(30));
    world.strays();
    world.inject(phones[0], alice, notify(phones[0], "four", "presence"));
    world.no_event(alice);
    let refusal = world.strays().pop().unwrap();
    assert!(refusal.answers(481, "NOTIFY"), "{}", refusal.start_line());
    world.rest();
}

#[test]
fn a_notify_that_belongs_to_nothing_gets_481() {
    let (mut world, alice, bob) = two(10);
    let (_, there) = subscribe(&mut world, alice, bob, "600");
    notify(
        &mut world,
        bob,
        there,
        alice,
        "presence",
        "active;expires=600",
    );
    for event in ["dialog", "presence;id=1", "refer"] {
        let fields = [
            ("Event", event),
            ("Subscription-State", "active;expires=600"),
        ];
        send(&mut world, bob, there, Method::Notify, &fields);
        response(&mut world, bob, 481);
    }
    assert_eq!(
        dialogs(&world, [alice, bob]),
        [1, 1],
        "the other subscription stands"
    );
    world.run(seconds(700));
    world.rest();
}

#[test]
fn a_refresh_that_the_notifier_does_not_know_ends_the_subscription() {
    for status in [481, 489, 404, 403, 500] {
        let (mut world, alice, bob) = two(11);
        let (here, there) = subscribe(&mut world, alice, bob, "600");
        notify(
            &mut world,
            bob,
            there,
            alice,
            "presence",
            "active;expires=600",
        );
        send(
            &mut world,
            alice,
            here,
            Method::Subscribe,
            &[("Event", "presence"), ("Expires", "600")],
        );
        let got = request(&mut world, bob, "SUBSCRIBE");
        answer(&mut world, bob, &got, status, &[]);
        response(&mut world, alice, status);
        let left = usize::from(matches!(status, 403 | 500));
        assert_eq!(dialogs(&world, [alice, bob]), [left, left], "{status}");
        for host in [alice, bob] {
            world.no_event(host);
        }
        world.run(seconds(700));
        world.rest();
    }
}

#[test]
fn a_notify_that_fails_ends_the_subscription() {
    // RFC 6665 §4.2.2: some statuses end it, others do not, silence does.
    for (status, left) in [(Some(481), 0), (Some(489), 0), (Some(500), 1), (None, 0)] {
        let (mut world, alice, bob) = two(12);
        let (_, there) = subscribe(&mut world, alice, bob, "600");
        notify(
            &mut world,
            bob,
            there,
            alice,
            "presence",
            "active;expires=600",
        );
        if status.is_none() {
            world.lose(100, |packet| packet.is("NOTIFY"));
        }
        let fields = [
            ("Event", "presence"),
            ("Subscription-State", "active;expires=500"),
        ];
        send(&mut world, bob, there, Method::Notify, &fields);
        match status {
            Some(status) => {
                let got = request(&mut world, alice, "NOTIFY");
                answer(&mut world, alice, &got, status, &[]);
                response(&mut world, bob, status);
                assert_eq!(dialogs(&world, [alice, bob]), [left, left], "{status}");
            }
            None => {
                world.run(seconds(33));
                response(&mut world, bob, 408);
                assert_eq!(dialogs(&world, [alice, bob]), [1, 0]);
            }
        }
        world.run(seconds(700));
        world.rest();
    }
}

#[test]
fn a_refresh_and_the_last_notify_cross() {
    // The NOTIFY is sent while the SUBSCRIBE is under way, and either comes first.
    for notify_first in [true, false] {
        let (mut world, alice, bob) = two(13);
        let (here, there) = subscribe(&mut world, alice, bob, "600");
        notify(
            &mut world,
            bob,
            there,
            alice,
            "presence",
            "active;expires=600",
        );
        let held = if notify_first { "SUBSCRIBE" } else { "NOTIFY" };
        world.hold(move |packet| packet.is(held));
        let last = [
            ("Event", "presence"),
            ("Subscription-State", "terminated;reason=deactivated"),
        ];
        send(
            &mut world,
            alice,
            here,
            Method::Subscribe,
            &[("Event", "presence"), ("Expires", "600")],
        );
        send(&mut world, bob, there, Method::Notify, &last);
        if notify_first {
            let got = request(&mut world, alice, "NOTIFY");
            answer(&mut world, alice, &got, 200, &[]);
            response(&mut world, bob, 200);
            world.release();
            response(&mut world, alice, 481);
        } else {
            // The notifier has ended it: nobody is asked about a refresh any more, and the last NOTIFY finds nothing.
            response(&mut world, alice, 481);
            world.release();
            response(&mut world, bob, 481);
        }
        assert_eq!(dialogs(&world, [alice, bob]), [0, 0]);
        for host in [alice, bob] {
            world.no_event(host);
        }
        world.rest();
    }
}

#[test]
fn a_refresh_under_way_keeps_the_subscription() {
    let (mut world, alice, bob) = two(14);
    let (here, there) = subscribe(&mut world, alice, bob, "60");
    notify(
        &mut world,
        bob,
        there,
        alice,
        "presence",
        "active;expires=60",
    );
    world.run(seconds(59) - Duration::from_millis(500));
    send(
        &mut world,
        alice,
        here,
        Method::Subscribe,
        &[("Event", "presence"), ("Expires", "60")],
    );
    let got = request(&mut world, bob, "SUBSCRIBE");
    // The application takes its time, past the subscription's.
    world.run(seconds(10));
    answer(&mut world, bob, &got, 200, &[("Expires", "60")]);
    response(&mut world, alice, 200);
    notify(
        &mut world,
        bob,
        there,
        alice,
        "presence",
        "active;expires=60",
    );
    world.run(seconds(55));
    assert_eq!(dialogs(&world, [alice, bob]), [1, 1]);
    world.run(seconds(200));
    world.rest();
}

#[test]
fn subscriptions_and_a_call_share_a_dialog_and_end_apart() {
    let (mut world, alice, bob) = two(15);
    let (here, there) = world.call(alice, bob);
    for (event, id) in [
        ("dialog", "dialog"),
        ("dialog", "dialog;id=2"),
        ("conference", "conference"),
    ] {
        let fields = [("Event", id), ("Expires", "600")];
        send(&mut world, alice, here, Method::Subscribe, &fields);
        let got = request(&mut world, bob, "SUBSCRIBE");
        assert!(header(&got.message, "Event").starts_with(event));
        answer(&mut world, bob, &got, 200, &[("Expires", "600")]);
        response(&mut world, alice, 200);
        notify(&mut world, bob, there, alice, id, "active;expires=600");
    }
    world.hang_up(alice, here, bob);
    assert_eq!(
        dialogs(&world, [alice, bob]),
        [1, 1],
        "the subscriptions outlive the call"
    );
    notify(
        &mut world,
        bob,
        there,
        alice,
        "dialog;id=2",
        "terminated;reason=noresource",
    );
    notify(
        &mut world,
        bob,
        there,
        alice,
        "dialog",
        "terminated;reason=noresource",
    );
    assert_eq!(dialogs(&world, [alice, bob]), [1, 1]);
    notify(
        &mut world,
        bob,
        there,
        alice,
        "conference",
        "terminated;reason=noresource",
    );
    assert_eq!(dialogs(&world, [alice, bob]), [0, 0]);
    world.rest();
}

#[test]
fn a_subscription_that_ends_leaves_the_call() {
    let (mut world, alice, bob) = two(16);
    let (here, there) = world.call(alice, bob);
    let fields = [("Event", "dialog"), ("Expires", "60")];
    send(&mut world, bob, there, Method::Subscribe, &fields);
    let got = request(&mut world, alice, "SUBSCRIBE");
    answer(&mut world, alice, &got, 200, &[("Expires", "60")]);
    response(&mut world, bob, 200);
    notify(&mut world, alice, here, bob, "dialog", "active;expires=60");
    world.run(seconds(61));
    let last = request(&mut world, bob, "NOTIFY");
    answer(&mut world, bob, &last, 200, &[]);
    assert_eq!(
        ended(&mut world, alice),
        ("dialog".to_owned(), true, SubscriptionEndReason::Expired)
    );
    // What nobody subscribed to is the application's all the same in a call: phones are told to talk and hold so.
    notify(&mut world, alice, here, bob, "talk", "active");
    world.hang_up(bob, there, alice);
    assert_eq!(dialogs(&world, [alice, bob]), [0, 0]);
    world.rest();
}

#[test]
fn a_subscription_that_is_refused_within_a_call_leaves_no_trace() {
    let (mut world, alice, bob) = two(17);
    let (here, _) = world.call(alice, bob);
    send(
        &mut world,
        alice,
        here,
        Method::Subscribe,
        &[("Event", "x"), ("Expires", "60")],
    );
    let got = request(&mut world, bob, "SUBSCRIBE");
    answer(&mut world, bob, &got, 489, &[]);
    response(&mut world, alice, 489);
    world.hang_up(alice, here, bob);
    assert_eq!(
        dialogs(&world, [alice, bob]),
        [0, 0],
        "the call was all there was"
    );
    world.rest();
}

#[test]
fn a_dialog_holds_so_many_subscriptions_and_no_more() {
    let (mut world, alice, bob) = two(18);
    let (here, _) = world.call(alice, bob);
    for number in 0..32 {
        let event = format!("dialog;id={number}");
        send(
            &mut world,
            alice,
            here,
            Method::Subscribe,
            &[("Event", &event), ("Expires", "60")],
        );
        request(&mut world, bob, "SUBSCRIBE");
    }
    world.act(alice, |actions| {
        watching::send_in(actions, here, Method::Subscribe, &[("Event", "one-more")])
    });
    assert_eq!(
        world.failed(alice).error,
        CommandError::Limit("subscriptions")
    );
    world.run(seconds(200));
    for host in [alice, bob] {
        world.events(host);
    }
    world.hang_up(alice, here, bob);
    world.rest();
}

/// A call in which Alice watches Bob for so long, who has answered and is not acknowledged yet.
fn watched_call(world: &mut World, alice: HostId, bob: HostId) -> [engine::id::DialogId; 2] {
    world.act(alice, |actions| actions.invite(&bob.uri("bob")));
    world.sent(alice);
    let invite = request(world, bob, "INVITE");
    world.act(bob, |actions| {
        actions.respond(invite.transaction, 200, simnet::actions::SDP)
    });
    let there = world.sent(bob).dialog.unwrap();
    let here = response(world, alice, 200).dialog.unwrap();
    let fields = [("Event", "presence"), ("Expires", "600")];
    send(world, alice, here, Method::Subscribe, &fields);
    let asked = request(world, bob, "SUBSCRIBE");
    answer(world, bob, &asked, 200, &[("Expires", "600")]);
    response(world, alice, 200);
    notify(world, bob, there, alice, "presence", "active;expires=600");
    [here, there]
}

#[test]
fn a_call_that_ends_for_want_of_an_ack_leaves_the_subscription_which_ends_in_its_time_and_says_so()
{
    let (mut world, alice, bob) = two(40);
    watched_call(&mut world, alice, bob);
    world.run(seconds(40));
    let over = world.dialog_ended(bob);
    assert_eq!(over.reason, engine::event::DialogEndReason::AckTimeout);
    let bye = request(&mut world, alice, "BYE");
    answer(&mut world, alice, &bye, 200, &[]);
    assert_eq!(dialogs(&world, [alice, bob]), [1, 1], "RFC 5057 §4.2");
    world.run(seconds(600));
    let last = request(&mut world, alice, "NOTIFY");
    answer(&mut world, alice, &last, 200, &[]);
    assert_eq!(
        ended(&mut world, bob),
        ("presence".to_owned(), true, SubscriptionEndReason::Expired)
    );
    world.rest();
}

#[test]
fn a_call_that_was_silent_for_too_long_ends_and_so_does_its_subscription_each_with_a_word() {
    let mut world = World::new(41, Faults::none());
    let [alice, bob] = [0, 1].map(|number| {
        let mut config = simnet::host::config(HostId(number));
        config.bounds.dialog_idle = seconds(300);
        world.host_with(["alice", "bob"][number], config)
    });
    let [here, _] = watched_call(&mut world, alice, bob);
    world.act(alice, |actions| actions.ack(here));
    world.sent(alice);
    request(&mut world, bob, "ACK");
    world.run(seconds(1000));
    let events = world.events(bob);
    let (mut calls, mut subscriptions) = (0, 0);
    for event in events {
        match event {
            engine::Event::DialogEnded(_) => calls += 1,
            engine::Event::SubscriptionEnded(_) => subscriptions += 1,
            _ => {}
        }
    }
    assert_eq!((calls, subscriptions), (1, 1));
    world.rest();
}
