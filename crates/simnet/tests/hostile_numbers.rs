//! Numbers and names from a hostile peer: whatever stands in RAck, RSeq, CSeq, Expires, Event, Max-Breadth, Route and Record-Route,
//! an engine answers or drops, tells nobody else, and at rest holds nothing.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod raw;

use engine::command::ProxyOptions;
use raw::{arrived, one, reply, send};
use simnet::actions::SDP;
use simnet::{Faults, HostId, World};
use sip::Method;
use std::time::Duration;

const PEER: &str = "198.51.100.9:5060";
const NUMBERS: [&str; 14] = [
    "0",
    "1",
    "-1",
    "+1",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "18446744073709551616",
    "99999999999999999999999999999999999999",
    "",
    " ",
    "1.5",
    "0x10",
];

/// A request of the peer's, each with a branch of its own.
fn request(method: &str, cseq: &str, call_id: &str, branch: &str, more: &str) -> String {
    format!(
        "{method} sip:bob@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP {PEER};branch=z9hG4bK{branch}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:a@example.com>;tag=a\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\n\
         Contact: <sip:a@{PEER}>\r\n{more}Content-Length: 0\r\n\r\n"
    )
}

/// Answers every request that waits with this status; how many there were.
fn answer_all(world: &mut World, host: HostId, status: u16) -> usize {
    world.run(Duration::from_millis(20));
    let mut count = 0;
    for event in world.events(host) {
        if let engine::Event::Request(request) = event {
            count += 1;
            if request.message.method() != Method::Ack {
                world.act(host, |actions| {
                    actions.respond(request.transaction, status, b"")
                });
            }
        }
    }
    world.events(host);
    count
}

/// The To line of a dialog that the peer has with Bob.
fn call(world: &mut World, bob: HostId, status: u16) -> (String, engine::id::TransactionId) {
    let more = "To: <sip:bob@example.com>\r\nSupported: 100rel\r\n";
    send(
        world,
        PEER,
        bob,
        request("INVITE", "1", "call", "first", more),
    );
    let invite = world.request(bob);
    world.act(bob, |actions| {
        let headers = [("Require", "100rel")];
        let draft = simnet::actions::draft(if status < 200 { &headers } else { &[] }, SDP);
        actions.command(|id| {
            engine::Command::Respond(engine::command::Respond {
                id,
                transaction: invite.transaction,
                status,
                reason: String::new(),
                draft,
            })
        })
    });
    let sent = world.sent(bob);
    let tag = sent.message.to().unwrap().tag().unwrap().to_owned();
    let to = format!("To: <sip:bob@example.com>;tag={tag}\r\n");
    if status >= 200 {
        send(world, PEER, bob, request("ACK", "1", "call", "ack", &to));
        world.request(bob);
    }
    world.strays();
    (to, invite.transaction)
}

#[test]
fn no_rack_but_the_right_one_ends_the_repetitions() {
    let mut world = World::new(80, Faults::none());
    let bob = world.host("bob");
    let (to, invite) = call(&mut world, bob, 183);
    let mut cseq = 1;
    for one in NUMBERS {
        for two in NUMBERS {
            for method in ["INVITE", "invite", "PRACK", ""] {
                cseq += 1;
                let more = format!("{to}RAck: {one} {two} {method}\r\n");
                send(
                    &mut world,
                    PEER,
                    bob,
                    request(
                        "PRACK",
                        &cseq.to_string(),
                        "call",
                        &format!("p{cseq}"),
                        &more,
                    ),
                );
            }
        }
    }
    assert_eq!(answer_all(&mut world, bob, 200), 0);
    let answers = arrived(&mut world, PEER);
    assert!(answers.iter().all(|packet| !packet.answers(200, "PRACK")));
    world.act(bob, |actions| actions.respond(invite, 486, b""));
    world.run(Duration::from_millis(10));
    send(
        &mut world,
        PEER,
        bob,
        request("ACK", "1", "call", "first", &to),
    );
    world.rest();
}

