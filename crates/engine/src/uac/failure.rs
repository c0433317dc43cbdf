//! When a request does not get through: resolution failed, transport failed, time is up. Other addresses first (RFC 3263 §4.3),
//! then a response of our own making (RFC 3261 §8.1.3.1).
use crate::dispatch::Incoming;
use crate::engine::Engine;
use crate::event::CommandError;
use crate::flows::Unanswered;
use crate::id::{ResolveId, TransactionId};
use crate::proxy::BranchFailure;
use crate::proxying::failure_of;
use crate::resolve::{ResolveError, Resolved};
use crate::time::Time;
use crate::totals::Total;
use crate::transaction::Effect;
use crate::transaction::client::{Announce, ClientMachine, ClientTransaction, User};
use crate::transport::{TransmitError, TransmitToken, Transport};
use crate::uac::earlier;
use crate::uas::via::unlimited;
use sip::{Build, Message};
use smallvec::smallvec;
use std::borrow::Cow;
use std::sync::Arc;

/// The longest that a reason phrase says of what happened, in characters.
const LONGEST_CAUSE: usize = 100;

/// The longest name that a log line shows, in characters: no name of the DNS is longer (RFC 1035 §2.3.4).
const LONGEST_NAME: usize = 255;

/// Why a request failed for good.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// Nobody answered.
    Timeout,
    /// No address took it; what became of the last.
    Transport(TransmitError),
    /// There is no address, or none that can be reached.
    Unresolvable(CommandError),
    /// The flow that it took ended, and there is no other way.
    Flow,
}

impl Failure {
    fn status(&self) -> u16 {
        match self {
            Failure::Timeout => 408,
            Failure::Unresolvable(CommandError::FlowForged) => 403,
            Failure::Unresolvable(CommandError::FlowFailed(_)) | Failure::Flow => 430,
            Failure::Transport(_) | Failure::Unresolvable(_) => 503,
        }
    }

    /// The reason phrase: the usual one, and after it what happened, where more is known.
    fn phrase(&self) -> Cow<'static, str> {
        let usual = sip::status::reason_phrase(self.status());
        let cause = match self {
            Failure::Transport(error) => error.text(),
            Failure::Unresolvable(CommandError::NoTransport(why)) => why,
            Failure::Timeout | Failure::Unresolvable(_) | Failure::Flow => return usual.into(),
        };
        let cause: String = cause
            .chars()
            .filter(|letter| matches!(letter, ' '..='~'))
            .take(LONGEST_CAUSE)
            .collect();
        format!("{usual}: {cause}").into()
    }
}

impl Engine {
    /// The answer to a question of `poll_resolve`: where to send, best first.
    pub fn handle_resolved(
        &mut self,
        now: Time,
        id: ResolveId,
        answer: Result<Vec<Resolved>, ResolveError>,
    ) {
        self.advance(now);
        // The request may have been given up meanwhile.
        let Some(client) = self.resolves.remove(&id) else {
            return;
        };
        let Some(transaction) = self.clients.get_mut(client) else {
            return;
        };
        transaction.resolve = None;
        let outcome = match answer {
            Ok(mut targets) => {
                targets.reverse();
                transaction.targets = targets.into();
                self.attempt(client)
            }
            Err(error) => Err(self.leads_nowhere(client, error)),
        };
        if let Err(error) = outcome {
            self.give_up(client, Failure::Unresolvable(error));
        }
    }

    /// A name cannot be resolved: says so in the log, where whoever operates this server sees it, not only who called.
    fn leads_nowhere(&mut self, id: TransactionId, error: ResolveError) -> CommandError {
        let name = self.clients.get(id).and_then(ClientTransaction::name);
        if let (Some(name), Some(suppressed)) = (name, self.names_log.allow(self.now)) {
            // Strangers choose it: what is no character to be shown is escaped.
            let host: String = name.chars().take(LONGEST_NAME).collect();
            tracing::warn!(?host, %error, suppressed, "a host name leads nowhere");
        }
        CommandError::NoTransport(error.to_string())
    }

