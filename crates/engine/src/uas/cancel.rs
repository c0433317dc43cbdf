//! CANCEL received (RFC 3261 §9.2): the engine answers it, and the INVITE with 487; the application is told.
use super::Arrival;
use crate::command::Draft;
use crate::engine::Engine;
use crate::event::DialogEndReason;
use crate::id::TransactionId;
use crate::totals::Total;
use crate::transaction::server::Owner;
use bytes::Bytes;
use sip::{HeaderName, Message, Method};

/// The values of every Reason header field, as one (RFC 3326 §2: one for each protocol). A CANCEL goes one hop, so that a proxy
/// writes them anew.
fn reasons(cancel: &Message) -> Option<String> {
    let mut values = String::new();
    for field in cancel.headers(HeaderName::Reason) {
        if !values.is_empty() {
            values.push_str(", ");
        }
        values.push_str(&field.text());
    }
    (!values.is_empty()).then_some(values)
}

impl Engine {
    /// A CANCEL came. `received` is the request as received, whose Via the INVITE had, too.
    pub(crate) fn receive_cancel(&mut self, arrival: &Arrival<'_>, received: &Message) {
        let head = &arrival.head;
        let key = self.server_key(head, received, &Method::Invite);
        let found = self
            .servers
            .find(key)
            .or_else(|| self.find_cancelled(arrival));
        let Some(invite) = found else {
            if self.follow_way(arrival) || self.relay_unowned(arrival) {
                return;
            }
            self.totals.add(Total::Invalid);
            return self.refuse(arrival, 481, &[]);
        };
        self.answer_cancel(arrival, invite);
        let Some(transaction) = self.servers.get(invite) else {
            return;
        };
        let (owner, dialog) = (transaction.owner, transaction.dialog);
        if transaction.is_answered() {
            // drachtio ends a call whose CANCEL comes after the 2xx; RFC 3261 §9.2 says that such a CANCEL has no effect.
            if let Some(dialog) = dialog.filter(|_| self.config.drachtio_compatible) {
                self.end_unacknowledged(dialog, DialogEndReason::CancelAfterAnswer);
            }
            return;
        }
        match owner {
            Owner::Proxy => {
                let reason = reasons(&arrival.message);
                self.proxy_cancelled(invite, reason.as_deref());
            }
            Owner::Application(application) => {
                self.answer(invite, 487, &[]);
                self.deliver(application, invite, dialog, None, arrival);
            }
            Owner::Relay(client) => {
                let reason = reasons(&arrival.message);
                let reason =
                    reason.map(|values| (Bytes::from_static(b"Reason"), Bytes::from(values)));
                let draft = Draft {
                    headers: reason.into_iter().collect(),
                    ..Draft::default()
                };
                self.cancel_invite(client, None, draft);
            }
            Owner::Engine => self.answer(invite, 487, &[]),
        }
    }

    /// The INVITE of a CANCEL whose Via changed on the way, as behind some NATs: same call, same branch, still unanswered.
    fn find_cancelled(&self, arrival: &Arrival<'_>) -> Option<TransactionId> {
        let head = &arrival.head;
        let id = self
            .servers
            .find_merged(self.merge_key(head, &Method::Invite))?;
        let request = self.servers.get(id)?.request.as_ref()?;
        let branch = request.top_via().ok()?.branch().map(str::to_owned)?;
        (head.via.branch() == Some(branch.as_str())).then_some(id)
    }

    /// 200 to the CANCEL, with the To tag that the INVITE's responses carry (RFC 3261 §9.2).
    fn answer_cancel(&mut self, arrival: &Arrival<'_>, invite: TransactionId) {
        let tag = self.local_tag(invite);
        let id = self.open_server(arrival, Owner::Engine, None, None);
        if let Some(transaction) = self.servers.get_mut(id) {
            transaction.local_tag = tag;
        }
        self.answer(id, 200, &[]);
    }
}
