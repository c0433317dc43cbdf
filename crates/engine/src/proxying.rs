//! The proxy core's wiring: its branches are client transactions, its upstream is the server transaction of the request.
//!
//! The decisions are `proxy`'s, a pure state machine. Here its effects become transactions, timers and events; and requests of
//! dialogs that were proxied with Record-Route are relayed, no application involved (RFC 3261 §16.4, §16.12).
use crate::command::{Draft, Proxy};
use crate::dispatch::Incoming;
use crate::engine::{Engine, Timer};
use crate::event::{CommandError, Event, ProxyDone};
use crate::id::{ApplicationId, TransactionId};
use crate::listener::Listeners;
use crate::plan::Plan;
use crate::proxy::context::ProxyContext;
use crate::proxy::relay::{self, Forwarding, InDialog};
use crate::proxy::{
    BranchFailure, BranchResponse, Effect, Effects, OwnNames, ProxyOrder, Rejection, TimerKind,
    Upstream, response,
};
use crate::timer::TimerToken;
use crate::totals::Total;
use crate::transaction::client::{Announce, User};
use crate::transaction::server::Owner;
use crate::transport::{Destination, Origin, TransmitToken, Transport};
use crate::uas::Arrival;
use crate::uas::via::unlimited;
use bytes::Bytes;
use sip::{HeaderName, Host, Message, Method};
use smallvec::SmallVec;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// A proxied request that has not come to its end.
pub(crate) struct Proxied {
    pub(crate) context: ProxyContext,
    application: ApplicationId,
    branches: SmallVec<[(u32, TransactionId); 2]>,
    timers: SmallVec<[(TimerKind, u32, TimerToken); 2]>,
}

impl OwnNames for Listeners {
    fn is_own(&self, host: Host<'_>, port: Option<u16>) -> bool {
        Listeners::is_own(self, host, port)
    }
}

impl Engine {
    /// How many proxied requests have not come to their end.
    pub(crate) fn proxies(&self) -> usize {
        self.contexts.len()
    }

    /// An application has a request proxied.
    pub(crate) fn proxy(
        &mut self,
        application: ApplicationId,
        proxy: Proxy,
    ) -> Result<(), CommandError> {
        let id = proxy.transaction;
        let transaction = self
            .servers
            .get(id)
            .ok_or(CommandError::UnknownTransaction)?;
        match transaction.owner {
            Owner::Application(owner) if owner == application => {}
            Owner::Proxy => return Err(CommandError::AlreadyProxied),
            Owner::Application(_) | Owner::Engine | Owner::Relay(_) => {
                return Err(CommandError::UnknownTransaction);
            }
        }
        // Whoever sent a response other than 100 is the user agent server of this request.
        let fresh = transaction.dialog.is_none() && !transaction.is_answered();
        let request = transaction
            .request
            .clone()
            .filter(|_| fresh)
            .ok_or(CommandError::AlreadyProxied)?;
        let stateless = proxy.options.stateless;
        let command = proxy.id;
        let order = ProxyOrder {
            request,
            command: Some(command),
            targets: proxy.targets,
            options: proxy.options,
            headers: proxy.headers,
            timers: (&self.config.timers).into(),
            drachtio_compatible: self.config.drachtio_compatible,
        };
        if stateless {
            let origin = transaction.origin;
            let forwarding = relay::stateless(order, &self.listeners)
                .map_err(|rejection| self.reject(id, rejection))?;
            self.forward_stateless(forwarding, origin)?;
            self.remove_server(id);
            let done = ProxyDone {
                command,
                status: None,
                winner: None,
            };
            self.emit(application, Event::ProxyDone(done));
            return Ok(());
        }
        let mut context = ProxyContext::new(order, &self.listeners)
            .map_err(|rejection| self.reject(id, rejection))?;
        let mut effects = Effects::new();
        context.start(self.now, &mut effects);
        if let Some(transaction) = self.servers.get_mut(id) {
            transaction.owner = Owner::Proxy;
        }
        // The proxy core's own timers end it; this is the deadline of last resort.
        let ringing = self.config.timers.ringing;
        self.apply_server(
            id,
            smallvec::smallvec![crate::transaction::Effect::SetTimeout(ringing)],
        );
        let proxied = Proxied {
            context,
            application,
            branches: SmallVec::new(),
            timers: SmallVec::new(),
        };
        self.contexts.insert(id, Box::new(proxied));
        self.apply_proxy(id, effects);
        Ok(())
    }

