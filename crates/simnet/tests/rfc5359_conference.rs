//! Three parties (RFC 5359 §2.10, §2.11) and a call that is tried again once it can be answered (§2.17), message by message.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod flows;

use flows::{ALICE, BOB, Flow, sdp, talk};
use simnet::HostId;
use sip::Method;

/// The Contact of Bob's mixer (RFC 3840, RFC 4579 §5.2).
fn focus(bob: HostId) -> String {
    format!("<{}>;isfocus", bob.uri("bob-Mixer"))
}

fn three(seed: u64) -> (Flow, [HostId; 3]) {
    let mut flow = Flow::new(seed);
    let hosts = ["alice", "bob", "carol"].map(|name| flow.agent(name));
    (flow, hosts)
}

#[test]
fn bob_adds_carol() {
    // §2.10
    let (mut flow, [alice, bob, carol]) = three(51);
    let (here, there) = flow.call(alice, &bob.uri("bob"), &[ALICE, BOB], bob);
    let mixer = focus(bob);
    let fields = [("Contact", &*mixer)];
    let [offer, answer] = [sdp(2, "sendrecv"), talk()];
    flow.reinvite(bob, there, alice, &fields, [&offer, &answer]);
    let (with_carol, _) = flow.call(bob, &carol.uri("carol"), &fields, carol);
    assert_eq!(flow.dialogs([alice, bob, carol]), [1, 2, 1]);
    let lines = flow.ladder(&[
        ("F1", alice, "INVITE", bob),
        ("F2", bob, "180 INVITE", alice),
        ("F3", bob, "200 INVITE", alice),
        ("F4", alice, "ACK", bob),
        ("F5", bob, "INVITE", alice),
        ("F6", alice, "200 INVITE", bob),
        ("F7", bob, "ACK", alice),
        ("F8", bob, "INVITE", carol),
        ("F9", carol, "180 INVITE", bob),
        ("F10", carol, "200 INVITE", bob),
        ("F11", bob, "ACK", carol),
    ]);
    lines.same("Call-ID", &["F1", "F5", "F7"]);
    assert_ne!(lines.at("F8").call_id(), lines.at("F1").call_id());
    assert_eq!(lines.at("F5").field("Contact"), mixer);
    assert_eq!(lines.at("F8").field("Contact"), mixer);
    // Alice's remote target is the mixer from now on.
    flow.bye(alice, here, bob);
    flow.bye(bob, with_carol, carol);
    let lines = flow.ladder(&[
        ("B1", alice, "BYE", bob),
        ("", bob, "200 BYE", alice),
        ("B2", bob, "BYE", carol),
        ("", carol, "200 BYE", bob),
    ]);
    assert_eq!(lines.at("B1").uri(), bob.uri("bob-Mixer"));
    flow.finish();
}

#[test]
fn carol_joins() {
    // §2.11
    let (mut flow, [alice, bob, carol]) = three(52);
    let (here, there) = flow.call(alice, &bob.uri("bob"), &[ALICE, BOB], bob);
    let named = flow.named_to(false);
    let fields = [("Join", &*named), ("Supported", "replaces, join")];
    flow.ask(carol, Method::Invite, &bob.uri("bob"), &fields, &talk());
    let joining = flow.hears(bob, "INVITE");
    let given = joining.message.named("Join").next().unwrap();
    assert_eq!(given.text(), named);
    flow.ring(bob, &joining, carol);
    let mixer = focus(bob);
    let fields = [("Contact", &*mixer)];
    let [offer, answer] = [sdp(2, "sendrecv"), talk()];
    flow.reinvite(bob, there, alice, &fields, [&offer, &answer]);
    flow.answer(bob, &joining, 200, &fields, &talk());
    let carols = flow.gets(carol, 200).dialog.unwrap();
    flow.say(carol, carols, Method::Ack, &[], b"");
    flow.hears(bob, "ACK");
    assert_eq!(flow.dialogs([alice, bob, carol]), [1, 2, 1]);
    let lines = flow.ladder(&[
        ("F1", alice, "INVITE", bob),
        ("F2", bob, "180 INVITE", alice),
        ("F3", bob, "200 INVITE", alice),
        ("F4", alice, "ACK", bob),
        ("F5", carol, "INVITE", bob),
        ("F6", bob, "180 INVITE", carol),
        ("F7", bob, "INVITE", alice),
        ("F8", alice, "200 INVITE", bob),
        ("F9", bob, "ACK", alice),
        ("F10", bob, "200 INVITE", carol),
        ("F11", carol, "ACK", bob),
    ]);
    assert_eq!(
        lines.at("F5").field("Join"),
        format!(
            "{};to-tag={};from-tag={}",
            lines.at("F1").call_id(),
            lines.at("F3").tag("To"),
            lines.at("F1").tag("From")
        )
    );
    assert_eq!(lines.at("F7").field("Contact"), mixer);
    assert_eq!(lines.at("F10").field("Contact"), mixer);
    lines.same("To", &["F6", "F10", "F11"]);
    flow.bye(alice, here, bob);
    flow.bye(carol, carols, bob);
    let lines = flow.ladder(&[
        ("B1", alice, "BYE", bob),
        ("", bob, "200 BYE", alice),
        ("B2", carol, "BYE", bob),
        ("", bob, "200 BYE", carol),
    ]);
    assert_eq!(lines.at("B1").uri(), bob.uri("bob-Mixer"));
    assert_eq!(lines.at("B2").uri(), bob.uri("bob-Mixer"));
    flow.finish();
}

