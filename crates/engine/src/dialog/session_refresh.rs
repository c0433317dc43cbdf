//! Session timers at work (RFC 4028): set by each 2xx to an INVITE or UPDATE, refreshed by us or awaited of the peer, ended by BYE.
//!
//! When and who is `session_timer`'s, what messages say `session_terms`'. Here the two meet the dialog. It refuses to answer a
//! challenge to a refresh: it has no credentials. The session then lives until the application refreshes it, or ends.
//!
//! Above 400 lines, which wants a split: what is kept of a session (its export and import) apart from what is sent for it.
use super::glare::back_off;
use super::offer::{Offer, Side};
use super::session_terms::{self, DEFAULT_MIN_SE, TIMER, refreshes_session};
use super::session_timer::{SessionTimer, Step, Terms};
use crate::command::SendRequest;
use crate::draft::{Fields, looks_like_sdp};
use crate::engine::{Engine, Timer};
use crate::event::{CommandError, DialogEndReason};
use crate::export::ExportedSession;
use crate::id::{ApplicationId, DialogId, DialogRole, TransactionId};
use crate::plan::{Contact, OwnRequest, Plan};
use crate::time::Time;
use crate::timer::TimerToken;
use crate::transaction::client::{Announce, User};
use crate::uas::via::unlimited;
use bytes::Bytes;
use sip::header::{Refresher, SessionExpires};
use sip::{HeaderName, Message, Method};
use std::time::Duration;

/// A session whose timer runs.
pub(crate) struct Session {
    pub(crate) timer: SessionTimer,
    /// The peer takes UPDATE: the way to refresh without a session description.
    pub(crate) updates: bool,
    /// Our session description as last sent; only while a refresh must repeat it.
    pub(crate) description: Option<Box<[u8]>>,
    /// Our Contact, where the application wrote its own: a refresh must not move the peer's target.
    pub(crate) contact: Option<Box<str>>,
    /// Our refresh that has no answer yet.
    pub(crate) refresh: Option<TransactionId>,
    /// INVITEs of applications that wait for the end of ours (RFC 3261 §14.1).
    pub(crate) held: Vec<(ApplicationId, SendRequest)>,
    pub(crate) token: Option<TimerToken>,
}

impl Session {
    fn new(timer: SessionTimer) -> Session {
        Session {
            timer,
            updates: false,
            description: None,
            contact: None,
            refresh: None,
            held: Vec::new(),
            token: None,
        }
    }

    /// What another engine needs to go on with it.
    pub(crate) fn export(&self, now: Time) -> ExportedSession {
        let SessionTimer { terms, min_se, .. } = self.timer;
        ExportedSession {
            interval: terms.interval,
            we_refresh: terms.ours,
            min_se,
            ends_milliseconds: u64::try_from(self.timer.rest(now).as_millis()).unwrap_or(u64::MAX),
            updates: self.updates,
            // One that is no UTF-8 stays: the refresh is an UPDATE then.
            description: self
                .description
                .as_ref()
                .and_then(|body| std::str::from_utf8(body).ok())
                .map(str::to_owned),
            contact: self.contact.as_ref().map(ToString::to_string),
        }
    }

    /// The session that another engine had `age` ago.
    pub(crate) fn import(exported: &ExportedSession, now: Time, age: Duration) -> Session {
        let rest = Duration::from_millis(exported.ends_milliseconds)
            .saturating_sub(age)
            .min(Duration::from_secs(u64::from(exported.interval)));
        let terms = Terms {
            interval: exported.interval,
            ours: exported.we_refresh,
        };
        Session {
            updates: exported.updates,
            description: exported
                .description
                .as_ref()
                .map(|body| body.as_bytes().into()),
            contact: exported.contact.as_deref().map(Into::into),
            ..Session::new(SessionTimer {
                terms,
                min_se: exported.min_se,
                end: now + rest,
            })
        }
    }

    /// Whether a refresh has to be an INVITE that repeats our session description.
    fn needs_description(&self) -> bool {
        self.timer.terms.ours && !self.updates
    }

    /// Keeps the session description of a message that we sent.
    pub(crate) fn note_sent(&mut self, message: &Bytes) {
        if self.needs_description() {
            let message = Message::parse(message.clone(), &unlimited()).ok();
            let description = message.and_then(|message| description(&message));
            self.description = description.or(self.description.take());
        }
    }
}

/// The session description that a message carries as its body.
fn description(message: &Message) -> Option<Box<[u8]>> {
    looks_like_sdp(message.body()).then(|| message.body().into())
}

impl Engine {
    /// We sent a 2xx to an INVITE or UPDATE.
    pub(crate) fn session_answered(&mut self, id: DialogId, request: &Message, response: &Message) {
        self.session_agreed(id, (request, response), true);
    }

    /// A final response to an INVITE or UPDATE of ours: a 2xx sets the timer, a 422 tells what the peer accepts.
    pub(crate) fn session_response(
        &mut self,
        id: DialogId,
        transaction: TransactionId,
        response: &Message,
    ) {
        let Some(dialog) = self.dialogs.get_mut(id) else {
            return;
        };
        let status = response.status();
        if status == 422 {
            if let (Some(session), Ok(Some(asked))) = (&mut dialog.session, response.min_se()) {
                // Our own refresh learns it where it decides what to do next.
                if session.refresh != Some(transaction) {
                    session.timer.learn(asked);
                }
            }
            return;
        }
        if !(200..300).contains(&status) {
            return;
        }
        if !dialog.confirmed {
            return self.note_early_offer(id, transaction);
        }
        if dialog.session.is_none() && response.header(HeaderName::SessionExpires).is_none() {
            dialog.early_description = None;
            return;
        }
        let sent = self.clients.get(transaction);
        let sent = sent.map(|transaction| transaction.request.clone());
        let request = sent.and_then(|bytes| Message::parse(bytes, &unlimited()).ok());
        match request.filter(|request| request.supports(TIMER)) {
            Some(request) => self.session_agreed(id, (&request, response), false),
            // We said that we know nothing of it.
            None => self.session_off(id),
        }
    }

