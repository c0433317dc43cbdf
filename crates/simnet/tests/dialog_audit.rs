//! Within a dialog requests keep their order and their way, and a peer that does not know the call any more ends it
//! (RFC 3261 §12.2).
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
use engine::event::{CommandError, DialogEndReason};
use engine::id::DialogId;
use simnet::actions::SDP;
use simnet::{Faults, HostId, World};
use sip::{Message, Method};
use std::time::Duration;

fn called(seed: u64) -> (World, [HostId; 2], [DialogId; 2]) {
    let mut world = World::new(seed, Faults::none());
    let hosts = [world.host("alice"), world.host("bob")];
    let (here, there) = world.call(hosts[0], hosts[1]);
    (world, hosts, [here, there])
}

/// Sends a request of Alice's and gives it as sent and as Bob got it; Bob answers 200.
fn send(
    world: &mut World,
    [from, to]: [HostId; 2],
    dialog: DialogId,
    method: Method,
) -> (String, Message) {
    world.act(from, |actions| actions.send_in(dialog, method, b""));
    let sent = world.sent(from).message;
    let request = world.request(to);
    world.act(to, |actions| actions.respond(request.transaction, 200, b""));
    world.sent(to);
    assert_eq!(world.response(from).message.status(), 200);
    let text = String::from_utf8(sent.as_bytes().to_vec()).unwrap();
    (text, (*request.message).clone())
}

/// The last response of this status on the wire.
fn answered(world: &mut World, status: u16, method: &str) -> usize {
    world.run(Duration::from_millis(20));
    world.count(|packet| packet.answers(status, method))
}

#[test]
fn a_request_out_of_order_gets_500_and_gaps_do_not_matter() {
    let (mut world, hosts, [here, there]) = called(1);
    let (text, info) = send(&mut world, hosts, here, Method::Info);
    let number = info.cseq().unwrap().number;
    let with = |branch: &str, number: u32| {
        text.replace("branch=z9hG4bK", &format!("branch=z9hG4bK{branch}"))
            .replace(
                &format!("CSeq: {}", info.cseq().unwrap().number),
                &format!("CSeq: {number}"),
            )
    };
    let alice = hosts[0].address();
    // Lower, and the same in another request.
    for (count, (branch, number)) in [("low", number - 1), ("same", number)]
        .into_iter()
        .enumerate()
    {
        world.inject(alice, hosts[1], with(branch, number));
        assert_eq!(answered(&mut world, 500, "INFO"), count + 1);
        world.no_event(hosts[1]);
    }
    // A repetition is none.
    world.inject(alice, hosts[1], text.clone());
    world.no_event(hosts[1]);
    assert_eq!(answered(&mut world, 500, "INFO"), 2);
    // A gap: something was challenged by a proxy on the way, say.
    world.inject(alice, hosts[1], with("gap", number + 40));
    let request = world.request(hosts[1]);
    world.act(hosts[1], |actions| {
        actions.respond(request.transaction, 200, b"")
    });
    world.sent(hosts[1]);
    world.inject(alice, hosts[1], with("behind", number + 39));
    assert_eq!(answered(&mut world, 500, "INFO"), 3);
    world.hang_up(hosts[1], there, hosts[0]);
    world.rest();
}

/// A network may reorder: refused with 500, the BYE would end the call at its sender only.
#[test]
fn a_bye_that_a_later_request_overtook_ends_the_call() {
    let (mut world, [alice, bob], [here, _]) = called(7);
    world.hold(|packet| packet.is("BYE"));
    world.act(alice, |actions| actions.bye(here));
    world.sent(alice);
    world.act(alice, |actions| actions.send_in(here, Method::Message, b""));
    world.sent(alice);
    let message = world.request(bob);
    world.act(bob, |actions| {
        actions.respond(message.transaction, 200, b"")
    });
    world.sent(bob);
    world.release();
    let bye = world.request(bob);
    assert_eq!(bye.message.method(), Method::Bye);
    world.act(bob, |actions| actions.respond(bye.transaction, 200, b""));
    world.sent(bob);
    world.rest();
}

#[test]
fn what_is_refused_as_out_of_order_gets_the_same_answer_when_the_call_is_over() {
    let (mut world, hosts, [here, _]) = called(8);
    let (text, info) = send(&mut world, hosts, here, Method::Info);
    let number = info.cseq().unwrap().number;
    let low = text
        .replace("branch=z9hG4bK", "branch=z9hG4bKlow")
        .replace(&format!("CSeq: {number}"), &format!("CSeq: {}", number - 1));
    world.inject(hosts[0].address(), hosts[1], low.clone());
    assert_eq!(answered(&mut world, 500, "INFO"), 1);
    world.hang_up(hosts[0], here, hosts[1]);
    world.inject(hosts[0].address(), hosts[1], low);
    assert_eq!(answered(&mut world, 500, "INFO"), 2);
    assert_eq!(answered(&mut world, 481, "INFO"), 0);
    world.rest();
}

