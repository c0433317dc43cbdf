//! One branch: a target, what it has answered so far, and the timers that run for it.
use crate::proxy::route::Path;
use crate::proxy::{CancelReason, Effect, Effects, TimerKind};
use crate::time::Time;
use std::sync::Arc;

/// Where a branch stands.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum State {
    /// Not started; it never will be when the search ended before.
    Untried,
    /// Started, and no final response yet.
    Pending,
    /// Ended: by a final response, by a failure, or forgotten.
    Ended,
}

/// Whether a branch is to be cancelled (RFC 3261 §9.1: not before a provisional response came).
#[derive(Clone, Debug)]
enum Cancel {
    No,
    Wanted(CancelReason),
    Sent,
}

/// A branch. Its number is its index in the context.
#[derive(Clone, Debug)]
pub(super) struct Branch {
    number: u32,
    /// The target's URI.
    pub(super) target: Arc<str>,
    /// The way to it.
    pub(super) path: Path,
    /// Those of one group are tried at once.
    pub(super) group: u32,
    /// Its share of Max-Breadth, from its start on.
    pub(super) breadth: u32,
    state: State,
    cancel: Cancel,
    /// The request was written for the wire.
    sent: bool,
    /// A provisional response came.
    provisional: bool,
    /// Its response does not count any more, as it took too long; only a 2xx to an INVITE does.
    given_up: bool,
    /// The final response upstream waits for its end.
    awaited: bool,
    /// The timers that run, one bit each.
    armed: u8,
}

impl Branch {
    pub(super) fn new(number: u32, target: Arc<str>, path: Path, group: u32) -> Branch {
        Branch {
            number,
            target,
            path,
            group,
            breadth: 0,
            state: State::Untried,
            cancel: Cancel::No,
            sent: false,
            provisional: false,
            given_up: false,
            awaited: true,
            armed: 0,
        }
    }

    /// The search reaches this branch.
    pub(super) fn launch(&mut self, breadth: u32, effects: &mut Effects) {
        self.breadth = breadth;
        self.state = State::Pending;
        effects.push(Effect::Forward {
            branch: self.number,
            next_hop: Arc::clone(&self.path.next_hop),
        });
    }

    /// Whether it was started and has not ended.
    pub(super) fn is_pending(&self) -> bool {
        self.state == State::Pending
    }

    /// Whether its answer still counts: the next target of a series waits for it.
    pub(super) fn is_live(&self) -> bool {
        self.is_pending() && !self.given_up
    }

    /// Whether the final response upstream waits for its end.
    pub(super) fn is_awaited(&self) -> bool {
        self.is_pending() && self.awaited
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.given_up
    }

    /// The request is written for the wire; false when the branch is not there to be sent.
    pub(super) fn mark_sent(&mut self) -> bool {
        self.sent |= self.is_pending();
        self.is_pending()
    }

    /// A provisional response came. Returns whether it may go upstream: not when the branch is being cancelled. `linger` is how
    /// long to wait for the end of a branch whose CANCEL goes out now.
    pub(super) fn on_provisional(
        &mut self,
        now: Time,
        linger: Linger,
        effects: &mut Effects,
    ) -> bool {
        self.provisional = true;
        self.disarm(TimerKind::Provisional, effects);
        match std::mem::replace(&mut self.cancel, Cancel::No) {
            Cancel::No => true,
            Cancel::Wanted(reason) => {
                self.send_cancel(now, reason, linger, effects);
                false
            }
            Cancel::Sent => {
                self.cancel = Cancel::Sent;
                false
            }
        }
    }

    /// Cancels a pending INVITE branch: at once when it may be, otherwise when its first provisional response comes.
    pub(super) fn cancel(
        &mut self,
        now: Time,
        reason: CancelReason,
        linger: Linger,
        effects: &mut Effects,
    ) {
        if !self.is_pending() || !matches!(self.cancel, Cancel::No) {
            return;
        }
        for kind in [TimerKind::Provisional, TimerKind::Final, TimerKind::C] {
            self.disarm(kind, effects);
        }
        if !self.sent {
            effects.push(Effect::EndBranch {
                branch: self.number,
            });
            self.end(effects);
        } else if self.provisional {
            self.send_cancel(now, reason, linger, effects);
        } else {
            self.cancel = Cancel::Wanted(reason);
        }
    }

