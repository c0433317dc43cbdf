//! What still comes from targets that a request was given up at, while another is tried: the first that answers is the one.
//!
//! A target that took longer than `Failover::target_timeout` may answer after all. As long as the one that is tried now is silent, the
//! late one takes its place. Otherwise an INVITE there is cancelled, refused or acknowledged as its transaction would have done
//! (RFC 3261 §9.1, §17.1.1.3), so that no phone rings on for nobody. What comes when the request has its answer is `late.rs`'s.
use super::cancel::{ack_request, cancel_request};
use crate::command::Draft;
use crate::engine::Engine;
use crate::id::TransactionId;
use crate::transaction::client::{Announce, ClientTransaction, User};
use crate::transaction::key::cancel_of;
use crate::transport::{Destination, TransmitToken};
use bytes::Bytes;
use sip::{HeaderName, Message, Method};

/// What a response to an earlier attempt is.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Recalled {
    /// That attempt is now the request's own, and the response its.
    Own,
    /// A 2xx to an INVITE that has its final response from elsewhere.
    Late,
    /// Dealt with.
    Done,
}

/// An attempt that was given up.
#[derive(Clone, Debug)]
pub(crate) struct Earlier {
    pub(crate) secret: u64,
    destination: Destination,
    request: Bytes,
    /// Of an INVITE that got its final response: the ACK, to be repeated.
    ack: Bytes,
    pub(super) is_answered: bool,
}

/// Keeps the attempt that is under way: another follows.
pub(crate) fn keep(transaction: &mut ClientTransaction) {
    if let Some(destination) = transaction.destination {
        let earlier = Earlier {
            secret: transaction.secret,
            destination,
            request: transaction.request.clone(),
            ack: Bytes::new(),
            is_answered: false,
        };
        transaction
            .tries
            .get_or_insert_default()
            .earlier
            .push(earlier);
    }
}

/// Exchanges the attempt that is under way and an earlier one.
fn exchange(transaction: &mut ClientTransaction, index: usize) {
    let tries = transaction.tries.as_mut();
    let Some(earlier) = tries.and_then(|tries| tries.earlier.get_mut(index)) else {
        return;
    };
    let Some(destination) = transaction.destination.as_mut() else {
        return;
    };
    std::mem::swap(&mut transaction.secret, &mut earlier.secret);
    std::mem::swap(destination, &mut earlier.destination);
    std::mem::swap(&mut transaction.request, &mut earlier.request);
    transaction.switched = false;
}

impl Engine {
    /// A response to an earlier attempt came.
    pub(crate) fn recall(&mut self, id: TransactionId, secret: u64, message: &Message) -> Recalled {
        let status = message.status();
        let Some(transaction) = self.clients.get_mut(id) else {
            return Recalled::Done;
        };
        let (is_silent, is_answered) = (transaction.is_silent(), transaction.is_answered());
        let is_invite = transaction.method == Method::Invite;
        let tries = transaction.tries.iter_mut();
        let earlier = tries.flat_map(|tries| tries.earlier.iter_mut());
        let Some((index, earlier)) = earlier
            .enumerate()
            .find(|(_, earlier)| earlier.secret == secret)
        else {
            return Recalled::Done;
        };
        if is_invite && is_answered && (200..300).contains(&status) {
            let is_first = !std::mem::replace(&mut earlier.is_answered, true);
            if is_first {
                self.prolong(id);
            }
            return Recalled::Late;
        }
        if earlier.is_answered || (status >= 300 && is_invite && !(is_silent && status != 503)) {
            if is_invite && status >= 300 {
                self.acknowledge_earlier(id, index, message);
            }
            return Recalled::Done;
        }
        match status {
            // Nobody else answered.
            _ if is_silent && status != 503 => exchange(transaction, index),
            ..=199 => {
                self.cancel_earlier(id, index);
                return Recalled::Done;
            }
            200..=299 if is_invite => {
                exchange(transaction, index);
                self.cancel_earlier(id, index);
            }
            200.. if !is_invite && !is_answered && status != 503 => exchange(transaction, index),
            _ => return Recalled::Done,
        }
        Recalled::Own
    }

