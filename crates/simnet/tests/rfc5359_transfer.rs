//! Calls that change hands (RFC 5359 §2.4 to §2.6, §2.15, §2.16, §2.18), message by message: REFER with and without Replaces, a
//! transfer by MESSAGE, a parked call, a call that is picked up, a call that is dialed by a click.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod flows;

use flows::{ALICE, BOB, Flow, refer_to, sdp, talk};
use sip::Method;

const DONE: (&str, &str) = ("terminated;reason=noresource", "SIP/2.0 200 OK");

#[test]
fn alice_transfers_bob_and_hangs_up_before_he_calls() {
    // §2.4: the subscription outlives the call in its dialog.
    let mut flow = Flow::new(31);
    let [alice, bob, carol] = [flow.agent("alice"), flow.agent("bob"), flow.agent("carol")];
    let from = [
        ("From", "Bob <sip:bob@biloxi.example.com>"),
        ("To", "Alice <sip:alice@atlanta.example.com>"),
    ];
    let (there, here) = flow.call(bob, &alice.uri("alice"), &from, alice);
    let target = format!("<{}>", carol.uri("carol"));
    let by = "<sip:alice@atlanta.example.com>";
    let fields = [("Refer-To", &*target), ("Referred-By", by)];
    flow.say(alice, here, Method::Refer, &fields, b"");
    let refer = flow.hears(bob, "REFER");
    assert_eq!(refer.dialog, Some(there));
    flow.answer(bob, &refer, 202, &[], b"");
    assert_eq!(flow.gets(alice, 202).dialog, Some(here));
    flow.report(bob, there, alice, "active;expires=60", "SIP/2.0 100 Trying");
    flow.bye(alice, here, bob);
    assert_eq!(flow.dialogs([alice, bob]), [1, 1], "the subscription's");
    let (with_carol, _) = flow.call(bob, &carol.uri("carol"), &[("Referred-By", by)], carol);
    flow.report(bob, there, alice, DONE.0, DONE.1);
    assert_eq!(flow.dialogs([alice, bob, carol]), [0, 1, 1]);
    let lines = flow.ladder(&[
        ("F1", bob, "INVITE", alice),
        ("F2", alice, "180 INVITE", bob),
        ("F3", alice, "200 INVITE", bob),
        ("F4", bob, "ACK", alice),
        ("F5", alice, "REFER", bob),
        ("F6", bob, "202 REFER", alice),
        ("F7", bob, "NOTIFY", alice),
        ("F8", alice, "200 NOTIFY", bob),
        ("F9", alice, "BYE", bob),
        ("F10", bob, "200 BYE", alice),
        ("F11", bob, "INVITE", carol),
        ("F12", carol, "180 INVITE", bob),
        ("F13", carol, "200 INVITE", bob),
        ("F14", bob, "ACK", carol),
        ("F15", bob, "NOTIFY", alice),
        ("F16", alice, "200 NOTIFY", bob),
    ]);
    lines.same("Call-ID", &["F1", "F5", "F7", "F9", "F15"]);
    assert_eq!(lines.at("F5").tag("From"), lines.at("F3").tag("To"));
    assert_eq!(lines.at("F5").field("Refer-To"), target);
    for label in ["F7", "F15"] {
        let event = lines.at(label).field("Event");
        assert!(event.starts_with("refer"), "{event}");
        assert_eq!(lines.at(label).field("Content-Type"), "message/sipfrag");
        assert_eq!(lines.at(label).fields("Contact").len(), 1);
    }
    assert_eq!(lines.at("F15").field("Subscription-State"), DONE.0);
    assert_eq!(lines.at("F15").number(), lines.at("F7").number() + 1);
    assert_eq!(lines.at("F11").field("Referred-By"), by);
    assert_ne!(lines.at("F11").call_id(), lines.at("F1").call_id());
    flow.bye(bob, with_carol, carol);
    flow.ladder(&[("", bob, "BYE", carol), ("", carol, "200 BYE", bob)]);
    flow.finish();
}

