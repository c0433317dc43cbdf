//! Whoever has no address of its own is reached down its flow: a browser over its connection, a phone behind a NAT where it speaks from.
//! A flow that is gone is said to be so at once, and nobody is asked where it might be (RFC 5626, RFC 7118).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod alone;
use alone::{APPLICATION, receive, sent, started};
use engine::command::{DialogReference, Draft, Proxy, ProxyOptions, Respond, SendRequest};
use engine::config::{Config, Network, RelayKey};
use engine::event::{CommandError, Request};
use engine::id::{CommandId, ConnectionId};
use engine::reply::Replier;
use engine::transport::{ListenerId, Origin, Transport};
use engine::{Command, Engine, Event, Time, Transmit};
use sip::{HeaderName, Message, Method};
use std::time::Duration;

const OWN: &str = "192.0.2.1:5060";
const BROWSER: &str = "198.51.100.20:51000";
const PHONE: &str = "198.51.100.7:5060";

fn config(shard: u8, shards: u8) -> Config {
    Config {
        shard,
        shards,
        admission: engine::admit::Admission::everybody(),
        network: Network {
            key: Some(RelayKey {
                secret: [3, 4],
                epoch: 5,
            }),
            ..Network::default()
        },
        ..alone::config(OWN, &[Transport::Udp, Transport::Ws, Transport::Tcp])
    }
}

fn engine() -> Engine {
    started(config(0, 1))
}

fn origin(transport: Transport, peer: &str, connection: Option<u64>) -> Origin {
    let index = match transport {
        Transport::Udp => 0,
        Transport::Ws => 1,
        _ => 2,
    };
    Origin {
        listener: ListenerId(index),
        transport,
        peer: peer.parse().unwrap(),
        local: OWN.parse().unwrap(),
        connection: connection.map(ConnectionId),
    }
}

fn browser(connection: u64) -> Origin {
    origin(Transport::Ws, BROWSER, Some(connection))
}

fn phone() -> Origin {
    origin(Transport::Udp, PHONE, None)
}

fn token(origin: &Origin) -> String {
    let config = config(0, 1);
    let replier = Replier::new(&config.listeners, &config.network, false, config.session);
    replier.flow_token(origin).unwrap()
}

fn request(method: &str, uri: &str, via: &str, contact: &str, more: &str) -> String {
    let tag = if more.contains("Route:") {
        ";tag=2"
    } else {
        ""
    };
    format!(
        "{method} {uri} SIP/2.0\nVia: SIP/2.0/{via};branch=z9hG4bK{method}{}\nMax-Forwards: 70\nFrom: <sip:a@a.example>;tag=1\n\
         To: <sip:b@b.example>{tag}\nCall-ID: flows\nCSeq: 1 {method}\nContact: <{contact}>\n{more}Content-Length: 0\n\n",
        more.len()
    )
}

/// A browser registers over this connection, and is accepted.
fn register(engine: &mut Engine, connection: Origin, host: &str) {
    register_as(engine, connection, host, "sip:b@b.example", 200);
}

/// The same for this address of record; the application answers with this status.
fn register_as(engine: &mut Engine, connection: Origin, host: &str, record: &str, status: u16) {
    let contact = format!("sip:x1@{host};transport=ws");
    let text = request(
        "REGISTER",
        "sip:b.example",
        &format!("WS {host}"),
        &contact,
        "",
    );
    let call_id = format!("Call-ID: {}-{host}", connection.connection.unwrap().0);
    receive(
        engine,
        connection,
        &text
            .replace("Call-ID: flows", &call_id)
            .replace("To: <sip:b@b.example>", &format!("To: <{record}>")),
    );
    answer(engine, status);
}

/// The application answers the next request; what follows from that is passed over.
fn answer(engine: &mut Engine, status: u16) {
    let request = next_request(engine);
    let respond = Respond {
        id: CommandId(1),
        transaction: request.transaction,
        status,
        reason: String::new(),
        draft: Draft::default(),
    };
    engine.handle_command(Time::ZERO, APPLICATION, Command::Respond(respond));
    while engine.poll_transmit().is_some() {}
    while engine.poll_event().is_some() {}
}

