//! The refresh of a session (RFC 4028 §7.1, §7.4, §10): ours when it is due and what becomes of it, an application's completed, and
//! what happens when nobody refreshes. It refuses to answer a challenge to a refresh: it has no credentials. The session then lives
//! until the application refreshes it, or ends.
use super::glare::back_off;
use super::offer::{Offer, Side};
use super::session::Session;
use super::session_terms::{self, DEFAULT_MIN_SE, TIMER, refreshes_session};
use super::session_timer::Step;
use crate::command::SendRequest;
use crate::draft::Fields;
use crate::engine::{Engine, Timer};
use crate::event::DialogEndReason;
use crate::id::{ApplicationId, DialogId, DialogRole, TransactionId};
use crate::plan::{Contact, OwnRequest, Plan};
use crate::transaction::client::{Announce, User};
use bytes::Bytes;
use sip::header::{Refresher, SessionExpires};
use sip::{HeaderName, Message, Method};

impl Engine {
    /// Our refresh is due.
    pub(crate) fn session_refresh_due(&mut self, id: DialogId) {
        let random = self.generator.next_u64();
        let Some(dialog) = self.dialogs.get_mut(id) else {
            return;
        };
        let busy = dialog.local_invite.is_some()
            || dialog.remote_invite.is_some()
            || dialog.unacknowledged.is_some()
            || dialog.answer.is_some()
            || dialog.offer != Offer::Stable;
        let Some(session) = dialog.session.as_mut() else {
            return;
        };
        session.token = None;
        let step = match dialog.owner {
            Some(_) => session.timer.on_due(self.now, busy, random),
            // Nobody is there any more who wants the call.
            None => Step::EndAfter(session.timer.rest(self.now)),
        };
        self.take_step(id, step);
    }

    /// The session was not refreshed in time.
    pub(crate) fn session_expired(&mut self, id: DialogId) {
        let pending = self.dialogs.get(id).and_then(|dialog| dialog.remote_invite);
        self.end_call(id, DialogEndReason::SessionExpired);
        // RFC 3261 §15.1.2, as when the peer ends it.
        if let Some(invite) = pending {
            self.answer(invite, 487, &[]);
        }
    }

    /// Does what the timer's machine says.
    pub(super) fn take_step(&mut self, id: DialogId, step: Step) {
        let (timer, after) = match step {
            Step::Refresh(rest) => (Timer::SessionExpiry(id), rest),
            Step::RefreshAfter(after) => (Timer::SessionRefresh(id), after),
            Step::EndAfter(after) => (Timer::SessionExpiry(id), after),
            Step::End => return self.session_expired(id),
        };
        let Some(session) = self
            .dialogs
            .get_mut(id)
            .and_then(|dialog| dialog.session.as_mut())
        else {
            return;
        };
        if let Some(old) = session.token.take() {
            self.timers.cancel(old);
        }
        session.token = Some(self.timers.set_irregular(self.now, after, timer));
        if let Step::Refresh(_) = step {
            self.send_refresh(id);
        }
    }

    /// Sends a refresh: an UPDATE that says nothing else, or our INVITE again with the description that holds (RFC 4028 §7.4).
    fn send_refresh(&mut self, id: DialogId) {
        let Some(dialog) = self.dialogs.get_mut(id) else {
            return;
        };
        let (sequence, hop) = (dialog.next_sequence(), dialog.next_hop().to_owned());
        // Without a description an INVITE would ask for an offer that nobody here can answer.
        let method = match &dialog.session {
            Some(session) if !session.updates && session.description.is_some() => Method::Invite,
            _ => Method::Update,
        };
        let Some(mut plan) = self.plan_in_dialog(id, &method, None) else {
            return;
        };
        plan.sequence = sequence;
        let session = self
            .dialogs
            .get(id)
            .and_then(|dialog| dialog.session.as_deref());
        if let Some(session) = session {
            complete_refresh(&mut plan, session);
        }
        let plan = Plan::Own(Box::new(plan));
        match self.open_client(plan, &hop, User::Engine, Announce::Nobody, Some(id)) {
            Ok(transaction) => {
                let dialog = self.dialogs.get_mut(id);
                if let Some(session) = dialog.and_then(|dialog| dialog.session.as_mut()) {
                    session.refresh = Some(transaction);
                }
                let describes = method == Method::Invite;
                self.request_passed(id, Side::We, &method, || describes);
            }
            // The session goes on to its end: there is no way to the peer.
            Err(error) => tracing::debug!(?error, "cannot refresh a session"),
        }
    }

