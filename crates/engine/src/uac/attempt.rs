//! One attempt after another to get a request to its peer: where to (RFC 3263), over what (RFC 3261 §18.1.1), as what.
use crate::engine::{Engine, Timer};
use crate::event::{CommandError, DialogEnded, Event, Sent};
use crate::id::{DialogId, ResolveId, TransactionId};
use crate::plan::Plan;
use crate::resolve::{Resolve, Resolved};
use crate::target::Target;
use crate::totals::Total;
use crate::transaction::client::{Announce, ClientTransaction, Tries, User};
use crate::transaction::{Effect, Effects};
use crate::transport::{Destination, ListenerId, TransmitToken, Transport};
use crate::uas::via::unlimited;
use bytes::Bytes;
use sip::{Message, Method};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The way that an attempt takes.
#[derive(Copy, Clone)]
pub(super) struct Hop {
    pub(super) listener: ListenerId,
    pub(super) transport: Transport,
    pub(super) peer: SocketAddr,
}

impl Engine {
    /// Opens a client transaction for a request to be sent to `hop`, a URI; sends it now, or when the name is resolved.
    ///
    /// # Errors
    /// When the request can go nowhere. Nothing is left behind then.
    pub(crate) fn open_client(
        &mut self,
        plan: Plan,
        hop: &str,
        user: User,
        announce: Announce,
        dialog: Option<DialogId>,
    ) -> Result<TransactionId, CommandError> {
        if self.servers.len() + self.clients.len() >= self.config.bounds.transactions {
            self.totals.add(Total::Full);
            return Err(CommandError::Limit("transactions"));
        }
        let located = self.locate(&plan, hop, dialog)?;
        let id = self.next_transaction();
        let timeout = self.timers.set(
            self.now,
            self.config.timers.long(),
            Timer::ClientTimeout(id),
        );
        let mut transaction = ClientTransaction::new(self.method_of(&plan), user, announce, dialog);
        transaction.offers = match &plan {
            Plan::Own(request) => request.describes_session(),
            Plan::Branch(..) | Plan::Relay(..) => false,
        };
        transaction.plan = Some(plan);
        let only = located.flow.filter(|way| way.is_only);
        if let Some(connection) = only.and_then(|way| way.origin.connection) {
            self.flows.wait(connection, id);
        }
        transaction.flow = located.flow.map(Box::new);
        transaction.timeout = Some(timeout);
        transaction.server_name = located.target.server_name(hop);
        self.clients.insert(id, Box::new(transaction));
        self.note_asked(id);
        self.note_local_invite(id);
        match located.target {
            Target::Address(resolved) => {
                if let Some(transaction) = self.clients.get_mut(id) {
                    // The next one is the last.
                    transaction.targets = located.fallback.into_iter().chain([resolved]).collect();
                }
                self.attempt(id).inspect_err(|_| self.remove_client(id))?;
            }
            Target::Name {
                host,
                port,
                transport,
                secure,
            } => {
                let question =
                    ResolveId(TransactionId::new(self.config.shard, self.next_number()).to_bits());
                if let Some(transaction) = self.clients.get_mut(id) {
                    transaction.resolve = Some(question);
                    transaction.tries = Some(Box::new(Tries {
                        name: Some(host.as_str().into()),
                        ..Tries::default()
                    }));
                }
                self.resolves.insert(question, id);
                let draw = self.draw_for(id);
                self.ask(Resolve {
                    id: question,
                    host,
                    port,
                    transport,
                    secure,
                    draw,
                });
            }
        }
        Ok(id)
    }

    /// What decides the order of a request's targets: chance, but for one that is forwarded without state, whose retransmissions have
    /// to take the same way (RFC 3263 §4.3).
    fn draw_for(&mut self, id: TransactionId) -> u64 {
        let plan = self.clients.get(id).and_then(|known| known.plan.as_ref());
        match plan {
            Some(Plan::Relay(forwarding, _)) => self
                .digester
                .digest(&[forwarding.branch().as_bytes()])
                .number(),
            Some(Plan::Own(_) | Plan::Branch(..)) | None => self.generator.next_u64(),
        }
    }

