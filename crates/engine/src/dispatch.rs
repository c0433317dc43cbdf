//! Applies the effects of the transaction machines to their table entries, and hands due timers to them.
//!
//! The one place where a machine's wish becomes a timer, a transmit or a removal.
use crate::config::Timers;
use crate::engine::{Engine, Timer};
use crate::id::TransactionId;
use crate::totals::Total;
use crate::transaction::server::{Owner, ServerTransaction};
use crate::transaction::{Effect, Effects};
use crate::transport::{Origin, TransmitToken};
use sip::Message;
use smallvec::smallvec;
use std::sync::Arc;
use std::time::Duration;

/// A response at hand, for the transaction that it belongs to.
pub(crate) struct Incoming {
    /// The response.
    pub(crate) message: Arc<Message>,
    /// Where it came from; none when the engine made it.
    pub(crate) origin: Option<Origin>,
    /// Its size on the wire, in bytes.
    pub(crate) wire_bytes: usize,
}

/// Whether a request other than INVITE is due its 100: there was no response until the peer's timer E had grown to T2 (RFC 4320
/// §4.1). Gives how long it may still take.
fn rest_after_trying(transaction: &ServerTransaction, timers: &Timers) -> Option<Duration> {
    let late = timers.late_trying();
    match transaction.owner {
        _ if !transaction.is_silent() => None,
        Owner::Proxy => Some(timers.ringing),
        // What an application dropped stays without an answer.
        Owner::Engine => None,
        Owner::Application(_) | Owner::Relay(_) => timers
            .application
            .checked_sub(late)
            .filter(|rest| !rest.is_zero()),
    }
}

impl Engine {
    /// A timer is due.
    pub(crate) fn fire(&mut self, timer: Timer) {
        let timers = &self.config.timers;
        match timer {
            Timer::ServerRetransmit(id) => {
                let Some(transaction) = self.servers.get_mut(id) else {
                    return;
                };
                transaction.retransmit = None;
                if !transaction.is_answered() {
                    return self.send_trying(id);
                }
                let origin = transaction.origin;
                if transaction.is_repeated_enough(timers) && !self.repeats_fully(&origin) {
                    return self.totals.add(Total::RepeatsWithheld);
                }
                let timers = &self.config.timers;
                let Some(transaction) = self.servers.get_mut(id) else {
                    return;
                };
                let effects = transaction.on_retransmit(timers);
                self.totals.add(Total::RetransmissionsOut);
                self.apply_server(id, effects);
            }
            Timer::ServerTimeout(id) => {
                let Some(transaction) = self.servers.get_mut(id) else {
                    return;
                };
                transaction.timeout = None;
                if let Some(rest) = rest_after_trying(transaction, timers) {
                    self.send_trying(id);
                    return self.apply_server(id, smallvec![Effect::SetTimeout(rest)]);
                }
                let effects = transaction.on_timeout();
                self.apply_server(id, effects);
            }
            Timer::ClientRetransmit(id) => {
                let Some(transaction) = self.clients.get_mut(id) else {
                    return;
                };
                transaction.retransmit = None;
                let effects = transaction.on_retransmit(timers);
                self.totals.add(Total::RetransmissionsOut);
                self.apply_client(id, effects, None);
            }
            Timer::ClientTimeout(id) => {
                if let Some(transaction) = self.clients.get_mut(id) {
                    transaction.timeout = None;
                    self.client_time_up(id);
                }
            }
            Timer::AnswerRetransmit(id) => self.repeat_answer(id),
            Timer::AnswerTimeout(id) => self.answer_timed_out(id),
            Timer::ReliableRetransmit(id) => self.repeat_reliable(id),
            Timer::ReliableTimeout(id) => self.reliable_timed_out(id),
            Timer::Subscription(id) => self.subscription_lapsed(id),
            Timer::Asked(id) => self.forget_asked(id),
            Timer::DialogIdle(id) => self.dialog_idle(id),
            Timer::SessionRefresh(id) => self.session_refresh_due(id),
            Timer::SessionExpiry(id) => self.session_expired(id),
            Timer::Proxy(id, kind, branch) => self.proxy_timer(id, kind, branch),
            Timer::Unavailable(key) => self.forget_unavailable(key),
            Timer::Way(key) => self.forget_way(key),
        }
    }

