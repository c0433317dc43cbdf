//! A connection that sends as fast as it is read costs the others of its shard nothing, and one that is to end does so at once, TLS or not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod certificates;
mod support;
use certificates::{Authority, Client, Folder, TlsStream, store, tls};
use engine::seam::Commands;
use engine::transport::Transport;
use net::{Server, ServerConfig};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use support::{
    Peer, TcpPeer, address, connect, connections, listening, options, receive, start, udp_peer,
    wait_for,
};

const UPGRADE: &[u8] = b"GET / HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: sip\r\n\r\n";

/// A connection over WebSocket, as bytes.
fn websocket(server: &Server) -> TcpStream {
    let mut stream = connect(address(server, Transport::Ws));
    stream.write_all(UPGRADE).unwrap();
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    stream
}

fn is_served(mut peer: TcpPeer, call_id: &str) {
    let local = peer.stream.local_addr().unwrap();
    peer.write(&options("TCP", local, call_id, ""));
    assert!(peer.read().starts_with("SIP/2.0 200 "), "{call_id}");
}

#[test]
fn others_are_read_and_newcomers_as_well_while_one_floods() {
    let (server, _application, _events) = start(ServerConfig {
        shards: 1,
        ..listening("sip:127.0.0.1:0;transport=udp,tcp,ws")
    });
    let before = TcpPeer::connect(address(&server, Transport::Tcp));
    let mut flood = websocket(&server);
    let is_over = Arc::new(AtomicBool::new(false));
    let thread = std::thread::spawn({
        let is_over = is_over.clone();
        move || {
            // Messages that are none, one byte each.
            let blob = [0x82, 0x81, 0, 0, 0, 0, b'x'].repeat(20_000);
            let mut sent = 0;
            while !is_over.load(Ordering::Relaxed)
                && sent < 50_000
                && flood.write_all(&blob).is_ok()
            {
                sent += 1;
            }
            sent
        }
    });
    wait_for(&server, "it is at work", |counts| {
        support::total(counts, "malformed") > 10_000
    });
    let phone = udp_peer("127.0.0.1:0");
    for number in 0..10 {
        let request = options(
            "UDP",
            phone.local_addr().unwrap(),
            &format!("udp{number}"),
            "",
        );
        let to = address(&server, Transport::Udp);
        phone.send_to(request.as_bytes(), to).unwrap();
        assert!(receive(&phone).0.starts_with("SIP/2.0 200 "));
        let new = TcpPeer::connect(address(&server, Transport::Tcp));
        is_served(new, &format!("new{number}"));
    }
    is_served(before, "before");
    drop(websocket(&server));
    is_over.store(true, Ordering::Relaxed);
    assert!(thread.join().unwrap() > 0);
}

#[test]
fn frames_that_carry_nothing_end_the_connection() {
    let (server, _application, _events) = start(listening("sip:127.0.0.1:0;transport=tcp,ws"));
    let mut empty = websocket(&server);
    // A message is begun, and goes on with nothing for ever.
    empty.write_all(&[0x01, 0x81, 0, 0, 0, 0, b'x']).unwrap();
    let blob = [0x00, 0x80, 0, 0, 0, 0].repeat(20_000);
    let sent = (0..2_000).take_while(|_| empty.write_all(&blob).is_ok());
    assert!(sent.count() < 1_000, "120 MB were taken");
    is_served(
        TcpPeer::connect(address(&server, Transport::Tcp)),
        "another",
    );
}

fn secure() -> (Server, Peer<TlsStream>, impl Sized) {
    let (folder, authority) = (Folder::new(), Authority::new());
    let pair = authority
        .certificate(&["own.example"])
        .write(&folder, "own");
    let (server, application, events) = start(ServerConfig {
        tls: Some(store(tls(vec![pair], &[]))),
        ..listening("sip:127.0.0.1:0;transport=tls")
    });
    let to = address(&server, Transport::Tls);
    let client = Client::trusting(&authority);
    let mut peer = Peer::over(client.connect(to, "own.example").unwrap());
    let local = peer.stream.sock.local_addr().unwrap();
    peer.write(&options("TLS", local, "before", ""));
    assert!(peer.read().starts_with("SIP/2.0 200 "));
    (server, peer, (application, events, folder))
}

#[test]
fn what_cannot_be_read_over_tls_ends_the_connection_at_once() {
    let (server, mut peer, _rest) = secure();
    peer.write("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    peer.read_to_end();
    wait_for(&server, "it is gone", |counts| connections(counts) == 0);
}

#[test]
fn who_is_banned_loses_connections_that_are_idle_over_tls_too() {
    let (server, mut peer, _rest) = secure();
    let network = "127.0.0.0/8".parse().unwrap();
    server.ban(network, Some(Duration::from_secs(60)));
    assert_eq!(peer.read_to_end(), "");
    wait_for(&server, "it is gone", |counts| connections(counts) == 0);
}
