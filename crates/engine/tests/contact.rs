//! A request that makes a dialog says in its Contact where its sender is reached, or it gets 400 when it is answered so; a proxy
//! passes it on as it is (RFC 3261 §8.1.1.8, §12.1.1).
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod network;

use bytes::Bytes;
use engine::Command;
use engine::command::{ProxyOptions, Written};
use engine::event::{CommandError, Event};
use engine::transport::{ListenerId, Origin, Transport};
use network::{Network, address};
use sip::{Build, HeaderName, Limits, Message};
use std::sync::Arc;

/// Gives the engine a request with these Contact lines; the answers go to a port where nobody listens.
fn receive(network: &mut Network, method: &str, contact: &str) {
    receive_with(network, method, "z9hG4bKa", contact);
}

fn receive_with(network: &mut Network, method: &str, branch: &str, contact: &str) {
    let text = format!(
        "{method} sip:bob@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.77;branch={branch}\r\nMax-Forwards: 70\r\n\
         From: <sip:a@192.0.2.77>;tag=f\r\nTo: <sip:bob@192.0.2.1>\r\nCall-ID: c\r\nCSeq: 1 {method}\r\n\
         Event: presence\r\nRefer-To: <sip:c@192.0.2.9>\r\n{contact}Content-Length: 0\r\n\r\n"
    );
    let origin = Origin {
        listener: ListenerId(0),
        transport: Transport::Udp,
        peer: "192.0.2.77:6000".parse().unwrap(),
        local: address(0),
        connection: None,
    };
    let message = Message::parse(Bytes::from(text.clone()), &Limits::default()).unwrap();
    let now = network.now;
    let engine = &mut network.hosts[0].engine;
    engine.handle_message(now, origin, message, text.len());
    network.settle();
}

fn failure(network: &mut Network) -> CommandError {
    match network.event(0) {
        Event::Failed(failed) => failed.error,
        other => panic!("{other:?}"),
    }
}

/// The status and reason of the last message on the wire.
fn last(network: &Network) -> (u16, String) {
    let message = network.messages.last().unwrap();
    (message.status(), message.reason().into_owned())
}

const MISSING: &str = "Missing Contact";

#[test]
fn without_one_the_caller_gets_400_and_the_application_is_told() {
    for contact in [
        "",
        "Contact: *\r\n",
        "Contact: <sip:>\r\n",
        "Contact: <tel:+15551234>\r\n",
    ] {
        for (method, status) in [
            ("INVITE", 180),
            ("INVITE", 200),
            ("SUBSCRIBE", 200),
            ("REFER", 202),
        ] {
            let mut network = Network::new(1);
            receive(&mut network, method, contact);
            let request = network.request(0);
            network.respond(0, request.transaction, status, b"");
            assert_eq!(last(&network), (400, MISSING.to_owned()), "{method}");
            let refusal = network.messages.last().unwrap();
            assert!(refusal.header(HeaderName::Warning).is_some());
            assert_eq!(failure(&mut network), CommandError::NoContact);
            // It is over: what the application goes on to say is too late.
            network.respond(0, request.transaction, 200, b"");
            assert_eq!(failure(&mut network), CommandError::AlreadyAnswered);
            network.rest_empty();
        }
    }
}

#[test]
fn a_response_that_the_link_wrote_is_held_to_it_as_well() {
    let mut network = Network::new(1);
    receive(&mut network, "INVITE", "");
    let request = network.request(0);
    let response = Build::reply(&request.message, 200, "OK", Some("bob"));
    let response = response.header(HeaderName::Contact, "<sip:bob@192.0.2.1>");
    let message = Message::parse(response.finish(b""), &Limits::default()).unwrap();
    network.command(0, |id| {
        Command::RespondWritten(Written {
            id,
            transaction: request.transaction,
            message: Arc::new(message),
        })
    });
    network.settle();
    assert_eq!(last(&network), (400, MISSING.to_owned()));
    assert_eq!(failure(&mut network), CommandError::NoContact);
    network.rest_empty();
}

#[test]
fn what_makes_no_dialog_needs_none() {
    let mut network = Network::new(1);
    receive(&mut network, "INVITE", "");
    let request = network.request(0);
    network.respond(0, request.transaction, 486, b"");
    assert_eq!(last(&network).0, 486);
    let mut network = Network::new(1);
    receive(&mut network, "REFER", "");
    let request = network.request(0);
    let declined = [("Refer-Sub", "false")];
    network.respond_with(0, request.transaction, 200, &declined, b"");
    assert_eq!(last(&network).0, 200);
    let mut network = Network::new(1);
    receive(&mut network, "OPTIONS", "");
    let request = network.request(0);
    network.respond(0, request.transaction, 200, b"");
    assert_eq!(last(&network).0, 200);
}

#[test]
fn of_several_the_first_is_taken() {
    for contacts in [
        "Contact: <sip:one@192.0.2.77>, <sip:two@192.0.2.78>\r\n",
        "Contact: <sip:one@192.0.2.77>, <sip:two\r\n",
        // What only a proxy knows to reach.
        "Contact: <tel:+15551234>\r\nRecord-Route: <sip:192.0.2.77;lr>\r\n",
    ] {
        let mut network = Network::new(1);
        receive(&mut network, "INVITE", contacts);
        let request = network.request(0);
        network.respond(0, request.transaction, 200, b"");
        assert_eq!(last(&network).0, 200, "{contacts}");
        assert!(network.sent(0).dialog.is_some());
    }
}

#[test]
fn a_caller_of_rfc_2543_is_reached_by_its_from() {
    let mut network = Network::new(1);
    receive_with(&mut network, "INVITE", "1", "");
    let request = network.request(0);
    network.respond(0, request.transaction, 200, b"");
    assert_eq!(last(&network).0, 200);
    assert!(network.sent(0).dialog.is_some());
}

#[test]
fn a_proxy_passes_it_on_as_it_is() {
    let mut network = Network::new(2);
    receive(&mut network, "INVITE", "");
    let request = network.request(0);
    let to_bob = ["sip:bob@192.0.2.2"];
    network.proxy(0, request.transaction, &to_bob, ProxyOptions::default());
    network.settle();
    let forwarded = network.request(1);
    assert!(forwarded.message.header(HeaderName::Contact).is_none());
    network.respond(1, forwarded.transaction, 486, b"");
    assert_eq!(last(&network).0, 486);
}