    /// A final response to a request of the engine's own in this dialog.
    pub(crate) fn refresh_answered(
        &mut self,
        id: DialogId,
        transaction: TransactionId,
        response: &Message,
    ) {
        let min_se = response.min_se().ok().flatten();
        self.refresh_over(id, transaction, response.status(), min_se);
    }

    /// A request of the engine's own got no response: of this status would be the one that stands for it.
    pub(crate) fn refresh_failed(&mut self, transaction: TransactionId, status: u16) {
        let dialog = self.clients.get(transaction).and_then(|known| known.dialog);
        if let Some(id) = dialog {
            self.refresh_over(id, transaction, status, None);
        }
    }

    fn refresh_over(
        &mut self,
        id: DialogId,
        transaction: TransactionId,
        status: u16,
        min_se: Option<u32>,
    ) {
        let random = self.generator.next_u64();
        let Some(dialog) = self.dialogs.get_mut(id) else {
            return;
        };
        let owns_call_id = dialog.role == DialogRole::Uac;
        let Some(session) = dialog
            .session
            .as_mut()
            .filter(|session| session.refresh == Some(transaction))
        else {
            return;
        };
        session.refresh = None;
        let held = std::mem::take(&mut session.held);
        if status >= 300 {
            dialog.local_invite = dialog.local_invite.filter(|invite| *invite != transaction);
            let glare = back_off(owns_call_id, random);
            let step = session.timer.on_refusal(self.now, status, min_se, glare);
            // An application's INVITE refreshes as well as ours would.
            let step = match step {
                Step::Refresh(rest) if !held.is_empty() => Step::EndAfter(rest),
                step => step,
            };
            self.take_step(id, step);
        }
        self.send_held_invites(id, held);
    }

    /// Whether an INVITE of ours refreshes the session, so that an application's has to wait.
    pub(crate) fn refreshes_by_invite(&self, id: DialogId) -> bool {
        self.dialogs.get(id).is_some_and(|dialog| {
            let refresh = dialog.session.as_ref().and_then(|session| session.refresh);
            refresh.is_some() && refresh == dialog.local_invite
        })
    }

    /// Keeps an INVITE until ours is answered.
    pub(crate) fn hold_invite(
        &mut self,
        id: DialogId,
        application: ApplicationId,
        invite: SendRequest,
    ) {
        let session = self
            .dialogs
            .get_mut(id)
            .and_then(|dialog| dialog.session.as_mut());
        if let Some(session) = session {
            session.held.push((application, invite));
        }
    }

    pub(super) fn send_held_invites(
        &mut self,
        id: DialogId,
        held: Vec<(ApplicationId, SendRequest)>,
    ) {
        for (application, invite) in held {
            if let Err(error) = self.send_in_dialog(application, id, &invite) {
                self.fail(application, invite.id, error);
            }
        }
    }

    /// Adds to an application's INVITE or UPDATE what RFC 4028 §7.1 and §7.4 want in it.
    pub(crate) fn offer_session_timer(
        &self,
        plan: &mut OwnRequest,
        dialog: Option<DialogId>,
        send: &SendRequest,
        fields: &Fields<'_>,
    ) {
        let config = &self.config.session;
        if !config.enabled || send.draft.without_session_timer || !refreshes_session(&send.method) {
            return;
        }
        let known = dialog.and_then(|id| self.dialogs.get(id));
        let session = known.and_then(|dialog| dialog.session.as_ref());
        let running = session.map(|session| &session.timer);
        for (name, value) in session_terms::offer(config, fields, dialog.is_none(), running) {
            add(plan, name, value);
        }
    }
}

fn add(plan: &mut OwnRequest, name: HeaderName, value: impl Into<Bytes>) {
    let name = Bytes::from_static(name.as_str().as_bytes());
    plan.headers.push((name, value.into()));
}

/// What a refresh says beside what every request of the dialog does.
fn complete_refresh(plan: &mut OwnRequest, session: &Session) {
    let asked = SessionExpires {
        seconds: session.timer.asks(),
        refresher: Some(Refresher::Uac),
    };
    add(plan, HeaderName::Supported, TIMER);
    add(plan, HeaderName::SessionExpires, asked.to_string());
    if session.timer.min_se > DEFAULT_MIN_SE {
        add(plan, HeaderName::MinSe, session.timer.min_se.to_string());
    }
    if let Some(contact) = &session.contact {
        plan.contact = Contact::Left;
        add(plan, HeaderName::Contact, contact.to_string());
    }
    if let (Method::Invite, Some(description)) = (&plan.method, &session.description) {
        plan.body = Bytes::copy_from_slice(description);
        plan.content_type = Some("application/sdp");
    }
}
