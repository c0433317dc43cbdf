//! What the bytes of a connection come to: messages for the shard that owns their call, keep-alives that are answered, faults that are
//! told.
use super::connection::Connection;
use super::layer::{Failure, Received};
use super::reuse::Key;
use crate::inbox::Item;
use bytes::Bytes;
use engine::TransmitError;
use engine::config::shard_of;
use engine::transport::{Distrust, PeerCertificate, Transport};
use sip::{Frame, Host, Message, ParseError};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How much of a stream that cannot be read is kept for the answer and the log.
const EVIDENCE: usize = 4096;

/// How many line ends that are no message one connection may send in a second.
const LINE_ENDS: u32 = 1000;

/// How many of them a message makes up for: what stacks send with one, which end a body with a line end that they do not count.
const WITH_MESSAGE: u32 = 4;

/// How many times the bytes of the longest message may come as records and frames that make none: one byte in each is 36 times.
const IN_VAIN: usize = 40;

/// A connection that came to nothing, for the log and the totals.
pub(crate) struct Fault {
    pub peer: SocketAddr,
    pub transport: Transport,
    /// The name we wanted, where we opened the connection.
    pub server_name: Option<Arc<str>>,
    pub what: &'static str,
    pub why: String,
    /// TLS or WebSocket did not come about.
    pub is_handshake: bool,
}

impl Connection {
    /// Takes what was read.
    pub(super) fn received(&mut self, wire: &[u8]) {
        let now = Instant::now();
        self.last_read = now;
        self.outbox.heard();
        self.ping_sent = None;
        if self.is_plain {
            let was_complete = self.frames(wire);
            self.note_partial(now, was_complete, false);
            return;
        }
        if !self.comes_to_something(wire.len()) {
            return;
        }
        let mut received = Received::default();
        let (progress, result) = self.outbox.receive(wire, &mut received);
        if progress.became_ready {
            self.handshake_until = None;
            self.tell_certificate(progress.certificate);
        }
        // A ping or pong between the frames of a message completes nothing of it.
        let mut was_complete = progress.became_ready;
        was_complete |= !received.bytes.is_empty() && self.frames(&received.bytes);
        for _ in 0..received.controls {
            if !self.is_patient() {
                return;
            }
            self.in_vain = 0;
        }
        for message in received.messages {
            was_complete = true;
            self.whole_message(message);
        }
        self.note_partial(now, was_complete, progress.is_within);
        if let Err(failure) = result {
            self.fail(failure);
        }
        // What the layers owe the peer. An error shows at the next read.
        let _ = self.outbox.write();
        if self.outbox.is_congested() {
            self.tell(
                "the peer does not read",
                "more waits for it than may, answers to its pings among it".to_owned(),
                false,
            );
            self.outbox.close(TransmitError::Congested, &self.inboxes);
        }
    }

    /// Since when the peer owes the rest of what it began. Handshakes have a deadline of their own.
    fn note_partial(&mut self, now: Instant, was_complete: bool, is_within: bool) {
        let is_begun = is_within || !self.framer.buffered().is_empty();
        self.partial_since = match self.partial_since {
            _ if !is_begun || self.handshake_until.is_some() => None,
            Some(since) if !was_complete => Some(since),
            _ => Some(now),
        };
    }

    /// Takes the next part of a stream of messages. Says whether something in it was complete.
    fn frames(&mut self, bytes: &[u8]) -> bool {
        self.framer.push(bytes);
        let (mut was_complete, mut is_lone, mut is_asked) = (false, false, false);
        while let Some(frame) = self.framer.next() {
            was_complete = true;
            is_lone = false;
            match frame {
                Ok(Frame::Message(message)) => self.hand_in(message),
                Ok(Frame::Ping) if self.is_patient() => is_asked = true,
                // Another line end behind it, and it was half a ping.
                Ok(Frame::Pong) if self.is_patient() => {
                    self.spoke();
                    is_lone = true;
                }
                Ok(Frame::Ping | Frame::Pong) => break,
                Err(error) => {
                    self.is_reading = false;
                    let held = self.framer.buffered();
                    let evidence = held.get(..EVIDENCE.min(held.len())).unwrap_or_default();
                    self.malformed(Bytes::copy_from_slice(evidence), error, true);
                    break;
                }
            }
        }
        if is_asked {
            self.answer_keep_alive();
        }
        let (now, pong_timeout) = (self.last_read, self.config.pong_timeout);
        if is_lone && self.keeps_alive.answered(now, pong_timeout) {
            self.framer.take_pong();
        }
        was_complete
    }

