//! A call in progress moves to another engine by a value alone: both sides go on talking in it, and end it, as if nothing had been.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod watching;

use engine::event::{CommandError, DialogEndReason};
use engine::export::ExportedDialog;
use engine::id::DialogId;
use simnet::actions::SDP;
use simnet::{Faults, HostId, World};
use sip::Method;
use std::time::Duration;
use watching::{header, notify, subscribe};

/// Exports a dialog, lets it pass through text as a store would keep it, and gives what a reader gets.
fn export(world: &mut World, host: HostId, dialog: DialogId, release: bool) -> ExportedDialog {
    world.act(host, |actions| actions.export(dialog, release));
    let text = world.exported(host).dialog.to_json();
    assert!(text.len() < 900, "{} bytes: {text}", text.len());
    ExportedDialog::from_json(&text).unwrap()
}

fn import(world: &mut World, host: HostId, dialog: ExportedDialog) -> DialogId {
    world.act(host, |actions| {
        actions.import(dialog, Duration::from_secs(1))
    });
    world.imported(host).dialog
}

/// A request and its 200, `from` to `to`; gives its CSeq number.
fn exchange(
    world: &mut World,
    from: (HostId, DialogId),
    to: (HostId, DialogId),
    method: Method,
) -> u32 {
    let is_invite = method == Method::Invite;
    let body = if is_invite { SDP } else { b"" };
    world.act(from.0, |actions| {
        actions.send_in(from.1, method.clone(), body)
    });
    world.sent(from.0);
    let request = world.request(to.0);
    assert_eq!(
        (request.message.method(), request.dialog),
        (method, Some(to.1))
    );
    world.act(to.0, |actions| {
        actions.respond(request.transaction, 200, body)
    });
    world.sent(to.0);
    let response = world.response(from.0);
    assert_eq!(
        (response.message.status(), response.dialog),
        (200, Some(from.1))
    );
    if is_invite {
        world.act(from.0, |actions| actions.ack(from.1));
        world.sent(from.0);
        assert_eq!(world.request(to.0).message.method(), Method::Ack);
    }
    request.message.cseq().unwrap().number
}

/// What either side may do in a call, in both directions.
fn talk(world: &mut World, one: (HostId, DialogId), other: (HostId, DialogId)) {
    for method in [
        Method::Info,
        Method::Invite,
        Method::Update,
        Method::Invite,
        Method::Message,
    ] {
        exchange(world, one, other, method.clone());
        exchange(world, other, one, method);
    }
}

#[test]
fn the_called_side_goes_on_after_its_process_died() {
    for mover_is_caller in [false, true] {
        let mut world = World::new(300, Faults::none());
        let [alice, bob] = [world.host("alice"), world.host("bob")];
        let (here, there) = world.call(alice, bob);
        let (mover, moved, stayer, stays) = if mover_is_caller {
            (alice, here, bob, there)
        } else {
            (bob, there, alice, here)
        };
        let before = exchange(&mut world, (mover, moved), (stayer, stays), Method::Info);
        let value = export(&mut world, mover, moved, false);
        world.restart(mover);
        let moved = import(&mut world, mover, value);
        let after = exchange(&mut world, (mover, moved), (stayer, stays), Method::Info);
        assert_eq!(
            after,
            before + 1,
            "the peer sees no gap (RFC 3261 §12.2.1.1)"
        );
        talk(&mut world, (mover, moved), (stayer, stays));
        world.hang_up(stayer, stays, mover);
        world.rest();
    }
}

#[test]
fn the_new_engine_ends_the_call_that_it_took_over() {
    let mut world = World::new(301, Faults::none());
    let [alice, bob] = [world.host("alice"), world.host("bob")];
    let (_, there) = world.call(alice, bob);
    let value = export(&mut world, bob, there, false);
    world.restart(bob);
    let moved = import(&mut world, bob, value);
    world.hang_up(bob, moved, alice);
    world.rest();
}

#[test]
fn a_call_moves_to_another_address_and_the_peer_follows() {
    let mut world = World::new(302, Faults::none());
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| world.host(name));
    let (here, there) = world.call(alice, bob);
    let value = export(&mut world, bob, there, true);
    assert_eq!(
        world.counts(bob).dialogs,
        0,
        "released: bob's engine forgot it"
    );
    assert_eq!(
        world.count(|packet| packet.is("BYE")),
        0,
        "without a word to the peer"
    );
    let moved = import(&mut world, carol, value);
    // The re-INVITE carries carol's Contact: the target is refreshed (RFC 3261 §12.2.2).
    exchange(&mut world, (carol, moved), (alice, here), Method::Invite);
    talk(&mut world, (alice, here), (carol, moved));
    world.hang_up(alice, here, carol);
    let to_bob = world.count(|packet| packet.is("BYE") && packet.to == bob.address());
    assert_eq!(to_bob, 0);
    world.rest();
}

