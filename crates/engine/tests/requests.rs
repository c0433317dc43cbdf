//! Requests find their way, their transaction and their answer, whatever the network and the peer make of them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod network;

use bytes::Bytes;
use engine::command::SendRequest;
use engine::event::{CommandError, Event};
use engine::transport::{ListenerId, Origin, Transport};
use engine::{Command, ResolveError, Resolved};
use network::{Network, SDP, address, config, draft, seconds};
use sip::{HeaderName, Limits, Message, Method};

const INVITE: &str = "INVITE sip:bob@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.9;branch=z9hG4bKa\r\nMax-Forwards: 70\r\n\
    From: <sip:a@10.0.0.9>;tag=f\r\nTo: <sip:bob@192.0.2.1>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\nContact: <sip:a@192.0.2.77>\r\n\
    Content-Length: 0\r\n\r\n";

fn origin() -> Origin {
    Origin {
        listener: ListenerId(0),
        transport: Transport::Udp,
        peer: "192.0.2.77:6000".parse().unwrap(),
        local: address(0),
        connection: None,
    }
}

fn receive(network: &mut Network, text: &str) {
    let now = network.now;
    match Message::parse(Bytes::copy_from_slice(text.as_bytes()), &Limits::default()) {
        Ok(message) => network.hosts[0]
            .engine
            .handle_message(now, origin(), message, text.len()),
        Err(error) => {
            network.hosts[0]
                .engine
                .handle_malformed(now, origin(), text.as_bytes(), &error)
        }
    }
    network.settle();
}

fn statuses(network: &Network) -> Vec<u16> {
    network.messages.iter().map(Message::status).collect()
}

#[test]
fn the_via_gets_received_and_rport_and_the_response_goes_back_to_the_source() {
    let mut network = Network::new(1);
    receive(&mut network, INVITE);
    let request = network.request(0);
    let via = request.message.top_via().unwrap();
    assert_eq!(
        (via.received(), via.rport()),
        (Some("192.0.2.77"), Some(Some(6000)))
    );
    assert_eq!(statuses(&network), [100]);
    network.respond(0, request.transaction, 404, b"");
    network.rest();
}

#[test]
fn repetitions_are_absorbed_and_get_the_last_response() {
    let mut network = Network::new(1);
    receive(&mut network, INVITE);
    receive(&mut network, INVITE);
    let request = network.request(0);
    network.no_event(0);
    network.respond(0, request.transaction, 404, b"");
    receive(&mut network, INVITE);
    assert_eq!(statuses(&network), [100, 100, 404, 404]);
    receive(
        &mut network,
        &INVITE
            .replace("INVITE sip", "ACK sip")
            .replace("1 INVITE", "1 ACK"),
    );
    receive(&mut network, INVITE);
    assert_eq!(network.messages.len(), 4, "absorbed once confirmed");
    network.rest();
}

#[test]
fn a_request_that_came_another_way_gets_482() {
    let mut network = Network::new(1);
    receive(&mut network, INVITE);
    receive(&mut network, &INVITE.replace("z9hG4bKa", "z9hG4bKb"));
    assert_eq!(statuses(&network), [100, 482]);
    network.request(0);
    network.no_event(0);
}

#[test]
fn keys_of_rfc_2543_work_without_the_magic_cookie() {
    let mut network = Network::new(1);
    let old = INVITE.replace(";branch=z9hG4bKa", "");
    receive(&mut network, &old);
    receive(&mut network, &old);
    let request = network.request(0);
    network.no_event(0);
    network.respond(0, request.transaction, 404, b"");
    let tag = network
        .messages
        .last()
        .unwrap()
        .to()
        .unwrap()
        .tag()
        .unwrap()
        .to_owned();
    let ack = old
        .replace("INVITE sip", "ACK sip")
        .replace("1 INVITE", "1 ACK");
    receive(
        &mut network,
        &ack.replace(
            "To: <sip:bob@192.0.2.1>",
            &format!("To: <sip:bob@192.0.2.1>;tag={tag}"),
        ),
    );
    let sent = network.messages.len();
    network.advance(seconds(4));
    assert_eq!(network.messages.len(), sent, "the 404 is acknowledged");
    network.rest();
}

