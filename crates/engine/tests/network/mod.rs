//! A few engines joined by an instant network under a virtual clock, each with one application that a test plays by hand.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
use bytes::Bytes;
use engine::admit::Admission;
use engine::command::{Cancel, DialogReference, Draft, Proxy, ProxyOptions, Respond, SendRequest};
use engine::config::{Bounds, Config, Failover, Listener, SessionTimers, Timers};
use engine::event::{Event, Request, Response, Sent};
use engine::id::{ApplicationId, CommandId, ConnectionId, DialogId, Generator, TransactionId};
use engine::transport::{ListenerId, Origin, Transmit, Transport};
use engine::{Command, Engine, Time};
use sip::{Limits, Message, Method};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

pub const APPLICATION: ApplicationId = ApplicationId(1);
pub const SDP: &[u8] = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n";

/// A host: an engine, and what its application has not looked at yet.
pub struct Host {
    pub engine: Engine,
    pub events: VecDeque<Event>,
    pub resolves: Vec<engine::Resolve>,
    commands: u64,
}

/// The hosts `192.0.2.1`, `192.0.2.2`, ... with listeners on port 5060, and what went over the wire.
pub struct Network {
    pub hosts: Vec<Host>,
    pub now: Time,
    /// Sender, receiver and start line of every message, lost ones included.
    pub wire: Vec<(usize, usize, String)>,
    /// Messages whose text contains this are lost, so many times.
    pub losses: Vec<(&'static str, usize)>,
    /// Nobody listens on TCP.
    pub tcp_refused: bool,
    pub messages: Vec<Message>,
}

pub fn address(host: usize) -> SocketAddr {
    format!("192.0.2.{}:5060", host + 1).parse().unwrap()
}

pub fn config(host: usize) -> Config {
    let listener = |transport| Listener {
        transport,
        bound: address(host),
        addresses: vec![address(host).ip()],
        advertised: None,
    };
    Config {
        shard: 0,
        shards: 1,
        listeners: vec![listener(Transport::Udp), listener(Transport::Tcp)],
        timers: Timers::default(),
        bounds: Bounds::default(),
        udp_request_limit: None,
        drachtio_compatible: false,
        session: SessionTimers::default(),
        network: engine::config::Network::default(),
        failover: Failover::default(),
        alias: false,
        admission: Admission::everybody(),
    }
}

impl Network {
    pub fn new(hosts: usize) -> Network {
        Network::with((0..hosts).map(config).collect())
    }

    pub fn with(configs: Vec<Config>) -> Network {
        let hosts = configs.into_iter().enumerate().map(|(index, config)| {
            let mut seed = [7_u8; 32];
            seed[0] = u8::try_from(index).unwrap();
            let mut engine = Engine::new(config, Generator::new(seed));
            engine.handle_attach(Time::ZERO, APPLICATION);
            engine.handle_command(Time::ZERO, APPLICATION, Command::RouteAll);
            Host {
                engine,
                events: VecDeque::new(),
                resolves: Vec::new(),
                commands: 0,
            }
        });
        Network {
            hosts: hosts.collect(),
            now: Time::ZERO,
            wire: Vec::new(),
            losses: Vec::new(),
            tcp_refused: false,
            messages: Vec::new(),
        }
    }

    /// Carries messages until nothing moves.
    pub fn settle(&mut self) {
        loop {
            let mut moved = false;
            for from in 0..self.hosts.len() {
                while let Some(transmit) = self.hosts[from].engine.poll_transmit() {
                    moved = true;
                    self.carry(from, &transmit);
                }
                let host = &mut self.hosts[from];
                while let Some((_, event)) = host.engine.poll_event() {
                    host.events.push_back(event);
                }
                while let Some(resolve) = host.engine.poll_resolve() {
                    host.resolves.push(resolve);
                }
            }
            if !moved {
                return;
            }
        }
    }