#[test]
fn what_reaches_the_engine_that_released_a_dialog_gets_481() {
    let mut world = World::new(303, Faults::none());
    let [alice, bob] = [world.host("alice"), world.host("bob")];
    let (here, there) = world.call(alice, bob);
    export(&mut world, bob, there, true);
    world.act(alice, |actions| actions.send_in(here, Method::Info, b""));
    world.sent(alice);
    assert_eq!(world.response(alice).message.status(), 481);
    // RFC 3261 §12.2.1.2: that ends it at the other side.
    assert_eq!(world.dialog_ended(alice).reason, DialogEndReason::PeerGone);
    world.act(bob, |actions| actions.send_in(there, Method::Info, b""));
    assert_eq!(world.failed(bob).error, CommandError::UnknownDialog);
    world.rest();
}

#[test]
fn a_dialog_is_not_there_twice_and_an_early_one_does_not_move() {
    let mut world = World::new(304, Faults::none());
    let [alice, bob] = [world.host("alice"), world.host("bob")];
    world.act(alice, |actions| actions.invite(&bob.uri("bob")));
    world.sent(alice);
    let invite = world.request(bob).transaction;
    world.act(bob, |actions| actions.respond(invite, 180, b""));
    let early = world.sent(bob).dialog.unwrap();
    world.act(bob, |actions| actions.export(early, false));
    assert_eq!(world.failed(bob).error, CommandError::EarlyDialog);
    world.response(alice);
    world.act(bob, |actions| actions.respond(invite, 200, SDP));
    world.sent(bob);
    let here = world.response(alice).dialog.unwrap();
    world.act(alice, |actions| actions.ack(here));
    world.sent(alice);
    world.request(bob);
    let value = export(&mut world, bob, early, false);
    world.act(bob, |actions| actions.import(value, Duration::ZERO));
    assert_eq!(world.failed(bob).error, CommandError::DialogExists);
    world.hang_up(alice, here, bob);
    world.rest();
}

#[test]
fn a_re_invite_under_way_when_the_process_died_is_settled_by_its_repetitions() {
    let mut world = World::new(305, Faults::none());
    let [alice, bob] = [world.host("alice"), world.host("bob")];
    let (here, there) = world.call(alice, bob);
    let value = export(&mut world, bob, there, false);
    // Alice's re-INVITE meets a process that is just gone; her next repetition finds its successor.
    world.lose(1, |packet| packet.is("INVITE"));
    world.act(alice, |actions| actions.send_in(here, Method::Invite, SDP));
    world.sent(alice);
    world.restart(bob);
    let moved = import(&mut world, bob, value);
    let invite = world.request(bob);
    assert_eq!(
        (invite.message.method(), invite.dialog),
        (Method::Invite, Some(moved))
    );
    world.act(bob, |actions| actions.respond(invite.transaction, 200, SDP));
    world.sent(bob);
    assert_eq!(world.response(alice).message.status(), 200);
    world.act(alice, |actions| actions.ack(here));
    world.sent(alice);
    assert_eq!(world.request(bob).message.method(), Method::Ack);
    world.hang_up(bob, moved, alice);
    world.rest();
}

#[test]
fn a_call_that_nobody_takes_up_ends_when_it_was_silent_for_as_long_as_the_old_engine_would_have_waited()
 {
    let mut world = World::new(306, Faults::none());
    let [alice, bob] = [world.host("alice"), world.host("bob")];
    let (here, there) = world.call(alice, bob);
    // Eleven hours of silence; the keeper brings the value back half an hour later.
    world.run(Duration::from_secs(11 * 3600));
    let value = export(&mut world, bob, there, false);
    world.restart(bob);
    world.act(bob, |actions| {
        actions.import(value, Duration::from_secs(1800))
    });
    world.imported(bob);
    world.run(Duration::from_secs(1740));
    assert_eq!(world.count(|packet| packet.is("BYE")), 0);
    world.run(Duration::from_millis(60_200));
    assert_eq!(world.count(|packet| packet.is("BYE")), 1, "12 h in all");
    let bye = world.request(alice);
    assert_eq!(bye.dialog, Some(here));
    world.act(alice, |actions| actions.respond(bye.transaction, 200, b""));
    world.sent(alice);
    world.rest();
}

