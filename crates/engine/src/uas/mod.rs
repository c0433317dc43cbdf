//! Requests that come: checked (RFC 3261 §8.2), matched to their transaction or dialog, handed to an application.
//!
//! It refuses to decide what a request means: that is the application's. What only the protocol decides (retransmissions,
//! CANCEL, unknown dialogs, overload) it answers itself.
pub(crate) mod cancel;
pub(crate) mod in_dialog;
pub(crate) mod malformed;
pub(crate) mod refuse;
pub(crate) mod respond;
pub(crate) mod shed;
pub(crate) mod silence;
pub(crate) mod via;

use crate::admit::Quota;
use crate::application::Selection;
use crate::dialog::{bounds, session_terms};
use crate::engine::{Engine, Timer};
use crate::event::{Event, Request};
use crate::id::{ApplicationId, DialogId, TransactionId};
use crate::reply::creates_dialog;
use crate::totals::Total;
use crate::transaction::key::{Digest, ServerKey};
use crate::transaction::server::{Owner, ServerMachine, ServerTransaction};
use crate::transaction::server_invite::ServerInvite;
use crate::transaction::server_non_invite::ServerNonInvite;
use crate::transaction::{Effect, Effects};
use crate::transport::{Destination, Origin};
use bytes::Bytes;
use sip::header::via::Via;
use sip::{HeaderName, Message, Method, Scheme};
use std::sync::Arc;

/// What every step needs of a request, read once.
pub(crate) struct Head<'a> {
    pub(crate) method: Method,
    pub(crate) call_id: &'a str,
    /// Empty when there is none (RFC 2543).
    pub(crate) from_tag: &'a str,
    /// Empty when there is none: a request outside any dialog.
    pub(crate) to_tag: &'a str,
    pub(crate) sequence: u32,
    pub(crate) via: Via<'a>,
}

impl<'a> Head<'a> {
    /// Reads it, or says what is wrong with the request.
    fn read(message: &'a Message, method: Method, via: Via<'a>) -> Result<Head<'a>, (u16, String)> {
        let bad = |error: sip::HeaderError| (400, error.to_string());
        let call_id = message.call_id().map_err(bad)?;
        let sequence = message.cseq().map_err(bad)?;
        let from_tag = message.from().map_err(bad)?.tag().unwrap_or_default();
        let to_tag = message.to().map_err(bad)?.tag().unwrap_or_default();
        message.check_via_list().map_err(bad)?;
        if sequence.method != method {
            // A method of the future may have its reasons (RFC 4475 §3.1.2.18).
            let status = match method {
                Method::Other(_) => 501,
                _ => 400,
            };
            let what = "CSeq names another method than the start line".to_owned();
            return Err((status, what));
        }
        Ok(Head {
            method,
            call_id,
            from_tag,
            to_tag,
            sequence: sequence.number,
            via,
        })
    }
}

/// A request on its way through the checks: as received, and with its Via completed.
pub(crate) struct Arrival<'a> {
    pub(crate) head: Head<'a>,
    pub(crate) key: Digest,
    pub(crate) message: Arc<Message>,
    pub(crate) origin: Origin,
    pub(crate) wire_bytes: usize,
}

impl Engine {
    /// A request came.
    pub(crate) fn receive_request(&mut self, origin: Origin, message: Message, wire_bytes: usize) {
        let method = message.method();
        self.totals.request_in(&method);
        let Ok(via) = message.top_via() else {
            let what = "no Via that can be read: dropped, there is nowhere to answer to";
            return self.note_refused(Total::Dropped, &origin, &method, what);
        };
        let head = match Head::read(&message, method, via) {
            Ok(head) => head,
            Err((status, what)) => {
                return self.refuse_unreadable(&origin, &message, status, &what);
            }
        };
        let key = self.server_key(&head, &message, &head.method);
        if let Some(id) = self.servers.find(key) {
            return self.receive_repeat(id, head, key, origin, &message, wire_bytes);
        }
        let Some(completed) = via::complete(&message, &head.via, &origin) else {
            return self.totals.add(Total::Dropped);
        };
        let arrival = Arrival {
            head,
            key,
            message: Arc::new(completed),
            origin,
            wire_bytes,
        };
        match arrival.head.method {
            Method::Ack => self.receive_ack(&arrival),
            Method::Cancel => self.receive_cancel(&arrival, &message),
            _ if arrival.head.to_tag.is_empty() => self.receive_new(&arrival),
            _ => self.receive_in_dialog(&arrival),
        }
    }

    /// Where the response to a request goes.
    pub(crate) fn response_destination(&self, arrival: &Arrival<'_>) -> Destination {
        let is_trusted = self.config.admission.trusts(arrival.origin.peer.ip());
        via::response_destination(&arrival.head.via, &arrival.origin, is_trusted)
    }

