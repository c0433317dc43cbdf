//! Calls through a proxy work end to end: caller, proxy and callees are engines, and what counts is what went over the wire.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod network;

use engine::command::{Forking, ProxyOptions};
use network::{Network, statuses};
use sip::{HeaderName, Method};
use std::time::Duration;

const BOB: &str = "sip:bob@203.0.113.10";
const CAROL: &str = "sip:carol@203.0.113.20";

fn network() -> Network {
    Network::new(&[
        ("alice", "198.51.100.7:5060"),
        ("proxy", "192.0.2.1:5060"),
        ("bob", "203.0.113.10:5060"),
        ("carol", "203.0.113.20:5060"),
    ])
}

/// Alice calls bob's address of record at the proxy; the proxy's application proxies it to the targets.
fn call(targets: &[&str], options: ProxyOptions) -> (Network, engine::id::TransactionId) {
    let mut network = network();
    let invite = network.invite("alice", "sip:bob@192.0.2.1");
    network.settle();
    let request = network.request("proxy");
    network.proxy(request.transaction, targets, options);
    network.settle();
    (network, invite)
}

fn reporting() -> ProxyOptions {
    ProxyOptions {
        report_responses: true,
        ..ProxyOptions::default()
    }
}

#[test]
fn a_call_with_record_route_goes_through_the_proxy_to_its_end() {
    let (mut network, _) = call(
        &[BOB],
        ProxyOptions {
            record_route: true,
            ..reporting()
        },
    );
    let invite = network.request("bob");
    assert_eq!(invite.message.request_uri(), BOB);
    assert_eq!(invite.message.values(HeaderName::Via).count(), 2);
    network.answer("bob", invite.transaction, 180, &[]);
    network.settle();
    network.answer("bob", invite.transaction, 200, &[]);
    network.settle();
    assert_eq!(
        network.ladder(),
        [
            "alice>proxy INVITE",
            "proxy>alice 100",
            "proxy>bob INVITE",
            "bob>proxy 100",
            "bob>proxy 180",
            "proxy>alice 180",
            "bob>proxy 200",
            "proxy>alice 200",
        ]
    );
    assert_eq!(network.reports(), ["180 of 0", "200 of 0", "done 200 by 0"]);

    let responses = network.responses("alice");
    assert_eq!(statuses(&responses), [180, 200]);
    let dialog = responses[1].dialog.expect("the 200 made a dialog");
    assert_eq!(responses[1].message.values(HeaderName::Via).count(), 1);
    network.send("alice", Method::Ack, "", Some(dialog));
    network.settle();
    network.send("alice", Method::Bye, "", Some(dialog));
    network.settle();
    let bye = network
        .events("bob")
        .into_iter()
        .find_map(|event| match event {
            engine::Event::Request(request) if request.message.method() == Method::Bye => {
                Some(request)
            }
            _ => None,
        })
        .expect("the BYE reached bob");
    assert!(
        bye.message.header(HeaderName::Route).is_none(),
        "the proxy took its Route off"
    );
    network.answer("bob", bye.transaction, 200, &[]);
    network.settle();
    assert_eq!(
        network.ladder(),
        [
            "alice>proxy ACK",
            "proxy>bob ACK",
            "alice>proxy BYE",
            "proxy>bob BYE",
            "bob>proxy 200",
            "proxy>alice 200"
        ]
    );
    assert_eq!(statuses(&network.responses("alice")), [200]);
    network.run(Duration::from_secs(40));
    assert_eq!(network.ladder(), [""; 0]);
    network.assert_at_rest();
}

#[test]
fn without_record_route_the_dialog_bypasses_the_proxy() {
    let (mut network, _) = call(&[BOB], ProxyOptions::default());
    let invite = network.request("bob");
    network.answer("bob", invite.transaction, 200, &[]);
    network.settle();
    let dialog = network.responses("alice")[0].dialog.expect("a dialog");
    network.ladder();
    network.send("alice", Method::Ack, "", Some(dialog));
    network.send("alice", Method::Bye, "", Some(dialog));
    network.settle();
    assert_eq!(network.ladder(), ["alice>bob ACK", "alice>bob BYE"]);
}