    /// Ends it when it was not sent yet.
    pub(super) fn end_unsent(&mut self, effects: &mut Effects) {
        if self.is_pending() && !self.sent {
            effects.push(Effect::EndBranch {
                branch: self.number,
            });
            self.end(effects);
        }
    }

    fn send_cancel(
        &mut self,
        now: Time,
        reason: CancelReason,
        linger: Linger,
        effects: &mut Effects,
    ) {
        self.cancel = Cancel::Sent;
        effects.push(Effect::CancelBranch {
            branch: self.number,
            reason,
        });
        let wait = if self.given_up && self.awaited {
            linger.crossing
        } else {
            linger.cancelled
        };
        self.arm(TimerKind::Cancelled, now + wait, effects);
    }

    /// It took too long: its response does not count any more. The end upstream still waits a moment when a CANCEL is on its
    /// way, as a 2xx may have crossed it; a branch that never gave a sign is not waited for.
    pub(super) fn give_up(
        &mut self,
        now: Time,
        cancellable: bool,
        linger: Linger,
        effects: &mut Effects,
    ) {
        self.given_up = true;
        self.awaited = cancellable && self.sent && self.provisional;
        if cancellable {
            self.cancel(now, CancelReason::TimedOut, linger, effects);
        } else if self.sent {
            self.disarm(TimerKind::Provisional, effects);
            self.disarm(TimerKind::Final, effects);
        } else {
            effects.push(Effect::EndBranch {
                branch: self.number,
            });
            self.end(effects);
        }
    }

    /// The timer of a cancelled branch fired.
    pub(super) fn on_cancelled_timer(&mut self, now: Time, linger: Linger, effects: &mut Effects) {
        if self.given_up && self.awaited {
            self.awaited = false;
            self.arm(TimerKind::Cancelled, now + linger.cancelled, effects);
        } else {
            effects.push(Effect::EndBranch {
                branch: self.number,
            });
            self.end(effects);
        }
    }

    /// Nothing more is expected of it.
    pub(super) fn end(&mut self, effects: &mut Effects) {
        self.state = State::Ended;
        for kind in [
            TimerKind::Provisional,
            TimerKind::Final,
            TimerKind::C,
            TimerKind::Cancelled,
        ] {
            self.disarm(kind, effects);
        }
    }

    pub(super) fn arm(&mut self, kind: TimerKind, at: Time, effects: &mut Effects) {
        self.armed |= bit(kind);
        effects.push(Effect::SetTimer {
            kind,
            branch: self.number,
            at,
        });
    }

    fn disarm(&mut self, kind: TimerKind, effects: &mut Effects) {
        if self.armed & bit(kind) != 0 {
            self.armed &= !bit(kind);
            effects.push(Effect::ClearTimer {
                kind,
                branch: self.number,
            });
        }
    }

    /// A timer fired: true when it was set, which it is no more.
    pub(super) fn take_fired(&mut self, kind: TimerKind) -> bool {
        let armed = self.armed & bit(kind) != 0;
        self.armed &= !bit(kind);
        armed && self.is_pending()
    }
}

/// How long a branch is waited for after its CANCEL.
#[derive(Copy, Clone, Debug)]
pub(super) struct Linger {
    /// One whose answer still counts, and the client transaction of any (RFC 3261 §9.1).
    pub(super) cancelled: std::time::Duration,
    /// One given up, before the final response goes upstream without it.
    pub(super) crossing: std::time::Duration,
}

fn bit(kind: TimerKind) -> u8 {
    match kind {
        TimerKind::Provisional => 1,
        TimerKind::Final => 2,
        TimerKind::C => 4,
        TimerKind::Cancelled => 8,
    }
}