    /// Applies the effects of a server transaction's machine.
    pub(crate) fn apply_server(&mut self, id: TransactionId, effects: Effects) {
        for effect in effects {
            let Some(transaction) = self.servers.get_mut(id) else {
                return;
            };
            match effect {
                Effect::Send => {
                    if !transaction.response.is_empty() {
                        let (destination, bytes) =
                            (transaction.destination, transaction.response.clone());
                        self.totals.add(Total::ResponsesOut);
                        self.transmit(destination, bytes, TransmitToken::NONE);
                    }
                }
                Effect::SetRetransmit(after) => {
                    let token = self
                        .timers
                        .set(self.now, after, Timer::ServerRetransmit(id));
                    if let Some(old) = transaction.retransmit.replace(token) {
                        self.timers.cancel(old);
                    }
                }
                Effect::StopRetransmit => {
                    if let Some(old) = transaction.retransmit.take() {
                        self.timers.cancel(old);
                    }
                }
                Effect::SetTimeout(after) => {
                    let token = self.timers.set(self.now, after, Timer::ServerTimeout(id));
                    if let Some(old) = transaction.timeout.replace(token) {
                        self.timers.cancel(old);
                    }
                }
                Effect::EmitTimeout => self.request_unanswered(id),
                Effect::Shrink => {
                    transaction.request = None;
                    if transaction.awaits_only_acknowledgement() {
                        self.admit.half_open.refuse(id);
                    }
                    // The 2xx is the dialog's to repeat (RFC 6026 §7.1), or the proxy's.
                    if !transaction.repeats_response() {
                        transaction.response = bytes::Bytes::new();
                    }
                }
                Effect::Terminate => self.remove_server(id),
                // Only client machines ask for an ACK; an ACK in Accepted is routed by whoever received it.
                Effect::SendAck | Effect::Emit => {}
            }
        }
    }

    /// Applies the effects of a client transaction's machine. `incoming` is the response that caused them.
    pub(crate) fn apply_client(
        &mut self,
        id: TransactionId,
        effects: Effects,
        incoming: Option<&Incoming>,
    ) {
        for effect in effects {
            let Some(transaction) = self.clients.get_mut(id) else {
                return;
            };
            match effect {
                Effect::Send => {
                    if let Some(destination) = transaction.destination {
                        let token = TransmitToken {
                            transaction: id.to_bits(),
                            attempt: transaction.attempt,
                        };
                        let bytes = transaction.request.clone();
                        let name = transaction.server_name.clone();
                        self.transmit_to(destination, name, bytes, token);
                    }
                }
                Effect::SendAck => self.send_automatic_ack(id, incoming),
                Effect::SetRetransmit(_) if transaction.once => {}
                Effect::SetRetransmit(after) => {
                    let token = self
                        .timers
                        .set(self.now, after, Timer::ClientRetransmit(id));
                    if let Some(old) = transaction.retransmit.replace(token) {
                        self.timers.cancel(old);
                    }
                }
                Effect::StopRetransmit => {
                    if let Some(old) = transaction.retransmit.take() {
                        self.timers.cancel(old);
                    }
                }
                Effect::SetTimeout(after) => {
                    let token = self.timers.set(self.now, after, Timer::ClientTimeout(id));
                    if let Some(old) = transaction.timeout.replace(token) {
                        self.timers.cancel(old);
                    }
                }
                Effect::Emit => {
                    if let Some(incoming) = incoming {
                        self.response_received(id, incoming);
                    }
                }
                Effect::EmitTimeout => self.request_timed_out(id),
                Effect::Shrink => {
                    transaction.request = bytes::Bytes::new();
                    transaction.plan = None;
                    transaction.targets = smallvec::SmallVec::new();
                }
                // Timers D and M are what late answers are waited for.
                Effect::Terminate if incoming.is_none() && transaction.is_answered() => {
                    self.remove_client(id);
                }
                Effect::Terminate => self.end_client(id),
            }
        }
    }

    /// Forgets a server transaction and its timers.
    pub(crate) fn remove_server(&mut self, id: TransactionId) {
        if let Some(transaction) = self.servers.remove(id) {
            if let Some(ticket) = transaction.ticket {
                self.admit.close(id, ticket);
            }
            for token in [transaction.retransmit, transaction.timeout]
                .into_iter()
                .flatten()
            {
                self.timers.cancel(token);
            }
        }
    }

    /// Forgets a client transaction, its timers, its question to the resolver, and what its dialogs kept for it.
    pub(crate) fn remove_client(&mut self, id: TransactionId) {
        // Over a reliable transport nothing is left of an INVITE that got its final response.
        self.forget_wanted_cancel(id);
        if let Some(transaction) = self.clients.remove(id) {
            self.stop_waiting(id, transaction.flow.as_deref());
            for token in [transaction.retransmit, transaction.timeout]
                .into_iter()
                .flatten()
            {
                self.timers.cancel(token);
            }
            if let Some(question) = transaction.resolve {
                self.resolves.remove(&question);
            }
            self.trial_ends(id, &transaction);
            self.client_removed(id, &transaction);
        }
    }
}