#[test]
fn in_series_the_second_target_answers_after_the_first_was_busy() {
    let (mut network, _) = call(&[BOB, CAROL], reporting());
    let first = network.request("bob");
    network.answer("bob", first.transaction, 486, &[]);
    network.settle();
    let second = network.request("carol");
    assert_eq!(second.message.request_uri(), CAROL);
    network.answer("carol", second.transaction, 200, &[]);
    network.settle();
    assert_eq!(
        network.ladder(),
        [
            "alice>proxy INVITE",
            "proxy>alice 100",
            "proxy>bob INVITE",
            "bob>proxy 100",
            "bob>proxy 486",
            "proxy>bob ACK",
            "proxy>carol INVITE",
            "carol>proxy 100",
            "carol>proxy 200",
            "proxy>alice 200",
        ]
    );
    assert_eq!(network.reports(), ["486 of 0", "200 of 1", "done 200 by 1"]);
    assert_eq!(statuses(&network.responses("alice")), [200]);
}

#[test]
fn at_once_the_loser_is_cancelled() {
    let (mut network, _) = call(
        &[BOB, CAROL],
        ProxyOptions {
            forking: Forking::Simultaneous,
            ..reporting()
        },
    );
    let (first, second) = (network.request("bob"), network.request("carol"));
    network.answer("bob", first.transaction, 180, &[]);
    network.answer("carol", second.transaction, 180, &[]);
    network.settle();
    network.ladder();
    network.answer("carol", second.transaction, 200, &[]);
    network.settle();
    let reason = network
        .last("proxy>bob CANCEL")
        .header(HeaderName::Reason)
        .expect("a Reason")
        .text()
        .into_owned();
    assert_eq!(reason, "SIP;cause=200;text=\"Call completed elsewhere\"");
    assert_eq!(
        network.ladder(),
        [
            "carol>proxy 200",
            "proxy>alice 200",
            "proxy>bob CANCEL",
            "bob>proxy 200",
            "bob>proxy 487",
            "proxy>bob ACK"
        ]
    );
    assert_eq!(
        network.reports(),
        ["180 of 0", "180 of 1", "200 of 1", "done 200 by 1"]
    );
}

#[test]
fn a_redirection_is_followed() {
    let (mut network, _) = call(
        &[BOB],
        ProxyOptions {
            follow_redirects: true,
            ..reporting()
        },
    );
    let first = network.request("bob");
    network.answer(
        "bob",
        first.transaction,
        302,
        &[("Contact", "<sip:carol@203.0.113.20>")],
    );
    network.settle();
    let second = network.request("carol");
    assert_eq!(second.message.request_uri(), CAROL);
    network.answer("carol", second.transaction, 200, &[]);
    network.settle();
    assert_eq!(network.reports(), ["302 of 0", "200 of 1", "done 200 by 1"]);
    assert_eq!(statuses(&network.responses("alice")), [200]);
}

#[test]
fn a_dead_target_is_left_after_the_provisional_timeout() {
    let mut network = network();
    network.set_deaf("bob", true);
    network.invite("alice", "sip:bob@192.0.2.1");
    network.settle();
    let request = network.request("proxy");
    let options = ProxyOptions {
        provisional_timeout: Some(Duration::from_secs(2)),
        ..reporting()
    };
    network.proxy(request.transaction, &[BOB, CAROL], options);
    network.run(Duration::from_millis(1900));
    assert!(network.events("carol").is_empty());
    network.run(Duration::from_millis(200));
    let second = network.request("carol");
    network.answer("carol", second.transaction, 200, &[]);
    network.settle();
    assert_eq!(network.reports(), ["408 of 0", "200 of 1", "done 200 by 1"]);
    let responses = network.responses("alice");
    assert_eq!(statuses(&responses), [200]);
    let dialog = responses[0].dialog.expect("a dialog");
    network.send("alice", Method::Ack, "", Some(dialog));
    network.settle();
    // Bob comes back, gets the repeated INVITE, and is cancelled at once; nobody hears of it.
    network.set_deaf("bob", false);
    network.ladder();
    network.run(Duration::from_secs(3));
    assert_eq!(
        network.ladder(),
        [
            "proxy>bob INVITE",
            "bob>proxy 100",
            "proxy>bob CANCEL",
            "bob>proxy 200",
            "bob>proxy 487",
            "proxy>bob ACK"
        ]
    );
    network.send("alice", Method::Bye, "", Some(dialog));
    network.settle();
    for event in network.events("carol") {
        if let engine::Event::Request(request) = event
            && request.message.method() == Method::Bye
        {
            network.answer("carol", request.transaction, 200, &[]);
        }
    }
    network.run(Duration::from_secs(100));
    network.assert_at_rest();
}