fn next_request(engine: &mut Engine) -> Request {
    let events = std::iter::from_fn(|| engine.poll_event());
    let mut requests = events.filter_map(|(_, event)| match event {
        Event::Request(request) => Some(request),
        _ => None,
    });
    requests.next().expect("a request")
}

fn sent_request(engine: &mut Engine) -> (Transmit, Message) {
    let mut sent = sent(engine);
    sent.retain(|(_, message)| message.is_request());
    assert_eq!(sent.len(), 1, "{sent:?}");
    sent.remove(0)
}

fn options_to(engine: &mut Engine, uri: &str, next_hop: Option<String>) {
    let send = SendRequest {
        id: CommandId(7),
        method: Method::Options,
        uri: uri.to_owned(),
        dialog: None,
        next_hop,
        draft: Draft::default(),
    };
    engine.handle_command(Time::ZERO, APPLICATION, Command::Send(send));
}

fn failure(engine: &mut Engine) -> Option<CommandError> {
    std::iter::from_fn(|| engine.poll_event()).find_map(|(_, event)| match event {
        Event::Failed(failed) => Some(failed.error),
        _ => None,
    })
}

fn down(token: &str) -> Option<String> {
    Some(format!("sip:{token}@flow.invalid;lr"))
}

#[test]
fn the_contact_of_a_browser_is_reached_over_its_connection_and_nobody_is_asked_for_it() {
    let mut engine = engine();
    register(&mut engine, browser(1), "df7jal23ls0d.invalid");
    for uri in [
        "sip:x1@df7jal23ls0d.invalid;transport=ws",
        "sip:x1@DF7JAL23LS0D.invalid",
    ] {
        options_to(&mut engine, uri, None);
        assert!(engine.poll_resolve().is_none());
        let (transmit, _) = sent_request(&mut engine);
        assert_eq!(transmit.destination.transport, Transport::Ws);
        assert_eq!(transmit.destination.connection, Some(ConnectionId(1)));
    }
    options_to(&mut engine, "sip:x1@unknown.invalid;transport=ws", None);
    assert!(engine.poll_resolve().is_none());
    assert!(matches!(
        failure(&mut engine),
        Some(CommandError::FlowFailed(_))
    ));
    assert!(sent(&mut engine).is_empty());
}

#[test]
fn a_host_belongs_to_the_address_of_record_that_was_accepted_with_it() {
    let mut engine = engine();
    let stranger = origin(Transport::Ws, "203.0.113.99:4000", Some(2));
    let reached = |engine: &mut Engine| {
        options_to(engine, "sip:x1@mine.invalid", None);
        let sent = sent(engine);
        sent.first().and_then(|(it, _)| it.destination.connection)
    };
    // Who is refused has none, and a Via alone says nothing.
    register_as(
        &mut engine,
        stranger,
        "mine.invalid",
        "sip:b@b.example",
        403,
    );
    assert_eq!(reached(&mut engine), None);
    register(&mut engine, browser(1), "mine.invalid");
    assert_eq!(reached(&mut engine), Some(ConnectionId(1)));
    register_as(
        &mut engine,
        stranger,
        "mine.invalid",
        "sip:mallory@b.example",
        200,
    );
    assert_eq!(reached(&mut engine), Some(ConnectionId(1)));
    // Nor does a call that says it is from that user: nobody is asked for a password there.
    let invite = request(
        "INVITE",
        "sip:bob@192.0.2.1",
        "WS x2.invalid",
        "sip:x1@mine.invalid;transport=ws",
        "",
    );
    receive(
        &mut engine,
        stranger,
        &invite.replace("sip:a@a.example", "sip:b@b.example"),
    );
    answer(&mut engine, 200);
    assert_eq!(reached(&mut engine), Some(ConnectionId(1)));
    // The same user came back, from elsewhere, before anybody noticed that it had gone.
    let elsewhere = origin(Transport::Ws, "203.0.113.7:4000", Some(3));
    register(&mut engine, elsewhere, "mine.invalid");
    assert_eq!(reached(&mut engine), Some(ConnectionId(3)));
    // What the old connection's end takes with it is not this.
    engine.handle_connection_closed(Time::ZERO, ConnectionId(1));
    assert_eq!(reached(&mut engine), Some(ConnectionId(3)));
    engine.handle_connection_closed(Time::ZERO, ConnectionId(3));
    // It takes neither many names to fill a table, nor long ones.
    register(
        &mut engine,
        stranger,
        &format!("{}.invalid", "x".repeat(250)),
    );
    for number in 0..50 {
        register(&mut engine, stranger, &format!("more{number}.invalid"));
    }
    assert!(engine.counts().flows <= 9, "{}", engine.counts().flows);
    options_to(
        &mut engine,
        &format!("sip:x1@{}.invalid", "x".repeat(250)),
        None,
    );
    assert!(sent(&mut engine).is_empty());
    engine.handle_connection_closed(Time::ZERO, ConnectionId(2));
    assert_eq!(engine.counts().flows, 0);
}

