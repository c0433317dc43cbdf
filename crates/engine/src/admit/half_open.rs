//! The half-open INVITEs of strangers in the order in which they came, so that the oldest can make room for a new one. Exact, and empty at
//! rest: an entry lives as long as its transaction is counted as half-open.
use crate::id::TransactionId;
use crate::time::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// See the module. An engine's transactions are numbered in the order in which they come.
#[derive(Default)]
pub(crate) struct HalfOpen {
    /// Without a final response, or with a 2xx that is not acknowledged; since when.
    waiting: BTreeMap<TransactionId, Time>,
    /// Refused; only the ACK is missing, and nobody waits for it.
    refused: BTreeSet<TransactionId>,
}

impl HalfOpen {
    /// A stranger's INVITE begins.
    pub(crate) fn open(&mut self, id: TransactionId, now: Time) {
        self.waiting.insert(id, now);
    }

    /// It has got a final response other than a 2xx.
    pub(crate) fn refuse(&mut self, id: TransactionId) {
        if self.waiting.remove(&id).is_some() {
            self.refused.insert(id);
        }
    }

    /// It is counted no longer.
    pub(crate) fn close(&mut self, id: TransactionId) {
        self.waiting.remove(&id);
        self.refused.remove(&id);
    }

    /// The one that is missed least: the oldest that was refused, else the oldest of all, if it is as old as `age`.
    pub(crate) fn least(&self, now: Time, age: Duration) -> Option<TransactionId> {
        let waiting = || {
            let (id, since) = self.waiting.first_key_value()?;
            (now.since(*since) >= age).then_some(*id)
        };
        self.refused.first().copied().or_else(waiting)
    }
}
