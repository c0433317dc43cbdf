//! Reliable provisional responses (RFC 3262): ours, repeated until their PRACK comes; the peer's, told from their repetitions.
//!
//! One of ours is under way at a time. What an application gives meanwhile waits its turn: the next reliable response (RFC 3262
//! §3 forbids it before the first PRACK and advises against it before the others), and a 2xx behind a session description.
use super::offer::{Side, describes};
use crate::command::{Respond, Written};
use crate::engine::{Engine, Timer};
use crate::event::CommandError;
use crate::id::{ApplicationId, CommandId, DialogId, TransactionId};
use crate::timer::TimerToken;
use crate::totals::Total;
use crate::transport::{Destination, TransmitToken};
use bytes::Bytes;
use sip::{Message, Method};
use std::collections::VecDeque;
use std::time::Duration;

/// The option tag.
const TAG: &str = "100rel";

/// The most responses that wait for the PRACK of one.
const WAITING: usize = 16;

/// A response of an application that waits for a PRACK.
pub(crate) enum Waiting {
    /// Still to be written.
    Respond(Respond),
    /// Written by its link.
    Written(Written),
}

impl Waiting {
    fn command(&self) -> CommandId {
        match self {
            Waiting::Respond(respond) => respond.id,
            Waiting::Written(written) => written.id,
        }
    }

    fn status(&self) -> u16 {
        match self {
            Waiting::Respond(respond) => respond.status,
            Waiting::Written(written) => written.message.status(),
        }
    }
}

/// A reliable provisional response of ours that waits for its PRACK.
pub(crate) struct Reliable {
    /// The INVITE's transaction.
    transaction: TransactionId,
    /// What the RAck of its PRACK says: RSeq and CSeq number.
    numbers: (u32, u32),
    /// It carries a session description.
    describes: bool,
    response: Bytes,
    destination: Destination,
    interval: Duration,
    retransmit: TimerToken,
    timeout: TimerToken,
    /// What is sent after its PRACK, in this order.
    waiting: VecDeque<(ApplicationId, Waiting)>,
}

impl Reliable {
    /// The responses that wait for it, and are not to be sent any more.
    pub(crate) fn into_waiting(self) -> impl Iterator<Item = (ApplicationId, CommandId)> {
        let waiting = self.waiting.into_iter();
        waiting.map(|(application, waiting)| (application, waiting.command()))
    }

    /// Its timers, to be cancelled with it.
    pub(crate) fn tokens(&self) -> [TimerToken; 2] {
        [self.retransmit, self.timeout]
    }
}

