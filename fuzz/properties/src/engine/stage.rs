//! The engine, what it has said so far, and the checks of what it says.
use super::ledger::{Ledger, Outcome};
use super::texts::OWN;
use bytes::Bytes;
use engine::admit::{Admission, Rate};
use engine::config::{Bounds, Config, NatRules};
use engine::event::{Event, Request};
use engine::export::ExportedDialog;
use engine::id::{ApplicationId, CommandId, ConnectionId, DialogId, Generator, TransactionId};
use engine::reply::Replier;
use engine::transport::{ListenerId, Origin, Transport};
use engine::{Command, Engine, Resolve, Time, Transmit};
use sip::{Limits, Message};
use std::net::SocketAddr;
use std::time::Duration;

/// What one message, command or timer may make the engine send: forking to 16 targets, and the CANCELs of a fork's 64 early dialogs.
const MOST_TRANSMITS: usize = 400;
/// Timers that may fire in a rest before it is none.
const MOST_TIMERS: usize = 20_000;
/// How much of what was said is remembered.
const REMEMBERED: usize = 24;

/// A dialog as its peer knows it.
#[derive(Clone, Debug)]
pub struct Known {
    pub call_id: String,
    /// From of the peer's requests.
    pub peer: String,
    /// To of the peer's requests.
    pub own: String,
}

/// The two applications, attached from the start.
pub const APPLICATIONS: [ApplicationId; 2] = [ApplicationId(1), ApplicationId(2)];

/// The engine and what is known of it.
pub struct Stage {
    pub engine: Engine,
    pub now: Time,
    pub replier: Replier,
    pub ledger: Ledger,
    /// Which applications are attached.
    pub attached: [bool; 2],
    /// Requests that the engine sent.
    pub requests: Vec<(Message, Transmit)>,
    /// Responses that the engine sent.
    pub responses: Vec<Message>,
    /// What peers sent, for repeating it.
    pub received: Vec<(Origin, Bytes)>,
    /// Requests that applications were told of.
    pub asked: Vec<(ApplicationId, Request)>,
    /// Client transactions of applications.
    pub sent: Vec<(ApplicationId, TransactionId)>,
    pub dialogs: Vec<(ApplicationId, DialogId)>,
    pub known: Vec<Known>,
    pub questions: Vec<Resolve>,
    pub transmits: Vec<Transmit>,
    pub exported: Vec<ExportedDialog>,
    bounds: Bounds,
    is_small: bool,
    pub is_open: bool,
    commands: u64,
    is_hairpin: bool,
    /// The request at hand opened no transaction: what answers it is no transaction's.
    is_stateless: bool,
}

fn remember<T>(list: &mut Vec<T>, value: T) {
    if list.len() >= REMEMBERED {
        list.remove(0);
    }
    list.push(value);
}

/// A server on the open Internet: nobody is trusted, sources may hold little, Contacts are looked at, browsers come.
fn open(config: &mut Config) {
    let mut web = config.listeners[1].clone();
    web.transport = Transport::Ws;
    config.listeners.push(web);
    config.admission = Admission {
        trusted: Vec::new(),
        rate: Some(Rate::new(100, 40)),
        connection_rate: Some(Rate::new(1, 4)),
        transactions: 5,
        known_transactions: 8,
        strangers_transactions: 6,
        half_open: 2,
        known_half_open: 4,
        strangers_half_open: 3,
        dialogs: 3,
        ..Admission::default()
    };
    config.network.nat = NatRules {
        contact_private: true,
        contact_differs: true,
        via_differs: true,
    };
    config.alias = true;
}

fn config(manner: usize, is_open: bool) -> Config {
    let mut config = simnet::host::config(simnet::HostId(0));
    let mut six = config.listeners[0].clone();
    six.bound = "[2001:db8::1]:5060".parse().expect("an address");
    six.addresses = vec![six.bound.ip()];
    config.listeners.push(six);
    if manner & 1 != 0 {
        (config.bounds.transactions, config.bounds.dialogs) = (6, 3);
    }
    if manner & 2 != 0 {
        config.timers.trying = Duration::from_millis(200);
    }
    config.udp_request_limit = (manner & 4 != 0).then_some(500);
    config.drachtio_compatible = manner & 8 != 0;
    config.session.expires = (manner & 16 != 0).then_some(120);
    config.session.enabled = manner & 32 == 0;
    if is_open {
        open(&mut config);
    }
    config
}

