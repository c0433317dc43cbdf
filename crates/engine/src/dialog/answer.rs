//! Our 2xx to an INVITE: repeated until its ACK comes, over every transport (RFC 3261 §13.3.1.4); without one the call ends.
use super::Answer;
use super::offer::Side;
use crate::command::SendRequest;
use crate::engine::{Engine, Timer};
use crate::event::DialogEndReason;
use crate::id::{ApplicationId, DialogId, TransactionId};
use crate::reply::dialog_of;
use crate::totals::Total;
use crate::transport::TransmitToken;
use sip::{Message, Method};

impl Engine {
    /// A 2xx is being sent: confirms the dialog and begins to wait for the ACK.
    pub(crate) fn start_answer(
        &mut self,
        id: DialogId,
        transaction: TransactionId,
        response: &Message,
    ) {
        self.stop_reliable(id);
        self.final_passed(id, Side::We, &Method::Invite, true, Some(response));
        let timers = &self.config.timers;
        let Some(server) = self.servers.get(transaction) else {
            return;
        };
        let Ok(sequence) = response.cseq() else {
            return;
        };
        let Some(dialog) = self.dialogs.get_mut(id) else {
            return;
        };
        let answer = Answer {
            transaction,
            sequence: sequence.number,
            response: response.bytes(),
            destination: server.destination,
            interval: timers.t1,
            retransmit: self
                .timers
                .set(self.now, timers.t1, Timer::AnswerRetransmit(id)),
            timeout: self
                .timers
                .set(self.now, timers.long(), Timer::AnswerTimeout(id)),
        };
        dialog.confirmed = true;
        dialog.remote_invite = None;
        dialog.active = self.now;
        if let Some(old) = dialog.answer.replace(Box::new(answer)) {
            self.timers.cancel(old.retransmit);
            self.timers.cancel(old.timeout);
        }
        self.watch_dialog(id);
    }

    /// Time to repeat the 2xx.
    pub(crate) fn repeat_answer(&mut self, id: DialogId) {
        let t2 = self.config.timers.t2;
        let Some(dialog) = self.dialogs.get(id) else {
            return;
        };
        let is_enough = dialog
            .answer
            .as_ref()
            .is_some_and(|answer| answer.interval >= t2);
        if is_enough && !self.repeats_fully(&dialog.origin) {
            return self.totals.add(Total::RepeatsWithheld);
        }
        let Some(answer) = self
            .dialogs
            .get_mut(id)
            .and_then(|dialog| dialog.answer.as_mut())
        else {
            return;
        };
        answer.interval = answer.interval.saturating_mul(2).min(t2);
        answer.retransmit = self
            .timers
            .set(self.now, answer.interval, Timer::AnswerRetransmit(id));
        let (destination, bytes) = (answer.destination, answer.response.clone());
        self.totals.add(Total::RetransmissionsOut);
        self.totals.add(Total::ResponsesOut);
        self.transmit(destination, bytes, TransmitToken::NONE);
    }

    /// 64*T1 without an ACK: the call ends, by the BYE of its application where that waits already.
    pub(crate) fn answer_timed_out(&mut self, id: DialogId) {
        // A BYE of the peer ended it meanwhile: there is nothing to end.
        if let Some(dialog) = self.dialogs.get_mut(id).filter(|dialog| !dialog.invited) {
            if let Some(answer) = dialog.answer.take() {
                self.timers.cancel(answer.retransmit);
                self.timers.cancel(answer.timeout);
            }
            return self.remove_if_unused(id);
        }
        let Some(dialog) = self
            .dialogs
            .get_mut(id)
            .filter(|dialog| !dialog.held.is_empty())
        else {
            return self.end_dialog(id, DialogEndReason::AckTimeout);
        };
        if let Some(answer) = dialog.answer.take() {
            self.timers.cancel(answer.retransmit);
            self.timers.cancel(answer.timeout);
        }
        self.send_held(id);
    }

    /// Whether a BYE must wait: a callee sends none before the ACK of the 2xx that opened the call, or until none can come any
    /// more (RFC 3261 §15).
    pub(crate) fn awaits_acknowledgement(&self, id: DialogId) -> bool {
        self.dialogs.get(id).is_some_and(|dialog| {
            let answer = dialog.answer.as_ref();
            answer.is_some_and(|answer| dialog_of(answer.transaction) == id)
        })
    }

    /// Keeps a BYE until `send_held`.
    pub(crate) fn hold(&mut self, id: DialogId, application: ApplicationId, bye: SendRequest) {
        if let Some(dialog) = self.dialogs.get_mut(id) {
            dialog.held.push((application, bye));
        }
    }

    /// Sends the BYEs that waited. Whoever asked may be gone by now; the peer is to know all the same.
    pub(crate) fn send_held(&mut self, id: DialogId) {
        let Some(dialog) = self.dialogs.get_mut(id) else {
            return;
        };
        for (application, bye) in std::mem::take(&mut dialog.held) {
            if let Err(error) = self.send_in_dialog(application, id, &bye) {
                self.fail(application, bye.id, error);
            }
        }
    }

    /// Ends a dialog whose 2xx has not been acknowledged; does nothing to any other.
    pub(crate) fn end_unacknowledged(&mut self, id: DialogId, reason: DialogEndReason) {
        if self
            .dialogs
            .get(id)
            .is_some_and(|dialog| dialog.answer.is_some())
        {
            self.end_dialog(id, reason);
        }
    }
}
