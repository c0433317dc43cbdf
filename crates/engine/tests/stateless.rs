//! What is forwarded without state: its CANCEL and its ACK have its branch wherever they come from, and its answer goes back to where it came
//! from, over what it came over, whoever changes what the Via beneath says.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod alone;
use alone::{APPLICATION, config, sent, started};
use engine::command::{Proxy, ProxyOptions};
use engine::id::{CommandId, ConnectionId};
use engine::transport::{ListenerId, Origin, Transport};
use engine::{Command, Engine, Event, Time};
use sip::{HeaderName, Message};

const OWN: &str = "192.0.2.1:5060";

fn engine() -> Engine {
    started(config(
        OWN,
        &[Transport::Udp, Transport::Tcp, Transport::Ws],
    ))
}

fn receive(engine: &mut Engine, transport: Transport, peer: &str, text: &str) {
    let index = match transport {
        Transport::Udp => 0,
        Transport::Tcp => 1,
        _ => 2,
    };
    let origin = Origin {
        listener: ListenerId(index),
        transport,
        peer: peer.parse().unwrap(),
        local: OWN.parse().unwrap(),
        connection: (index > 0).then_some(ConnectionId(1)),
    };
    alone::receive(engine, origin, text);
    let events = std::iter::from_fn(|| engine.poll_event()).collect::<Vec<_>>();
    for (_, event) in events {
        if let Event::Request(request) = event {
            let proxy = Proxy {
                id: CommandId(1),
                transaction: request.transaction,
                targets: vec!["sip:b@198.51.100.9".to_owned()],
                options: ProxyOptions {
                    stateless: true,
                    ..ProxyOptions::default()
                },
                headers: Vec::new(),
            };
            engine.handle_command(Time::ZERO, APPLICATION, Command::Proxy(proxy));
        }
    }
}

fn request(method: &str, via: &str, to: &str) -> String {
    format!(
        "{method} sip:b@192.0.2.1 SIP/2.0\nVia: SIP/2.0/{via};branch=z9hG4bKone\nMax-Forwards: 70\nFrom: <sip:a@a.example>;tag=1\n\
         To: <sip:b@b.example>{to}\nCall-ID: stateless\nCSeq: 1 {method}\nContact: <sip:a@198.51.100.7>\nContent-Length: 0\n\n"
    )
}

fn answer(forwarded: &Message, status: &str) -> String {
    let vias: Vec<_> = forwarded.values(HeaderName::Via).collect();
    format!(
        "SIP/2.0 {status}\nVia: {}\nVia: {}\nFrom: <sip:a@a.example>;tag=1\nTo: <sip:b@b.example>;tag=2\nCall-ID: stateless\nCSeq: 1 {}\n\
         Content-Length: 0\n\n",
        vias[0],
        vias[1],
        forwarded.method()
    )
}

#[test]
fn a_cancel_and_an_ack_have_the_branch_of_their_invite_from_wherever_they_come() {
    let mut engine = engine();
    let mut branches = Vec::new();
    // The NAT before the phone gave it another port meanwhile.
    for (method, port, to) in [
        ("INVITE", 40_000, ""),
        ("INVITE", 40_001, ""),
        ("CANCEL", 40_001, ""),
        ("ACK", 40_002, ";tag=2"),
    ] {
        let text = request(method, "UDP 10.0.0.7", to);
        let peer = format!("198.51.100.7:{port}");
        receive(&mut engine, Transport::Udp, &peer, &text);
        let sent = sent(&mut engine);
        let forwarded = sent.iter().filter(|(_, message)| message.is_request());
        let found: Vec<_> = forwarded.map(|(_, message)| message).collect();
        assert_eq!(found.len(), 1, "{method}: {sent:?}");
        let via = found[0].top_via().unwrap();
        branches.push(via.branch().unwrap().to_owned());
    }
    branches.dedup();
    assert_eq!(branches.len(), 1, "{branches:?}");
}

#[test]
fn an_answer_goes_back_over_what_the_request_came_over_and_to_nobody_else() {
    for (transport, named) in [
        (Transport::Udp, "UDP"),
        (Transport::Tcp, "TCP"),
        // TLS ended before us.
        (Transport::Tcp, "TLS"),
        (Transport::Ws, "WSS"),
    ] {
        let mut engine = engine();
        let peer = "198.51.100.7:40000";
        let text = request("OPTIONS", &format!("{named} q1.invalid"), "");
        receive(&mut engine, transport, peer, &text);
        let (_, forwarded) = sent(&mut engine).pop().unwrap();
        let answer = answer(&forwarded, "200 OK");
        let changed = [
            ("received=198.51.100.7", "received=198.51.100.8"),
            ("rport=40000", "rport=40001"),
            ("q1.invalid", "q2.invalid"),
            (&*format!("back={transport}"), "back=wss"),
            (";back=", ";other="),
        ];
        for (is, other) in changed {
            let led = answer.replace(is, other);
            assert_ne!(led, answer, "{is}");
            receive(&mut engine, Transport::Udp, "198.51.100.9:5060", &led);
            assert!(sent(&mut engine).is_empty(), "{named}: {other}");
        }
        receive(&mut engine, Transport::Udp, "198.51.100.9:5060", &answer);
        let (passed, message) = sent(&mut engine).pop().expect(named);
        assert_eq!(message.status(), 200);
        assert_eq!(passed.destination.transport, transport);
        assert_eq!(passed.destination.peer.to_string(), peer);
    }
}