#[test]
fn a_host_is_learnt_from_an_accepted_registration_that_was_proxied() {
    let mut engine = engine();
    let text = request(
        "REGISTER",
        "sip:b.example",
        "WS far.invalid",
        "sip:x1@far.invalid;transport=ws",
        "",
    );
    receive(&mut engine, browser(1), &text);
    let asked = next_request(&mut engine);
    let proxy = Proxy {
        id: CommandId(3),
        transaction: asked.transaction,
        targets: vec!["sip:198.51.100.9".to_owned()],
        options: ProxyOptions::default(),
        headers: Vec::new(),
    };
    engine.handle_command(Time::ZERO, APPLICATION, Command::Proxy(proxy));
    let (_, forwarded) = sent_request(&mut engine);
    options_to(&mut engine, "sip:x1@far.invalid", None);
    assert!(sent(&mut engine).is_empty());
    let vias: Vec<String> = forwarded
        .values(HeaderName::Via)
        .map(|via| via.into_owned())
        .collect();
    let answer = format!(
        "SIP/2.0 200 OK\nVia: {}\nVia: {}\nFrom: <sip:a@a.example>;tag=1\nTo: <sip:b@b.example>;tag=9\nCall-ID: flows\nCSeq: 1 REGISTER\n\
         Content-Length: 0\n\n",
        vias[0], vias[1]
    );
    receive(
        &mut engine,
        origin(Transport::Udp, "198.51.100.9:5060", None),
        &answer,
    );
    while engine.poll_transmit().is_some() {}
    options_to(&mut engine, "sip:x1@far.invalid", None);
    assert_eq!(
        sent_request(&mut engine).0.destination.connection,
        Some(ConnectionId(1))
    );
}

#[test]
fn a_request_goes_down_the_flow_that_its_token_names() {
    let mut engine = engine();
    register(&mut engine, browser(1), "a.invalid");
    options_to(
        &mut engine,
        "sip:anything@example.com",
        down(&token(&browser(1))),
    );
    let (transmit, options) = sent_request(&mut engine);
    assert_eq!(transmit.destination.connection, Some(ConnectionId(1)));
    assert_eq!(options.request_uri(), "sip:anything@example.com");
    assert!(!options.as_bytes().windows(4).any(|four| four == b"flow"));
    // By UDP it is the address that spoke, from the listener that was spoken to.
    options_to(&mut engine, "sip:a@10.0.0.3", down(&token(&phone())));
    let (transmit, _) = sent_request(&mut engine);
    assert_eq!(transmit.destination.peer.to_string(), PHONE);
    let mut forged = token(&browser(1));
    forged.replace_range(5..6, if &forged[5..6] == "A" { "B" } else { "A" });
    for next_hop in [down(&forged), down("drfAAAA"), down("bob")] {
        options_to(&mut engine, "sip:a@example.com", next_hop);
        assert_eq!(failure(&mut engine), Some(CommandError::FlowForged));
    }
    engine.handle_connection_closed(Time::ZERO, ConnectionId(1));
    options_to(&mut engine, "sip:a@example.com", down(&token(&browser(1))));
    assert!(matches!(
        failure(&mut engine),
        Some(CommandError::FlowFailed(_))
    ));
    assert!(engine.poll_resolve().is_none());
}

