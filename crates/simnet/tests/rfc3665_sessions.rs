//! The sessions of RFC 3665 §3 that come about, message by message.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod flows;

use engine::command::ProxyOptions;
use flows::{ALICE, BOB, BOB_URI, Flow, credentials, guarded, record_route, sdp, talk, to};
use simnet::HostId;
use sip::Method;
use std::time::Duration;

const ATLANTA: &str = "atlanta.example.com";
const BILOXI: &str = "biloxi.example.com";

/// What leads by this proxy.
fn route(proxy: HostId) -> String {
    format!("<sip:{};lr>", proxy.address().ip())
}

/// Where Bob is reached.
fn bob_at(host: HostId) -> Vec<String> {
    vec![host.uri("bob")]
}

#[test]
fn alice_calls_bob_straight() {
    // §3.1: over TCP.
    let mut flow = Flow::new(1);
    let [alice, bob] = [flow.agent("alice"), flow.agent("bob")];
    let uri = format!("{};transport=tcp", bob.uri("bob"));
    let contact = format!("<{};transport=tcp>", alice.uri("alice"));
    let fields = [ALICE, BOB, ("Contact", &*contact)];
    let (here, there) = flow.call(alice, &uri, &fields, bob);
    assert_eq!(flow.dialogs([alice, bob]), [1, 1]);
    flow.bye(bob, there, alice);
    assert_eq!(flow.dialogs([alice, bob]), [0, 0]);
    let lines = flow.ladder(&[
        ("F1", alice, "INVITE", bob),
        ("F2", bob, "180 INVITE", alice),
        ("F3", bob, "200 INVITE", alice),
        ("F4", alice, "ACK", bob),
        ("F5", bob, "BYE", alice),
        ("F6", alice, "200 BYE", bob),
    ]);
    assert_ne!(here, there);
    let all = ["F1", "F2", "F3", "F4", "F5", "F6"];
    lines.same("Call-ID", &all);
    lines.same("From", &all[..4]);
    lines.same("To", &["F2", "F3", "F4"]);
    assert_eq!(lines.at("F1").tag("To"), "");
    // Bob's view of the dialog.
    assert_eq!(lines.at("F5").tag("From"), lines.at("F2").tag("To"));
    assert_eq!(lines.at("F5").tag("To"), lines.at("F1").tag("From"));
    assert_eq!(format!("<{}>", lines.at("F5").uri()), contact);
    assert_eq!(
        format!("<{}>", lines.at("F4").uri()),
        lines.at("F3").field("Contact")
    );
    assert_eq!(lines.at("F4").number(), lines.at("F1").number());
    for label in all {
        assert!(
            lines.at(label).field("Via").contains("SIP/2.0/TCP"),
            "{label}"
        );
    }
    assert_eq!(lines.at("F1").body().as_bytes(), talk());
    assert_eq!(lines.at("F3").body().as_bytes(), talk());
    flow.finish();
}

