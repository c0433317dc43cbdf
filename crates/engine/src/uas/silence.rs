//! Requests that nobody answers: because an application lets its time pass, or because it wants none answered.
use crate::command::Draft;
use crate::engine::Engine;
use crate::id::{ApplicationId, TransactionId};
use crate::totals::Total;
use crate::transaction::Effect;
use crate::transaction::server::Owner;
use bytes::Bytes;
use sip::Method;

impl Engine {
    /// The application let its time pass (invariant 6: nothing waits for ever): 500 to an INVITE, nothing to the rest, whose sender
    /// has given up by now, and which a 408 would only mislead (RFC 4320 §4.2).
    pub(crate) fn request_unanswered(&mut self, id: TransactionId) {
        let Some(transaction) = self.servers.get(id) else {
            return;
        };
        if transaction.request.is_none() {
            // Dropped by the application; its repetitions were absorbed until now.
            return self.remove_server(id);
        }
        self.totals.add(Total::Unanswered);
        if transaction.method != Method::Invite {
            return self.leave_unanswered(id);
        }
        let relayed = match transaction.owner {
            Owner::Relay(client) => Some(client),
            _ => None,
        };
        self.answer(id, 500, &[]);
        // Nobody waits for its answer any more: without a CANCEL it would, for as long as a call may ring (RFC 3261 §16.8).
        if let Some(client) = relayed {
            self.cancel_invite(client, None, Draft::default());
        }
    }

    /// Nobody answers a request other than INVITE any more: its dialog goes on as if it had been refused.
    fn leave_unanswered(&mut self, id: TransactionId) {
        let Some(transaction) = self.servers.get(id) else {
            return;
        };
        let (dialog, method) = (transaction.dialog, transaction.method.clone());
        let request = transaction.request.clone();
        let of_application = matches!(transaction.owner, Owner::Application(_));
        if let Some(suppressed) = self.log.allow(self.now).filter(|_| of_application) {
            tracing::warn!(%method, suppressed, "an application left a request unanswered: it gets no answer any more");
        }
        match (dialog, method) {
            (dialog, Method::Bye) => self.dialog_said_goodbye(dialog),
            (Some(dialog), method @ (Method::Prack | Method::Update)) => {
                self.peer_request_done(dialog, id, &method, None)
            }
            (Some(dialog), Method::Subscribe | Method::Refer | Method::Notify) => {
                if let Some(request) = request {
                    self.subscription_answered(dialog, &request, (408, None), false, true);
                }
            }
            _ => {}
        }
        self.fall_silent(id);
    }

    /// An application wants no answer sent: repetitions of the request are absorbed for a while, in silence.
    pub(crate) fn drop_request(&mut self, application: ApplicationId, id: TransactionId) {
        let transaction = self
            .servers
            .get_mut(id)
            .filter(|transaction| !transaction.is_answered());
        let Some(transaction) =
            transaction.filter(|transaction| transaction.owner == Owner::Application(application))
        else {
            return;
        };
        let (dialog, method) = (transaction.dialog, transaction.method.clone());
        match dialog {
            Some(dialog) if method == Method::Invite => self.invite_refused(dialog, id),
            // The peer's call is over, ours is not: the next refresh shows it.
            Some(dialog) if method == Method::Bye => self.session_resumed(dialog),
            Some(dialog) => self.peer_request_done(dialog, id, &method, None),
            None => {}
        }
        self.fall_silent(id);
    }

    /// Nobody answers a request: its repetitions are absorbed for as long as its sender may repeat it, so that none of them counts as
    /// another request.
    pub(crate) fn fall_silent(&mut self, id: TransactionId) {
        let long = self.config.timers.long();
        self.close_half_open(id);
        if let Some(transaction) = self.servers.get_mut(id) {
            transaction.owner = Owner::Engine;
            transaction.request = None;
            transaction.response = Bytes::new();
            self.apply_server(id, smallvec::smallvec![Effect::SetTimeout(long)]);
        }
    }
}
