//! Dialogs (RFC 3261 §12): plain data that could be exported and imported (invariant 7 of ARCHITECTURE.md).
//!
//! A dialog knows who talks to whom, over which way, and how far both sides have counted. It refuses to hold transactions,
//! sockets or anything that a second process could not be told.
pub(crate) mod answer;
pub(crate) mod bounds;
pub(crate) mod create;
pub(crate) mod end;
pub(crate) mod exchange;
pub(crate) mod forking;
pub mod glare;
pub(crate) mod moving;
pub(crate) mod offer;
pub(crate) mod reliable;
pub(crate) mod session;
pub(crate) mod session_agreement;
pub(crate) mod session_refresh;
pub(crate) mod session_terms;
pub(crate) mod session_timer;
pub(crate) mod subscription;
pub(crate) mod table;
pub(crate) mod usages;

use crate::admit::usage::Ticket;
use crate::command::SendRequest;
use crate::id::{ApplicationId, DialogRole, TransactionId};
use crate::time::Time;
use crate::timer::TimerToken;
use crate::transport::{Destination, Origin};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// A 2xx to an INVITE that waits for its ACK (RFC 3261 §13.3.1.4).
pub(crate) struct Answer {
    /// The INVITE's transaction.
    pub(crate) transaction: TransactionId,
    /// The INVITE's CSeq number, which its ACK carries.
    pub(crate) sequence: u32,
    pub(crate) response: Bytes,
    pub(crate) destination: Destination,
    pub(crate) interval: Duration,
    pub(crate) retransmit: TimerToken,
    pub(crate) timeout: TimerToken,
}

/// The ACK of a 2xx, kept while its INVITE's transaction lives, to repeat it for a repeated 2xx (RFC 3261 §13.2.2.4).
#[derive(Clone)]
pub(crate) struct Acknowledgement {
    pub(crate) sequence: u32,
    pub(crate) request: Bytes,
    pub(crate) destination: Destination,
    /// Whom it is for, where the transport proves names.
    pub(crate) server_name: Option<Arc<str>>,
}

/// A dialog, early or confirmed.
pub(crate) struct Dialog {
    /// The application that its requests go to; none once that is gone.
    pub(crate) owner: Option<ApplicationId>,
    pub(crate) role: DialogRole,
    pub(crate) confirmed: bool,
    /// An INVITE usage is open (RFC 5057 §2).
    pub(crate) invited: bool,
    /// Its subscriptions (RFC 6665), those of REFERs among them; most dialogs have none.
    pub(crate) subscriptions: Option<Box<usages::Subscriptions>>,
    pub(crate) call_id: Box<str>,
    pub(crate) local_tag: Box<str>,
    pub(crate) remote_tag: Box<str>,
    /// Our From value, tag included.
    pub(crate) local: Box<str>,
    /// Our To value, tag included once the peer gave one.
    pub(crate) remote: Box<str>,
    /// The peer's Contact URI.
    pub(crate) remote_target: Box<str>,
    /// The Route values to send, first hop first.
    pub(crate) route_set: Vec<Box<str>>,
    pub(crate) local_sequence: u32,
    pub(crate) remote_sequence: Option<u32>,
    /// The way the peer's last message came: the listener to use, the connection to use again.
    pub(crate) origin: Origin,
    /// Its Contact is not believed (`network`): what we send goes where its messages come from.
    pub(crate) behind_nat: bool,
    /// The INVITE that created it, while it may still bring responses or be cancelled.
    pub(crate) invite: Option<TransactionId>,
    /// An INVITE within the dialog that the peer sent and nobody answered yet.
    pub(crate) remote_invite: Option<TransactionId>,
    /// An INVITE that we sent within the dialog, without a final response.
    pub(crate) local_invite: Option<TransactionId>,
    /// The CSeq number of our INVITE whose 2xx came and waits for the application's ACK.
    pub(crate) unacknowledged: Option<u32>,
    /// An UPDATE of the peer's that nobody answered yet.
    pub(crate) remote_update: Option<TransactionId>,
    /// Whose offer is open.
    pub(crate) offer: offer::Offer,
    /// A reliable provisional response of ours that waits for its PRACK.
    pub(crate) reliable: Option<Box<reliable::Reliable>>,
    /// The RSeq number of our last one; 0 before the first.
    pub(crate) reliable_number: u32,
    /// What the RAck of a PRACK says that is still due although the final response went out: RSeq and CSeq number.
    pub(crate) reliable_late: Option<(u32, u32)>,
    /// The peer's last one.
    pub(crate) remote_reliable: Option<reliable::RemoteReliable>,
    pub(crate) answer: Option<Box<Answer>>,
    /// BYEs of applications that wait for the ACK of `answer` (RFC 3261 §15).
    pub(crate) held: Vec<(ApplicationId, SendRequest)>,
    pub(crate) acknowledgement: Option<Box<Acknowledgement>>,
    /// Its session timer, while one runs (RFC 4028).
    pub(crate) session: Option<Box<session::Session>>,
    /// Our session description while it is early, if a refresh may have to repeat it.
    pub(crate) early_description: Option<Box<[u8]>>,
    /// What it is counted under: the source that opened it.
    pub(crate) ticket: Option<Ticket>,
    /// When its last message passed.
    pub(crate) active: Time,
    pub(crate) idle: Option<TimerToken>,
}

/// The URI in a Route value.
fn route_uri(route: &str) -> &str {
    let start = route.find('<').map_or(0, |at| at + 1);
    let end = route.find('>').unwrap_or(route.len());
    route.get(start..end).unwrap_or(route)
}

impl Dialog {
    /// Whether a request or response with these tags belongs to it, seen from us.
    pub(crate) fn matches(&self, call_id: &str, local_tag: &str, remote_tag: &str) -> bool {
        *self.call_id == *call_id
            && *self.local_tag == *local_tag
            && *self.remote_tag == *remote_tag
    }

    /// The From tag of the request that created it.
    pub(crate) fn creator_tag(&self) -> &str {
        match self.role {
            DialogRole::Uac => &self.local_tag,
            DialogRole::Uas => &self.remote_tag,
        }
    }

    /// Where its next request goes: the first route, else the peer itself.
    pub(crate) fn next_hop(&self) -> &str {
        self.route_set
            .first()
            .map_or(&self.remote_target, |route| route_uri(route))
    }

    /// The first hop, when it routes strictly: it wants to find itself in the request-URI (RFC 3261 §12.2.1.1).
    pub(crate) fn strict_hop(&self) -> Option<&str> {
        let uri = route_uri(self.route_set.first()?);
        let mut parameters = uri.split(['?', ';']).skip(1);
        let loose = parameters.any(|parameter| {
            let name = parameter.split('=').next().unwrap_or_default();
            name.trim().eq_ignore_ascii_case("lr")
        });
        (!loose).then_some(uri)
    }

    /// Notes a request of the peer's: false when it is out of order (RFC 3261 §12.2.2), or uses a number again: a repetition
    /// finds its transaction, so that this is another request, against §12.2.1.1. `overtaken`: one that may be late.
    pub(crate) fn accept_sequence(&mut self, sequence: u32, overtaken: bool) -> bool {
        match self.remote_sequence {
            Some(last) if sequence == last => false,
            Some(last) if sequence < last => overtaken,
            Some(_) | None => {
                self.remote_sequence = Some(sequence);
                true
            }
        }
    }

    /// The CSeq number for our next request.
    pub(crate) fn next_sequence(&mut self) -> u32 {
        self.local_sequence = self.local_sequence.wrapping_add(1) & 0x7fff_ffff;
        self.local_sequence
    }
}