#[test]
fn two_proxies_stay_in_the_path_and_the_first_asks_for_credentials() {
    // §3.2
    let mut flow = Flow::new(2);
    let alice = flow.agent("alice");
    let first = flow.proxy("ss1", guarded(ATLANTA, to(&[], record_route())));
    let second = flow.proxy("ss2", to(&bob_at(HostId(3)), record_route()));
    let bob = flow.agent("bob");
    flow.name(BILOXI, &[second]);
    let route = route(first);
    let fields = [ALICE, BOB, ("Route", &*route)];
    let asked = flow.ask(alice, Method::Invite, BOB_URI, &fields, &talk());
    assert_eq!(flow.gets(alice, 407).dialog, None);
    let credentials = credentials("alice", ATLANTA, BOB_URI);
    flow.again(alice, &asked, &[("Proxy-Authorization", &credentials)]);
    let invite = flow.hears(bob, "INVITE");
    flow.ring(bob, &invite, alice);
    let (_, there) = flow.accept(bob, &invite, alice, &talk());
    flow.bye(bob, there, alice);
    let lines = flow.ladder(&[
        ("F1", alice, "INVITE", first),
        ("F2", first, "407 INVITE", alice),
        ("F3", alice, "ACK", first),
        ("F4", alice, "INVITE", first),
        ("F5", first, "INVITE", second),
        ("F6", first, "100 INVITE", alice),
        ("F7", second, "INVITE", bob),
        ("F8", second, "100 INVITE", first),
        ("F9", bob, "180 INVITE", second),
        ("F10", second, "180 INVITE", first),
        ("F11", first, "180 INVITE", alice),
        ("F12", bob, "200 INVITE", second),
        ("F13", second, "200 INVITE", first),
        ("F14", first, "200 INVITE", alice),
        ("F15", alice, "ACK", first),
        ("F16", first, "ACK", second),
        ("F17", second, "ACK", bob),
        ("F18", bob, "BYE", second),
        ("F19", second, "BYE", first),
        ("F20", first, "BYE", alice),
        ("F21", alice, "200 BYE", first),
        ("F22", first, "200 BYE", second),
        ("F23", second, "200 BYE", bob),
    ]);
    lines.same("Call-ID", &["F1", "F4", "F14", "F18"]);
    assert_eq!(lines.at("F4").number(), lines.at("F1").number() + 1);
    assert_eq!(lines.at("F4").tag("To"), "");
    // The first proxy's own Route is off, its Record-Route on; the request-URI is the second's business.
    assert_eq!(lines.at("F5").fields("Route"), [""; 0]);
    assert_eq!(lines.at("F5").uri(), BOB_URI);
    assert_eq!(lines.at("F7").uri(), bob.uri("bob"));
    let vias = ["F4", "F5", "F7", "F9", "F10", "F11"].map(|label| lines.at(label).vias());
    assert_eq!(vias, [1, 2, 3, 3, 2, 1]);
    for label in ["F7", "F9", "F11", "F12", "F14"] {
        let hops = lines.at(label).hops("Record-Route");
        assert_eq!(hops, [second, first], "{label}");
    }
    // The route set, as each side and each hop has it.
    for (label, hops) in [
        ("F15", vec![first, second]),
        ("F16", vec![second]),
        ("F17", vec![]),
        ("F18", vec![second, first]),
        ("F19", vec![first]),
        ("F20", vec![]),
    ] {
        assert_eq!(lines.at(label).hops("Route"), hops, "{label}");
        let target = if label < "F18" { bob } else { alice };
        assert!(
            lines
                .at(label)
                .uri()
                .contains(&target.address().ip().to_string())
        );
    }
    assert_eq!(flow.ends(first), [Some(200)]);
    assert_eq!(flow.ends(second), [Some(200)]);
    assert_eq!(flow.dialogs([alice, first, second, bob]), [0; 4]);
    flow.finish();
}