/// RFC 3261 §12.2.1.1, the example of a strict router in the first place.
#[test]
fn a_strict_router_finds_itself_in_the_request_uri() {
    for (first, strict) in [
        ("<sip:192.0.2.3>", true),
        ("<sip:192.0.2.3;transport=udp;x=lr>", true),
        ("<sip:192.0.2.3;lr>", false),
        ("<sip:192.0.2.3;LR=on>", false),
    ] {
        let mut world = World::new(2, Faults::none());
        let [alice, bob, router] = [world.host("alice"), world.host("bob"), world.host("router")];
        world.act(alice, |actions| actions.invite(&bob.uri("bob")));
        let invite = world.sent(alice).message;
        let text = String::from_utf8(invite.as_bytes().to_vec())
            .unwrap()
            .replace("branch=z9hG4bK", "branch=z9hG4bKrouted")
            .replace(
                "Call-ID: ",
                &format!("Record-Route: {first}, <sip:192.0.2.9;lr>\r\nCall-ID: routed"),
            );
        world.request(bob);
        world.inject(router.address(), bob, text);
        let request = world.request(bob);
        world.act(bob, |actions| {
            actions.respond(request.transaction, 200, SDP)
        });
        let there = world.sent(bob).dialog.unwrap();
        world.act(bob, |actions| actions.send_in(there, Method::Info, b""));
        let info = world.sent(bob);
        assert_eq!(info.path.peer, router.address(), "to the first hop");
        let info = info.message;
        let routes: Vec<String> = info
            .values(sip::HeaderName::Route)
            .map(|route| route.into_owned())
            .collect();
        if strict {
            let uri = first.trim_matches(['<', '>']);
            assert_eq!(info.request_uri(), uri);
            assert_eq!(routes, ["<sip:192.0.2.9;lr>", "<sip:192.0.2.1:5060>"]);
        } else {
            assert_eq!(info.request_uri(), "sip:192.0.2.1:5060");
            assert_eq!(routes, [first, "<sip:192.0.2.9;lr>"]);
        }
        world.run(Duration::from_secs(100));
    }
}

#[test]
fn a_481_to_a_request_of_the_call_ends_it_and_the_application_is_told() {
    for method in [
        Method::Invite,
        Method::Update,
        Method::Info,
        Method::Options,
    ] {
        let (mut world, [alice, bob], [here, _]) = called(3);
        world.act(alice, |actions| actions.send_in(here, method.clone(), b""));
        world.sent(alice);
        let request = world.request(bob);
        world.act(bob, |actions| {
            actions.respond(request.transaction, 481, b"")
        });
        world.sent(bob);
        assert_eq!(world.response(alice).message.status(), 481);
        let ended = world.dialog_ended(alice);
        assert_eq!(
            (ended.dialog, ended.reason),
            (here, DialogEndReason::PeerGone)
        );
        world.act(alice, |actions| actions.bye(here));
        assert_eq!(world.failed(alice).error, CommandError::UnknownDialog);
        // Bob did not mean it: the BYE tells him.
        let bye = world.request(bob);
        assert_eq!(bye.message.method(), Method::Bye);
        world.act(bob, |actions| actions.respond(bye.transaction, 200, b""));
        world.rest();
    }
}

#[test]
fn a_481_to_what_belongs_to_no_call_leaves_it() {
    for method in [Method::Message, Method::Refer, Method::Prack] {
        let (mut world, [alice, bob], [here, _]) = called(4);
        world.act(alice, |actions| actions.send_in(here, Method::Message, b""));
        world.sent(alice);
        let request = world.request(bob);
        world.act(bob, |actions| {
            actions.respond(request.transaction, 481, b"")
        });
        world.sent(bob);
        assert_eq!(world.response(alice).message.status(), 481, "{method}");
        world.no_event(alice);
        world.hang_up(alice, here, bob);
        world.rest();
    }
}

#[test]
fn a_peer_that_is_silent_is_given_up_by_a_request_of_the_call_and_not_by_an_options() {
    for (method, ends) in [
        (Method::Info, true),
        (Method::Update, true),
        (Method::Options, false),
    ] {
        let (mut world, [alice, bob], [here, there]) = called(5);
        world.lose(1000, |packet| packet.to == HostId(1).address());
        world.act(alice, |actions| actions.send_in(here, method.clone(), b""));
        world.sent(alice);
        world.run(Duration::from_secs(33));
        assert_eq!(world.response(alice).message.status(), 408);
        if ends {
            let ended = world.dialog_ended(alice);
            assert_eq!(ended.reason, DialogEndReason::PeerGone);
            world.run(Duration::from_secs(33));
            assert_eq!(world.counts(alice).dialogs, 0);
        } else {
            world.no_event(alice);
            assert_eq!(world.counts(alice).dialogs, 1, "{method}");
            world.act(alice, |actions| actions.bye(here));
        }
        world.act(bob, |actions| actions.bye(there));
        world.run(Duration::from_secs(70));
        assert_eq!(world.counts(alice).dialogs, 0);
        assert_eq!(world.counts(bob).dialogs, 0);
    }
}

#[test]
fn drachtio_s_way_passes_the_481_on_and_keeps_the_dialog() {
    let mut world = World::new(6, Faults::none());
    let mut config = simnet::host::config(HostId(0));
    config.drachtio_compatible = true;
    let alice = world.host_with("alice", config);
    let bob = world.host("bob");
    let (here, _) = world.call(alice, bob);
    world.act(alice, |actions| actions.send_in(here, Method::Info, b""));
    world.sent(alice);
    let info = world.request(bob);
    world.act(bob, |actions| actions.respond(info.transaction, 481, b""));
    world.sent(bob);
    assert_eq!(world.response(alice).message.status(), 481);
    world.no_event(alice);
    world.hang_up(alice, here, bob);
    world.rest();
}