#[test]
fn what_is_wrong_with_a_request_decides_its_status() {
    let cases = [
        (INVITE.replace("1 INVITE", "1 OPTIONS"), 400),
        (INVITE.replace("CSeq: 1", "CSeq: x"), 400),
        (INVITE.replace("Call-ID: c\r\n", ""), 400),
        (INVITE.replace("CSeq: 1 INVITE\r\n", ""), 0),
        (
            INVITE.replace("INVITE sip:bob@192.0.2.1", "INVITE fax:bob"),
            416,
        ),
        (
            INVITE.replace(
                "To: <sip:bob@192.0.2.1>",
                "To: <sip:bob@192.0.2.1>;tag=nobody",
            ),
            481,
        ),
        (
            INVITE
                .replace("INVITE sip", "CANCEL sip")
                .replace("1 INVITE", "1 CANCEL"),
            481,
        ),
        (INVITE.replace("SIP/2.0\r\nVia", "SIP/7.0\r\nVia"), 505),
    ];
    for (text, status) in cases {
        let mut network = Network::new(1);
        receive(&mut network, &text);
        let expected: Vec<u16> = (status != 0).then_some(status).into_iter().collect();
        assert_eq!(statuses(&network), expected, "{text}");
        network.no_event(0);
        network.rest();
    }
}

#[test]
fn every_prefix_and_every_changed_byte_of_a_request_is_survived() {
    let mut network = Network::new(1);
    for end in 0..INVITE.len() {
        receive(&mut network, INVITE.get(..end).unwrap());
    }
    for index in 0..INVITE.len() {
        for byte in [0, b' ', b'"', b';', b'<', b'\r', 0xff] {
            let mut bytes = INVITE.as_bytes().to_vec();
            bytes[index] = byte;
            let now = network.now;
            match Message::parse(Bytes::from(bytes.clone()), &Limits::default()) {
                Ok(message) => {
                    network.hosts[0]
                        .engine
                        .handle_message(now, origin(), message, bytes.len())
                }
                Err(error) => {
                    network.hosts[0]
                        .engine
                        .handle_malformed(now, origin(), &bytes, &error)
                }
            }
        }
        while network.hosts[0].engine.poll_transmit().is_some() {}
    }
    while network.hosts[0].engine.poll_event().is_some() {}
    network.rest();
}

