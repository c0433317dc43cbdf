//! The engine of one shard: verbs in, effects out. `handle_*` takes what happened and when; `poll_*` gives what is to be done.
//!
//! A driver calls, after each `handle_*` (or a batch of them): `poll_transmit`, `poll_event`, `poll_resolve` until each gives
//! `None`, then sleeps until `poll_timeout` or until something happens. The verbs are all there is: no callback, no clock.
//!
//! The work is done beside this file, one concern each: `uas` (requests that come), `uac` (requests that go), `transaction`,
//! `dialog`, `proxying` and `relaying` (the proxy core's wiring), `dispatch` (applies the machines' effects).
use crate::admit::Admit;
use crate::application::Applications;
use crate::command::Command;
use crate::config::Config;
use crate::counts::Counts;
use crate::dialog::forking::AskedTable;
use crate::dialog::table::DialogTable;
use crate::event::{CommandError, Event, Failed};
use crate::flows::Flows;
use crate::id::{
    ApplicationId, CommandId, ConnectionId, DialogId, Generator, ResolveId, TransactionId,
};
use crate::listener::Listeners;
use crate::log_limit::LogLimit;
use crate::proxy::TimerKind;
use crate::proxying::Proxied;
use crate::resolve::Resolve;
use crate::time::Time;
use crate::timer::TimerQueue;
use crate::totals::{Total, Totals};
use crate::transaction::client::ClientTable;
use crate::transaction::key::Digester;
use crate::transaction::server::ServerTable;
use crate::transport::{Destination, Origin, PeerCertificate, Transmit, TransmitToken};
use crate::uac::target_news::TargetNews;
use crate::uac::unavailable::UnavailableTable;
use crate::ways::Ways;
use bytes::Bytes;
use rustc_hash::FxHashMap;
use sip::{Message, Method};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// What a timer is for.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Timer {
    /// Repeat a final response (timer G), or send the 100 that was held back.
    ServerRetransmit(TransactionId),
    /// The application's limit, timers H, I, J, L.
    ServerTimeout(TransactionId),
    /// Timers A and E.
    ClientRetransmit(TransactionId),
    /// Timers B, D, F, K, M, and the limit of a resolution.
    ClientTimeout(TransactionId),
    /// Repeat a 2xx (RFC 3261 §13.3.1.4).
    AnswerRetransmit(DialogId),
    /// No ACK came for a 2xx.
    AnswerTimeout(DialogId),
    /// Repeat a reliable provisional response (RFC 3262 §3).
    ReliableRetransmit(DialogId),
    /// No PRACK came for it.
    ReliableTimeout(DialogId),
    /// A subscription of a dialog is to be refreshed, notified of or ended.
    Subscription(DialogId),
    /// Timer N of a SUBSCRIBE or REFER outside a dialog.
    Asked(TransactionId),
    /// A dialog was silent for long.
    DialogIdle(DialogId),
    /// Our refresh of a session is due (RFC 4028 §7.4).
    SessionRefresh(DialogId),
    /// A session was not refreshed (RFC 4028 §10).
    SessionExpiry(DialogId),
    /// A timer of the proxy core, for a branch of this server transaction.
    Proxy(TransactionId, TimerKind, u32),
    /// A target that failed long ago, by its key.
    Unavailable(u64),
    /// The way of an INVITE that was forwarded without state, by its key.
    Way(u64),
}

/// The engine of one shard.
pub struct Engine {
    pub(crate) config: Config,
    pub(crate) now: Time,
    pub(crate) generator: Generator,
    pub(crate) digester: Digester,
    pub(crate) listeners: Listeners,
    pub(crate) applications: Applications,
    pub(crate) timers: TimerQueue<Timer>,
    pub(crate) servers: ServerTable,
    pub(crate) clients: ClientTable,
    pub(crate) dialogs: DialogTable,
    pub(crate) resolves: FxHashMap<ResolveId, TransactionId>,
    /// The proxied requests, by server transaction.
    pub(crate) contexts: FxHashMap<TransactionId, Box<Proxied>>,
    /// SUBSCRIBEs and REFERs outside a dialog whose NOTIFYs may come.
    pub(crate) asked: AskedTable,
    /// The connections that are open, as far as messages came over them.
    pub(crate) flows: Flows,
    /// What the peers of some of them proved to be.
    pub(crate) certificates: FxHashMap<ConnectionId, Arc<PeerCertificate>>,
    /// Something was forwarded without state: responses may come that belong to no transaction.
    pub(crate) stateless: bool,
    /// The ways of INVITEs among them.
    pub(crate) ways: Ways,
    /// No new work is taken any more: `handle_drain`.
    pub(crate) is_draining: bool,
    /// The targets of names that are left out.
    pub(crate) unavailable: UnavailableTable,
    /// What the other shards are to be told about them.
    pub(crate) target_news: VecDeque<TargetNews>,
    pub(crate) totals: Totals,
    /// Who sends here, and what they hold.
    pub(crate) admit: Admit,
    /// For what strangers can make the log say.
    pub(crate) log: LogLimit,
    /// Lines about names that lead nowhere: other lines take none of their room.
    pub(crate) names_log: LogLimit,
    counter: u64,
    transmits: VecDeque<Transmit>,
    events: VecDeque<(ApplicationId, Event)>,
    questions: VecDeque<Resolve>,
}

