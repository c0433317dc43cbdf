//! A payload, cut: `msgId|type|...`, a line end, SIP text.
//!
//! What the parts mean is read in `request`.
use crate::frame::FrameError;
use bytes::Bytes;
use memchr::memchr;

/// The longest message identifier a client may use, in bytes.
const MESSAGE_ID_BYTES: usize = 128;

/// A frame of a client, cut into its parts.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// The client's identifier for this frame; the reply carries it.
    pub message_id: Bytes,
    /// The meta line from the type on.
    pub meta: Bytes,
    /// What follows the meta line.
    pub text: Bytes,
}

impl Envelope {
    /// Cuts a payload into meta line and SIP text.
    ///
    /// # Errors
    /// `FrameError::MessageId` when no reply could name the frame.
    pub fn open(payload: &Bytes) -> Result<Envelope, FrameError> {
        let end = memchr(b'\n', payload).unwrap_or(payload.len());
        let line = payload.slice(..end);
        let text = payload.slice((end + 1).min(payload.len())..);
        let line = line
            .strip_suffix(b"\r")
            .map_or_else(|| line.clone(), |stripped| line.slice_ref(stripped));
        let separator = memchr(b'|', &line).unwrap_or(line.len());
        let message_id = line.slice(..separator);
        let is_nameable = (1..=MESSAGE_ID_BYTES).contains(&message_id.len())
            && !message_id.iter().any(u8::is_ascii_control);
        if !is_nameable {
            return Err(FrameError::MessageId);
        }
        Ok(Envelope {
            message_id,
            meta: line.slice((separator + 1).min(line.len())..),
            text,
        })
    }

    /// Whether this frame is `authenticate`.
    #[must_use]
    pub fn is_authenticate(&self) -> bool {
        self.meta.split(|&byte| byte == b'|').next() == Some(b"authenticate")
    }
}
