//! Half-open INVITEs of unknown sources that make room for another one. In a flood the oldest goes, not the newest: who comes now may be a
//! caller, and a caller has been answered and has acknowledged, or is known, long before those who never will.
use crate::command::Draft;
use crate::engine::Engine;
use crate::event::{Event, Request};
use crate::id::{ApplicationId, TransactionId};
use crate::totals::Total;
use crate::transaction::Effect;
use crate::transaction::server::Owner;
use crate::uac::cancel::cancel_request;
use crate::uas::via::unlimited;
use bytes::Bytes;
use sip::{HeaderName, Message, Method};
use smallvec::smallvec;
use std::sync::Arc;

/// What the application and the branches of a proxied INVITE are told (RFC 3326).
const REASON: &str = "SIP;cause=503;text=\"Too many unanswered calls of unknown sources\"";

impl Engine {
    /// Lets a half-open INVITE of an unknown source go. Says whether there was one.
    pub(crate) fn shed_half_open(&mut self) -> bool {
        while let Some(id) = self.oldest_half_open() {
            let Some(transaction) = self.servers.get(id) else {
                self.admit.half_open.close(id);
                continue;
            };
            let origin = transaction.origin;
            if self.recognise(id) {
                return true;
            }
            self.close_half_open(id);
            self.note_refused(
                Total::HalfOpenShed,
                &origin,
                &Method::Invite,
                "the oldest half-open call of an unknown source makes room for a new one",
            );
            self.shed(id);
            return true;
        }
        false
    }

    /// Ends what is half-open of an INVITE.
    fn shed(&mut self, id: TransactionId) {
        let Some(transaction) = self.servers.get(id) else {
            return;
        };
        let (owner, dialog, origin) = (transaction.owner, transaction.dialog, transaction.origin);
        match owner {
            _ if transaction.is_answered() => {
                let waits = dialog.filter(|dialog| {
                    let answer = self.dialogs.get(*dialog).and_then(|it| it.answer.as_ref());
                    answer.is_some_and(|answer| answer.transaction == id)
                });
                if let Some(dialog) = waits {
                    return self.answer_timed_out(dialog);
                }
                self.settle(id);
            }
            Owner::Application(application) => {
                self.tell_shed(id, application);
                if self.answers_refused(&origin) {
                    let value = self.retry_after();
                    self.answer(id, 503, &[(HeaderName::RetryAfter, value)]);
                } else {
                    if let Some(dialog) = dialog {
                        self.invite_refused(dialog, id);
                    }
                    self.fall_silent(id);
                }
                self.settle(id);
            }
            Owner::Proxy => self.proxy_cancelled(id, Some(REASON)),
            Owner::Engine | Owner::Relay(_) => {}
        }
    }

    /// An application hears of it as of a CANCEL, which is what it does something about.
    fn tell_shed(&mut self, id: TransactionId, application: ApplicationId) {
        let Some(transaction) = self.servers.get(id) else {
            return;
        };
        let draft = Draft {
            headers: vec![(
                Bytes::from_static(b"Reason"),
                Bytes::from_static(REASON.as_bytes()),
            )],
            ..Draft::default()
        };
        let invite = transaction.request.as_ref().map(|invite| invite.bytes());
        let Some(cancel) = invite.and_then(|invite| cancel_request(&invite, &draft)) else {
            return;
        };
        let wire_bytes = cancel.len();
        let Ok(message) = Message::parse(cancel, &unlimited()) else {
            return;
        };
        let request = Request {
            transaction: id,
            dialog: transaction.dialog,
            invite: None,
            message: Arc::new(message),
            origin: transaction.origin,
            peer_certificate: self.certificate(&transaction.origin),
            wire_bytes,
        };
        self.emit(application, Event::Request(request));
    }

    /// The final response is not repeated, and the transaction absorbs repetitions for as long as one may be on its way (T4).
    fn settle(&mut self, id: TransactionId) {
        let rest = self.config.timers.t4;
        self.apply_server(
            id,
            smallvec![Effect::StopRetransmit, Effect::SetTimeout(rest)],
        );
    }
}