impl Stage {
    /// An engine with two applications. `manner` chooses its configuration, a bit for each choice; `is_open`: on the open Internet.
    pub fn new(manner: usize, is_open: bool) -> Stage {
        let config = config(manner, is_open);
        let replier = Replier::new(
            &config.listeners,
            &config.network,
            config.drachtio_compatible,
            config.session.clone(),
        );
        let mut stage = Stage {
            bounds: config.bounds.clone(),
            is_small: manner & 1 != 0 || is_open,
            is_open,
            engine: Engine::new(config, Generator::new([7; 32])),
            now: Time::START,
            replier,
            ledger: Ledger::default(),
            attached: [true, true],
            requests: Vec::new(),
            responses: Vec::new(),
            received: Vec::new(),
            asked: Vec::new(),
            sent: Vec::new(),
            dialogs: Vec::new(),
            known: Vec::new(),
            questions: Vec::new(),
            transmits: Vec::new(),
            exported: Vec::new(),
            commands: 0,
            is_hairpin: manner & 64 != 0,
            is_stateless: false,
        };
        for application in APPLICATIONS {
            stage.engine.handle_attach(stage.now, application);
            stage
                .engine
                .handle_command(stage.now, application, Command::RouteAll);
        }
        stage
    }

    /// A message of a peer, or what is none.
    pub fn receive(&mut self, origin: Origin, bytes: Bytes) {
        remember(&mut self.received, (origin, bytes.clone()));
        self.deliver(origin, bytes);
    }

    fn deliver(&mut self, origin: Origin, bytes: Bytes) {
        if self.is_open {
            let is_response = bytes.starts_with(b"SIP/2.0 ");
            let admitted = self
                .engine
                .admit(self.now, &origin, is_response, bytes.len());
            if admitted.is_err() {
                self.is_stateless = true;
                if origin.transport.is_reliable() {
                    self.engine.handle_unwanted(self.now, origin, &bytes, 503);
                }
                return;
            }
        }
        match Message::parse(bytes.clone(), &Limits::default()) {
            Ok(message) => {
                let is_request = message.is_request();
                let before = self.engine.counts().server_transactions;
                self.engine
                    .handle_message(self.now, origin, message, bytes.len());
                let after = self.engine.counts().server_transactions;
                self.is_stateless |= is_request && after <= before;
            }
            Err(error) => {
                self.is_stateless = true;
                self.engine
                    .handle_malformed(self.now, origin, &bytes, &error);
            }
        }
    }

    /// A command of an application.
    pub fn command(
        &mut self,
        application: ApplicationId,
        outcome: Option<Outcome>,
        command: impl FnOnce(CommandId) -> Command,
    ) {
        self.commands += 1;
        let id = CommandId(self.commands);
        if let Some(outcome) = outcome.filter(|_| self.is_attached(application)) {
            self.ledger.asked(application, id, outcome);
        }
        self.engine
            .handle_command(self.now, application, command(id));
    }

    pub fn is_attached(&self, application: ApplicationId) -> bool {
        APPLICATIONS
            .iter()
            .zip(self.attached)
            .any(|(other, attached)| *other == application && attached)
    }

    /// Takes what the engine wants done, and checks it.
    pub fn settle(&mut self) {
        let mut count = 0;
        loop {
            let mut moved = false;
            while let Some(transmit) = self.engine.poll_transmit() {
                moved = true;
                count += 1;
                assert!(count <= MOST_TRANSMITS, "one step made {count} messages");
                self.transmitted(transmit);
            }
            while let Some((application, event)) = self.engine.poll_event() {
                moved = true;
                assert!(self.is_attached(application), "told to nobody: {event:?}");
                self.ledger.told(application, &event);
                self.told(application, event);
            }
            while let Some(question) = self.engine.poll_resolve() {
                remember(&mut self.questions, question);
            }
            if !moved {
                break;
            }
        }
        self.is_stateless = false;
        self.is_bounded();
    }

    fn is_bounded(&self) {
        let counts = self.engine.counts();
        let held = counts.server_transactions + counts.client_transactions;
        let most = self.bounds.transactions;
        // A quarter more for requests within dialogs, twice for what the engine itself sends for each: BYE, CANCEL, forks of one request.
        assert!(
            held <= most * 2 + most / 2 + 64,
            "{held} transactions, the bound is {most}"
        );
        let most = self.bounds.dialogs;
        assert!(
            counts.dialogs <= most + 200,
            "{} dialogs, the bound is {most}",
            counts.dialogs
        );
    }

    fn transmitted(&mut self, transmit: Transmit) {
        let read = Message::parse(transmit.bytes.clone(), &Limits::unlimited());
        let message = read.unwrap_or_else(|error| {
            panic!(
                "sent what cannot be read, {error}: {}",
                transmit.bytes.escape_ascii()
            )
        });
        assert_eq!(
            message.as_bytes().len(),
            transmit.bytes.len(),
            "more is sent than a message"
        );
        if message.is_request() {
            message.validate().unwrap_or_else(|error| {
                panic!(
                    "sent a request that is refused, {error}: {}",
                    transmit.bytes.escape_ascii()
                )
            });
            remember(&mut self.requests, (message.clone(), transmit.clone()));
        } else {
            let is_strict = !self.is_small && !self.is_stateless;
            self.ledger.sent(self.now, &transmit, &message, is_strict);
            self.learn(&message, false);
            remember(&mut self.responses, message.clone());
        }
        remember(&mut self.transmits, transmit.clone());
        let own: SocketAddr = OWN.parse().expect("an address");
        if self.is_hairpin && transmit.destination.peer == own {
            let transport = transmit.destination.transport;
            let origin = origin(
                transport,
                own,
                transport.is_reliable().then_some(ConnectionId(99)),
            );
            self.deliver(origin, transmit.bytes);
        }
    }