#[test]
fn reliable_responses_with_any_rseq_cost_no_more_than_their_number() {
    let mut world = World::new(81, Faults::none());
    let alice = world.host("alice");
    let uri = format!("sip:bob@{PEER}");
    world.act(alice, |actions| {
        actions.send(Method::Invite, &uri, &[("Supported", "100rel")], SDP)
    });
    world.sent(alice);
    let invite = one(&mut world, PEER);
    for round in 0..50 {
        for number in NUMBERS {
            let more = format!("Contact: <sip:b@{PEER}>\r\nRequire: 100rel\r\nRSeq: {number}\r\n");
            send(
                &mut world,
                PEER,
                alice,
                reply(&invite, "183 Progress", &format!("t{}", round % 3), &more),
            );
        }
    }
    world.run(Duration::from_millis(50));
    assert_eq!(world.counts(alice).dialogs, 3);
    for event in world.events(alice) {
        if let engine::Event::Response(response) = event {
            let dialog = response.dialog.unwrap();
            world.act(alice, |actions| actions.send_in(dialog, Method::Prack, b""));
        }
    }
    world.events(alice);
    send(
        &mut world,
        PEER,
        alice,
        reply(&invite, "603 Decline", "t0", ""),
    );
    world.run(Duration::from_millis(50));
    world.rest();
}

#[test]
fn any_cseq_in_a_call_is_answered_and_the_call_can_be_ended_by_us() {
    let mut world = World::new(82, Faults::none());
    let bob = world.host("bob");
    let (to, _) = call(&mut world, bob, 200);
    for (index, number) in NUMBERS.iter().enumerate() {
        for method in [
            "INFO",
            "INVITE",
            "UPDATE",
            "REFER",
            "SUBSCRIBE",
            "NOTIFY",
            "PRACK",
            "MESSAGE",
            "ACK",
            "CANCEL",
        ] {
            send(
                &mut world,
                PEER,
                bob,
                request(method, number, "call", &format!("c{index}{method}"), &to),
            );
            answer_all(&mut world, bob, 488);
        }
    }
    world.run(Duration::from_secs(200));
    world.events(bob);
    let dialogs = world.counts(bob).dialogs;
    assert_eq!(dialogs, 1);
    let call_id = ("call".to_owned(), "a".to_owned());
    world.act(bob, |actions| {
        actions.command(|id| {
            engine::Command::Send(engine::command::SendRequest {
                id,
                method: Method::Bye,
                uri: String::new(),
                next_hop: None,
                draft: engine::command::Draft::default(),
                dialog: Some(engine::command::DialogReference::Tags {
                    call_id: call_id.0.clone(),
                    from_tag: call_id.1.clone(),
                }),
            })
        })
    });
    world.sent(bob);
    let bye = arrived(&mut world, PEER)
        .into_iter()
        .rfind(|packet| packet.is("BYE"))
        .unwrap();
    send(&mut world, PEER, bob, reply(&bye, "200 OK", "", ""));
    world.run(Duration::from_millis(50));
    world.rest();
}

#[test]
fn subscriptions_with_any_id_and_expires_are_bounded_and_end() {
    let mut world = World::new(83, Faults::none());
    let bob = world.host("bob");
    let more = "To: <sip:bob@example.com>\r\nEvent: presence\r\nExpires: 4294967295\r\n";
    send(
        &mut world,
        PEER,
        bob,
        request("SUBSCRIBE", "1", "watch", "s", more),
    );
    let subscribe = world.request(bob);
    world.act(bob, |actions| {
        actions.respond(subscribe.transaction, 200, b"")
    });
    let sent = world.sent(bob);
    let tag = sent.message.to().unwrap().tag().unwrap().to_owned();
    let to = format!("To: <sip:bob@example.com>;tag={tag}\r\n");
    let mut cseq = 1;
    let mut accepted = 0;
    for id in 0..200 {
        for expires in ["4294967295", "0", "1", "99999999999"] {
            cseq += 1;
            let more = format!("{to}Event: presence;id={id}\r\nExpires: {expires}\r\n");
            send(
                &mut world,
                PEER,
                bob,
                request(
                    "SUBSCRIBE",
                    &cseq.to_string(),
                    "watch",
                    &format!("s{cseq}"),
                    &more,
                ),
            );
            accepted += answer_all(&mut world, bob, 200);
        }
    }
    assert!(accepted <= 32 * 4, "{accepted}");
    for state in [
        "active;expires=4294967295",
        "terminated",
        "pending;expires=-1",
        "",
        "active;expires=99999999999999",
    ] {
        cseq += 1;
        let more = format!("{to}Event: presence\r\nSubscription-State: {state}\r\n");
        send(
            &mut world,
            PEER,
            bob,
            request(
                "NOTIFY",
                &cseq.to_string(),
                "watch",
                &format!("n{cseq}"),
                &more,
            ),
        );
    }
    assert_eq!(answer_all(&mut world, bob, 200), 0, "nobody here watches");
    // The application never says anything: the engine ends them all in time.
    world.run(Duration::from_secs(13 * 3600));
    world.events(bob);
    world.strays();
    world.rest();
}

