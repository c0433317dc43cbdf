//! Over TLS a message goes to whoever proves the name of the URI that it is for, and what belongs to a request goes where that went: its
//! CANCEL, its ACK, and these again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
use bytes::Bytes;
use engine::command::{Cancel, DialogReference, Draft, SendRequest};
use engine::config::{Bounds, Config, Listener, Network, SessionTimers, Timers};
use engine::event::Response;
use engine::id::{ApplicationId, CommandId, ConnectionId, Generator};
use engine::transport::{ListenerId, Origin, Transport};
use engine::{Command, Engine, Event, Time, Transmit};
use sip::{Limits, Message, Method};
use std::net::SocketAddr;

const APPLICATION: ApplicationId = ApplicationId(1);
const OWN: &str = "192.0.2.1:5061";
const PEER: &str = "192.0.2.9:5061";

fn engine() -> Engine {
    let bound: SocketAddr = OWN.parse().unwrap();
    let config = Config {
        shard: 0,
        shards: 1,
        listeners: vec![Listener {
            transport: Transport::Tls,
            bound,
            addresses: vec![bound.ip()],
            advertised: None,
        }],
        timers: Timers::default(),
        bounds: Bounds::default(),
        udp_request_limit: None,
        drachtio_compatible: false,
        session: SessionTimers::default(),
        admission: engine::admit::Admission::everybody(),
        failover: engine::config::Failover::default(),
        alias: false,
        network: Network::default(),
    };
    let mut engine = Engine::new(config, Generator::new([9; 32]));
    engine.handle_attach(Time::ZERO, APPLICATION);
    engine
}

/// Every message that goes out, the latest last, each for this name.
fn sent(engine: &mut Engine, name: &str) -> Vec<(Transmit, Message)> {
    let sent = std::iter::from_fn(|| engine.poll_transmit());
    sent.map(|transmit| {
        let message = Message::parse(transmit.bytes.clone(), &Limits::default()).unwrap();
        assert_eq!(
            transmit.server_name.as_deref(),
            Some(name),
            "{}",
            message.method()
        );
        (transmit, message)
    })
    .collect()
}

fn answer(engine: &mut Engine, request: &Message, status: u16) {
    let via = request.top_via().unwrap();
    let branch = via.branch().unwrap();
    let text = format!(
        "SIP/2.0 {status} X\r\nVia: SIP/2.0/TLS {OWN};branch={branch}\r\nFrom: {}\r\nTo: <sip:b@192.0.2.9>;tag=t\r\n\
         Call-ID: {}\r\nCSeq: {}\r\nContact: <sip:b@192.0.2.9:5061;transport=tls>\r\nContent-Length: 0\r\n\r\n",
        String::from_utf8_lossy(&request.header(sip::HeaderName::From).unwrap().value()),
        request.call_id().unwrap(),
        String::from_utf8_lossy(&request.header(sip::HeaderName::CSeq).unwrap().value()),
    );
    let bytes = Bytes::from(text);
    let size = bytes.len();
    let message = Message::parse(bytes, &Limits::default()).unwrap();
    let origin = Origin {
        listener: ListenerId(0),
        transport: Transport::Tls,
        peer: PEER.parse().unwrap(),
        local: OWN.parse().unwrap(),
        connection: Some(ConnectionId(1)),
    };
    engine.handle_message(Time::ZERO, origin, message, size);
}

fn send(engine: &mut Engine, method: Method, dialog: Option<DialogReference>) {
    let send = SendRequest {
        id: CommandId(1),
        method,
        uri: "sips:b@192.0.2.9".to_owned(),
        dialog,
        next_hop: None,
        draft: Draft::default(),
    };
    engine.handle_command(Time::ZERO, APPLICATION, Command::Send(send));
}

fn invite(engine: &mut Engine) -> Message {
    send(engine, Method::Invite, None);
    let mut sent = sent(engine, "192.0.2.9");
    assert_eq!(sent.len(), 1);
    sent.remove(0).1
}

fn response(engine: &mut Engine) -> Response {
    let events = std::iter::from_fn(|| engine.poll_event());
    let mut responses = events.filter_map(|(_, event)| match event {
        Event::Response(response) => Some(response),
        _ => None,
    });
    responses.next().expect("a response")
}

fn methods(sent: &[(Transmit, Message)]) -> Vec<Method> {
    sent.iter().map(|(_, message)| message.method()).collect()
}

#[test]
fn a_cancel_and_the_ack_of_a_refusal_are_for_whom_the_invite_was() {
    let mut engine = engine();
    let invite = invite(&mut engine);
    answer(&mut engine, &invite, 180);
    let transaction = response(&mut engine).transaction;
    let cancel = Cancel {
        id: CommandId(2),
        transaction,
        draft: Draft::default(),
    };
    engine.handle_command(Time::ZERO, APPLICATION, Command::Cancel(cancel));
    let cancel = sent(&mut engine, "192.0.2.9");
    assert_eq!(methods(&cancel), [Method::Cancel]);
    answer(&mut engine, &invite, 487);
    assert_eq!(methods(&sent(&mut engine, "192.0.2.9")), [Method::Ack]);
}

#[test]
fn an_ack_that_is_repeated_is_for_whom_it_was() {
    let mut engine = engine();
    let invite = invite(&mut engine);
    answer(&mut engine, &invite, 200);
    let dialog = response(&mut engine).dialog.unwrap();
    send(&mut engine, Method::Ack, Some(DialogReference::Id(dialog)));
    assert_eq!(methods(&sent(&mut engine, "192.0.2.9")), [Method::Ack]);
    answer(&mut engine, &invite, 200);
    assert_eq!(methods(&sent(&mut engine, "192.0.2.9")), [Method::Ack]);
}