#[test]
fn a_sips_uri_goes_down_a_flow_without_tls_to_a_trusted_peer_only() {
    let mut open = config(0, 1);
    open.admission = engine::admit::Admission::default();
    let insecure = |uri: &str, config: Config| {
        let mut engine = started(config);
        register(&mut engine, browser(1), "own.invalid");
        options_to(&mut engine, uri, None);
        let is_sent = !sent(&mut engine).is_empty();
        let refused = failure(&mut engine);
        assert_eq!(is_sent, refused.is_none(), "{refused:?}");
        let why = format!("{refused:?}");
        assert!(is_sent || why.contains("reached by WS only"), "{why}");
        is_sent
    };
    assert!(insecure("sip:x1@own.invalid;transport=ws", open.clone()));
    assert!(!insecure("sips:x1@own.invalid;transport=ws", open.clone()));
    // A proxy of our own network ends TLS for us.
    assert!(insecure("sips:x1@own.invalid;transport=ws", config(0, 1)));
    let mut engine = started(open);
    register(&mut engine, browser(1), "own.invalid");
    options_to(&mut engine, "sips:b@b.example", down(&token(&browser(1))));
    assert!(sent(&mut engine).is_empty());
    options_to(&mut engine, "sip:b@b.example", down(&token(&browser(1))));
    assert_eq!(sent(&mut engine).len(), 1);
}

#[test]
fn whoever_waits_for_an_answer_over_a_connection_that_ends_is_told_at_once() {
    let mut engine = engine();
    register(&mut engine, browser(1), "a.invalid");
    options_to(&mut engine, "sip:x1@a.invalid", None);
    sent_request(&mut engine);
    while engine.poll_event().is_some() {}
    engine.handle_connection_closed(Time::ZERO, ConnectionId(1));
    let responses = std::iter::from_fn(|| engine.poll_event());
    let status = responses
        .filter_map(|(_, event)| match event {
            Event::Response(response) => Some(response.message.status()),
            _ => None,
        })
        .next();
    assert_eq!(status, Some(430));
    assert_eq!(engine.counts().client_transactions, 0);
}

/// A call from the phone is proxied to the browser; gives its Record-Route values.
fn call_browser(engine: &mut Engine) -> Vec<String> {
    let text = request(
        "INVITE",
        "sip:b@b.example",
        "UDP 198.51.100.7",
        "sip:a@198.51.100.7",
        "",
    );
    receive(engine, phone(), &text);
    let proxy = Proxy {
        id: CommandId(2),
        transaction: next_request(engine).transaction,
        targets: vec!["sip:x1@a.invalid;transport=ws".to_owned()],
        options: ProxyOptions {
            record_route: true,
            ..ProxyOptions::default()
        },
        headers: Vec::new(),
    };
    engine.handle_command(Time::ZERO, APPLICATION, Command::Proxy(proxy));
    let (transmit, invite) = sent_request(engine);
    assert_eq!(transmit.destination.connection, Some(ConnectionId(1)));
    let values = invite.values(HeaderName::RecordRoute);
    values.map(|value| value.into_owned()).collect()
}

fn in_call(method: &str, uri: &str, via: &str, routes: &[&str]) -> String {
    let more = format!("Route: {}\n", routes.join(", "));
    request(method, uri, via, "sip:a@198.51.100.7", &more)
}

