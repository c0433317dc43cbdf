//! Field ask 1: what made comparable servers crash (drachtio-server #244 #156 #98 #57 #53 #121 #401 #51 #118 #69 #54 #140, and what
//! pjproject and Kamailio learned of odd input) costs an engine one message at most. Which report is which kind is in
//! `docs/explanation/field-regressions.md`; every message here is our own, in the manner of what was described.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod raw;

use engine::Event;
use engine::event::{CommandError, DialogEndReason};
use raw::{arrived, reply, send};
use simnet::actions::SDP;
use simnet::{Faults, HostId, Packet, World};
use sip::Method;
use std::time::Duration;

const PEER: &str = "198.51.100.9:5060";

fn world(seed: u64) -> (World, HostId) {
    let mut world = World::new(seed, Faults::none());
    let bob = world.host("bob");
    (world, bob)
}

/// A request of the peer; `more` is further header lines, To among them.
fn request(method: &str, branch: &str, call_id: &str, number: u32, more: &str) -> String {
    format!(
        "{method} sip:bob@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP {PEER};branch={branch}\r\nMax-Forwards: 70\r\n\
         From: <sip:a@example.com>;tag=a\r\nCall-ID: {call_id}\r\nCSeq: {number} {method}\r\nContact: <sip:a@{PEER}>\r\n{more}\
         Content-Length: 0\r\n\r\n"
    )
}

const TO: &str = "To: <sip:bob@example.com>\r\n";

/// After whatever happened the server still answers, and at rest holds nothing.
fn goes_on(mut world: World, bob: HostId) {
    world.events(bob);
    world.strays();
    send(
        &mut world,
        PEER,
        bob,
        request("OPTIONS", "z9hG4bKafter", "after", 1, TO),
    );
    let asked = world.request(bob);
    world.act(bob, |actions| actions.respond(asked.transaction, 200, b""));
    world.sent(bob);
    let answers = arrived(&mut world, PEER);
    assert!(has(&answers, 200, "OPTIONS"), "{answers:?}");
    world.rest();
}

/// The peer calls, Bob answers 200, the peer acknowledges: the To line of the peer's later requests.
fn call(world: &mut World, bob: HostId, more: &str) -> String {
    send(
        world,
        PEER,
        bob,
        request("INVITE", "z9hG4bKcall", "call", 1, &format!("{TO}{more}")),
    );
    let invite = world.request(bob);
    world.act(bob, |actions| actions.respond(invite.transaction, 200, SDP));
    let tag = world
        .sent(bob)
        .message
        .to()
        .unwrap()
        .tag()
        .unwrap()
        .to_owned();
    let to = format!("To: <sip:bob@example.com>;tag={tag}\r\n");
    send(
        world,
        PEER,
        bob,
        request("ACK", "z9hG4bKack", "call", 1, &to),
    );
    assert_eq!(world.request(bob).message.method(), Method::Ack);
    world.strays();
    to
}

fn has(packets: &[Packet], status: u16, method: &str) -> bool {
    packets.iter().any(|packet| packet.answers(status, method))
}

/// drachtio-server #244: one datagram, a response that no transaction waits for and whose next Via leads nowhere.
#[test]
fn a_response_to_nothing_is_dropped_wherever_its_vias_lead() {
    let (mut world, bob) = world(200);
    let own = "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK00000000000000010000000000000001\r\n";
    let vias = [
        String::new(),
        own.to_owned(),
        own.repeat(2),
        format!("{own}Via: SIP/2.0/TLS unreachable.invalid:0;branch=x\r\n"),
        format!("{own}Via: SIP/2.0/UDP 0.0.0.0;rport=0;received=0.0.0.0\r\n"),
        format!(
            "{own}Via: SIP/2.0/FOO [::]:65535;received=nowhere;maddr=255.255.255.255;ttl=1\r\n"
        ),
        "Via: SIP/2.0/UDP 203.0.113.5\r\n".to_owned(),
        format!("{}Via: \r\n", own.replace("SIP/2.0/UDP", "SIP / 2.0 / TCP")),
    ];
    for (index, via) in vias.iter().enumerate() {
        for line in ["100 Trying", "200 OK", "487 Request Terminated", "699 Odd"] {
            for method in ["INVITE", "BYE", "REGISTER"] {
                let text = format!(
                    "SIP/2.0 {line}\r\n{via}From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\nCall-ID: {index}\r\nCSeq: 1 {method}\r\n\
                     Content-Length: 0\r\n\r\n"
                );
                send(&mut world, PEER, bob, text);
            }
        }
    }
    world.no_event(bob);
    assert!(world.strays().is_empty(), "it goes nowhere");
    goes_on(world, bob);
}

