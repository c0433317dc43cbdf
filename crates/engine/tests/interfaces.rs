//! A proxy between two interfaces, transports or address families writes both its names into Record-Route, so that each side sees one
//! it can reach (RFC 5658 §3), rewrites neither, and takes both off a request that comes back.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod alone;
use alone::{APPLICATION, receive, started};
use engine::command::{Proxy, ProxyOptions};
use engine::config::{Config, Listener};
use engine::id::{CommandId, ConnectionId};
use engine::transport::{ListenerId, Origin, Transport};
use engine::{Command, Engine, Event, Time, Transmit};
use sip::{HeaderName, Limits, Message};
use std::net::SocketAddr;

const OUTSIDE: &str = "198.51.100.1:5060";
const INSIDE: &str = "10.0.0.1:5070";
const SIX: &str = "[2001:db8::1]:5060";

fn engine() -> Engine {
    engine_at(OUTSIDE)
}

/// Its listener outside has the first address, and is bound to this.
fn engine_at(outside: &str) -> Engine {
    let listener = |transport, address: &str| {
        let bound: SocketAddr = address.parse().unwrap();
        Listener {
            transport,
            bound,
            addresses: vec![bound.ip()],
            advertised: None,
        }
    };
    let first = Listener {
        bound: outside.parse().unwrap(),
        ..listener(Transport::Udp, OUTSIDE)
    };
    let config = Config {
        listeners: vec![
            first,
            listener(Transport::Tcp, INSIDE),
            listener(Transport::Udp, SIX),
        ],
        admission: engine::admit::Admission::everybody(),
        ..alone::config(OUTSIDE, &[])
    };
    started(config)
}

fn origin(listener: u16, transport: Transport, peer: &str, local: &str) -> Origin {
    Origin {
        listener: ListenerId(listener),
        transport,
        peer: peer.parse().unwrap(),
        local: local.parse().unwrap(),
        connection: transport.is_reliable().then_some(ConnectionId(1)),
    }
}

fn request(method: &str, uri: &str, via: &str, to_tag: &str, more: &str) -> String {
    format!(
        "{method} {uri} SIP/2.0\nVia: SIP/2.0/{via};branch=z9hG4bK{method}\nMax-Forwards: 70\nFrom: <sip:a@a.example>;tag=1\n\
         To: <sip:b@b.example>{to_tag}\nCall-ID: two-sides\nCSeq: 1 {method}\nContact: <sip:a@198.51.100.7>\n{more}\
         Content-Length: 0\n\n"
    )
}

/// The one request that goes out.
fn sent(engine: &mut Engine) -> (Transmit, Message) {
    std::iter::from_fn(|| engine.poll_transmit())
        .find_map(|transmit| {
            let message = Message::parse(transmit.bytes.clone(), &Limits::default()).unwrap();
            message.is_request().then_some((transmit, message))
        })
        .expect("a request")
}

/// An INVITE from outside over UDP is proxied to `target`; gives its Record-Route values.
fn record_routes(engine: &mut Engine, target: &str, kept: &str) -> Vec<String> {
    let outside = origin(0, Transport::Udp, "198.51.100.7:5060", OUTSIDE);
    let text = request("INVITE", "sip:b@b.example", "UDP 198.51.100.7", "", kept);
    receive(engine, outside, &text);
    let transaction = std::iter::from_fn(|| engine.poll_event())
        .find_map(|(_, event)| match event {
            Event::Request(request) => Some(request.transaction),
            _ => None,
        })
        .unwrap();
    let proxy = Proxy {
        id: CommandId(1),
        transaction,
        targets: vec![target.to_owned()],
        options: ProxyOptions {
            record_route: true,
            ..ProxyOptions::default()
        },
        headers: Vec::new(),
    };
    engine.handle_command(Time::ZERO, APPLICATION, Command::Proxy(proxy));
    let (_, invite) = sent(engine);
    let values = invite.values(HeaderName::RecordRoute);
    values.map(|value| value.into_owned()).collect()
}