    fn carry(&mut self, from: usize, transmit: &Transmit) {
        let text = String::from_utf8_lossy(&transmit.bytes).into_owned();
        let line = text.lines().next().unwrap_or_default().to_owned();
        let peer = transmit.destination.peer;
        let to = (0..self.hosts.len()).find(|host| address(*host) == peer);
        self.wire.push((from, to.unwrap_or(usize::MAX), line));
        let message = Message::parse(transmit.bytes.clone(), &Limits::default())
            .expect("what we send can be read");
        self.messages.push(message.clone());
        let lost = self
            .losses
            .iter_mut()
            .find(|(part, count)| *count > 0 && text.contains(part));
        if let Some((_, count)) = lost {
            *count -= 1;
            return;
        }
        let reliable = transmit.destination.transport.is_reliable();
        if reliable && self.tcp_refused {
            let error = engine::TransmitError::Refused;
            return self.hosts[from]
                .engine
                .handle_transmit_failed(self.now, transmit.token, error);
        }
        let Some(to) = to else { return };
        let index = usize::from(reliable);
        let origin = Origin {
            listener: ListenerId(u16::try_from(index).unwrap()),
            transport: transmit.destination.transport,
            peer: address(from),
            local: address(to),
            connection: reliable
                .then(|| ConnectionId(u64::try_from(from.min(to) * 10 + from.max(to)).unwrap())),
        };
        let size = transmit.bytes.len();
        self.hosts[to]
            .engine
            .handle_message(self.now, origin, message, size);
    }

    /// Lets time pass, timer by timer.
    pub fn advance(&mut self, by: Duration) {
        self.settle();
        let end = self.now + by;
        loop {
            let next = self
                .hosts
                .iter()
                .filter_map(|host| host.engine.poll_timeout())
                .min();
            let Some(next) = next.filter(|next| *next <= end) else {
                break;
            };
            self.now = next.max(self.now);
            for host in &mut self.hosts {
                host.engine.handle_timeout(self.now);
            }
            self.settle();
        }
        self.now = end;
    }

    /// Lets so much time pass that whatever is not held by a dialog is gone, and checks that it is.
    pub fn rest(&mut self) {
        self.advance(Duration::from_secs(300));
        for (index, host) in self.hosts.iter().enumerate() {
            let counts = host.engine.counts();
            let held = [
                counts.server_transactions,
                counts.client_transactions,
                counts.proxies,
                counts.resolves,
            ];
            assert_eq!(held, [0; 4], "host {index} at rest");
            assert_eq!(
                counts.timers, counts.dialogs,
                "host {index}: one timer for each dialog"
            );
        }
    }

    /// Checks that no dialog is left either.
    pub fn rest_empty(&mut self) {
        self.rest();
        for (index, host) in self.hosts.iter().enumerate() {
            assert_eq!(host.engine.counts().dialogs, 0, "dialogs of host {index}");
        }
    }

    pub fn command(&mut self, host: usize, command: impl FnOnce(CommandId) -> Command) {
        self.hosts[host].commands += 1;
        let command = command(CommandId(self.hosts[host].commands));
        let now = self.now;
        self.hosts[host]
            .engine
            .handle_command(now, APPLICATION, command);
        self.settle();
    }

    pub fn send(
        &mut self,
        host: usize,
        method: Method,
        uri: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) {
        self.command(host, |id| {
            Command::Send(SendRequest {
                id,
                method,
                uri: uri.to_owned(),
                dialog: None,
                next_hop: None,
                draft: draft(headers, body),
            })
        });
    }

    pub fn send_in(&mut self, host: usize, dialog: DialogId, method: Method, body: &[u8]) {
        self.command(host, |id| {
            let dialog = Some(DialogReference::Id(dialog));
            Command::Send(SendRequest {
                id,
                method,
                uri: String::new(),
                dialog,
                next_hop: None,
                draft: draft(&[], body),
            })
        });
    }

