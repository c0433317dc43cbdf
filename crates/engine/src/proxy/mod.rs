//! The proxy core (RFC 3261 §16) as a state machine: what happened goes in, effects come out.
//!
//! It decides which target is tried when, which branch is cancelled, and which response goes upstream. It refuses to hold
//! transactions, to resolve names, to read a clock or to make anything random: the engine does that and tells it.
//!
//! ```text
//! Command::Proxy ── ProxyContext::new(order, own) ── Err(rejection) → answer rejection.status (if any) + Event::Failed
//!        │ Ok(context)
//!        ▼
//! context.start(now, effects)
//! Effect::Forward { branch, next_hop }  → resolve next_hop, pick a listener, make a Via branch (`loops::branch_parameter`),
//!                                         context.write_request(branch, &hop) -> Bytes, open a client transaction for them.
//!                                         Another address of the same target (RFC 3263 §4.3): write_request again.
//! every response, 100 too               → context.on_response(now, branch, response, effects)
//! timer B or F, all addresses failed    → context.on_branch_failed(now, branch, failure, effects)
//! CANCEL of the server transaction      → context.on_cancelled(now, reasons, effects)     (the engine answers the CANCEL)
//! Command::CancelProxy                  → context.on_abandoned(now, status, reason, effects)
//! a timer set by Effect::SetTimer       → context.on_timer(now, kind, branch, effects)
//! context.is_finished()                 → drop it. 2xx that still come for an INVITE go upstream by `response::upstream`.
//! ```
//!
//! What needs no context: `relay::in_dialog` (requests that come back by our Record-Route, and ACK) and `relay::stateless`
//! (RFC 3261 §16.11) give a `Forwarding`: a next hop to resolve and the bytes to send there.
pub mod best;
mod branch;
pub mod breadth;
pub mod context;
pub mod forward;
pub mod loops;
mod prepare;
pub mod relay;
pub mod response;
pub mod route;
pub mod targets;
#[cfg(test)]
mod tests;
pub mod validate;

pub use context::ProxyContext;
pub use relay::{Forwarding, InDialog};

use crate::command::ProxyOptions;
use crate::event::{CommandError, ProxyDone, ProxyResponse};
use crate::flow::{Token, TokenFlow};
use crate::id::CommandId;
use crate::network::Unsigned;
use crate::time::Time;
use crate::transport::{Origin, Transport};
use bytes::Bytes;
use sip::Message;
use sip::uri::Host;
use smallvec::SmallVec;
use std::sync::Arc;
use std::time::Duration;

/// What is to be proxied, and how.
#[derive(Clone, Debug)]
pub struct ProxyOrder {
    /// The request, its top Via completed with `received` and `rport` (RFC 3581).
    pub request: Arc<Message>,
    /// The command that asked for it; none when the engine relays on its own, and then nothing is reported.
    pub command: Option<CommandId>,
    /// The targets, in order of preference; empty: the request-URI itself.
    pub targets: Vec<String>,
    /// How.
    pub options: ProxyOptions,
    /// Header fields to add to each forwarded request.
    pub headers: Vec<(Bytes, Bytes)>,
    /// Timer values.
    pub timers: ProxyTimers,
    /// Behave as drachtio-server where it differs (see `context`).
    pub drachtio_compatible: bool,
}

/// The timer values that the proxy core uses.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct ProxyTimers {
    /// Timer C (RFC 3261 §16.6 item 11): more than 3 minutes.
    pub c: Duration,
    /// How long a cancelled branch is waited for (RFC 3261 §9.1): 64*T1.
    pub cancelled: Duration,
    /// How long a branch given up by a timeout of the application's is waited for, as its 2xx may have crossed our CANCEL: T4.
    pub crossing: Duration,
    /// How long an INVITE is searched for however often it rings: as long as a call may ring.
    pub search: Duration,
}

impl From<&crate::config::Timers> for ProxyTimers {
    fn from(timers: &crate::config::Timers) -> ProxyTimers {
        ProxyTimers {
            c: timers.c,
            cancelled: timers.t1 * 64,
            crossing: timers.t4,
            search: timers.ringing,
        }
    }
}

/// Tells the names of this server from those of others, and what it has signed. The engine implements it over its listeners; closures
/// do as well, and sign nothing.
pub trait OwnNames {
    /// Whether a URI or a sent-by with this host and port (none: not written) reaches this server.
    fn is_own(&self, host: Host<'_>, port: Option<u16>) -> bool;

    /// What the user part of a URI of ours says in a request of this call.
    fn token(&self, _user: &str, _call_id: &str) -> Token {
        Token::Absent
    }

    /// The URI that leads down a flow; none where nothing is signed.
    fn flow_uri(&self, _flow: &TokenFlow) -> Option<String> {
        None
    }

    /// What becomes of a request within a call that has no mark of ours.
    fn unsigned(&self) -> Unsigned {
        Unsigned::Relay
    }
}

impl<F: Fn(Host<'_>, Option<u16>) -> bool> OwnNames for F {
    fn is_own(&self, host: Host<'_>, port: Option<u16>) -> bool {
        self(host, port)
    }
}

/// Why a request is not proxied.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rejection {
    /// The final status that the engine sends upstream; none when the application erred: the transaction stays open, and it may
    /// answer otherwise.
    pub status: Option<u16>,
    /// A header field for that response: `Unsupported` with a 420.
    pub header: Option<(sip::HeaderName, String)>,
    /// What the application is told.
    pub error: CommandError,
}

