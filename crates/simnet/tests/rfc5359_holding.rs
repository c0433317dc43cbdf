//! Calls on hold (RFC 5359 §2.1 to §2.3), message by message: re-INVITEs through a proxy, a second call beside, and a music server
//! that takes the call meanwhile.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod flows;

use engine::command::ProxyOptions;
use flows::{ALICE, BOB, BOB_URI, Flow, Row, record_route, refer_to, sdp, talk};
use simnet::HostId;

/// What a party says who no longer renders what it receives (RFC 4235 §5.2).
const ON_HOLD: &str = ";+sip.rendering=\"no\"";

/// Alice, a proxy in the path that knows where Bob and Carol are, Bob, and Carol.
fn scene(seed: u64) -> (Flow, [HostId; 4]) {
    let mut flow = Flow::new(seed);
    let alice = flow.agent("alice");
    let proxy = flow.proxy("proxy", |request, actions| {
        let host = HostId(if request.message.request_uri().contains("carol") {
            3
        } else {
            2
        });
        let options: ProxyOptions = record_route();
        actions.proxy(request.transaction, &[&host.uri("here")], options);
    });
    let hosts = [alice, proxy, flow.agent("bob"), flow.agent("carol")];
    flow.name("biloxi.example.com", &[proxy]);
    flow.name("chicago.example.com", &[proxy]);
    (flow, hosts)
}

/// F1 to F9 of both flows.
fn set_up([alice, proxy, bob, _]: [HostId; 4]) -> [Row<'static>; 9] {
    [
        ("F1", alice, "INVITE", proxy),
        ("F2", proxy, "INVITE", bob),
        ("F3", proxy, "100 INVITE", alice),
        ("F4", bob, "180 INVITE", proxy),
        ("F5", proxy, "180 INVITE", alice),
        ("F6", bob, "200 INVITE", proxy),
        ("F7", proxy, "200 INVITE", alice),
        ("F8", alice, "ACK", proxy),
        ("F9", proxy, "ACK", bob),
    ]
}