    /// The key of the server transaction that a request would belong to if its method were `method`.
    pub(crate) fn server_key(&self, head: &Head<'_>, message: &Message, method: &Method) -> Digest {
        let values = message.header(HeaderName::Via);
        let via = values
            .as_ref()
            .map(|field| field.text())
            .unwrap_or_default();
        let (host, port) = head.via.sent_by();
        ServerKey {
            branch: head.via.branch().unwrap_or_default(),
            sent_by: (host, port.unwrap_or(0)),
            via: &via,
            uri: message.request_uri(),
            call_id: head.call_id,
            from_tag: head.from_tag,
            sequence: head.sequence,
        }
        .digest(&self.digester, method)
    }

    /// A request that matches a transaction: a repetition, or the ACK of an INVITE.
    fn receive_repeat(
        &mut self,
        id: TransactionId,
        head: Head<'_>,
        key: Digest,
        origin: Origin,
        message: &Message,
        wire_bytes: usize,
    ) {
        let Some(transaction) = self.servers.get_mut(id) else {
            return;
        };
        if head.method != Method::Ack {
            self.totals.add(Total::RetransmissionsIn);
            let effects = transaction.on_repeat();
            return self.apply_server(id, effects);
        }
        let shows =
            transaction.has_own_tag && transaction.local_tag.as_deref() == Some(head.to_tag);
        let told = transaction.destination.peer.ip();
        let effects = transaction.on_ack(&self.config.timers);
        if shows {
            // Only who got our answer knows it. Of a 2xx the dialog takes the ACK.
            self.note_shown(&origin, told);
        }
        if !effects.contains(&Effect::Emit) {
            self.close_half_open(id);
            return self.apply_server(id, effects);
        }
        // An ACK of a 2xx with the INVITE's branch, as some user agents send it.
        if let Some(completed) = via::complete(message, &head.via, &origin) {
            self.receive_ack(&Arrival {
                head,
                key,
                message: Arc::new(completed),
                origin,
                wire_bytes,
            });
        }
    }

    /// A request outside any dialog.
    pub(crate) fn receive_new(&mut self, arrival: &Arrival<'_>) {
        let head = &arrival.head;
        if let Err((status, what)) = check(&arrival.message, &head.method) {
            self.note_refused(Total::Invalid, &arrival.origin, &head.method, what);
            return self.refuse(arrival, status, &[(HeaderName::Warning, warning(what))]);
        }
        if session_terms::is_too_brief(&self.config.session, &arrival.message, &head.method) {
            return self.refuse_too_brief(arrival);
        }
        let merge_key = self.merge_key(head, &head.method);
        // RFC 3261 §8.2.2.2. A request that has been through here is a spiral, which proxies allow (§16.3 item 4).
        if self.servers.find_merged(merge_key).is_some() && !self.has_passed(&arrival.message) {
            self.totals.add(Total::Invalid);
            return self.refuse(arrival, 482, &[]);
        }
        if self.is_draining {
            return self.refuse_busy(arrival);
        }
        if self.is_full(&head.method) {
            self.totals.add(Total::Full);
            return self.refuse_busy(arrival);
        }
        let quota = self.exceeded_quota(&arrival.origin, &head.method);
        if let Some(quota) = quota.filter(|quota| *quota != Quota::HalfOpen) {
            return self.refuse_surplus(arrival, quota);
        }
        let patience = self.patience(&arrival.origin);
        match self.applications.select(&head.method, patience) {
            Selection::Application(application) => {
                if quota.is_some() && !self.shed_half_open() {
                    return self.refuse_surplus(arrival, Quota::HalfOpen);
                }
                let id = self.open_server(
                    arrival,
                    Owner::Application(application),
                    Some(merge_key),
                    None,
                );
                self.deliver(application, id, None, None, arrival);
            }
            Selection::Overloaded
                if patience < self.config.bounds.event_age
                    && self.applications.would_take(&head.method) =>
            {
                // It comes again, and goes on ringing where it is known by then, or when those who wait have been served.
                self.totals.add(Total::PassedOver);
            }
            Selection::Overloaded => {
                self.totals.add(Total::Overload);
                self.refuse_busy(arrival);
            }
            Selection::MethodNotAllowed(methods) if !self.config.drachtio_compatible => {
                self.totals.add(Total::Unrouted);
                let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
                // RFC 3261 §21.4.6 is for methods that are known, §21.5.2 for those that are not.
                let status = match head.method {
                    Method::Other(_) => 501,
                    _ => 405,
                };
                self.refuse(arrival, status, &[(HeaderName::Allow, names.join(", "))]);
            }
            Selection::MethodNotAllowed(_) | Selection::None => {
                self.totals.add(Total::Unrouted);
                self.refuse_busy(arrival);
            }
        }
    }

    /// Whether a new request of this method finds no room: for its transaction, or for the dialog it may create.
    fn is_full(&self, method: &Method) -> bool {
        let bounds = &self.config.bounds;
        self.transactions() >= bounds.transactions
            || (creates_dialog(method) && self.dialogs.len() >= bounds.dialogs)
    }

    /// Whether a request within a dialog finds no room: the calls that there are have a quarter more than new ones.
    pub(crate) fn is_full_within(&self) -> bool {
        let most = self.config.bounds.transactions;
        self.transactions() >= most.saturating_add(most / 4)
    }

