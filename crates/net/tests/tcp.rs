//! A connection carries messages whatever their chunks; one that is broken, slow, idle or stuck is closed, and no other.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod support;
use engine::seam::Commands;
use engine::transport::Transport;
use net::{Server, StreamConfig};
use std::io::Write;
use std::net::Shutdown;
use std::time::Duration;
use support::{
    Application, TcpPeer, address, connections, listening, options, start, total, wait_for,
};

fn tcp_server(tcp: StreamConfig) -> (Server, std::sync::Arc<Application>) {
    let mut config = listening("sip:127.0.0.1:0;transport=tcp");
    config.stream = tcp;
    let (server, application, _events) = start(config);
    (server, application)
}

/// The same of one shard: what is bounded is bounded in each, and in order only where it belongs to one.
fn one_shard(tcp: StreamConfig) -> (Server, std::sync::Arc<Application>) {
    let mut config = listening("sip:127.0.0.1:0;transport=tcp");
    (config.stream, config.shards) = (tcp, 1);
    let (server, application, _events) = start(config);
    (server, application)
}

fn request(peer: &TcpPeer, call_id: &str) -> String {
    options("TCP", peer.stream.local_addr().unwrap(), call_id, "")
}

#[test]
fn options_is_answered_on_its_connection_over_ipv4_and_ipv6() {
    for host in ["127.0.0.1", "[::1]"] {
        let (server, _application, _events) =
            start(listening(&format!("sip:{host}:0;transport=tcp")));
        let mut peer = TcpPeer::connect(address(&server, Transport::Tcp));
        peer.write(&request(&peer, "a"));
        assert!(peer.read().starts_with("SIP/2.0 200 "));
        wait_for(&server, "one connection", |counts| connections(counts) == 1);
    }
}

#[test]
fn messages_may_come_in_any_chunks() {
    let (server, _application) = one_shard(StreamConfig::default());
    let mut peer = TcpPeer::connect(address(&server, Transport::Tcp));
    peer.stream.set_nodelay(true).unwrap();
    for byte in options("TCP", peer.stream.local_addr().unwrap(), "bytes", "a body").as_bytes() {
        peer.stream.write_all(&[*byte]).unwrap();
    }
    assert!(peer.read().contains("Call-ID: bytes\r\n"));
    let many: Vec<String> = (0..50)
        .map(|n| request(&peer, &format!("many{n}")))
        .collect();
    peer.write(&many.concat());
    for n in 0..50 {
        assert!(
            peer.read().contains(&format!("Call-ID: many{n}\r\n")),
            "in order"
        );
    }
}

#[test]
fn a_keep_alive_is_answered() {
    let (server, _application) = tcp_server(StreamConfig::default());
    let mut peer = TcpPeer::connect(address(&server, Transport::Tcp));
    peer.write("\r\n\r\n");
    let mut pong = [0; 2];
    std::io::Read::read_exact(&mut peer.stream, &mut pong).unwrap();
    assert_eq!(&pong, b"\r\n");
    peer.write(&request(&peer, "later"));
    assert!(peer.read().starts_with("SIP/2.0 200 "));
}

#[test]
fn garbage_closes_its_connection_and_no_other() {
    let (server, _application) = tcp_server(StreamConfig::default());
    let mut good = TcpPeer::connect(address(&server, Transport::Tcp));
    for garbage in [
        "\u{1}\u{2}garbage\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "OPTIONS sip:x SIP/2.0\r\nContent-Length: -1\r\n\r\n",
    ] {
        let mut bad = TcpPeer::connect(address(&server, Transport::Tcp));
        bad.write(garbage);
        bad.read_to_end();
    }
    good.write(&request(&good, "good"));
    assert!(good.read().starts_with("SIP/2.0 200 "));
    let counts = wait_for(&server, "only the good one is left", |counts| {
        connections(counts) == 1
    });
    assert_eq!(
        (total(&counts, "malformed"), total(&counts, "panics")),
        (3, 0)
    );
}

#[test]
fn a_connection_that_ends_within_a_message_is_forgotten() {
    let (server, _application) = tcp_server(StreamConfig::default());
    let mut peer = TcpPeer::connect(address(&server, Transport::Tcp));
    let text = request(&peer, "half");
    peer.write(&text[..text.len() / 2]);
    peer.stream.shutdown(Shutdown::Both).unwrap();
    drop(peer);
    wait_for(&server, "it is forgotten", |counts| {
        connections(counts) == 0 && total(counts, "connections_accepted") == 1
    });
}

#[test]
fn a_message_that_is_begun_must_be_completed_in_time() {
    let (server, _application) = tcp_server(StreamConfig {
        message_timeout: Duration::from_millis(100),
        ..StreamConfig::default()
    });
    let mut peer = TcpPeer::connect(address(&server, Transport::Tcp));
    peer.write("OPTIONS sip:x@example.com SIP/2.0\r\nVia: ");
    peer.read_to_end();
    wait_for(&server, "it is forgotten", |counts| {
        connections(counts) == 0
    });
}

#[test]
fn an_idle_connection_is_closed() {
    let (server, _application) = tcp_server(StreamConfig {
        idle_timeout: Duration::from_millis(100),
        ..StreamConfig::default()
    });
    let mut peer = TcpPeer::connect(address(&server, Transport::Tcp));
    peer.write(&request(&peer, "once"));
    assert!(peer.read().starts_with("SIP/2.0 200 "));
    assert_eq!(peer.read_to_end(), "");
}

#[test]
fn a_peer_that_never_reads_is_bounded_and_closed() {
    never_reads(StreamConfig {
        write_queue: 32 * 1024,
        ..StreamConfig::default()
    });
}

