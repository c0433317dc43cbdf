//! What becomes of requests when applications are missing, behind, gone, or silent.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod network;

use engine::Command;
use engine::event::{DialogEndReason, Event};
use engine::id::ApplicationId;
use network::{APPLICATION, Network, SDP, config, seconds};
use sip::{HeaderName, Method};

const OTHER: ApplicationId = ApplicationId(2);

fn options(network: &mut Network) -> sip::Message {
    ask(network, Method::Options)
}

fn ask(network: &mut Network, method: Method) -> sip::Message {
    network.send(0, method, "sip:192.0.2.2", &[], b"");
    network.sent(0);
    let response = network.response(0).message;
    (*response).clone()
}

#[test]
fn without_an_application_requests_get_503_with_retry_after() {
    let mut network = Network::new(2);
    let now = network.now;
    network.hosts[1].engine.handle_detach(now, APPLICATION);
    let response = options(&mut network);
    assert_eq!(response.status(), 503);
    assert!(response.header(HeaderName::RetryAfter).is_some());
    network.rest_empty();
}

#[test]
fn a_method_that_nobody_takes_gets_405_with_allow_or_503_from_a_compatible_server() {
    for compatible in [false, true] {
        let mut configs = vec![config(0), config(1)];
        configs[1].drachtio_compatible = compatible;
        let mut network = Network::with(configs);
        let now = network.now;
        network.hosts[1].engine.handle_detach(now, APPLICATION);
        network.hosts[1].engine.handle_attach(now, OTHER);
        network.hosts[1]
            .engine
            .handle_command(now, OTHER, Command::Route(Method::Invite));
        let response = options(&mut network);
        assert_eq!(response.status(), if compatible { 503 } else { 405 });
        if !compatible {
            assert_eq!(response.header(HeaderName::Allow).unwrap().text(), "INVITE");
        }
        // A method that nobody knows (RFC 4475 §3.1.1.2, §3.1.1.5).
        let unknown = Method::Other("RE%47IST%45R".into());
        let response = ask(&mut network, unknown);
        assert_eq!(response.status(), if compatible { 503 } else { 501 });
        network.rest_empty();
    }
}

#[test]
fn an_application_that_is_behind_gets_no_new_requests_but_its_calls_go_on() {
    let mut network = Network::new(2);
    let (caller, _) = network.call();
    let now = network.now;
    network.hosts[1]
        .engine
        .handle_backlog(now, APPLICATION, seconds(2));
    assert_eq!(options(&mut network).status(), 503);
    network.hang_up(0, caller, 1);
    let now = network.now;
    network.hosts[1]
        .engine
        .handle_backlog(now, APPLICATION, seconds(0));
    network.send(0, Method::Options, "sip:192.0.2.2", &[], b"");
    network.sent(0);
    let options = network.request(1);
    network.respond(1, options.transaction, 200, b"");
    assert_eq!(network.response(0).message.status(), 200);
    network.rest_empty();
}

#[test]
fn requests_that_wait_for_an_application_that_goes_get_503() {
    let mut network = Network::new(2);
    network.send(0, Method::Invite, "sip:bob@192.0.2.2", &[], SDP);
    network.sent(0);
    let invite = network.request(1);
    network.respond(1, invite.transaction, 180, b"");
    assert_eq!(network.response(0).message.status(), 180);
    let now = network.now;
    network.hosts[1].engine.handle_detach(now, APPLICATION);
    assert_eq!(network.response(0).message.status(), 503);
    network.rest_empty();
}

#[test]
fn invites_of_an_application_that_goes_are_cancelled() {
    let mut network = Network::new(2);
    network.send(0, Method::Invite, "sip:bob@192.0.2.2", &[], SDP);
    network.sent(0);
    network.request(1);
    let now = network.now;
    network.hosts[0].engine.handle_detach(now, APPLICATION);
    assert_eq!(network.request(1).message.method(), Method::Cancel);
    network.rest_empty();
}

