//! Framing of the control protocol, inbound: `<length>#<payload>`, the length in bytes as decimal digits.
//!
//! Frames come out as slices of the receive buffer. This module knows nothing of what a payload means, and refuses lengths
//! past its limit before it holds the bytes.
use bytes::{Buf, Bytes, BytesMut};
use std::fmt;

/// More digits than any permitted length has: the peer does not speak this protocol.
const DIGITS: usize = 10;

/// How much room is made for each read, in bytes.
const READ_BYTES: usize = 64 * 1024;

/// Cuts a byte stream into frames, however the stream is chunked.
#[derive(Debug)]
pub struct Decoder {
    buffer: BytesMut,
    limit: usize,
}

impl Decoder {
    /// A decoder that accepts payloads of up to `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Decoder {
        Decoder {
            buffer: BytesMut::new(),
            limit,
        }
    }

    /// Changes the limit for frames not yet taken (a client may send more once it is authenticated).
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// The buffer to read into, with room for one read. Only append to it.
    pub fn buffer(&mut self) -> &mut BytesMut {
        if self.buffer.capacity() - self.buffer.len() < READ_BYTES / 4 {
            self.buffer.reserve(READ_BYTES);
        }
        &mut self.buffer
    }

    /// Appends bytes that were received.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The bytes received and not yet taken as frames.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.buffer.len()
    }

    /// Takes the next whole payload; none while it is incomplete.
    ///
    /// # Errors
    /// A [`FrameError`]: the stream cannot be followed any further and is to be closed.
    pub fn next_payload(&mut self) -> Result<Option<Bytes>, FrameError> {
        let mut length = 0_usize;
        let mut header = None;
        for (index, &byte) in self.buffer.iter().take(DIGITS + 1).enumerate() {
            match byte {
                b'0'..=b'9' => {
                    length = length
                        .saturating_mul(10)
                        .saturating_add(usize::from(byte - b'0'))
                }
                b'#' if index > 0 => {
                    header = Some(index + 1);
                    break;
                }
                _ => return Err(FrameError::NotALength { byte, index }),
            }
        }
        if length > self.limit {
            return Err(FrameError::TooLong {
                announced: length,
                limit: self.limit,
            });
        }
        let Some(header) = header else {
            if self.buffer.len() > DIGITS {
                return Err(FrameError::TooLong {
                    announced: length,
                    limit: self.limit,
                });
            }
            return Ok(None);
        };
        if length == 0 {
            return Err(FrameError::Empty);
        }
        if self.buffer.len() - header < length {
            return Ok(None);
        }
        self.buffer.advance(header);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }
}

/// Why a stream of frames cannot be followed.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum FrameError {
    /// A byte that is neither a digit nor `#` stands where the length was expected.
    NotALength {
        /// The byte.
        byte: u8,
        /// Its position in the frame.
        index: usize,
    },
    /// The frame announces a payload of more bytes than are accepted.
    TooLong {
        /// What it announces, in bytes (saturated).
        announced: usize,
        /// What is accepted, in bytes.
        limit: usize,
    },
    /// The frame announces an empty payload.
    Empty,
    /// The message identifier is empty, longer than 128 bytes or has control characters: no reply could name it.
    MessageId,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameError::NotALength { byte, index } => write!(
                f,
                "byte 0x{byte:02x} at offset {index} of a frame, where `<length>#` was expected: the peer does not speak the \
                 control protocol, or counts the length in characters instead of bytes"
            ),
            FrameError::TooLong { announced, limit } => {
                write!(f, "a frame announces {announced} bytes, more than the {limit} accepted")
            }
            FrameError::Empty => f.write_str("a frame announces an empty payload"),
            FrameError::MessageId => {
                f.write_str("a frame's message identifier is empty, longer than 128 bytes, or has control characters")
            }
        }
    }
}

impl std::error::Error for FrameError {}
