//! What comes from the network on its way to the engine: datagrams become messages, and each goes to the shard that owns its call.
use crate::driver::{Driver, guarded};
use crate::udp_batch::{BATCH, ReceiveBatch};
use bytes::Bytes;
use engine::Time;
use engine::config::shard_of;
use engine::transport::{Origin, Transport};
use sip::{Message, ParseError};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How many batches one socket may fill in a turn before the others, and the sending, have theirs.
const BATCHES: usize = 64;
/// How many messages of a socket a turn takes: what is not worth parsing costs little, and is in the way of what is.
const MESSAGES: usize = 4 * BATCH;
/// How much of a message's first line the log shows.
const FIRST_LINE: usize = 120;

impl Driver {
    /// Takes the datagrams of every socket, within bounds. Gives the time of the last batch.
    pub(crate) fn receive(&mut self, mut now: Time, batch: &mut ReceiveBatch) -> Time {
        for index in 0..self.udp.len() {
            let mut messages = 0;
            for _ in 0..BATCHES {
                let Some(listener) = self.udp.get_mut(index) else {
                    break;
                };
                if listener.receive(batch, &mut self.totals) == 0 {
                    break;
                }
                now = self.clock.now();
                for datagram in batch.datagrams() {
                    let Some(listener) = self.udp.get_mut(index) else {
                        break;
                    };
                    if let Some(counter) = datagram.dropped {
                        listener.dropped(counter, &mut self.totals);
                    }
                    let local = listener.local(datagram.peer, datagram.local);
                    let (listener, transport) = (listener.id, Transport::Udp);
                    let origin = Origin {
                        listener,
                        transport,
                        peer: datagram.peer,
                        local,
                        connection: None,
                    };
                    messages += usize::from(self.datagram(now, origin, datagram.bytes));
                }
                if batch.drained() || messages >= MESSAGES {
                    break;
                }
            }
        }
        now
    }

    /// Takes a datagram. Says whether it was worth parsing.
    pub(crate) fn datagram(&mut self, now: Time, origin: Origin, bytes: &[u8]) -> bool {
        if bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            // A keep-alive of a client behind a NAT: nothing to answer on UDP (RFC 5626 §4.4 wants STUN for that).
            return false;
        }
        if !self.admits(now, &origin, bytes) {
            return false;
        }
        match Message::parse(Bytes::copy_from_slice(bytes), &self.limits) {
            Ok(message) => match self.owner(&message) {
                owner if owner == self.shard => self.handle_message(now, origin, message),
                owner => {
                    if let Some(inbox) = self.inboxes.get(usize::from(owner)) {
                        inbox.hand_over(origin, message);
                    }
                }
            },
            Err(error) => self.handle_malformed(now, origin, bytes, &error),
        }
        true
    }

    /// Whether a message is taken that a connection or another shard gave us; that shard has looked at it already.
    pub(crate) fn takes(&mut self, now: Time, origin: &Origin, message: &Message) -> bool {
        if origin.transport.is_reliable() {
            self.totals.stream_received += 1;
            return self.admits(now, origin, message.as_bytes());
        }
        if let Some(index) = self.udp_listener(origin.listener)
            && let Some(listener) = self.udp.get_mut(index)
        {
            // What it is answered with goes out here, and from the address that it was sent to.
            listener.local(origin.peer, Some(origin.local.ip()));
        }
        true
    }

    /// The shard whose call the message belongs to. Without a Call-ID it is as good here as anywhere: the engine refuses it.
    pub(crate) fn owner(&self, message: &Message) -> u8 {
        let shards = u8::try_from(self.inboxes.len()).unwrap_or(u8::MAX);
        if shards == 1 {
            self.shard
        } else {
            message
                .call_id()
                .map_or(self.shard, |call_id| shard_of(call_id.as_bytes(), shards))
        }
    }

    pub(crate) fn handle_message(&mut self, now: Time, origin: Origin, message: Message) {
        let bytes = message.bytes();
        let engine = &mut self.engine;
        let result = catch_unwind(AssertUnwindSafe(|| {
            engine.handle_message(now, origin, message, bytes.len())
        }));
        if result.is_err() {
            self.totals.panics += 1;
            tracing::error!(peer = %origin.peer, line = %first_line(&bytes), "a message caused a panic and was dropped: this is a bug");
        }
    }

    pub(crate) fn handle_malformed(
        &mut self,
        now: Time,
        origin: Origin,
        bytes: &[u8],
        error: &ParseError,
    ) {
        if let Some(suppressed) = self.log.allow(now) {
            let (peer, transport) = (origin.peer, origin.transport);
            tracing::warn!(%peer, %transport, %error, line = %first_line(bytes), suppressed, "received what is not a SIP message");
        }
        let engine = &mut self.engine;
        guarded(&mut self.totals, "a malformed message", || {
            engine.handle_malformed(now, origin, bytes, error)
        });
    }
}

/// The first line of a message, made fit for a log.
pub(crate) fn first_line(bytes: &[u8]) -> String {
    let line = bytes
        .split(|byte| *byte == b'\r' || *byte == b'\n')
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    line.get(..FIRST_LINE.min(line.len()))
        .unwrap_or_default()
        .escape_ascii()
        .to_string()
}
