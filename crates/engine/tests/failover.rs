//! A name that leads to several targets: the next one is tried when one is silent, refuses or answers 503; who failed is left out for a
//! while, tried again by one request, and believed as soon as it answers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod network;

use bytes::Bytes;
use engine::command::{Cancel, Draft, Proxy, ProxyOptions, SendRequest};
use engine::config::{Config, Failover};
use engine::event::{Event, Request};
use engine::id::{CommandId, Generator, TransactionId};
use engine::transport::{ListenerId, Origin, Transmit, Transport};
use engine::{Command, Engine, Resolved, Time, TransmitError};
use network::{APPLICATION, config};
use sip::{Build, HeaderName, Limits, Message, Method};
use std::time::Duration;

const ONE: &str = "192.0.2.1:5060";
const TWO: &str = "192.0.2.2:5060";
const THREE: &str = "192.0.2.3:5060";

/// An engine whose peers the test plays.
struct Client {
    engine: Engine,
    now: Time,
    commands: u64,
}

/// What went out: to whom, the message, and its token.
struct Sent {
    to: String,
    message: Message,
    transmit: Transmit,
}

impl Client {
    fn new() -> Client {
        Client::with(Failover::default())
    }

    fn with(failover: Failover) -> Client {
        Client::of_shard(0, 1, failover)
    }

    /// At 192.0.2.100.
    fn of_shard(shard: u8, shards: u8, failover: Failover) -> Client {
        let config = Config {
            shard,
            shards,
            failover,
            ..config(99)
        };
        let mut engine = Engine::new(config, Generator::new([3; 32]));
        engine.handle_attach(Time::ZERO, APPLICATION);
        engine.handle_command(Time::ZERO, APPLICATION, Command::RouteAll);
        Client {
            engine,
            now: Time::ZERO,
            commands: 0,
        }
    }

    fn command(&mut self, command: impl FnOnce(CommandId) -> Command) {
        self.commands += 1;
        let command = command(CommandId(self.commands));
        self.engine.handle_command(self.now, APPLICATION, command);
    }

    /// Sends a request to a name that leads to these targets, `tcp ADDRESS` or `ADDRESS` for UDP.
    fn send(&mut self, method: Method, name: &str, targets: &[&str]) {
        let uri = format!("sip:bob@{name}");
        self.command(|id| {
            Command::Send(SendRequest {
                id,
                method,
                uri,
                dialog: None,
                next_hop: None,
                draft: Draft::default(),
            })
        });
        self.resolve(targets);
    }

    fn resolve(&mut self, targets: &[&str]) {
        let question = self.engine.poll_resolve().unwrap();
        let targets = targets.iter().map(|text| match text.split_once(' ') {
            Some((transport, address)) => Resolved {
                transport: Transport::from_name(transport).unwrap(),
                address: address.parse().unwrap(),
            },
            None => Resolved {
                transport: Transport::Udp,
                address: text.parse().unwrap(),
            },
        });
        let answer = Ok(targets.collect());
        self.engine.handle_resolved(self.now, question.id, answer);
    }

    /// What went out since the last time.
    fn sent(&mut self) -> Vec<Sent> {
        let mut sent = Vec::new();
        while let Some(transmit) = self.engine.poll_transmit() {
            let message = Message::parse(transmit.bytes.clone(), &Limits::default()).unwrap();
            sent.push(Sent {
                to: transmit.destination.peer.to_string(),
                message,
                transmit,
            });
        }
        sent
    }

    /// Lets the first target be silent for too long; what went to the second.
    fn second(&mut self) -> Sent {
        self.advance(seconds(6));
        self.sent().pop().unwrap()
    }