    /// A request that is not proxied: answers the caller, where the rejection says so.
    fn reject(&mut self, id: TransactionId, rejection: Rejection) -> CommandError {
        if let Some(status) = rejection.status {
            let headers: Vec<(HeaderName, String)> = rejection.header.into_iter().collect();
            self.answer(id, status, &headers);
        }
        rejection.error
    }

    /// Carries out what the proxy core wants. Branches that could not be opened are reported back to it afterwards.
    fn apply_proxy(&mut self, id: TransactionId, effects: Effects) {
        let mut failed: SmallVec<[u32; 2]> = SmallVec::new();
        for effect in effects {
            match effect {
                Effect::Forward { branch, next_hop } => {
                    let (plan, user) = (Plan::Branch(id, branch), User::Branch(id, branch));
                    match self.open_client(plan, &next_hop, user, Announce::Nobody, None) {
                        Ok(client) => {
                            if let Some(proxied) = self.contexts.get_mut(&id) {
                                proxied.branches.push((branch, client));
                            }
                        }
                        Err(error) => {
                            tracing::debug!(?error, branch, "branch cannot be tried");
                            failed.push(branch);
                        }
                    }
                }
                Effect::CancelBranch { branch, reason } => {
                    let value = reason
                        .header_value()
                        .map(|value| (Bytes::from_static(b"Reason"), Bytes::from(value)));
                    let draft = Draft {
                        headers: value.into_iter().collect(),
                        body: Bytes::new(),
                    };
                    if let Some(client) = self.client_of_branch(id, branch) {
                        self.cancel_invite(client, None, draft);
                    }
                }
                Effect::EndBranch { branch } => {
                    if let Some(client) = self.client_of_branch(id, branch) {
                        self.remove_client(client);
                    }
                }
                Effect::Upstream(upstream) => self.send_proxied(id, upstream),
                Effect::SetTimer { kind, branch, at } => {
                    self.clear_proxy_timer(id, kind, branch);
                    let token = self.timers.set(
                        self.now,
                        at.since(self.now),
                        Timer::Proxy(id, kind, branch),
                    );
                    if let Some(proxied) = self.contexts.get_mut(&id) {
                        proxied.timers.push((kind, branch, token));
                    }
                }
                Effect::ClearTimer { kind, branch } => self.clear_proxy_timer(id, kind, branch),
                Effect::Report(report) => self.emit_proxied(id, Event::ProxyResponse(report)),
                Effect::Done(done) => self.emit_proxied(id, Event::ProxyDone(done)),
            }
        }
        for branch in failed {
            self.branch_failed(id, branch, BranchFailure::Unresolvable);
        }
        if self
            .contexts
            .get(&id)
            .is_some_and(|proxied| proxied.context.is_finished())
        {
            if let Some(proxied) = self.contexts.remove(&id) {
                for (_, _, token) in proxied.timers {
                    self.timers.cancel(token);
                }
            }
        }
    }

    fn client_of_branch(&self, id: TransactionId, branch: u32) -> Option<TransactionId> {
        let proxied = self.contexts.get(&id)?;
        proxied
            .branches
            .iter()
            .find(|(number, _)| *number == branch)
            .map(|(_, client)| *client)
    }

    fn clear_proxy_timer(&mut self, id: TransactionId, kind: TimerKind, branch: u32) {
        let Some(proxied) = self.contexts.get_mut(&id) else {
            return;
        };
        if let Some(at) = proxied
            .timers
            .iter()
            .position(|(one, number, _)| *one == kind && *number == branch)
        {
            let (_, _, token) = proxied.timers.swap_remove(at);
            self.timers.cancel(token);
        }
    }

    fn emit_proxied(&mut self, id: TransactionId, event: Event) {
        if let Some(application) = self.contexts.get(&id).map(|proxied| proxied.application) {
            self.emit(application, event);
        }
    }