    /// The final response of an attempt that failed: acknowledged now and whenever it comes again, while others are tried.
    pub(crate) fn refused(&mut self, id: TransactionId, message: &Message) {
        let Some(transaction) = self.clients.get_mut(id) else {
            return;
        };
        keep(transaction);
        let count = transaction.tries.as_ref().map_or(0, |it| it.earlier.len());
        let is_invite = transaction.method == Method::Invite;
        let last = count.saturating_sub(1);
        if let Some(earlier) = self.earlier(id, last) {
            earlier.is_answered = true;
        }
        if is_invite {
            self.acknowledge_earlier(id, last, message);
        }
    }

    fn earlier(&mut self, id: TransactionId, index: usize) -> Option<&mut Earlier> {
        let transaction = self.clients.get_mut(id)?;
        transaction.tries.as_mut()?.earlier.get_mut(index)
    }

    fn acknowledge_earlier(&mut self, id: TransactionId, index: usize, message: &Message) {
        let Some(earlier) = self.earlier(id, index) else {
            return;
        };
        earlier.is_answered = true;
        if earlier.ack.is_empty() {
            let to = message.header(HeaderName::To);
            let to = to.map(|field| field.value().into_owned());
            earlier.ack = ack_request(&earlier.request, to).unwrap_or_default();
        }
        let (destination, ack) = (earlier.destination, earlier.ack.clone());
        if !ack.is_empty() {
            let name = self.clients.get(id).and_then(|it| it.server_name.clone());
            self.totals.request_out(&Method::Ack);
            self.transmit_to(destination, name, ack, TransmitToken::NONE);
        }
    }

    /// It was given up, so it need not ring: one CANCEL, with timers of its own.
    fn cancel_earlier(&mut self, id: TransactionId, index: usize) {
        let Some(transaction) = self.clients.get(id) else {
            return;
        };
        let tries = transaction.tries.as_ref();
        let Some(earlier) = tries.and_then(|tries| tries.earlier.get(index)) else {
            return;
        };
        let (secret, destination) = (earlier.secret, earlier.destination);
        let cancel = self.clients.get(cancel_of(id));
        let was_own = cancel.is_some_and(|cancel| cancel.secret == secret);
        if transaction.method != Method::Invite || earlier.is_answered || was_own {
            return;
        }
        let known = tries.is_some_and(|tries| tries.cancels.iter().any(|(of, _)| *of == secret));
        let Some(bytes) = cancel_request(&earlier.request, &Draft::default()).filter(|_| !known)
        else {
            return;
        };
        let dialog = transaction.dialog;
        let mut cancel =
            ClientTransaction::new(Method::Cancel, User::Engine, Announce::Nobody, dialog);
        cancel.secret = secret;
        cancel.request = bytes.clone();
        cancel.destination = Some(destination);
        cancel.server_name = transaction.server_name.clone();
        let number = self.next_transaction();
        if let Some(tries) = self.clients.get_mut(id).and_then(|it| it.tries.as_mut()) {
            tries.cancels.push((secret, number));
        }
        self.open_cancel(number, cancel, &bytes);
        self.prolong(id);
    }

    /// The transaction of the CANCEL of the attempt with this secret, if there is one.
    pub(crate) fn cancel_at(&self, id: TransactionId, secret: u64) -> TransactionId {
        let tries = self.clients.get(id).and_then(|known| known.tries.as_ref());
        let mut cancels = tries.into_iter().flat_map(|tries| tries.cancels.iter());
        let of_attempt = cancels.find(|(of, _)| *of == secret);
        of_attempt.map_or(cancel_of(id), |(_, cancel)| *cancel)
    }
}