#[test]
fn a_subscription_moves_with_its_time_at_either_end() {
    for mover_is_notifier in [true, false] {
        let mut world = World::new(307, Faults::none());
        let [alice, bob] = [world.host("alice"), world.host("bob")];
        let (here, there) = subscribe(&mut world, alice, bob, "600");
        notify(
            &mut world,
            bob,
            there,
            alice,
            "presence",
            "active;expires=600",
        );
        world.run(Duration::from_secs(100));
        let (mover, moved) = if mover_is_notifier {
            (bob, there)
        } else {
            (alice, here)
        };
        let value = export(&mut world, mover, moved, false);
        assert_eq!(value.subscriptions.len(), 1);
        world.restart(mover);
        // A second of its life passed on the way.
        import(&mut world, mover, value);
        world.run(Duration::from_secs(498));
        assert_eq!(world.count(|packet| packet.is("NOTIFY")), 1);
        world.run(Duration::from_secs(3));
        let last = world.request(alice);
        assert_eq!(last.message.method(), Method::Notify);
        assert_eq!(
            header(&last.message, "Subscription-State"),
            "terminated;reason=timeout"
        );
        world.act(alice, |actions| actions.respond(last.transaction, 200, b""));
        world.rest();
    }
}

#[test]
fn a_session_timer_moves_and_the_new_engine_refreshes_in_time() {
    for update in [true, false] {
        let mut world = World::new(308, Faults::none());
        let [alice, bob] = [world.host("alice"), world.host("bob")];
        let allow = if update {
            "INVITE, ACK, BYE, UPDATE"
        } else {
            "INVITE, ACK, BYE"
        };
        let offered = [
            ("Session-Expires", "1800;refresher=uas"),
            ("Supported", "timer"),
            ("Allow", allow),
        ];
        let uri = bob.uri("bob");
        world.act(alice, |actions| {
            actions.send(Method::Invite, &uri, &offered, SDP)
        });
        world.sent(alice);
        let invite = world.request(bob);
        world.act(bob, |actions| actions.respond(invite.transaction, 200, SDP));
        let there = world.sent(bob).dialog.unwrap();
        let here = world.response(alice).dialog.unwrap();
        world.act(alice, |actions| actions.ack(here));
        world.sent(alice);
        world.request(bob);
        world.run(Duration::from_secs(600));
        let value = export(&mut world, bob, there, false);
        let kept = value.session.as_ref().unwrap();
        assert_eq!(
            (kept.interval, kept.we_refresh, kept.updates),
            (1800, true, update)
        );
        world.restart(bob);
        let moved = import(&mut world, bob, value);
        // At half the interval after the call was answered, and a tenth of that earlier at most.
        world.run(Duration::from_secs(200));
        assert!(world.events(alice).is_empty(), "not before its time");
        world.run(Duration::from_secs(101));
        let refresh = world.request(alice);
        let method = if update {
            Method::Update
        } else {
            Method::Invite
        };
        assert_eq!(
            (refresh.message.method(), refresh.dialog),
            (method, Some(here))
        );
        assert_eq!(refresh.message.body(), if update { b"" } else { SDP });
        world.act(alice, |actions| {
            actions.respond(refresh.transaction, 200, refresh.message.body())
        });
        world.sent(alice);
        world.run(Duration::from_secs(700));
        assert_eq!(world.count(|packet| packet.is("BYE")), 0);
        world.events(alice);
        world.hang_up(bob, moved, alice);
        world.rest();
    }
}

#[test]
fn a_session_that_the_peer_no_longer_refreshes_ends_after_the_move() {
    let mut world = World::new(309, Faults::none());
    let [alice, bob] = [world.host("alice"), world.host("bob")];
    let offered = [
        ("Session-Expires", "1800;refresher=uac"),
        ("Supported", "timer"),
    ];
    let uri = bob.uri("bob");
    world.act(alice, |actions| {
        actions.send(Method::Invite, &uri, &offered, SDP)
    });
    world.sent(alice);
    let invite = world.request(bob);
    world.act(bob, |actions| actions.respond(invite.transaction, 200, SDP));
    let there = world.sent(bob).dialog.unwrap();
    let here = world.response(alice).dialog.unwrap();
    world.act(alice, |actions| actions.ack(here));
    world.sent(alice);
    world.request(bob);
    let value = export(&mut world, bob, there, false);
    world.restart(bob);
    import(&mut world, bob, value);
    // Alice is cut off; her own engine gives up when its refresh is not answered.
    world.lose(100_000, move |packet| packet.from == alice.address());
    world.run(Duration::from_secs(1760));
    assert_eq!(
        world.count(|packet| packet.is("BYE") && packet.from == bob.address()),
        0
    );
    world.run(Duration::from_secs(10));
    assert!(
        world.count(|packet| packet.is("BYE") && packet.from == bob.address()) > 0,
        "RFC 4028 §10"
    );
    world.rest();
}