#[test]
fn a_request_is_completed_with_what_the_application_leaves_out() {
    let mut network = Network::new(2);
    let headers = [
        ("From", "<sip:alice@localhost>"),
        ("X-Test", "1"),
        ("Via", "nonsense"),
        ("Content-Length", "99"),
    ];
    network.send(0, Method::Invite, "sip:bob@192.0.2.2", &headers, SDP);
    let sent = network.sent(0).message;
    assert_eq!(sent.from().unwrap().uri_text, "sip:alice@192.0.2.1:5060");
    assert!(sent.from().unwrap().tag().is_some());
    assert_eq!(sent.to().unwrap().uri_text, "sip:bob@192.0.2.2");
    assert_eq!(sent.max_forwards().unwrap(), Some(70));
    assert_eq!(sent.vias().count(), 1);
    assert_eq!(sent.contacts().unwrap()[0].uri_text, "sip:192.0.2.1:5060");
    assert_eq!(
        sent.header(HeaderName::ContentType).unwrap().text(),
        "application/sdp"
    );
    assert_eq!(sent.body(), SDP);
    network.send(0, Method::Message, "sip:bob@192.0.2.2", &[], b"hello");
    match network.event(0) {
        Event::Failed(failed) => assert_eq!(failed.error, CommandError::MissingContentType),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_challenged_request_is_sent_again_with_the_next_number() {
    let mut network = Network::new(2);
    network.send(0, Method::Invite, "sip:bob@192.0.2.2", &[], SDP);
    let first = network.sent(0).message;
    let invite = network.request(1);
    network.respond_with(
        1,
        invite.transaction,
        401,
        &[("WWW-Authenticate", "Digest realm=\"r\", nonce=\"n\"")],
        b"",
    );
    network.sent(1);
    assert_eq!(network.response(0).message.status(), 401);
    let call_id = first.call_id().unwrap().to_owned();
    let from = first.header(HeaderName::From).unwrap().text().into_owned();
    let sequence = format!("{} INVITE", first.cseq().unwrap().number + 1);
    let headers = [
        ("Call-ID", call_id.as_str()),
        ("From", from.as_str()),
        ("CSeq", sequence.as_str()),
    ];
    network.send(0, Method::Invite, "sip:bob@192.0.2.2", &headers, SDP);
    network.sent(0);
    let again = network.request(1);
    assert_eq!(again.message.call_id().unwrap(), call_id);
    network.respond(1, again.transaction, 200, SDP);
    network.sent(1);
    let dialog = network.response(0).dialog.unwrap();
    network.send_in(0, dialog, Method::Ack, b"");
    network.sent(0);
    network.request(1);
    network.hang_up(0, dialog, 1);
    network.rest_empty();
}

#[test]
fn names_are_resolved_and_the_next_address_is_tried_when_one_is_silent() {
    let mut network = Network::new(2);
    network.send(0, Method::Options, "sip:example.com", &[], b"");
    network.no_event(0);
    let question = network.hosts[0].resolves.remove(0);
    assert_eq!(
        (question.host.as_str(), question.port, question.transport),
        ("example.com", None, None)
    );
    let at = |text: &str| Resolved {
        transport: Transport::Udp,
        address: text.parse().unwrap(),
    };
    let now = network.now;
    let answer = Ok(vec![at("192.0.2.99:5060"), at("192.0.2.2:5060")]);
    network.hosts[0]
        .engine
        .handle_resolved(now, question.id, answer);
    network.sent(0);
    network.advance(seconds(33));
    let options = network.request(1);
    network.respond(1, options.transaction, 200, b"");
    assert_eq!(network.response(0).message.status(), 200);
    network.rest_empty();
}

#[test]
fn a_name_without_an_address_fails_the_command() {
    let mut network = Network::new(1);
    network.send(0, Method::Options, "sip:nowhere.example", &[], b"");
    network.settle();
    let question = network.hosts[0].resolves.remove(0);
    let now = network.now;
    network.hosts[0]
        .engine
        .handle_resolved(now, question.id, Err(ResolveError::NotFound));
    match network.event(0) {
        Event::Failed(failed) => assert!(matches!(failed.error, CommandError::NoTransport(_))),
        other => panic!("{other:?}"),
    }
    network.rest_empty();
}

#[test]
fn a_large_request_goes_over_tcp_and_over_udp_when_nobody_listens() {
    for refused in [false, true] {
        let mut configs = vec![config(0), config(1)];
        configs[0].udp_request_limit = Some(1300);
        let mut network = Network::with(configs);
        network.tcp_refused = refused;
        network.send(
            0,
            Method::Message,
            "sip:bob@192.0.2.2",
            &[("Content-Type", "text/plain")],
            &[b'x'; 2000],
        );
        network.sent(0);
        let message = network.request(1);
        assert_eq!(
            message.origin.transport,
            if refused {
                Transport::Udp
            } else {
                Transport::Tcp
            }
        );
        network.respond(1, message.transaction, 200, b"");
        assert_eq!(network.response(0).message.status(), 200);
        network.rest_empty();
    }
}

#[test]
fn a_next_hop_gets_the_request_and_the_request_uri_stays() {
    let mut network = Network::new(2);
    network.command(0, |id| {
        Command::Send(SendRequest {
            id,
            method: Method::Options,
            uri: "sip:bob@example.com".to_owned(),
            dialog: None,
            next_hop: Some("sip:192.0.2.2;transport=tcp".to_owned()),
            draft: draft(&[], b""),
        })
    });
    network.sent(0);
    let options = network.request(1);
    assert_eq!(options.message.request_uri(), "sip:bob@example.com");
    assert_eq!(options.origin.transport, Transport::Tcp);
    network.respond(1, options.transaction, 200, b"");
    network.rest_empty();
}

#[test]
fn a_call_over_tcp_needs_no_repetitions() {
    let mut network = Network::new(2);
    network.send(
        0,
        Method::Invite,
        "sip:bob@192.0.2.2;transport=tcp",
        &[],
        SDP,
    );
    network.sent(0);
    let invite = network.request(1);
    network.advance(seconds(10));
    assert_eq!(network.count("INVITE"), 1);
    network.respond(1, invite.transaction, 200, SDP);
    network.sent(1);
    let answer = network.response(0);
    network.send_in(0, answer.dialog.unwrap(), Method::Ack, b"");
    network.sent(0);
    network.request(1);
    network.hang_up(0, answer.dialog.unwrap(), 1);
    let transactions = network.hosts[0].engine.counts().client_transactions;
    assert!(transactions <= 1, "only the accepted INVITE lingers");
    network.rest_empty();
}

#[test]
fn a_subscription_lives_until_its_last_notify_even_when_that_overtakes_the_answer() {
    let mut network = Network::new(2);
    network.send(
        0,
        Method::Subscribe,
        "sip:bob@192.0.2.2",
        &[("Event", "presence")],
        b"",
    );
    network.sent(0);
    let subscribe = network.request(1);
    network.losses = vec![("200 OK", 1)];
    network.respond(1, subscribe.transaction, 200, b"");
    let notifier = network.sent(1).dialog.unwrap();
    network.command(1, |id| {
        Command::Send(SendRequest {
            id,
            method: Method::Notify,
            uri: String::new(),
            dialog: Some(engine::command::DialogReference::Id(notifier)),
            next_hop: None,
            draft: draft(
                &[
                    ("Event", "presence"),
                    ("Subscription-State", "terminated;reason=timeout"),
                ],
                b"",
            ),
        })
    });
    network.sent(1);
    let notify = network.request(0);
    assert!(notify.dialog.is_some());
    network.advance(seconds(1));
    let answer = network.response(0);
    assert_eq!(answer.dialog, notify.dialog);
    network.respond(0, notify.transaction, 200, b"");
    assert_eq!(network.sent(0).dialog, notify.dialog);
    assert_eq!(network.response(1).message.status(), 200);
    network.rest_empty();
}