#[test]
fn bob_asks_carol_and_transfers_alice_to_her() {
    // §2.5
    let mut flow = Flow::new(32);
    let [alice, bob, carol] = [flow.agent("alice"), flow.agent("bob"), flow.agent("carol")];
    let (here, there) = flow.call(alice, &bob.uri("bob"), &[ALICE, BOB], bob);
    let hold = [sdp(2, "sendonly"), sdp(2, "recvonly")];
    flow.reinvite(bob, there, alice, &[], [&hold[0], &hold[1]]);
    let (asking, asked) = flow.call(bob, &carol.uri("carol"), &[], carol);
    let named = flow.named_to(false);
    flow.reinvite(bob, asking, carol, &[], [&hold[0], &hold[1]]);
    let target = refer_to(&carol.uri("carol"), &named);
    let fields = [("Refer-To", &*target)];
    flow.say(bob, there, Method::Refer, &fields, b"");
    let refer = flow.hears(alice, "REFER");
    flow.answer(alice, &refer, 202, &[], b"");
    flow.gets(bob, 202);
    let trying = "SIP/2.0 100 Trying";
    flow.report(alice, here, bob, "active;expires=60", trying);
    let (new, _) = flow.replace(alice, carol, &named, &[]);
    flow.bye(carol, asked, bob);
    flow.report(alice, here, bob, DONE.0, DONE.1);
    assert_eq!(flow.dialogs([alice, bob, carol]), [2, 1, 1]);
    flow.bye(bob, there, alice);
    assert_eq!(flow.dialogs([alice, bob, carol]), [1, 0, 1]);
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
        ("F12", bob, "INVITE", carol),
        ("F13", carol, "200 INVITE", bob),
        ("F14", bob, "ACK", carol),
        ("F15", bob, "REFER", alice),
        ("F16", alice, "202 REFER", bob),
        ("F17", alice, "NOTIFY", bob),
        ("F18", bob, "200 NOTIFY", alice),
        ("F19", alice, "INVITE", carol),
        ("F20", carol, "200 INVITE", alice),
        ("F21", alice, "ACK", carol),
        ("F22", carol, "BYE", bob),
        ("F23", bob, "200 BYE", carol),
        ("F24", alice, "NOTIFY", bob),
        ("F25", bob, "200 NOTIFY", alice),
        ("F26", bob, "BYE", alice),
        ("F27", alice, "200 BYE", bob),
    ]);
    lines.same("Call-ID", &["F1", "F5", "F15", "F17", "F24", "F26"]);
    lines.same("Call-ID", &["F8", "F12", "F22"]);
    let replaced = lines.at("F10");
    assert_eq!(
        lines.at("F19").field("Replaces"),
        format!(
            "{};to-tag={};from-tag={}",
            replaced.call_id(),
            replaced.tag("To"),
            replaced.tag("From")
        )
    );
    assert_eq!(lines.at("F19").field("Require"), "replaces");
    assert_eq!(lines.at("F15").field("Refer-To"), target);
    assert_eq!(lines.at("F24").field("Subscription-State"), DONE.0);
    flow.bye(alice, new, carol);
    flow.ladder(&[("", alice, "BYE", carol), ("", carol, "200 BYE", alice)]);
    flow.finish();
}

#[test]
fn carol_takes_the_call_that_a_message_offers() {
    // §2.6
    let mut flow = Flow::new(33);
    let [alice, bob, carol] = [flow.agent("alice"), flow.agent("bob"), flow.agent("carol")];
    let (here, _) = flow.call(alice, &bob.uri("bob"), &[ALICE, BOB], bob);
    let named = flow.named_to(true);
    let text = format!(
        "<HTML>Do you want <A HREF=\"{}\">Alice</A>?</HTML>",
        refer_to(&alice.uri("alice"), &named).trim_matches(['<', '>'])
    );
    let fields = [("Content-Type", "text/html")];
    let uri = carol.uri("carol");
    flow.ask(bob, Method::Message, &uri, &fields, text.as_bytes());
    let message = flow.hears(carol, "MESSAGE");
    assert_eq!(message.message.body(), text.as_bytes());
    let answered = flow.answer(carol, &message, 200, &[], b"");
    assert_eq!(answered.dialog, None);
    assert_eq!(flow.gets(bob, 200).dialog, None);
    let (new, _) = flow.replace(carol, alice, &named, &[]);
    flow.bye(alice, here, bob);
    assert_eq!(flow.dialogs([alice, bob, carol]), [1, 0, 1]);
    let lines = flow.ladder(&[
        ("F1", alice, "INVITE", bob),
        ("F2", bob, "180 INVITE", alice),
        ("F3", bob, "200 INVITE", alice),
        ("F4", alice, "ACK", bob),
        ("F5", bob, "MESSAGE", carol),
        ("F6", carol, "200 MESSAGE", bob),
        ("F7", carol, "INVITE", alice),
        ("F8", alice, "200 INVITE", carol),
        ("F9", carol, "ACK", alice),
        ("F10", alice, "BYE", bob),
        ("F11", bob, "200 BYE", alice),
    ]);
    assert_eq!(lines.at("F5").fields("Contact"), [""; 0], "RFC 3428 §4");
    assert_eq!(lines.at("F7").field("Require"), "replaces");
    assert_eq!(
        lines.at("F7").field("Replaces"),
        format!(
            "{};to-tag={};from-tag={}",
            lines.at("F1").call_id(),
            lines.at("F1").tag("From"),
            lines.at("F3").tag("To")
        )
    );
    flow.bye(carol, new, alice);
    flow.ladder(&[("", carol, "BYE", alice), ("", alice, "200 BYE", carol)]);
    flow.finish();
}

