//! With several shards each call has its own, wherever its messages arrive; stopping frees everything.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod support;
use engine::config::shard_of;
use engine::event::Event;
use engine::seam::Commands;
use engine::transport::Transport;
use net::{Server, ServerConfig};
use std::collections::BTreeSet;
use std::net::{TcpListener, UdpSocket};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use support::{LONG, TcpPeer, address, listening, options, receive, start, total, udp_peer};

fn two_shards() -> ServerConfig {
    ServerConfig {
        shards: 2,
        ..listening("sip:127.0.0.1:0")
    }
}

/// Each of `count` requests was told on the shard of its Call-ID, and both shards had some.
fn check_owners(events: &Receiver<(u8, Event)>, count: usize) {
    let mut shards = BTreeSet::new();
    let mut requests = 0;
    while requests < count {
        let (shard, event) = events.recv_timeout(LONG).unwrap();
        if let Event::Request(request) = event {
            assert_eq!(
                shard,
                shard_of(request.message.call_id().unwrap().as_bytes(), 2)
            );
            assert_eq!(request.transaction.shard(), shard);
            shards.insert(shard);
            requests += 1;
        }
    }
    assert_eq!(shards, BTreeSet::from([0, 1]));
}

#[test]
fn a_datagram_is_answered_from_where_it_was_sent_to_whichever_shard_has_its_call() {
    let config = ServerConfig {
        shards: 2,
        ..listening("sip:0.0.0.0:0")
    };
    let (server, _application, _events) = start(config);
    let client = udp_peer("127.0.0.1:0");
    let to: std::net::SocketAddr = ([127, 0, 0, 5], address(&server, Transport::Udp).port()).into();
    for n in 0..32 {
        let request = options("UDP", client.local_addr().unwrap(), &format!("at{n}"), "");
        client.send_to(request.as_bytes(), to).unwrap();
        assert_eq!(receive(&client).1, to, "call {n}");
    }
}

#[test]
fn a_connection_that_one_shard_accepted_takes_the_requests_of_all() {
    let config = ServerConfig {
        shards: 2,
        ..listening("sip:127.0.0.1:0;transport=tcp")
    };
    let (server, application, _events) = start(config);
    let mut peer = TcpPeer::connect(address(&server, Transport::Tcp));
    let local = peer.stream.local_addr().unwrap();
    peer.write(&options("TCP", local, "first", ""));
    assert!(peer.read().contains("Call-ID: first\r\n"));
    // The peer listens nowhere: what does not come over its connection does not come.
    let mut shards = BTreeSet::new();
    for _ in 0..16 {
        application.ask(&format!("sip:{local};transport=tcp"));
        let asked = peer.read();
        assert!(asked.starts_with("OPTIONS "), "{asked}");
        let call_id = asked.split("Call-ID: ").nth(1).unwrap();
        shards.insert(shard_of(call_id.lines().next().unwrap().as_bytes(), 2));
    }
    assert_eq!(shards, BTreeSet::from([0, 1]));
    assert_eq!(total(&server.counts(), "connections_opened"), 0);
}

#[test]
fn datagrams_are_handed_to_the_shard_of_their_call() {
    let (server, _application, events) = start(two_shards());
    let client = udp_peer("127.0.0.1:0");
    for n in 0..32 {
        let request = options("UDP", client.local_addr().unwrap(), &format!("call{n}"), "");
        client
            .send_to(request.as_bytes(), address(&server, Transport::Udp))
            .unwrap();
        assert!(
            receive(&client)
                .0
                .contains(&format!("Call-ID: call{n}\r\n"))
        );
    }
    check_owners(&events, 32);
    // One socket sends to one of the two sockets: the kernel hashes addresses.
    assert!(total(&server.counts(), "handed_over") > 0);
}

#[test]
fn messages_of_a_connection_are_handed_over_and_answered_on_it() {
    let (server, _application, events) = start(two_shards());
    let mut peer = TcpPeer::connect(address(&server, Transport::Tcp));
    for n in 0..32 {
        peer.write(&options(
            "TCP",
            peer.stream.local_addr().unwrap(),
            &format!("call{n}"),
            "",
        ));
        assert!(peer.read().contains(&format!("Call-ID: call{n}\r\n")));
    }
    check_owners(&events, 32);
    assert_eq!(support::connections(&server.counts()), 1);
}