impl super::Dialog {
    /// Whether a session description of ours waits for the PRACK of its reliable provisional response.
    pub(crate) fn awaits_prack_of_description(&self) -> bool {
        self.reliable
            .as_deref()
            .is_some_and(|reliable| reliable.describes)
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

/// The RSeq number of a reliable provisional response.
fn response_number(message: &Message) -> Option<u32> {
    if !message.requires(TAG) {
        return None;
    }
    message.rseq().ok().flatten()
}

/// The numbers in the RAck of the PRACK of an INVITE.
fn acknowledged_numbers(prack: &Message) -> Option<(u32, u32)> {
    let rack = prack.rack().ok().flatten()?;
    (rack.method == Method::Invite).then_some((rack.response, rack.sequence))
}

impl Engine {
    /// The RSeq number for a provisional response that is to be reliable: the application asked for it, or the peer insists.
    ///
    /// # Errors
    /// `No100rel` when the peer does not support it.
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
        let insists = request.requires(TAG);
        let applies = transaction.method == Method::Invite && (101..200).contains(&status);
        if !applies || !(asked || insists) {
            return Ok(None);
        }
        if !insists && !request.supports(TAG) {
            return Err(CommandError::No100rel);
        }
        match transaction
            .dialog
            .and_then(|dialog| self.dialogs.get(dialog))
        {
            Some(dialog) if dialog.reliable_number > 0 => Ok(Some(dialog.reliable_number + 1)),
            Some(_) | None => Ok(Some(1 + (self.generator.next_u64() & 0xffff) as u32)),
        }
    }

    /// The dialog in which a response of this status has to wait for a PRACK.
    ///
    /// # Errors
    /// `AlreadyAnswered` behind a final response that waits itself, `Limit` when too many do.
    pub(crate) fn waits_for_prack(
        &self,
        id: TransactionId,
        status: u16,
        is_reliable: bool,
    ) -> Result<Option<DialogId>, CommandError> {
        let Some(server) = self.servers.get(id) else {
            return Ok(None);
        };
        let dialog = server.dialog.filter(|_| server.method == Method::Invite);
        let pending = dialog
            .and_then(|dialog| self.dialogs.get(dialog)?.reliable.as_deref())
            .filter(|reliable| reliable.transaction == id);
        let Some(reliable) = pending else {
            return Ok(None);
        };
        let waiting = &reliable.waiting;
        if waiting.back().is_some_and(|(_, last)| last.status() >= 200) {
            return Err(CommandError::AlreadyAnswered);
        }
        let waits = match status {
            ..=199 => is_reliable,
            // RFC 3262 §3: a refusal may overtake it, and so may a 2xx when the session does not depend on the PRACK.
            200..=299 => reliable.describes || !waiting.is_empty(),
            _ => false,
        };
        if waits && waiting.len() >= WAITING {
            let what = "provisional responses that wait for a PRACK";
            return Err(CommandError::Limit(what));
        }
        Ok(dialog.filter(|_| waits))
    }

    /// Keeps a response until the PRACK comes.
    pub(crate) fn wait_for_prack(
        &mut self,
        id: DialogId,
        application: ApplicationId,
        response: Waiting,
    ) {
        let dialog = self.dialogs.get_mut(id);
        if let Some(reliable) = dialog.and_then(|dialog| dialog.reliable.as_deref_mut()) {
            reliable.waiting.push_back((application, response));
        }
    }

    /// The PRACK came: sends what waited for it, up to the next reliable response.
    fn send_waiting(&mut self, id: DialogId, mut waiting: VecDeque<(ApplicationId, Waiting)>) {
        while let Some((application, response)) = waiting.pop_front() {
            let command = response.command();
            let outcome = match response {
                Waiting::Respond(respond) => self.respond(application, respond),
                Waiting::Written(written) => self.respond_written(application, &written),
            };
            if let Err(error) = outcome {
                self.fail(application, command, error);
            }
            let dialog = self.dialogs.get_mut(id);
            if let Some(next) = dialog.and_then(|dialog| dialog.reliable.as_deref_mut()) {
                next.waiting.append(&mut waiting);
            }
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
            describes: describes(response),
            response: response.bytes(),
            destination,
            interval: timers.t1,
            retransmit: self
                .timers
                .set(self.now, timers.t1, Timer::ReliableRetransmit(id)),
            timeout: self
                .timers
                .set(self.now, timers.long(), Timer::ReliableTimeout(id)),
            waiting: VecDeque::new(),
        }));
        self.provisional_passed(id, Side::We, response);
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
        let dialog = self.dialogs.get(id);
        let reliable = dialog.and_then(|dialog| dialog.reliable.as_deref());
        if let Some(invite) = reliable.map(|reliable| reliable.transaction) {
            self.stop_reliable(id);
            self.answer(invite, 500, &[]);
        }
    }

    /// The final response goes out: the provisional one is not repeated any more, and what waited behind it is too late. Its
    /// PRACK may be on the way all the same (RFC 3262 §3).
    pub(crate) fn stop_reliable(&mut self, id: DialogId) {
        let Some(dialog) = self.dialogs.get_mut(id) else {
            return;
        };
        let Some(reliable) = dialog.reliable.take() else {
            return;
        };
        dialog.reliable_late = Some(reliable.numbers);
        for token in reliable.tokens() {
            self.timers.cancel(token);
        }
        for (application, command) in reliable.into_waiting() {
            self.fail(application, command, CommandError::AlreadyAnswered);
        }
    }

    /// Whether a PRACK belongs to a response that waits for it.
    pub(crate) fn is_awaited_prack(&self, id: DialogId, prack: &Message) -> bool {
        let Some((dialog, numbers)) = self.dialogs.get(id).zip(acknowledged_numbers(prack)) else {
            return false;
        };
        let reliable = dialog.reliable.as_deref();
        let waiting = reliable.map(|reliable| reliable.numbers);
        waiting == Some(numbers) || dialog.reliable_late == Some(numbers)
    }

    /// An awaited PRACK was handed to the application: nothing is repeated any more, and what waited is sent.
    pub(crate) fn prack_received(&mut self, id: DialogId) {
        let Some(dialog) = self.dialogs.get_mut(id) else {
            return;
        };
        dialog.reliable_late = None;
        let Some(reliable) = dialog.reliable.take() else {
            return;
        };
        for token in reliable.tokens() {
            self.timers.cancel(token);
        }
        self.send_waiting(id, reliable.waiting);
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
        self.provisional_passed(id, Side::Peer, response);
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