#[test]
fn a_parked_call_is_taken_by_carol() {
    // §2.15
    let mut flow = Flow::new(34);
    let [alice, bob] = [flow.agent("alice"), flow.agent("bob")];
    let [park, carol] = [flow.agent("park"), flow.agent("carol")];
    let (here, _) = flow.call(alice, &bob.uri("bob"), &[ALICE, BOB], bob);
    let named = flow.named_to(true);
    let target = refer_to(&alice.uri("alice"), &named);
    let (_, told, _) = flow.refer(bob, park, &[("Refer-To", &target)]);
    let (_, parked) = flow.replace(park, alice, &named, &[]);
    let in_park = flow.named_to(false);
    flow.bye(alice, here, bob);
    flow.report(park, told, bob, DONE.0, DONE.1);
    assert_eq!(flow.dialogs([alice, bob, park]), [1, 0, 1]);
    // Carol asks once which calls are there.
    let fields = [("Event", "dialog"), ("Expires", "0")];
    flow.ask(carol, Method::Subscribe, &park.uri("park"), &fields, b"");
    let subscribe = flow.hears(park, "SUBSCRIBE");
    let granted = flow.answer(park, &subscribe, 200, &[("Expires", "0")], b"");
    flow.gets(carol, 200);
    let fields = [
        ("Event", "dialog"),
        ("Subscription-State", "terminated;reason=timeout"),
        ("Content-Type", "application/dialog-info+xml"),
    ];
    let body = format!("<dialog-info><!-- {in_park} --></dialog-info>");
    let dialog = granted.dialog.unwrap();
    flow.exchange(
        park,
        dialog,
        carol,
        Method::Notify,
        &fields,
        body.as_bytes(),
    );
    let (new, _) = flow.replace(carol, alice, &in_park, &[]);
    flow.bye(alice, parked, park);
    assert_eq!(flow.dialogs([alice, bob, park, carol]), [1, 0, 0, 1]);
    let lines = flow.ladder(&[
        ("F1", alice, "INVITE", bob),
        ("F2", bob, "180 INVITE", alice),
        ("F3", bob, "200 INVITE", alice),
        ("F4", alice, "ACK", bob),
        ("F5", bob, "REFER", park),
        ("F6", park, "202 REFER", bob),
        ("F7", park, "NOTIFY", bob),
        ("F8", bob, "200 NOTIFY", park),
        ("F9", park, "INVITE", alice),
        ("F10", alice, "200 INVITE", park),
        ("F11", park, "ACK", alice),
        ("F12", alice, "BYE", bob),
        ("F13", bob, "200 BYE", alice),
        ("F14", park, "NOTIFY", bob),
        ("F15", bob, "200 NOTIFY", park),
        ("F16", carol, "SUBSCRIBE", park),
        ("F17", park, "200 SUBSCRIBE", carol),
        ("F18", park, "NOTIFY", carol),
        ("F19", carol, "200 NOTIFY", park),
        ("F20", carol, "INVITE", alice),
        ("F21", alice, "200 INVITE", carol),
        ("F22", carol, "ACK", alice),
        ("F23", alice, "BYE", park),
        ("F24", park, "200 BYE", alice),
    ]);
    lines.same("Call-ID", &["F5", "F7", "F14"]);
    lines.same("Call-ID", &["F9", "F23"]);
    lines.same("Call-ID", &["F16", "F18"]);
    assert_eq!(lines.at("F18").tag("From"), lines.at("F17").tag("To"));
    assert_eq!(lines.at("F17").field("Expires"), "0");
    assert_eq!(
        lines.at("F20").field("Replaces"),
        format!(
            "{};to-tag={};from-tag={}",
            lines.at("F9").call_id(),
            lines.at("F10").tag("To"),
            lines.at("F9").tag("From")
        )
    );
    flow.bye(carol, new, alice);
    flow.ladder(&[("", carol, "BYE", alice), ("", alice, "200 BYE", carol)]);
    flow.finish();
}

