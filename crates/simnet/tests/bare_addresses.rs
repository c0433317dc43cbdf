//! A From or To without brackets has to be a URI: telephones that write one are served, whatever else stands there gets 400.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod raw;

use raw::{arrived, send};
use simnet::{Faults, World};

const PEER: &str = "198.51.100.9:5060";

fn options(number: usize, from: &str, to: &str) -> String {
    format!(
        "OPTIONS sip:bob@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP {PEER};branch=z9hG4bKbare{number}\r\nMax-Forwards: 70\r\n\
         From: {from};tag=1\r\nTo: {to}\r\nCall-ID: bare{number}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
}

#[test]
fn what_is_no_uri_gets_400_and_what_telephones_write_is_served() {
    let mut world = World::new(90, Faults::none());
    let bob = world.host("bob");
    let bob_uri = "sip:bob@192.0.2.1";
    let cases = [
        ("sip:alice@192.0.2.9", bob_uri, 200),
        ("sip:1000#@my_pbx", "tel:+1-555-0100", 200),
        ("alice", bob_uri, 400),
        ("sip:alice@192.0.2.9", "192.0.2.1", 400),
        ("Alice sip:alice@192.0.2.9", bob_uri, 400),
        ("*", bob_uri, 400),
    ];
    for (number, (from, to, status)) in cases.into_iter().enumerate() {
        send(&mut world, PEER, bob, options(number, from, to));
        if status == 200 {
            let request = world.request(bob);
            world.act(bob, |actions| {
                actions.respond(request.transaction, 200, b"")
            });
            world.sent(bob);
        } else {
            world.no_event(bob);
        }
        let came = arrived(&mut world, PEER);
        assert!(
            came[0].answers(status, "OPTIONS"),
            "{from}, {to}: {}",
            came[0].start_line()
        );
    }
    world.rest();
}
