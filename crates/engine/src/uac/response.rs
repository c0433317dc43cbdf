//! Responses that come: matched to their client transaction, let act on the dialog, handed to whoever sent the request.
//!
//! It is above 400 lines: what a 2xx to an INVITE may meet (forks, repetitions, a CANCEL, an end) is decided in one place.
use crate::dialog::bounds::is_too_much;
use crate::dialog::offer::Side;
use crate::dialog::subscription::{EventName, Role};
use crate::dialog::usages::declines_subscription;
use crate::dialog::{Acknowledgement, Dialog};
use crate::dispatch::Incoming;
use crate::engine::Engine;
use crate::event::{DialogEndReason, Event, Response};
use crate::id::{ApplicationId, DialogId, TransactionId};
use crate::reply::creates_dialog;
use crate::totals::Total;
use crate::transaction::client::User;
use crate::transaction::key::parse_client_branch;
use crate::transport::Origin;
use crate::uac::earlier::Recalled;
use crate::uas::in_dialog::{contact_uri, refreshes_target};
use crate::uas::via::unlimited;
use sip::{Address, Message, Method};
use std::sync::Arc;

/// Every request of ours has a tag in its From, which responses repeat (RFC 3261 §8.2.6.2): without it they would name another dialog.
fn has_from_tag(response: &Message) -> bool {
    response.from().is_ok_and(|from| from.tag().is_some())
}

impl Engine {
    /// A response came.
    pub(crate) fn receive_response(&mut self, origin: Origin, message: Message, wire_bytes: usize) {
        self.totals.add(Total::ResponsesIn);
        let Some((id, earlier)) = self.client_of(&message) else {
            return self.receive_stray(&origin, &message);
        };
        match earlier.map(|secret| self.recall(id, secret, &message)) {
            None | Some(Recalled::Own) => {}
            Some(Recalled::Done) => return,
            Some(Recalled::Late) => return self.late_answer(id, origin, message, wire_bytes),
        }
        if self.note_response(id, &message) {
            return;
        }
        let status = message.status();
        let incoming = Incoming {
            message: Arc::new(message),
            origin: Some(origin),
            wire_bytes,
        };
        // Its branch is one that we made up.
        let asked = self.clients.get(id).and_then(|client| client.destination);
        if let Some(asked) = asked {
            self.note_shown(&origin, asked.peer.ip());
        }
        let Some(transaction) = self.clients.get_mut(id) else {
            return;
        };
        let forwarded = matches!(transaction.user, User::Branch(..) | User::Relay(_));
        if !forwarded && (is_too_much(&incoming.message) || !has_from_tag(&incoming.message)) {
            return self.totals.add(Total::Invalid);
        }
        // Somebody is there: no other address will be tried, the request is not written again. After a 100 there may be a 503 yet.
        let may_go_on = transaction.name().is_some() && !transaction.targets.is_empty();
        if status > 100 || !may_go_on {
            transaction.plan = None;
            transaction.targets.clear();
        }
        let effects = transaction.on_response(status, &self.config.timers);
        self.apply_client(id, effects, Some(&incoming));
        if status < 200 {
            self.send_wanted_cancel(id);
        } else {
            self.forget_wanted_cancel(id);
        }
    }

    /// The client transaction of a response: named and proven by the branch of its top Via (RFC 3261 §17.1.3). And what proves it, where
    /// that is an attempt that was given up.
    fn client_of(&self, message: &Message) -> Option<(TransactionId, Option<u64>)> {
        let via = message.top_via().ok()?;
        let (id, secret) = parse_client_branch(via.branch()?)?;
        let method = message.cseq().ok()?.method;
        let id = if method == Method::Cancel {
            self.cancel_at(id, secret)
        } else {
            id
        };
        let transaction = self.clients.get(id)?;
        (transaction.has_branch(secret) && transaction.method == method && transaction.is_sent())
            .then(|| (id, (transaction.secret != secret).then_some(secret)))
    }

    /// A response that no transaction waits for: a stateless proxy's, or nobody's (RFC 6026 §7.2: dropped).
    fn receive_stray(&mut self, origin: &Origin, message: &Message) {
        if self.relay_response(message) {
            return;
        }
        self.totals.add(Total::StrayResponses);
        tracing::debug!(peer = %origin.peer, status = message.status(), "response to nothing: dropped");
    }