#[test]
fn both_proxies_ask_for_credentials_of_their_own() {
    // §3.3
    let mut flow = Flow::new(3);
    let alice = flow.agent("alice");
    let first = flow.proxy("ss1", guarded(ATLANTA, to(&[], record_route())));
    let second = flow.proxy(
        "ss2",
        guarded(BILOXI, to(&bob_at(HostId(3)), record_route())),
    );
    let bob = flow.agent("bob");
    flow.name(BILOXI, &[second]);
    let route = route(first);
    let fields = [ALICE, BOB, ("Route", &*route)];
    let one = flow.ask(alice, Method::Invite, BOB_URI, &fields, &talk());
    flow.gets(alice, 407);
    let [atlanta, biloxi] = [ATLANTA, BILOXI].map(|realm| credentials("alice", realm, BOB_URI));
    let given = [
        ("Proxy-Authorization", &*atlanta),
        ("Proxy-Authorization", &*biloxi),
    ];
    let two = flow.again(alice, &one, &given[..1]);
    let refused = flow.gets(alice, 407);
    let challenge = refused.message.named("Proxy-Authenticate").next().unwrap();
    assert!(
        challenge.text().contains(BILOXI),
        "the second one's challenge"
    );
    flow.again(alice, &two, &given);
    let invite = flow.hears(bob, "INVITE");
    let (_, there) = flow.accept(bob, &invite, alice, &talk());
    let lines = flow.ladder(&[
        ("F1", alice, "INVITE", first),
        ("F2", first, "407 INVITE", alice),
        ("F3", alice, "ACK", first),
        ("F4", alice, "INVITE", first),
        ("F6", first, "INVITE", second),
        ("F5", first, "100 INVITE", alice),
        ("F7", second, "407 INVITE", first),
        ("F8", first, "ACK", second),
        ("F9", first, "407 INVITE", alice),
        ("F10", alice, "ACK", first),
        ("F11", alice, "INVITE", first),
        ("F13", first, "INVITE", second),
        ("F12", first, "100 INVITE", alice),
        ("F15", second, "INVITE", bob),
        ("F14", second, "100 INVITE", first),
        ("F16", bob, "200 INVITE", second),
        ("F17", second, "200 INVITE", first),
        ("F18", first, "200 INVITE", alice),
        ("F19", alice, "ACK", first),
        ("F20", first, "ACK", second),
        ("F21", second, "ACK", bob),
    ]);
    lines.same("Call-ID", &["F1", "F4", "F11", "F18", "F19"]);
    let number = lines.at("F1").number();
    let numbers = ["F1", "F4", "F11", "F19"].map(|label| lines.at(label).number());
    assert_eq!(numbers, [number, number + 1, number + 2, number + 2]);
    assert_eq!(lines.at("F11").fields("Proxy-Authorization").len(), 2);
    assert_eq!(
        lines.at("F9").fields("Proxy-Authenticate"),
        lines.at("F7").fields("Proxy-Authenticate")
    );
    assert_eq!(lines.at("F19").hops("Route"), [first, second]);
    flow.bye(bob, there, alice);
    flow.ladder(&[
        ("", bob, "BYE", second),
        ("", second, "BYE", first),
        ("", first, "BYE", alice),
        ("", alice, "200 BYE", first),
        ("", first, "200 BYE", second),
        ("", second, "200 BYE", bob),
    ]);
    assert_eq!(flow.ends(first), [Some(407), Some(200)]);
    assert_eq!(flow.ends(second), [Some(200)]);
    flow.finish();
}

#[test]
fn a_proxy_that_does_not_answer_is_passed_over() {
    // §3.4: the domain's first address is silent for 64*T1, then the second one is asked.
    let mut flow = Flow::new(4);
    let alice = flow.agent("alice");
    let first = flow.proxy("ss1", |_, _| panic!("it hears nothing"));
    let second = flow.proxy(
        "ss2",
        guarded(BILOXI, to(&bob_at(HostId(3)), record_route())),
    );
    let bob = flow.agent("bob");
    flow.name(BILOXI, &[first, second]);
    let silent = first.address();
    flow.world
        .lose(usize::MAX, move |packet| packet.to == silent);
    let asked = flow.ask(alice, Method::Invite, BOB_URI, &[ALICE, BOB], &talk());
    flow.world.run(Duration::from_millis(32_100));
    let refused = flow.gets(alice, 407);
    let origin = refused.origin.unwrap();
    assert_eq!(origin.peer, second.address(), "who refused");
    let credentials = credentials("alice", BILOXI, BOB_URI);
    // The one that answered is used from now on.
    let more = [
        ("Proxy-Authorization", &*credentials),
        ("Route", &*route(second)),
    ];
    flow.again(alice, &asked, &more);
    let invite = flow.hears(bob, "INVITE");
    flow.ring(bob, &invite, alice);
    let (_, there) = flow.accept(bob, &invite, alice, &talk());
    flow.bye(bob, there, alice);
    let lines = flow.ladder(&[
        ("F1", alice, "INVITE", first),
        ("F2", alice, "INVITE", first),
        ("F3", alice, "INVITE", first),
        ("F4", alice, "INVITE", first),
        ("F5", alice, "INVITE", first),
        ("F6", alice, "INVITE", first),
        ("F7", alice, "INVITE", first),
        ("F8", alice, "INVITE", second),
        ("F9", second, "407 INVITE", alice),
        ("F10", alice, "ACK", second),
        ("F11", alice, "INVITE", second),
        ("F12", second, "INVITE", bob),
        ("F13", second, "100 INVITE", alice),
        ("F14", bob, "180 INVITE", second),
        ("F15", second, "180 INVITE", alice),
        ("F16", bob, "200 INVITE", second),
        ("F17", second, "200 INVITE", alice),
        ("F18", alice, "ACK", second),
        ("F19", second, "ACK", bob),
        ("F20", bob, "BYE", second),
        ("F21", second, "BYE", alice),
        ("F22", alice, "200 BYE", second),
        ("F23", second, "200 BYE", bob),
    ]);
    lines.same("Call-ID", &["F1", "F7", "F8", "F11", "F21"]);
    lines.same("Via", &["F1", "F2", "F3", "F4", "F5", "F6", "F7"]);
    assert_ne!(
        lines.at("F8").field("Via"),
        lines.at("F1").field("Via"),
        "another transaction"
    );
    assert_eq!(lines.at("F8").number(), lines.at("F1").number());
    assert_eq!(lines.at("F11").number(), lines.at("F1").number() + 1);
    assert_eq!(lines.at("F18").hops("Route"), [second]);
    flow.finish();
}

