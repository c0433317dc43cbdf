//! Requests within a dialog (RFC 3261 §12.2.2): to the application that owns it, in order; 481 when there is none.
use super::Arrival;
use crate::dialog::bounds::MOST_TEXT;
use crate::dialog::offer::{Side, describes};
use crate::dialog::session_terms;
use crate::engine::Engine;
use crate::event::{Event, Request};
use crate::id::DialogId;
use crate::totals::Total;
use crate::transaction::server::Owner;
use sip::{Address, HeaderName, Message, Method};
use std::sync::Arc;

/// What becomes of a request for a dialog that exists.
enum Verdict {
    Deliver,
    /// A BYE for an application that is gone.
    End,
    /// Answer it so, and its repetitions alike, whatever they find; the flag says whether with Retry-After.
    Refuse(u16, bool),
    /// It asks for a session interval below our minimum: as `Refuse`, with what we accept.
    TooBrief,
}

/// Methods whose request or 2xx moves the remote target (RFC 3261 §12.2.1.2, RFC 3311, RFC 6665, RFC 3515).
pub(crate) fn refreshes_target(method: &Method) -> bool {
    matches!(
        method,
        Method::Invite | Method::Update | Method::Subscribe | Method::Notify | Method::Refer
    )
}

/// The URI of a message's Contact, of several the first, when it can be read and is of a size to be kept.
pub(crate) fn contact_uri(message: &Message) -> Option<Box<str>> {
    let value = message.values(HeaderName::Contact).next()?;
    let contact = Address::parse(&value).ok()?;
    let is_one = !contact.is_wildcard() && contact.uri().is_ok();
    (is_one && contact.uri_text.len() <= MOST_TEXT).then(|| contact.uri_text.into())
}

impl Engine {
    /// A request with a To tag, other than ACK and CANCEL.
    pub(crate) fn receive_in_dialog(&mut self, arrival: &Arrival<'_>) {
        let head = &arrival.head;
        let found = self.dialogs.find(head.call_id, head.to_tag, head.from_tag);
        let found = found.or_else(|| self.dialog_of_early_notify(arrival));
        let Some(id) = found else {
            if self.relay_unowned(arrival) {
                return;
            }
            // These need no dialog; some user agents repeat the To tag of the last response all the same.
            if matches!(
                head.method,
                Method::Register | Method::Options | Method::Message | Method::Publish
            ) {
                return self.receive_new(arrival);
            }
            self.totals.add(Total::UnknownDialogs);
            return self.refuse_unknown(arrival);
        };
        // A call may be ended whatever happens.
        if head.method != Method::Bye && self.is_full_within() {
            self.totals.add(Total::Full);
            return self.refuse_busy(arrival);
        }
        // Its To tag is one that we made up.
        if let Some(dialog) = self.dialogs.get(id) {
            let told = dialog.origin.peer.ip();
            self.note_shown(&arrival.origin, told);
        }
        match self.judge(id, arrival) {
            Verdict::Deliver => self.deliver_in_dialog(id, arrival),
            Verdict::End => {
                let transaction = self.open_server(arrival, Owner::Engine, None, None);
                self.answer(transaction, 200, &[]);
                self.remove_dialog(id);
            }
            Verdict::TooBrief => {
                let headers = [(HeaderName::MinSe, self.config.session.min_se.to_string())];
                self.refuse_with_state(arrival, 422, &headers);
            }
            Verdict::Refuse(status, retry) => {
                let mut headers = Vec::new();
                if retry {
                    // RFC 3261 §14.2: 0 to 10 seconds, at random.
                    headers.push((
                        HeaderName::RetryAfter,
                        (self.generator.next_u64() % 11).to_string(),
                    ));
                }
                self.refuse_with_state(arrival, status, &headers);
            }
        }
    }

    /// 481, with state: the dialog may come to be before the request is repeated, when it overtook the response that makes it. One
    /// transaction has one answer.
    fn refuse_unknown(&mut self, arrival: &Arrival<'_>) {
        let is_full = self.is_full(&arrival.head.method)
            || self
                .exceeded_quota(&arrival.origin, &arrival.head.method)
                .is_some();
        if is_full {
            return self.refuse(arrival, 481, &[]);
        }
        let transaction = self.open_server(arrival, Owner::Engine, None, None);
        self.answer(transaction, 481, &[]);
    }

    /// Refuses a request whose CSeq number counts from now on, so that without a transaction its repetitions would get 500.
    fn refuse_with_state(
        &mut self,
        arrival: &Arrival<'_>,
        status: u16,
        headers: &[(HeaderName, String)],
    ) {
        self.totals.add(Total::Invalid);
        let transaction = self.open_server(arrival, Owner::Engine, None, None);
        self.answer(transaction, status, headers);
    }