    /// A response that the transaction's machine lets through, or one of our own making.
    pub(crate) fn response_received(&mut self, id: TransactionId, incoming: &Incoming) {
        let Some(transaction) = self.clients.get(id) else {
            return;
        };
        let (user, method) = (transaction.user, transaction.method.clone());
        match user {
            User::Branch(server, branch) => self.branch_response(server, branch, incoming),
            User::Relay(server) => self.relay_upstream(server, incoming),
            User::Application(application) => {
                self.response_for_application(id, application, &method, incoming)
            }
            User::Engine => self.response_for_engine(id, &method, incoming),
            User::Stateless => {}
        }
    }

    fn response_for_application(
        &mut self,
        id: TransactionId,
        application: ApplicationId,
        method: &Method,
        incoming: &Incoming,
    ) {
        let status = incoming.message.status();
        if status <= 100 {
            return;
        }
        if *method == Method::Invite {
            return self.invite_response(id, Some(application), incoming);
        }
        let Some(transaction) = self.clients.get(id) else {
            return;
        };
        let (known, offers) = (transaction.dialog, transaction.offers);
        let dialog = match known {
            None if creates_dialog(method) && (200..300).contains(&status) => {
                self.asked_answered(id, status);
                self.subscribed_dialog(id, application, incoming)
            }
            None if creates_dialog(method) && status >= 200 => {
                self.asked_answered(id, status);
                None
            }
            known => known,
        };
        if let Some(dialog) = known {
            self.refresh_target(dialog, method, incoming);
            if status >= 200 {
                self.final_passed(dialog, Side::Peer, method, offers, Some(&incoming.message));
            }
        }
        self.emit_response(application, id, dialog, incoming);
        if let (Some(dialog), true) = (dialog, status >= 200) {
            if *method == Method::Update {
                self.session_response(dialog, id, &incoming.message);
            }
            self.after_final(id, dialog, method, incoming);
        }
    }

    /// A response to a request of the engine's own: a refresh, or the INVITE of an application that is gone. A BYE's is nobody's.
    fn response_for_engine(&mut self, id: TransactionId, method: &Method, incoming: &Incoming) {
        let dialog = self.clients.get(id).and_then(|known| known.dialog);
        if *method == Method::Invite {
            self.invite_response(id, None, incoming);
        }
        let status = incoming.message.status();
        let Some(dialog) = dialog.filter(|_| status >= 200) else {
            return;
        };
        match method {
            Method::Invite if status < 300 => {
                // Nobody else would acknowledge it.
                let wanted = self.dialogs.get(dialog).and_then(|it| it.unacknowledged);
                let came = incoming.message.cseq().ok().map(|it| it.number);
                if let Some(sequence) = wanted.filter(|_| wanted == came) {
                    self.acknowledge_unasked(dialog, sequence);
                }
            }
            Method::Update => {
                self.refresh_target(dialog, method, incoming);
                self.session_response(dialog, id, &incoming.message);
            }
            _ => {}
        }
        self.refresh_answered(dialog, id, &incoming.message);
    }

    /// What a final response to a request of ours does to its dialog, once the application knows.
    fn after_final(
        &mut self,
        id: TransactionId,
        dialog: DialogId,
        method: &Method,
        incoming: &Incoming,
    ) {
        let status = incoming.message.status();
        match method {
            // The call goes on until the BYE comes again, with credentials.
            Method::Bye if matches!(status, 401 | 407) => self.session_resumed(dialog),
            Method::Bye => self.dialog_said_goodbye(Some(dialog)),
            Method::Subscribe | Method::Refer | Method::Notify => {
                let answer = (status, Some(incoming.message.as_ref()));
                let is_made = incoming.origin.is_none();
                if let Some(request) = self.request_of(id) {
                    self.subscription_answered(dialog, &request, answer, true, is_made);
                }
            }
            _ => self.end_if_gone(dialog, method, status),
        }
    }

    /// The request of a transaction that has no final response yet.
    fn request_of(&self, id: TransactionId) -> Option<Message> {
        let transaction = self.clients.get(id)?;
        Message::parse(transaction.request.clone(), &unlimited()).ok()
    }