/// drachtio-server #156: a scanner is refused, and acknowledges: as it should, twice, with another tag, in another transaction.
#[test]
fn a_scanner_that_is_refused_may_acknowledge_as_it_likes() {
    let (mut world, bob) = world(201);
    let agent = format!("{TO}User-Agent: friendly-scanner\r\n");
    send(
        &mut world,
        PEER,
        bob,
        request("INVITE", "z9hG4bKs", "scan", 1, &agent),
    );
    let invite = world.request(bob);
    world.act(bob, |actions| actions.respond(invite.transaction, 603, b""));
    world.sent(bob);
    let refused = arrived(&mut world, PEER);
    assert!(has(&refused, 603, "INVITE"));
    let tag = raw::values(refused.last().unwrap(), "To").remove(0);
    for (branch, to) in [
        ("z9hG4bKs", format!("To: {tag}\r\n")),
        ("z9hG4bKs", format!("To: {tag}\r\n")),
        ("z9hG4bKs", TO.to_owned()),
        (
            "z9hG4bKs",
            "To: \"sipvicious\" <sip:100@1.1.1.1>;tag=other\r\n".to_owned(),
        ),
        ("z9hG4bKt", format!("To: {tag}\r\n")),
        ("branch", format!("To: {tag}\r\n")),
    ] {
        send(
            &mut world,
            PEER,
            bob,
            request("ACK", branch, "scan", 1, &to),
        );
    }
    world.no_event(bob);
    assert!(
        arrived(&mut world, PEER).is_empty(),
        "an ACK is never answered"
    );
    goes_on(world, bob);
}

/// drachtio-server #98: a caller tries again (another branch, the same Call-ID and From tag) before it has acknowledged the refusal.
#[test]
fn a_second_try_before_the_ack_of_the_first_refusal_is_a_call_of_its_own() {
    let (mut world, bob) = world(202);
    for number in 1..=5 {
        let branch = format!("z9hG4bK{number}");
        send(
            &mut world,
            PEER,
            bob,
            request("INVITE", &branch, "retried", number, TO),
        );
        let invite = world.request(bob);
        world.act(bob, |actions| actions.respond(invite.transaction, 500, b""));
        world.sent(bob);
    }
    let refused = arrived(&mut world, PEER);
    let refusals: Vec<_> = refused
        .iter()
        .filter(|packet| packet.answers(500, "INVITE"))
        .collect();
    assert_eq!(refusals.len(), 5);
    for (number, packet) in (1..).zip(refusals) {
        let to = format!("To: {}\r\n", raw::values(packet, "To").remove(0));
        let branch = format!("z9hG4bK{number}");
        send(
            &mut world,
            PEER,
            bob,
            request("ACK", &branch, "retried", number, &to),
        );
    }
    world.no_event(bob);
    assert!(
        arrived(&mut world, PEER).is_empty(),
        "every refusal was acknowledged"
    );
    goes_on(world, bob);
}