#[test]
fn later_requests_of_a_call_find_the_browser_and_the_phone() {
    let mut engine = engine();
    register(&mut engine, browser(1), "a.invalid");
    let routes = call_browser(&mut engine);
    assert_eq!(routes.len(), 2, "{routes:?}");
    assert!(
        routes[0].contains("sip:drb") && routes[0].contains("transport=ws"),
        "{routes:?}"
    );
    assert!(routes[1].contains("sip:drm"), "{routes:?}");
    let (near, far) = (routes[0].as_str(), routes[1].as_str());
    let uri = "sip:x1@a.invalid;transport=ws";
    receive(
        &mut engine,
        phone(),
        &in_call("INFO", uri, "UDP 198.51.100.7", &[far, near]),
    );
    let (transmit, _) = sent_request(&mut engine);
    assert_eq!(transmit.destination.connection, Some(ConnectionId(1)));
    let text = in_call(
        "MESSAGE",
        "sip:a@198.51.100.7",
        "WS a.invalid",
        &[near, far],
    );
    receive(&mut engine, browser(1), &text);
    let (transmit, _) = sent_request(&mut engine);
    assert_eq!(transmit.destination.peer.to_string(), PHONE);
    // It comes back over another connection, and is found there by its host.
    engine.handle_connection_closed(Time::ZERO, ConnectionId(1));
    while engine.poll_transmit().is_some() {}
    receive(
        &mut engine,
        phone(),
        &in_call("UPDATE", uri, "UDP 198.51.100.7", &[far, near]),
    );
    let answers = sent(&mut engine);
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0].1.status(), 430, "RFC 5626 §5.3");
    register(&mut engine, browser(2), "a.invalid");
    receive(
        &mut engine,
        phone(),
        &in_call("BYE", uri, "UDP 198.51.100.7", &[far, near]),
    );
    let (transmit, _) = sent_request(&mut engine);
    assert_eq!(transmit.destination.connection, Some(ConnectionId(2)));
}

#[test]
fn what_one_shard_learns_the_others_are_told() {
    let (mut one, mut other) = (started(config(0, 2)), started(config(1, 2)));
    register(&mut one, browser(1), "a.invalid");
    let learnt: Vec<_> = std::iter::from_fn(|| one.poll_learnt()).collect();
    assert_eq!(learnt.len(), 2, "the connection, and its host: {learnt:?}");
    for news in &learnt {
        other.handle_learnt(Time::ZERO, news);
        // Told twice it is the same.
        other.handle_learnt(Time::ZERO, news);
    }
    assert!(other.poll_learnt().is_none(), "it is not told on");
    options_to(&mut other, "sip:x1@a.invalid", None);
    assert_eq!(
        sent_request(&mut other).0.destination.connection,
        Some(ConnectionId(1))
    );
    other.handle_connection_closed(Time::ZERO, ConnectionId(1));
    assert_eq!(other.counts().flows, 0);
}

/// A call from this peer with this Contact is answered and ended by the application; gives where the BYE goes.
fn bye_goes_to(engine: &mut Engine, origin: Origin, via: &str, contact: &str) -> Transmit {
    receive(
        engine,
        origin,
        &request("INVITE", "sip:b@192.0.2.1", via, contact, ""),
    );
    let invite = next_request(engine);
    let respond = Respond {
        id: CommandId(3),
        transaction: invite.transaction,
        status: 200,
        reason: String::new(),
        draft: Draft::default(),
    };
    engine.handle_command(Time::ZERO, APPLICATION, Command::Respond(respond));
    let answer = sent(engine).pop().unwrap().1;
    let tag = answer.to().unwrap().tag().unwrap().to_owned();
    let ack = request("ACK", "sip:b@192.0.2.1", via, contact, "");
    let ack = ack.replace(
        "To: <sip:b@b.example>",
        &format!("To: <sip:b@b.example>;tag={tag}"),
    );
    receive(engine, origin, &ack);
    while engine.poll_event().is_some() {}
    let send = SendRequest {
        id: CommandId(4),
        method: Method::Bye,
        uri: String::new(),
        dialog: Some(DialogReference::Tags {
            call_id: "flows".to_owned(),
            from_tag: "1".to_owned(),
        }),
        next_hop: None,
        draft: Draft::default(),
    };
    engine.handle_command(Time::ZERO, APPLICATION, Command::Send(send));
    sent_request(engine).0
}