#[test]
fn a_target_that_rings_too_long_is_cancelled_by_the_final_timeout() {
    let options = ProxyOptions {
        final_timeout: Some(Duration::from_secs(10)),
        ..reporting()
    };
    let (mut network, _) = call(&[BOB, CAROL], options);
    let first = network.request("bob");
    network.answer("bob", first.transaction, 180, &[]);
    network.run(Duration::from_secs(11));
    let second = network.request("carol");
    network.answer("carol", second.transaction, 486, &[]);
    network.settle();
    assert_eq!(
        network.reports(),
        [
            "180 of 0",
            "408 of 0",
            "487 of 0",
            "486 of 1",
            "done 486 by 1"
        ]
    );
    assert_eq!(statuses(&network.responses("alice")), [180, 486]);
    network.run(Duration::from_secs(100));
    network.assert_at_rest();
}

#[test]
fn the_caller_s_cancel_reaches_the_callee_and_487_comes_back() {
    let (mut network, invite) = call(&[BOB], reporting());
    let request = network.request("bob");
    network.answer("bob", request.transaction, 180, &[]);
    network.settle();
    network.ladder();
    network.cancel("alice", invite);
    network.settle();
    assert_eq!(
        network.ladder(),
        [
            "alice>proxy CANCEL",
            "proxy>alice 200",
            "proxy>bob CANCEL",
            "bob>proxy 200",
            "bob>proxy 487",
            "proxy>bob ACK",
            "proxy>alice 487",
            "alice>proxy ACK",
        ]
    );
    assert_eq!(network.reports(), ["180 of 0", "487 of 0", "done 487 by 0"]);
    network.run(Duration::from_secs(100));
    network.assert_at_rest();
}

#[test]
fn a_200_that_crosses_the_caller_s_cancel_reaches_the_caller() {
    let (mut network, invite) = call(&[BOB], reporting());
    let request = network.request("bob");
    network.answer("bob", request.transaction, 180, &[]);
    network.settle();
    network.cancel("alice", invite);
    network.answer("bob", request.transaction, 200, &[]);
    network.settle();
    assert_eq!(network.reports(), ["180 of 0", "200 of 0", "done 200 by 0"]);
    let log = network.ladder();
    assert!(
        log.contains(&"proxy>alice 200".to_owned())
            && !log.iter().any(|line| line.ends_with("487")),
        "{log:#?}"
    );
}

#[test]
fn a_caller_without_hops_left_gets_483_and_the_application_is_told() {
    let mut network = Network::new(&[("proxy", "192.0.2.1:5060"), ("alice", "198.51.100.7:5060")]);
    let invite = "INVITE sip:bob@192.0.2.1 SIP/2.0\nVia: SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bKx\n\
                  From: <sip:a@a.example>;tag=1\nTo: <sip:b@b.example>\nCall-ID: c1\nCSeq: 1 INVITE\nMax-Forwards: 0\n\
                  Contact: <sip:a@198.51.100.7>\nContent-Length: 0\n\n";
    network.inject("proxy", "198.51.100.7:5060", invite);
    network.settle();
    let request = network.request("proxy");
    network.proxy(request.transaction, &[BOB], ProxyOptions::default());
    network.settle();
    assert_eq!(network.reports(), ["failed TooManyHops"]);
    assert!(network.ladder().contains(&"proxy>alice 483".to_owned()));
}

#[test]
fn the_last_target_that_nobody_hears_is_a_408_after_64_t1() {
    let mut network = Network::new(&[("alice", "198.51.100.7:5060"), ("proxy", "192.0.2.1:5060")]);
    network.invite("alice", "sip:bob@192.0.2.1");
    network.settle();
    let request = network.request("proxy");
    network.proxy(request.transaction, &[BOB], reporting());
    network.run(Duration::from_secs(31));
    assert_eq!(network.reports(), [""; 0]);
    network.run(Duration::from_secs(2));
    assert_eq!(network.reports(), ["408 of 0", "done 408 by us"]);
    assert_eq!(statuses(&network.responses("alice")), [408]);
    network.run(Duration::from_secs(100));
    network.assert_at_rest();
}

