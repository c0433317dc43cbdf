//! What a 2xx to an INVITE or UPDATE says of the session timer (RFC 4028 §7.2, §9), and the end of a timer: by such a 2xx, by BYE.
//!
//! What messages say is `session_terms`' to read, when and who `session_timer`'s to decide. Here both meet the dialog.
use super::session::{Session, description};
use super::session_terms::{self, TIMER};
use super::session_timer::SessionTimer;
use crate::command::SendRequest;
use crate::engine::Engine;
use crate::event::CommandError;
use crate::id::{ApplicationId, DialogId, TransactionId};
use crate::timer::TimerToken;
use crate::uas::via::unlimited;
use sip::{HeaderName, Message, Method};

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
                .contact(origin.listener, (origin.peer.ip(), local), || false);
            session.contact = (contact.text() != own).then(|| contact.text().into());
        }
        if let Some(dialog) = self.dialogs.get_mut(id) {
            dialog.session = Some(session);
        }
        self.take_step(id, step);
    }

    /// A dialog was taken over, or its BYE was challenged: its session timer goes on.
    pub(crate) fn session_resumed(&mut self, id: DialogId) {
        let dialog = self.dialogs.get(id);
        let session = dialog.and_then(|dialog| dialog.session.as_ref());
        if let Some(step) = session.map(|session| session.timer.resume(self.now)) {
            self.take_step(id, step);
        }
    }

    /// The session goes on without a timer.
    pub(super) fn session_off(&mut self, id: DialogId) {
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

    /// A BYE of either side is on its way: nothing is refreshed or given up until it is over (`dialog_said_goodbye`), or was
    /// challenged (`session_resumed`).
    pub(crate) fn pause_session(&mut self, id: DialogId) {
        let session = self
            .dialogs
            .get_mut(id)
            .and_then(|dialog| dialog.session.as_mut());
        if let Some(session) = session {
            // What becomes of a refresh that is under way is of no interest: the timer begins anew where it goes on.
            session.refresh = None;
            let (token, held) = (session.token.take(), std::mem::take(&mut session.held));
            self.forget_session(token, held);
        }
    }

    /// The session ends: the engine's BYE is on its way.
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
        self.forget_session(session.token, session.held);
    }

    fn forget_session(
        &mut self,
        token: Option<TimerToken>,
        held: Vec<(ApplicationId, SendRequest)>,
    ) {
        if let Some(token) = token {
            self.timers.cancel(token);
        }
        for (application, invite) in held {
            self.fail(application, invite.id, CommandError::UnknownDialog);
        }
    }
}