/// drachtio-server #57 and #53: no ACK ever comes, and the connection that the answer went over is gone when the time is up.
#[test]
fn an_answer_without_an_ack_whose_connection_is_gone_ends() {
    let mut world = World::new(203, Faults::none());
    let [alice, bob] = [world.host("alice"), world.host("bob")];
    world.act(alice, |actions| {
        actions.invite("sip:bob@192.0.2.2;transport=tcp")
    });
    world.sent(alice);
    let invite = world.request(bob);
    world.act(bob, |actions| actions.respond(invite.transaction, 200, SDP));
    let dialog = world.sent(bob).dialog;
    assert_eq!(world.response(alice).message.status(), 200);
    world.cut(alice, bob);
    world.refuse_connections = true;
    world.run(Duration::from_secs(33));
    let ended = world.dialog_ended(bob);
    assert_eq!(
        (ended.reason, Some(ended.dialog)),
        (DialogEndReason::AckTimeout, dialog)
    );
    let here = world.events(alice);
    assert!(
        here.iter().all(|event| !matches!(event, Event::Request(_))),
        "nobody can be reached"
    );
    world.refuse_connections = false;
    world.run(Duration::from_secs(13 * 3600));
    world.rest();
}

/// drachtio-server #121: the session ran out unnoticed by the peer, which goes on in it later.
#[test]
fn a_peer_that_goes_on_in_a_session_that_ran_out_is_told_so() {
    let (mut world, bob) = world(204);
    let to = call(
        &mut world,
        bob,
        "Supported: timer\r\nSession-Expires: 90;refresher=uac\r\n",
    );
    world.run(Duration::from_secs(300));
    assert_eq!(
        world.dialog_ended(bob).reason,
        DialogEndReason::SessionExpired
    );
    world.strays();
    for (number, method) in (2..).zip(["INVITE", "UPDATE", "INFO", "BYE"]) {
        let branch = format!("z9hG4bKlate{number}");
        send(
            &mut world,
            PEER,
            bob,
            request(method, &branch, "call", number, &to),
        );
        let answers = arrived(&mut world, PEER);
        assert!(has(&answers, 481, method), "{method}: {answers:?}");
    }
    send(
        &mut world,
        PEER,
        bob,
        request("ACK", "z9hG4bKlate2", "call", 2, &to),
    );
    goes_on(world, bob);
}

/// drachtio-server #401, #402: our refresh is answered by a BYE, and by 481 only after it.
#[test]
fn a_refresh_that_is_met_by_bye_and_then_481_ends_the_call_once() {
    let (mut world, bob) = world(205);
    let to = call(
        &mut world,
        bob,
        "Supported: timer\r\nAllow: INVITE, ACK, BYE\r\nSession-Expires: 90;refresher=uas\r\n",
    );
    world.run(Duration::from_secs(50));
    let strays = world.strays();
    let refresh = strays
        .iter()
        .find(|packet| packet.is("INVITE") || packet.is("UPDATE"));
    let refresh = refresh.expect("a refresh at half the time").clone();
    send(
        &mut world,
        PEER,
        bob,
        request("BYE", "z9hG4bKbye", "call", 2, &to),
    );
    let bye = world.request(bob);
    assert_eq!(bye.message.method(), Method::Bye);
    world.act(bob, |actions| actions.respond(bye.transaction, 200, b""));
    world.sent(bob);
    send(
        &mut world,
        PEER,
        bob,
        reply(&refresh, "481 Call/Transaction Does Not Exist", "a", ""),
    );
    world.run(Duration::from_secs(1));
    let ended = world.events(bob);
    assert!(
        ended
            .iter()
            .all(|event| !matches!(event, Event::DialogEnded(_))),
        "it was over already: {ended:?}"
    );
    assert_eq!(
        world.count(|packet| packet.is("BYE")),
        1,
        "no BYE of ours crosses the peer's"
    );
    goes_on(world, bob);
}

/// drachtio-server #51: a request to a browser's Contact when there is no way to it.
#[test]
fn a_request_to_a_contact_that_cannot_be_reached_fails_and_says_so() {
    let (mut world, bob) = world(206);
    for uri in [
        "sip:8h2k@f3b7.invalid;transport=ws",
        "sip:8h2k@f3b7.invalid;transport=wss;transport=udp",
        "sips:8h2k@f3b7.invalid",
        "sip:8h2k@f3b7.invalid",
        "sip:8h2k@[2001:db8::7];transport=ws",
    ] {
        world.act(bob, |actions| actions.invite(uri));
        let events = world.events(bob);
        let told = events.iter().any(|event| match event {
            Event::Failed(_) => true,
            Event::Response(response) => response.message.status() == 503,
            _ => false,
        });
        assert!(told, "{uri}: {events:?}");
    }
    goes_on(world, bob);
}

