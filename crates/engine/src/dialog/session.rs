//! What is kept of a session whose timer runs (RFC 4028): its timer, and what a refresh of ours must repeat. It is plain data, exported
//! and imported with its dialog; what it is good for is `session_refresh`'s.
use super::session_timer::{SessionTimer, Terms};
use crate::command::SendRequest;
use crate::draft::looks_like_sdp;
use crate::engine::Engine;
use crate::export::ExportedSession;
use crate::id::{ApplicationId, DialogId, TransactionId};
use crate::time::Time;
use crate::timer::TimerToken;
use crate::uas::via::unlimited;
use bytes::Bytes;
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
    pub(super) fn new(timer: SessionTimer) -> Session {
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
    pub(super) fn needs_description(&self) -> bool {
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
pub(super) fn description(message: &Message) -> Option<Box<[u8]>> {
    looks_like_sdp(message.body()).then(|| message.body().into())
}

impl Engine {
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
    pub(super) fn note_early_offer(&mut self, id: DialogId, transaction: TransactionId) {
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
