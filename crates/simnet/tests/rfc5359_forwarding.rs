//! What a proxy does for a subscriber (RFC 5359 §2.7 to §2.9, §2.12 to §2.14), message by message: forwarding, finding, screening.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod flows;

use engine::command::ProxyOptions;
use engine::event::CommandError;
use flows::{ALICE, BOB, BOB_URI, Flow, credentials, guarded, record_route, respond, talk, to};
use simnet::HostId;
use sip::Method;
use std::time::Duration;

const REALM: &str = "example.com";

/// Tried one after the other, each for ten seconds at most. The next is asked together with the CANCEL of the one before, not after
/// its 487, which need not come.
fn in_turn() -> ProxyOptions {
    ProxyOptions {
        final_timeout: Some(Duration::from_secs(10)),
        ..record_route()
    }
}

/// Alice, a proxy that tries so many phones of Bob's in turn, and these.
fn scene(seed: u64, phones: usize) -> (Flow, HostId, HostId, Vec<HostId>) {
    let mut flow = Flow::new(seed);
    let alice = flow.agent("alice");
    let uris: Vec<String> = (0..phones)
        .map(|index| HostId(2 + index).uri("bob"))
        .collect();
    let proxy = flow.proxy("proxy", to(&uris, in_turn()));
    let names = (1..=phones).map(|number| format!("b{number}"));
    let bobs = names.map(|name| flow.agent(&name)).collect();
    flow.name("biloxi.example.com", &[proxy]);
    (flow, alice, proxy, bobs)
}

#[test]
fn every_call_is_forwarded_to_a_gateway() {
    // §2.7
    let mut flow = Flow::new(41);
    let alice = flow.agent("alice");
    let number = format!("sip:+19727293660@{};user=phone", HostId(2).address().ip());
    let proxy = flow.proxy("proxy", to(std::slice::from_ref(&number), record_route()));
    let gateway = flow.agent("gateway");
    flow.name("biloxi.example.com", &[proxy]);
    let (here, _) = flow.call(alice, BOB_URI, &[ALICE, BOB], gateway);
    flow.bye(alice, here, gateway);
    let lines = flow.ladder(&[
        ("F1", alice, "INVITE", proxy),
        ("F4", proxy, "INVITE", gateway),
        ("F2", proxy, "100 INVITE", alice),
        ("F5", gateway, "180 INVITE", proxy),
        ("F6", proxy, "180 INVITE", alice),
        ("F7", gateway, "200 INVITE", proxy),
        ("F8", proxy, "200 INVITE", alice),
        ("F9", alice, "ACK", proxy),
        ("F10", proxy, "ACK", gateway),
        ("F11", alice, "BYE", proxy),
        ("F12", proxy, "BYE", gateway),
        ("F13", gateway, "200 BYE", proxy),
        ("F14", proxy, "200 BYE", alice),
    ]);
    assert_eq!(lines.at("F1").uri(), BOB_URI);
    assert_eq!(lines.at("F4").uri(), number);
    assert_eq!(lines.at("F4").field("To"), BOB.1, "To is as it was");
    assert_eq!(lines.at("F4").hops("Record-Route"), [proxy]);
    assert_eq!(lines.at("F11").hops("Route"), [proxy]);
    assert_eq!(flow.ends(proxy), [Some(200)]);
    flow.finish();
}

#[test]
fn a_server_that_says_181_proxies_no_more() {
    // The 181 of §2.7 to §2.9: who sends it is the user agent server of the call.
    let mut flow = Flow::new(47);
    let [alice, server] = [flow.agent("alice"), flow.agent("server")];
    let uri = server.uri("bob");
    flow.ask(alice, Method::Invite, &uri, &[ALICE, BOB], &talk());
    let invite = flow.hears(server, "INVITE");
    flow.answer(server, &invite, 181, &[], b"");
    flow.gets(alice, 181);
    flow.world.act(server, |actions| {
        actions.proxy(invite.transaction, &["sip:bob@192.0.2.9"], record_route());
    });
    let failed = flow.world.failed(server);
    assert_eq!(failed.error, CommandError::AlreadyProxied);
    flow.answer(server, &invite, 480, &[], b"");
    flow.gets(alice, 480);
    flow.ladder(&[
        ("", alice, "INVITE", server),
        ("", server, "181 INVITE", alice),
        ("", server, "480 INVITE", alice),
        ("", alice, "ACK", server),
    ]);
    flow.finish();
}