    /// A timer of the proxy core is due.
    pub(crate) fn proxy_timer(&mut self, id: TransactionId, kind: TimerKind, branch: u32) {
        let Some(proxied) = self.contexts.get_mut(&id) else {
            return;
        };
        proxied
            .timers
            .retain(|(one, number, _)| *one != kind || *number != branch);
        let mut effects = Effects::new();
        proxied
            .context
            .on_timer(self.now, kind, branch, &mut effects);
        self.apply_proxy(id, effects);
    }

    /// A response came for a branch. Without a context only the 2xx of an INVITE still matter (RFC 3261 §16.7 item 5).
    pub(crate) fn branch_response(&mut self, id: TransactionId, branch: u32, incoming: &Incoming) {
        let Some(proxied) = self.contexts.get_mut(&id) else {
            return self.relay_upstream(id, incoming);
        };
        let Some(origin) = incoming.origin else {
            return;
        };
        let response = BranchResponse {
            message: Arc::clone(&incoming.message),
            origin,
            wire_bytes: incoming.wire_bytes,
        };
        let mut effects = Effects::new();
        proxied
            .context
            .on_response(self.now, branch, response, &mut effects);
        self.apply_proxy(id, effects);
    }

    /// A branch got no response, or could not be sent.
    pub(crate) fn branch_failed(&mut self, id: TransactionId, branch: u32, failure: BranchFailure) {
        let Some(proxied) = self.contexts.get_mut(&id) else {
            return;
        };
        let mut effects = Effects::new();
        proxied
            .context
            .on_branch_failed(self.now, branch, failure, &mut effects);
        self.apply_proxy(id, effects);
    }

    /// The caller cancelled a proxied INVITE.
    pub(crate) fn proxy_cancelled(&mut self, id: TransactionId, reason: Option<&str>) {
        let Some(proxied) = self.contexts.get_mut(&id) else {
            return;
        };
        let mut effects = Effects::new();
        proxied.context.on_cancelled(self.now, reason, &mut effects);
        self.apply_proxy(id, effects);
    }

    fn send_proxied(&mut self, id: TransactionId, upstream: Upstream) {
        match upstream {
            Upstream::Forwarded {
                status, response, ..
            } => self.send_upstream(id, status, response),
            Upstream::Made { status } => self.answer(id, status, &[]),
            Upstream::Nothing => self.remove_server(id),
        }
    }

    /// Sends a forwarded response through the server transaction, or where its Via says when that is gone.
    fn send_upstream(&mut self, id: TransactionId, status: u16, response: Bytes) {
        let Some(transaction) = self.servers.get_mut(id) else {
            if status < 300 {
                self.forward_response(response);
            }
            return;
        };
        let effects = transaction.on_response(status, &self.config.timers);
        if effects.is_empty() {
            // The transaction is past it. A 2xx to an INVITE is passed on all the same, so that the caller may end the call that it
            // made (RFC 3261 §16.7 item 5); what the transaction repeats stays as it was.
            if status < 300 && transaction.method == Method::Invite {
                let destination = transaction.destination;
                self.totals.add(Total::ResponsesOut);
                self.transmit(destination, response, TransmitToken::NONE);
            }
            return;
        }
        transaction.response = response;
        self.apply_server(id, effects);
    }

    /// A response to a request that is relayed within its dialog.
    pub(crate) fn relay_upstream(&mut self, id: TransactionId, incoming: &Incoming) {
        let status = incoming.message.status();
        if status <= 100 {
            return;
        }
        if let Some(bytes) = response::upstream(&incoming.message) {
            self.send_upstream(id, status, bytes);
        }
    }

    /// A relayed request got no response. Late 408s to other requests than INVITE help nobody (RFC 4320 §4.2).
    pub(crate) fn relay_failed(&mut self, id: TransactionId, status: u16) {
        let invite = self
            .servers
            .get(id)
            .is_some_and(|transaction| transaction.method == Method::Invite);
        if status == 408 && !invite {
            self.remove_server(id)
        } else {
            self.answer(id, status, &[])
        }
    }

