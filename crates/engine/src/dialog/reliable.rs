//! Reliable provisional responses (RFC 3262): ours, repeated until their PRACK comes; the peer's, told from their repetitions.
use crate::engine::{Engine, Timer};
use crate::event::CommandError;
use crate::id::{DialogId, TransactionId};
use crate::timer::TimerToken;
use crate::totals::Total;
use crate::transport::{Destination, TransmitToken};
use bytes::Bytes;
use sip::{HeaderName, Message, Method};
use std::time::Duration;

/// The option tag.
const TAG: &str = "100rel";

/// A reliable provisional response of ours that waits for its PRACK.
pub(crate) struct Reliable {
    /// The INVITE's transaction.
    transaction: TransactionId,
    /// What the RAck of its PRACK says: RSeq and CSeq number.
    numbers: (u32, u32),
    response: Bytes,
    destination: Destination,
    interval: Duration,
    retransmit: TimerToken,
    timeout: TimerToken,
}

impl Reliable {
    /// Its timers, to be cancelled with it.
    pub(crate) fn tokens(&self) -> [TimerToken; 2] {
        [self.retransmit, self.timeout]
    }
}

/// The latest reliable provisional response of the peer.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct RemoteReliable {
    /// Our INVITE's transaction: each has numbers of its own.
    transaction: TransactionId,
    response: u32,
    sequence: u32,
}

/// Whether an option tag is among the values of a header field.
pub(crate) fn has_option(message: &Message, name: HeaderName) -> bool {
    message
        .values(name)
        .any(|value| value.trim().eq_ignore_ascii_case(TAG))
}

/// The RSeq number of a reliable provisional response.
fn response_number(message: &Message) -> Option<u32> {
    if !has_option(message, HeaderName::Require) {
        return None;
    }
    message.header(HeaderName::RSeq)?.text().trim().parse().ok()
}

/// The numbers in the RAck of the PRACK of an INVITE.
fn acknowledged_numbers(prack: &Message) -> Option<(u32, u32)> {
    let field = prack.header(HeaderName::RAck)?;
    let text = field.text();
    let mut words = text.split_ascii_whitespace();
    let numbers = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    (words.next() == Some(Method::Invite.as_str())).then_some(numbers)
}

impl Engine {
    /// The RSeq number for a provisional response that is to be reliable: the application asked for it, or the peer insists.
    ///
    /// # Errors
    /// `No100rel` when the peer does not support it, `Limit` while another one waits for its PRACK (RFC 3262 §3).
    pub(crate) fn reliable_number(
        &mut self,
        id: TransactionId,
        status: u16,
        asked: bool,
    ) -> Result<Option<u32>, CommandError> {
        let transaction = self
            .servers
            .get(id)
            .ok_or(CommandError::UnknownTransaction)?;
        let Some(request) = transaction.request.as_ref() else {
            return Ok(None);
        };
        let insists = has_option(request, HeaderName::Require);
        let applies = transaction.method == Method::Invite && (101..200).contains(&status);
        if !applies || !(asked || insists) {
            return Ok(None);
        }
        if !insists && !has_option(request, HeaderName::Supported) {
            return Err(CommandError::No100rel);
        }
        match transaction
            .dialog
            .and_then(|dialog| self.dialogs.get(dialog))
        {
            Some(dialog) if dialog.reliable.is_some() => Err(CommandError::Limit(
                "reliable provisional responses without PRACK",
            )),
            Some(dialog) if dialog.reliable_number > 0 => Ok(Some(dialog.reliable_number + 1)),
            Some(_) | None => Ok(Some(1 + (self.generator.next_u64() & 0xffff) as u32)),
        }
    }