impl Engine {
    /// An engine with nothing to do. `generator` makes every tag, branch and Call-ID.
    #[must_use]
    pub fn new(config: Config, mut generator: Generator) -> Engine {
        let digester = Digester::new([generator.next_u64(), generator.next_u64()]);
        Engine {
            listeners: Listeners::new(&config.listeners, &config.network),
            dialogs: DialogTable::new(digester.clone()),
            admit: Admit::new(config.admission.clone(), digester.clone()),
            digester,
            generator,
            now: Time::ZERO,
            applications: Applications::default(),
            timers: TimerQueue::new(),
            servers: ServerTable::default(),
            clients: ClientTable::default(),
            resolves: FxHashMap::default(),
            contexts: FxHashMap::default(),
            asked: AskedTable::default(),
            flows: Flows::default(),
            certificates: FxHashMap::default(),
            stateless: false,
            ways: Ways::default(),
            unavailable: UnavailableTable::default(),
            target_news: VecDeque::new(),
            is_draining: false,
            totals: Totals::default(),
            log: LogLimit::default(),
            names_log: LogLimit::default(),
            counter: 0,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            questions: VecDeque::new(),
            config,
        }
    }

    /// A message came. `wire_bytes` is its size as received.
    pub fn handle_message(
        &mut self,
        now: Time,
        origin: Origin,
        message: Message,
        wire_bytes: usize,
    ) {
        self.advance(now);
        if origin.connection.is_some() {
            self.note_connection(&origin);
        }
        self.listeners.learn(&origin);
        if message.is_request() {
            self.receive_request(origin, message, wire_bytes);
        } else {
            self.receive_response(origin, message, wire_bytes);
        }
    }

    /// An application gives a command.
    pub fn handle_command(&mut self, now: Time, application: ApplicationId, command: Command) {
        self.advance(now);
        if !self.applications.is_attached(application) {
            tracing::debug!(
                ?application,
                "command of an application that is not attached: ignored"
            );
            return;
        }
        match command {
            Command::Route(method) => self.applications.route(application, method),
            Command::Unroute(method) => self.applications.unroute(application, &method),
            Command::RouteAll => self.applications.route_all(application),
            Command::Respond(respond) => {
                let id = respond.id;
                let outcome = self.respond(application, respond);
                self.report(application, id, outcome);
            }
            Command::RespondWritten(written) => {
                let outcome = self.respond_written(application, &written);
                self.report(application, written.id, outcome);
            }
            Command::Send(send) => {
                let id = send.id;
                let outcome = self.send_request(application, send);
                self.report(application, id, outcome);
            }
            Command::Cancel(cancel) => {
                let id = cancel.id;
                let outcome = self.cancel(application, cancel);
                self.report(application, id, outcome);
            }
            Command::Proxy(proxy) => {
                let id = proxy.id;
                let outcome = self.proxy(application, proxy);
                self.report(application, id, outcome);
            }
            Command::CancelProxy(cancel) => self.cancel_proxy(application, &cancel),
            Command::Drop(transaction) => self.drop_request(application, transaction),
            Command::Export(export) => {
                let outcome = self.export_dialog(application, &export);
                self.report(application, export.id, outcome);
            }
            Command::Import(import) => {
                let id = import.id;
                let outcome = self.import_dialog(application, import);
                self.report(application, id, outcome);
            }
        }
    }

    /// An application is there: it may give commands and gets events.
    pub fn handle_attach(&mut self, now: Time, application: ApplicationId) {
        self.advance(now);
        self.applications.attach(application);
    }

    /// How old the oldest event is that this application has not taken yet. Past `Bounds::event_age` it gets no new requests.
    pub fn handle_backlog(&mut self, now: Time, application: ApplicationId, oldest: Duration) {
        self.advance(now);
        let most = self.config.bounds.event_age;
        self.applications.set_backlog(application, oldest, most);
    }

    /// The peer of a connection proved to have this certificate. Told before the first message that came over it.
    pub fn handle_connection_certified(
        &mut self,
        now: Time,
        connection: ConnectionId,
        certificate: Arc<PeerCertificate>,
    ) {
        self.advance(now);
        self.certificates.insert(connection, certificate);
    }

