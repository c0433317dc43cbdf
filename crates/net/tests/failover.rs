//! A name leads to a target that is dead and to one that lives, over real sockets: that costs one timeout, whatever the number of shards.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
#[path = "support/dns.rs"]
mod dns;
mod support;

use dns::NameServer;
use engine::config::Failover;
use engine::event::Event;
use engine::seam::Commands;
use net::{DnsConfig, ServerConfig};
use sip::{Build, Limits, Message};
use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;
use std::time::Duration;
use support::{LONG, listening, start, total, udp_peer};

/// Answers every request with 200; ends with an empty datagram.
fn living(socket: UdpSocket) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).unwrap();
            if length == 0 {
                return;
            }
            let bytes = buffer[..length].to_vec();
            let request = Message::parse(bytes.into(), &Limits::default()).unwrap();
            let response = Build::reply(&request, 200, "OK", Some("living")).finish(b"");
            socket.send_to(&response, from).unwrap();
        }
    })
}

/// The shard and status of the next response that the application is told.
fn response(events: &Receiver<(u8, Event)>) -> (u8, u16) {
    loop {
        if let (shard, Event::Response(response)) = events.recv_timeout(LONG).unwrap() {
            return (shard, response.message.status());
        }
    }
}

/// How many calls a socket was asked for so far.
fn calls(socket: &UdpSocket) -> usize {
    socket.set_nonblocking(true).unwrap();
    let mut buffer = [0; 4096];
    let mut calls = BTreeSet::new();
    while let Ok((length, _)) = socket.recv_from(&mut buffer) {
        let bytes = buffer[..length].to_vec();
        let request = Message::parse(bytes.into(), &Limits::default()).unwrap();
        calls.insert(request.call_id().unwrap().to_owned());
    }
    calls.len()
}

#[test]
fn a_dead_first_target_costs_one_timeout_in_all_shards_together() {
    for shards in [1, 2, 3] {
        let (dead, alive) = (udp_peer("127.0.0.1:0"), udp_peer("127.0.0.1:0"));
        alive.set_read_timeout(None).unwrap();
        let (first, second) = (dead.local_addr().unwrap(), alive.local_addr().unwrap());
        let names = NameServer::start();
        let targets = [
            (1, 1, first.port(), "one.pool.example"),
            (2, 1, second.port(), "two.pool.example"),
        ];
        names.srv("_sip._udp.pool.example", 600, &targets);
        names.host("one.pool.example", 600, &["127.0.0.1"]);
        names.host("two.pool.example", 600, &["127.0.0.1"]);
        let living = living(alive.try_clone().unwrap());
        let (server, application, events) = start(ServerConfig {
            shards,
            failover: Failover {
                target_timeout: Some(Duration::from_millis(300)),
                ..Failover::default()
            },
            dns: DnsConfig {
                servers: vec![names.address],
                hosts: false,
                ..DnsConfig::default()
            },
            ..listening("sip:127.0.0.1:0;transport=udp")
        });
        application.ask("sip:bob@pool.example");
        assert_eq!(response(&events).1, 200);
        let mut asked = BTreeSet::new();
        for _ in 0..30 {
            application.ask("sip:bob@pool.example");
        }
        for _ in 0..30 {
            let (shard, status) = response(&events);
            assert_eq!(status, 200);
            asked.insert(shard);
        }
        assert_eq!(asked.len(), usize::from(shards), "each shard had some");
        assert_eq!(calls(&dead), 1, "{shards} shards");
        let counts = server.counts();
        assert_eq!(total(&counts, "failovers"), 1);
        assert_eq!(total(&counts, "targets_failed"), 1);
        assert!(counts.iter().all(|counts| counts.unavailable == 1));
        assert!(server.stop(LONG));
        dead.set_nonblocking(false).unwrap();
        dead.send_to(b"", second).unwrap();
        living.join().unwrap();
    }
}