#[test]
fn from_udp_to_tcp_on_another_interface_and_back() {
    let mut engine = engine();
    let earlier = "Record-Route: <sip:edge.example;lr>\n";
    let routes = record_routes(&mut engine, "sip:b@10.0.0.9:5080;transport=tcp", earlier);
    assert_eq!(
        routes,
        [
            "<sip:10.0.0.1:5070;transport=tcp;lr>",
            "<sip:198.51.100.1:5060;lr>",
            "<sip:edge.example;lr>"
        ]
    );
    // The callee's route set is in that order, the caller's the other way round.
    let inside = origin(1, Transport::Tcp, "10.0.0.9:5080", INSIDE);
    let bye = request(
        "BYE",
        "sip:a@198.51.100.7",
        "TCP 10.0.0.9:5080",
        ";tag=2",
        &format!("Route: {}, {}\n", routes[0], routes[1]),
    );
    receive(&mut engine, inside, &bye);
    let (transmit, bye) = sent(&mut engine);
    assert_eq!(transmit.destination.transport, Transport::Udp);
    assert_eq!(transmit.destination.peer.to_string(), "198.51.100.7:5060");
    assert_eq!(bye.values(HeaderName::Route).count(), 0);
    assert_eq!(bye.values(HeaderName::RecordRoute).count(), 0);
    let outside = origin(0, Transport::Udp, "198.51.100.7:5060", OUTSIDE);
    let info = request(
        "INFO",
        "sip:b@10.0.0.9:5080;transport=tcp",
        "UDP 198.51.100.7",
        ";tag=2",
        &format!("Route: {}, {}\n", routes[1], routes[0]),
    );
    receive(&mut engine, outside, &info);
    let (transmit, info) = sent(&mut engine);
    assert_eq!(transmit.destination.transport, Transport::Tcp);
    assert_eq!(transmit.destination.peer.to_string(), "10.0.0.9:5080");
    assert_eq!(info.values(HeaderName::Route).count(), 0);
}

#[test]
fn from_one_address_family_to_the_other_and_back() {
    let mut engine = engine();
    let routes = record_routes(&mut engine, "sip:b@[2001:db8::9]", "");
    assert_eq!(
        routes,
        ["<sip:[2001:db8::1]:5060;lr>", "<sip:198.51.100.1:5060;lr>"]
    );
    let six = origin(2, Transport::Udp, "[2001:db8::9]:5060", SIX);
    let bye = request(
        "BYE",
        "sip:a@198.51.100.7",
        "UDP [2001:db8::9]",
        ";tag=2",
        &format!("Route: {}\nRoute: {}\n", routes[0], routes[1]),
    );
    receive(&mut engine, six, &bye);
    let (transmit, bye) = sent(&mut engine);
    assert_eq!(transmit.destination.peer.to_string(), "198.51.100.7:5060");
    assert_eq!(bye.values(HeaderName::Route).count(), 0);
}

/// A BYE that came to this address, which its Route names too: where it goes on without an application, and with how many routes.
fn goes(engine: &mut Engine, local: &str) -> Option<(String, usize)> {
    let came = origin(0, Transport::Udp, "198.51.100.7:5060", local);
    let bye = request(
        "BYE",
        "sip:a@203.0.113.9",
        "UDP 198.51.100.7",
        ";tag=2",
        &format!("Route: <sip:{local};lr>\n"),
    );
    receive(engine, came, &bye);
    let sent = std::iter::from_fn(|| engine.poll_transmit()).find_map(|transmit| {
        let message = Message::parse(transmit.bytes.clone(), &Limits::default()).unwrap();
        message.is_request().then_some((transmit, message))
    });
    sent.map(|(transmit, bye)| {
        let routes = bye.values(HeaderName::Route).count();
        (transmit.destination.peer.to_string(), routes)
    })
}

#[test]
fn an_address_that_the_host_got_later_is_its_own_where_all_are() {
    let goes_on = |listens: &str| goes(&mut engine_at(listens), "198.51.100.77:5060");
    let callee = Some(("203.0.113.9:5060".to_owned(), 0));
    assert_eq!(goes_on("0.0.0.0:5060"), callee);
    // Bound to one address, the other is somebody else's, whatever the datagram says.
    assert_ne!(goes_on("198.51.100.1:5060"), callee);
}

#[test]
fn on_one_side_one_name_is_enough() {
    let mut engine = engine();
    let routes = record_routes(&mut engine, "sip:b@198.51.100.9", "");
    assert_eq!(routes, ["<sip:198.51.100.1:5060;lr>"]);
}