    /// A message that `poll_transmit` gave could not be delivered.
    pub fn handle_transmit_failed(
        &mut self,
        now: Time,
        token: TransmitToken,
        error: TransmitError,
    ) {
        self.advance(now);
        self.totals.add(Total::TransmitFailures);
        if token == TransmitToken::NONE {
            if error == TransmitError::TooLarge
                && let Some(suppressed) = self.log.allow(now)
            {
                tracing::warn!(
                    suppressed,
                    "a response or ACK that was to be passed on does not fit a datagram: it is lost"
                );
            }
            return;
        }
        let id = TransactionId::from_bits(token.transaction);
        let Some(transaction) = self
            .clients
            .get_mut(id)
            .filter(|transaction| transaction.attempt == token.attempt)
        else {
            return;
        };
        // An answer proves that a copy arrived.
        if !transaction.is_silent() {
            return;
        }
        tracing::debug!(error = error.text(), method = %transaction.method.as_str(), "request not delivered");
        // TCP for the size alone was our own idea, and what is too long or too much says nothing about the peer.
        let is_told = match error {
            TransmitError::Refused
            | TransmitError::Unreachable
            | TransmitError::TimedOut
            | TransmitError::Closed
            | TransmitError::Untrusted(_)
            | TransmitError::Handshake => !transaction.switched,
            TransmitError::TooLarge | TransmitError::Congested => false,
        };
        // The connection of the dialog is gone; what follows goes where the Contact says, if it says anything.
        let flow = transaction.flow.take();
        if flow.as_ref().is_some_and(|way| way.is_only) {
            self.stop_waiting(id, flow.as_deref());
            return self.give_up(id, Failure::Flow);
        }
        if transaction.switched {
            if let Some(destination) = transaction.destination {
                // RFC 3261 §18.1.1: TCP was our own idea, so UDP it is.
                transaction.targets.push(Resolved {
                    transport: Transport::Udp,
                    address: destination.peer,
                });
            }
        }
        if is_told {
            self.target_failed(id);
        } else {
            self.release_target(id);
        }
        self.attempt_next(id, Failure::Transport(error));
    }

    /// The flow that a request took ended, and there is no other way for its answer.
    pub(crate) fn flow_ended(&mut self, id: TransactionId) {
        if self
            .clients
            .get(id)
            .is_some_and(|transaction| !transaction.is_answered())
        {
            self.give_up(id, Failure::Flow);
        }
    }

    /// Notes that a stream gave no answer at all to a request.
    fn note_unanswered(&mut self, id: TransactionId) {
        let silent = self.clients.get(id).filter(|client| client.is_silent());
        let unanswered = silent.and_then(|client| {
            let destination = client.destination?;
            let is_stream = destination.transport.is_reliable();
            is_stream.then(|| Unanswered {
                destination,
                server_name: client.server_name.clone(),
            })
        });
        if let Some(unanswered) = unanswered {
            self.flows.push_unanswered(unanswered);
        }
    }

    /// Timer B, D, F, K or M, or the limit of a resolution.
    pub(crate) fn client_time_up(&mut self, id: TransactionId) {
        let Some(transaction) = self.clients.get_mut(id) else {
            return;
        };
        let effects = match transaction.machine {
            ClientMachine::Resolving => {
                let error = self.leads_nowhere(id, ResolveError::Timeout);
                return self.give_up(id, Failure::Unresolvable(error));
            }
            _ if transaction.is_silent() => {
                self.note_unanswered(id);
                self.target_failed(id);
                return self.target_timed_out(id);
            }
            ClientMachine::Invite(machine) => machine.on_timeout(),
            ClientMachine::NonInvite(machine) => machine.on_timeout(),
        };
        self.apply_client(id, effects, None);
    }

    /// No response at all came from this target in its time.
    fn target_timed_out(&mut self, id: TransactionId) {
        let rest = self.config.failover.target_timeout.and_then(|short| {
            let long = self.config.timers.long();
            long.checked_sub(short).filter(|rest| !rest.is_zero())
        });
        let Some(transaction) = self.clients.get_mut(id) else {
            return;
        };
        let is_last = transaction.targets.is_empty();
        let effects = match (transaction.machine, rest) {
            _ if !is_last && !transaction.cancellation.is_wanted() => {
                earlier::keep(transaction);
                return self.attempt_next(id, Failure::Timeout);
            }
            // Nobody wants it any more, but the CANCEL still waits for a provisional response.
            (ClientMachine::Invite(_), Some(rest)) if !is_last => {
                transaction.targets.clear();
                smallvec![Effect::SetTimeout(rest)]
            }
            (ClientMachine::Invite(machine), _) => machine.on_timeout(),
            (ClientMachine::NonInvite(machine), _) => machine.on_timeout(),
            (ClientMachine::Resolving, _) => return,
        };
        self.apply_client(id, effects, None);
    }

