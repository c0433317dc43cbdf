//! PRACK, UPDATE and INFO find their early dialog through an INVITE that was forked and is still pending: by Route and To tag when the
//! proxy record-routes, past it when it does not.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod raw;

use engine::command::{Forking, ProxyOptions};
use raw::{arrived, one, reply, send, values};
use simnet::{Faults, HostId, Packet, World};

const ALICE: &str = "198.51.100.9:5060";
const BOB: &str = "203.0.113.5:5060";
const CAROL: &str = "203.0.113.6:5060";

fn request(method: &str, cseq: u32, uri: &str, to_tag: &str, more: &str) -> String {
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {ALICE};branch=z9hG4bK{method}{cseq}\r\nMax-Forwards: 70\r\n\
         From: <sip:a@example.com>;tag=one\r\nTo: <sip:bob@b.example>{to_tag}\r\nCall-ID: early\r\nCSeq: {cseq} {method}\r\n\
         Contact: <sip:a@{ALICE}>\r\n{more}Content-Length: 0\r\n\r\n"
    )
}

/// Alice's INVITE is forked to bob and carol, and both answer with a reliable 183. Gives what each of the three received.
fn forked(record_route: bool) -> (World, HostId, [Packet; 2], Vec<Packet>) {
    let mut world = World::new(1, Faults::none());
    let proxy = world.host("proxy");
    let invite = request(
        "INVITE",
        1,
        "sip:bob@b.example",
        "",
        "Supported: 100rel\r\n",
    );
    send(&mut world, ALICE, proxy, invite);
    let seen = world.request(proxy);
    let options = ProxyOptions {
        record_route,
        forking: Forking::Simultaneous,
        ..ProxyOptions::default()
    };
    world.act(proxy, |actions| {
        let targets = ["sip:bob@203.0.113.5", "sip:carol@203.0.113.6"];
        actions.proxy(seen.transaction, &targets, options);
    });
    world.run(std::time::Duration::from_millis(20));
    let invites: Vec<Packet> = world
        .strays()
        .into_iter()
        .filter(|packet| packet.is("INVITE"))
        .collect();
    let [first, second]: [Packet; 2] = invites.try_into().unwrap();
    let (bob, carol) = if first.to.to_string() == BOB {
        (first, second)
    } else {
        (second, first)
    };
    for (at, invite, tag, number) in [(BOB, &bob, "b", 100), (CAROL, &carol, "c", 700)] {
        let more = format!("Require: 100rel\r\nRSeq: {number}\r\nContact: <sip:{tag}@{at}>\r\n");
        let progress = reply(invite, "183 Session Progress", tag, &more);
        send(&mut world, at, proxy, progress);
    }
    let progress = arrived(&mut world, ALICE);
    assert_eq!(progress.len(), 2);
    (world, proxy, [bob, carol], progress)
}

#[test]
fn each_branch_keeps_its_sequence_and_its_dialog() {
    let (mut world, proxy, [bob, carol], progress) = forked(true);
    for (packet, tag, number) in [(&progress[0], "b", "100"), (&progress[1], "c", "700")] {
        assert_eq!(values(packet, "RSeq"), [number]);
        assert!(values(packet, "To")[0].ends_with(&format!(";tag={tag}")));
    }
    let route = values(&progress[0], "Record-Route").remove(0);
    let mut cseq = 1;
    for (at, tag, number) in [(CAROL, "c", 700), (BOB, "b", 100)] {
        for (method, line) in [
            ("PRACK", format!("RAck: {number} 1 INVITE\r\n")),
            ("UPDATE", String::new()),
            ("INFO", "Info-Package: x\r\n".to_owned()),
        ] {
            cseq += 1;
            let more = format!("Route: {route}\r\n{line}");
            let uri = format!("sip:{tag}@{at}");
            let sent = request(method, cseq, &uri, &format!(";tag={tag}"), &more);
            send(&mut world, ALICE, proxy, sent);
            let there = one(&mut world, at);
            assert_eq!(there.start_line(), format!("{method} {uri} SIP/2.0"));
            assert_eq!(values(&there, "Route"), [""; 0]);
            if method == "PRACK" {
                assert_eq!(values(&there, "RAck"), [format!("{number} 1 INVITE")]);
            }
            send(&mut world, at, proxy, reply(&there, "200 OK", tag, ""));
            assert_eq!(one(&mut world, ALICE).start_line(), "SIP/2.0 200 OK");
        }
    }
    // The callee's own UPDATE goes the other way.
    let update = format!(
        "UPDATE sip:a@{ALICE} SIP/2.0\r\nVia: SIP/2.0/UDP {BOB};branch=z9hG4bKback\r\nMax-Forwards: 70\r\nRoute: {route}\r\n\
         From: <sip:bob@b.example>;tag=b\r\nTo: <sip:a@example.com>;tag=one\r\nCall-ID: early\r\nCSeq: 1 UPDATE\r\n\
         Content-Length: 0\r\n\r\n"
    );
    send(&mut world, BOB, proxy, update);
    let there = one(&mut world, ALICE);
    assert_eq!(there.start_line(), format!("UPDATE sip:a@{ALICE} SIP/2.0"));
    send(&mut world, ALICE, proxy, reply(&there, "200 OK", "one", ""));
    assert_eq!(one(&mut world, BOB).start_line(), "SIP/2.0 200 OK");
    // The INVITE was pending all the while: bob answers, carol is cancelled.
    send(&mut world, BOB, proxy, reply(&bob, "200 OK", "b", ""));
    world.run(std::time::Duration::from_millis(20));
    let last = world.strays();
    let answer = last.iter().find(|packet| packet.answers(200, "INVITE"));
    assert_eq!(answer.unwrap().to.to_string(), ALICE);
    let cancel = last.iter().find(|packet| packet.is("CANCEL")).unwrap();
    assert_eq!(cancel.to.to_string(), CAROL);
    assert_eq!(
        values(cancel, "Reason"),
        ["SIP;cause=200;text=\"Call completed elsewhere\""]
    );
    let (ok, ended) = (
        reply(cancel, "200 OK", "c", ""),
        reply(&carol, "487 Request Terminated", "c", ""),
    );
    send(&mut world, CAROL, proxy, ok);
    send(&mut world, CAROL, proxy, ended);
    assert_eq!(world.proxy_done(proxy).status, Some(200));
    world.rest();
}

#[test]
fn a_proxy_that_leaves_the_path_leaves_no_route_to_itself() {
    let (mut world, proxy, [bob, carol], progress) = forked(false);
    for packet in &progress {
        assert_eq!(values(packet, "Record-Route"), [""; 0]);
        assert_eq!(values(packet, "Contact").len(), 1);
    }
    // Whoever sends it here all the same, without a Route, is told that there is no such dialog.
    let stray = request("UPDATE", 2, &format!("sip:b@{BOB}"), ";tag=b", "");
    send(&mut world, ALICE, proxy, stray);
    assert!(
        one(&mut world, ALICE)
            .start_line()
            .starts_with("SIP/2.0 481")
    );
    for (at, invite, tag) in [(BOB, bob, "b"), (CAROL, carol, "c")] {
        send(
            &mut world,
            at,
            proxy,
            reply(&invite, "486 Busy Here", tag, ""),
        );
    }
    world.rest();
}
