//! What an engine tells an application: one half of the seam. Plain data; no handle, no callback.
//!
//! Both links (the control connection, the embedded binding) match every variant, without `_`.
use crate::export::ExportedDialog;
use crate::id::{CommandId, DialogId, TransactionId};
use crate::transport::{Origin, PeerCertificate};
use sip::Message;
use std::sync::Arc;

/// Something an application is told.
#[derive(Clone, Debug)]
pub enum Event {
    /// A request from the network: new, in a dialog, a CANCEL of an INVITE, a PRACK or the ACK of a 2xx.
    Request(Request),
    /// A response from the network (or one the engine made: 408 and 503, RFC 3261 §8.1.3.1) to a request of the application. Never 100.
    Response(Response),
    /// The command put this message on the wire.
    Sent(Sent),
    /// The command could not be carried out.
    Failed(Failed),
    /// A response of one branch of a proxied request: every response but 100, whether it is forwarded or not.
    ProxyResponse(ProxyResponse),
    /// The proxied request came to its end; nothing more follows for that command.
    ProxyDone(ProxyDone),
    /// The engine ended a dialog itself: this is the BYE it sent (lost ACK, late 2xx after CANCEL, session timer, a peer that is
    /// gone). There is nothing to answer.
    DialogEnded(DialogEnded),
    /// The engine ended a subscription itself, because its time was up. The dialog is over too if it was for nothing else.
    SubscriptionEnded(SubscriptionEnded),
    /// The dialog that the command asked for, as a value.
    Exported(Exported),
    /// The dialog was taken over.
    Imported(Imported),
}

/// A request from the network.
#[derive(Clone, Debug)]
pub struct Request {
    /// The server transaction to answer; for an ACK and a CANCEL, that of the INVITE.
    pub transaction: TransactionId,
    /// The dialog it belongs to, if any.
    pub dialog: Option<DialogId>,
    /// Of an UPDATE in an early dialog: the INVITE (its server or client transaction) that has no final response yet.
    pub invite: Option<TransactionId>,
    /// The request, its top Via completed with `received` and `rport` (RFC 3581).
    pub message: Arc<Message>,
    /// Where it came from.
    pub origin: Origin,
    /// What the peer proved to be by a certificate, over TLS and WSS.
    pub peer_certificate: Option<Arc<PeerCertificate>>,
    /// Its size on the wire, in bytes.
    pub wire_bytes: usize,
}

/// A response to a request of the application.
#[derive(Clone, Debug)]
pub struct Response {
    /// The client transaction.
    pub transaction: TransactionId,
    /// The dialog it belongs to or created, if any.
    pub dialog: Option<DialogId>,
    /// The response, as received.
    pub message: Arc<Message>,
    /// Where it came from; none when the engine made it (a timeout, a transport error).
    pub origin: Option<Origin>,
    /// Its size on the wire, in bytes.
    pub wire_bytes: usize,
}

/// The answer to a command that put a message on the wire.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The command.
    pub command: CommandId,
    /// The transaction the message belongs to.
    pub transaction: TransactionId,
    /// The dialog it belongs to, if any.
    pub dialog: Option<DialogId>,
    /// The message, exactly as sent.
    pub message: Arc<Message>,
    /// Where it went: our own address and the peer's.
    pub path: Origin,
}

/// The answer to a command that failed.
#[derive(Clone, Debug)]
pub struct Failed {
    /// The command.
    pub command: CommandId,
    /// Why.
    pub error: CommandError,
}

/// A response of one branch of a proxied request.
#[derive(Clone, Debug)]
pub struct ProxyResponse {
    /// The `Proxy` command.
    pub command: CommandId,
    /// The branch: the index of its target, counting targets that redirects added.
    pub branch: u32,
    /// The response as received from the branch (our Via still on top).
    pub message: Arc<Message>,
    /// Where it came from; none when the engine made it (a timeout, a transport error).
    pub origin: Option<Origin>,
    /// Its size on the wire, in bytes.
    pub wire_bytes: usize,
}

/// The end of a proxied request.
#[derive(Clone, Debug)]
pub struct ProxyDone {
    /// The `Proxy` command.
    pub command: CommandId,
    /// The final status sent upstream; 487 when the caller cancelled, none when nothing was sent: an ACK, a stateless proxy, a
    /// request other than INVITE that timed out (RFC 4320 §4.2).
    pub status: Option<u16>,
    /// The branch whose response was chosen; none when the engine made the response.
    pub winner: Option<u32>,
}

/// A BYE that the engine sent on its own.
#[derive(Clone, Debug)]
pub struct DialogEnded {
    /// The dialog that ended.
    pub dialog: DialogId,
    /// Why.
    pub reason: DialogEndReason,
    /// The BYE as sent, with the reason in its Reason header field (RFC 3326).
    pub message: Arc<Message>,
    /// Where it went.
    pub path: Origin,
}

