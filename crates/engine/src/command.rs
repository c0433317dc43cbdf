//! What an application asks of an engine: the other half of the seam. Plain data.
use crate::export::ExportedDialog;
use crate::id::{CommandId, DialogId, TransactionId};
use bytes::Bytes;
use sip::{Message, Method};
use std::sync::Arc;
use std::time::Duration;

/// Something an application asks for. Each command with an `id` is answered by exactly one `Sent` or `Failed`;
/// `Proxy` by any number of `ProxyResponse` and one `ProxyDone` or `Failed`.
#[derive(Clone, Debug)]
pub enum Command {
    /// Send new requests of this method to the application, in turn with the others that asked for it.
    Route(Method),
    /// Stop doing so, for this method only.
    Unroute(Method),
    /// Send new requests of every method for which no application asked by name (the embedded application does this).
    RouteAll,
    /// Answer a request.
    Respond(Respond),
    /// Answer a request with a response that the link has written. Answered by `Failed` only: the link knows what is sent.
    RespondWritten(Written),
    /// Send a request: new, or within a dialog.
    Send(SendRequest),
    /// Cancel an INVITE that the application sent (RFC 3261 §9.1).
    Cancel(Cancel),
    /// Proxy a request that was received (RFC 3261 §16).
    Proxy(Proxy),
    /// Give up a request that is being proxied. Not answered by itself: the `ProxyDone` of the `Proxy` command follows.
    CancelProxy(CancelProxy),
    /// Forget a request without an answer.
    Drop(TransactionId),
    /// Give a confirmed dialog as a value that another engine can take over. Answered by `Exported` or `Failed`.
    Export(Export),
    /// Take over a dialog that another engine gave. Answered by `Imported` or `Failed`.
    Import(Import),
}

/// Header fields and body that an application gives. Names and values are as written by the application:
/// the engine refuses or ignores what is its own to write (Via, Record-Route, RSeq, Content-Length). A Route is used in a request
/// outside a dialog (a preloaded route set, RFC 3261 §8.1.1.1) and where a request is proxied (§16.6 item 6), nowhere else.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// Name and value of each field, in order.
    pub headers: Vec<(Bytes, Bytes)>,
    /// The body; may be empty.
    pub body: Bytes,
    /// Of an INVITE or UPDATE, or a 2xx to one: the engine is to add nothing about session timers, and runs none for this call
    /// (RFC 4028).
    pub without_session_timer: bool,
}

/// Answer a request.
#[derive(Clone, Debug)]
pub struct Respond {
    /// The command's number.
    pub id: CommandId,
    /// The server transaction.
    pub transaction: TransactionId,
    /// The status, 101 to 699.
    pub status: u16,
    /// The reason phrase; the standard one when empty.
    pub reason: String,
    /// Header fields and body.
    pub draft: Draft,
}

/// Answer a request with a response that [`crate::reply::Replier`] wrote.
#[derive(Clone, Debug)]
pub struct Written {
    /// The command's number.
    pub id: CommandId,
    /// The server transaction.
    pub transaction: TransactionId,
    /// The response.
    pub message: Arc<Message>,
}

/// Send a request.
#[derive(Clone, Debug)]
pub struct SendRequest {
    /// The command's number.
    pub id: CommandId,
    /// The method.
    pub method: Method,
    /// The request-URI. Within a dialog an empty one, or one with the host `placeholder`, means the remote target.
    pub uri: String,
    /// The dialog it belongs to; none for a new request.
    pub dialog: Option<DialogReference>,
    /// Where to send it instead of the request-URI: a URI, used as an outbound proxy without a Route header field.
    pub next_hop: Option<String>,
    /// Header fields and body. From, To, Call-ID, CSeq, Contact and Max-Forwards given here are used.
    pub draft: Draft,
}

/// How an application names a dialog.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DialogReference {
    /// By the identifier that events carry.
    Id(DialogId),
    /// By Call-ID and the From tag of the request that created it, as the control protocol does.
    Tags {
        /// The Call-ID.
        call_id: String,
        /// The tag in the From header field of the request that created the dialog.
        from_tag: String,
    },
}

