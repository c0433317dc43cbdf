//! Which target of a name comes next, and which are left out for a while because they did not answer (RFC 3263 §4.3).
//!
//! A target is a transport, an address and the name that led there: what is wrong with it is never laid to a record, which others
//! share, nor to the same address under another name. It is tried again by one request when its time is over, and believed as soon
//! as it answers anything. A request whose targets are all left out tries them all the same: something is better than nothing. What
//! changes here the other shards are told (`target_news.rs`).
use crate::engine::{Engine, Timer};
use crate::id::TransactionId;
use crate::resolve::Resolved;
use crate::time::Time;
use crate::timer::TimerToken;
use crate::totals::Total;
use crate::transaction::client::{ClientTransaction, User};
use crate::transaction::key::Digester;
use crate::transport::Transport;
use crate::uac::target_news::TargetState;
use rustc_hash::FxHashMap;
use sip::{Message, Method};
use std::time::Duration;

/// How many targets may be left out; past it they are tried like any other.
const ROOM: usize = 10_000;

/// The longest Retry-After that is followed.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// A target that is left out.
pub(crate) struct Unavailable {
    /// From then on one request may try it.
    pub(super) until: Time,
    /// How often in a row it failed.
    failures: u32,
    /// The request that tries it.
    trial: Option<TransactionId>,
    pub(super) timer: TimerToken,
}

/// The targets that are left out, by `key`.
pub(crate) type UnavailableTable = FxHashMap<u64, Unavailable>;

pub(super) fn key(digester: &Digester, name: &str, target: &Resolved) -> u64 {
    let name = name.to_ascii_lowercase();
    let address = target.address.to_string();
    let parts = [
        name.as_bytes(),
        target.transport.name().as_bytes(),
        address.as_bytes(),
    ];
    digester.digest(&parts).number()
}

/// The target that a transaction's attempt is at.
fn target_of(transaction: &ClientTransaction) -> Option<(&str, Resolved)> {
    let (name, destination) = (transaction.name()?, transaction.destination?);
    let transport = if transaction.switched {
        Transport::Udp
    } else {
        destination.transport
    };
    let target = Resolved {
        transport,
        address: destination.peer,
    };
    Some((name, target))
}

impl Engine {
    /// Takes the target to try next: the first that is not left out; if all are, the one whose time is over first.
    pub(crate) fn next_target(&mut self, id: TransactionId) -> Option<Resolved> {
        let now = self.now;
        let transaction = self.clients.get_mut(id)?;
        let name = match transaction.name() {
            Some(name) if !self.unavailable.is_empty() => name,
            _ => return transaction.targets.pop(),
        };
        let mut soonest: Option<(Time, usize)> = None;
        let mut chosen = None;
        for (index, target) in transaction.targets.iter().enumerate().rev() {
            let entry = self.unavailable.get(&key(&self.digester, name, target));
            let Some(entry) = entry.filter(|entry| entry.until > now || entry.trial.is_some())
            else {
                chosen = Some(index);
                break;
            };
            if soonest.is_none_or(|(until, _)| entry.until < until) {
                soonest = Some((entry.until, index));
            }
        }
        let index = chosen.or(soonest.map(|(_, index)| index))?;
        Some(transaction.targets.remove(index))
    }

    /// An attempt begins. If its target's time is over, it is the one that shows whether that is back; others wait for what it finds.
    pub(crate) fn trial_begins(&mut self, id: TransactionId) {
        if self.unavailable.is_empty() {
            return;
        }
        // The ACK of a 2xx gets no answer, and nobody waits for that of a request forwarded without state: they prove nothing.
        let proves = self.clients.get(id).is_some_and(|transaction| {
            transaction.method != Method::Ack && transaction.user != User::Stateless
        });
        let now = self.now;
        let key = self.key_of(id).filter(|_| proves);
        if let Some(entry) = key.and_then(|key| self.unavailable.get_mut(&key)) {
            if entry.until <= now && entry.trial.is_none() {
                entry.trial = Some(id);
                self.tell_target(id, TargetState::Tried);
            }
        }
    }

    /// What a response says about the attempt's target. Whether another target is tried instead.
    pub(crate) fn note_response(&mut self, id: TransactionId, message: &Message) -> bool {
        let is_refusal = message.status() == 503;
        if !is_refusal && self.unavailable.is_empty() {
            return false;
        }
        if self
            .clients
            .get(id)
            .is_none_or(ClientTransaction::is_answered)
        {
            return false;
        }
        if !is_refusal {
            self.target_answered(id);
            return false;
        }
        self.target_refused(id, message);
        self.fail_over(id, message)
    }