#[test]
fn an_answer_for_an_application_that_is_gone_is_acknowledged_and_ended() {
    let mut network = Network::new(2);
    network.send(0, Method::Invite, "sip:bob@192.0.2.2", &[], SDP);
    network.sent(0);
    let invite = network.request(1);
    network.losses = vec![("CANCEL", 1)];
    let now = network.now;
    network.hosts[0].engine.handle_detach(now, APPLICATION);
    network.settle();
    network.respond(1, invite.transaction, 200, SDP);
    network.sent(1);
    assert_eq!(network.request(1).message.method(), Method::Ack);
    let bye = network.request(1);
    assert_eq!(bye.message.method(), Method::Bye);
    network.respond(1, bye.transaction, 200, b"");
    network.rest_empty();
}

#[test]
fn the_peers_of_an_application_that_is_gone_can_end_their_calls() {
    let mut network = Network::new(2);
    let (caller, _) = network.call();
    let now = network.now;
    network.hosts[1].engine.handle_detach(now, APPLICATION);
    // Not INFO: by a 481 to that the caller's engine would end the call itself.
    network.send_in(0, caller, Method::Message, b"");
    network.sent(0);
    assert_eq!(network.response(0).message.status(), 481);
    network.send_in(0, caller, Method::Bye, b"");
    network.sent(0);
    assert_eq!(network.response(0).message.status(), 200);
    network.rest_empty();
}

#[test]
fn a_request_that_is_never_answered_is_answered_by_the_engine() {
    let mut network = Network::new(2);
    network.send(0, Method::Invite, "sip:bob@192.0.2.2", &[], SDP);
    network.sent(0);
    network.request(1);
    network.advance(seconds(65));
    assert_eq!(network.response(0).message.status(), 500);
    network.rest_empty();
}

#[test]
fn a_dropped_request_is_met_with_silence() {
    let mut network = Network::new(2);
    network.send(0, Method::Options, "sip:192.0.2.2", &[], b"");
    network.sent(0);
    let options = network.request(1);
    network.command(1, |_| Command::Drop(options.transaction));
    network.advance(seconds(33));
    network.no_event(1);
    assert_eq!(network.response(0).message.status(), 408);
    assert_eq!(network.count("SIP/2.0"), 0);
    network.rest_empty();
}

#[test]
fn a_full_table_refuses_what_is_new() {
    let mut configs = vec![config(0), config(1)];
    configs[1].bounds.transactions = 1;
    let mut network = Network::with(configs);
    network.send(0, Method::Options, "sip:192.0.2.2", &[], b"");
    network.sent(0);
    network.request(1);
    assert_eq!(options(&mut network).status(), 503);
    network.rest_empty();
}

#[test]
fn an_engine_that_drains_takes_nothing_new_and_its_calls_go_on_to_their_end() {
    let mut network = Network::new(2);
    let (caller, _) = network.call();
    let now = network.now;
    network.hosts[1].engine.handle_drain(now);
    let refused = options(&mut network);
    assert_eq!(refused.status(), 503);
    assert!(refused.header(HeaderName::RetryAfter).is_some());
    network.no_event(1);
    network.hang_up(0, caller, 1);
    network.rest_empty();
}

#[test]
fn a_dialog_that_is_silent_for_too_long_is_ended() {
    let mut configs = vec![config(0), config(1)];
    configs[0].bounds.dialog_idle = seconds(1000);
    let mut network = Network::with(configs);
    network.call();
    network.advance(seconds(999));
    network.no_event(0);
    network.advance(seconds(2));
    match network.event(0) {
        Event::DialogEnded(ended) => assert_eq!(ended.reason, DialogEndReason::Idle),
        other => panic!("{other:?}"),
    }
    let bye = network.request(1);
    network.respond(1, bye.transaction, 200, b"");
    network.rest_empty();
}
