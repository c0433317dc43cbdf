//! The non-INVITE client transaction (RFC 3261 §17.1.2).
use super::{Effect, Effects, doubled};
use crate::config::Timers;
use smallvec::smallvec;
use std::time::Duration;

/// The state.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum ClientNonInvite {
    /// No response yet; the interval of timer E.
    Trying(Duration),
    /// A provisional response came.
    Proceeding,
    /// The final response came; absorbs its repetitions.
    Completed,
}

impl ClientNonInvite {
    /// Sends the request.
    pub(crate) fn start(reliable: bool, timers: &Timers) -> (ClientNonInvite, Effects) {
        let mut effects: Effects = smallvec![Effect::Send, Effect::SetTimeout(timers.long())];
        if !reliable {
            effects.push(Effect::SetRetransmit(timers.t1));
        }
        (ClientNonInvite::Trying(timers.t1), effects)
    }

    /// A response came. Timer F runs on through provisional ones.
    pub(crate) fn on_response(&mut self, status: u16, reliable: bool, timers: &Timers) -> Effects {
        match (*self, status) {
            (ClientNonInvite::Completed, _) => Effects::new(),
            (_, ..=199) => {
                *self = ClientNonInvite::Proceeding;
                smallvec![Effect::Emit]
            }
            // Timer K is zero on reliable transports.
            (_, _) if reliable => {
                *self = ClientNonInvite::Completed;
                smallvec![Effect::Emit, Effect::Terminate]
            }
            (_, _) => {
                *self = ClientNonInvite::Completed;
                smallvec![
                    Effect::StopRetransmit,
                    Effect::Emit,
                    Effect::SetTimeout(timers.t4),
                    Effect::Shrink
                ]
            }
        }
    }

    /// Timer E.
    pub(crate) fn on_retransmit(&mut self, timers: &Timers) -> Effects {
        match self {
            ClientNonInvite::Trying(interval) => {
                *interval = doubled(*interval, timers.t2);
                smallvec![Effect::Send, Effect::SetRetransmit(*interval)]
            }
            ClientNonInvite::Proceeding => {
                smallvec![Effect::Send, Effect::SetRetransmit(timers.t2)]
            }
            ClientNonInvite::Completed => Effects::new(),
        }
    }

    /// Timers F and K.
    pub(crate) fn on_timeout(self) -> Effects {
        match self {
            ClientNonInvite::Trying(_) | ClientNonInvite::Proceeding => {
                smallvec![Effect::EmitTimeout, Effect::Terminate]
            }
            ClientNonInvite::Completed => smallvec![Effect::Terminate],
        }
    }

    /// Whether the final response came.
    pub(crate) fn is_answered(self) -> bool {
        self == ClientNonInvite::Completed
    }
}
