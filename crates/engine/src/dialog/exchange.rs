//! What passes in a dialog, told to its offer machine; and whether a request may pass now: one INVITE at a time in either
//! direction (RFC 3261 §14), one offer at a time (RFC 3311 §5).
use super::Dialog;
use super::offer::{Carrier, Clash, Offer, Side, describes};
use crate::engine::Engine;
use crate::event::CommandError;
use crate::id::{DialogId, DialogRole, TransactionId};
use sip::{Message, Method};

/// The requests that may carry an offer.
fn carrier(method: &Method) -> Option<Carrier> {
    match method {
        Method::Invite => Some(Carrier::Invite),
        Method::Prack => Some(Carrier::Prack),
        Method::Update => Some(Carrier::Update),
        _ => None,
    }
}

/// What a final response to a request of this method is to the machine.
fn final_carrier(method: &Method, status: u16) -> Option<Carrier> {
    match method {
        Method::Invite if status < 300 => Some(Carrier::Accepted),
        Method::Invite => Some(Carrier::Refused),
        Method::Prack => Some(Carrier::PrackDone),
        Method::Update => Some(Carrier::UpdateDone),
        _ => None,
    }
}

fn is_early(dialog: &Dialog) -> bool {
    dialog.invited && !dialog.confirmed
}

/// Why an INVITE of ours may not be sent in this dialog.
fn invite_in_the_way(dialog: &Dialog) -> Option<&'static str> {
    if is_early(dialog) {
        Some("the dialog is early: change its session by UPDATE, or wait for the 2xx")
    } else if dialog.local_invite.is_some() {
        Some("our INVITE in this dialog is unanswered: wait for its final response")
    } else if dialog.unacknowledged.is_some() {
        Some("the 2xx to our INVITE has no ACK: acknowledge it first")
    } else if dialog.answer.is_some() {
        // RFC 3261 §14.1: until then the peer's INVITE is not over, and ours could overtake the 2xx.
        Some("our 2xx to the peer's INVITE has no ACK yet: wait for it")
    } else if dialog.remote_invite.is_some() {
        Some("the peer's INVITE in this dialog is unanswered: answer it first")
    } else {
        None
    }
}

/// What an application is to wait for before it offers.
fn offer_in_the_way(clash: Clash, offer: Offer) -> &'static str {
    match (clash, offer) {
        (_, Offer::Due(Side::Peer)) => {
            "the peer's offer is due in its response to our INVITE: wait for it"
        }
        (_, Offer::Due(Side::We)) => {
            "our offer is due in the response to the peer's INVITE: give it there"
        }
        (Clash::Ours, _) => "our offer has no answer yet: wait for it",
        (Clash::Theirs, _) => "the peer's offer has no answer yet: answer it first",
    }
}

impl Engine {
    /// Whether the application may send this request in the dialog now.
    ///
    /// # Errors
    /// `RequestPending` says what it is to wait for; `InvalidMethod` when it never may.
    pub(crate) fn check_request(
        &self,
        id: DialogId,
        method: &Method,
        describes: bool,
    ) -> Result<(), CommandError> {
        let dialog = self.dialogs.get(id).ok_or(CommandError::UnknownDialog)?;
        // RFC 3261 §15: the callee ends an early dialog by its final response.
        if *method == Method::Bye && is_early(dialog) && dialog.role == DialogRole::Uas {
            let what = "BYE: a callee ends an early dialog by a final response to the INVITE";
            return Err(CommandError::InvalidMethod(what.to_owned()));
        }
        let Some(carrier) = carrier(method) else {
            return Ok(());
        };
        if carrier == Carrier::Invite {
            if let Some(what) = invite_in_the_way(dialog) {
                return Err(CommandError::RequestPending(what));
            }
        }
        // RFC 3311 §5.1: who answered in a reliable provisional response must know that it came. The UPDATE may overtake it, and
        // find no dialog.
        if carrier == Carrier::Update && describes && dialog.awaits_prack_of_description() {
            let what = "our answer in a reliable provisional response has no PRACK: wait for it";
            return Err(CommandError::RequestPending(what));
        }
        let offer = dialog.offer;
        offer
            .check(Side::We, carrier, describes)
            .map_err(|clash| CommandError::RequestPending(offer_in_the_way(clash, offer)))
    }