    /// The dialog of a SUBSCRIBE or REFER that is accepted; none for a REFER that is to have no subscription (RFC 4488 §4).
    fn subscribed_dialog(
        &mut self,
        id: TransactionId,
        application: ApplicationId,
        incoming: &Incoming,
    ) -> Option<DialogId> {
        let request = self.request_of(id)?;
        if request.method() == Method::Refer && declines_subscription(&incoming.message) {
            return None;
        }
        let dialog = self.create_client_dialog(Some(application), id, incoming)?;
        if !self.dialogs.get(dialog).is_some_and(Dialog::is_subscribed) {
            let event = EventName::of(&request);
            self.subscription_asked(dialog, Role::Subscriber, event, id);
        }
        Some(dialog)
    }

    /// A 2xx to a request within a dialog may move the peer's target (RFC 3261 §12.2.1.2).
    fn refresh_target(&mut self, dialog: DialogId, method: &Method, incoming: &Incoming) {
        let Some(dialog) = self.dialogs.get_mut(dialog) else {
            return;
        };
        dialog.active = self.now;
        if let Some(origin) = incoming.origin {
            dialog.origin = origin;
        }
        if refreshes_target(method) && (200..300).contains(&incoming.message.status()) {
            if let Some(target) = contact_uri(&incoming.message) {
                dialog.remote_target = target;
            }
        }
    }

    /// A response to an INVITE: creates, confirms or ends dialogs (RFC 3261 §13.2.2); several when it was forked.
    fn invite_response(
        &mut self,
        id: TransactionId,
        application: Option<ApplicationId>,
        incoming: &Incoming,
    ) {
        let status = incoming.message.status();
        match status {
            ..=100 => {}
            101..=199 => {
                let dialog = self.early_dialog(id, application, incoming);
                if dialog
                    .is_some_and(|dialog| !self.accept_provisional(dialog, id, &incoming.message))
                {
                    return;
                }
                if let Some(application) = application {
                    self.emit_response(application, id, dialog, incoming);
                }
            }
            200..=299 => self.invite_accepted(id, application, incoming),
            _ => {
                let dialog = self.invite_failed(id);
                if let Some(dialog) = dialog {
                    self.session_response(dialog, id, &incoming.message);
                }
                if let Some(application) = application {
                    self.emit_response(application, id, dialog, incoming);
                }
                // What a refresh of the engine's shows ends the session, not the dialog at once.
                if let Some(dialog) = dialog.filter(|_| application.is_some()) {
                    self.end_if_gone(dialog, &Method::Invite, status);
                }
            }
        }
    }

    /// The dialog of a provisional response, created if need be; none without a To tag (RFC 3261 §12.1).
    fn early_dialog(
        &mut self,
        id: TransactionId,
        application: Option<ApplicationId>,
        incoming: &Incoming,
    ) -> Option<DialogId> {
        if let Some(dialog) = self.clients.get(id)?.dialog {
            return Some(dialog);
        }
        match self.dialog_of_response(&incoming.message) {
            Some(dialog) => {
                if let Some(target) = contact_uri(&incoming.message) {
                    self.dialogs.get_mut(dialog)?.remote_target = target;
                }
                Some(dialog)
            }
            None => self.create_client_dialog(application, id, incoming),
        }
    }

    pub(super) fn invite_accepted(
        &mut self,
        id: TransactionId,
        application: Option<ApplicationId>,
        incoming: &Incoming,
    ) {
        let Ok(sequence) = incoming.message.cseq() else {
            return;
        };
        let Some(transaction) = self.clients.get(id) else {
            return;
        };
        let (known, cancelled) = (transaction.dialog, transaction.cancellation.is_wanted());
        if self.is_answer_of_ended(id, known, &incoming.message) {
            self.totals.add(Total::RetransmissionsIn);
            return;
        }
        if let Some(transaction) = self.clients.get_mut(id) {
            transaction.accepted = true;
        }
        let existing = known.or_else(|| self.dialog_of_response(&incoming.message));
        if existing.is_some_and(|dialog| self.is_repeated_answer(dialog, id, sequence.number)) {
            self.totals.add(Total::RetransmissionsIn);
            return;
        }
        let Some(dialog) =
            existing.or_else(|| self.create_client_dialog(application, id, incoming))
        else {
            return;
        };
        // Its BYE went out while it was early.
        let given_up = self
            .dialogs
            .get(dialog)
            .is_some_and(|dialog| !dialog.confirmed && !dialog.invited);
        self.confirm_client_dialog(dialog, incoming, sequence.number);
        self.final_passed(
            dialog,
            Side::Peer,
            &Method::Invite,
            true,
            Some(&incoming.message),
        );
        self.session_response(dialog, id, &incoming.message);
        if let Some(application) = application {
            self.emit_response(application, id, Some(dialog), incoming);
        }
        // RFC 3261 §15: who gave up a call that is answered all the same acknowledges and ends it.
        if given_up {
            self.acknowledge_unasked(dialog, sequence.number);
        } else if (cancelled || application.is_none()) && known.is_none() {
            self.end_answered(
                dialog,
                sequence.number,
                DialogEndReason::AnsweredAfterCancel,
            );
        }
    }