/// drachtio-server #118: many transactions end in the same moment.
#[test]
fn thousands_of_transactions_that_end_at_once_are_all_gone() {
    let (mut world, bob) = world(207);
    for number in 0..2000_u32 {
        let (branch, call_id) = (format!("z9hG4bKm{number}"), format!("many{number}"));
        let method = if number.is_multiple_of(2) {
            "INVITE"
        } else {
            "OPTIONS"
        };
        send(
            &mut world,
            PEER,
            bob,
            request(method, &branch, &call_id, 1, TO),
        );
    }
    world.run(Duration::from_millis(20));
    let asked: Vec<_> = world.events(bob);
    assert_eq!(asked.len(), 2000);
    for event in asked {
        if let Event::Request(request) = event {
            world.act(bob, |actions| {
                actions.respond(request.transaction, 486, b"")
            });
        }
    }
    assert!(world.counts(bob).server_transactions == 2000);
    goes_on(world, bob);
}

/// drachtio-server #69, and what fuzzers sent to Kamailio and pjproject: URIs and header fields at and past every length.
#[test]
fn uris_and_numbers_of_any_length_are_answered() {
    let (mut world, bob) = world(208);
    let long = [
        format!("sip:{}@192.0.2.1", "a".repeat(3900)),
        format!("sip:bob@{}example.com", "a.".repeat(1900)),
        format!("sip:bob@192.0.2.1{}", ";x".repeat(1900)),
        format!("sip:{}@192.0.2.1", "a:".repeat(1900)),
        "sip:bob@192.0.2.1:99999".to_owned(),
        "sip:@192.0.2.1".to_owned(),
        "sip:[::::::::]".to_owned(),
    ];
    for (number, uri) in (0..).zip(&long) {
        let contact = format!("{TO}Record-Route: <{uri};lr>\r\n");
        let odd = request(
            "INVITE",
            &format!("z9hG4bKl{number}"),
            &format!("long{number}"),
            1,
            &contact,
        );
        let odd = odd.replacen("sip:bob@192.0.2.1 ", &format!("{uri} "), 1);
        send(&mut world, PEER, bob, odd);
    }
    // RFC 2543 keys of any size (pjproject#2016), a CSeq past its bound, no rport (pjproject#719).
    for (number, cseq) in (0..).zip([
        "2147483648",
        "4294967296",
        "99999999999999999999",
        "-1",
        "0",
    ]) {
        let odd = request("INVITE", "", &"c".repeat(3000), 7, TO).replace(";branch=", "");
        let odd = odd
            .replace("CSeq: 7", &format!("CSeq: {cseq}"))
            .replace("tag=a", &format!("tag=a{number}"));
        send(&mut world, PEER, bob, odd);
    }
    world.run(Duration::from_millis(50));
    let events = world.events(bob);
    for event in events {
        if let Event::Request(request) = event {
            world.act(bob, |actions| {
                actions.respond(request.transaction, 404, b"")
            });
        }
    }
    goes_on(world, bob);
}

