//! A REFER makes a subscription of its own, unless both ends do without: its NOTIFYs come in its dialog, the last one ends it,
//! and a call in the same dialog ends when it ends.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod watching;

use engine::event::SubscriptionEndReason;
use engine::id::DialogId;
use simnet::{Faults, HostId, World};
use sip::Method;
use std::time::Duration;
use watching::{answer, dialogs, header, is_notify, notify, request, response, send};

const TO: (&str, &str) = ("Refer-To", "<sip:carol@192.0.2.3>");

fn two(seed: u64) -> (World, HostId, HostId) {
    let mut world = World::new(seed, Faults::none());
    let [alice, bob] = [world.host("alice"), world.host("bob")];
    (world, alice, bob)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Refers in a dialog, which is accepted; gives the CSeq number.
#[track_caller]
fn refer(world: &mut World, from: HostId, dialog: DialogId, to: HostId) -> String {
    let sent = send(world, from, dialog, Method::Refer, &[TO]);
    let got = request(world, to, "REFER");
    answer(world, to, &got, 202, &[]);
    response(world, from, 202);
    sent.message.cseq().unwrap().number.to_string()
}

#[test]
fn a_transfer_within_a_call_is_followed_to_its_end() {
    let (mut world, alice, bob) = two(30);
    let (here, there) = world.call(alice, bob);
    refer(&mut world, alice, here, bob);
    notify(&mut world, bob, there, alice, "refer", "active;expires=60");
    notify(
        &mut world,
        bob,
        there,
        alice,
        "refer",
        "terminated;reason=noresource",
    );
    world.hang_up(alice, here, bob);
    assert_eq!(dialogs(&world, [alice, bob]), [0, 0]);
    world.rest();
}

#[test]
fn several_refers_in_a_call_are_told_apart_by_id() {
    let (mut world, alice, bob) = two(31);
    let (here, there) = world.call(alice, bob);
    let first = refer(&mut world, alice, here, bob);
    let second = refer(&mut world, alice, here, bob);
    let event = |number: &str| format!("refer;id={number}");
    notify(
        &mut world,
        bob,
        there,
        alice,
        &event(&second),
        "terminated;reason=noresource",
    );
    world.hang_up(alice, here, bob);
    assert_eq!(dialogs(&world, [alice, bob]), [1, 1], "the first goes on");
    // Without an id the first is meant (RFC 3515 §2.4.6).
    notify(&mut world, bob, there, alice, "refer", "active;expires=60");
    notify(
        &mut world,
        bob,
        there,
        alice,
        &event(&first),
        "terminated;reason=noresource",
    );
    assert_eq!(dialogs(&world, [alice, bob]), [0, 0]);
    world.rest();
}

#[test]
fn a_refer_outside_a_dialog_makes_one_for_its_notifies() {
    let (mut world, alice, bob) = two(32);
    let uri = bob.uri("bob");
    world.act(alice, |actions| {
        actions.send(Method::Refer, &uri, &[TO], b"")
    });
    world.sent(alice);
    let got = request(&mut world, bob, "REFER");
    let there = answer(&mut world, bob, &got, 202, &[]).dialog.unwrap();
    let here = response(&mut world, alice, 202).dialog.unwrap();
    let first = notify(&mut world, bob, there, alice, "refer", "active;expires=60");
    assert_eq!(first.dialog, Some(here));
    notify(
        &mut world,
        bob,
        there,
        alice,
        "refer",
        "terminated;reason=noresource",
    );
    assert_eq!(dialogs(&world, [alice, bob]), [0, 0]);
    world.rest();
}

#[test]
fn a_refer_without_a_subscription_makes_none() {
    // RFC 4488: the recipient agrees in its 2xx, or else there is one.
    for agreed in [true, false] {
        for in_call in [true, false] {
            let (mut world, alice, bob) = two(33);
            let call = in_call.then(|| world.call(alice, bob));
            let fields = [TO, ("Refer-Sub", "false"), ("Supported", "norefersub")];
            match call {
                Some((here, _)) => {
                    send(&mut world, alice, here, Method::Refer, &fields);
                }
                None => {
                    let uri = bob.uri("bob");
                    world.act(alice, |actions| {
                        actions.send(Method::Refer, &uri, &fields, b"")
                    });
                    world.sent(alice);
                }
            }
            let got = request(&mut world, bob, "REFER");
            let answered = answer(
                &mut world,
                bob,
                &got,
                202,
                if agreed {
                    &[("Refer-Sub", "false")]
                } else {
                    &[]
                },
            );
            let heard = response(&mut world, alice, 202);
            if let Some((here, _)) = call {
                world.hang_up(alice, here, bob);
            } else {
                assert_eq!(
                    (answered.dialog.is_none(), heard.dialog.is_none()),
                    (agreed, agreed)
                );
            }
            let left = usize::from(!agreed);
            assert_eq!(dialogs(&world, [alice, bob]), [left, left]);
            world.run(seconds(200));
            world.rest();
        }
    }
}

#[test]
fn a_refer_that_is_refused_makes_none() {
    let (mut world, alice, bob) = two(34);
    let (here, there) = world.call(alice, bob);
    send(&mut world, alice, here, Method::Refer, &[TO]);
    let got = request(&mut world, bob, "REFER");
    answer(&mut world, bob, &got, 603, &[]);
    response(&mut world, alice, 603);
    let fields = [
        ("Event", "refer"),
        ("Subscription-State", "active;expires=60"),
    ];
    send(&mut world, bob, there, Method::Notify, &fields);
    response(&mut world, bob, 481);
    world.hang_up(alice, here, bob);
    assert_eq!(dialogs(&world, [alice, bob]), [0, 0]);
    world.rest();
}

#[test]
fn a_recipient_that_never_notifies_is_not_waited_for() {
    let (mut world, alice, bob) = two(35);
    let (here, _) = world.call(alice, bob);
    let number = refer(&mut world, alice, here, bob);
    world.hang_up(alice, here, bob);
    world.run(seconds(33));
    assert_eq!(
        world.count(|packet| packet.is("NOTIFY")),
        0,
        "the engine knows no outcome to tell"
    );
    for (host, is_notifier) in [(alice, false), (bob, true)] {
        let ended = world.subscription_ended(host);
        assert_eq!(
            (ended.event, ended.is_notifier, ended.reason),
            (
                format!("refer;id={number}"),
                is_notifier,
                SubscriptionEndReason::NoNotify
            )
        );
    }
    assert_eq!(dialogs(&world, [alice, bob]), [0, 0]);
    world.rest();
}

#[test]
fn a_reference_whose_time_is_up_is_ended_by_the_engine() {
    let (mut world, alice, bob) = two(36);
    let (here, there) = world.call(alice, bob);
    let number = refer(&mut world, alice, here, bob);
    notify(&mut world, bob, there, alice, "refer", "active;expires=60");
    world.run(seconds(61));
    let last = request(&mut world, alice, "NOTIFY");
    assert_eq!(header(&last.message, "Event"), format!("refer;id={number}"));
    assert_eq!(
        header(&last.message, "Subscription-State"),
        "terminated;reason=timeout"
    );
    assert_eq!(last.message.body(), b"SIP/2.0 100 Trying\r\n");
    answer(&mut world, alice, &last, 200, &[]);
    world.subscription_ended(bob);
    world.hang_up(bob, there, alice);
    world.rest();
}

#[test]
fn a_refer_and_the_bye_of_its_call_cross() {
    // Either comes first, and the REFER is accepted, refused, or finds nothing.
    for refer_first in [true, false] {
        for status in [202, 603] {
            let (mut world, alice, bob) = two(37);
            let (here, there) = world.call(alice, bob);
            let held = if refer_first { "BYE" } else { "REFER" };
            world.hold(move |packet| packet.is(held));
            send(&mut world, alice, here, Method::Refer, &[TO]);
            world.act(bob, |actions| actions.bye(there));
            world.sent(bob);
            let refer = refer_first.then(|| request(&mut world, bob, "REFER"));
            if !refer_first {
                let bye = request(&mut world, alice, "BYE");
                answer(&mut world, alice, &bye, 200, &[]);
                response(&mut world, bob, 200);
                world.release();
                // The dialog is gone at the recipient: so it is for the referrer.
                response(&mut world, alice, 481);
                assert_eq!(dialogs(&world, [alice, bob]), [0, 0]);
                world.rest();
                continue;
            }
            world.release();
            let bye = request(&mut world, alice, "BYE");
            answer(&mut world, alice, &bye, 200, &[]);
            response(&mut world, bob, 200);
            assert_eq!(
                dialogs(&world, [alice, bob]),
                [1, 1],
                "the REFER is not answered yet"
            );
            answer(&mut world, bob, &refer.unwrap(), status, &[]);
            response(&mut world, alice, status);
            if status == 202 {
                notify(&mut world, bob, there, alice, "refer", "active;expires=60");
                notify(
                    &mut world,
                    bob,
                    there,
                    alice,
                    "refer",
                    "terminated;reason=noresource",
                );
            }
            assert_eq!(dialogs(&world, [alice, bob]), [0, 0]);
            world.rest();
        }
    }
}

#[test]
fn a_notify_that_overtakes_the_202_belongs_to_the_refer() {
    for in_call in [true, false] {
        let (mut world, alice, bob) = two(38);
        let call = in_call.then(|| world.call(alice, bob));
        world.hold(|packet| packet.answers(202, "REFER"));
        match call {
            Some((here, _)) => {
                send(&mut world, alice, here, Method::Refer, &[TO]);
            }
            None => {
                let uri = bob.uri("bob");
                world.act(alice, |actions| {
                    actions.send(Method::Refer, &uri, &[TO], b"")
                });
                world.sent(alice);
            }
        }
        let got = request(&mut world, bob, "REFER");
        let there = answer(&mut world, bob, &got, 202, &[]).dialog.unwrap();
        notify(&mut world, bob, there, alice, "refer", "active;expires=60");
        notify(
            &mut world,
            bob,
            there,
            alice,
            "refer",
            "terminated;reason=noresource",
        );
        world.release();
        response(&mut world, alice, 202);
        if let Some((here, _)) = call {
            world.hang_up(alice, here, bob);
        }
        assert_eq!(dialogs(&world, [alice, bob]), [0, 0]);
        assert_eq!(world.count(|packet| is_notify(packet, "terminated")), 1);
        world.rest();
    }
}
