//! How a dialog ends: by a BYE of either side, by the failure of its INVITE, by the engine itself when nothing else can.
use crate::command::Draft;
use crate::dialog::Acknowledgement;
use crate::dialog::Dialog;
use crate::dialog::offer::Side;
use crate::engine::{Engine, Timer};
use crate::event::{CommandError, DialogEndReason};
use crate::id::{DialogId, TransactionId};
use crate::plan::Plan;
use crate::totals::Total;
use crate::transaction::client::{Announce, ClientTransaction, EndedDialog, User};
use bytes::Bytes;
use sip::Method;

/// The text of the Reason header field (RFC 3326) of a BYE that the engine sends.
fn reason_text(reason: DialogEndReason) -> &'static str {
    match reason {
        DialogEndReason::AckTimeout => "ACK timeout",
        DialogEndReason::AnsweredAfterCancel => "ACK-BYE due to cancel race condition",
        DialogEndReason::CancelAfterAnswer => "CANCEL after 200 OK",
        DialogEndReason::Idle => "Dialog idle for too long",
        DialogEndReason::SessionExpired => "Session timer expired",
        DialogEndReason::PeerGone => "Peer does not know the dialog",
    }
}

impl Engine {
    /// The engine ends a call whose 2xx no ACK came for, or in which nothing passes: BYE to the peer, `DialogEnded` to the owner.
    /// Subscriptions in the dialog go on (RFC 5057 §4.2): they end by themselves, and that is told.
    pub(crate) fn end_dialog(&mut self, id: DialogId, reason: DialogEndReason) {
        let Some(dialog) = self.dialogs.get_mut(id) else {
            return;
        };
        let held = std::mem::take(&mut dialog.held);
        if let Some(answer) = dialog.answer.take() {
            self.timers.cancel(answer.retransmit);
            self.timers.cancel(answer.timeout);
        }
        for (application, bye) in held {
            self.fail(application, bye.id, CommandError::UnknownDialog);
        }
        self.end_call(id, reason);
    }

    /// A 2xx that nobody wants any more: ACK, BYE. The dialog stays until its INVITE's transaction ends, so that a repeated 2xx is
    /// acknowledged again.
    pub(crate) fn end_answered(&mut self, id: DialogId, sequence: u32, reason: DialogEndReason) {
        self.stop_session(id);
        self.acknowledge_unasked(id, sequence);
        self.say_goodbye(id, reason);
        if let Some(dialog) = self.dialogs.get_mut(id) {
            dialog.invited = false;
            // A subscription in it goes on (RFC 5057 §4.2).
            if !dialog.is_subscribed() {
                dialog.owner = None;
            }
        }
    }

    fn say_goodbye(&mut self, id: DialogId, reason: DialogEndReason) {
        self.totals.add(Total::DialogsEnded);
        let Some(mut plan) = self.plan_in_dialog(id, &Method::Bye, None) else {
            return;
        };
        let Some(dialog) = self.dialogs.get_mut(id) else {
            return;
        };
        plan.sequence = dialog.next_sequence();
        let hop = dialog.next_hop().to_owned();
        let origin = dialog.origin;
        let announce = dialog
            .owner
            .map_or(Announce::Nobody, |owner| Announce::Ended(owner, id, reason));
        let value = format!("SIP ;cause=200 ;text=\"{}\"", reason_text(reason));
        plan.headers
            .push((Bytes::from_static(b"Reason"), Bytes::from(value)));
        let is_doubtful = reason == DialogEndReason::AckTimeout && !self.repeats_fully(&origin);
        match self.open_client(
            Plan::Own(Box::new(plan)),
            &hop,
            User::Engine,
            announce,
            Some(id),
        ) {
            // It goes to the Contact of an INVITE that may have been forged.
            Ok(client) if is_doubtful => self.say_once(client),
            Ok(_) => {}
            Err(error) => tracing::debug!(?error, "cannot end a dialog by BYE"),
        }
    }

    /// Repeats a request of ours no more, whether it was sent or waits for a name.
    fn say_once(&mut self, id: TransactionId) {
        let Some(client) = self.clients.get_mut(id) else {
            return;
        };
        client.once = true;
        if let Some(token) = client.retransmit.take() {
            self.timers.cancel(token);
        }
    }

