//! A datagram is answered to where it came from, from where it was sent to; what is not SIP costs a log line.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod support;
use engine::transport::Transport;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use support::{address, listening, options, receive, start, total, udp_peer, wait_for};

#[test]
fn options_is_answered_over_ipv4_and_ipv6() {
    for host in ["127.0.0.1", "[::1]"] {
        let (server, _application, events) =
            start(listening(&format!("sip:{host}:0;transport=udp")));
        let client = udp_peer(&format!("{host}:0"));
        let target = address(&server, Transport::Udp);
        client
            .send_to(
                options("UDP", client.local_addr().unwrap(), "a", "").as_bytes(),
                target,
            )
            .unwrap();
        let (answer, from) = receive(&client);
        assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
        assert_eq!(from, target);
        let (_, event) = events.recv_timeout(support::LONG).unwrap();
        let engine::Event::Request(request) = event else {
            panic!("{event:?}")
        };
        assert_eq!(
            (request.origin.peer, request.origin.local),
            (client.local_addr().unwrap(), target)
        );
    }
}

#[test]
fn a_burst_is_answered_whole() {
    let (server, _application, _events) = start(listening("sip:127.0.0.1:0;transport=udp"));
    let client = udp_peer("127.0.0.1:0");
    let names: BTreeSet<String> = (0..60).map(|n| format!("burst{n}")).collect();
    for name in &names {
        let request = options("UDP", client.local_addr().unwrap(), name, "");
        client
            .send_to(request.as_bytes(), address(&server, Transport::Udp))
            .unwrap();
    }
    let mut answered = BTreeSet::new();
    while answered.len() < names.len() {
        let (answer, _) = receive(&client);
        assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
        answered.insert(
            answer
                .lines()
                .find_map(|line| line.strip_prefix("Call-ID: "))
                .unwrap()
                .to_owned(),
        );
    }
    assert_eq!(answered, names);
}

#[test]
fn garbage_costs_nothing_but_a_count() {
    let (server, _application, _events) = start(listening("sip:127.0.0.1:0;transport=udp"));
    let client = udp_peer("127.0.0.1:0");
    let (local, target) = (
        client.local_addr().unwrap(),
        address(&server, Transport::Udp),
    );
    let whole = options("UDP", local, "prefix", "body");
    for garbage in [
        &b"\xff\x00\xfe garbage"[..],
        b"GET / HTTP/1.1\r\n\r\n",
        b"SIP/2.0\r\n\r\n",
        b"\r\n\r\n",
        b"",
        &[0; 60_000],
    ] {
        client.send_to(garbage, target).unwrap();
    }
    for length in 1..whole.len() {
        client.send_to(&whole.as_bytes()[..length], target).unwrap();
    }
    client
        .send_to(options("UDP", local, "after", "").as_bytes(), target)
        .unwrap();
    loop {
        let (answer, _) = receive(&client);
        if answer.contains("Call-ID: after\r\n") {
            assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
            break;
        }
    }
    let counts = wait_for(&server, "malformed datagrams are counted", |counts| {
        total(counts, "malformed") > 3
    });
    assert_eq!(total(&counts, "panics"), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_wildcard_listener_answers_from_the_address_that_was_asked() {
    let (server, _application, events) = start(listening("sip:*:0;transport=udp"));
    let client = udp_peer("127.0.0.1:0");
    let target: SocketAddr = format!("127.0.0.9:{}", address(&server, Transport::Udp).port())
        .parse()
        .unwrap();
    client
        .send_to(
            options("UDP", client.local_addr().unwrap(), "wild", "").as_bytes(),
            target,
        )
        .unwrap();
    let (answer, from) = receive(&client);
    assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    assert_eq!(from, target);
    let (_, event) = events.recv_timeout(support::LONG).unwrap();
    let engine::Event::Request(request) = event else {
        panic!("{event:?}")
    };
    assert_eq!(request.origin.local, target);
}

#[test]
fn a_peer_that_is_gone_does_not_disturb_the_others() {
    let (server, application, _events) = start(listening("sip:127.0.0.1:0;transport=udp"));
    let gone = udp_peer("127.0.0.1:0").local_addr().unwrap();
    for _ in 0..20 {
        application.send(sip::Method::Options, &format!("sip:x@{gone}"), b"");
    }
    let client = udp_peer("127.0.0.1:0");
    client
        .send_to(
            options("UDP", client.local_addr().unwrap(), "here", "").as_bytes(),
            address(&server, Transport::Udp),
        )
        .unwrap();
    assert!(receive(&client).0.starts_with("SIP/2.0 200 "));
}

#[test]
fn a_port_that_another_listener_of_the_same_server_has_is_told_so() {
    let port = support::udp_peer("127.0.0.1:0")
        .local_addr()
        .unwrap()
        .port();
    let taken = support::udp_peer("127.0.0.1:0");
    let config = |hosts: &[&str], port: u16| net::ServerConfig {
        listen: hosts
            .iter()
            .flat_map(|host| listening(&format!("sip:{host}:{port};transport=udp")).listen)
            .collect(),
        ..net::ServerConfig::default()
    };
    let refused = |hosts: &[&str], port| {
        let error = net::Server::start(config(hosts, port)).err().unwrap();
        error.to_string()
    };
    for other in ["127.0.0.1", "0.0.0.0"] {
        let error = refused(&["127.0.0.1", other], port);
        let expected = format!("another listener of this server, udp 127.0.0.1:{port}, uses");
        assert!(error.contains(&expected), "{error}");
    }
    let port = taken.local_addr().unwrap().port();
    let error = refused(&["127.0.0.1"], port);
    assert!(error.contains("another process uses"), "{error}");
}
