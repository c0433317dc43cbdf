//! A request that reaches a host twice by different paths is served once; the copy gets 482 (RFC 3261 §8.2.2.2).
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
use simnet::{Faults, World};
use std::net::SocketAddr;
use std::time::Duration;

fn invite(branch: &str, to_tag: &str) -> String {
    format!(
        "INVITE sip:bob@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.9:5060;branch={branch}\r\nMax-Forwards: 70\r\n\
         From: <sip:a@example.com>;tag=one\r\nTo: <sip:bob@192.0.2.1>{to_tag}\r\nCall-ID: merged\r\nCSeq: 7 INVITE\r\n\
         Contact: <sip:a@198.51.100.9>\r\nContent-Length: 0\r\n\r\n"
    )
}

#[test]
fn the_copy_by_another_path_gets_482_and_a_repetition_does_not() {
    let mut world = World::new(20, Faults::none());
    let bob = world.host("bob");
    let forker: SocketAddr = "198.51.100.9:5060".parse().unwrap();
    world.inject(forker, bob, invite("z9hG4bKfirst", ""));
    let request = world.request(bob);
    world.inject(forker, bob, invite("z9hG4bKsecond", ""));
    world.inject(forker, bob, invite("z9hG4bKfirst", ""));
    world.run(Duration::from_millis(50));
    world.no_event(bob);
    let lines: Vec<String> = world
        .strays()
        .iter()
        .map(simnet::Packet::start_line)
        .collect();
    assert_eq!(
        lines
            .iter()
            .filter(|line| line.starts_with("SIP/2.0 482"))
            .count(),
        1,
        "{lines:?}"
    );
    assert_eq!(
        lines
            .iter()
            .filter(|line| line.starts_with("SIP/2.0 100"))
            .count(),
        2,
        "{lines:?}"
    );
    world.act(bob, |actions| {
        actions.respond(request.transaction, 486, b"")
    });
    world.sent(bob);
    world.rest();
    let finals = world
        .strays()
        .iter()
        .filter(|packet| packet.answers(486, "INVITE"))
        .count();
    assert_eq!(
        finals, 11,
        "nobody acknowledged: T1 doubling to T2 for 64*T1"
    );
}
