//! What one shard learns about a target, for the others: that it failed, is being tried again, or answers (RFC 3263 §4.3).
//!
//! Each shard keeps a table of its own (`unavailable.rs`), so that no message looks into a shared one; what changes in one of them is
//! rare, and is told. Times are told as durations: shards share no clock.
use super::unavailable::key;
use crate::engine::Engine;
use crate::id::TransactionId;
use crate::resolve::Resolved;
use crate::time::Time;
use std::time::Duration;

/// What became of a target of a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TargetNews {
    /// The host name that led to it.
    pub name: Box<str>,
    /// The target.
    pub target: Resolved,
    /// What is known now.
    pub state: TargetState,
}

/// How a target fares.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum TargetState {
    /// It failed, or asked to be left alone.
    LeftOut {
        /// For how long from now on.
        wait: Duration,
        /// How often in a row it failed.
        failures: u32,
    },
    /// Its time is over, and one request tries it: others wait for what that finds.
    Tried,
    /// It answered.
    Answers,
}

impl Engine {
    /// The next thing to tell the other shards about a target.
    pub fn poll_target_news(&mut self) -> Option<TargetNews> {
        self.target_news.pop_front()
    }

    /// What another shard learnt about a target.
    pub fn handle_target_news(&mut self, now: Time, news: &TargetNews) {
        self.advance(now);
        let key = key(&self.digester, &news.name, &news.target);
        match news.state {
            TargetState::LeftOut { wait, failures } => {
                let until = self.now + wait;
                let known = self.unavailable.get(&key);
                if known.is_none_or(|entry| entry.until < until) {
                    self.leave_out(key, wait, failures);
                }
            }
            TargetState::Tried => {
                let longest = self.config.failover.target_timeout;
                let until = self.now + longest.unwrap_or_else(|| self.config.timers.long());
                if let Some(entry) = self.unavailable.get_mut(&key) {
                    entry.until = entry.until.max(until);
                }
            }
            TargetState::Answers => {
                if let Some(entry) = self.unavailable.remove(&key) {
                    self.timers.cancel(entry.timer);
                }
            }
        }
    }

    /// Tells the other shards about the target that a request's attempt is at.
    pub(super) fn tell_target(&mut self, id: TransactionId, state: TargetState) {
        if self.config.shards <= 1 {
            return;
        }
        if let Some((name, target)) = self.target_at(id) {
            self.target_news.push_back(TargetNews {
                name,
                target,
                state,
            });
        }
    }
}
