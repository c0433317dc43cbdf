//! The SIP text that applications send: start line, header fields, body.
//!
//! It is read tolerantly, as people and JavaScript write it: any order, any case, LF or CRLF, a Content-Length that counts
//! characters. Names and values are slices of the frame. What the fields mean, and whether they may be sent, is the engine's business.
use bytes::Bytes;
use engine::command::Draft;
use memchr::memchr2;

/// The SIP part of a frame.
#[derive(Clone, Debug, Default)]
pub struct SipText {
    /// The first line, without its end.
    pub start_line: Bytes,
    /// The header fields, without Content-Length, and the body: everything after the first empty line.
    pub draft: Draft,
}

impl SipText {
    /// Reads `text`. Lines that are no header field are left out.
    #[must_use]
    pub fn parse(text: &Bytes) -> SipText {
        let mut lines = Lines { rest: text.clone() };
        let Some(start_line) = lines.next() else {
            return SipText::default();
        };
        let mut draft = Draft {
            headers: Vec::with_capacity(8),
            body: Bytes::new(),
        };
        // Whether the line before became a field: a folded line continues it, or is left out with it.
        let mut is_kept = false;
        while let Some(line) = lines.next() {
            if line.is_empty() {
                draft.body = lines.rest;
                break;
            }
            if line
                .first()
                .is_some_and(|byte| matches!(byte, b' ' | b'\t'))
            {
                if let Some((_, value)) = draft.headers.last_mut().filter(|_| is_kept) {
                    *value = unfold(value, &line);
                }
                continue;
            }
            let field = field(&line);
            is_kept = field.is_some();
            draft.headers.extend(field);
        }
        SipText { start_line, draft }
    }
}

/// Joins a folded line to the value it continues (RFC 3261 §7.3.1).
fn unfold(value: &Bytes, line: &Bytes) -> Bytes {
    [value.as_ref(), line.as_ref().trim_ascii()]
        .join(&b' ')
        .into()
}

fn field(line: &Bytes) -> Option<(Bytes, Bytes)> {
    let colon = memchr::memchr(b':', line)?;
    let name = line.get(..colon)?.trim_ascii();
    let value = line.get(colon + 1..)?.trim_ascii();
    if name.is_empty()
        || !name.iter().all(|&byte| is_token(byte))
        || name.eq_ignore_ascii_case(b"content-length")
        || name.eq_ignore_ascii_case(b"l")
    {
        return None;
    }
    Some((line.slice_ref(name), line.slice_ref(value)))
}

/// Whether a byte may stand in a token (RFC 3261 §25.1).
#[must_use]
pub fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~'
        )
}

struct Lines {
    rest: Bytes,
}

impl Lines {
    /// The next line without its end (CRLF, LF or CR); none at the end of the text.
    fn next(&mut self) -> Option<Bytes> {
        if self.rest.is_empty() {
            return None;
        }
        let end = memchr2(b'\r', b'\n', &self.rest).unwrap_or(self.rest.len());
        let line = self.rest.split_to(end);
        let terminator = match self.rest.as_ref() {
            [b'\r', b'\n', ..] => 2,
            [] => 0,
            _ => 1,
        };
        self.rest = self.rest.slice(terminator..);
        Some(line)
    }
}
