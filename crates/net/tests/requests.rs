//! A request that is too long for UDP goes over TCP, and over UDP when nobody listens there; names are looked up.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod support;
use engine::event::Event;
use sip::Method;
use std::net::{TcpListener, UdpSocket};
use support::{LONG, TcpPeer, connections, listening, receive, start, udp_peer, wait_for};

const LARGE: [u8; 3000] = [b'x'; 3000];

/// A port with nobody on TCP, or a listener.
fn peer_on_both() -> (UdpSocket, TcpListener) {
    loop {
        let udp = udp_peer("127.0.0.1:0");
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
            return (udp, tcp);
        }
    }
}

#[test]
fn a_small_request_goes_over_udp() {
    let (_server, application, _events) = start(listening("sip:127.0.0.1:0"));
    let (udp, _tcp) = peer_on_both();
    application.send(
        Method::Options,
        &format!("sip:x@{}", udp.local_addr().unwrap()),
        b"small",
    );
    assert!(receive(&udp).0.contains("Via: SIP/2.0/UDP "));
}

#[test]
fn a_large_request_goes_over_tcp_and_its_response_comes_back() {
    let (server, application, events) = start(listening("sip:127.0.0.1:0"));
    let (udp, tcp) = peer_on_both();
    application.send(
        Method::Message,
        &format!("sip:x@{}", udp.local_addr().unwrap()),
        &LARGE,
    );
    let (stream, _) = tcp.accept().unwrap();
    let mut peer = TcpPeer::new(stream);
    let request = peer.read();
    assert!(request.contains("Via: SIP/2.0/TCP "), "{request}");
    let copied = ["Via", "From", "To", "Call-ID", "CSeq"].map(|name| {
        let field = request
            .lines()
            .find(|line| line.starts_with(&format!("{name}:")))
            .unwrap();
        if name == "To" {
            format!("{field};tag=2")
        } else {
            field.to_owned()
        }
    });
    peer.write(&format!(
        "SIP/2.0 200 OK\r\n{}\r\nContent-Length: 0\r\n\r\n",
        copied.join("\r\n")
    ));
    loop {
        if let (_, Event::Response(response)) = events.recv_timeout(LONG).unwrap() {
            assert_eq!(response.message.status(), 200);
            break;
        }
    }
    wait_for(&server, "one connection was opened", |counts| {
        connections(counts) == 1
    });
}

#[test]
fn a_large_request_falls_back_to_udp_where_nobody_listens_on_tcp() {
    let (_server, application, _events) = start(listening("sip:127.0.0.1:0"));
    let (udp, tcp) = peer_on_both();
    drop(tcp);
    application.send(
        Method::Message,
        &format!("sip:x@{}", udp.local_addr().unwrap()),
        &LARGE,
    );
    let (request, _) = receive(&udp);
    assert!(request.contains("Via: SIP/2.0/UDP "), "{request}");
    assert!(request.ends_with("xxxx"));
}

#[test]
fn a_host_name_is_looked_up() {
    let (_server, application, _events) = start(listening("sip:127.0.0.1:0;transport=udp"));
    let udp = udp_peer("127.0.0.1:0");
    application.send(
        Method::Options,
        &format!("sip:x@localhost:{}", udp.local_addr().unwrap().port()),
        b"",
    );
    assert!(receive(&udp).0.starts_with("OPTIONS sip:x@localhost"));
}

#[test]
fn a_refused_connection_is_told_to_the_application() {
    let (_server, application, events) = start(listening("sip:127.0.0.1:0;transport=tcp"));
    let (udp, tcp) = peer_on_both();
    drop(tcp);
    application.send(
        Method::Options,
        &format!("sip:x@{};transport=tcp", udp.local_addr().unwrap()),
        b"",
    );
    loop {
        match events.recv_timeout(LONG).unwrap().1 {
            Event::Response(response) => {
                assert_eq!(response.message.status(), 503, "{:?}", response.message);
                break;
            }
            Event::Failed(failed) => panic!("{failed:?}"),
            _ => {}
        }
    }
}