    /// Whether what comes ever becomes a message. Records and frames that carry nothing cost next to nothing to send, and reach no rate.
    fn comes_to_something(&mut self, more: usize) -> bool {
        self.in_vain = self.in_vain.saturating_add(more);
        let most = self.limits.message_bytes.saturating_mul(IN_VAIN);
        if self.in_vain <= most {
            return true;
        }
        self.is_reading = false;
        let why = format!("it sent {most} bytes and no whole message");
        self.tell("closed a connection", why, false);
        self.outbox.close(TransmitError::Closed, &self.inboxes);
        false
    }

    /// Whether one more line end is taken. They reach neither rates nor filters, cost next to nothing to send, and nobody needs many.
    fn is_patient(&mut self) -> bool {
        let (begun, count) = self.line_ends;
        let is_old = self.last_read.duration_since(begun) >= Duration::from_secs(1);
        self.line_ends = if is_old {
            (self.last_read, 1)
        } else {
            (begun, count + 1)
        };
        if self.line_ends.1 <= LINE_ENDS {
            return true;
        }
        if self.is_reading {
            self.is_reading = false;
            let why = format!("it sent more than {LINE_ENDS} line ends or pings in a second");
            self.tell("closed a connection", why, false);
            self.outbox.close(TransmitError::Closed, &self.inboxes);
        }
        false
    }

    /// One answer for all that were asked for in one read.
    fn answer_keep_alive(&mut self) {
        self.spoke();
        self.outbox.push_keep_alive(b"\r\n");
        // An error shows at the next read.
        let _ = self.outbox.write();
    }

