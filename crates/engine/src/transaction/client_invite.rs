//! The INVITE client transaction (RFC 3261 §17.1.1, with the Accepted state of RFC 6026 §7.2).
//!
//! It does not acknowledge 2xx responses: that is the dialog's (RFC 3261 §13.2.2.4).
use super::{Effect, Effects};
use crate::config::Timers;
use smallvec::smallvec;
use std::time::Duration;

/// Timer D on unreliable transports: at least 32 s (RFC 3261 §17.1.1.2).
const TIMER_D: Duration = Duration::from_secs(32);

/// The state.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum ClientInvite {
    /// No response yet; the interval of timer A.
    Calling(Duration),
    /// A provisional response came.
    Proceeding,
    /// A non-2xx final response came; acknowledges its repetitions.
    Completed,
    /// A 2xx came; hands further ones to the user (RFC 6026 §7.2).
    Accepted,
}

impl ClientInvite {
    /// Sends the INVITE.
    pub(crate) fn start(reliable: bool, timers: &Timers) -> (ClientInvite, Effects) {
        let mut effects: Effects = smallvec![Effect::Send, Effect::SetTimeout(timers.long())];
        if !reliable {
            effects.push(Effect::SetRetransmit(timers.t1));
        }
        (ClientInvite::Calling(timers.t1), effects)
    }

    /// A response came.
    pub(crate) fn on_response(&mut self, status: u16, reliable: bool, timers: &Timers) -> Effects {
        match (*self, status) {
            (ClientInvite::Calling(_), ..=199) => {
                *self = ClientInvite::Proceeding;
                smallvec![
                    Effect::StopRetransmit,
                    Effect::SetTimeout(timers.ringing),
                    Effect::Emit
                ]
            }
            (ClientInvite::Proceeding, ..=199) => smallvec![Effect::Emit],
            (ClientInvite::Calling(_) | ClientInvite::Proceeding, 200..=299) => {
                *self = ClientInvite::Accepted;
                smallvec![
                    Effect::StopRetransmit,
                    Effect::SetTimeout(timers.long()),
                    Effect::Emit,
                    Effect::Shrink
                ]
            }
            (ClientInvite::Calling(_) | ClientInvite::Proceeding, _) => {
                *self = ClientInvite::Completed;
                let mut effects: Effects =
                    smallvec![Effect::StopRetransmit, Effect::SendAck, Effect::Emit];
                if reliable {
                    effects.push(Effect::Terminate);
                } else {
                    effects.extend([
                        Effect::SetTimeout(TIMER_D.max(timers.long())),
                        Effect::Shrink,
                    ]);
                }
                effects
            }
            (ClientInvite::Completed, 300..) => smallvec![Effect::SendAck],
            (ClientInvite::Accepted, 200..=299) => smallvec![Effect::Emit],
            (ClientInvite::Completed | ClientInvite::Accepted, _) => Effects::new(),
        }
    }

    /// The CANCEL went out: the INVITE is given up 64*T1 later, whatever comes (RFC 3261 §9.1).
    pub(crate) fn on_cancelled(self, timers: &Timers) -> Effects {
        match self {
            ClientInvite::Calling(_) | ClientInvite::Proceeding => {
                smallvec![Effect::SetTimeout(timers.long())]
            }
            ClientInvite::Completed | ClientInvite::Accepted => Effects::new(),
        }
    }

    /// Timer A.
    pub(crate) fn on_retransmit(&mut self) -> Effects {
        match self {
            ClientInvite::Calling(interval) => {
                *interval = interval.saturating_mul(2);
                smallvec![Effect::Send, Effect::SetRetransmit(*interval)]
            }
            ClientInvite::Proceeding | ClientInvite::Completed | ClientInvite::Accepted => {
                Effects::new()
            }
        }
    }

    /// Timer B (or the limit of a ringing INVITE), D and M.
    pub(crate) fn on_timeout(self) -> Effects {
        match self {
            ClientInvite::Calling(_) | ClientInvite::Proceeding => {
                smallvec![Effect::EmitTimeout, Effect::Terminate]
            }
            ClientInvite::Completed | ClientInvite::Accepted => smallvec![Effect::Terminate],
        }
    }

    /// Whether a final response came.
    pub(crate) fn is_answered(self) -> bool {
        matches!(self, ClientInvite::Completed | ClientInvite::Accepted)
    }
}