    /// A 2xx sets the timer anew, or ends it (RFC 4028 §7.2, §9). Early dialogs have none.
    fn session_agreed(
        &mut self,
        id: DialogId,
        (request, response): (&Message, &Message),
        we_answered: bool,
    ) {
        let config = &self.config.session;
        let Some(dialog) = self
            .dialogs
            .get_mut(id)
            .filter(|dialog| config.enabled && dialog.confirmed && dialog.invited)
        else {
            return;
        };
        let early = dialog.early_description.take();
        // A peer that knows nothing of session timers says nothing of them when we refresh: we go on, as it does no harm.
        let ours = dialog.session.as_ref().map(|session| session.timer.terms);
        let ours = ours.filter(|terms| terms.ours && !we_answered);
        let Some(terms) = session_terms::terms(response, we_answered).or(ours) else {
            return self.session_off(id);
        };
        let before = dialog.session.take();
        let origin = dialog.origin;
        let known = before.as_ref().map(|session| session.timer.min_se);
        let asked = request.min_se().ok().flatten().unwrap_or_default();
        let min_se = known.unwrap_or(config.min_se).max(asked);
        let random = self.generator.next_u64();
        let (timer, step) = SessionTimer::agree(terms, min_se, self.now, config.jitter, random);
        let mut session = match before {
            Some(mut session) => {
                session.timer = timer;
                session
            }
            None => Box::new(Session::new(timer)),
        };
        let (ours, theirs) = if we_answered {
            (response, request)
        } else {
            (request, response)
        };
        session.updates = theirs.allows(&Method::Update).unwrap_or(session.updates);
        // A PRACK carried a later one than the INVITE that it follows, but none later than the 2xx.
        let said = if we_answered {
            description(ours).or(early)
        } else {
            early.or_else(|| description(ours))
        };
        let description = said.or(session.description.take());
        session.description = description.filter(|_| session.needs_description());
        if let Some(contact) = ours.header(HeaderName::Contact) {
            let local = Some(origin.local.ip());
            let own = self
                .listeners
                .contact(origin.listener, origin.peer.ip(), local);
            session.contact = (contact.text() != own).then(|| contact.text().into());
        }
        if let Some(dialog) = self.dialogs.get_mut(id) {
            dialog.session = Some(session);
        }
        self.take_step(id, step);
    }

    /// A dialog was taken over: its session timer goes on.
    pub(crate) fn session_resumed(&mut self, id: DialogId) {
        let dialog = self.dialogs.get(id);
        let session = dialog.and_then(|dialog| dialog.session.as_ref());
        if let Some(step) = session.map(|session| session.timer.resume(self.now)) {
            self.take_step(id, step);
        }
    }

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
    fn take_step(&mut self, id: DialogId, step: Step) {
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

    fn send_held_invites(&mut self, id: DialogId, held: Vec<(ApplicationId, SendRequest)>) {
        for (application, invite) in held {
            if let Err(error) = self.send_in_dialog(application, id, &invite) {
                self.fail(application, invite.id, error);
            }
        }
    }

    /// The session goes on without a timer.
    fn session_off(&mut self, id: DialogId) {
        let session = self
            .dialogs
            .get_mut(id)
            .and_then(|dialog| dialog.session.take());
        if let Some(mut session) = session {
            let held = std::mem::take(&mut session.held);
            self.drop_session(*session);
            self.send_held_invites(id, held);
        }
    }

    /// The session ends: a BYE is on its way.
    pub(crate) fn stop_session(&mut self, id: DialogId) {
        let session = self
            .dialogs
            .get_mut(id)
            .and_then(|dialog| dialog.session.take());
        if let Some(session) = session {
            self.drop_session(*session);
        }
    }

    /// Forgets a session's timer and what waited for it.
    pub(crate) fn drop_session(&mut self, session: Session) {
        if let Some(token) = session.token {
            self.timers.cancel(token);
        }
        for (application, invite) in session.held {
            self.fail(application, invite.id, CommandError::UnknownDialog);
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

    /// A provisional response of ours: its session description may be the last one that we send before the 2xx.
    pub(crate) fn note_early_answer(
        &mut self,
        id: DialogId,
        request: &Message,
        response: &Message,
    ) {
        let config = &self.config.session;
        let timed = config.enabled
            && (config.expires.is_some() || request.header(HeaderName::SessionExpires).is_some());
        if timed && request.allows(&Method::Update) != Some(true) {
            self.note_body(id, response.body());
        }
    }

    /// An UPDATE of ours was accepted before the dialog was confirmed: its session description is later than the INVITE's.
    fn note_early_offer(&mut self, id: DialogId, transaction: TransactionId) {
        let sent = self.clients.get(transaction);
        let sent = sent.map(|transaction| transaction.request.clone());
        if let Some(update) = sent.and_then(|bytes| Message::parse(bytes, &unlimited()).ok()) {
            self.note_body(id, update.body());
        }
    }

    /// We sent a session description other than in an INVITE or its 2xx.
    pub(crate) fn note_body(&mut self, id: DialogId, body: &[u8]) {
        let Some(dialog) = self.dialogs.get_mut(id).filter(|_| looks_like_sdp(body)) else {
            return;
        };
        match &mut dialog.session {
            Some(session) if session.needs_description() => session.description = Some(body.into()),
            None if !dialog.confirmed && self.config.session.enabled => {
                dialog.early_description = Some(body.into());
            }
            _ => {}
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
