//! A WebSocket after its handshake (RFC 6455, RFC 7118): one WebSocket message is one SIP message. The frames are tungstenite's.
use super::{Failure, Received};
use bytes::Bytes;
use std::io::{self, Read, Write};
use tungstenite::Message;
use tungstenite::error::{CapacityError, Error};
use tungstenite::protocol::frame::Utf8Bytes;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig, WebSocketContext};

/// What a connection's read buffer begins with: a browser's message fits, and an idle connection costs little.
const BUFFER: usize = 1024;

/// A WebSocket.
pub(super) struct WebSocket {
    context: WebSocketContext,
    frames: Frames,
}

/// The two ends that frames are read from and written to, in memory.
struct Pipe<'a> {
    wire: &'a [u8],
    out: &'a mut Vec<u8>,
}

impl Read for Pipe<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.wire.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.wire.read(buffer)
    }
}

impl Write for Pipe<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl WebSocket {
    pub fn new(is_server: bool, max_message_bytes: usize) -> Box<WebSocket> {
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER)
            .write_buffer_size(0)
            .max_message_size(Some(max_message_bytes))
            .max_frame_size(Some(max_message_bytes));
        let role = if is_server {
            Role::Server
        } else {
            Role::Client
        };
        Box::new(WebSocket {
            context: WebSocketContext::new(role, Some(config)),
            frames: Frames::default(),
        })
    }

    /// Whether a frame or a message of several frames is begun and not complete.
    pub fn is_within(&self) -> bool {
        self.frames.is_within()
    }

    /// Takes frames, or parts of them.
    pub fn receive(
        &mut self,
        wire: &[u8],
        received: &mut Received,
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        self.frames.count(wire);
        let mut pipe = Pipe { wire, out };
        loop {
            match self.context.read(&mut pipe) {
                Ok(Message::Text(text)) => received.messages.push(text.into()),
                Ok(Message::Binary(bytes)) => received.messages.push(bytes),
                Ok(Message::Ping(_) | Message::Pong(_)) => received.controls += 1,
                Ok(Message::Close(_) | Message::Frame(_)) => {}
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => return Err(Failure::Closed),
                Err(error) => {
                    let code = match &error {
                        Error::Capacity(CapacityError::MessageTooLong { .. }) => CloseCode::Size,
                        Error::Utf8(_) => CloseCode::Invalid,
                        _ => CloseCode::Protocol,
                    };
                    self.close_with(code, pipe.out);
                    return Err(Failure::Broken(error.to_string()));
                }
            }
        }
    }

    /// A message as a frame: text where it is text (RFC 7118 §5).
    pub fn send(&mut self, message: Bytes, out: &mut Vec<u8>) -> Result<(), Failure> {
        let message = match Utf8Bytes::try_from(message.clone()) {
            Ok(text) => Message::Text(text),
            Err(_) => Message::Binary(message),
        };
        self.write(message, out)
    }

    pub fn ping(&mut self, out: &mut Vec<u8>) -> Result<(), Failure> {
        self.write(Message::Ping(Bytes::new()), out)
    }

    fn write(&mut self, message: Message, out: &mut Vec<u8>) -> Result<(), Failure> {
        let mut pipe = Pipe { wire: &[], out };
        let result = self
            .context
            .write(&mut pipe, message)
            .and_then(|()| self.context.flush(&mut pipe));
        result.map_err(|error| match error {
            Error::ConnectionClosed | Error::AlreadyClosed => Failure::Closed,
            other => Failure::Broken(other.to_string()),
        })
    }

    pub fn close(&mut self, out: &mut Vec<u8>) {
        self.close_with(CloseCode::Away, out);
    }

    fn close_with(&mut self, code: CloseCode, out: &mut Vec<u8>) {
        let reason = Utf8Bytes::from_static("");
        let mut pipe = Pipe { wire: &[], out };
        // Closed already: there is nothing to say.
        let _ = self
            .context
            .close(&mut pipe, Some(CloseFrame { code, reason }));
    }
}

/// Where the peer is within its stream of frames (RFC 6455 §5.2): tungstenite does not tell, and a frame that never ends is how a
/// connection is held open for nothing.
#[derive(Default)]
struct Frames {
    header: [u8; 14],
    header_length: usize,
    remaining: u64,
    /// A message of several frames is open.
    is_fragmented: bool,
}