#[test]
fn a_call_to_a_busy_phone_is_forwarded() {
    // §2.8
    let (mut flow, alice, proxy, bobs) = scene(42, 2);
    flow.ask(alice, Method::Invite, BOB_URI, &[ALICE, BOB], &talk());
    let invite = flow.hears(bobs[0], "INVITE");
    flow.answer(bobs[0], &invite, 486, &[], b"");
    let invite = flow.hears(bobs[1], "INVITE");
    flow.ring(bobs[1], &invite, alice);
    let (here, _) = flow.accept(bobs[1], &invite, alice, &talk());
    assert_eq!(flow.dialogs([alice, bobs[0], bobs[1]]), [1, 0, 1]);
    flow.bye(alice, here, bobs[1]);
    let lines = flow.ladder(&[
        ("F1", alice, "INVITE", proxy),
        ("F2", proxy, "INVITE", bobs[0]),
        ("F3", proxy, "100 INVITE", alice),
        ("F4", bobs[0], "486 INVITE", proxy),
        ("F5", proxy, "ACK", bobs[0]),
        ("F7", proxy, "INVITE", bobs[1]),
        ("F8", bobs[1], "180 INVITE", proxy),
        ("F9", proxy, "180 INVITE", alice),
        ("F10", bobs[1], "200 INVITE", proxy),
        ("F11", proxy, "200 INVITE", alice),
        ("F12", alice, "ACK", proxy),
        ("F13", proxy, "ACK", bobs[1]),
        ("F14", alice, "BYE", proxy),
        ("F15", proxy, "BYE", bobs[1]),
        ("F16", bobs[1], "200 BYE", proxy),
        ("F17", proxy, "200 BYE", alice),
    ]);
    // One call, two branches; Alice never hears of the refusal.
    lines.same("Call-ID", &["F1", "F2", "F7"]);
    lines.same("CSeq", &["F1", "F2", "F7"]);
    assert_ne!(lines.at("F2").field("Via"), lines.at("F7").field("Via"));
    assert_eq!(lines.at("F2").uri(), bobs[0].uri("bob"));
    assert_eq!(lines.at("F7").uri(), bobs[1].uri("bob"));
    assert_ne!(lines.at("F9").tag("To"), lines.at("F4").tag("To"));
    assert_eq!(flow.ends(proxy), [Some(200)]);
    flow.finish();
}

#[test]
fn a_call_that_is_not_answered_is_forwarded() {
    // §2.9
    let (mut flow, alice, proxy, bobs) = scene(43, 2);
    flow.ask(alice, Method::Invite, BOB_URI, &[ALICE, BOB], &talk());
    let invite = flow.hears(bobs[0], "INVITE");
    flow.ring(bobs[0], &invite, alice);
    flow.world.run(Duration::from_secs(10));
    flow.hears(bobs[0], "CANCEL");
    let invite = flow.hears(bobs[1], "INVITE");
    flow.ring(bobs[1], &invite, alice);
    let (here, _) = flow.accept(bobs[1], &invite, alice, &talk());
    flow.bye(alice, here, bobs[1]);
    let lines = flow.ladder(&[
        ("F1", alice, "INVITE", proxy),
        ("F2", proxy, "INVITE", bobs[0]),
        ("F3", proxy, "100 INVITE", alice),
        ("F4", bobs[0], "180 INVITE", proxy),
        ("F5", proxy, "180 INVITE", alice),
        ("F6", proxy, "CANCEL", bobs[0]),
        ("F11", proxy, "INVITE", bobs[1]),
        ("F7", bobs[0], "200 CANCEL", proxy),
        ("F8", bobs[0], "487 INVITE", proxy),
        ("F9", proxy, "ACK", bobs[0]),
        ("F12", bobs[1], "180 INVITE", proxy),
        ("F13", proxy, "180 INVITE", alice),
        ("F14", bobs[1], "200 INVITE", proxy),
        ("F15", proxy, "200 INVITE", alice),
        ("F16", alice, "ACK", proxy),
        ("F17", proxy, "ACK", bobs[1]),
        ("F18", alice, "BYE", proxy),
        ("F19", proxy, "BYE", bobs[1]),
        ("F20", bobs[1], "200 BYE", proxy),
        ("F21", proxy, "200 BYE", alice),
    ]);
    // Two early dialogs, of which the second one lives.
    assert_ne!(lines.at("F5").tag("To"), lines.at("F13").tag("To"));
    lines.same("To", &["F13", "F15", "F16", "F18"]);
    assert_eq!(lines.at("F6").uri(), lines.at("F2").uri());
    let reason = lines.at("F6").field("Reason");
    assert!(reason.starts_with("SIP;cause=408"), "{reason}");
    assert_eq!(flow.ends(proxy), [Some(200)]);
    flow.finish();
}

