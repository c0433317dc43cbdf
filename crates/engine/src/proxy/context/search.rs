//! Which branch is tried when: series or all at once, redirections, cancelling (RFC 3261 §16.6, §16.7 items 4 and 10).
use super::{Phase, ProxyContext};
use crate::proxy::branch::Branch;
use crate::proxy::route::Path;
use crate::proxy::{CancelReason, Effects, TimerKind, targets};
use crate::time::Time;
use sip::Message;
use smallvec::SmallVec;
use std::sync::Arc;

/// Targets that redirections may add to one request: what a chain of hostile redirections can cost.
const MAX_REDIRECTED: usize = 16;

impl ProxyContext {
    /// Takes the targets that a 3xx names, if it is to be followed. Returns whether there was one; then the 3xx is used up.
    pub(super) fn follow(&mut self, message: &Message) -> bool {
        if !self.options.follow_redirects
            || self.phase != Phase::Searching
            || message.status() / 100 != 3
        {
            return false;
        }
        let mut added: SmallVec<[u32; 4]> = SmallVec::new();
        for target in targets::redirected(message, self.is_secure()) {
            if self.redirected >= MAX_REDIRECTED {
                break;
            }
            if self
                .branches
                .iter()
                .any(|branch| targets::same(&branch.target, &target))
            {
                continue;
            }
            let target: Arc<str> = Arc::from(target);
            let path = if self.drachtio_compatible {
                Path::by(&self.route, Arc::clone(&target), Arc::clone(&target))
            } else {
                Path::along(&self.route, &target)
            };
            self.redirected += 1;
            added.push(self.add_branch(target, path));
        }
        for number in added.iter().rev() {
            self.untried.push_front(*number);
        }
        !added.is_empty()
    }

    pub(super) fn add_branch(&mut self, target: Arc<str>, path: Path) -> u32 {
        let number = u32::try_from(self.branches.len()).unwrap_or(u32::MAX);
        self.branches.push(Branch::new(number, target, path));
        number
    }

    /// Starts what is due, and ends the search when nothing is left to wait for.
    pub(super) fn advance(&mut self, now: Time, effects: &mut Effects) {
        if self.phase == Phase::Done {
            return;
        }
        if self.phase == Phase::Searching {
            while self.options.simultaneous || !self.branches.iter().any(Branch::is_live) {
                let Some(next) = self.untried.pop_front() else {
                    break;
                };
                self.launch(now, next, effects);
            }
        }
        if !self.branches.iter().any(Branch::is_awaited) {
            self.finish(effects);
        }
    }

    pub(super) fn launch(&mut self, now: Time, branch: u32, effects: &mut Effects) {
        let Some(entry) = self.branches.get_mut(branch as usize) else {
            return;
        };
        entry.launch(effects);
        if let Some(timeout) = self.options.provisional_timeout {
            entry.arm(TimerKind::Provisional, now + timeout, effects);
        }
        if let Some(timeout) = self.options.final_timeout {
            entry.arm(TimerKind::Final, now + timeout, effects);
        }
        if self.is_invite {
            entry.arm(TimerKind::C, now + self.timers.c, effects);
        }
    }

    pub(super) fn cancel_all(&mut self, now: Time, reason: &CancelReason, effects: &mut Effects) {
        // Only an INVITE can be cancelled (RFC 3261 §9.1).
        if self.is_invite {
            let linger = self.linger();
            for branch in &mut self.branches {
                branch.cancel(now, reason.clone(), linger, effects);
            }
        }
    }
}
