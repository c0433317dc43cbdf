//! Connections that we opened: which are kept alive (RFC 5626 §4.4.1), and which are given up for another since nobody answers there.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod certificates;
mod support;
use certificates::{Authority, Folder, store, tls};
use engine::command::Command;
use engine::config::{Failover, Timers};
use engine::event::Event;
use engine::seam::{Commands, Events};
use engine::transport::Transport;
use net::config::KeepAlive;
use net::{Server, ServerConfig, StreamConfig};
use sip::Method;
use std::io::Read;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;
use support::{TcpPeer, address, connections, listening, response, start, total, wait_for};

fn config(transport: &str, stream: StreamConfig) -> ServerConfig {
    ServerConfig {
        stream,
        ..listening(&format!("sip:127.0.0.1:0;transport={transport}"))
    }
}

/// Kept alive in short: each interval is asked, and an answer comes at once or not at all.
fn asked(which: KeepAlive) -> StreamConfig {
    StreamConfig {
        keep_alive: which,
        keep_alive_interval: Duration::from_millis(50),
        pong_timeout: Duration::from_millis(200),
        ..StreamConfig::default()
    }
}

/// A peer that a request of this method came to over a connection, and which accepted it with these header fields.
fn accepted(method: Method, stream: StreamConfig, more: &str) -> (Server, TcpPeer) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("sip:{};transport=tcp", listener.local_addr().unwrap());
    let (server, application, events) = start(config("tcp", stream));
    application.send(method, &uri, b"");
    let mut peer = TcpPeer::new(listener.accept().unwrap().0);
    let request = peer.read();
    let (_, head) = request.split_once("\r\n").unwrap();
    let copied = head.lines().filter(|line| {
        let name = line.split(':').next().unwrap();
        ["Via", "From", "To", "Call-ID", "CSeq"].contains(&name)
    });
    let copied: String = copied.map(|line| format!("{line}\r\n")).collect();
    peer.write(&format!(
        "SIP/2.0 200 OK\r\n{copied}{more}Content-Length: 0\r\n\r\n"
    ));
    assert_eq!(response(&events).status(), 200);
    (server, peer)
}

fn is_asked(peer: &mut TcpPeer) {
    let mut line_ends = [0; 4];
    peer.stream.read_exact(&mut line_ends).unwrap();
    assert_eq!(&line_ends, b"\r\n\r\n");
}

#[test]
fn who_answered_once_and_does_not_any_more_is_given_up() {
    let (server, mut peer) = accepted(Method::Options, asked(KeepAlive::Opened), "");
    for _ in 0..3 {
        is_asked(&mut peer);
        peer.write("\r\n");
    }
    is_asked(&mut peer);
    assert_eq!(peer.read_to_end(), "");
    wait_for(&server, "it is forgotten", |counts| {
        connections(counts) == 0
    });
}

#[test]
fn who_knows_no_keep_alive_stays_connected() {
    let (server, mut peer) = accepted(Method::Options, asked(KeepAlive::Opened), "");
    // Well past the time that an answer could take.
    for _ in 0..8 {
        is_asked(&mut peer);
    }
    assert_eq!(connections(&server.counts()), 1);
}

#[test]
fn a_peer_that_asks_us_too_gets_its_answer() {
    let (_server, mut peer) = accepted(Method::Options, asked(KeepAlive::Opened), "");
    is_asked(&mut peer);
    peer.write("\r\n\r\n");
    let mut answer = [0; 2];
    peer.stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"\r\n");
    is_asked(&mut peer);
}

#[test]
fn a_registrar_that_said_how_often_owes_every_answer() {
    let registered = "Contact: <sip:us@example.com>;expires=600\r\nFlow-Timer: 1\r\n";
    let stream = StreamConfig {
        keep_alive_interval: Duration::from_secs(600),
        ..asked(KeepAlive::Registered)
    };
    let (server, mut peer) = accepted(Method::Register, stream, registered);
    is_asked(&mut peer);
    assert_eq!(peer.read_to_end(), "");
    wait_for(&server, "it is forgotten", |counts| {
        connections(counts) == 0
    });
}

#[test]
fn what_nothing_is_registered_over_ends_when_it_is_idle() {
    let stream = StreamConfig {
        idle_timeout: Duration::from_millis(300),
        ..asked(KeepAlive::Registered)
    };
    let (_server, mut peer) = accepted(Method::Options, stream, "");
    assert_eq!(peer.read_to_end(), "", "nothing was asked");
}

/// An application that answers nothing.
struct Silent;

impl Events for Silent {
    fn deliver(&self, _shard: u8, events: &mut Vec<Event>) {
        events.clear();
    }

    fn backlog(&self) -> Duration {
        Duration::ZERO
    }
}

fn silent(config: ServerConfig) -> Server {
    let server = Server::start(config).unwrap();
    let id = server.attach(Arc::new(Silent));
    server.submit(id, &mut vec![Command::RouteAll]);
    server
}

/// Requests have 128 ms for an answer, and a target that gave none is asked again.
fn impatient(transport: &str, unanswered: u32) -> ServerConfig {
    let stream = StreamConfig {
        unanswered,
        ..StreamConfig::default()
    };
    ServerConfig {
        timers: Timers {
            t1: Duration::from_millis(2),
            ..Timers::default()
        },
        failover: Failover {
            unavailable: Duration::ZERO,
            ..Failover::default()
        },
        ..config(transport, stream)
    }
}

#[test]
fn so_many_requests_in_a_row_without_an_answer_cost_a_connection() {
    for (most, opened) in [(2, 2), (0, 1)] {
        let other = silent(config("tcp", StreamConfig::default()));
        let (server, application, events) = start(impatient("tcp", most));
        let uri = format!("sip:{};transport=tcp", address(&other, Transport::Tcp));
        for _ in 0..3 {
            application.ask(&uri);
            assert_eq!(response(&events).status(), 408);
        }
        wait_for(&server, "as many as there have to be", |counts| {
            total(counts, "connections_opened") == opened && connections(counts) == 1
        });
    }
}

#[test]
fn what_goes_unanswered_counts_for_the_connection_of_its_name() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let pair = authority.certificate(&["localhost", "127.0.0.1"]);
    let trusted = folder.write("authority.pem", &authority.pem);
    let store = store(tls(vec![pair.write(&folder, "own")], &[&trusted]));
    let secure = |config: ServerConfig| ServerConfig {
        tls: Some(store.clone()),
        ..config
    };
    let other = silent(secure(config("tls", StreamConfig::default())));
    let (server, application, events) = start(secure(impatient("tls", 2)));
    let port = address(&other, Transport::Tls).port();
    let given_up = |host: &str| {
        application.ask(&format!("sip:{host}:{port};transport=tls"));
        assert_eq!(response(&events).status(), 408);
        total(&server.counts(), "connections_given_up")
    };
    // The same address, and a connection for each name; the latest is who is there for a request that wants none.
    assert_eq!(given_up("127.0.0.1"), 0);
    assert_eq!(given_up("localhost"), 0);
    assert_eq!(given_up("127.0.0.1"), 1);
    assert_eq!(given_up("localhost"), 2);
    assert_eq!(total(&server.counts(), "connections_opened"), 2);
}