    /// What the sender of a message proved to be.
    pub(crate) fn certificate(&self, origin: &Origin) -> Option<Arc<PeerCertificate>> {
        if self.certificates.is_empty() {
            return None;
        }
        self.certificates.get(&origin.connection?).cloned()
    }

    /// This engine is about to end: from now on new requests get 503, so that peers go elsewhere. What there is goes on.
    pub fn handle_drain(&mut self, now: Time) {
        self.advance(now);
        self.is_draining = true;
    }

    /// The time that `poll_timeout` gave has come (or some later one).
    pub fn handle_timeout(&mut self, now: Time) {
        self.advance(now);
        while let Some(timer) = self.timers.pop_due(self.now) {
            self.fire(timer);
        }
    }

    /// The next message to put on the wire.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next event, and the application it is for.
    pub fn poll_event(&mut self) -> Option<(ApplicationId, Event)> {
        self.events.pop_front()
    }

    /// The next question to the resolver; `handle_resolved` answers it.
    pub fn poll_resolve(&mut self) -> Option<Resolve> {
        self.questions.pop_front()
    }

    /// When `handle_timeout` is to be called; none while no timer is set.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        self.timers.next_deadline()
    }

    /// Gives back the room of the queues, which are empty between two turns.
    pub(crate) fn shrink_queues(&mut self) {
        self.transmits.shrink_to_fit();
        self.events.shrink_to_fit();
        self.questions.shrink_to_fit();
    }

    /// How often a dialog was looked at since the start: the work that a message makes, for tests.
    #[cfg(debug_assertions)]
    #[doc(hidden)]
    #[must_use]
    pub fn dialogs_looked_at(&self) -> u64 {
        self.dialogs.looked()
    }

    /// What the engine holds and has done.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            shard: self.config.shard,
            server_transactions: self.servers.len(),
            client_transactions: self.clients.len(),
            dialogs: self.dialogs.len(),
            proxies: self.proxies(),
            timers: self.timers.len(),
            resolves: self.resolves.len(),
            unavailable: self.unavailable.len(),
            applications: self.applications.len(),
            connections: 0,
            flows: self.flows.len(),
            bans: 0,
            sources: self.admit.usage.len(),
            totals: self.totals.list(),
        }
    }

    /// Counts a message that is not let in, and says in the log who sent it and what was wrong with it.
    pub(crate) fn note_refused(
        &mut self,
        total: Total,
        origin: &Origin,
        method: &Method,
        what: &str,
    ) {
        self.totals.add(total);
        if let Some(suppressed) = self.log.allow(self.now) {
            let (peer, transport) = (origin.peer, origin.transport);
            tracing::warn!(%peer, %transport, %method, what, suppressed, "request refused");
        }
    }

    /// Time never goes back, whatever the driver says: deadlines would fire out of order.
    pub(crate) fn advance(&mut self, now: Time) {
        self.now = self.now.max(now);
    }

    /// A number that this engine has not used for a transaction, dialog or question.
    pub(crate) fn next_number(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// The identifier of a new transaction.
    pub(crate) fn next_transaction(&mut self) -> TransactionId {
        TransactionId::new(self.config.shard, self.next_number())
    }

    /// Puts a message on the wire.
    pub(crate) fn transmit(
        &mut self,
        destination: Destination,
        bytes: Bytes,
        token: TransmitToken,
    ) {
        self.transmit_to(destination, None, bytes, token);
    }

    /// Puts a message on the wire, to the server of that name where the transport proves names.
    pub(crate) fn transmit_to(
        &mut self,
        destination: Destination,
        server_name: Option<Arc<str>>,
        bytes: Bytes,
        token: TransmitToken,
    ) {
        self.transmits.push_back(Transmit {
            destination,
            server_name,
            bytes,
            token,
        });
    }

    /// Tells an application something, if it is still there.
    pub(crate) fn emit(&mut self, application: ApplicationId, event: Event) {
        if self.applications.is_attached(application) {
            self.events.push_back((application, event));
        }
    }

    /// Asks the resolver.
    pub(crate) fn ask(&mut self, question: Resolve) {
        self.questions.push_back(question);
    }

    fn report(
        &mut self,
        application: ApplicationId,
        command: CommandId,
        outcome: Result<(), CommandError>,
    ) {
        if let Err(error) = outcome {
            self.fail(application, command, error);
        }
    }

    /// Answers a command that cannot be carried out.
    pub(crate) fn fail(
        &mut self,
        application: ApplicationId,
        command: CommandId,
        error: CommandError,
    ) {
        self.totals.add(Total::CommandsFailed);
        self.emit(application, Event::Failed(Failed { command, error }));
    }
}
