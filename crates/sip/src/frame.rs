//! Framing of SIP on a stream (RFC 3261 §18.3, RFC 5626 §3.5.1): bytes in, messages and keep-alives out.
//!
//! What comes out does not depend on how the bytes were cut. It holds at most one message and what was pushed last.
use crate::error::{ParseError, ParseErrorKind};
use crate::head::{self, Head, Mode};
use crate::limits::Limits;
use crate::message::Message;
use bytes::BytesMut;

/// What a stream carries.
#[derive(Clone, Debug)]
pub enum Frame {
    /// A message.
    Message(Message),
    /// A keep-alive to be answered with CRLF: the second of two CRLFs between messages.
    Ping,
    /// One CRLF between messages: the answer to a ping, or the first half of one. Whoever waits for an answer takes it
    /// ([`Framer::take_pong`]), any other ignores it.
    Pong,
}

/// Cuts a stream into messages.
#[derive(Debug)]
pub struct Framer {
    limits: Limits,
    buffer: BytesMut,
    /// How far the search for the end of the head has come.
    scanned: usize,
    /// The head of the message whose body is not there yet, and the body's length.
    head: Option<(Head, usize)>,
    /// Whether the last frame was the first CRLF of what may become a ping.
    half_ping: bool,
    failed: bool,
}

impl Framer {
    /// A framer at the start of a stream.
    #[must_use]
    pub fn new(limits: Limits) -> Framer {
        Framer {
            limits,
            buffer: BytesMut::new(),
            scanned: 0,
            head: None,
            half_ping: false,
            failed: false,
        }
    }

    /// Takes bytes as they came. Call [`Framer::next`] until it gives none before pushing more: that bounds what is held.
    pub fn push(&mut self, bytes: &[u8]) {
        if !self.failed {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The CRLF that came last was the answer to a ping of ours: it is no first half of one of the peer's.
    pub fn take_pong(&mut self) {
        self.half_ping = false;
    }

    /// The bytes that are held and belong to no frame yet: after an error, from the start of the message that is wrong.
    #[must_use]
    pub fn buffered(&self) -> &[u8] {
        &self.buffer
    }

    /// The next frame; none when more bytes are needed. After an error the stream is lost: there is no telling where the next
    /// message begins. Answer what [`Framer::buffered`] holds if it can be answered, and close it.
    // The name is that of an iterator's, without being one: the bytes are pushed in between.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Option<Result<Frame, ParseError>> {
        if self.failed {
            return None;
        }
        let frame = self.advance().transpose();
        self.failed = matches!(frame, Some(Err(_)));
        frame
    }

    fn advance(&mut self) -> Result<Option<Frame>, ParseError> {
        if self.head.is_none() {
            if let Some(keep_alive) = self.keep_alive() {
                return Ok(Some(keep_alive));
            }
            if !self.find_head()? {
                return Ok(None);
            }
        }
        let total = self
            .head
            .as_ref()
            .map_or(usize::MAX, |(head, body)| head.body as usize + body);
        if self.buffer.len() < total {
            return Ok(None);
        }
        let Some((head, body)) = self.head.take() else {
            return Ok(None);
        };
        let bytes = self.buffer.split_to(total).freeze();
        self.scanned = 0;
        self.half_ping = false;
        Message::from_head(bytes, head, body, &self.limits)
            .map(|message| Some(Frame::Message(message)))
    }

    /// A line end between messages.
    fn keep_alive(&mut self) -> Option<Frame> {
        // A line feed alone means nothing. No message begins with either, so none in progress is cut.
        while self.buffer.first() == Some(&b'\n') {
            self.skip(1);
        }
        if self.buffer.get(..2) != Some(b"\r\n") {
            return None;
        }
        self.skip(2);
        self.half_ping = !self.half_ping;
        Some(if self.half_ping {
            Frame::Pong
        } else {
            Frame::Ping
        })
    }

    fn skip(&mut self, count: usize) {
        let _ = self.buffer.split_to(count);
        self.scanned = 0;
    }

    /// Looks for the end of the head and reads it; whether it is there.
    fn find_head(&mut self) -> Result<bool, ParseError> {
        let Some(end) = self.head_end() else {
            // The empty line that ends the head is not counted: all but its last byte may be here.
            let most = self.limits.head_bytes.saturating_add(1);
            if self.buffer.len() > most.min(self.limits.message_bytes) {
                return Err(ParseError::new(
                    ParseErrorKind::HeadTooLong,
                    self.buffer.len(),
                ));
            }
            return self.check_first_byte().map(|()| false);
        };
        let head = head::parse(
            self.buffer.get(..end).unwrap_or_default(),
            &self.limits,
            Mode::Strict,
        )?;
        let Some(length) = head.content_length else {
            return Err(ParseError::new(ParseErrorKind::ContentLengthMissing, end));
        };
        let body = length as usize;
        if body > self.limits.body_bytes || end.saturating_add(body) > self.limits.message_bytes {
            return Err(ParseError::new(ParseErrorKind::BodyTooLong, end));
        }
        self.head = Some((head, body));
        Ok(true)
    }

    /// A stream that begins with what no message begins with is not SIP (TLS on a TCP port, a scan): no need to wait for more.
    fn check_first_byte(&self) -> Result<(), ParseError> {
        match self.buffer.first() {
            Some(b'\r') if self.buffer.len() == 1 => Ok(()),
            Some(byte) if !crate::grammar::is_token_byte(*byte) => {
                Err(ParseError::new(ParseErrorKind::NotSip, 0))
            }
            _ => Ok(()),
        }
    }

    /// The offset behind the empty line that ends the head.
    fn head_end(&mut self) -> Option<usize> {
        let mut from = self.scanned;
        while let Some(found) = memchr::memchr(b'\n', self.buffer.get(from..).unwrap_or_default()) {
            let feed = from + found;
            match (self.buffer.get(feed + 1), self.buffer.get(feed + 2)) {
                (Some(b'\n'), _) => return Some(feed + 2),
                (Some(b'\r'), Some(b'\n')) => return Some(feed + 3),
                // The next bytes decide: look at this line end again.
                (None, _) | (Some(b'\r'), None) => {
                    self.scanned = feed;
                    return None;
                }
                _ => from = feed + 1,
            }
        }
        self.scanned = self.buffer.len();
        None
    }
}