    /// A final response to a BYE was sent or received.
    pub(crate) fn dialog_said_goodbye(&mut self, id: Option<DialogId>) {
        let Some((id, dialog)) = id.and_then(|id| Some((id, self.dialogs.get_mut(id)?))) else {
            return;
        };
        dialog.invited = false;
        let session = dialog.session.take();
        // RFC 3261 §15.1.2: what is still pending is answered 487.
        let pending = [dialog.invite, dialog.remote_invite];
        // A 2xx that crossed the BYE may have set it again.
        if let Some(session) = session {
            self.drop_session(*session);
        }
        self.give_up_invite(id);
        let Some(dialog) = self.dialogs.get_mut(id) else {
            return;
        };
        // An early dialog of ours stays for the 2xx that may have crossed the BYE: it is acknowledged, and nobody is called.
        let invite = dialog.invite.filter(|_| !dialog.confirmed);
        if invite.is_some_and(|invite| self.clients.get(invite).is_some()) {
            if !dialog.is_subscribed() {
                dialog.owner = None;
            }
            return;
        }
        // RFC 5057 §4.2: a subscription in the same dialog outlives the call, until its last NOTIFY.
        let subscribed = dialog.is_subscribed();
        if self.awaits_acknowledgement(id) {
            self.keep_for_acknowledgement(id);
        } else if !subscribed {
            self.remove_dialog(id);
        }
        for invite in pending.into_iter().flatten() {
            if self
                .servers
                .get(invite)
                .is_some_and(|transaction| !transaction.is_answered())
            {
                self.answer(invite, 487, &[]);
            }
        }
    }

    /// A caller's BYE may come before it has our 2xx: that is repeated until its ACK all the same (RFC 3261 §13.3.1.4), or the
    /// caller's INVITE would have no final response.
    fn keep_for_acknowledgement(&mut self, id: DialogId) {
        let Some(dialog) = self.dialogs.get_mut(id) else {
            return;
        };
        if !dialog.is_subscribed() {
            dialog.owner = None;
        }
        for (application, bye) in std::mem::take(&mut dialog.held) {
            self.fail(application, bye.id, CommandError::UnknownDialog);
        }
    }

    /// The INVITE of a dialog was refused, by an application or the engine: an early dialog ends, a re-INVITE is over.
    pub(crate) fn invite_refused(&mut self, id: DialogId, transaction: TransactionId) {
        self.stop_reliable(id);
        self.final_passed(id, Side::We, &Method::Invite, true, None);
        let Some(dialog) = self.dialogs.get_mut(id) else {
            return;
        };
        dialog.remote_invite = dialog.remote_invite.filter(|invite| *invite != transaction);
        if dialog.invite == Some(transaction) && !dialog.confirmed {
            self.remove_dialog(id);
        }
    }

    /// A client transaction is gone: early dialogs of its forks end, and nobody will repeat their 2xx any more.
    pub(crate) fn client_removed(&mut self, id: TransactionId, transaction: &ClientTransaction) {
        // Gone without a response: its offer is void.
        if let Some(dialog) = transaction.dialog.filter(|_| !transaction.is_answered()) {
            self.final_passed(
                dialog,
                Side::Peer,
                &transaction.method,
                transaction.offers,
                None,
            );
        }
        match (&transaction.method, transaction.dialog) {
            (Method::Invite, _) => {}
            (Method::Subscribe | Method::Refer, Some(dialog)) => {
                return self.subscription_abandoned(dialog, id);
            }
            (Method::Subscribe | Method::Refer, None) => return self.asked_removed(id),
            _ => return,
        }
        for fork in transaction.forks.iter().copied().chain(transaction.dialog) {
            let Some(dialog) = self.dialogs.get_mut(fork) else {
                continue;
            };
            dialog.invite = dialog.invite.filter(|invite| *invite != id);
            dialog.local_invite = dialog.local_invite.filter(|invite| *invite != id);
            if dialog.local_invite.is_none() {
                dialog.acknowledgement = None;
            }
            let ended = !dialog.invited && !dialog.is_subscribed();
            if !dialog.confirmed || ended {
                self.remove_dialog(fork);
            }
        }
    }

    /// A BYE ends the call: an INVITE of ours within it has nothing left to wait for. It is cancelled, in case the peer does not
    /// answer it 487 by itself (RFC 3261 §15.1.2).
    pub(crate) fn give_up_invite(&mut self, id: DialogId) {
        let invite = self.dialogs.get(id).and_then(|dialog| dialog.local_invite);
        if let Some(invite) = invite {
            self.cancel_invite(invite, None, Draft::default());
        }
    }

