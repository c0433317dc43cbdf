//! The SIP text that applications send: start line, header fields, body.
//!
//! It is read tolerantly, as people and JavaScript write it: any order, any case, LF or CRLF, a Content-Length that counts
//! characters. Names and values are slices of the frame. What the fields mean, and whether they may be sent, is the engine's business.
use bytes::Bytes;
use engine::command::Draft;
use memchr::{memchr, memchr2};

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
        let mut lines = Lines { rest: text };
        let start_line = lines.next().unwrap_or_default();
        let mut draft = Draft {
            headers: Vec::with_capacity(8),
            ..Draft::default()
        };
        // Whether the line before became a field: a folded line continues it, or is left out with it.
        let mut is_kept = false;
        while let Some(line) = lines.next() {
            match line.first() {
                None => {
                    draft.body = text.slice_ref(lines.rest);
                    break;
                }
                Some(b' ' | b'\t') => {
                    if let Some((_, value)) = draft.headers.last_mut().filter(|_| is_kept) {
                        *value = unfold(value, line);
                    }
                }
                Some(_) => {
                    let field = field(line);
                    is_kept = field.is_some();
                    draft.headers.extend(
                        field.map(|(name, value)| (text.slice_ref(name), text.slice_ref(value))),
                    );
                }
            }
        }
        SipText {
            start_line: text.slice_ref(start_line),
            draft,
        }
    }
}

/// Joins a folded line to the value it continues (RFC 3261 §7.3.1).
fn unfold(value: &Bytes, line: &[u8]) -> Bytes {
    [value.as_ref(), line.trim_ascii()].join(&b' ').into()
}

/// Name and value of a header field; none for what is no field, and for Content-Length, which applications count in characters.
fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr(b':', line)?;
    let name = line.get(..colon)?.trim_ascii();
    let value = line.get(colon + 1..)?.trim_ascii();
    let is_length = name.eq_ignore_ascii_case(b"content-length") || name.eq_ignore_ascii_case(b"l");
    let is_field = !name.is_empty() && name.iter().all(|&byte| is_token(byte)) && !is_length;
    is_field.then_some((name, value))
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

struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Lines<'a> {
    /// The next line without its end (CRLF, LF or CR); none at the end of the text.
    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let end = memchr2(b'\r', b'\n', self.rest).unwrap_or(self.rest.len());
        let (line, rest) = self.rest.split_at_checked(end)?;
        self.rest = match rest {
            [b'\r', b'\n', rest @ ..] | [_, rest @ ..] => rest,
            [] => rest,
        };
        Some(line)
    }
}