    /// A reliable provisional response is being sent.
    pub(crate) fn start_reliable(
        &mut self,
        id: DialogId,
        transaction: TransactionId,
        response: &Message,
    ) {
        let timers = &self.config.timers;
        let Some(destination) = self
            .servers
            .get(transaction)
            .map(|server| server.destination)
        else {
            return;
        };
        let (Some(number), Ok(sequence)) = (response_number(response), response.cseq()) else {
            return;
        };
        let Some(dialog) = self.dialogs.get_mut(id) else {
            return;
        };
        dialog.reliable_number = number;
        dialog.reliable = Some(Box::new(Reliable {
            transaction,
            numbers: (number, sequence.number),
            response: response.bytes(),
            destination,
            interval: timers.t1,
            retransmit: self
                .timers
                .set(self.now, timers.t1, Timer::ReliableRetransmit(id)),
            timeout: self
                .timers
                .set(self.now, timers.long(), Timer::ReliableTimeout(id)),
        }));
    }

    /// Time to repeat it: at intervals that double without limit (RFC 3262 §3).
    pub(crate) fn repeat_reliable(&mut self, id: DialogId) {
        let Some(reliable) = self
            .dialogs
            .get_mut(id)
            .and_then(|dialog| dialog.reliable.as_mut())
        else {
            return;
        };
        reliable.interval = reliable.interval.saturating_mul(2);
        reliable.retransmit =
            self.timers
                .set(self.now, reliable.interval, Timer::ReliableRetransmit(id));
        let (destination, bytes) = (reliable.destination, reliable.response.clone());
        self.totals.add(Total::RetransmissionsOut);
        self.totals.add(Total::ResponsesOut);
        self.transmit(destination, bytes, TransmitToken::NONE);
    }

    /// 64*T1 without a PRACK: the INVITE is refused (RFC 3262 §3).
    pub(crate) fn reliable_timed_out(&mut self, id: DialogId) {
        let reliable = self
            .dialogs
            .get_mut(id)
            .and_then(|dialog| dialog.reliable.take());
        if let Some(reliable) = reliable {
            self.timers.cancel(reliable.retransmit);
            self.answer(reliable.transaction, 500, &[]);
        }
    }

    /// No PRACK is awaited any more.
    pub(crate) fn stop_reliable(&mut self, id: DialogId) {
        let reliable = self
            .dialogs
            .get_mut(id)
            .and_then(|dialog| dialog.reliable.take());
        for token in reliable.iter().flat_map(|reliable| reliable.tokens()) {
            self.timers.cancel(token);
        }
    }

    /// A PRACK came: false when it belongs to no response that waits for it.
    pub(crate) fn accept_prack(&mut self, id: DialogId, prack: &Message) -> bool {
        let numbers = acknowledged_numbers(prack);
        let waiting = self
            .dialogs
            .get(id)
            .and_then(|dialog| dialog.reliable.as_ref());
        let matches = waiting.is_some_and(|reliable| Some(reliable.numbers) == numbers);
        if matches {
            self.stop_reliable(id);
        }
        matches
    }

    /// Notes a provisional response of the peer's: false when it is a repetition, or came out of order (RFC 3262 §4).
    pub(crate) fn accept_provisional(
        &mut self,
        id: DialogId,
        invite: TransactionId,
        response: &Message,
    ) -> bool {
        let (Some(number), Ok(sequence)) = (response_number(response), response.cseq()) else {
            return true;
        };
        let Some(dialog) = self.dialogs.get_mut(id) else {
            return true;
        };
        let last = dialog
            .remote_reliable
            .filter(|last| last.transaction == invite);
        if last.is_some_and(|last| number != last.response.wrapping_add(1)) {
            return false;
        }
        let sequence = sequence.number;
        dialog.remote_reliable = Some(RemoteReliable {
            transaction: invite,
            response: number,
            sequence,
        });
        true
    }

    /// The RAck of an application's PRACK that has none.
    ///
    /// # Errors
    /// `NoInvite` when the peer has sent no reliable provisional response.
    pub(crate) fn acknowledgement_of_provisional(
        &self,
        id: DialogId,
    ) -> Result<(Bytes, Bytes), CommandError> {
        let dialog = self.dialogs.get(id).ok_or(CommandError::UnknownDialog)?;
        let last = dialog.remote_reliable.ok_or(CommandError::NoInvite)?;
        let value = format!("{} {} INVITE", last.response, last.sequence);
        Ok((Bytes::from_static(b"RAck"), Bytes::from(value)))
    }
}