#[test]
fn bob_is_found_at_the_fourth_phone() {
    // §2.12: the first is not answered, the second is not logged in, the third is busy.
    let (mut flow, alice, proxy, bobs) = scene(44, 4);
    flow.ask(alice, Method::Invite, BOB_URI, &[ALICE, BOB], &talk());
    let invite = flow.hears(bobs[0], "INVITE");
    flow.ring(bobs[0], &invite, alice);
    flow.world.run(Duration::from_secs(10));
    flow.hears(bobs[0], "CANCEL");
    for (phone, status) in [(bobs[1], 480), (bobs[2], 486)] {
        let invite = flow.hears(phone, "INVITE");
        flow.answer(phone, &invite, status, &[], b"");
    }
    let invite = flow.hears(bobs[3], "INVITE");
    flow.ring(bobs[3], &invite, alice);
    let (_, there) = flow.accept(bobs[3], &invite, alice, &talk());
    flow.bye(bobs[3], there, alice);
    let lines = flow.ladder(&[
        ("F1", alice, "INVITE", proxy),
        ("F2", proxy, "INVITE", bobs[0]),
        ("F3", proxy, "100 INVITE", alice),
        ("F4", bobs[0], "180 INVITE", proxy),
        ("F5", proxy, "180 INVITE", alice),
        ("F6", proxy, "CANCEL", bobs[0]),
        ("F10", proxy, "INVITE", bobs[1]),
        ("F7", bobs[0], "200 CANCEL", proxy),
        ("F8", bobs[0], "487 INVITE", proxy),
        ("F9", proxy, "ACK", bobs[0]),
        ("F11", bobs[1], "480 INVITE", proxy),
        ("F12", proxy, "ACK", bobs[1]),
        ("F13", proxy, "INVITE", bobs[2]),
        ("F14", bobs[2], "486 INVITE", proxy),
        ("F15", proxy, "ACK", bobs[2]),
        ("F16", proxy, "INVITE", bobs[3]),
        ("F17", bobs[3], "180 INVITE", proxy),
        ("F18", proxy, "180 INVITE", alice),
        ("F19", bobs[3], "200 INVITE", proxy),
        ("F20", proxy, "200 INVITE", alice),
        ("F21", alice, "ACK", proxy),
        ("F22", proxy, "ACK", bobs[3]),
        ("F23", bobs[3], "BYE", proxy),
        ("F24", proxy, "BYE", alice),
        ("F25", alice, "200 BYE", proxy),
        ("F26", proxy, "200 BYE", bobs[3]),
    ]);
    lines.same("CSeq", &["F2", "F10", "F13", "F16"]);
    let branches = ["F2", "F10", "F13", "F16"].map(|label| lines.at(label).field("Via"));
    for (index, branch) in branches.iter().enumerate() {
        assert!(!branches[..index].contains(branch), "a branch of its own");
    }
    assert_eq!(lines.at("F23").hops("Route"), [proxy]);
    // Alice keeps the first phone's early dialog for 64*T1 after the answer (RFC 3261 §13.2.2.4).
    assert_eq!(flow.dialogs([alice, proxy, bobs[0], bobs[3]]), [1, 0, 0, 0]);
    flow.world.run(Duration::from_secs(32));
    assert_eq!(flow.dialogs([alice]), [0]);
    flow.finish();
}