#[test]
fn a_contact_that_nobody_could_reach_is_not_believed_and_others_are() {
    let goes_to = |contact: &str| {
        let transmit = bye_goes_to(&mut engine(), phone(), "UDP 10.0.0.4:5060", contact);
        transmit.destination.peer.to_string()
    };
    assert_eq!(goes_to("sip:a@10.0.0.4:5060"), PHONE);
    assert_eq!(goes_to("sip:a@203.0.113.8:5080"), "203.0.113.8:5080");
    let mut config = config(0, 1);
    config.network.nat.contact_differs = true;
    let mut strict = started(config);
    let contact = "sip:a@203.0.113.8:5080";
    let transmit = bye_goes_to(&mut strict, phone(), "UDP 203.0.113.8", contact);
    assert_eq!(transmit.destination.peer.to_string(), PHONE);
}

#[test]
fn a_stream_that_leaves_a_request_unanswered_is_named() {
    let mut engine = engine();
    options_to(&mut engine, "sip:a@203.0.113.8;transport=tcp", None);
    sent_request(&mut engine);
    assert!(engine.poll_unanswered().is_none());
    engine.handle_timeout(Time::START + Duration::from_secs(33));
    let destination = engine.poll_unanswered().unwrap().destination;
    assert_eq!(destination.peer.to_string(), "203.0.113.8:5060");
    options_to(&mut engine, "sip:a@203.0.113.8", None);
    engine.handle_timeout(Time::START + Duration::from_secs(70));
    assert!(engine.poll_unanswered().is_none(), "UDP has no connection");
}

#[test]
fn a_call_whose_peer_is_reached_no_more_ends_with_its_bye() {
    // A browser that is gone, and a phone over UDP whose Contact only its proxy knew, which sends what comes back to this server.
    let gone = "sip:x1@gone.invalid;transport=ws";
    let routed = "tel:+15551234>\nRecord-Route: <tel:+15551234";
    let cases = [
        (browser(1), "WS gone.invalid", gone, "FlowFailed"),
        (phone(), "UDP 198.51.100.7", routed, "InvalidUri"),
    ];
    for (caller, via, contact, error) in cases {
        let mut engine = engine();
        let text = request("INVITE", "sip:b@192.0.2.1", via, contact, "");
        receive(&mut engine, caller, &text);
        let asked = next_request(&mut engine);
        let respond = Respond {
            id: CommandId(1),
            transaction: asked.transaction,
            status: 200,
            reason: String::new(),
            draft: Draft::default(),
        };
        engine.handle_command(Time::ZERO, APPLICATION, Command::Respond(respond));
        let answer = sent(&mut engine).pop().unwrap().1;
        let tag = answer.to().unwrap().tag().unwrap().to_owned();
        let dialog = std::iter::from_fn(|| engine.poll_event())
            .find_map(|(_, event)| match event {
                Event::Sent(sent) => sent.dialog,
                _ => None,
            })
            .unwrap();
        let to = format!("To: <sip:b@b.example>;tag={tag}");
        let ack = request("ACK", "sip:b@192.0.2.1", via, contact, "");
        receive(
            &mut engine,
            caller,
            &ack.replace("To: <sip:b@b.example>", &to),
        );
        engine.handle_connection_closed(Time::ZERO, ConnectionId(1));
        assert_eq!(engine.counts().dialogs, 1, "it may come back");
        let bye = SendRequest {
            id: CommandId(7),
            method: Method::Bye,
            uri: String::new(),
            dialog: Some(DialogReference::Id(dialog)),
            next_hop: None,
            draft: Draft::default(),
        };
        engine.handle_command(Time::ZERO, APPLICATION, Command::Send(bye));
        let failed = failure(&mut engine).expect("it cannot be sent");
        assert!(format!("{failed:?}").starts_with(error), "{failed:?}");
        assert_eq!(engine.counts().dialogs, 0);
    }
}
