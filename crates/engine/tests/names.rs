//! Over TLS a message goes to whoever proves the name of the URI that it is for, and what belongs to a request goes where that went: its
//! CANCEL, its ACK, and these again. What a `sips` URI promises is kept in both directions.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod alone;
use alone::{APPLICATION, config, started};
use engine::command::{Cancel, DialogReference, Draft, Respond, SendRequest};
use engine::event::Response;
use engine::id::{CommandId, ConnectionId};
use engine::transport::{ListenerId, Origin, Transport};
use engine::{Command, Engine, Event, Time, Transmit};
use sip::{Limits, Message, Method};

const OWN: &str = "192.0.2.1:5061";
const PEER: &str = "192.0.2.9:5061";

fn engine() -> Engine {
    started(config(
        OWN,
        &[Transport::Tls, Transport::Tcp, Transport::Wss],
    ))
}

/// Every message that goes out, the latest last, each for this name.
fn sent(engine: &mut Engine, name: &str) -> Vec<(Transmit, Message)> {
    let sent = alone::sent(engine);
    for (transmit, message) in &sent {
        let proved = transmit.server_name.as_deref();
        assert_eq!(proved, Some(name), "{}", message.method());
    }
    sent
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
    receive(engine, Transport::Tls, &text);
}

fn receive(engine: &mut Engine, transport: Transport, text: &str) {
    let listener = match transport {
        Transport::Tls => 0,
        Transport::Tcp => 1,
        _ => 2,
    };
    let origin = Origin {
        listener: ListenerId(listener),
        transport,
        peer: PEER.parse().unwrap(),
        local: OWN.parse().unwrap(),
        connection: Some(ConnectionId(u64::from(listener) + 1)),
    };
    alone::receive(engine, origin, text);
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

/// Answers an INVITE to this URI, with this Contact, over this transport; gives the Contact of the answer, and the transport of a BYE.
fn answered(transport: Transport, uri: &str, contact: &str, more: &str) -> (String, Transport) {
    let mut engine = engine();
    let text = format!(
        "INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/{} 192.0.2.9;branch=z9hG4bK1\r\nMax-Forwards: 70\r\nFrom: <sip:b@192.0.2.9>;tag=b\r\n\
         To: <{uri}>\r\nCall-ID: promise\r\nCSeq: 1 INVITE\r\nContact: <{contact}>\r\n{more}Content-Length: 0\r\n\r\n",
        transport.via()
    );
    receive(&mut engine, transport, &text);
    let events = std::iter::from_fn(|| engine.poll_event());
    let request = events
        .filter_map(|(_, event)| match event {
            Event::Request(request) => Some(request.transaction),
            _ => None,
        })
        .next()
        .unwrap();
    let respond = Respond {
        id: CommandId(1),
        transaction: request,
        status: 200,
        reason: String::new(),
        draft: Draft::default(),
    };
    engine.handle_command(Time::ZERO, APPLICATION, Command::Respond(respond));
    let events = std::iter::from_fn(|| engine.poll_event());
    let dialog = events
        .filter_map(|(_, event)| match event {
            Event::Sent(sent) => sent.dialog,
            _ => None,
        })
        .next()
        .unwrap();
    let transmits: Vec<Transmit> = std::iter::from_fn(|| engine.poll_transmit()).collect();
    let last = transmits.last().unwrap().bytes.clone();
    let answer = Message::parse(last, &Limits::default()).unwrap();
    let contact = answer.header(sip::HeaderName::Contact).unwrap().text();
    let contact = contact.into_owned();
    let ack = text.replace("INVITE", "ACK").replacen(
        &format!("To: <{uri}>"),
        &format!("To: <{uri}>;tag={}", answer.to().unwrap().tag().unwrap()),
        1,
    );
    receive(&mut engine, transport, &ack);
    send(&mut engine, Method::Bye, Some(DialogReference::Id(dialog)));
    let bye = std::iter::from_fn(|| engine.poll_transmit())
        .last()
        .unwrap();
    assert!(bye.bytes.starts_with(b"BYE "), "{:?}", bye.bytes);
    (contact, bye.destination.transport)
}

#[test]
fn what_a_sips_uri_promises_is_kept_in_both_directions() {
    let (sips, sip) = (
        "sips:b@192.0.2.9:5061",
        "sip:b@192.0.2.9:5061;transport=tls",
    );
    let own = "sips:a@192.0.2.1";
    let plain = "<sip:192.0.2.1:5061;transport=tls>";
    let secure = "<sips:192.0.2.1:5061>";
    let tls = |uri, contact, more| answered(Transport::Tls, uri, contact, more);
    // RFC 3261 §12.1.1: by the request-URI, else the top Record-Route, else the Contact.
    assert_eq!(tls(own, sip, ""), (secure.to_owned(), Transport::Tls));
    assert_eq!(tls("sip:a@192.0.2.1", sip, "").0, plain);
    assert_eq!(tls("sip:a@192.0.2.1", sips, "").0, secure);
    let route = "Record-Route: <sip:192.0.2.9:5061;transport=tls;lr>\r\n";
    assert_eq!(tls("sip:a@192.0.2.1", sips, route).0, plain);
    let route = "Record-Route: <sips:192.0.2.9:5061;lr>\r\n";
    assert_eq!(tls("sip:a@192.0.2.1", sip, route).0, secure);
    // A browser's.
    let browser = answered(Transport::Wss, own, "sips:x@q.invalid;transport=ws", "");
    let secure = "<sips:192.0.2.1:5061;transport=ws>".to_owned();
    assert_eq!(browser, (secure, Transport::Wss));
    // What ends TLS before us is the only way to whoever is behind it, as long as there is a way.
    let (contact, bye) = answered(Transport::Tcp, "sip:a@192.0.2.1", sips, "");
    assert_eq!(contact, "<sip:192.0.2.1:5061;transport=tcp>");
    assert_eq!(bye, Transport::Tcp);
}

#[test]
fn a_call_to_a_sips_uri_has_a_sips_contact() {
    let mut engine = engine();
    let invite = invite(&mut engine);
    let contact = invite.header(sip::HeaderName::Contact).unwrap().text();
    assert_eq!(contact, "<sips:192.0.2.1:5061>");
}