#[test]
fn a_caller_whom_bob_screens_hears_an_announcement() {
    // §2.13, up to what a media server would play.
    let mut flow = Flow::new(45);
    let alice = flow.agent("alice");
    let screen = "<sip:screen-fail-term-ann@announcement.example.com>";
    let refuse = move |request: &engine::event::Request, actions: &mut simnet::Actions| {
        let fields = [("Error-Info", screen)];
        respond(actions, request.transaction, 403, &fields, b"");
    };
    let proxy = flow.proxy("proxy", guarded(REALM, refuse));
    let [bob, announcement] = [flow.agent("bob"), flow.agent("announcement")];
    flow.name("biloxi.example.com", &[bob]);
    flow.name("announcement.example.com", &[announcement]);
    let one = flow.ask(alice, Method::Invite, BOB_URI, &[ALICE, BOB], &talk());
    let invite = flow.hears(bob, "INVITE");
    let by = format!("<sip:{};lr>", proxy.address().ip());
    flow.answer(bob, &invite, 305, &[("Contact", &by)], b"");
    let sent_on = flow.gets(alice, 305);
    assert_eq!(sent_on.message.named("Contact").next().unwrap().text(), by);
    let two = flow.again(alice, &one, &[("Route", &by)]);
    flow.gets(alice, 407);
    let credentials = credentials("alice", REALM, BOB_URI);
    let three = flow.again(alice, &two, &[("Proxy-Authorization", &credentials)]);
    flow.gets(alice, 403);
    let uri = screen.trim_matches(['<', '>']);
    flow.again_to(alice, &three, uri, &[]);
    let invite = flow.hears(announcement, "INVITE");
    let automaton = format!(
        "<{}>;automaton;+sip.rendering=\"no\"",
        announcement.uri("ann")
    );
    let fields = [("Contact", &*automaton)];
    let there = flow.answer(announcement, &invite, 200, &fields, &talk());
    let here = flow.gets(alice, 200).dialog.unwrap();
    flow.say(alice, here, Method::Ack, &[], b"");
    flow.hears(announcement, "ACK");
    flow.bye(announcement, there.dialog.unwrap(), alice);
    let lines = flow.ladder(&[
        ("F1", alice, "INVITE", bob),
        ("F2", bob, "305 INVITE", alice),
        ("F3", alice, "ACK", bob),
        ("F4", alice, "INVITE", proxy),
        ("F5", proxy, "407 INVITE", alice),
        ("F6", alice, "ACK", proxy),
        ("F7", alice, "INVITE", proxy),
        ("F8", proxy, "403 INVITE", alice),
        ("F9", alice, "ACK", proxy),
        ("F10", alice, "INVITE", announcement),
        ("F11", announcement, "200 INVITE", alice),
        ("F12", alice, "ACK", announcement),
        ("F13", announcement, "BYE", alice),
        ("F14", alice, "200 BYE", announcement),
    ]);
    lines.same("Call-ID", &["F1", "F4", "F7", "F10", "F13"]);
    lines.same("From", &["F1", "F4", "F7", "F10", "F12"]);
    let first = lines.at("F1").number();
    let numbers = ["F4", "F7", "F10", "F12"].map(|label| lines.at(label).number() - first);
    assert_eq!(numbers, [1, 2, 3, 3]);
    for label in ["F4", "F7"] {
        assert_eq!(lines.at(label).uri(), BOB_URI);
        assert_eq!(lines.at(label).hops("Route"), [proxy]);
    }
    assert_eq!(lines.at("F8").field("Error-Info"), screen);
    assert_eq!(lines.at("F10").uri(), uri);
    assert_eq!(lines.at("F10").fields("Route"), [""; 0]);
    assert_eq!(lines.at("F11").field("Contact"), automaton);
    assert_eq!(flow.ends(proxy), []);
    flow.finish();
}

#[test]
fn alice_may_not_call_bob() {
    // §2.14
    let mut flow = Flow::new(46);
    let alice = flow.agent("alice");
    let screen = "<sip:screen-fail-orig-ann@announcement.example.com>";
    let refuse = move |request: &engine::event::Request, actions: &mut simnet::Actions| {
        let fields = [("Error-Info", screen)];
        respond(actions, request.transaction, 403, &fields, b"");
    };
    let proxy = flow.proxy("proxy", guarded(REALM, refuse));
    let bob = flow.agent("bob");
    flow.name("biloxi.example.com", &[bob]);
    let by = format!("<sip:{};lr>", proxy.address().ip());
    let fields = [ALICE, BOB, ("Route", &*by)];
    let one = flow.ask(alice, Method::Invite, BOB_URI, &fields, &talk());
    flow.gets(alice, 407);
    let credentials = credentials("alice", REALM, BOB_URI);
    flow.again(alice, &one, &[("Proxy-Authorization", &credentials)]);
    let refused = flow.gets(alice, 403);
    assert_eq!(refused.dialog, None);
    let lines = flow.ladder(&[
        ("F1", alice, "INVITE", proxy),
        ("F2", proxy, "407 INVITE", alice),
        ("F3", alice, "ACK", proxy),
        ("F4", alice, "INVITE", proxy),
        ("F5", proxy, "403 INVITE", alice),
        ("F6", alice, "ACK", proxy),
    ]);
    lines.same("Call-ID", &["F1", "F4", "F6"]);
    assert_eq!(lines.at("F4").number(), lines.at("F1").number() + 1);
    assert_ne!(lines.at("F5").tag("To"), lines.at("F2").tag("To"));
    assert_eq!(lines.at("F5").field("Error-Info"), screen);
    flow.finish();
}