/// The way a forwarded request takes, known once its next hop is resolved and a listener chosen.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Hop<'a> {
    /// The transport it is sent over.
    pub transport: Transport,
    /// Our address for the Via header field: `host:port`, an IPv6 address in brackets.
    pub sent_by: &'a str,
    /// The branch parameter, with its magic cookie (`loops::branch_parameter`).
    pub branch: &'a str,
    /// Whether our Via asks the next hop to send us its requests over the same connection (RFC 5923 §5).
    pub alias: bool,
    /// Our Record-Route URI on the side of the next hop (`forward::record_route_uri` of the sending listener). Used when the
    /// proxy stays in the path.
    pub record_route: &'a str,
    /// Our Record-Route URI on the side that the request came from, when it differs (another listener or transport): both are
    /// written then (RFC 5658 §3), so that each side sees an address and transport it can reach.
    pub record_route_received: Option<&'a str>,
}

/// A response from a branch, as the engine received it.
#[derive(Clone, Debug)]
pub struct BranchResponse {
    /// The response, our Via still on top.
    pub message: Arc<Message>,
    /// Where it came from.
    pub origin: Origin,
    /// Its size on the wire, in bytes.
    pub wire_bytes: usize,
}

/// Why a branch ended without a final response.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum BranchFailure {
    /// Timer B or F fired: like a 408 (RFC 3261 §16.7).
    Timeout,
    /// It could not be sent to any address: like a 503 (RFC 3261 §16.9).
    Transport,
    /// The next hop has no address, or none that a listener can reach: like a 503 (RFC 3263 §4.3).
    Unresolvable,
    /// The flow that it was to take is gone: like a 430 (RFC 5626 §5.3).
    FlowFailed,
    /// The flow that it was to take is none of ours: like a 403 (RFC 5626 §5.3).
    FlowForged,
}

/// The timers of a branch.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum TimerKind {
    /// No provisional response yet (`ProxyOptions::provisional_timeout`).
    Provisional,
    /// No final response yet (`ProxyOptions::final_timeout`).
    Final,
    /// Timer C of RFC 3261 §16.8.
    C,
    /// A cancelled branch does not end.
    Cancelled,
}

/// Why a branch is cancelled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CancelReason {
    /// Another branch answered with a 2xx.
    AnsweredElsewhere,
    /// Another branch answered with this 6xx.
    Declined(u16),
    /// The branch took too long.
    TimedOut,
    /// The caller cancelled: the values of the Reason header fields of its CANCEL, as sent; there may be several, one for each
    /// protocol (RFC 3326 §2).
    CallerCancelled(Option<Arc<str>>),
    /// The application gave it up, and said this.
    Abandoned(Option<Arc<str>>),
}

impl CancelReason {
    /// The value of the Reason header field (RFC 3326) for the CANCEL, if there is something to say.
    #[must_use]
    pub fn header_value(&self) -> Option<String> {
        match self {
            CancelReason::AnsweredElsewhere => {
                Some("SIP;cause=200;text=\"Call completed elsewhere\"".to_owned())
            }
            CancelReason::Declined(status) => Some(format!(
                "SIP;cause={status};text=\"{}\"",
                sip::status::reason_phrase(*status)
            )),
            CancelReason::TimedOut => Some("SIP;cause=408;text=\"Request Timeout\"".to_owned()),
            CancelReason::CallerCancelled(reason) | CancelReason::Abandoned(reason) => {
                reason.as_deref().map(str::to_owned)
            }
        }
    }
}

/// What goes to the server transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Upstream {
    /// A response of a branch, our Via removed: provisional or final. A 2xx to an INVITE may follow a final one (RFC 3261
    /// §16.7 item 5): then it is sent past the server transaction, to where its Via says.
    Forwarded {
        /// Its status.
        status: u16,
        /// The branch it came from.
        branch: u32,
        /// The response as it is to be sent.
        response: Bytes,
    },
    /// A final response for the engine to make, with a To tag of its own.
    Made {
        /// Its status.
        status: u16,
    },
    /// The server transaction has no final response: a non-INVITE request that timed out (RFC 4320 §4.2).
    Nothing,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Resolve `next_hop` (a URI) and send there what `ProxyContext::write_request` gives.
    Forward {
        /// The branch.
        branch: u32,
        /// The URI to resolve (RFC 3263): the top Route or the request-URI.
        next_hop: Arc<str>,
    },
    /// Send a CANCEL for the branch now: it gave a provisional response, and no final one.
    CancelBranch {
        /// The branch.
        branch: u32,
        /// Why.
        reason: CancelReason,
    },
    /// Forget the branch: its question to the resolver or its client transaction. Nothing more is sent on it or expected.
    EndBranch {
        /// The branch.
        branch: u32,
    },
    /// Answer upstream.
    Upstream(Upstream),
    /// Call `on_timer` at that time; replaces a timer of the same kind and branch.
    SetTimer {
        /// Which timer.
        kind: TimerKind,
        /// The branch.
        branch: u32,
        /// When.
        at: Time,
    },
    /// Forget that timer.
    ClearTimer {
        /// Which timer.
        kind: TimerKind,
        /// The branch.
        branch: u32,
    },
    /// Tell the application of a branch's response.
    Report(ProxyResponse),
    /// Tell the application that the search is over. Exactly once, and the last thing it is told.
    Done(ProxyDone),
}

/// Effects, in the order they are to be carried out.
pub type Effects = SmallVec<[Effect; 4]>;
