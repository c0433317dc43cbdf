//! Dialogs keep apart what forking brings together, and reach the peer by the way it came.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod network;

use engine::Command;
use engine::command::{DialogReference, Forking, ProxyOptions, SendRequest};
use engine::event::Event;
use network::{Network, SDP, config, draft};
use sip::{HeaderName, Method};

#[test]
fn each_fork_that_rings_has_a_dialog_and_those_that_do_not_answer_end() {
    let mut network = Network::new(4);
    network.send(0, Method::Invite, "sip:bob@192.0.2.2", &[], SDP);
    network.sent(0);
    let invite = network.request(1);
    let options = ProxyOptions {
        forking: Forking::Simultaneous,
        ..ProxyOptions::default()
    };
    network.proxy(
        1,
        invite.transaction,
        &["sip:b@192.0.2.3", "sip:b@192.0.2.4"],
        options,
    );
    let (first, second) = (network.request(2), network.request(3));
    network.respond(2, first.transaction, 180, b"");
    network.respond(3, second.transaction, 180, b"");
    let early = [
        network.response(0).dialog.unwrap(),
        network.response(0).dialog.unwrap(),
    ];
    assert_ne!(early[0], early[1]);
    assert_eq!(network.hosts[0].engine.counts().dialogs, 2);
    network.respond(3, second.transaction, 200, SDP);
    network.sent(3);
    network.sent(3);
    let answer = network.response(0);
    assert_eq!(answer.dialog, Some(early[1]));
    network.send_in(0, early[1], Method::Ack, b"");
    network.sent(0);
    network.request(3);
    network.hang_up(0, early[1], 3);
    network.rest_empty();
}

#[test]
fn a_second_fork_that_answers_is_a_dialog_of_its_own() {
    let mut network = Network::new(4);
    network.send(0, Method::Invite, "sip:bob@192.0.2.2", &[], SDP);
    network.sent(0);
    let invite = network.request(1);
    let options = ProxyOptions {
        forking: Forking::Simultaneous,
        ..ProxyOptions::default()
    };
    network.proxy(
        1,
        invite.transaction,
        &["sip:b@192.0.2.3", "sip:b@192.0.2.4"],
        options,
    );
    let (first, second) = (network.request(2), network.request(3));
    network.losses = vec![("CANCEL", 1)];
    network.respond(2, first.transaction, 200, SDP);
    network.respond(3, second.transaction, 200, SDP);
    network.sent(2);
    network.sent(3);
    for (host, answer) in [(2, network.response(0)), (3, network.response(0))] {
        assert_eq!(answer.message.status(), 200);
        let dialog = answer.dialog.unwrap();
        network.send_in(0, dialog, Method::Ack, b"");
        network.sent(0);
        assert_eq!(network.request(host).message.method(), Method::Ack);
        network.send_in(0, dialog, Method::Bye, b"");
        network.sent(0);
        let bye = network.request(host);
        network.respond(host, bye.transaction, 200, b"");
        network.sent(host);
        assert_eq!(network.response(0).message.method(), Method::Bye);
    }
    network.rest_empty();
}

#[test]
fn a_dialog_is_found_by_call_id_and_the_tag_of_its_creator_from_both_sides() {
    let mut network = Network::new(2);
    network.send(0, Method::Invite, "sip:bob@192.0.2.2", &[], SDP);
    let invite = network.sent(0).message;
    let server = network.request(1);
    network.respond(1, server.transaction, 200, SDP);
    network.sent(1);
    network.response(0);
    let reference = DialogReference::Tags {
        call_id: invite.call_id().unwrap().to_owned(),
        from_tag: invite.from().unwrap().tag().unwrap().to_owned(),
    };
    let send = |network: &mut Network, host: usize, method: Method| {
        network.command(host, |id| {
            let (dialog, uri) = (Some(reference.clone()), "sip:placeholder".to_owned());
            Command::Send(SendRequest {
                id,
                method,
                uri,
                dialog,
                next_hop: None,
                draft: draft(&[], b""),
            })
        });
        network.sent(host)
    };
    assert_eq!(
        send(&mut network, 0, Method::Ack).message.request_uri(),
        "sip:192.0.2.2:5060"
    );
    network.request(1);
    let bye = send(&mut network, 1, Method::Bye).message;
    assert_eq!(bye.request_uri(), "sip:192.0.2.1:5060");
    let bye = network.request(0);
    network.respond(0, bye.transaction, 200, b"");
    network.rest_empty();
}

#[test]
fn a_peer_behind_its_connection_is_reached_by_it() {
    let mut network = Network::new(2);
    let headers = [("Contact", "<sip:alice@device.invalid;transport=ws>")];
    network.send(
        0,
        Method::Invite,
        "sip:bob@192.0.2.2;transport=tcp",
        &headers,
        SDP,
    );
    network.sent(0);
    let invite = network.request(1);
    network.respond(1, invite.transaction, 200, SDP);
    let callee = network.sent(1).dialog.unwrap();
    let caller = network.response(0).dialog.unwrap();
    network.send_in(0, caller, Method::Ack, b"");
    network.sent(0);
    network.request(1);
    network.send_in(1, callee, Method::Bye, b"");
    assert_eq!(
        network.sent(1).message.request_uri(),
        "sip:alice@device.invalid;transport=ws"
    );
    let bye = network.request(0);
    assert!(bye.origin.connection.is_some());
    network.respond(0, bye.transaction, 200, b"");
    network.rest_empty();
}

#[test]
fn a_request_out_of_order_gets_500() {
    let mut network = Network::new(2);
    let (caller, _) = network.call();
    network.send_in(0, caller, Method::Info, b"");
    network.sent(0);
    let info = network.request(1);
    network.respond(1, info.transaction, 200, b"");
    network.sent(1);
    network.response(0);
    let (from, to) = (
        info.message.header(HeaderName::From).unwrap(),
        info.message.header(HeaderName::To).unwrap(),
    );
    let call_id = info.message.call_id().unwrap();
    let headers = [
        ("From", from.text()),
        ("To", to.text()),
        ("Call-ID", call_id.into()),
        ("CSeq", "1 INFO".into()),
    ];
    let headers: Vec<(&str, &str)> = headers
        .iter()
        .map(|(name, value)| (*name, value.as_ref()))
        .collect();
    network.send(0, Method::Info, "sip:192.0.2.2", &headers, b"");
    network.sent(0);
    assert_eq!(network.response(0).message.status(), 500);
    network.no_event(1);
    network.hang_up(0, caller, 1);
    network.rest_empty();
}

#[test]
fn no_call_is_begun_that_would_have_no_room() {
    let mut configs = vec![config(0), config(1)];
    configs[1].bounds.dialogs = 1;
    let mut network = Network::with(configs);
    let (caller, _) = network.call();
    network.send(0, Method::Invite, "sip:bob@192.0.2.2", &[], SDP);
    network.sent(0);
    assert_eq!(network.response(0).message.status(), 503);
    network.send(1, Method::Invite, "sip:alice@192.0.2.1", &[], SDP);
    assert!(matches!(network.event(1), Event::Failed(_)));
    network.hang_up(0, caller, 1);
    network.rest_empty();
}