    /// The one message that went out.
    fn one(&mut self) -> Sent {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "{:?}", summary(&sent));
        sent.remove(0)
    }

    fn answer(&mut self, to: &Sent, status: u16, headers: &[(HeaderName, &str)]) {
        let tag = (status > 100).then_some("peer");
        let mut build = Build::reply(&to.message, status, "", tag);
        for (name, value) in headers {
            build = build.header(*name, value);
        }
        let contact = format!("<sip:{}>", to.to);
        build = build.header(HeaderName::Contact, contact);
        let bytes = build.finish(b"");
        let message = Message::parse(bytes, &Limits::default()).unwrap();
        let origin = Origin {
            listener: ListenerId(u16::from(to.transmit.destination.transport.is_reliable())),
            transport: to.transmit.destination.transport,
            peer: to.transmit.destination.peer,
            local: "192.0.2.100:5060".parse().unwrap(),
            connection: None,
        };
        self.engine.handle_message(self.now, origin, message, 400);
    }

    fn advance(&mut self, by: Duration) {
        let end = self.now + by;
        while let Some(next) = self.engine.poll_timeout().filter(|next| *next <= end) {
            self.now = next.max(self.now);
            self.engine.handle_timeout(self.now);
        }
        self.now = end;
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.engine.poll_event().map(|(_, event)| event)).collect()
    }

    /// The statuses of the responses that the application saw since the last time.
    fn statuses(&mut self) -> Vec<u16> {
        let events = self.events();
        let statuses = events.iter().filter_map(|event| match event {
            Event::Response(response) => Some(response.message.status()),
            _ => None,
        });
        statuses.collect()
    }

    fn transaction(&mut self) -> TransactionId {
        let events = self.events();
        let sent = events.iter().find_map(|event| match event {
            Event::Sent(sent) => Some(sent.transaction),
            _ => None,
        });
        sent.expect("the request went out")
    }

    fn total(&self, name: &str) -> u64 {
        self.engine.counts().total(name).unwrap()
    }

    /// Sends an OPTIONS; where it goes first.
    fn first(&mut self, targets: &[&str]) -> String {
        self.send(Method::Options, "example.com", targets);
        let sent = self.one();
        self.answer(&sent, 200, &[]);
        sent.to
    }

    /// Lets everything come to its end: nothing is left.
    fn rest_empty(&mut self) {
        self.advance(Duration::from_secs(8000));
        self.sent();
        let counts = self.engine.counts();
        assert_eq!(counts.client_transactions, 0);
        assert_eq!(counts.server_transactions, 0);
        assert_eq!(counts.resolves, 0);
        assert_eq!(counts.proxies, 0);
        assert_eq!(counts.unavailable, 0);
        assert_eq!(counts.timers, counts.dialogs);
    }
}