    /// Takes a message whose ends the WebSocket told: no Content-Length is needed, and a bad one is not the end of the connection.
    fn whole_message(&mut self, bytes: Bytes) {
        if bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
            // Scripts in browsers cannot send a WebSocket ping, so that some send CRLF as a message (RFC 5626 §4.4.1).
            if self.is_patient() && bytes.len() >= 4 {
                self.answer_keep_alive();
            }
            return;
        }
        match Message::parse(bytes.clone(), &self.limits) {
            Ok(message) => self.hand_in(message),
            Err(error) => self.malformed(bytes.slice(..EVIDENCE.min(bytes.len())), error, false),
        }
    }

    /// Gives a message to the shard that owns its call.
    fn hand_in(&mut self, message: Message) {
        self.spoke();
        // Line ends before a message belong to it (RFC 3261 §7.5), and it is counted itself.
        let (begun, count) = self.line_ends;
        self.line_ends = (begun, count.saturating_sub(WITH_MESSAGE));
        self.note_alias(&message);
        self.keeps_alive.note(&message, self.last_read);
        let shards = u8::try_from(self.inboxes.len()).unwrap_or(u8::MAX);
        let owner = if shards == 1 {
            0
        } else {
            message
                .call_id()
                .map_or(self.shard, |call_id| shard_of(call_id.as_bytes(), shards))
        };
        if let Some(inbox) = self.inboxes.get(usize::from(owner)) {
            if owner == self.shard {
                inbox.push(Item::Message(self.origin, message));
            } else if inbox.hand_in(self.origin, message) {
                self.crowded = Some(owner);
            }
        }
    }

    /// The peer sent something whole.
    fn spoke(&mut self) {
        self.in_vain = 0;
        if !self.has_spoken {
            self.has_spoken = true;
            self.first_by = None;
            self.outbox.spoke();
        }
    }

    /// `alias` in the top Via of a request: later requests for its sent-by may take this connection, if the peer's certificate proves that
    /// name (RFC 5923 §5).
    fn note_alias(&mut self, message: &Message) {
        let (Some(certificate), Some(id), true) = (
            &self.certificate,
            self.origin.connection,
            message.is_request(),
        ) else {
            return;
        };
        let Some(via) = message
            .top_via()
            .ok()
            .filter(|via| via.params.get("alias").is_some())
        else {
            return;
        };
        let (host, port) = via.sent_by();
        if !certificate.proves_host(via.host) {
            return;
        }
        let name = host.to_string();
        let transport = self.origin.transport;
        let port = port.unwrap_or_else(|| transport.default_port());
        let peer = SocketAddr::new(self.origin.peer.ip(), port);
        let key = Key::new(transport, peer, Some(Arc::from(name)));
        if self.alias.as_ref() == Some(&key) {
            return;
        }
        if let Some(inbox) = self.inboxes.get(usize::from(self.shard)) {
            inbox.push(Item::Alias(id, key.clone()));
        }
        self.alias = Some(key);
    }

    /// What came is no message: the engine may answer, then, where the stream cannot be read further, the connection ends.
    fn malformed(&mut self, evidence: Bytes, error: ParseError, is_end: bool) {
        self.in_vain = 0;
        let (Some(inbox), Some(id)) = (
            self.inboxes.get(usize::from(self.shard)),
            self.origin.connection,
        ) else {
            return;
        };
        let malformed = Item::Malformed(self.origin, evidence, error);
        inbox.extend(
            [malformed]
                .into_iter()
                .chain(is_end.then_some(Item::Hangup(id))),
        );
    }

    /// Every shard may have calls of this peer.
    fn tell_certificate(&mut self, certificate: Option<PeerCertificate>) {
        let (Some(certificate), Some(id)) = (certificate, self.origin.connection) else {
            return;
        };
        let certificate = Arc::new(certificate);
        self.certificate = Some(certificate.clone());
        for inbox in self.inboxes.iter() {
            inbox.push(Item::Certified(id, certificate.clone()));
        }
        // Whoever was connected to by a name may prove the address as well.
        let peer = self.origin.peer;
        let host = match peer.ip() {
            IpAddr::V4(address) => Host::V4(address),
            IpAddr::V6(address) => Host::V6(address),
        };
        if self.server_name.is_some()
            && certificate.proves_host(host)
            && let Some(inbox) = self.inboxes.get(usize::from(self.shard))
        {
            let key = Key::opened(self.origin.transport, peer, None);
            inbox.push(Item::Alias(id, key));
        }
    }

    /// TLS or WebSocket failed. What is owed to the peer for it is queued already.
    fn fail(&mut self, failure: Failure) {
        self.is_reading = false;
        let (error, what, why) = match failure {
            Failure::Closed => return,
            Failure::Untrusted(distrust, why) => {
                let what = match distrust {
                    Distrust::OwnRefused | Distrust::OwnMissing => "the handshake failed",
                    _ => "the peer is not trusted",
                };
                (TransmitError::Untrusted(distrust), what, why)
            }
            Failure::Handshake(why) => (TransmitError::Handshake, "the handshake failed", why),
            Failure::Broken(why) => (TransmitError::Closed, "the peer broke the protocol", why),
        };
        self.failure = Some(error);
        self.tell(what, why, error != TransmitError::Closed);
    }

    /// Tells the driver, which logs within its bounds.
    pub(super) fn tell(&self, what: &'static str, why: String, is_handshake: bool) {
        if let Some(inbox) = self.inboxes.get(usize::from(self.shard)) {
            inbox.push(Item::Fault(Box::new(Fault {
                peer: self.origin.peer,
                transport: self.origin.transport,
                server_name: self.server_name.clone(),
                what,
                why,
                is_handshake,
            })));
        }
    }
}