    /// Whether a 2xx came before, and the dialog that it stands for ended since (its repetition crossed the BYE). Its ACK is
    /// repeated: otherwise the peer would repeat the 2xx for 64*T1.
    fn is_answer_of_ended(
        &mut self,
        id: TransactionId,
        known: Option<DialogId>,
        message: &Message,
    ) -> bool {
        let Some(transaction) = self.clients.get(id) else {
            return false;
        };
        let to = message.to().ok();
        let tag = to.as_ref().and_then(Address::tag).unwrap_or("");
        let Some(ended) = transaction
            .ended
            .iter()
            .flat_map(|ended| ended.iter())
            .find(|ended| *ended.remote_tag == *tag)
        else {
            let gone = known.is_some_and(|dialog| self.dialogs.get(dialog).is_none());
            return gone && transaction.accepted;
        };
        let kept = ended.acknowledgement.as_deref().cloned();
        if let Some(kept) = kept {
            self.repeat_acknowledgement(kept);
        }
        true
    }

    /// Whether a 2xx came before; then its ACK is repeated, if there was one (RFC 3261 §13.2.2.4).
    fn is_repeated_answer(&mut self, id: DialogId, invite: TransactionId, sequence: u32) -> bool {
        let Some(dialog) = self.dialogs.get(id) else {
            return false;
        };
        if let Some(kept) = dialog
            .acknowledgement
            .as_ref()
            .filter(|kept| kept.sequence == sequence)
        {
            let kept = Acknowledgement::clone(kept);
            self.repeat_acknowledgement(kept);
            return true;
        }
        if dialog.unacknowledged == Some(sequence) {
            return true;
        }
        // Within a dialog the first 2xx ends the INVITE; an early dialog is confirmed by it.
        if dialog.invite == Some(invite) {
            dialog.confirmed
        } else {
            dialog.local_invite != Some(invite)
        }
    }

    /// A non-2xx final response to an INVITE: the early dialogs end. Gives the dialog that it was sent in.
    fn invite_failed(&mut self, id: TransactionId) -> Option<DialogId> {
        let transaction = self.clients.get_mut(id)?;
        let known = transaction.dialog;
        for fork in std::mem::take(&mut transaction.forks) {
            if self
                .dialogs
                .get(fork)
                .is_some_and(|dialog| !dialog.confirmed)
            {
                self.remove_dialog(fork);
            }
        }
        if let Some(dialog) = known {
            self.final_passed(dialog, Side::Peer, &Method::Invite, true, None);
        }
        if let Some(dialog) = known.and_then(|dialog| self.dialogs.get_mut(dialog)) {
            dialog.active = self.now;
            dialog.local_invite = dialog.local_invite.filter(|invite| *invite != id);
        }
        known
    }

    fn dialog_of_response(&self, message: &Message) -> Option<DialogId> {
        let (from, to) = (message.from().ok()?, message.to().ok()?);
        self.dialogs
            .find(message.call_id().ok()?, from.tag()?, to.tag()?)
    }

    /// Tells the application.
    fn emit_response(
        &mut self,
        application: ApplicationId,
        transaction: TransactionId,
        dialog: Option<DialogId>,
        incoming: &Incoming,
    ) {
        let response = Response {
            transaction,
            dialog,
            message: Arc::clone(&incoming.message),
            origin: incoming.origin,
            wire_bytes: incoming.wire_bytes,
        };
        self.emit(application, Event::Response(response));
    }
}
