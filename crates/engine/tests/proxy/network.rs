//! A network of engines under a virtual clock: what one transmits another receives a millisecond later, and all of it is logged.
use bytes::Bytes;
use engine::command::{Cancel, DialogReference, Draft, Proxy, ProxyOptions, Respond, SendRequest};
use engine::config::{Bounds, Config, Failover, Listener, SessionTimers, Timers};
use engine::event::{Event, Request};
use engine::id::{ApplicationId, CommandId, ConnectionId, DialogId, Generator, TransactionId};
use engine::transport::{Destination, ListenerId, Origin, Transport};
use engine::{Command, Engine, Time};
use sip::{Limits, Message, Method};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The one application of each engine.
const APPLICATION: ApplicationId = ApplicationId(1);
/// How long a message travels.
const LATENCY: Duration = Duration::from_millis(1);

/// An engine at an address, and what its application has been told and not yet looked at.
struct Node {
    name: &'static str,
    address: SocketAddr,
    engine: Engine,
    events: VecDeque<Event>,
    /// Messages to it are lost.
    deaf: bool,
    /// Messages from it are lost.
    mute: bool,
}

/// A message on its way.
struct Flight {
    to: usize,
    origin: Origin,
    bytes: Bytes,
}

/// The engines and the wire between them.
pub struct Network {
    nodes: Vec<Node>,
    flights: BTreeMap<(Time, u64), Flight>,
    now: Time,
    sequence: u64,
    /// `sender>receiver what`, in the order of sending; the receiver of a lost message is followed by `!`.
    pub log: Vec<String>,
    /// Every message sent, beside its line in the log.
    pub wire: Vec<Message>,
}

fn listener(transport: Transport, address: SocketAddr) -> Listener {
    Listener {
        transport,
        bound: address,
        addresses: vec![address.ip()],
        advertised: None,
    }
}

