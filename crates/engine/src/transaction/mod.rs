//! The four transaction machines (RFC 3261 §17, RFC 6026), their tables, and how messages find them.
//!
//! A machine is a state and a handful of methods that take what happened and return [`Effects`]. It holds no message, knows no
//! timer queue and sends nothing: the engine's dispatcher applies the effects to the table entry the machine lives in.
pub(crate) mod client;
pub(crate) mod client_invite;
pub(crate) mod client_non_invite;
pub(crate) mod key;
pub(crate) mod server;
pub(crate) mod server_invite;
pub(crate) mod server_non_invite;

use smallvec::SmallVec;
use std::time::Duration;

/// What a machine wants done, in order.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Effect {
    /// Put the entry's message on the wire: a client's request, a server's latest response.
    Send,
    /// Put the ACK of a non-2xx final response on the wire (RFC 3261 §17.1.1.3).
    SendAck,
    /// Fire `on_retransmit` after this time; replaces the one set.
    SetRetransmit(Duration),
    /// No more retransmissions.
    StopRetransmit,
    /// Fire `on_timeout` after this time; replaces the one set.
    SetTimeout(Duration),
    /// Hand the message at hand to the transaction's user.
    Emit,
    /// Tell the user that the time was up.
    EmitTimeout,
    /// Only what a retransmission needs is needed from now on.
    Shrink,
    /// The transaction is over: nothing follows.
    Terminate,
}

/// What a machine wants done.
pub(crate) type Effects = SmallVec<[Effect; 6]>;

/// Doubles a retransmission interval, up to a limit.
fn doubled(interval: Duration, limit: Duration) -> Duration {
    interval.saturating_mul(2).min(limit)
}
