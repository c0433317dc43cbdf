//! The INVITE server transaction (RFC 3261 §17.2.1, with the Accepted state of RFC 6026 §7.1).
//!
//! It does not retransmit 2xx responses: that is the dialog's (RFC 3261 §13.3.1.4).
use super::{Effect, Effects, doubled};
use crate::config::Timers;
use smallvec::smallvec;
use std::time::Duration;

/// The state.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum ServerInvite {
    /// No final response yet.
    Proceeding,
    /// A non-2xx final response was sent and waits for its ACK; the interval of timer G.
    Completed(Duration),
    /// The ACK came; absorbs its repetitions.
    Confirmed,
    /// A 2xx was sent; absorbs repetitions of the INVITE (RFC 6026 §7.1).
    Accepted,
}

impl ServerInvite {
    /// A transaction whose application has `application` to answer.
    pub(crate) fn start(application: Duration) -> (ServerInvite, Effects) {
        (
            ServerInvite::Proceeding,
            smallvec![Effect::SetTimeout(application)],
        )
    }

    /// The INVITE came again.
    pub(crate) fn on_repeat(self) -> Effects {
        match self {
            ServerInvite::Proceeding | ServerInvite::Completed(_) => smallvec![Effect::Send],
            ServerInvite::Confirmed | ServerInvite::Accepted => Effects::new(),
        }
    }

    /// The user sends a response. In Accepted only further 2xx pass (a proxy's forks, RFC 6026 §7.1).
    pub(crate) fn on_response(&mut self, status: u16, reliable: bool, timers: &Timers) -> Effects {
        match (*self, status) {
            (ServerInvite::Proceeding, ..=100) => smallvec![Effect::Send],
            (ServerInvite::Proceeding, 101..=199) => {
                smallvec![Effect::Send, Effect::SetTimeout(timers.ringing)]
            }
            (ServerInvite::Proceeding, 200..=299) => {
                *self = ServerInvite::Accepted;
                smallvec![
                    Effect::Send,
                    Effect::StopRetransmit,
                    Effect::SetTimeout(timers.long()),
                    Effect::Shrink
                ]
            }
            (ServerInvite::Proceeding, _) => {
                *self = ServerInvite::Completed(timers.t1);
                // The timer of the 100 that is not sent any more: timer G is set where the network may lose what is sent (§17.2.1).
                let repeats = if reliable {
                    Effect::StopRetransmit
                } else {
                    Effect::SetRetransmit(timers.t1)
                };
                smallvec![
                    Effect::Send,
                    Effect::SetTimeout(timers.long()),
                    Effect::Shrink,
                    repeats
                ]
            }
            (ServerInvite::Accepted, 200..=299) => smallvec![Effect::Send],
            (ServerInvite::Completed(_) | ServerInvite::Confirmed | ServerInvite::Accepted, _) => {
                Effects::new()
            }
        }
    }

    /// An ACK came that matches the transaction.
    pub(crate) fn on_ack(&mut self, reliable: bool, timers: &Timers) -> Effects {
        match self {
            ServerInvite::Completed(_) => {
                *self = ServerInvite::Confirmed;
                if reliable {
                    return smallvec![Effect::Terminate];
                }
                smallvec![Effect::StopRetransmit, Effect::SetTimeout(timers.t4)]
            }
            // RFC 6026 §7.1: an ACK that arrives in Accepted is the user's, whatever its branch.
            ServerInvite::Accepted => smallvec![Effect::Emit],
            ServerInvite::Proceeding | ServerInvite::Confirmed => Effects::new(),
        }
    }

    /// Timer G.
    pub(crate) fn on_retransmit(&mut self, timers: &Timers) -> Effects {
        match self {
            ServerInvite::Completed(interval) => {
                *interval = doubled(*interval, timers.t2);
                smallvec![Effect::Send, Effect::SetRetransmit(*interval)]
            }
            ServerInvite::Proceeding | ServerInvite::Confirmed | ServerInvite::Accepted => {
                Effects::new()
            }
        }
    }

    /// The limit of the application (Proceeding), timers H, I and L.
    pub(crate) fn on_timeout(self) -> Effects {
        match self {
            ServerInvite::Proceeding => smallvec![Effect::EmitTimeout],
            ServerInvite::Completed(_) | ServerInvite::Confirmed | ServerInvite::Accepted => {
                smallvec![Effect::Terminate]
            }
        }
    }

    /// Whether a final response was sent.
    pub(crate) fn is_answered(self) -> bool {
        self != ServerInvite::Proceeding
    }
}