    /// An INVITE within a dialog shuts out the peer's until it is answered (RFC 3261 §14.2).
    fn note_local_invite(&mut self, id: TransactionId) {
        let Some(transaction) = self.clients.get(id) else {
            return;
        };
        let dialog = transaction
            .dialog
            .filter(|_| transaction.method == Method::Invite);
        if let Some(dialog) = dialog.and_then(|dialog| self.dialogs.get_mut(dialog)) {
            dialog.local_invite = Some(id);
        }
    }

    fn method_of(&self, plan: &Plan) -> Method {
        match plan {
            Plan::Own(request) => request.method.clone(),
            Plan::Branch(server, _) => self
                .servers
                .get(*server)
                .map_or(Method::Options, |server| server.method.clone()),
            Plan::Relay(forwarding, _) => forwarding.request().method(),
        }
    }

    /// Sends the request to the next target that a listener can reach.
    ///
    /// # Errors
    /// `NoTransport` when there is none left.
    pub(crate) fn attempt(&mut self, id: TransactionId) -> Result<(), CommandError> {
        let preferred = self.preferred_listener(id);
        let mut last = None;
        loop {
            let Some(target) = self.next_target(id) else {
                let why = last.map_or_else(
                    || "no address".to_owned(),
                    |target: Resolved| {
                        let (transport, address) = (target.transport, target.address.ip());
                        let every = if address.is_ipv4() { "*" } else { "[::]" };
                        format!(
                            "no listener for {transport} to {address}: add sip:{every}:0;transport={transport}"
                        )
                    },
                );
                return Err(CommandError::NoTransport(why));
            };
            let flow = self.clients.get(id).and_then(|client| client.flow.as_ref());
            let flow = flow.map(|way| way.origin.listener);
            let listener = flow.or_else(|| {
                self.listeners
                    .choose(target.transport, target.address.ip(), preferred)
            });
            let Some(listener) = listener else {
                last = Some(target);
                continue;
            };
            let way = Hop {
                listener,
                transport: target.transport,
                peer: target.address,
            };
            return self.attempt_over(id, way);
        }
    }

    fn attempt_over(&mut self, id: TransactionId, way: Hop) -> Result<(), CommandError> {
        let secret = self.generator.next_u64();
        let bytes = self
            .write(id, secret, way)
            .ok_or(CommandError::UnknownTransaction)?;
        let transaction = self
            .clients
            .get_mut(id)
            .ok_or(CommandError::UnknownTransaction)?;
        // A flow is what it is: TCP reaches nobody where UDP came through a NAT.
        let stays = transaction.switched || transaction.flow.is_some();
        let mut sent = (way, bytes, false);
        // RFC 3261 §18.1.1: what may not fit into a datagram's path goes over TCP, unless nobody listens there.
        let large = self
            .config
            .udp_request_limit
            .is_some_and(|limit| sent.1.len() > limit);
        if large && way.transport == Transport::Udp && !stays {
            if let Some(listener) = self.listeners.choose(Transport::Tcp, way.peer.ip(), None) {
                let way = Hop {
                    listener,
                    transport: Transport::Tcp,
                    peer: way.peer,
                };
                if let Some(bytes) = self.write(id, secret, way) {
                    sent = (way, bytes, true);
                }
            }
        }
        self.start_attempt(id, secret, sent.0, sent.1, sent.2)
    }