fn summary(sent: &[Sent]) -> Vec<String> {
    let line = |sent: &Sent| {
        let message = &sent.message;
        if message.is_request() {
            format!("{} {}", message.method().as_str(), sent.to)
        } else {
            format!("{} {}", message.status(), sent.to)
        }
    };
    sent.iter().map(line).collect()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_dead_first_target_costs_one_timeout_and_not_each_call() {
    let mut client = Client::new();
    client.send(Method::Options, "example.com", &[ONE, TWO]);
    client.advance(Duration::from_millis(4900));
    // Timer E: at 0, 0.5, 1.5 and 3.5 s.
    assert_eq!(summary(&client.sent()), vec![format!("OPTIONS {ONE}"); 4]);
    client.advance(Duration::from_millis(200));
    let second = client.one();
    assert_eq!(second.to, TWO);
    client.answer(&second, 200, &[]);
    assert_eq!(client.statuses(), [200]);
    for _ in 0..20 {
        assert_eq!(client.first(&[ONE, TWO]), TWO);
    }
    assert_eq!(client.engine.counts().unavailable, 1);
    assert_eq!(client.total("targets_failed"), 1);
    assert_eq!(client.total("failovers"), 1);
    client.rest_empty();
}

#[test]
fn each_attempt_has_a_branch_of_its_own() {
    let mut client = Client::new();
    client.send(Method::Invite, "example.com", &[ONE, TWO]);
    let first = client.one();
    let second = client.second();
    let branch = |sent: &Sent| sent.message.top_via().unwrap().branch().unwrap().to_owned();
    assert_eq!(second.to, TWO);
    assert_ne!(branch(&first), branch(&second));
    let same = |name| {
        let of = |sent: &Sent| sent.message.header(name).unwrap().value().into_owned();
        assert_eq!(of(&first), of(&second));
    };
    same(HeaderName::CallId);
    same(HeaderName::CSeq);
    same(HeaderName::From);
    client.rest_empty();
}

#[test]
fn a_target_back_from_the_dead_is_tried_by_one_request_and_then_believed() {
    let mut client = Client::new();
    client.send(Method::Options, "example.com", &[ONE, TWO]);
    let second = client.second();
    client.answer(&second, 200, &[]);
    // Not before 22.5 s, at 30 s at the latest.
    client.advance(seconds(15));
    assert_eq!(client.first(&[ONE, TWO]), TWO);
    client.advance(seconds(15));
    client.send(Method::Options, "example.com", &[ONE, TWO]);
    let trial = client.one();
    assert_eq!(trial.to, ONE);
    // Until that is known, nobody else tries it.
    for _ in 0..5 {
        assert_eq!(client.first(&[ONE, TWO]), TWO);
    }
    client.answer(&trial, 200, &[]);
    for _ in 0..5 {
        assert_eq!(client.first(&[ONE, TWO]), ONE);
    }
    assert_eq!(client.total("targets_returned"), 1);
    assert_eq!(client.engine.counts().unavailable, 0);
    client.rest_empty();
}

#[test]
fn a_target_that_stays_dead_is_tried_ever_more_seldom_and_by_one_request() {
    let mut client = Client::new();
    let mut tried = Vec::new();
    let start = client.now;
    for _ in 0..1800 {
        client.send(Method::Options, "example.com", &[ONE, TWO]);
        for sent in client.sent() {
            if sent.to == ONE && sent.message.method() == Method::Options {
                tried.push(client.now.since(start).as_secs());
            } else {
                client.answer(&sent, 200, &[]);
            }
        }
        client.advance(seconds(1));
    }
    tried.dedup();
    // What went out in one attempt lies within 5 s.
    let mut attempts: Vec<u64> = Vec::new();
    for at in tried {
        if attempts.last().is_none_or(|last| at - last > 5) {
            attempts.push(at);
        }
    }
    // The first requests all went there, until the first of them had waited for 5 s. Then: 30 s doubled to 300 s, less a quarter at most.
    let gaps = attempts.windows(2).map(|pair| pair[1] - pair[0]);
    let gaps: Vec<u64> = gaps.filter(|gap| *gap > 10).collect();
    for (gap, longest) in gaps.iter().zip([36, 66, 126, 246, 306, 306]) {
        assert!(
            (longest * 3 / 4 - 2..=longest + 2).contains(gap),
            "{gaps:?}"
        );
    }
    assert!((8..=10).contains(&gaps.len()), "{gaps:?}");
    client.rest_empty();
}

/// Two shards of one server, and what the first of them has to tell the second.
fn two_shards() -> [Client; 2] {
    [0, 1].map(|shard| Client::of_shard(shard, 2, Failover::default()))
}

fn tell(from: &mut Client, to: &mut Client) {
    while let Some(news) = from.engine.poll_target_news() {
        to.engine.handle_target_news(to.now, &news);
    }
}

#[test]
fn what_one_shard_finds_dead_costs_the_others_nothing() {
    let [mut one, mut two] = two_shards();
    one.send(Method::Options, "example.com", &[ONE, TWO]);
    one.advance(seconds(6));
    two.advance(seconds(6));
    tell(&mut one, &mut two);
    for _ in 0..5 {
        assert_eq!(two.first(&[ONE, TWO]), TWO);
    }
    assert_eq!(two.engine.counts().unavailable, 1);
    assert_eq!(one.total("targets_failed"), 1);
    assert_eq!(two.total("targets_failed"), 0, "counted where it was found");
    // A request of the second shard's that was on its way says nothing new.
    assert!(two.engine.poll_target_news().is_none());
    let second = one.sent().pop().unwrap();
    one.answer(&second, 200, &[]);
    one.rest_empty();
    two.rest_empty();
}

#[test]
fn one_request_of_one_shard_tries_a_target_again_and_all_believe_it() {
    let [mut one, mut two] = two_shards();
    one.send(Method::Options, "example.com", &[ONE, TWO]);
    one.advance(seconds(6));
    two.advance(seconds(6));
    tell(&mut one, &mut two);
    let second = one.sent().pop().unwrap();
    one.answer(&second, 200, &[]);
    one.advance(seconds(31));
    two.advance(seconds(31));
    one.send(Method::Options, "example.com", &[ONE, TWO]);
    let trial = one.one();
    assert_eq!(trial.to, ONE);
    tell(&mut one, &mut two);
    for _ in 0..5 {
        assert_eq!(two.first(&[ONE, TWO]), TWO);
    }
    one.answer(&trial, 200, &[]);
    tell(&mut one, &mut two);
    assert_eq!(two.first(&[ONE, TWO]), ONE);
    assert_eq!(two.engine.counts().unavailable, 0);
    assert_eq!(two.total("targets_returned"), 0);
    one.rest_empty();
    two.rest_empty();
}

#[test]
fn a_trial_without_an_outcome_leaves_the_target_to_the_next_request_of_any_shard() {
    let [mut one, mut two] = two_shards();
    one.send(Method::Options, "example.com", &[ONE, TWO]);
    one.advance(seconds(6));
    two.advance(seconds(6));
    tell(&mut one, &mut two);
    one.advance(seconds(31));
    two.advance(seconds(31));
    one.sent();
    one.send(Method::Options, "example.com", &[ONE, TWO]);
    assert_eq!(one.one().to, ONE);
    tell(&mut one, &mut two);
    // Nobody tells what became of it.
    two.advance(seconds(6));
    assert_eq!(two.first(&[ONE, TWO]), ONE);
    one.rest_empty();
    two.rest_empty();
}

#[test]
fn a_single_shard_has_nobody_to_tell() {
    let mut client = Client::new();
    client.send(Method::Options, "example.com", &[ONE, TWO]);
    client.advance(seconds(40));
    client.sent();
    assert!(client.engine.poll_target_news().is_none());
    client.rest_empty();
}

#[test]
fn a_refused_connection_costs_nothing() {
    let mut client = Client::new();
    let targets = ["tcp 192.0.2.1:5060", "tcp 192.0.2.2:5060"];
    client.send(Method::Options, "example.com", &targets);
    let first = client.one();
    assert_eq!(first.to, ONE);
    let token = first.transmit.token;
    client
        .engine
        .handle_transmit_failed(client.now, token, TransmitError::Refused);
    let second = client.one();
    assert_eq!(second.to, TWO);
    client.answer(&second, 200, &[]);
    assert_eq!(client.first(&targets), TWO);
    // The same address over another transport is another target.
    assert_eq!(client.first(&[ONE, TWO]), ONE);
    client.rest_empty();
}

#[test]
fn another_name_at_the_same_address_is_another_target() {
    let mut client = Client::new();
    client.send(Method::Options, "broken.example", &[ONE, TWO]);
    let second = client.second();
    client.answer(&second, 200, &[]);
    client.send(Method::Options, "good.example", &[ONE, TWO]);
    assert_eq!(client.one().to, ONE);
    client.send(Method::Options, "BROKEN.example", &[ONE, TWO]);
    assert_eq!(client.one().to, TWO);
    client.rest_empty();
}

#[test]
fn when_all_are_left_out_all_are_tried_all_the_same() {
    let mut client = Client::new();
    client.send(Method::Options, "example.com", &[ONE, TWO]);
    client.advance(seconds(40));
    assert_eq!(client.statuses(), [408]);
    client.sent();
    assert_eq!(client.engine.counts().unavailable, 2);
    client.send(Method::Options, "example.com", &[TWO, ONE]);
    // The one whose time is over first.
    let first = client.one();
    assert_eq!(first.to, ONE);
    client.answer(&first, 200, &[]);
    assert_eq!(client.statuses(), [200]);
    assert_eq!(client.engine.counts().unavailable, 1);
    client.rest_empty();
}

#[test]
fn a_503_leads_to_the_next_target_and_is_acknowledged_each_time() {
    let mut client = Client::new();
    client.send(Method::Invite, "example.com", &[ONE, TWO]);
    let first = client.one();
    client.answer(&first, 100, &[]);
    client.answer(&first, 503, &[]);
    let sent = client.sent();
    assert_eq!(
        summary(&sent),
        [format!("ACK {ONE}"), format!("INVITE {TWO}")]
    );
    client.answer(&first, 503, &[]);
    assert_eq!(summary(&client.sent()), [format!("ACK {ONE}")]);
    client.answer(&sent[1], 486, &[]);
    assert_eq!(summary(&client.sent()), [format!("ACK {TWO}")]);
    assert_eq!(client.statuses(), [486]);
    // Without Retry-After it was about this request (RFC 3261 §21.5.4).
    assert_eq!(client.engine.counts().unavailable, 0);
    client.rest_empty();
}

#[test]
fn retry_after_is_followed_for_that_target() {
    let mut client = Client::new();
    client.send(Method::Options, "example.com", &[ONE, TWO]);
    let first = client.one();
    client.answer(&first, 503, &[(HeaderName::RetryAfter, "120")]);
    let second = client.one();
    assert_eq!(second.to, TWO);
    client.answer(&second, 200, &[]);
    client.advance(seconds(115));
    assert_eq!(client.first(&[ONE, TWO]), TWO);
    client.advance(seconds(10));
    assert_eq!(client.first(&[ONE, TWO]), ONE);
    client.rest_empty();
}

#[test]
fn the_last_503_is_the_answer() {
    let mut client = Client::new();
    client.send(Method::Options, "example.com", &[ONE, TWO]);
    for _ in 0..2 {
        let sent = client.one();
        client.answer(&sent, 503, &[]);
    }
    assert_eq!(client.statuses(), [503]);
    client.rest_empty();
}

#[test]
fn once_it_rings_a_503_is_the_answer() {
    let mut client = Client::new();
    client.send(Method::Invite, "example.com", &[ONE, TWO]);
    let first = client.one();
    client.answer(&first, 180, &[]);
    client.answer(&first, 503, &[]);
    assert_eq!(summary(&client.sent()), [format!("ACK {ONE}")]);
    assert_eq!(client.statuses(), [180, 503]);
    client.rest_empty();
}

#[test]
fn cancel_goes_where_the_invite_went() {
    let mut client = Client::new();
    client.send(Method::Invite, "example.com", &[ONE, TWO]);
    let transaction = client.transaction();
    let second = client.second();
    assert_eq!(second.to, TWO);
    client.answer(&second, 180, &[]);
    client.command(|id| {
        Command::Cancel(Cancel {
            id,
            transaction,
            draft: Draft::default(),
        })
    });
    let cancel = client.one();
    assert_eq!(
        (cancel.message.method(), cancel.to.as_str()),
        (Method::Cancel, TWO)
    );
    let branch = |sent: &Sent| sent.message.top_via().unwrap().branch().unwrap().to_owned();
    assert_eq!(branch(&cancel), branch(&second));
    client.answer(&cancel, 200, &[]);
    client.answer(&second, 487, &[]);
    assert_eq!(summary(&client.sent()), [format!("ACK {TWO}")]);
    client.rest_empty();
}

#[test]
fn a_cancelled_invite_goes_to_no_other_target_and_waits_for_its_provisional() {
    let mut client = Client::new();
    client.send(Method::Invite, "example.com", &[ONE, TWO]);
    let transaction = client.transaction();
    let first = client.one();
    client.command(|id| {
        Command::Cancel(Cancel {
            id,
            transaction,
            draft: Draft::default(),
        })
    });
    client.advance(seconds(20));
    assert!(client.sent().iter().all(|sent| sent.to == ONE));
    client.answer(&first, 100, &[]);
    assert_eq!(summary(&client.sent()), [format!("CANCEL {ONE}")]);
    client.rest_empty();
}

#[test]
fn a_late_answer_of_the_first_target_counts_while_the_second_is_silent() {
    for method in [Method::Invite, Method::Options] {
        let mut client = Client::new();
        client.send(method.clone(), "example.com", &[ONE, TWO]);
        let first = client.one();
        client.advance(seconds(7));
        let second = client.sent().pop().unwrap();
        assert_eq!(second.to, TWO);
        client.answer(&first, 486, &[]);
        assert_eq!(client.statuses(), [486]);
        client.advance(seconds(3));
        let expected: Vec<String> = match method {
            Method::Invite => vec![format!("ACK {ONE}")],
            _ => Vec::new(),
        };
        assert_eq!(summary(&client.sent()), expected);
        assert_eq!(client.engine.counts().unavailable, 0);
        client.rest_empty();
    }
}

#[test]
fn a_phone_at_the_first_target_stops_ringing_when_the_second_is_the_one() {
    let mut client = Client::new();
    client.send(Method::Invite, "example.com", &[ONE, TWO]);
    let first = client.one();
    client.advance(seconds(7));
    let second = client.sent().pop().unwrap();
    client.answer(&second, 180, &[]);
    client.answer(&first, 180, &[]);
    let cancel = client.one();
    assert_eq!(
        (cancel.message.method(), cancel.to.as_str()),
        (Method::Cancel, ONE)
    );
    client.answer(&first, 487, &[]);
    assert_eq!(summary(&client.sent()), [format!("ACK {ONE}")]);
    assert_eq!(client.statuses(), [180]);
    client.rest_empty();
}

#[test]
fn whoever_is_answered_first_is_the_call_and_the_other_is_cancelled() {
    let mut client = Client::new();
    client.send(Method::Invite, "example.com", &[ONE, TWO]);
    let first = client.one();
    client.advance(seconds(7));
    let second = client.sent().pop().unwrap();
    client.answer(&second, 180, &[]);
    client.answer(&first, 200, &[]);
    assert_eq!(summary(&client.sent()), [format!("CANCEL {TWO}")]);
    assert_eq!(client.statuses(), [180, 200]);
    client.answer(&second, 487, &[]);
    assert_eq!(summary(&client.sent()), [format!("ACK {TWO}")]);
}

#[test]
fn a_proxy_tries_the_targets_of_each_branch() {
    let mut client = Client::new();
    let request = incoming(&mut client);
    client.command(|id| {
        Command::Proxy(Proxy {
            id,
            transaction: request.transaction,
            targets: vec!["sip:bob@example.com".to_owned()],
            options: ProxyOptions::default(),
            headers: Vec::new(),
        })
    });
    client.resolve(&[ONE, TWO, THREE]);
    let first = client.sent().pop().unwrap();
    assert_eq!(first.to, ONE);
    client.answer(&first, 503, &[]);
    let sent = client.sent();
    assert_eq!(
        summary(&sent),
        [format!("ACK {ONE}"), format!("INVITE {TWO}")]
    );
    client.advance(seconds(6));
    let third = client.sent().pop().unwrap();
    assert_eq!(summary(&[third]), [format!("INVITE {THREE}")]);
    client.advance(seconds(40));
    assert!(summary(&client.sent()).contains(&"408 198.51.100.7:5060".to_owned()));
    client.rest_empty();
}

/// A call that is to be proxied.
fn incoming(client: &mut Client) -> Request {
    let text = "INVITE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bKup\r\n\
        Max-Forwards: 70\r\nFrom: <sip:alice@example.org>;tag=1\r\nTo: <sip:bob@example.com>\r\nCall-ID: up\r\n\
        CSeq: 1 INVITE\r\nContact: <sip:alice@198.51.100.7>\r\nContent-Length: 0\r\n\r\n";
    let message = Message::parse(Bytes::from_static(text.as_bytes()), &Limits::default()).unwrap();
    let origin = Origin {
        listener: ListenerId(0),
        transport: Transport::Udp,
        peer: "198.51.100.7:5060".parse().unwrap(),
        local: "192.0.2.100:5060".parse().unwrap(),
        connection: None,
    };
    client
        .engine
        .handle_message(client.now, origin, message, 400);
    let events = client.events();
    let request = events.into_iter().find_map(|event| match event {
        Event::Request(request) => Some(request),
        _ => None,
    });
    request.unwrap()
}

#[test]
fn the_rfcs_own_times_remain_an_option() {
    let mut client = Client::with(Failover {
        target_timeout: None,
        unavailable: Duration::ZERO,
        ..Failover::default()
    });
    client.send(Method::Options, "example.com", &[ONE, TWO]);
    client.advance(Duration::from_millis(31_900));
    assert!(client.sent().iter().all(|sent| sent.to == ONE));
    client.advance(Duration::from_millis(200));
    let second = client.one();
    assert_eq!(second.to, TWO);
    client.answer(&second, 200, &[]);
    assert_eq!(client.engine.counts().unavailable, 0);
    assert_eq!(client.first(&[ONE, TWO]), ONE);
    client.rest_empty();
}

#[test]
fn a_numeric_address_is_tried_to_the_end_and_never_left_out() {
    let mut client = Client::new();
    client.command(|id| {
        Command::Send(SendRequest {
            id,
            method: Method::Options,
            uri: "sip:bob@192.0.2.1".to_owned(),
            dialog: None,
            next_hop: None,
            draft: Draft::default(),
        })
    });
    client.advance(seconds(31));
    assert!(client.statuses().is_empty());
    client.advance(seconds(2));
    assert_eq!(client.statuses(), [408]);
    assert_eq!(client.engine.counts().unavailable, 0);
    client.rest_empty();
}
