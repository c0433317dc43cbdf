//! Which branch is tried when: series or all at once, redirections, cancelling (RFC 3261 §16.6, §16.7 items 4 and 10).
use super::{Phase, ProxyContext};
use crate::command::Forking;
use crate::proxy::branch::Branch;
use crate::proxy::route::Path;
use crate::proxy::targets::MOST_TARGETS;
use crate::proxy::{CancelReason, Effects, TimerKind, breadth, targets};
use crate::time::Time;
use sip::Message;
use smallvec::SmallVec;
use std::cmp::Reverse;
use std::sync::Arc;

/// Targets that redirections may add to one request: what a chain of hostile redirections can cost.
const MAX_REDIRECTED: usize = 16;

impl ProxyContext {
    /// Takes the targets that a 3xx names, if it is to be followed: those of the highest q take the place of the branch that it came
    /// from, those of a lower q follow after them. Returns whether there was one; then the 3xx is used up.
    pub(super) fn follow(&mut self, now: Time, from: u32, message: &Message) -> bool {
        if !self.options.follow_redirects
            || self.phase != Phase::Searching
            || self.is_late(now)
            || message.status() / 100 != 3
        {
            return false;
        }
        let mut added: SmallVec<[u32; 4]> = SmallVec::new();
        let mut group = self.branches.get(from as usize).map_or(0, |it| it.group);
        let mut last = None;
        for (target, q) in targets::redirected(message, self.is_secure()) {
            if self.redirected >= MAX_REDIRECTED || self.branches.len() >= MOST_TARGETS {
                tracing::debug!(status = message.status(), "more targets than are tried");
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
            if let Some(last) = last.replace(q) {
                group = self.group_after(group, last, q);
            }
            added.push(self.add_branch(target, path, group));
        }
        for number in added.iter().rev() {
            self.untried.push_front(*number);
        }
        !added.is_empty()
    }

    /// Puts the targets into the order in which they are tried, and into groups: `weights` has the q of each, by its number.
    pub(super) fn group(&mut self, weights: &[u16]) {
        let weight = |number: &u32| weights.get(*number as usize).copied().unwrap_or_default();
        if self.options.forking == Forking::ByQ {
            self.untried
                .make_contiguous()
                .sort_by_key(|number| Reverse(weight(number)));
        }
        let (mut group, mut last) = (0, None);
        for at in 0..self.untried.len() {
            let Some(number) = self.untried.get(at).copied() else {
                break;
            };
            let q = weight(&number);
            if let Some(last) = last.replace(q) {
                group = self.group_after(group, last, q);
            }
            if let Some(branch) = self.branches.get_mut(number as usize) {
                branch.group = group;
            }
        }
    }

    /// The group of a target with this q that follows one of `group` with the q `last`: whether they are tried at once.
    pub(super) fn group_after(&mut self, group: u32, last: u16, q: u16) -> u32 {
        let same = match self.options.forking {
            Forking::Serial => false,
            Forking::Simultaneous => true,
            Forking::ByQ => last == q,
        };
        if same {
            return group;
        }
        self.groups += 1;
        self.groups
    }

    pub(super) fn add_branch(&mut self, target: Arc<str>, path: Path, group: u32) -> u32 {
        let number = u32::try_from(self.branches.len()).unwrap_or(u32::MAX);
        self.branches.push(Branch::new(number, target, path, group));
        number
    }

    /// Starts what is due, and ends the search when nothing is left to wait for.
    pub(super) fn advance(&mut self, now: Time, effects: &mut Effects) {
        if self.phase == Phase::Done {
            return;
        }
        if self.phase == Phase::Searching && !self.untried.is_empty() && self.is_late(now) {
            // What came is the answer; what is pending ends by timers of its own.
            tracing::debug!(untried = self.untried.len(), "the search takes too long");
            self.phase = Phase::Stopping;
            self.untried.clear();
        }
        if self.phase == Phase::Searching {
            self.launch_group(now, effects);
        }
        // What waits for its share of Max-Breadth waits for branches that are no longer awaited otherwise.
        if self.untried.is_empty() && !self.branches.iter().any(Branch::is_awaited) {
            self.finish(effects);
        }
    }

    /// Whether it is too late to begin a branch, as nobody waits for its answer. The client transaction of another request than INVITE
    /// ends after 64*T1 (timer F; RFC 4320 §4.1). Whoever is before us gives an INVITE up when it was not told of ringing for its
    /// timer C (RFC 3261 §16.8); the 64*T1 beside ours are for what follows the branch that it ended. And what rings here and there, on
    /// and on, ends with the time that a call may ring.
    fn is_late(&self, now: Time) -> bool {
        if !self.is_invite {
            return now >= self.started + self.timers.cancelled;
        }
        now >= self.rang + self.timers.c + self.timers.cancelled
            || now >= self.started + self.timers.search
    }

    /// Starts the branches of the group at hand, or of the next one when no branch is alive, as far as Max-Breadth allows (RFC 5393
    /// §5.3.3): what is left of it after the branches that are pending. The others follow as those end.
    fn launch_group(&mut self, now: Time, effects: &mut Effects) {
        let group_of = |branches: &[Branch], number: u32| {
            branches.get(number as usize).map_or(0, |entry| entry.group)
        };
        let Some(first) = self.untried.front() else {
            return;
        };
        let group = group_of(&self.branches, *first);
        if group != self.group && self.branches.iter().any(Branch::is_live) {
            return;
        }
        self.group = group;
        let count = self
            .untried
            .iter()
            .take_while(|number| group_of(&self.branches, **number) == group)
            .count();
        let taken: u32 = self
            .branches
            .iter()
            .filter(|branch| branch.is_pending())
            .fold(0, |sum, branch| sum.saturating_add(branch.breadth));
        let available = self.breadth.saturating_sub(taken);
        let waiting = u32::try_from(self.untried.len()).unwrap_or(u32::MAX);
        let count = u32::try_from(count).unwrap_or(u32::MAX).min(available);
        for share in breadth::shares(available, count, waiting.saturating_sub(count)) {
            if let Some(next) = self.untried.pop_front() {
                self.launch(now, next, share, effects);
            }
        }
    }

    fn launch(&mut self, now: Time, branch: u32, breadth: u32, effects: &mut Effects) {
        let Some(entry) = self.branches.get_mut(branch as usize) else {
            return;
        };
        entry.launch(breadth, effects);
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