    fn start_attempt(
        &mut self,
        id: TransactionId,
        secret: u64,
        way: Hop,
        bytes: Bytes,
        switched: bool,
    ) -> Result<(), CommandError> {
        let transaction = self
            .clients
            .get_mut(id)
            .ok_or(CommandError::UnknownTransaction)?;
        let destination = Destination {
            listener: way.listener,
            transport: way.transport,
            peer: way.peer,
            connection: transaction
                .flow
                .as_ref()
                .and_then(|way| way.origin.connection),
        };
        transaction.secret = secret;
        transaction.attempt += 1;
        transaction.request = bytes.clone();
        transaction.destination = Some(destination);
        transaction.switched = switched;
        self.trial_begins(id);
        let transaction = self
            .clients
            .get_mut(id)
            .ok_or(CommandError::UnknownTransaction)?;
        self.totals.request_out(&transaction.method);
        if transaction.method == Method::Ack || transaction.user == User::Stateless {
            return self.send_acknowledgement(id, destination, bytes);
        }
        if let Some(token) = transaction.retransmit.take() {
            self.timers.cancel(token);
        }
        let mut effects = transaction.start(&self.config.timers);
        if !transaction.targets.is_empty() {
            shorten(&mut effects, self.config.failover.target_timeout);
        }
        self.apply_client(id, effects, None);
        self.announce(id, destination, &bytes)
    }

    /// The ACK of a 2xx is no transaction: it goes out, the dialog keeps it to repeat it, and that is all.
    fn send_acknowledgement(
        &mut self,
        id: TransactionId,
        destination: Destination,
        bytes: Bytes,
    ) -> Result<(), CommandError> {
        let transaction = self.clients.get(id);
        let name = transaction.and_then(|transaction| transaction.server_name.clone());
        self.transmit_to(
            destination,
            name.clone(),
            bytes.clone(),
            TransmitToken::NONE,
        );
        let outcome = self.announce(id, destination, &bytes);
        let dialog = self
            .clients
            .get(id)
            .and_then(|transaction| transaction.dialog);
        if let Some(dialog) = dialog {
            self.keep_acknowledgement(dialog, bytes, destination, name);
        }
        self.remove_client(id);
        outcome
    }

    /// Tells whoever waits for it that the request went out, once.
    pub(crate) fn announce(
        &mut self,
        id: TransactionId,
        destination: Destination,
        bytes: &Bytes,
    ) -> Result<(), CommandError> {
        let transaction = self
            .clients
            .get_mut(id)
            .ok_or(CommandError::UnknownTransaction)?;
        let announce = std::mem::replace(&mut transaction.announce, Announce::Nobody);
        if announce == Announce::Nobody {
            return Ok(());
        }
        let dialog = transaction.dialog;
        let message = Message::parse(bytes.clone(), &unlimited()).map_err(|error| {
            CommandError::InvalidHeader(format!("the request cannot be sent: {error}"))
        })?;
        let (message, path) = (Arc::new(message), self.listeners.path(&destination));
        match announce {
            Announce::Nobody => {}
            Announce::Sent(application, command) => {
                self.emit(
                    application,
                    Event::Sent(Sent {
                        command,
                        transaction: id,
                        dialog,
                        message,
                        path,
                    }),
                );
            }
            Announce::Ended(application, dialog, reason) => {
                self.emit(
                    application,
                    Event::DialogEnded(DialogEnded {
                        dialog,
                        reason,
                        message,
                        path,
                    }),
                );
            }
        }
        Ok(())
    }

    /// The listener that the dialog, or the request that is forwarded, came through.
    fn preferred_listener(&self, id: TransactionId) -> Option<ListenerId> {
        let transaction = self.clients.get(id)?;
        match transaction.user {
            User::Branch(server, _) | User::Relay(server) => self
                .servers
                .get(server)
                .map(|server| server.origin.listener),
            User::Engine | User::Stateless | User::Application(_) => transaction
                .dialog
                .and_then(|dialog| self.dialogs.get(dialog))
                .map(|dialog| dialog.origin.listener),
        }
    }
}

/// Others are left: this one need not be waited for as long as the last (RFC 3263 §4.3 leaves the time to us).
fn shorten(effects: &mut Effects, target_timeout: Option<Duration>) {
    for effect in effects {
        if let (Effect::SetTimeout(after), Some(limit)) = (effect, target_timeout) {
            *after = limit.min(*after);
        }
    }
}