#[test]
fn routes_and_breadths_of_any_kind_send_one_message_at_most() {
    let us = "<sip:192.0.2.1;lr>";
    let many = |route: &str, count: usize| vec![route; count].join(", ");
    let routes = [
        many(us, 100),
        many("<sip:192.0.2.1>", 100),
        format!("{}, <sip:198.51.100.66>", many(us, 50)),
        format!("{us}, {}", many("<sip:198.51.100.66;lr>", 100)),
        format!("{us}, {}", many("<sip:198.51.100.66>", 100)),
        format!("{us}, <sip:198.51.100.66>, {}", many("<sip:192.0.2.1>", 50)),
        format!("{us}, <sip:x@192.0.2.1:5061;maddr=192.0.2.1>"),
        format!("{us}, <sip:192.0.2.1;maddr=192.0.2.1;lr>, <tel:+1>"),
        format!("{us}, <sip:>, {us}"),
        format!("{us}, garbage"),
        format!("{us}, <sip:255.255.255.255;lr>"),
        format!("{us}, <sip:224.0.0.1;lr>"),
    ];
    for route in &routes {
        for breadth in NUMBERS {
            for to in [
                "To: <sip:bob@example.com>;tag=x\r\n",
                "To: <sip:bob@example.com>\r\n",
            ] {
                let mut world = World::new(84, Faults::none());
                let bob = world.host("bob");
                let more = format!(
                    "{to}Route: {route}\r\nMax-Breadth: {breadth}\r\nRecord-Route: {route}\r\n"
                );
                send(
                    &mut world,
                    PEER,
                    bob,
                    request("MESSAGE", "1", "routes", "r", &more),
                );
                world.run(Duration::from_millis(20));
                for event in world.events(bob) {
                    if let engine::Event::Request(request) = event {
                        world.act(bob, |actions| {
                            actions.proxy(
                                request.transaction,
                                &["sip:x@198.51.100.77"],
                                ProxyOptions::default(),
                            )
                        });
                    }
                }
                world.run(Duration::from_millis(20));
                let sent = world.count(|packet| packet.from == bob.address());
                assert!(sent <= 1, "{sent} for {route} {breadth}");
                world.rest();
            }
        }
    }
}

#[test]
fn sessions_of_any_length_cost_few_messages_and_end() {
    for interval in NUMBERS {
        for more in [
            "",
            ";refresher=uac",
            ";refresher=uas",
            ";refresher=both",
            ";refresher=uac;refresher=uas",
        ] {
            for least in [
                "0",
                "90",
                "1801",
                "4294967295",
                "-1",
                "99999999999999999999",
            ] {
                let mut world = World::new(85, Faults::none());
                let bob = world.host("bob");
                let more = format!(
                    "To: <sip:bob@example.com>\r\nSupported: timer\r\nSession-Expires: {interval}{more}\r\nMin-SE: {least}\r\n"
                );
                send(
                    &mut world,
                    PEER,
                    bob,
                    request("INVITE", "1", "call", "first", &more),
                );
                if let Some(engine::Event::Request(invite)) = world.next_event(bob) {
                    world.act(bob, |actions| actions.respond(invite.transaction, 200, SDP));
                    let sent = world.sent(bob);
                    let tag = sent.message.to().unwrap().tag().unwrap().to_owned();
                    let to = format!("To: <sip:bob@example.com>;tag={tag}\r\n");
                    let ack = request("ACK", "1", "call", "ack", &to);
                    send(&mut world, PEER, bob, ack);
                }
                // Nobody refreshes, or answers a refresh: the call is over in time.
                world.run(Duration::from_secs(13 * 3600));
                world.events(bob);
                let sent = world.count(|packet| packet.from == bob.address());
                assert!(sent < 60, "{sent} messages for {more}");
                world.rest();
            }
        }
    }
}