    fn transactions(&self) -> usize {
        self.servers.len() + self.clients.len()
    }

    /// What a request of this method has in common with itself arriving another way.
    pub(crate) fn merge_key(&self, head: &Head<'_>, method: &Method) -> Digest {
        let sequence = head.sequence.to_be_bytes();
        let method = method.as_str().as_bytes();
        self.digester.digest(&[
            b"merge",
            head.call_id.as_bytes(),
            head.from_tag.as_bytes(),
            &sequence,
            method,
        ])
    }

    /// Whether a request carries a Via of ours.
    fn has_passed(&self, message: &Message) -> bool {
        message
            .vias()
            .flatten()
            .any(|via| self.listeners.is_own(via.host, via.port))
    }

    /// Opens the server transaction of a request; sends the automatic 100 of an INVITE.
    pub(crate) fn open_server(
        &mut self,
        arrival: &Arrival<'_>,
        owner: Owner,
        merge_key: Option<Digest>,
        dialog: Option<DialogId>,
    ) -> TransactionId {
        let id = self.next_transaction();
        let application = self.config.timers.application;
        let invite = arrival.head.method == Method::Invite;
        let (machine, effects): (ServerMachine, Effects) = if invite {
            let (machine, effects) = ServerInvite::start(application);
            (ServerMachine::Invite(machine), effects)
        } else {
            let first = application.min(self.config.timers.late_trying());
            let (machine, effects) = ServerNonInvite::start(first);
            (ServerMachine::NonInvite(machine), effects)
        };
        let transaction = ServerTransaction {
            key: arrival.key,
            merge_key,
            machine,
            method: arrival.head.method.clone(),
            owner,
            request: Some(Arc::clone(&arrival.message)),
            origin: arrival.origin,
            destination: self.response_destination(arrival),
            response: Bytes::new(),
            local_tag: (!arrival.head.to_tag.is_empty()).then(|| arrival.head.to_tag.into()),
            has_own_tag: arrival.head.to_tag.is_empty(),
            dialog,
            offers: false,
            retransmit: None,
            timeout: None,
            ticket: self.open_ticket(id, arrival),
        };
        self.servers.insert(id, transaction);
        self.apply_server(id, effects);
        // What the engine refuses at once needs no 100 before.
        if !invite || owner == Owner::Engine {
            return id;
        }
        if self.config.timers.trying.is_zero() {
            self.send_trying(id);
        } else {
            let token = self.timers.set(
                self.now,
                self.config.timers.trying,
                Timer::ServerRetransmit(id),
            );
            if let Some(transaction) = self.servers.get_mut(id) {
                transaction.retransmit = Some(token);
            }
        }
        id
    }

    /// Sends the automatic 100, unless a response was sent already (RFC 3261 §17.2.1).
    pub(crate) fn send_trying(&mut self, id: TransactionId) {
        let Some(transaction) = self.servers.get_mut(id) else {
            return;
        };
        let Some(request) = transaction
            .request
            .as_ref()
            .filter(|_| transaction.response.is_empty())
        else {
            return;
        };
        transaction.response = sip::Build::reply(request, 100, "Trying", None).finish(b"");
        let effects = transaction.on_response(100, &self.config.timers);
        self.apply_server(id, effects);
    }

    /// Tells an application of a request.
    pub(crate) fn deliver(
        &mut self,
        application: ApplicationId,
        transaction: TransactionId,
        dialog: Option<DialogId>,
        invite: Option<TransactionId>,
        arrival: &Arrival<'_>,
    ) {
        let request = Request {
            transaction,
            dialog,
            invite,
            message: Arc::clone(&arrival.message),
            origin: arrival.origin,
            peer_certificate: self.certificate(&arrival.origin),
            wire_bytes: arrival.wire_bytes,
        };
        self.emit(application, Event::Request(request));
    }
}

/// What RFC 3261 §8.2.2.1 and §16.3 want checked before anybody sees a request: the status, and what is wrong.
fn check(message: &Message, method: &Method) -> Result<(), (u16, &'static str)> {
    let uri = message.uri().map_err(|_| (400, "unreadable request-URI"))?;
    if matches!(uri.scheme(), Scheme::Other(_)) {
        return Err((416, "unknown URI scheme"));
    }
    // RFC 3261 §19.1.1: none in a request-URI. Whoever forwards them may be made to send them (RFC 4475 §3.1.2.11).
    if uri.headers().next().is_some() {
        return Err((400, "header fields in the request-URI"));
    }
    if message.max_forwards().is_err() {
        return Err((400, "unreadable Max-Forwards"));
    }
    if creates_dialog(method) && !bounds::routes_are_readable(message) {
        return Err((400, "unreadable Record-Route"));
    }
    if creates_dialog(method) && !bounds::fits(message) {
        return Err((
            513,
            "more routes, or a longer From, To or Call-ID, than a dialog may keep",
        ));
    }
    Ok(())
}

/// A Warning value that says what is wrong (RFC 3261 §20.43, code 399: miscellaneous).
fn warning(what: &str) -> String {
    format!("399 dracht \"{what}\"")
}