/// The answer to `Export`.
#[derive(Clone, Debug)]
pub struct Exported {
    /// The command.
    pub command: CommandId,
    /// The dialog.
    pub dialog: Box<ExportedDialog>,
}

/// The answer to `Import`.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The command.
    pub command: CommandId,
    /// What the dialog is called here.
    pub dialog: DialogId,
    /// Its Call-ID.
    pub call_id: String,
    /// The From tag of the request that created it.
    pub from_tag: String,
}

/// Why the engine ended a dialog.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum DialogEndReason {
    /// No ACK for our 2xx within 64*T1 (RFC 3261 §13.3.1.4).
    AckTimeout,
    /// A 2xx crossed our CANCEL: acknowledged and ended (RFC 3261 §9.1, §15).
    AnsweredAfterCancel,
    /// A CANCEL reached us after our 2xx, as some user agents do.
    CancelAfterAnswer,
    /// No message for `Bounds::dialog_idle`.
    Idle,
    /// The session timer ran out, or its refresh showed that the peer is gone (RFC 4028 §10).
    SessionExpired,
    /// The peer does not know the dialog any more (481), or answered a request in it not at all (408) (RFC 3261 §12.2.1.2,
    /// RFC 5057 §5.1).
    PeerGone,
}

/// A subscription that ended for want of a message. What a message ended is not told: the application has that.
#[derive(Clone, Debug)]
pub struct SubscriptionEnded {
    /// The dialog it was in.
    pub dialog: DialogId,
    /// Its Event: the package, and `;id=` where there is one; of a REFER `refer;id=` and the CSeq number.
    pub event: String,
    /// Whether the application was the one who notifies.
    pub is_notifier: bool,
    /// Why.
    pub reason: SubscriptionEndReason,
}

/// Why the engine ended a subscription.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum SubscriptionEndReason {
    /// No NOTIFY came, or was sent after a REFER was accepted, within 64*T1 (Timer N, RFC 6665 §4.1.2.4).
    NoNotify,
    /// Nobody refreshed it. As notifier the engine has sent the last NOTIFY, `terminated;reason=timeout` (RFC 6665 §4.2.2).
    Expired,
}

/// Why a command failed. The text forms are for people; links map the variants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CommandError {
    /// No such server transaction, or it was answered already.
    UnknownTransaction,
    /// No such dialog.
    UnknownDialog,
    /// A final response was sent for this transaction already.
    AlreadyAnswered,
    /// The transaction was proxied already, or answered before it was to be proxied.
    AlreadyProxied,
    /// The ACK of a non-2xx final response is the engine's (RFC 3261 §17.1.1.3).
    AckIsAutomatic,
    /// There is no INVITE that this CANCEL, ACK or PRACK could belong to.
    NoInvite,
    /// The request-URI, target or route cannot be read or used.
    InvalidUri(String),
    /// The method is not a token, or may not be used there.
    InvalidMethod(String),
    /// A header field of the application cannot be sent.
    InvalidHeader(String),
    /// A body without Content-Type that is not SDP.
    MissingContentType,
    /// Max-Forwards was 0: the caller got 483 (RFC 3261 §16.3).
    TooManyHops,
    /// The request would come back to this server (RFC 3261 §16.3 item 4).
    Loop,
    /// The request cannot be proxied, and the caller got this status: 420 (an extension in Proxy-Require is not known), 421 (Path
    /// is needed), 440 (Max-Breadth), 416 (the
    /// scheme of its request-URI), 400 (RFC 3261 §16.3).
    Rejected(u16),
    /// No listener offers the transport or address family that the target needs.
    NoTransport(String),
    /// The flow that the request was to take is gone (RFC 5626 §5.3: 430): what it was, and what to wait for.
    FlowFailed(String),
    /// This server did not give out the token of that flow (RFC 5626 §5.3: 403).
    FlowForged,
    /// It may not be sent now: what stands in the way, and what to wait for (RFC 3261 §14.1, RFC 3311 §5.1).
    RequestPending(&'static str),
    /// The peer of a reliable provisional response does not support 100rel (RFC 3262 §3).
    No100rel,
    /// The answer would have made a dialog, and the request has no Contact that says where its sender is reached: it got 400 instead
    /// (RFC 3261 §8.1.1.8, §12.1.1).
    NoContact,
    /// A table is full: the limit that was reached.
    Limit(&'static str),
    /// The dialog is early; only a confirmed one can be exported.
    EarlyDialog,
    /// A dialog with this Call-ID and these tags is here already.
    DialogExists,
}
