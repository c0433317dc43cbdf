//! The proxy core's wiring: its branches are client transactions, its upstream is the server transaction of the request.
//!
//! The decisions are `proxy`'s, a pure state machine. Here its effects become transactions, timers and events. What needs no
//! context is in `relaying`.
use crate::command::{CancelProxy, Draft, Proxy};
use crate::dispatch::Incoming;
use crate::engine::{Engine, Timer};
use crate::event::{CommandError, Event, ProxyDone};
use crate::flow::{Token, TokenFlow};
use crate::id::{ApplicationId, TransactionId};
use crate::listener::Listeners;
use crate::network::Unsigned;
use crate::plan::Plan;
use crate::proxy::context::ProxyContext;
use crate::proxy::relay;
use crate::proxy::{
    BranchFailure, BranchResponse, Effect, Effects, OwnNames, ProxyOrder, Rejection, TimerKind,
    Upstream,
};
use crate::timer::TimerToken;
use crate::transaction::client::{Announce, User};
use crate::transaction::server::Owner;
use bytes::Bytes;
use sip::{HeaderName, Host, Method};
use smallvec::SmallVec;
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

    fn token(&self, user: &str, call_id: &str) -> Token {
        self.signer()
            .map_or(Token::Absent, |signer| signer.read(user, call_id))
    }

    fn flow_uri(&self, flow: &TokenFlow) -> Option<String> {
        Some(self.signer()?.flow_uri(flow.flow, flow.is_soft))
    }

    fn unsigned(&self) -> Unsigned {
        match self.signer() {
            Some(_) => self.network().unsigned,
            None => Unsigned::Relay,
        }
    }
}

/// What becomes of a branch that cannot be sent.
pub(crate) fn failure_of(error: &CommandError) -> BranchFailure {
    match error {
        CommandError::FlowFailed(_) => BranchFailure::FlowFailed,
        CommandError::FlowForged => BranchFailure::FlowForged,
        _ => BranchFailure::Unresolvable,
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
        let is_invite = transaction.method == Method::Invite;
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
            self.remember_way(&forwarding);
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
        // The proxy core's own timers end it; this is the deadline of last resort. Another request than INVITE still has its 100 to
        // come before (RFC 4320 §4.1), which `dispatch` follows with that deadline.
        if is_invite {
            let ringing = self.config.timers.ringing;
            self.apply_server(
                id,
                smallvec::smallvec![crate::transaction::Effect::SetTimeout(ringing)],
            );
        }
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
        let mut failed: SmallVec<[(u32, BranchFailure); 2]> = SmallVec::new();
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
                            failed.push((branch, failure_of(&error)));
                        }
                    }
                }
                Effect::CancelBranch { branch, reason } => {
                    let value = reason
                        .header_value()
                        .map(|value| (Bytes::from_static(b"Reason"), Bytes::from(value)));
                    let draft = Draft {
                        headers: value.into_iter().collect(),
                        ..Draft::default()
                    };
                    if let Some(client) = self.client_of_branch(id, branch) {
                        self.cancel_invite(client, None, draft);
                    }
                }
                Effect::EndBranch { branch } => {
                    if let Some(client) = self.client_of_branch(id, branch) {
                        self.end_client(client);
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
        for (branch, failure) in failed {
            self.branch_failed(id, branch, failure);
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

    /// An application gives up a request that it had proxied. Nothing happens when that is over already, or when it is another's.
    pub(crate) fn cancel_proxy(&mut self, application: ApplicationId, cancel: &CancelProxy) {
        let id = cancel.transaction;
        let Some(proxied) = self
            .contexts
            .get_mut(&id)
            .filter(|proxied| proxied.application == application)
        else {
            return;
        };
        let status = cancel.status.clamp(300, 699);
        let mut effects = Effects::new();
        proxied
            .context
            .on_abandoned(self.now, status, cancel.reason.as_deref(), &mut effects);
        self.apply_proxy(id, effects);
    }

    fn send_proxied(&mut self, id: TransactionId, upstream: Upstream) {
        match upstream {
            Upstream::Forwarded {
                status, response, ..
            } => self.send_upstream(id, status, response),
            Upstream::Made { status } => self.answer(id, status, &[]),
            Upstream::Nothing => self.fall_silent(id),
        }
    }
}