    /// Whether a request of the peer's may pass now; if not, the status to refuse it with, and whether with Retry-After.
    pub(crate) fn judge_request(
        &self,
        id: DialogId,
        method: &Method,
        request: &Message,
    ) -> Result<(), (u16, bool)> {
        let Some(dialog) = self.dialogs.get(id) else {
            return Err((481, false));
        };
        let carrier = match method {
            // RFC 3261 §14.2. A caller whose INVITE is unanswered has sent one in the same dialog, too.
            Method::Invite
                if dialog.local_invite.is_some()
                    || (is_early(dialog) && dialog.role == DialogRole::Uac) =>
            {
                return Err((491, false));
            }
            Method::Invite if dialog.remote_invite.is_some() || is_early(dialog) => {
                return Err((500, true));
            }
            Method::Invite => Carrier::Invite,
            // RFC 3311 §5.2, with an offer or without.
            Method::Update if self.answers_update(dialog) => return Err((500, true)),
            Method::Update => Carrier::Update,
            // Never refused for what it carries: it is an acknowledgement first.
            _ => return Ok(()),
        };
        if dialog.offer == Offer::Stable {
            return Ok(());
        }
        dialog
            .offer
            .check(Side::Peer, carrier, describes(request))
            .map_err(|clash| match clash {
                Clash::Ours => (491, false),
                Clash::Theirs => (500, true),
            })
    }

    /// Whether an UPDATE of the peer's has no final response yet.
    fn answers_update(&self, dialog: &Dialog) -> bool {
        let update = dialog
            .remote_update
            .and_then(|update| self.servers.get(update));
        update.is_some_and(|update| !update.is_answered())
    }

    /// A request passed that may carry an offer or an answer. Gives whether it does.
    pub(crate) fn request_passed(
        &mut self,
        id: DialogId,
        from: Side,
        method: &Method,
        describes: impl FnOnce() -> bool,
    ) -> bool {
        let (Some(carrier), Some(dialog)) = (carrier(method), self.dialogs.get_mut(id)) else {
            return false;
        };
        let describes = describes();
        dialog.offer = dialog.offer.after(from, carrier, describes);
        describes
    }

    /// A reliable provisional response passed.
    pub(crate) fn provisional_passed(&mut self, id: DialogId, from: Side, response: &Message) {
        if let Some(dialog) = self.dialogs.get_mut(id) {
            let describes = describes(response);
            dialog.offer = dialog.offer.after(from, Carrier::Provisional, describes);
        }
    }

    /// A final response passed; none where the request ended without. `offers`: that request carried a description; of two
    /// UPDATEs at once only one can be what the exchange waits for.
    pub(crate) fn final_passed(
        &mut self,
        id: DialogId,
        from: Side,
        method: &Method,
        offers: bool,
        response: Option<&Message>,
    ) {
        let status = response.map_or(500, Message::status);
        let Some(dialog) = self.dialogs.get_mut(id) else {
            return;
        };
        if dialog.offer == Offer::Stable || !(offers || *method == Method::Invite) {
            return;
        }
        if let Some(carrier) = final_carrier(method, status) {
            let describes = response.is_some_and(describes);
            dialog.offer = dialog.offer.after(from, carrier, describes);
        }
    }

    /// The ACK of a 2xx passed: nothing of its INVITE is open any more.
    pub(crate) fn acknowledgement_passed(&mut self, id: DialogId, from: Side) {
        if let Some(dialog) = self.dialogs.get_mut(id) {
            dialog.offer = dialog.offer.after(from, Carrier::Ack, false);
        }
    }

    /// A request of the peer's got its final response, or was given up: an early UPDATE is not pending any more.
    pub(crate) fn peer_request_done(
        &mut self,
        id: DialogId,
        transaction: TransactionId,
        method: &Method,
        response: Option<&Message>,
    ) {
        let server = self.servers.get(transaction);
        let offers = server.is_some_and(|server| server.offers);
        self.final_passed(id, Side::We, method, offers, response);
        if let Some(dialog) = self.dialogs.get_mut(id) {
            dialog.remote_update = dialog.remote_update.filter(|update| *update != transaction);
        }
    }
}
