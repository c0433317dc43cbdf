//! An application goes, expected or not: nothing that waited for it is left hanging.
use crate::command::Draft;
use crate::engine::Engine;
use crate::id::ApplicationId;
use crate::time::Time;
use crate::transaction::client::{Announce, User};
use sip::{HeaderName, Method};

impl Engine {
    /// An application is gone: its unanswered requests get 503, its pending INVITEs are cancelled (a 2xx that still comes is
    /// acknowledged and ended), its routes are forgotten. Its confirmed dialogs stay until they end: the peer's BYE gets 200,
    /// everything else 481.
    pub fn handle_detach(&mut self, now: Time, application: ApplicationId) {
        self.advance(now);
        self.applications.detach(application);
        for id in self.servers.unanswered_of(application) {
            let retry_after = self.retry_after();
            self.answer(id, 503, &[(HeaderName::RetryAfter, retry_after)]);
        }
        for id in self.clients.of(application) {
            let Some(transaction) = self.clients.get_mut(id) else {
                continue;
            };
            transaction.user = User::Engine;
            transaction.announce = Announce::Nobody;
            let pending = transaction.method == Method::Invite && !transaction.is_answered();
            // A re-INVITE is left to end by itself: its dialog lives on.
            if pending && transaction.dialog.is_none() {
                self.cancel_invite(id, None, Draft::default());
            }
        }
        for id in self.dialogs.owned_by(application) {
            if let Some(dialog) = self.dialogs.get_mut(id) {
                dialog.owner = None;
            }
        }
    }
}