/// Kamailio#2044: a line end is lost, at each place in turn. pjproject#2092, #2093: descriptions with NUL and numbers past their bounds.
#[test]
fn lost_line_ends_and_odd_descriptions_cost_nothing() {
    let (mut world, bob) = world(209);
    let body = "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nt=0 0\r\nm=audio 17000 RTP/AVP 4294967296 0\r\na=fmtp\0:101 0-16\r\na=rtpmap:\r\n";
    let whole = request("INVITE", "z9hG4bKends", "ends", 1, TO);
    let ends: Vec<usize> = whole.match_indices("\r\n").map(|(at, _)| at).collect();
    for (number, at) in ends.iter().enumerate() {
        for cut in [&whole[..*at], &whole[..at + 1]] {
            let text = [cut, &whole[at + 2..]].concat();
            let text = text.replace("ends", &format!("ends{number}-{}", cut.len()));
            send(&mut world, PEER, bob, text);
        }
    }
    let described = whole.replace("ends", "described").replace(
        "Content-Length: 0\r\n\r\n",
        &format!(
            "Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ),
    );
    send(&mut world, PEER, bob, described);
    world.run(Duration::from_millis(50));
    let mut calls = 0;
    for event in world.events(bob) {
        if let Event::Request(request) = event {
            calls += usize::from(request.message.sdp().is_ok_and(|sdp| sdp.is_some()));
            world.act(bob, |actions| {
                actions.respond(request.transaction, 200, SDP)
            });
        }
    }
    assert_eq!(calls, 1, "what can be read of the description is read");
    world.run(Duration::from_secs(40));
    goes_on(world, bob);
}

/// pjproject#965: a re-INVITE with the branch of the INVITE before it; pjproject#641: a 200 repeated after the BYE.
#[test]
fn a_reinvite_with_the_branch_of_the_first_invite_is_a_repetition() {
    let (mut world, bob) = world(210);
    let to = call(&mut world, bob, "");
    send(
        &mut world,
        PEER,
        bob,
        request("INVITE", "z9hG4bKcall", "call", 2, &to),
    );
    world.no_event(bob);
    send(
        &mut world,
        PEER,
        bob,
        request("BYE", "z9hG4bKbye", "call", 3, &to),
    );
    let bye = world.request(bob);
    world.act(bob, |actions| actions.respond(bye.transaction, 200, b""));
    world.sent(bob);
    assert!(has(&arrived(&mut world, PEER), 200, "BYE"));
    goes_on(world, bob);
}

/// drachtio-server #54: CANCEL again and again; #120: an answer after the 487.
#[test]
fn cancels_without_end_cancel_once_and_no_answer_follows() {
    let (mut world, bob) = world(211);
    send(
        &mut world,
        PEER,
        bob,
        request("INVITE", "z9hG4bKc", "cancelled", 1, TO),
    );
    let invite = world.request(bob);
    world.act(bob, |actions| actions.respond(invite.transaction, 180, b""));
    world.sent(bob);
    for _ in 0..5 {
        send(
            &mut world,
            PEER,
            bob,
            request("CANCEL", "z9hG4bKc", "cancelled", 1, TO),
        );
        world.run(Duration::from_millis(10));
    }
    assert_eq!(world.request(bob).message.method(), Method::Cancel);
    world.no_event(bob);
    world.act(bob, |actions| actions.respond(invite.transaction, 200, SDP));
    assert_eq!(world.failed(bob).error, CommandError::AlreadyAnswered);
    let seen = world.strays();
    assert!(has(&seen, 200, "CANCEL") && has(&seen, 487, "INVITE") && !has(&seen, 200, "INVITE"));
    let to = seen
        .iter()
        .find(|packet| packet.answers(487, "INVITE"))
        .unwrap();
    let to = format!("To: {}\r\n", raw::values(to, "To").remove(0));
    send(
        &mut world,
        PEER,
        bob,
        request("ACK", "z9hG4bKc", "cancelled", 1, &to),
    );
    goes_on(world, bob);
}

/// drachtio-server #140: an application hangs up and changes the session in the same breath; the peer says 200 to both.
#[test]
fn a_reinvite_right_behind_our_bye_leaves_nothing() {
    let mut world = World::new(212, Faults::none());
    let [alice, bob] = [world.host("alice"), world.host("bob")];
    let (here, _) = world.call(alice, bob);
    world.act(alice, |actions| {
        actions.bye(here);
        actions.send_in(here, Method::Invite, SDP);
    });
    for _ in 0..4 {
        world.run(Duration::from_millis(20));
        for event in world.events(bob) {
            if let Event::Request(request) = event {
                if request.message.method() != Method::Ack {
                    world.act(bob, |actions| {
                        actions.respond(request.transaction, 200, SDP)
                    });
                }
            }
        }
    }
    world.run(Duration::from_secs(70));
    world.events(alice);
    world.rest();
}