#[test]
fn a_ringing_call_is_picked_up_by_bill() {
    // §2.16
    let mut flow = Flow::new(35);
    let [alice, bob, bill] = [flow.agent("alice"), flow.agent("bob"), flow.agent("bill")];
    let uri = bob.uri("bob");
    let called = flow.ask(alice, Method::Invite, &uri, &[ALICE, BOB], &talk());
    let ringing = flow.hears(bob, "INVITE");
    flow.ring(bob, &ringing, alice);
    let named = format!("{};early-only", flow.named_to(true));
    let fields = [("Event", "dialog"), ("Expires", "0")];
    flow.ask(bill, Method::Subscribe, &uri, &fields, b"");
    let subscribe = flow.hears(bob, "SUBSCRIBE");
    let granted = flow.answer(bob, &subscribe, 200, &[("Expires", "0")], b"");
    flow.gets(bill, 200);
    let fields = [
        ("Event", "dialog"),
        ("Subscription-State", "terminated;reason=timeout"),
        ("Content-Type", "application/dialog-info+xml"),
    ];
    let dialog = granted.dialog.unwrap();
    let body = format!("<dialog-info><!-- {named} --></dialog-info>");
    flow.exchange(bob, dialog, bill, Method::Notify, &fields, body.as_bytes());
    // Alice answers Bill, and gives up the call that he replaces.
    let own = [("Require", "replaces"), ("Replaces", &*named)];
    let alices = alice.uri("alice");
    flow.ask(bill, Method::Invite, &alices, &own, &talk());
    let invite = flow.hears(alice, "INVITE");
    let answered = flow.answer(alice, &invite, 200, &[], &talk());
    let here = answered.dialog.unwrap();
    flow.world
        .act(alice, |actions| actions.cancel(called.transaction));
    flow.world.sent(alice);
    flow.hears(bob, "CANCEL");
    let ended = flow.gets(alice, 487);
    assert_eq!(ended.transaction, called.transaction);
    let there = flow.gets(bill, 200).dialog.unwrap();
    flow.say(bill, there, Method::Ack, &[], b"");
    assert_eq!(flow.hears(alice, "ACK").dialog, Some(here));
    assert_eq!(flow.dialogs([alice, bob, bill]), [1, 0, 1]);
    flow.bye(alice, here, bill);
    let lines = flow.ladder(&[
        ("F1", alice, "INVITE", bob),
        ("F2", bob, "180 INVITE", alice),
        ("F3", bill, "SUBSCRIBE", bob),
        ("F4", bob, "200 SUBSCRIBE", bill),
        ("F5", bob, "NOTIFY", bill),
        ("F6", bill, "200 NOTIFY", bob),
        ("F7", bill, "INVITE", alice),
        ("F8", alice, "200 INVITE", bill),
        ("F9", alice, "CANCEL", bob),
        ("F10", bob, "200 CANCEL", alice),
        ("F11", bob, "487 INVITE", alice),
        ("F12", alice, "ACK", bob),
        ("F13", bill, "ACK", alice),
        ("F14", alice, "BYE", bill),
        ("F15", bill, "200 BYE", alice),
    ]);
    assert_eq!(
        lines.at("F7").field("Replaces"),
        format!(
            "{};to-tag={};from-tag={};early-only",
            lines.at("F1").call_id(),
            lines.at("F1").tag("From"),
            lines.at("F2").tag("To")
        )
    );
    lines.same("Call-ID", &["F7", "F13", "F14"]);
    lines.same("To", &["F2", "F11", "F12"]);
    flow.finish();
}

#[test]
fn a_click_makes_bobs_phone_call_carol() {
    // §2.18: without a subscription (RFC 4488), so nobody is told of the outcome.
    let mut flow = Flow::new(36);
    let [computer, bob, carol] = [flow.agent("pc"), flow.agent("bob"), flow.agent("carol")];
    let target = format!("<{}>", carol.uri("carol"));
    let fields = [("Refer-To", &*target), ("Refer-Sub", "false")];
    flow.ask(computer, Method::Refer, &bob.uri("bob"), &fields, b"");
    let refer = flow.hears(bob, "REFER");
    let accepted = flow.answer(bob, &refer, 202, &[("Refer-Sub", "false")], b"");
    assert_eq!(accepted.dialog, None);
    assert_eq!(flow.gets(computer, 202).dialog, None);
    let by = [("Referred-By", "<sip:pc.biloxi.example.com>")];
    let (here, _) = flow.call(bob, &carol.uri("carol"), &by, carol);
    assert_eq!(flow.dialogs([computer, bob, carol]), [0, 1, 1]);
    let lines = flow.ladder(&[
        ("F1", computer, "REFER", bob),
        ("F2", bob, "202 REFER", computer),
        ("F3", bob, "INVITE", carol),
        ("F4", carol, "180 INVITE", bob),
        ("F5", carol, "200 INVITE", bob),
        ("F6", bob, "ACK", carol),
    ]);
    assert_eq!(lines.at("F1").field("Refer-To"), target);
    assert_eq!(lines.at("F2").field("Refer-Sub"), "false");
    assert_eq!(lines.at("F3").field("Referred-By"), by[0].1);
    assert_ne!(lines.at("F3").call_id(), lines.at("F1").call_id());
    flow.bye(bob, here, carol);
    flow.ladder(&[("", bob, "BYE", carol), ("", carol, "200 BYE", bob)]);
    flow.finish();
}
