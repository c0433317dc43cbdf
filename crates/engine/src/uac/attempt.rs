//! One attempt after another to get a request to its peer: where to (RFC 3263), over what (RFC 3261 §18.1.1), as what.
use crate::engine::{Engine, Timer};
use crate::event::{CommandError, DialogEnded, Event, Sent};
use crate::id::{DialogId, ResolveId, TransactionId};
use crate::plan::{Names, Plan, via_value};
use crate::proxy::{Hop, forward::record_route_uri, loops};
use crate::resolve::{Resolve, Resolved};
use crate::target::{Target, target};
use crate::totals::Total;
use crate::transaction::client::{Announce, ClientTransaction, User};
use crate::transaction::key::client_branch;
use crate::transaction::{Effect, Effects};
use crate::transport::{Destination, ListenerId, Origin, TransmitToken, Transport};
use crate::uas::via::unlimited;
use bytes::Bytes;
use sip::{Message, Method};
use smallvec::smallvec;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The way that an attempt takes.
#[derive(Copy, Clone)]
struct Way {
    listener: ListenerId,
    transport: Transport,
    peer: SocketAddr,
}

/// Where a request for `hop` goes; over the peer's connection if there is one. Its Contact is for when there is none, and may
/// be no address at all (RFC 7118 §5.6).
fn locate(hop: &str, flow: Option<Origin>) -> Result<Target, CommandError> {
    let found = target(hop);
    let Some(origin) = flow else { return found };
    let address = match found {
        Ok(Target::Address(resolved)) => resolved.address,
        Ok(Target::Name { .. }) | Err(_) => origin.peer,
    };
    Ok(Target::Address(Resolved {
        transport: origin.transport,
        address,
    }))
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
        let flow = self.flow_of(dialog);
        let target = locate(hop, flow)?;
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
        transaction.flow = flow.and_then(|origin| origin.connection);
        transaction.timeout = Some(timeout);
        transaction.server_name = target.server_name(hop);
        self.clients.insert(id, Box::new(transaction));
        self.note_asked(id);
        self.note_local_invite(id);
        match target {
            Target::Address(resolved) => {
                if let Some(transaction) = self.clients.get_mut(id) {
                    transaction.targets = smallvec![resolved];
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
                    transaction.name = Some(host.as_str().into());
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

    /// The connection of a dialog's peer, while it is open and nobody stands between.
    fn flow_of(&self, dialog: Option<DialogId>) -> Option<Origin> {
        let dialog = self.dialogs.get(dialog?)?;
        let open = self.connections.contains(&dialog.origin.connection?);
        (open && dialog.route_set.is_empty()).then_some(dialog.origin)
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
                        format!(
                            "no listener for {} to {}",
                            target.transport,
                            target.address.ip()
                        )
                    },
                );
                return Err(CommandError::NoTransport(why));
            };
            let Some(listener) =
                self.listeners
                    .choose(target.transport, target.address.ip(), preferred)
            else {
                last = Some(target);
                continue;
            };
            let way = Way {
                listener,
                transport: target.transport,
                peer: target.address,
            };
            return self.attempt_over(id, way);
        }
    }

    fn attempt_over(&mut self, id: TransactionId, way: Way) -> Result<(), CommandError> {
        let secret = self.generator.next_u64();
        let bytes = self
            .write(id, secret, way)
            .ok_or(CommandError::UnknownTransaction)?;
        let transaction = self
            .clients
            .get_mut(id)
            .ok_or(CommandError::UnknownTransaction)?;
        let fell_back = transaction.switched;
        let mut sent = (way, bytes, false);
        // RFC 3261 §18.1.1: what may not fit into a datagram's path goes over TCP, unless nobody listens there.
        let large = self
            .config
            .udp_request_limit
            .is_some_and(|limit| sent.1.len() > limit);
        if large && way.transport == Transport::Udp && !fell_back {
            if let Some(listener) = self.listeners.choose(Transport::Tcp, way.peer.ip(), None) {
                let way = Way {
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
        way: Way,
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
            connection: transaction.flow,
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
        self.transmit_to(destination, name, bytes.clone(), TransmitToken::NONE);
        let outcome = self.announce(id, destination, &bytes);
        let dialog = self
            .clients
            .get(id)
            .and_then(|transaction| transaction.dialog);
        if let Some(dialog) = dialog {
            self.keep_acknowledgement(dialog, bytes, destination);
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

    /// The request as it goes this way.
    fn write(&mut self, id: TransactionId, secret: u64, way: Way) -> Option<Bytes> {
        let plan = self.clients.get_mut(id)?.plan.take()?;
        let branch = match (
            &plan,
            self.clients.get(id).map(|transaction| transaction.user),
        ) {
            (Plan::Relay(forwarding, _), Some(User::Stateless)) => {
                self.stateless_branch(forwarding)
            }
            _ => client_branch(id, secret),
        };
        let host_port = self.listeners.host_port(way.listener, way.peer.ip());
        let bytes = match &plan {
            Plan::Own(request) => {
                let via = via_value(way.transport, host_port, &branch);
                let contact = self.listeners.contact(way.listener, way.peer.ip());
                Some(request.write(&Names {
                    via: &via,
                    host_port,
                    contact,
                }))
            }
            Plan::Branch(server, number) => {
                let origin = self.servers.get(*server).map(|server| server.origin);
                let context = &self.contexts.get(server)?.context;
                let branch = loops::branch_parameter(&branch, context.mark());
                let stays = context.stays_in_path().then(|| context.is_secure());
                let routes = stays.map(|secure| self.record_routes(way, origin, secure));
                let hop = hop(way, host_port, &branch, routes.as_ref());
                let context = &mut self.contexts.get_mut(server)?.context;
                context.write_request(*number, &hop)
            }
            Plan::Relay(forwarding, origin) => {
                let stays = forwarding.stays_in_path().then(|| forwarding.is_secure());
                let routes = stays.map(|secure| self.record_routes(way, Some(*origin), secure));
                Some(forwarding.write(&hop(way, host_port, &branch, routes.as_ref())))
            }
        };
        self.clients.get_mut(id)?.plan = Some(plan);
        bytes
    }

    /// Our Record-Route URIs: on the side of the next hop, and on the side the request came from when that is another.
    fn record_routes(
        &self,
        way: Way,
        origin: Option<Origin>,
        secure: bool,
    ) -> (String, Option<String>) {
        let uri = |listener, transport, peer: SocketAddr| {
            record_route_uri(
                self.listeners.host_port(listener, peer.ip()),
                transport,
                secure,
            )
        };
        let sent = uri(way.listener, way.transport, way.peer);
        let received = origin.map(|origin| uri(origin.listener, origin.transport, origin.peer));
        (sent.clone(), received.filter(|received| *received != sent))
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

/// The hop of a request that is forwarded; without Record-Route those texts stay empty.
fn hop<'a>(
    way: Way,
    sent_by: &'a str,
    branch: &'a str,
    routes: Option<&'a (String, Option<String>)>,
) -> Hop<'a> {
    Hop {
        transport: way.transport,
        sent_by,
        branch,
        record_route: routes.map_or("", |(sent, _)| sent),
        record_route_received: routes.and_then(|(_, received)| received.as_deref()),
    }
}