#[test]
fn the_gateway_of_a_firewall_stays_in_the_path_and_the_proxy_behind_it_does_not() {
    // §3.5, its signalling: what the gateway does to session descriptions is media.
    let mut flow = Flow::new(5);
    let alice = flow.agent("alice");
    let gateway = flow.proxy("alg", to(&[], record_route()));
    let proxy = flow.proxy("ss2", to(&bob_at(HostId(3)), ProxyOptions::default()));
    let bob = flow.agent("bob");
    flow.name(BILOXI, &[proxy]);
    let fields = [ALICE, BOB, ("Route", &*route(gateway))];
    let (here, _) = flow.call(alice, BOB_URI, &fields, bob);
    flow.bye(alice, here, bob);
    let lines = flow.ladder(&[
        ("F1", alice, "INVITE", gateway),
        ("F2", gateway, "INVITE", proxy),
        ("F3", gateway, "100 INVITE", alice),
        ("F4", proxy, "INVITE", bob),
        ("F5", proxy, "100 INVITE", gateway),
        ("F6", bob, "180 INVITE", proxy),
        ("F7", proxy, "180 INVITE", gateway),
        ("F8", gateway, "180 INVITE", alice),
        ("F9", bob, "200 INVITE", proxy),
        ("F10", proxy, "200 INVITE", gateway),
        ("F11", gateway, "200 INVITE", alice),
        ("F12", alice, "ACK", gateway),
        ("F13", gateway, "ACK", bob),
        ("F14", alice, "BYE", gateway),
        ("F15", gateway, "BYE", bob),
        ("F16", bob, "200 BYE", gateway),
        ("F17", gateway, "200 BYE", alice),
    ]);
    for label in ["F4", "F6", "F8", "F11"] {
        assert_eq!(lines.at(label).hops("Record-Route"), [gateway], "{label}");
    }
    assert_eq!(lines.at("F4").vias(), 3);
    for (label, hops) in [
        ("F12", vec![gateway]),
        ("F13", vec![]),
        ("F14", vec![gateway]),
        ("F15", vec![]),
    ] {
        assert_eq!(lines.at(label).hops("Route"), hops, "{label}");
    }
    assert_eq!(lines.at("F14").number(), lines.at("F1").number() + 1);
    flow.finish();
}