    /// A final response to a request of ours says that the peer does not know the call any more, or is not there: 481 or 408
    /// (RFC 3261 §12.2.1.2). RFC 5057 §5 leaves other usages of the dialog alone; OPTIONS belongs to none, so that its
    /// timeout proves nothing.
    pub(crate) fn end_if_gone(&mut self, id: DialogId, method: &Method, status: u16) {
        let tells = match method {
            Method::Invite | Method::Update | Method::Info => matches!(status, 408 | 481),
            Method::Options => status == 481,
            _ => false,
        };
        // While our 2xx has no ACK, the peer may know the dialog not yet: the request overtook the 2xx.
        let call = |dialog: &Dialog| {
            let known = dialog.answer.is_none() || status == 408;
            dialog.confirmed && dialog.invited && dialog.owner.is_some() && known
        };
        if !tells || self.config.drachtio_compatible || !self.dialogs.get(id).is_some_and(call) {
            return;
        }
        self.end_call(id, DialogEndReason::PeerGone);
    }

    /// The engine ends the call, and leaves what else there is in the dialog.
    pub(crate) fn end_call(&mut self, id: DialogId, reason: DialogEndReason) {
        self.stop_session(id);
        self.say_goodbye(id, reason);
        self.give_up_invite(id);
        if let Some(dialog) = self.dialogs.get_mut(id) {
            dialog.invited = false;
            if !dialog.is_subscribed() {
                self.remove_dialog(id);
            }
        }
    }

    /// Nothing passed for long?
    pub(crate) fn dialog_idle(&mut self, id: DialogId) {
        let limit = self.config.bounds.dialog_idle;
        let Some(dialog) = self.dialogs.get_mut(id) else {
            return;
        };
        dialog.idle = None;
        let silent = self.now.since(dialog.active);
        if silent < limit {
            dialog.idle = Some(
                self.timers
                    .set(self.now, limit - silent, Timer::DialogIdle(id)),
            );
        } else if dialog.invited {
            self.end_dialog(id, DialogEndReason::Idle);
            self.watch_dialog(id);
        } else if dialog.is_subscribed() {
            // Its subscriptions end by themselves, within that time after its last message and what they wait for then.
            dialog.idle = Some(self.timers.set(self.now, limit, Timer::DialogIdle(id)));
        } else {
            self.remove_dialog(id);
        }
    }

    /// Forgets a dialog and its timers.
    pub(crate) fn remove_dialog(&mut self, id: DialogId) {
        if let Some(dialog) = self.dialogs.remove(id) {
            if let Some(ticket) = dialog.ticket {
                self.admit.usage.close_dialog(ticket);
            }
            let answer = dialog
                .answer
                .map(|answer| [answer.retransmit, answer.timeout]);
            let reliable = dialog.reliable.as_ref().map(|reliable| reliable.tokens());
            for token in answer
                .into_iter()
                .chain(reliable)
                .flatten()
                .chain(dialog.idle)
                .chain(dialog.subscriptions.and_then(|all| all.token()))
            {
                self.timers.cancel(token);
            }
            if let Some(session) = dialog.session {
                self.drop_session(*session);
            }
            for (application, bye) in dialog.held {
                self.fail(application, bye.id, CommandError::UnknownDialog);
            }
            let waiting = dialog.reliable.into_iter();
            for (application, command) in waiting.flat_map(|reliable| reliable.into_waiting()) {
                self.fail(application, command, CommandError::AlreadyAnswered);
            }
            self.note_ended(dialog.invite, dialog.remote_tag, dialog.acknowledgement);
        }
    }

    /// A 2xx that was on its way, or is repeated because the ACK was, must not open the dialog again.
    fn note_ended(
        &mut self,
        invite: Option<TransactionId>,
        remote_tag: Box<str>,
        acknowledgement: Option<Box<Acknowledgement>>,
    ) {
        let Some(transaction) = invite.and_then(|invite| self.clients.get_mut(invite)) else {
            return;
        };
        if transaction.method == Method::Invite && transaction.accepted {
            transaction.ended.get_or_insert_default().push(EndedDialog {
                remote_tag,
                acknowledgement,
            });
        }
    }
}