    /// A request with a To tag that belongs to no dialog here: relayed if its Route says so. False when it does not.
    pub(crate) fn relay_unowned(&mut self, arrival: &Arrival<'_>) -> bool {
        match relay::in_dialog(&arrival.message, &self.listeners) {
            InDialog::NotRelayed => return false,
            InDialog::Reject(rejection) => {
                self.totals.add(Total::Invalid);
                if let Some(status) = rejection.status {
                    let headers: Vec<(HeaderName, String)> = rejection.header.into_iter().collect();
                    self.refuse(arrival, status, &headers);
                }
            }
            InDialog::Relay(forwarding) => match arrival.head.method {
                // RFC 3261 §16.10, §16.11: what has no transaction is forwarded without one.
                Method::Ack | Method::Cancel => {
                    if let Err(error) = self.forward_stateless(forwarding, arrival.origin) {
                        tracing::debug!(?error, "request of a proxied dialog cannot be forwarded");
                        self.totals.add(Total::Dropped);
                    }
                }
                _ => self.relay_with_state(arrival, forwarding),
            },
        }
        true
    }

    fn relay_with_state(&mut self, arrival: &Arrival<'_>, forwarding: Forwarding) {
        let server = self.open_server(arrival, Owner::Engine, None, None);
        let hop = Arc::clone(forwarding.next_hop());
        match self.open_client(
            Plan::Relay(Box::new(forwarding), arrival.origin),
            &hop,
            User::Relay(server),
            Announce::Nobody,
            None,
        ) {
            Ok(client) => {
                if let Some(transaction) = self.servers.get_mut(server) {
                    transaction.owner = Owner::Relay(client);
                }
            }
            Err(error) => {
                tracing::debug!(?error, "request of a proxied dialog cannot be relayed");
                self.answer(server, 503, &[]);
            }
        }
    }

    /// Forwards a request that came from `origin`, and forgets it.
    fn forward_stateless(
        &mut self,
        forwarding: Forwarding,
        origin: Origin,
    ) -> Result<(), CommandError> {
        self.stateless = true;
        let hop = Arc::clone(forwarding.next_hop());
        self.open_client(
            Plan::Relay(Box::new(forwarding), origin),
            &hop,
            User::Stateless,
            Announce::Nobody,
            None,
        )
        .map(|_| ())
    }

    /// A response to a request that was forwarded without state goes where its next Via says (RFC 3261 §16.11). False when it
    /// is no such response.
    pub(crate) fn relay_response(&mut self, message: &Message) -> bool {
        let ours = message.top_via().is_ok_and(|via| {
            let marked = via
                .branch()
                .is_some_and(|branch| branch.starts_with("z9hG4bKs"));
            marked && self.listeners.is_own(via.host, via.port)
        });
        if !ours || !self.stateless {
            return false;
        }
        if let Some(bytes) = response::upstream(message) {
            self.forward_response(bytes);
        }
        true
    }

    /// Sends a response to where its top Via says (RFC 3261 §18.2.2).
    fn forward_response(&mut self, bytes: Bytes) {
        let Ok(message) = Message::parse(bytes.clone(), &unlimited()) else {
            return;
        };
        let Some((transport, peer)) = via_address(&message) else {
            return self.totals.add(Total::Dropped);
        };
        let Some(listener) = self.listeners.choose(transport, peer.ip(), None) else {
            return self.totals.add(Total::Dropped);
        };
        self.totals.add(Total::ResponsesOut);
        self.transmit(
            Destination {
                listener,
                transport,
                peer,
                connection: None,
            },
            bytes,
            TransmitToken::NONE,
        );
    }
}

/// The transport and address that a response's top Via names: `received` and `rport` before the host and port.
fn via_address(message: &Message) -> Option<(Transport, SocketAddr)> {
    let via = message.top_via().ok()?;
    let transport = Transport::from_name(via.transport)?;
    let address = match (via.received_address(), &via.host) {
        (Some(address), _) => address,
        (None, Host::V4(address)) => IpAddr::V4(*address),
        (None, Host::V6(address)) => IpAddr::V6(*address),
        (None, Host::Name(_)) => return None,
    };
    let port = via
        .rport()
        .flatten()
        .or(via.port)
        .unwrap_or_else(|| transport.default_port());
    Some((transport, SocketAddr::new(address, port)))
}