/// A re-INVITE of Bob's, named from this number on.
fn reinvite([alice, proxy, bob, _]: [HostId; 4], labels: [&'static str; 6]) -> [Row<'static>; 6] {
    [
        (labels[0], bob, "INVITE", proxy),
        (labels[1], proxy, "INVITE", alice),
        (labels[2], alice, "200 INVITE", proxy),
        (labels[3], proxy, "200 INVITE", bob),
        (labels[4], bob, "ACK", proxy),
        (labels[5], proxy, "ACK", alice),
    ]
}

#[test]
fn bob_holds_the_call_and_takes_it_up_again() {
    // §2.1
    let (mut flow, hosts) = scene(21);
    let [alice, proxy, bob, _] = hosts;
    let (here, there) = flow.call(alice, BOB_URI, &[ALICE, BOB], bob);
    let contact = format!("<{}>{ON_HOLD}", bob.uri("bob"));
    let offers = [sdp(2, "sendonly"), sdp(2, "recvonly")];
    let fields = [("Contact", &*contact)];
    flow.reinvite(bob, there, alice, &fields, [&offers[0], &offers[1]]);
    let back = [sdp(3, "sendrecv"), sdp(3, "sendrecv")];
    flow.reinvite(bob, there, alice, &[], [&back[0], &back[1]]);
    flow.bye(alice, here, bob);
    let mut rows = set_up(hosts).to_vec();
    rows.extend(reinvite(hosts, ["F10", "F11", "F12", "F13", "F14", "F15"]));
    rows.extend(reinvite(hosts, ["F16", "F17", "F18", "F19", "F20", "F21"]));
    rows.extend([
        ("F22", alice, "BYE", proxy),
        ("F23", proxy, "BYE", bob),
        ("F24", bob, "200 BYE", proxy),
        ("F25", proxy, "200 BYE", alice),
    ]);
    let lines = flow.ladder(&rows);
    lines.same("Call-ID", &["F1", "F10", "F16", "F25"]);
    assert!(lines.at("F11").body().contains("a=sendonly"));
    assert!(lines.at("F13").body().contains("a=recvonly"));
    assert_eq!(lines.at("F11").field("Contact"), contact);
    assert!(lines.at("F17").body().contains("a=sendrecv"));
    assert!(!lines.at("F17").field("Contact").contains("rendering"));
    // Each counts by itself; the dialog's route is the proxy, either way.
    assert_eq!(lines.at("F16").number(), lines.at("F10").number() + 1);
    assert_eq!(lines.at("F22").number(), lines.at("F1").number() + 1);
    for label in ["F10", "F14", "F16", "F20", "F22"] {
        assert_eq!(lines.at(label).hops("Route"), [proxy], "{label}");
    }
    for label in ["F11", "F15", "F17", "F21", "F23"] {
        assert_eq!(lines.at(label).fields("Route"), [""; 0], "{label}");
        assert_eq!(lines.at(label).vias(), 2, "{label}");
    }
    assert_eq!(lines.at("F10").tag("From"), lines.at("F7").tag("To"));
    assert_eq!(flow.dialogs([alice, bob]), [0, 0]);
    flow.finish();
}

#[test]
fn bob_asks_carol_while_alice_is_on_hold() {
    // §2.2
    let (mut flow, hosts) = scene(22);
    let [alice, proxy, bob, carol] = hosts;
    let (here, there) = flow.call(alice, BOB_URI, &[ALICE, BOB], bob);
    let hold = [sdp(2, "sendonly"), sdp(2, "recvonly")];
    flow.reinvite(bob, there, alice, &[], [&hold[0], &hold[1]]);
    let (asking, _) = flow.call(bob, "sip:carol@chicago.example.com", &[], carol);
    assert_eq!(flow.dialogs([alice, bob, carol]), [1, 2, 1]);
    flow.bye(bob, asking, carol);
    assert_eq!(flow.dialogs([alice, bob, carol]), [1, 1, 0]);
    let back = [sdp(3, "sendrecv"), sdp(3, "sendrecv")];
    flow.reinvite(bob, there, alice, &[], [&back[0], &back[1]]);
    flow.bye(alice, here, bob);
    let mut rows = set_up(hosts).to_vec();
    rows.extend(reinvite(hosts, ["F10", "F11", "F12", "F13", "F14", "F15"]));
    rows.extend([
        ("F16", bob, "INVITE", proxy),
        ("F17", proxy, "INVITE", carol),
        ("F18", proxy, "100 INVITE", bob),
        ("F19", carol, "180 INVITE", proxy),
        ("F20", proxy, "180 INVITE", bob),
        ("F21", carol, "200 INVITE", proxy),
        ("F22", proxy, "200 INVITE", bob),
        ("F23", bob, "ACK", proxy),
        ("F24", proxy, "ACK", carol),
        ("F25", bob, "BYE", proxy),
        ("F26", proxy, "BYE", carol),
        ("F27", carol, "200 BYE", proxy),
        ("F28", proxy, "200 BYE", bob),
    ]);
    rows.extend(reinvite(hosts, ["F29", "F30", "F31", "F32", "F33", "F34"]));
    rows.extend([
        ("F35", alice, "BYE", proxy),
        ("F36", proxy, "BYE", bob),
        ("F37", bob, "200 BYE", proxy),
        ("F38", proxy, "200 BYE", alice),
    ]);
    let lines = flow.ladder(&rows);
    lines.same("Call-ID", &["F1", "F10", "F29", "F36"]);
    lines.same("Call-ID", &["F16", "F22", "F25"]);
    assert_ne!(lines.at("F16").call_id(), lines.at("F1").call_id());
    assert_eq!(lines.at("F29").tag("To"), lines.at("F1").tag("From"));
    assert_eq!(lines.at("F29").number(), lines.at("F10").number() + 1);
    assert_eq!(flow.ends(proxy), [Some(200), Some(200)]);
    flow.finish();
}

#[test]
fn a_music_server_takes_the_call_while_it_is_on_hold() {
    // §2.3
    let mut flow = Flow::new(23);
    let [alice, bob, music] = [flow.agent("alice"), flow.agent("bob"), flow.agent("music")];
    let fields = [ALICE, BOB, ("Supported", "replaces")];
    let (here, there) = flow.call(alice, &bob.uri("bob"), &fields, bob);
    let named = flow.named_to(true);
    let hold = [sdp(2, "sendonly"), sdp(2, "recvonly")];
    flow.reinvite(bob, there, alice, &[], [&hold[0], &hold[1]]);
    let target = refer_to(&alice.uri("alice"), &named);
    let referred = [("Refer-To", &*target)];
    let (_, told, refer) = flow.refer(bob, music, &referred);
    let got = refer.message.named("Refer-To").next().unwrap();
    assert_eq!(got.text(), target);
    let contact = format!("<{}>;automaton;+sip.byeless{ON_HOLD}", music.uri("music"));
    let more = [("Contact", &*contact)];
    let (_, heard) = flow.replace(music, alice, &named, &more);
    let with_music = flow.named_to(false);
    // Alice ends what was replaced, then the server tells Bob so.
    flow.bye(alice, here, bob);
    let (state, fragment) = ("terminated;reason=noresource", "SIP/2.0 200 OK");
    flow.report(music, told, bob, state, fragment);
    assert_eq!(flow.dialogs([alice, bob, music]), [1, 0, 1]);
    // Bob takes the call back.
    let (again, _) = flow.replace(bob, alice, &with_music, &[]);
    flow.bye(alice, heard, music);
    let lines = flow.ladder(&[
        ("F1", alice, "INVITE", bob),
        ("F2", bob, "180 INVITE", alice),
        ("F3", bob, "200 INVITE", alice),
        ("F4", alice, "ACK", bob),
        ("F5", bob, "INVITE", alice),
        ("F6", alice, "200 INVITE", bob),
        ("F7", bob, "ACK", alice),
        ("F8", bob, "REFER", music),
        ("F9", music, "202 REFER", bob),
        ("F10", music, "NOTIFY", bob),
        ("F11", bob, "200 NOTIFY", music),
        ("F12", music, "INVITE", alice),
        ("F13", alice, "200 INVITE", music),
        ("F14", music, "ACK", alice),
        ("F15", alice, "BYE", bob),
        ("F16", bob, "200 BYE", alice),
        ("F17", music, "NOTIFY", bob),
        ("F18", bob, "200 NOTIFY", music),
        ("F19", bob, "INVITE", alice),
        ("F20", alice, "200 INVITE", bob),
        ("F21", bob, "ACK", alice),
        ("F22", alice, "BYE", music),
        ("F23", music, "200 BYE", alice),
    ]);
    lines.same("Call-ID", &["F8", "F10", "F17"]);
    assert_eq!(lines.at("F10").tag("From"), lines.at("F9").tag("To"));
    assert_eq!(
        lines.at("F10").field("Subscription-State"),
        "active;expires=60"
    );
    assert_eq!(lines.at("F17").field("Subscription-State"), state);
    assert_eq!(lines.at("F17").body(), "SIP/2.0 200 OK\r\n");
    assert_eq!(lines.at("F12").field("Contact"), contact);
    // The to-tag is the receiver's own (RFC 3891 §3).
    for (replacing, old, receiver, peer) in
        [("F12", "F1", "F3", "From"), ("F19", "F12", "F13", "To")]
    {
        let other = if peer == "From" { "To" } else { "From" };
        let answer = lines.at(receiver);
        assert_eq!(
            lines.at(replacing).field("Replaces"),
            format!(
                "{};to-tag={};from-tag={}",
                lines.at(old).call_id(),
                answer.tag(peer),
                answer.tag(other)
            )
        );
    }
    lines.same("Call-ID", &["F12", "F22"]);
    flow.bye(bob, again, alice);
    flow.ladder(&[("", bob, "BYE", alice), ("", alice, "200 BYE", bob)]);
    assert_eq!(talk(), lines.at("F19").body().as_bytes());
    flow.finish();
}