#[test]
fn a_call_from_udp_to_tcp_stays_in_the_path_on_both_sides() {
    let target = "sip:bob@203.0.113.10;transport=tcp";
    let (mut network, _) = call(
        &[target],
        ProxyOptions {
            record_route: true,
            ..reporting()
        },
    );
    let invite = network.request("bob");
    let routes: Vec<_> = invite
        .message
        .values(HeaderName::RecordRoute)
        .map(|route| route.into_owned())
        .collect();
    assert_eq!(
        routes,
        [
            "<sip:192.0.2.1:5060;transport=tcp;lr>",
            "<sip:192.0.2.1:5060;lr>"
        ]
    );
    network.answer("bob", invite.transaction, 200, &[]);
    network.settle();
    let dialog = network.responses("alice")[0].dialog.expect("a dialog");
    network.ladder();
    network.send("alice", Method::Ack, "", Some(dialog));
    network.settle();
    let bobs = network.request("bob");
    assert_eq!(bobs.message.method(), Method::Ack);
    assert!(bobs.message.header(HeaderName::Route).is_none());
    assert_eq!(network.ladder(), ["alice>proxy ACK", "proxy>bob ACK"]);
    // And back: bob hangs up.
    let dialog = bobs.dialog.expect("bob's dialog");
    network.send("bob", Method::Bye, "", Some(dialog));
    network.settle();
    assert_eq!(network.ladder(), ["bob>proxy BYE", "proxy>alice BYE"]);
}

#[test]
fn a_register_and_a_message_are_proxied_too() {
    for method in [Method::Register, Method::Message] {
        let mut network = Network::new(&[
            ("alice", "198.51.100.7:5060"),
            ("proxy", "192.0.2.1:5060"),
            ("bob", "203.0.113.10:5060"),
        ]);
        network.send("alice", method.clone(), "sip:bob@192.0.2.1", None);
        network.settle();
        let request = network.request("proxy");
        network.proxy(
            request.transaction,
            &[BOB],
            ProxyOptions {
                record_route: true,
                ..reporting()
            },
        );
        network.settle();
        let request = network.request("bob");
        assert_eq!(
            request.message.header(HeaderName::Path).is_some(),
            method == Method::Register
        );
        network.answer("bob", request.transaction, 200, &[]);
        network.settle();
        assert_eq!(statuses(&network.responses("alice")), [200]);
        assert_eq!(network.reports(), ["200 of 0", "done 200 by 0"]);
        network.run(Duration::from_secs(100));
        network.assert_at_rest();
    }
}

#[test]
fn a_stateless_proxy_passes_the_call_on_and_holds_nothing() {
    let options = ProxyOptions {
        stateless: true,
        record_route: true,
        ..reporting()
    };
    let (mut network, _) = call(&[BOB], options);
    assert_eq!(network.reports(), ["done - by us"]);
    let invite = network.request("bob");
    let record_route = invite.message.header(HeaderName::RecordRoute);
    let record_route = record_route.expect("a Record-Route").text().into_owned();
    assert_eq!(record_route, "<sip:192.0.2.1:5060;lr>");
    network.answer("bob", invite.transaction, 200, &[]);
    network.settle();
    let responses = network.responses("alice");
    assert_eq!(statuses(&responses), [200]);
    network.ladder();
    network.send("alice", Method::Ack, "", responses[0].dialog);
    network.settle();
    assert_eq!(network.ladder(), ["alice>proxy ACK", "proxy>bob ACK"]);
    assert_eq!(network.held("proxy"), [0; 6]);
}

#[test]
fn a_2xx_after_the_final_response_goes_upstream_and_does_not_replace_it() {
    let options = ProxyOptions {
        provisional_timeout: Some(Duration::from_secs(2)),
        ..reporting()
    };
    let (mut network, _) = call(&[BOB], ProxyOptions::default());
    // A second call, whose callee is heard only after the proxy gave it up, and whose caller's ACK of the 408 is lost.
    network.set_deaf("bob", true);
    network.invite("alice", "sip:bob@192.0.2.1");
    network.settle();
    let request = network.request("proxy");
    network.request("bob");
    network.proxy(request.transaction, &[BOB], options);
    network.run(Duration::from_secs(1));
    network.set_deaf("bob", false);
    network.set_mute("bob", true);
    network.run(Duration::from_millis(900));
    let invite = network.request("bob");
    network.run(Duration::from_millis(150));
    assert_eq!(network.reports(), ["408 of 0", "done 408 by us"]);
    network.set_mute("bob", false);
    network.ladder();
    network.answer("bob", invite.transaction, 200, &[]);
    network.settle();
    let log = network.ladder();
    assert!(
        log.starts_with(&["bob>proxy 200".to_owned(), "proxy>alice 200".to_owned()]),
        "{log:#?}"
    );
    assert_eq!(statuses(&network.responses("alice")), [408]);
}