/// Export a dialog.
#[derive(Clone, Debug)]
pub struct Export {
    /// The command's number.
    pub id: CommandId,
    /// The dialog: confirmed, and the application's.
    pub dialog: DialogReference,
    /// Whether this engine forgets it, without a word to the peer: another one goes on from here.
    pub release: bool,
}

/// Import a dialog; it belongs to the application that asks.
#[derive(Clone, Debug)]
pub struct Import {
    /// The command's number.
    pub id: CommandId,
    /// What the other engine gave, read by `ExportedDialog::from_json`.
    pub dialog: Box<ExportedDialog>,
    /// How long ago it was exported: its deadlines have come nearer by that.
    pub age: Duration,
}

/// Cancel an INVITE.
#[derive(Clone, Debug)]
pub struct Cancel {
    /// The command's number.
    pub id: CommandId,
    /// The client transaction of the INVITE.
    pub transaction: TransactionId,
    /// Header fields to add (Reason, RFC 3326).
    pub draft: Draft,
}

/// Proxy a request.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// The command's number.
    pub id: CommandId,
    /// The server transaction of the request.
    pub transaction: TransactionId,
    /// The targets, in order of preference; empty: the request-URI itself. Each is a URI, or written as a Contact value is, with
    /// its q: `<sip:bob@192.0.2.4>;q=0.5`. Without one q is 1.
    pub targets: Vec<String>,
    /// How.
    pub options: ProxyOptions,
    /// Header fields to add to each forwarded request.
    pub headers: Vec<(Bytes, Bytes)>,
}

/// Give up a request that is being proxied: its branches are cancelled, and the caller is answered.
#[derive(Clone, Debug)]
pub struct CancelProxy {
    /// The server transaction of the request.
    pub transaction: TransactionId,
    /// What the caller gets, 300 to 699, unless a 2xx crosses the CANCEL.
    pub status: u16,
    /// The value of the Reason header field of each CANCEL (RFC 3326), if there is something to say.
    pub reason: Option<String>,
}

/// In which order the targets of a proxied request are tried.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Forking {
    /// One after the other, as given.
    #[default]
    Serial,
    /// All at once.
    Simultaneous,
    /// Those of the highest q at once, then those of the next (RFC 3261 §16.6).
    ByQ,
}

/// What becomes of Path when a REGISTER comes from a user agent that does not list `path` in Supported (RFC 3327 §5.2).
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum PathPolicy {
    /// It is added all the same, as deployed edge proxies do: few user agents list it.
    #[default]
    Always,
    /// It is left out: the registrar will not know the way back.
    IfSupported,
    /// The request is refused with 421 (Extension Required).
    Required,
}

/// How a request is proxied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyOptions {
    /// Stay in the path of the dialog (RFC 3261 §16.6 item 4); for REGISTER add Path (RFC 3327).
    pub record_route: bool,
    /// Whether Path depends on what the user agent supports.
    pub path: PathPolicy,
    /// In which order the targets are tried.
    pub forking: Forking,
    /// Try the Contacts of a 3xx as further targets (RFC 3261 §16.7 item 4).
    pub follow_redirects: bool,
    /// Give up a branch that gave no provisional response for so long.
    pub provisional_timeout: Option<Duration>,
    /// Give up a branch that gave no final response for so long.
    pub final_timeout: Option<Duration>,
    /// Forward without transaction state (RFC 3261 §16.11).
    pub stateless: bool,
    /// The targets are outside the trusted network: identity and history that a caller wants kept private are left out
    /// (`sip::Message::withheld_from_untrusted`).
    pub untrusted: bool,
    /// Which Proxy-Authorization header fields were for this proxy, by their numbers from 0 on: they go no further, those for others
    /// do (RFC 3261 §22.3).
    pub consumed: Vec<u8>,
    /// Report each response of each branch (`ProxyResponse`), not only the end.
    pub report_responses: bool,
}