    /// The attempt's target failed: others come first for a while, twice as long each time.
    pub(crate) fn target_failed(&mut self, id: TransactionId) {
        let failover = &self.config.failover;
        let (shortest, longest) = (failover.unavailable, failover.unavailable_longest);
        let Some(key) = self.key_of(id).filter(|_| !shortest.is_zero()) else {
            return;
        };
        let failures = match self.unavailable.get(&key) {
            // Requests that were on their way when it failed say nothing new.
            Some(entry) if entry.until > self.now && entry.trial != Some(id) => return,
            Some(entry) => entry.failures,
            None => 0,
        };
        let doubled = 1_u32.checked_shl(failures).unwrap_or(u32::MAX);
        let wait = shortest.saturating_mul(doubled).min(longest);
        // Up to a quarter less, so that many servers do not try it in the same moment.
        let jitter = wait.mul_f64(0.25 * self.fraction());
        self.note_left_out(
            id,
            key,
            wait.saturating_sub(jitter),
            failures.saturating_add(1),
        );
    }

    /// A 503 came: for how long it says that the target is not to be bothered (RFC 3261 §21.5.4). Without that it says nothing about
    /// the next request, and the target answers.
    fn target_refused(&mut self, id: TransactionId, message: &Message) {
        let asked = message.retry_after().ok().flatten();
        let wait = asked.map(|asked| Duration::from_secs(asked.seconds.into()));
        match wait.filter(|wait| !wait.is_zero()) {
            Some(wait) => {
                if let Some(key) = self.key_of(id) {
                    let failures = self.unavailable.get(&key).map_or(0, |entry| entry.failures);
                    self.note_left_out(id, key, wait.min(LONGEST_RETRY_AFTER), failures);
                }
            }
            None => self.target_answered(id),
        }
    }

    /// The attempt's target answered: it is believed again.
    fn target_answered(&mut self, id: TransactionId) {
        if let Some(entry) = self
            .key_of(id)
            .and_then(|key| self.unavailable.remove(&key))
        {
            self.timers.cancel(entry.timer);
            self.totals.add(Total::TargetsReturned);
            self.tell_target(id, TargetState::Answers);
        }
    }

    /// An attempt ended in a way that says nothing about its target.
    pub(crate) fn release_target(&mut self, id: TransactionId) {
        let key = self.key_of(id).filter(|_| !self.unavailable.is_empty());
        if let Some(entry) = key.and_then(|key| self.unavailable.get_mut(&key)) {
            entry.trial = entry.trial.filter(|trial| *trial != id);
        }
    }

    /// A request leaves its target, whatever became of it: if it was to show that the target is back, another may.
    pub(crate) fn trial_ends(&mut self, id: TransactionId, transaction: &ClientTransaction) {
        if self.unavailable.is_empty() {
            return;
        }
        let Some((name, target)) = target_of(transaction) else {
            return;
        };
        let key = key(&self.digester, name, &target);
        if let Some(entry) = self.unavailable.get_mut(&key) {
            entry.trial = entry.trial.filter(|trial| *trial != id);
        }
    }

    /// A target was left out long ago and nobody asked for it since.
    pub(crate) fn forget_unavailable(&mut self, key: u64) {
        self.unavailable.remove(&key);
    }

    fn key_of(&self, id: TransactionId) -> Option<u64> {
        let (name, target) = target_of(self.clients.get(id)?)?;
        Some(key(&self.digester, name, &target))
    }

    /// The name and target that a request's attempt is at.
    pub(super) fn target_at(&self, id: TransactionId) -> Option<(Box<str>, Resolved)> {
        let (name, target) = target_of(self.clients.get(id)?)?;
        Some((name.into(), target))
    }

    /// A request of ours found that its target is to be left out.
    fn note_left_out(&mut self, id: TransactionId, key: u64, wait: Duration, failures: u32) {
        let is_known = self.unavailable.contains_key(&key);
        if !self.leave_out(key, wait, failures) {
            return;
        }
        if !is_known {
            self.totals.add(Total::TargetsFailed);
        }
        self.tell_target(id, TargetState::LeftOut { wait, failures });
    }

    /// Leaves a target out for a while. False when there is no room to remember it.
    pub(super) fn leave_out(&mut self, key: u64, wait: Duration, failures: u32) -> bool {
        let old = self.unavailable.get(&key).map(|entry| entry.timer);
        match old {
            Some(timer) => {
                self.timers.cancel(timer);
            }
            None if self.unavailable.len() >= ROOM => return false,
            None => {}
        }
        // How often it failed is remembered for as long again as the longest wait.
        let forgotten = wait + self.config.failover.unavailable_longest;
        let timer = self
            .timers
            .set(self.now, forgotten, Timer::Unavailable(key));
        let entry = Unavailable {
            until: self.now + wait,
            failures,
            trial: None,
            timer,
        };
        self.unavailable.insert(key, entry);
        true
    }

    /// A number from 0 to 1.
    fn fraction(&mut self) -> f64 {
        f64::from((self.generator.next_u64() >> 32) as u32) / f64::from(u32::MAX)
    }
}