#[test]
fn new_requests_take_turns_over_the_shards() {
    let (server, application, _events) = start(two_shards());
    let peer = udp_peer("127.0.0.1:0");
    let mut shards = BTreeSet::new();
    for _ in 0..4 {
        application.send(
            sip::Method::Options,
            &format!("sip:x@{}", peer.local_addr().unwrap()),
            b"",
        );
        let (request, _) = receive(&peer);
        let call_id = request
            .lines()
            .find_map(|line| line.strip_prefix("Call-ID: "))
            .unwrap();
        shards.insert(shard_of(call_id.as_bytes(), 2));
    }
    assert_eq!(shards, BTreeSet::from([0, 1]));
    assert_eq!(server.counts().len(), 2);
}

#[test]
fn stopping_frees_ports_threads_applications_and_companions() {
    let (entered, is_entered) = channel();
    let companion_end = Arc::new(());
    let (weak_end, entered) = (Arc::downgrade(&companion_end), Mutex::new(entered));
    let mut config = two_shards();
    config
        .companions
        .push(Box::new(move |commands: Arc<dyn Commands>| {
            let held = companion_end;
            Box::pin(async move {
                entered
                    .lock()
                    .unwrap()
                    .send(commands.hostports().0.len())
                    .unwrap();
                std::future::pending::<()>().await;
                drop(held);
            })
        }));
    let (server, application, _events) = start(config);
    assert_eq!(is_entered.recv_timeout(LONG).unwrap(), 2);
    let mut peer = TcpPeer::connect(address(&server, Transport::Tcp));
    peer.write(&options(
        "TCP",
        peer.stream.local_addr().unwrap(),
        "last",
        "",
    ));
    assert!(peer.read().starts_with("SIP/2.0 200 "));
    let (udp, tcp) = (
        address(&server, Transport::Udp),
        address(&server, Transport::Tcp),
    );
    assert!(server.stop(LONG), "a thread did not end");
    peer.read_to_end();
    assert_eq!(weak_end.strong_count(), 0, "the companion lives");
    assert_eq!(
        Arc::strong_count(&application),
        1,
        "a shard holds the application"
    );
    UdpSocket::bind(udp).unwrap();
    // As any server that restarts: the connection that was closed lingers in the kernel.
    drop(Server::start(listening(&format!("sip:{tcp};transport=tcp"))).unwrap());
    assert!(
        server.counts().is_empty(),
        "a stopped server has no shards to count"
    );
    assert!(server.stop(LONG), "stopping twice is harmless");
}

#[test]
fn an_address_in_use_is_named_with_or_without_shards() {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    for (text, shards) in [
        (
            format!("sip:{};transport=udp", udp.local_addr().unwrap()),
            1,
        ),
        (
            format!("sip:{};transport=udp", udp.local_addr().unwrap()),
            2,
        ),
        (
            format!("sip:{};transport=tcp", tcp.local_addr().unwrap()),
            1,
        ),
        (
            format!("sip:{};transport=tcp", tcp.local_addr().unwrap()),
            2,
        ),
    ] {
        let error = Server::start(ServerConfig {
            shards,
            ..listening(&text)
        })
        .err()
        .unwrap()
        .to_string();
        assert!(
            error.contains("another process uses this address"),
            "{error}"
        );
    }
    let error = Server::start(listening("sip:192.0.2.1:0"))
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("this host has no such address"), "{error}");
}

/// An INVITE whose 200 is repeated (RFC 3261 §13.3.1.4) after its connection ended, while the server has another to the sent-by of its Via.
#[test]
fn a_message_whose_connection_ended_takes_another_of_whichever_shard() {
    let config = ServerConfig {
        shards: 2,
        ..listening("sip:127.0.0.1:0;transport=tcp")
    };
    let (server, application, _events) = start(config);
    let to = address(&server, Transport::Tcp);
    // The kernel chooses the shard of a connection, and chance that of a call: one in two is of different ones.
    let trials: Vec<_> = (0..12)
        .map(|n| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let sent_by = listener.local_addr().unwrap();
            application.ask(&format!("sip:{sent_by};transport=tcp"));
            let mut there = TcpPeer::new(listener.accept().unwrap().0);
            assert!(there.read().starts_with("OPTIONS "));
            let mut caller = TcpPeer::connect(to);
            let contact = format!("Contact: <sip:a@{sent_by};transport=tcp>\r\nContent-Length");
            let invite = options("TCP", sent_by, &format!("ended{n}"), "")
                .replace("OPTIONS", "INVITE")
                .replace("Content-Length", &contact);
            caller.write(&invite);
            while !caller.read().starts_with("SIP/2.0 200 ") {}
            (listener, there)
        })
        .collect();
    for (_listener, mut there) in trials {
        while !there.read().starts_with("SIP/2.0 200 ") {}
    }
    assert_eq!(total(&server.counts(), "connections_opened"), 12);
}
