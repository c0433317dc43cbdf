//! The non-INVITE server transaction (RFC 3261 §17.2.2).
use super::{Effect, Effects};
use crate::config::Timers;
use smallvec::smallvec;
use std::time::Duration;

/// The state.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum ServerNonInvite {
    /// No response yet.
    Trying,
    /// A provisional response was sent.
    Proceeding,
    /// The final response was sent; repeats it for the repeated request.
    Completed,
}

impl ServerNonInvite {
    /// A transaction that gets a 100, or its end, when it has no response after `first`.
    pub(crate) fn start(first: Duration) -> (ServerNonInvite, Effects) {
        (
            ServerNonInvite::Trying,
            smallvec![Effect::SetTimeout(first)],
        )
    }

    /// The request came again.
    pub(crate) fn on_repeat(self) -> Effects {
        match self {
            ServerNonInvite::Trying => Effects::new(),
            ServerNonInvite::Proceeding | ServerNonInvite::Completed => smallvec![Effect::Send],
        }
    }

    /// The user sends a response.
    pub(crate) fn on_response(&mut self, status: u16, reliable: bool, timers: &Timers) -> Effects {
        match (*self, status) {
            (ServerNonInvite::Completed, _) => Effects::new(),
            (_, ..=199) => {
                *self = ServerNonInvite::Proceeding;
                smallvec![Effect::Send]
            }
            // Timer J is zero on reliable transports.
            (_, _) if reliable => {
                *self = ServerNonInvite::Completed;
                smallvec![Effect::Send, Effect::Terminate]
            }
            (_, _) => {
                *self = ServerNonInvite::Completed;
                smallvec![
                    Effect::Send,
                    Effect::SetTimeout(timers.long()),
                    Effect::Shrink
                ]
            }
        }
    }

    /// The limit of the application, timer J.
    pub(crate) fn on_timeout(self) -> Effects {
        match self {
            ServerNonInvite::Trying | ServerNonInvite::Proceeding => smallvec![Effect::EmitTimeout],
            ServerNonInvite::Completed => smallvec![Effect::Terminate],
        }
    }

    /// Whether a final response was sent.
    pub(crate) fn is_answered(self) -> bool {
        self == ServerNonInvite::Completed
    }
}