impl Frames {
    fn count(&mut self, mut wire: &[u8]) {
        while let Some((first, rest)) = wire.split_first() {
            if self.remaining > 0 {
                let taken = usize::try_from(self.remaining)
                    .map_or(wire.len(), |remaining| remaining.min(wire.len()));
                self.remaining -= taken as u64;
                wire = wire.get(taken..).unwrap_or_default();
                continue;
            }
            if let Some(place) = self.header.get_mut(self.header_length) {
                *place = *first;
            }
            self.header_length += 1;
            wire = rest;
            self.end_header();
        }
    }

    /// When the header is complete, what follows it is known.
    fn end_header(&mut self) {
        let [flags, second, rest @ ..] = self.header;
        let length_bytes = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask_bytes = if second & 0x80 == 0 { 0 } else { 4 };
        if self.header_length < 2 || self.header_length < 2 + length_bytes + mask_bytes {
            return;
        }
        self.remaining = match length_bytes {
            0 => u64::from(second & 0x7f),
            count => rest
                .iter()
                .take(count)
                .fold(0, |length, byte| (length << 8) | u64::from(*byte)),
        };
        self.header_length = 0;
        // A control frame may come between the frames of a message.
        if flags & 0x08 == 0 {
            self.is_fragmented = flags & 0x80 == 0;
        }
    }

    fn is_within(&self) -> bool {
        self.remaining > 0 || self.header_length > 0 || self.is_fragmented
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_side_sends_the_other_receives_however_it_is_cut() {
        let mut client = WebSocket::new(false, 70_000);
        let mut wire = Vec::new();
        let texts = ["one".to_owned(), "x".repeat(300), "y".repeat(66_000)];
        for text in &texts {
            client.send(Bytes::from(text.clone()), &mut wire).unwrap();
        }
        client
            .send(Bytes::from_static(b"\xff\xfe"), &mut wire)
            .unwrap();
        for size in [1, 2, 13, 1000, wire.len()] {
            let mut server = WebSocket::new(true, 70_000);
            let (mut received, mut out) = (Received::default(), Vec::new());
            for chunk in wire.chunks(size) {
                server.receive(chunk, &mut received, &mut out).unwrap();
            }
            let lengths: Vec<usize> = received.messages.iter().map(Bytes::len).collect();
            assert_eq!(lengths, [3, 300, 66_000, 2]);
            assert!(!server.is_within());
        }
    }

    #[test]
    fn what_is_begun_is_known() {
        let mut server = WebSocket::new(true, 1000);
        let (mut received, mut out) = (Received::default(), Vec::new());
        // A masked text frame that is not the last one of its message, a ping in between, then the last one.
        let first = [0x01, 0x81, 0, 0, 0, 0, b'a'];
        let ping = [0x89, 0x80, 0, 0, 0, 0];
        let last = [0x80, 0x81, 0, 0, 0, 0, b'b'];
        server
            .receive(&first[..3], &mut received, &mut out)
            .unwrap();
        assert!(server.is_within());
        server
            .receive(&first[3..], &mut received, &mut out)
            .unwrap();
        server.receive(&ping, &mut received, &mut out).unwrap();
        assert!(server.is_within() && received.controls == 1 && received.messages.is_empty());
        assert_eq!(out, [0x8a, 0x00], "a pong");
        server.receive(&last, &mut received, &mut out).unwrap();
        assert!(!server.is_within());
        assert_eq!(received.messages, [Bytes::from_static(b"ab")]);
    }

    #[test]
    fn too_long_a_message_is_refused_before_it_is_there() {
        let mut server = WebSocket::new(true, 1000);
        let (mut received, mut out) = (Received::default(), Vec::new());
        let header = [0x81, 0xfe, 0x10, 0x00, 0, 0, 0, 0];
        let failure = server
            .receive(&header, &mut received, &mut out)
            .unwrap_err();
        assert!(matches!(failure, Failure::Broken(_)), "{failure:?}");
        assert_eq!(out[..4], [0x88, 0x02, 0x03, 0xf1], "closed with 1009");
    }
}
