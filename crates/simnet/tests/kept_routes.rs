//! What a peer can make a dialog keep is bounded where the dialog is made, so that whatever is kept can be exported and imported: more
//! routes, or longer names, are refused to who calls, and passed over from who answers.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod raw;

use engine::export::ExportedDialog;
use raw::{arrived, one, send, values};
use simnet::actions::SDP;
use simnet::{Faults, World};
use sip::Method;
use std::time::Duration;

const PEER: &str = "198.51.100.9:5060";

/// So many Record-Route header fields of so many bytes.
fn routes(count: usize, length: usize) -> String {
    let uri = format!("<sip:{PEER};lr;x=");
    let route = format!("{uri}{}>", "y".repeat(length - uri.len() - 1));
    format!("Record-Route: {route}\r\n").repeat(count)
}

fn invite(call_id: &str, from: &str, more: &str) -> String {
    format!(
        "INVITE sip:bob@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP {PEER};branch=z9hG4bK{call_id}\r\nMax-Forwards: 70\r\n\
         From: {from}\r\nTo: <sip:bob@example.com>\r\nCall-ID: {call_id}\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:a@{PEER}>\r\n{more}Content-Length: 0\r\n\r\n"
    )
}

#[test]
fn a_caller_is_refused_what_would_not_fit_and_what_fits_is_exported_and_imported() {
    let long = format!("\"{}\" <sip:a@example.com>;tag=a", "n".repeat(9000));
    let short = "\"A\t\" <sip:a@example.com>;tag=a";
    for (name, from, more, fits) in [
        ("most", short, routes(64, 250), true),
        ("many", short, routes(65, 30), false),
        ("wide", short, routes(10, 2000), false),
        ("named", &*long, String::new(), false),
    ] {
        let mut world = World::new(1, Faults::none());
        let bob = world.host("bob");
        send(&mut world, PEER, bob, invite(name, from, &more));
        if !fits {
            let refused = one(&mut world, PEER);
            assert_eq!(
                refused.start_line(),
                "SIP/2.0 513 Message Too Large",
                "{name}"
            );
            world.no_event(bob);
            world.rest();
            continue;
        }
        let request = world.request(bob);
        world.act(bob, |actions| {
            actions.respond(request.transaction, 200, SDP)
        });
        let dialog = world.sent(bob).dialog.unwrap();
        world.act(bob, |actions| actions.export(dialog, true));
        let text = world.exported(bob).dialog.to_json();
        let value = ExportedDialog::from_json(&text).unwrap();
        world.act(bob, |actions| actions.import(value, Duration::ZERO));
        let there = world.imported(bob).dialog;
        world.act(bob, |actions| actions.bye(there));
        let bye = world.sent(bob).message;
        assert_eq!(bye.values(sip::HeaderName::Route).count(), 64);
        world.run(Duration::from_secs(40));
        world.events(bob);
        world.rest();
    }
}

#[test]
fn a_2xx_with_more_than_fits_makes_no_dialog_and_the_call_ends_as_if_nobody_had_answered() {
    let mut world = World::new(2, Faults::none());
    let alice = world.host("alice");
    world.act(alice, |actions| actions.invite(&format!("sip:bob@{PEER}")));
    world.sent(alice);
    let invite = arrived(&mut world, PEER).remove(0);
    let copied: String = ["Via", "From", "Call-ID", "CSeq"]
        .iter()
        .map(|name| format!("{name}: {}\r\n", values(&invite, name)[0]))
        .collect();
    let answer = format!(
        "SIP/2.0 200 OK\r\n{copied}To: <sip:bob@{PEER}>;tag=b\r\nContact: <sip:b@{PEER}>\r\n{}Content-Length: 0\r\n\r\n",
        routes(65, 40)
    );
    send(&mut world, PEER, alice, answer);
    world.run(Duration::from_secs(40));
    let status = world.response(alice).message.status();
    assert_eq!(status, 408);
    assert_eq!(world.counts(alice).dialogs, 0);
    assert_eq!(world.count(|packet| packet.is(Method::Ack.as_str())), 0);
    world.rest();
}