#[test]
fn a_reliable_provisional_response_is_acknowledged_through_the_proxy() {
    let mut network = network();
    let headers = [("Supported", "100rel"), ("Require", "100rel")];
    network.invite_with("alice", "sip:bob@192.0.2.1", &headers);
    network.settle();
    let request = network.request("proxy");
    let options = ProxyOptions {
        record_route: true,
        ..reporting()
    };
    network.proxy(request.transaction, &[BOB], options);
    network.settle();
    let invite = network.request("bob");
    network.answer(
        "bob",
        invite.transaction,
        183,
        &[("Require", "100rel"), ("RSeq", "1")],
    );
    network.settle();
    let progress = network.responses("alice").remove(0);
    assert_eq!(progress.message.status(), 183);
    network.ladder();
    network.send("alice", Method::Prack, "", progress.dialog);
    network.settle();
    let prack = network.request("bob");
    assert_eq!(prack.message.method(), Method::Prack);
    network.answer("bob", prack.transaction, 200, &[]);
    network.settle();
    assert_eq!(
        network.ladder(),
        [
            "alice>proxy PRACK",
            "proxy>bob PRACK",
            "bob>proxy 200",
            "proxy>alice 200"
        ]
    );
}

#[test]
fn lost_messages_are_repeated_hop_by_hop_and_the_application_is_told_once() {
    let mut network = network();
    network.invite("alice", "sip:bob@192.0.2.1");
    network.settle();
    let request = network.request("proxy");
    network.set_deaf("bob", true);
    let options = ProxyOptions {
        record_route: true,
        ..reporting()
    };
    network.proxy(request.transaction, &[BOB], options);
    network.run(Duration::from_millis(400));
    network.set_deaf("bob", false);
    network.run(Duration::from_secs(1));
    let invite = network.request("bob");
    // The 200 is lost between proxy and caller; the callee repeats it, and it goes the whole way again.
    network.set_deaf("alice", true);
    network.answer("bob", invite.transaction, 200, &[]);
    network.run(Duration::from_millis(300));
    network.set_deaf("alice", false);
    network.run(Duration::from_millis(500));
    let responses = network.responses("alice");
    assert_eq!(statuses(&responses), [200]);
    network.send("alice", Method::Ack, "", responses[0].dialog);
    network.settle();
    assert_eq!(network.reports(), ["200 of 0", "done 200 by 0"]);
    let dialog = acknowledged(&mut network, "bob");
    network.send("bob", Method::Bye, "", dialog);
    network.settle();
    let bye = network.request("alice");
    network.answer("alice", bye.transaction, 200, &[]);
    network.run(Duration::from_secs(100));
    network.assert_at_rest();
}

/// The dialog of the ACK that a node was given.
fn acknowledged(network: &mut Network, name: &str) -> Option<engine::id::DialogId> {
    let ack = network.request(name);
    assert_eq!(ack.message.method(), Method::Ack);
    ack.dialog
}

#[test]
fn a_re_invite_is_relayed_and_can_be_cancelled() {
    let options = ProxyOptions {
        record_route: true,
        ..ProxyOptions::default()
    };
    let (mut network, _) = call(&[BOB], options);
    let invite = network.request("bob");
    network.answer("bob", invite.transaction, 200, &[]);
    network.settle();
    let dialog = network.responses("alice")[0].dialog;
    network.send("alice", Method::Ack, "", dialog);
    network.settle();
    network.events("bob");
    network.ladder();
    network.send("alice", Method::Invite, "", dialog);
    network.settle();
    let transaction = network.sent("alice");
    let again = network.request("bob");
    network.answer("bob", again.transaction, 180, &[]);
    network.settle();
    network.cancel("alice", transaction);
    network.settle();
    let log = network.ladder();
    for line in [
        "proxy>bob INVITE",
        "proxy>alice 180",
        "proxy>bob CANCEL",
        "bob>proxy 487",
        "proxy>alice 487",
    ] {
        assert!(log.contains(&line.to_owned()), "{line} in {log:#?}");
    }
    assert_eq!(
        network.events("proxy").len(),
        1,
        "only the first INVITE was the application's"
    );
}
