//! What still comes from targets that a request was given up at, while another is tried: the first that answers is the one.
//!
//! A target that took longer than `Failover::target_timeout` may answer after all. As long as the one that is tried now is silent, the
//! late one takes its place. Otherwise an INVITE there is cancelled, refused or acknowledged as its transaction would have done
//! (RFC 3261 §9.1, §17.1.1.3), so that no phone rings on for nobody.
use super::cancel::{ack_request, cancel_request};
use crate::command::Draft;
use crate::engine::Engine;
use crate::id::TransactionId;
use crate::transaction::client::ClientTransaction;
use crate::transport::{Destination, TransmitToken};
use bytes::Bytes;
use sip::{HeaderName, Message, Method};

/// An attempt that was given up.
#[derive(Clone, Debug)]
pub(crate) struct Earlier {
    pub(crate) secret: u64,
    destination: Destination,
    request: Bytes,
    /// Of an INVITE that got its final response: the ACK, to be repeated.
    ack: Bytes,
    is_answered: bool,
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
        transaction.earlier.get_or_insert_default().push(earlier);
    }
}

/// Exchanges the attempt that is under way and an earlier one.
fn exchange(transaction: &mut ClientTransaction, index: usize) {
    let Some(earlier) = transaction
        .earlier
        .as_mut()
        .and_then(|all| all.get_mut(index))
    else {
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
    /// A response to an earlier attempt came. Whether that attempt is now the request's own, and the response its.
    pub(crate) fn recall(&mut self, id: TransactionId, secret: u64, message: &Message) -> bool {
        let status = message.status();
        let Some(transaction) = self.clients.get_mut(id) else {
            return false;
        };
        let (is_silent, is_answered) = (transaction.is_silent(), transaction.is_answered());
        let is_invite = transaction.method == Method::Invite;
        let earlier = transaction
            .earlier
            .iter_mut()
            .flat_map(|all| all.iter_mut());
        let Some((index, earlier)) = earlier
            .enumerate()
            .find(|(_, earlier)| earlier.secret == secret)
        else {
            return false;
        };
        if earlier.is_answered || (status >= 300 && is_invite && !(is_silent && status != 503)) {
            if is_invite && status >= 300 {
                self.acknowledge_earlier(id, index, message);
            }
            return false;
        }
        match status {
            // Nobody else answered.
            _ if is_silent && status != 503 => exchange(transaction, index),
            ..=199 => {
                self.cancel_earlier(id, index);
                return false;
            }
            // A fork's 2xx among others: the dialogs tell them apart.
            200..=299 if is_invite && is_answered => {}
            200..=299 if is_invite => {
                exchange(transaction, index);
                self.cancel_earlier(id, index);
            }
            200.. if !is_invite && !is_answered && status != 503 => exchange(transaction, index),
            _ => return false,
        }
        true
    }

    /// The final response of an attempt that failed: acknowledged now and whenever it comes again, while others are tried.
    pub(crate) fn refused(&mut self, id: TransactionId, message: &Message) {
        let Some(transaction) = self.clients.get_mut(id) else {
            return;
        };
        keep(transaction);
        let count = transaction.earlier.as_ref().map_or(0, |all| all.len());
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
        transaction.earlier.as_mut()?.get_mut(index)
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
            self.totals.request_out(&Method::Ack);
            self.transmit(destination, ack, TransmitToken::NONE);
        }
    }

    /// It was given up, so it need not ring. Sent again with each provisional response, as this CANCEL is not repeated by a timer.
    fn cancel_earlier(&mut self, id: TransactionId, index: usize) {
        let is_invite = self
            .clients
            .get(id)
            .is_some_and(|known| known.method == Method::Invite);
        let Some(earlier) = self.earlier(id, index).filter(|_| is_invite) else {
            return;
        };
        let destination = earlier.destination;
        if let Some(cancel) = cancel_request(&earlier.request, &Draft::default()) {
            self.totals.request_out(&Method::Cancel);
            self.transmit(destination, cancel, TransmitToken::NONE);
        }
    }
}