#[test]
fn alice_is_told_when_bob_can_be_called_again() {
    // §2.17
    let mut flow = Flow::new(53);
    let [alice, bob] = [flow.agent("alice"), flow.agent("bob")];
    let uri = bob.uri("bob");
    flow.ask(alice, Method::Invite, &uri, &[ALICE, BOB], &talk());
    let invite = flow.hears(bob, "INVITE");
    flow.answer(bob, &invite, 486, &[], b"");
    flow.gets(alice, 486);
    let accept = ("Accept", "application/dialog-info+xml");
    let fields = [("Event", "dialog"), accept, ("Expires", "60")];
    flow.ask(alice, Method::Subscribe, &uri, &fields, b"");
    let subscribe = flow.hears(bob, "SUBSCRIBE");
    let granted = flow.answer(bob, &subscribe, 200, &[("Expires", "60")], b"");
    let there = granted.dialog.unwrap();
    let here = flow.gets(alice, 200).dialog.unwrap();
    let notify = |flow: &mut Flow, state: &str, call: &str| {
        let fields = [
            ("Event", "dialog"),
            ("Subscription-State", state),
            ("Content-Type", "application/dialog-info+xml"),
        ];
        let body = format!("<dialog-info><state>{call}</state></dialog-info>");
        let body = body.as_bytes();
        let got = flow.exchange(bob, there, alice, Method::Notify, &fields, body);
        assert_eq!(got.dialog, Some(here));
    };
    notify(&mut flow, "active;expires=59", "confirmed");
    // Bob hangs up another call.
    notify(&mut flow, "active;expires=40", "terminated");
    let (called, _) = flow.call(alice, &uri, &[ALICE, BOB], bob);
    notify(&mut flow, "active;expires=38", "confirmed");
    assert_eq!(flow.dialogs([alice, bob]), [2, 2]);
    let fields = [("Event", "dialog"), accept, ("Expires", "0")];
    flow.say(alice, here, Method::Subscribe, &fields, b"");
    let last = flow.hears(bob, "SUBSCRIBE");
    assert_eq!(last.dialog, Some(there));
    flow.answer(bob, &last, 200, &[("Expires", "0")], b"");
    flow.gets(alice, 200);
    notify(&mut flow, "terminated;reason=noresource", "confirmed");
    assert_eq!(flow.dialogs([alice, bob]), [1, 1], "the call goes on");
    let lines = flow.ladder(&[
        ("F1", alice, "INVITE", bob),
        ("F2", bob, "486 INVITE", alice),
        ("F3", alice, "ACK", bob),
        ("F4", alice, "SUBSCRIBE", bob),
        ("F5", bob, "200 SUBSCRIBE", alice),
        ("F6", bob, "NOTIFY", alice),
        ("F7", alice, "200 NOTIFY", bob),
        ("F8", bob, "NOTIFY", alice),
        ("F9", alice, "200 NOTIFY", bob),
        ("F10", alice, "INVITE", bob),
        ("F11", bob, "180 INVITE", alice),
        ("F12", bob, "200 INVITE", alice),
        ("F13", alice, "ACK", bob),
        ("F14", bob, "NOTIFY", alice),
        ("F15", alice, "200 NOTIFY", bob),
        ("F16", alice, "SUBSCRIBE", bob),
        ("F17", bob, "200 SUBSCRIBE", alice),
        ("F18", bob, "NOTIFY", alice),
        ("F19", alice, "200 NOTIFY", bob),
    ]);
    lines.same("Call-ID", &["F4", "F6", "F8", "F14", "F16", "F18"]);
    lines.same("From", &["F6", "F8", "F14", "F18"]);
    assert_ne!(lines.at("F10").call_id(), lines.at("F1").call_id());
    assert_eq!(lines.at("F6").tag("From"), lines.at("F5").tag("To"));
    assert_eq!(lines.at("F16").tag("To"), lines.at("F5").tag("To"));
    assert_eq!(lines.at("F16").number(), lines.at("F4").number() + 1);
    assert_eq!(lines.at("F16").field("Expires"), "0");
    let numbers = ["F6", "F8", "F14", "F18"].map(|label| lines.at(label).number());
    let first = numbers[0];
    assert_eq!(numbers, [first, first + 1, first + 2, first + 3]);
    flow.bye(alice, called, bob);
    flow.ladder(&[("", alice, "BYE", bob), ("", bob, "200 BYE", alice)]);
    flow.finish();
}