    /// A target answered 503: the next is tried, as if it had not answered (RFC 3263 §4.3). False when there is none, or when it is
    /// too late: somebody knows more of this attempt than that it was received.
    pub(crate) fn fail_over(&mut self, id: TransactionId, message: &Message) -> bool {
        let Some(transaction) = self.clients.get_mut(id) else {
            return false;
        };
        // The peer of a dialog that answers so over its connection would say the same elsewhere.
        let is_named = transaction.name().is_some();
        let is_fresh = is_named && transaction.plan.is_some() && !transaction.is_answered();
        if !is_fresh || transaction.targets.is_empty() || transaction.cancellation.is_wanted() {
            return false;
        }
        let kept = transaction.tries.as_ref().map_or(0, |it| it.earlier.len());
        self.refused(id, message);
        if self.attempt(id).is_ok() {
            self.totals.add(Total::Failovers);
            return true;
        }
        // None of the others can be reached, so that this is the answer.
        if let Some(tries) = self.clients.get_mut(id).and_then(|it| it.tries.as_mut()) {
            tries.earlier.truncate(kept);
        }
        false
    }

    /// The next address, or the end.
    fn attempt_next(&mut self, id: TransactionId, failure: Failure) {
        if let Some(transaction) = self.clients.get_mut(id) {
            // What is left is by another way than the flow.
            transaction.flow.take_if(|way| !way.is_only);
            if let Some(token) = transaction.retransmit.take() {
                self.timers.cancel(token);
            }
        }
        match self.attempt(id) {
            Ok(()) => self.totals.add(Total::Failovers),
            Err(_) => self.give_up(id, failure),
        }
    }

    /// The machine says that time is up.
    pub(crate) fn request_timed_out(&mut self, id: TransactionId) {
        self.totals.add(Total::Timeouts);
        self.tell_failure(id, Failure::Timeout);
        self.forget_wanted_cancel(id);
    }

    /// The request failed for good: tells the user, forgets the transaction.
    fn give_up(&mut self, id: TransactionId, failure: Failure) {
        self.tell_failure(id, failure);
        self.forget_wanted_cancel(id);
        self.end_client(id);
    }

    fn tell_failure(&mut self, id: TransactionId, failure: Failure) {
        let Some(transaction) = self.clients.get_mut(id) else {
            return;
        };
        let (user, announce) = (transaction.user, transaction.announce);
        match (user, announce) {
            (User::Application(_), Announce::Sent(application, command)) => {
                // It never went out.
                transaction.announce = Announce::Nobody;
                let error = match failure {
                    Failure::Unresolvable(error) => error,
                    Failure::Flow => CommandError::FlowFailed("it ended".to_owned()),
                    Failure::Timeout => CommandError::NoTransport("no address took it".to_owned()),
                    Failure::Transport(error) => {
                        CommandError::NoTransport(format!("no address took it: {}", error.text()))
                    }
                };
                self.fail(application, command, error);
            }
            (User::Application(_), _) => {
                let Some(message) = self.made_for_client(id, &failure) else {
                    return;
                };
                self.response_received(
                    id,
                    &Incoming {
                        message,
                        origin: None,
                        wire_bytes: 0,
                    },
                );
            }
            (User::Branch(server, branch), _) => {
                let failure = match failure {
                    Failure::Timeout => BranchFailure::Timeout,
                    Failure::Transport(_) => BranchFailure::Transport,
                    Failure::Unresolvable(error) => failure_of(&error),
                    Failure::Flow => BranchFailure::FlowFailed,
                };
                self.branch_failed(server, branch, failure);
            }
            (User::Relay(server), _) => self.relay_failed(server, failure.status()),
            (User::Engine, _) => self.refresh_failed(id, failure.status()),
            (User::Stateless, _) => {}
        }
    }

    /// The response that stands for the one that never came, to a request that went out.
    fn made_for_client(&self, id: TransactionId, failure: &Failure) -> Option<Arc<Message>> {
        let request = Message::parse(self.clients.get(id)?.request.clone(), &unlimited()).ok()?;
        let bytes = Build::reply(&request, failure.status(), &failure.phrase(), None).finish(b"");
        Message::parse(bytes, &unlimited()).ok().map(Arc::new)
    }
}