#[test]
fn a_redirected_call_is_offered_in_the_200_and_answered_in_the_ack() {
    // §3.6
    let mut flow = Flow::new(6);
    let [alice, redirect] = [flow.agent("alice"), flow.agent("redirect")];
    let proxy = flow.proxy("ss3", to(&bob_at(HostId(3)), record_route()));
    let bob = flow.agent("bob");
    flow.name(BILOXI, &[redirect]);
    flow.name("chicago.example.com", &[proxy]);
    let asked = flow.ask(alice, Method::Invite, BOB_URI, &[ALICE, BOB], b"");
    let got = flow.hears(redirect, "INVITE");
    let moved = "<sip:bob@chicago.example.com>";
    flow.answer(redirect, &got, 302, &[("Contact", moved)], b"");
    let response = flow.gets(alice, 302);
    assert_eq!(response.dialog, None);
    flow.again_to(alice, &asked, "sip:bob@chicago.example.com", &[]);
    let invite = flow.hears(bob, "INVITE");
    assert_eq!(invite.message.body(), b"");
    flow.ring(bob, &invite, alice);
    let [offer, answer] = [sdp(1, "sendrecv"), sdp(2, "sendrecv")];
    let there = flow.answer(bob, &invite, 200, &[], &offer).dialog.unwrap();
    let response = flow.gets(alice, 200);
    assert_eq!(response.message.body(), offer);
    let here = response.dialog.unwrap();
    flow.say(alice, here, Method::Ack, &[], &answer);
    assert_eq!(flow.hears(bob, "ACK").message.body(), answer);
    flow.bye(bob, there, alice);
    let lines = flow.ladder(&[
        ("F1", alice, "INVITE", redirect),
        ("F2", redirect, "302 INVITE", alice),
        ("F3", alice, "ACK", redirect),
        ("F4", alice, "INVITE", proxy),
        ("F5", proxy, "INVITE", bob),
        ("F6", proxy, "100 INVITE", alice),
        ("F7", bob, "180 INVITE", proxy),
        ("F8", proxy, "180 INVITE", alice),
        ("F9", bob, "200 INVITE", proxy),
        ("F10", proxy, "200 INVITE", alice),
        ("F11", alice, "ACK", proxy),
        ("F12", proxy, "ACK", bob),
        ("F13", bob, "BYE", proxy),
        ("F14", proxy, "BYE", alice),
        ("F15", alice, "200 BYE", proxy),
        ("F16", proxy, "200 BYE", bob),
    ]);
    lines.same("Call-ID", &["F1", "F4", "F14"]);
    assert_eq!(lines.at("F2").field("Contact"), moved);
    assert_eq!(format!("<{}>", lines.at("F4").uri()), moved);
    assert_eq!(lines.at("F4").field("To"), BOB.1, "To is as it was");
    assert_eq!(lines.at("F4").number(), lines.at("F1").number() + 1);
    assert_eq!(lines.at("F11").hops("Route"), [proxy]);
    flow.finish();
}

#[test]
fn bob_moves_and_the_call_goes_on() {
    // §3.7: the proxy does not record-route, so the ACK and all that follows go straight.
    let mut flow = Flow::new(7);
    let alice = flow.agent("alice");
    let proxy = flow.proxy("ss2", to(&bob_at(HostId(2)), ProxyOptions::default()));
    let bob = flow.agent("bob");
    flow.name(BILOXI, &[proxy]);
    flow.name("client.chicago.example.com", &[bob]);
    let (here, there) = flow.call(alice, BOB_URI, &[ALICE, BOB], bob);
    let moved = "<sip:bob@client.chicago.example.com>";
    let [offer, answer] = [sdp(2, "sendrecv"), sdp(1, "sendrecv")];
    let fields = [("Contact", moved)];
    flow.reinvite(bob, there, alice, &fields, [&offer, &answer]);
    flow.bye(alice, here, bob);
    let lines = flow.ladder(&[
        ("F1", alice, "INVITE", proxy),
        ("F2", proxy, "INVITE", bob),
        ("F3", proxy, "100 INVITE", alice),
        ("F4", bob, "180 INVITE", proxy),
        ("F5", proxy, "180 INVITE", alice),
        ("F6", bob, "200 INVITE", proxy),
        ("F7", proxy, "200 INVITE", alice),
        ("F8", alice, "ACK", bob),
        ("F9", bob, "INVITE", alice),
        ("F10", alice, "200 INVITE", bob),
        ("F11", bob, "ACK", alice),
        ("F12", alice, "BYE", bob),
        ("F13", bob, "200 BYE", alice),
    ]);
    lines.same("Call-ID", &["F1", "F9", "F12"]);
    assert_eq!(lines.at("F2").fields("Record-Route"), [""; 0]);
    assert_eq!(lines.at("F8").fields("Route"), [""; 0]);
    assert_eq!(lines.at("F9").field("Contact"), moved);
    assert_eq!(lines.at("F9").tag("From"), lines.at("F7").tag("To"));
    assert_eq!(lines.at("F9").tag("To"), lines.at("F1").tag("From"));
    assert_eq!(lines.at("F10").fields("Contact").len(), 1);
    // The remote target is the new one (RFC 3261 §12.2.1.2).
    assert_eq!(format!("<{}>", lines.at("F12").uri()), moved);
    assert_eq!(lines.at("F12").number(), lines.at("F1").number() + 1);
    flow.finish();
}