impl Network {
    /// Engines with these names and addresses, each with a UDP and a TCP listener there and one application for every method.
    pub fn new(nodes: &[(&'static str, &str)]) -> Network {
        let nodes = nodes.iter().zip(1_u8..).map(|((name, address), seed)| {
            let address: SocketAddr = address.parse().expect("an address");
            let config = Config {
                shard: 0,
                shards: 1,
                listeners: vec![
                    listener(Transport::Udp, address),
                    listener(Transport::Tcp, address),
                ],
                timers: Timers::default(),
                bounds: Bounds::default(),
                udp_request_limit: None,
                drachtio_compatible: false,
                session: SessionTimers::default(),
                network: engine::config::Network::default(),
                failover: Failover::default(),
                alias: false,
                admission: engine::admit::Admission::everybody(),
            };
            let mut engine = Engine::new(config, Generator::new([seed; 32]));
            engine.handle_attach(Time::ZERO, APPLICATION);
            engine.handle_command(Time::ZERO, APPLICATION, Command::RouteAll);
            Node {
                name,
                address,
                engine,
                events: VecDeque::new(),
                deaf: false,
                mute: false,
            }
        });
        Network {
            nodes: nodes.collect(),
            flights: BTreeMap::new(),
            now: Time::ZERO,
            sequence: 0,
            log: Vec::new(),
            wire: Vec::new(),
        }
    }

    fn index(&self, name: &str) -> usize {
        self.nodes
            .iter()
            .position(|node| node.name == name)
            .expect("a node of that name")
    }

    fn node(&mut self, name: &str) -> &mut Node {
        let index = self.index(name);
        &mut self.nodes[index]
    }

    /// Messages to this node are lost from now on, or arrive again.
    pub fn set_deaf(&mut self, name: &str, deaf: bool) {
        self.node(name).deaf = deaf;
    }

    /// Messages from this node are lost from now on, or arrive again.
    pub fn set_mute(&mut self, name: &str, mute: bool) {
        self.node(name).mute = mute;
    }

    /// Lets time pass.
    pub fn run(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            self.collect();
            let flight = self.flights.first_key_value().map(|((at, _), _)| *at);
            let timers = self
                .nodes
                .iter()
                .filter_map(|node| node.engine.poll_timeout());
            let Some(next) = timers.chain(flight).min().filter(|next| *next <= until) else {
                break;
            };
            self.now = self.now.max(next);
            if flight.is_some_and(|at| at <= self.now) {
                let (_, Flight { to, origin, bytes }) = self.flights.pop_first().expect("a flight");
                let size = bytes.len();
                let message = Message::parse(bytes, &Limits::default())
                    .expect("engines send well-formed messages");
                self.nodes[to]
                    .engine
                    .handle_message(self.now, origin, message, size);
            } else {
                for node in &mut self.nodes {
                    node.engine.handle_timeout(self.now);
                }
            }
        }
        self.now = until;
    }

    /// Lets the messages that are under way arrive, and those they cause.
    pub fn settle(&mut self) {
        self.run(Duration::from_millis(20));
    }

    /// Takes what the engines give: transmits take off, events go to the application's pile.
    fn collect(&mut self) {
        for from in 0..self.nodes.len() {
            while let Some((_, event)) = self.nodes[from].engine.poll_event() {
                self.nodes[from].events.push_back(event);
            }
            while let Some(transmit) = self.nodes[from].engine.poll_transmit() {
                self.take_off(from, transmit.destination, transmit.bytes);
            }
        }
    }

    fn take_off(&mut self, from: usize, destination: Destination, bytes: Bytes) {
        let message = Message::parse(bytes.clone(), &Limits::default())
            .expect("engines send well-formed messages");
        let what = if message.is_request() {
            message.method().as_str().to_owned()
        } else {
            message.status().to_string()
        };
        let to = self
            .nodes
            .iter()
            .position(|node| node.address == destination.peer);
        let lost = self.nodes[from].mute || to.is_none_or(|to| self.nodes[to].deaf);
        let receiver = to.map_or("nobody", |to| self.nodes[to].name);
        self.log.push(format!(
            "{}>{receiver}{} {what}",
            self.nodes[from].name,
            if lost { "!" } else { "" }
        ));
        self.wire.push(message);
        let Some(to) = to.filter(|_| !lost) else {
            return;
        };
        // One connection joins each pair of nodes.
        let pair = (from.min(to) * 100 + from.max(to)) as u64;
        let reliable = destination.transport.is_reliable();
        let origin = Origin {
            listener: ListenerId(u16::from(reliable)),
            transport: destination.transport,
            peer: self.nodes[from].address,
            local: destination.peer,
            connection: reliable.then_some(ConnectionId(pair)),
        };
        self.sequence += 1;
        self.flights.insert(
            (self.now + LATENCY, self.sequence),
            Flight { to, origin, bytes },
        );
    }

    /// A command of a node's application.
    pub fn command(&mut self, name: &str, command: Command) {
        let now = self.now;
        self.node(name)
            .engine
            .handle_command(now, APPLICATION, command);
    }

    /// The events of a node's application since they were last looked at.
    pub fn events(&mut self, name: &str) -> Vec<Event> {
        self.collect();
        self.node(name).events.drain(..).collect()
    }

    /// The one request that a node's application has been given; other events are thrown away.
    pub fn request(&mut self, name: &str) -> Request {
        let mut requests: Vec<Request> = self
            .events(name)
            .into_iter()
            .filter_map(|event| {
                if let Event::Request(request) = event {
                    Some(request)
                } else {
                    None
                }
            })
            .collect();
        assert_eq!(requests.len(), 1, "one request for {name}: {requests:?}");
        requests.remove(0)
    }

    /// The responses that a node's application has been given.
    pub fn responses(&mut self, name: &str) -> Vec<engine::event::Response> {
        self.events(name)
            .into_iter()
            .filter_map(|event| {
                if let Event::Response(response) = event {
                    Some(response)
                } else {
                    None
                }
            })
            .collect()
    }

    /// A node calls; the INVITE's client transaction.
    pub fn invite(&mut self, name: &str, uri: &str) -> TransactionId {
        self.invite_with(name, uri, &[])
    }

    /// A node calls with header fields of its own.
    pub fn invite_with(
        &mut self,
        name: &str,
        uri: &str,
        headers: &[(&str, &str)],
    ) -> TransactionId {
        self.send_with(name, Method::Invite, uri, None, headers);
        self.sent(name)
    }

    /// The client transaction of the request that a node's application was last told it sent.
    pub fn sent(&mut self, name: &str) -> TransactionId {
        let sent = self
            .events(name)
            .into_iter()
            .rev()
            .find_map(|event| match event {
                Event::Sent(sent) => Some(sent.transaction),
                Event::Failed(failed) => panic!("not sent: {failed:?}"),
                _ => None,
            });
        sent.expect("a request was sent")
    }

    /// A node sends a request.
    pub fn send(&mut self, name: &str, method: Method, uri: &str, dialog: Option<DialogId>) {
        self.send_with(name, method, uri, dialog, &[]);
    }

    fn send_with(
        &mut self,
        name: &str,
        method: Method,
        uri: &str,
        dialog: Option<DialogId>,
        headers: &[(&str, &str)],
    ) {
        let send = SendRequest {
            id: CommandId(1),
            method,
            uri: uri.to_owned(),
            dialog: dialog.map(DialogReference::Id),
            next_hop: None,
            draft: draft(headers),
        };
        self.command(name, Command::Send(send));
    }

    /// A node answers a request.
    pub fn answer(
        &mut self,
        name: &str,
        transaction: TransactionId,
        status: u16,
        headers: &[(&str, &str)],
    ) {
        let respond = Respond {
            id: CommandId(2),
            transaction,
            status,
            reason: String::new(),
            draft: draft(headers),
        };
        self.command(name, Command::Respond(respond));
    }

    /// A node cancels its INVITE.
    pub fn cancel(&mut self, name: &str, transaction: TransactionId) {
        self.command(
            name,
            Command::Cancel(Cancel {
                id: CommandId(3),
                transaction,
                draft: Draft::default(),
            }),
        );
    }

    /// The node `proxy` proxies a request it was given, as command 9.
    pub fn proxy(&mut self, transaction: TransactionId, targets: &[&str], options: ProxyOptions) {
        let targets = targets.iter().map(|target| (*target).to_owned()).collect();
        let proxy = Proxy {
            id: CommandId(9),
            transaction,
            targets,
            options,
            headers: Vec::new(),
        };
        self.command("proxy", Command::Proxy(proxy));
    }

    /// What the application of `proxy` was told of command 9: `180 of 0`, `done 200 by 0`, `failed ...`.
    pub fn reports(&mut self) -> Vec<String> {
        let events = self.events("proxy");
        let texts = events.into_iter().filter_map(|event| match event {
            Event::ProxyResponse(report) => {
                Some(format!("{} of {}", report.message.status(), report.branch))
            }
            Event::ProxyDone(done) => {
                let status = done
                    .status
                    .map_or("-".to_owned(), |status| status.to_string());
                Some(format!(
                    "done {status} by {}",
                    done.winner
                        .map_or("us".to_owned(), |winner| winner.to_string())
                ))
            }
            Event::Failed(failed) => Some(format!("failed {:?}", failed.error)),
            _ => None,
        });
        texts.collect()
    }

    /// Takes the log so far.
    pub fn ladder(&mut self) -> Vec<String> {
        self.wire.clear();
        std::mem::take(&mut self.log)
    }

    /// The last message sent whose line in the log is this one.
    pub fn last(&self, line: &str) -> &Message {
        let at = self.log.iter().rposition(|one| one == line);
        &self.wire[at.unwrap_or_else(|| panic!("no {line:?} in {:#?}", self.log))]
    }

    /// What a node's engine holds: server and client transactions, dialogs, proxied requests, timers, questions.
    pub fn held(&mut self, name: &str) -> [usize; 6] {
        let counts = self.node(name).engine.counts();
        [
            counts.server_transactions,
            counts.client_transactions,
            counts.dialogs,
            counts.proxies,
            counts.timers,
            counts.resolves,
        ]
    }

    /// Every table of every engine is empty.
    pub fn assert_at_rest(&mut self) {
        let names: Vec<&'static str> = self.nodes.iter().map(|node| node.name).collect();
        for name in names {
            assert_eq!(self.held(name), [0; 6], "{name} still holds something");
        }
    }

    /// A stranger's message reaches a node.
    pub fn inject(&mut self, to: &str, from: &str, text: &str) {
        let bytes = Bytes::from(text.replace('\n', "\r\n"));
        let to = self.index(to);
        let origin = Origin {
            listener: ListenerId(0),
            transport: Transport::Udp,
            peer: from.parse().expect("an address"),
            local: self.nodes[to].address,
            connection: None,
        };
        self.sequence += 1;
        self.flights.insert(
            (self.now + LATENCY, self.sequence),
            Flight { to, origin, bytes },
        );
    }
}

fn draft(headers: &[(&str, &str)]) -> Draft {
    let headers = headers.iter().map(|(name, value)| {
        (
            Bytes::from((*name).to_owned()),
            Bytes::from((*value).to_owned()),
        )
    });
    Draft {
        headers: headers.collect(),
        ..Draft::default()
    }
}

/// The statuses of responses.
pub fn statuses(responses: &[engine::event::Response]) -> Vec<u16> {
    responses
        .iter()
        .map(|response| Arc::clone(&response.message).status())
        .collect()
}