    pub fn respond(&mut self, host: usize, transaction: TransactionId, status: u16, body: &[u8]) {
        self.respond_with(host, transaction, status, &[], body);
    }

    pub fn respond_with(
        &mut self,
        host: usize,
        transaction: TransactionId,
        status: u16,
        headers: &[(&str, &str)],
        body: &[u8],
    ) {
        self.command(host, |id| {
            Command::Respond(Respond {
                id,
                transaction,
                status,
                reason: String::new(),
                draft: draft(headers, body),
            })
        });
    }

    pub fn cancel(&mut self, host: usize, transaction: TransactionId) {
        self.command(host, |id| {
            Command::Cancel(Cancel {
                id,
                transaction,
                draft: Draft::default(),
            })
        });
    }

    pub fn proxy(
        &mut self,
        host: usize,
        transaction: TransactionId,
        targets: &[&str],
        options: ProxyOptions,
    ) {
        let targets = targets.iter().map(|target| (*target).to_owned()).collect();
        self.command(host, |id| {
            Command::Proxy(Proxy {
                id,
                transaction,
                targets,
                options,
                headers: Vec::new(),
            })
        });
    }

    /// The next event of a host's application.
    pub fn event(&mut self, host: usize) -> Event {
        self.settle();
        self.hosts[host].events.pop_front().expect("an event")
    }

    pub fn no_event(&mut self, host: usize) {
        self.settle();
        let event = self.hosts[host].events.pop_front();
        assert!(event.is_none(), "{event:?}");
    }

    pub fn request(&mut self, host: usize) -> Request {
        match self.event(host) {
            Event::Request(request) => request,
            other => panic!("a request is expected, not {other:?}"),
        }
    }

    pub fn response(&mut self, host: usize) -> Response {
        match self.event(host) {
            Event::Response(response) => response,
            other => panic!("a response is expected, not {other:?}"),
        }
    }

    pub fn sent(&mut self, host: usize) -> Sent {
        match self.event(host) {
            Event::Sent(sent) => sent,
            other => panic!("Sent is expected, not {other:?}"),
        }
    }

    /// How many messages went over the wire that start so.
    pub fn count(&self, start: &str) -> usize {
        self.wire
            .iter()
            .filter(|(_, _, line)| line.starts_with(start))
            .count()
    }

    /// Host 0 calls host 1, which answers: both dialogs, host 0 has acknowledged.
    pub fn call(&mut self) -> (DialogId, DialogId) {
        self.send(0, Method::Invite, "sip:bob@192.0.2.2", &[], SDP);
        self.sent(0);
        let invite = self.request(1);
        self.respond(1, invite.transaction, 200, SDP);
        let callee = self.sent(1).dialog.unwrap();
        let answer = self.response(0);
        assert_eq!(answer.message.status(), 200);
        let caller = answer.dialog.unwrap();
        self.send_in(0, caller, Method::Ack, b"");
        self.sent(0);
        assert_eq!(self.request(1).message.method(), Method::Ack);
        (caller, callee)
    }

    /// Host `from` ends the dialog; `to` answers.
    pub fn hang_up(&mut self, from: usize, dialog: DialogId, to: usize) {
        self.send_in(from, dialog, Method::Bye, b"");
        self.sent(from);
        let bye = self.request(to);
        assert_eq!(bye.message.method(), Method::Bye);
        self.respond(to, bye.transaction, 200, b"");
        self.sent(to);
        assert_eq!(self.response(from).message.status(), 200);
    }
}

pub fn draft(headers: &[(&str, &str)], body: &[u8]) -> Draft {
    let headers = headers.iter();
    Draft {
        headers: headers
            .map(|(name, value)| {
                (
                    Bytes::copy_from_slice(name.as_bytes()),
                    Bytes::copy_from_slice(value.as_bytes()),
                )
            })
            .collect(),
        body: Bytes::copy_from_slice(body),
        ..Draft::default()
    }
}

pub fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