    /// Learns of a dialog from a response: one that the engine sent, or one that answers it.
    pub fn learn(&mut self, response: &Message, answers_engine: bool) {
        let (Ok(call_id), Some(from), Some(to)) = (
            response.call_id(),
            response.header(sip::HeaderName::From),
            response.header(sip::HeaderName::To),
        ) else {
            return;
        };
        if !response.to().is_ok_and(|to| to.tag().is_some()) {
            return;
        }
        let (from, to) = (from.text().into_owned(), to.text().into_owned());
        let (peer, own) = if answers_engine {
            (to, from)
        } else {
            (from, to)
        };
        let call_id = call_id.to_owned();
        remember(&mut self.known, Known { call_id, peer, own });
    }

    fn told(&mut self, application: ApplicationId, event: Event) {
        match event {
            Event::Request(request) => {
                self.dialogs
                    .extend(request.dialog.map(|dialog| (application, dialog)));
                remember(&mut self.asked, (application, request));
            }
            Event::Response(response) => {
                self.dialogs
                    .extend(response.dialog.map(|dialog| (application, dialog)));
            }
            Event::Sent(sent) => {
                self.dialogs
                    .extend(sent.dialog.map(|dialog| (application, dialog)));
                if sent.message.is_request() {
                    remember(&mut self.sent, (application, sent.transaction));
                }
            }
            Event::Exported(exported) => {
                let json = exported.dialog.to_json();
                let read =
                    ExportedDialog::from_json(&json).expect("what was exported can be imported");
                assert_eq!(read, *exported.dialog);
                remember(&mut self.exported, read);
            }
            Event::Imported(imported) => self.dialogs.push((application, imported.dialog)),
            Event::Failed(_)
            | Event::ProxyResponse(_)
            | Event::ProxyDone(_)
            | Event::DialogEnded(_)
            | Event::SubscriptionEnded(_) => {}
        }
        let surplus = self.dialogs.len().saturating_sub(REMEMBERED);
        self.dialogs.drain(..surplus);
    }

    /// Lets time pass, timer by timer.
    pub fn advance(&mut self, by: Duration) {
        let end = self.now + by;
        for fired in 0.. {
            let Some(next) = self.engine.poll_timeout().filter(|next| *next <= end) else {
                break;
            };
            assert!(fired < MOST_TIMERS, "timers without end");
            self.now = self.now.max(next);
            self.engine.handle_timeout(self.now);
            let following = self.engine.poll_timeout();
            assert!(
                following.is_none_or(|at| at > self.now),
                "a timer that is due did not fire"
            );
            self.settle();
        }
        self.now = end;
    }

    /// Nothing comes any more: every connection closes, no name is resolved, nobody says anything. In the end nothing is held.
    pub fn rest(&mut self) {
        for connection in 1..=100 {
            self.engine
                .handle_connection_closed(self.now, ConnectionId(connection));
        }
        self.is_hairpin = false;
        // Where that ended everything no timer is left, but what became of it is still to be told.
        self.settle();
        // Twelve hours end any dialog that is silent; what it says as it ends, and what is repeated, takes minutes.
        let mut days = 0;
        while self.engine.poll_timeout().is_some() {
            days += 1;
            assert!(
                days < 10,
                "timers after {days} days: {:?}",
                self.engine.counts()
            );
            self.advance(Duration::from_secs(86_400));
        }
        let counts = self.engine.counts();
        let held = [
            ("server transactions", counts.server_transactions),
            ("client transactions", counts.client_transactions),
            ("dialogs", counts.dialogs),
            ("proxies", counts.proxies),
            ("timers", counts.timers),
            ("resolves", counts.resolves),
            ("flows", counts.flows),
        ];
        for (what, count) in held {
            assert_eq!(count, 0, "{what} at rest");
        }
        self.ledger.rest();
    }
}

/// The origin of a message from this peer.
pub fn origin(transport: Transport, peer: SocketAddr, connection: Option<ConnectionId>) -> Origin {
    let (listener, local) = match (transport.is_reliable(), peer.is_ipv6()) {
        (true, _) if transport == Transport::Ws => (3, OWN),
        (true, _) => (1, OWN),
        (false, false) => (0, OWN),
        (false, true) => (2, "[2001:db8::1]:5060"),
    };
    Origin {
        listener: ListenerId(listener),
        transport,
        peer,
        local: local.parse().expect("an address"),
        connection,
    }
}