#[test]
fn peers_that_never_read_are_bounded_together_too() {
    never_reads(StreamConfig {
        write_queue: usize::MAX,
        write_queues: 32 * 1024,
        ..StreamConfig::default()
    });
}

fn never_reads(config: StreamConfig) {
    let (server, _application) = tcp_server(config);
    let mut peer = TcpPeer::connect(address(&server, Transport::Tcp));
    // The kernel's buffers take some megabytes of answers, then the queue takes 32 KiB, then it is over.
    let mut is_closed = false;
    for n in 0..200_000 {
        let text = request(&peer, &format!("deaf{n}"));
        if peer.stream.write_all(text.as_bytes()).is_err() {
            is_closed = true;
            break;
        }
    }
    assert!(is_closed, "the connection was kept: {:?}", server.counts());
    wait_for(&server, "it is forgotten", |counts| {
        connections(counts) == 0
    });
    let mut other = TcpPeer::connect(address(&server, Transport::Tcp));
    other.write(&request(&other, "other"));
    assert!(other.read().starts_with("SIP/2.0 200 "));
}

#[test]
fn there_are_only_so_many_connections() {
    let (server, _application) = one_shard(StreamConfig {
        // Of sixteen two are kept for those that the server opens.
        connections: 16,
        ..StreamConfig::default()
    });
    let mut kept: Vec<TcpPeer> = (0..14)
        .map(|_| TcpPeer::connect(address(&server, Transport::Tcp)))
        .collect();
    for peer in &mut kept {
        peer.write(&request(peer, "kept"));
        assert!(peer.read().starts_with("SIP/2.0 200 "));
    }
    let mut refused = TcpPeer::connect(address(&server, Transport::Tcp));
    assert_eq!(refused.read_to_end(), "");
    drop(kept);
    wait_for(&server, "they are forgotten", |counts| {
        connections(counts) == 0
    });
}

#[test]
fn whoever_connects_has_to_send_something_whole_in_time() {
    let (server, _application) = tcp_server(StreamConfig {
        first_message_timeout: Duration::from_millis(300),
        ..StreamConfig::default()
    });
    let to = address(&server, Transport::Tcp);
    let [mut silent, mut half, mut alive, mut lone, mut asking] =
        [(); 5].map(|()| TcpPeer::connect(to));
    // As some telephones keep their connections alive.
    lone.write("\r\n");
    half.write("OPTIONS sip:x@example.com SIP/2.0\r\nVia: ");
    alive.write("\r\n\r\n");
    asking.write(&request(&asking, "asked"));
    assert!(asking.read().starts_with("SIP/2.0 200 "));
    assert_eq!(silent.read_to_end(), "");
    assert_eq!(half.read_to_end(), "");
    wait_for(&server, "three are left", |counts| connections(counts) == 3);
    for peer in [&mut alive, &mut lone, &mut asking] {
        peer.write(&request(peer, "later"));
    }
    assert!(lone.read().contains("Call-ID: later\r\n"));
    assert!(alive.read().contains("Call-ID: later\r\n"));
    assert!(asking.read().contains("Call-ID: later\r\n"));
}

#[test]
fn line_ends_by_the_thousand_get_one_answer_a_read_and_end_the_connection() {
    let (server, _application) = tcp_server(StreamConfig::default());
    let to = address(&server, Transport::Tcp);
    let mut patient = TcpPeer::connect(to);
    patient.write(&"\r\n\r\n".repeat(100));
    patient.write(&request(&patient, "behind"));
    assert!(patient.read().contains("Call-ID: behind\r\n"));
    let mut flood = TcpPeer::connect(to);
    flood.write(&"\r\n\r\n".repeat(10_000));
    assert!(flood.read_to_end().len() < 1000);
    wait_for(&server, "it is closed", |counts| {
        connections(counts) == 1 && total(counts, "connections_closed") == 1
    });
}

#[test]
fn a_line_end_behind_every_message_is_none_too_many() {
    let (server, _application) = tcp_server(StreamConfig::default());
    let mut peer = TcpPeer::connect(address(&server, Transport::Tcp));
    // More than a thousand in a second.
    for turn in 0..25 {
        let burst: Vec<String> = (0..100)
            .map(|n| request(&peer, &format!("end{turn}-{n}")) + "\r\n")
            .collect();
        peer.write(&burst.concat());
        for _ in 0..100 {
            assert!(peer.read().starts_with("SIP/2.0 200 "));
        }
    }
    assert_eq!(total(&server.counts(), "connections_closed"), 0);
}

#[test]
fn the_oldest_over_which_nothing_came_gives_way_to_a_new_one() {
    let (server, _application) = one_shard(StreamConfig {
        connections: 16,
        ..StreamConfig::default()
    });
    let to = address(&server, Transport::Tcp);
    let mut asking = TcpPeer::connect(to);
    asking.write(&request(&asking, "first"));
    assert!(asking.read().starts_with("SIP/2.0 200 "));
    let mut silent: Vec<TcpPeer> = (0..13).map(|_| TcpPeer::connect(to)).collect();
    wait_for(&server, "all are there", |counts| {
        total(counts, "connections_accepted") == 14
    });
    for call_id in ["second", "third"] {
        let mut new = TcpPeer::connect(to);
        new.write(&request(&new, call_id));
        assert!(new.read().starts_with("SIP/2.0 200 "));
        // The oldest of the silent ones, and nobody else.
        assert_eq!(silent.remove(0).read_to_end(), "");
        silent.push(new);
        wait_for(&server, "as many as before", |counts| {
            connections(counts) == 14
        });
    }
    for peer in silent.iter_mut().chain([&mut asking]) {
        peer.write(&request(peer, "last"));
        while !peer.read().contains("Call-ID: last\r\n") {}
    }
}