    fn judge(&mut self, id: DialogId, arrival: &Arrival<'_>) -> Verdict {
        let head = &arrival.head;
        let Some(dialog) = self.dialogs.get_mut(id) else {
            return Verdict::Refuse(481, false);
        };
        if dialog.owner.is_none() {
            return if head.method == Method::Bye {
                Verdict::End
            } else {
                Verdict::Refuse(481, false)
            };
        }
        // The call is over, as the application knows, and the dialog is there for a subscription (RFC 5057 §4.2).
        if head.method == Method::Bye && !dialog.invited {
            return Verdict::Refuse(481, false);
        }
        // Overtaken by a later request, these say what they say all the same; a 500, as RFC 3261 §12.2.2 wants it, would leave
        // a call that its other end has ended, or a provisional response that is never acknowledged.
        let overtaken = matches!(head.method, Method::Bye | Method::Prack);
        if !dialog.accept_sequence(head.sequence, overtaken) {
            // With state: a repetition may find the dialog gone, and is not to get another answer.
            return Verdict::Refuse(500, false);
        }
        if let Some(status) = self.judge_subscription(id, &arrival.message) {
            return Verdict::Refuse(status, false);
        }
        if head.method == Method::Prack && !self.is_awaited_prack(id, &arrival.message) {
            return Verdict::Refuse(481, false);
        }
        match self.judge_request(id, &head.method, &arrival.message) {
            Ok(())
                if session_terms::is_too_brief(
                    &self.config.session,
                    &arrival.message,
                    &head.method,
                ) =>
            {
                Verdict::TooBrief
            }
            Ok(()) => Verdict::Deliver,
            Err((status, retry)) => Verdict::Refuse(status, retry),
        }
    }

    fn deliver_in_dialog(&mut self, id: DialogId, arrival: &Arrival<'_>) {
        let method = &arrival.head.method;
        let owner = self.dialogs.get(id).and_then(|dialog| dialog.owner);
        let Some(application) = owner else { return };
        let transaction =
            self.open_server(arrival, Owner::Application(application), None, Some(id));
        if *method == Method::Bye {
            self.pause_session(id);
        }
        let mut invite = None;
        let behind_nat = refreshes_target(method)
            && self
                .config
                .network
                .is_behind_nat(&arrival.message, &arrival.origin);
        if let Some(dialog) = self.dialogs.get_mut(id) {
            dialog.active = self.now;
            dialog.origin = arrival.origin;
            match method {
                Method::Invite => dialog.remote_invite = Some(transaction),
                Method::Update => {
                    dialog.remote_update = Some(transaction);
                    invite = dialog.invite.filter(|_| !dialog.confirmed);
                }
                _ => {}
            }
            if refreshes_target(method) {
                if let Some(target) = contact_uri(&arrival.message) {
                    dialog.remote_target = target;
                    dialog.behind_nat = behind_nat;
                }
            }
        }
        self.subscription_received(id, transaction, &arrival.message);
        let offers = self.request_passed(id, Side::Peer, method, || describes(&arrival.message));
        if let Some(server) = self.servers.get_mut(transaction) {
            server.offers = offers;
        }
        self.deliver(application, transaction, Some(id), invite, arrival);
        if *method == Method::Prack {
            self.prack_received(id);
        }
    }

    /// An ACK that no transaction absorbed: of a 2xx, for a dialog here or for one that we proxied.
    pub(crate) fn receive_ack(&mut self, arrival: &Arrival<'_>) {
        let head = &arrival.head;
        let Some(id) = self.dialogs.find(head.call_id, head.to_tag, head.from_tag) else {
            if !self.follow_way(arrival) && !self.relay_unowned(arrival) {
                self.totals.add(Total::StrayAcks);
            }
            return;
        };
        let Some(dialog) = self.dialogs.get_mut(id) else {
            return;
        };
        // A repeated ACK finds no answer waiting: absorbed.
        let Some(answer) = dialog
            .answer
            .take_if(|answer| answer.sequence == head.sequence)
        else {
            return;
        };
        dialog.active = self.now;
        let owner = dialog.owner;
        let told = dialog.origin.peer.ip();
        self.note_shown(&arrival.origin, told);
        self.close_half_open(answer.transaction);
        self.timers.cancel(answer.retransmit);
        self.timers.cancel(answer.timeout);
        self.acknowledgement_passed(id, Side::Peer);
        if let Some(application) = owner {
            let request = Request {
                transaction: answer.transaction,
                dialog: Some(id),
                invite: None,
                message: Arc::clone(&arrival.message),
                origin: arrival.origin,
                peer_certificate: self.certificate(&arrival.origin),
                wire_bytes: arrival.wire_bytes,
            };
            self.emit(application, Event::Request(request));
        }
        self.send_held(id);
        self.remove_if_unused(id);
    }
}
