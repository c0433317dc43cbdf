//! Bodies of several parts (RFC 2046 §5.1, RFC 5621): the part of a kind is found, and nothing is copied.
use crate::grammar::trim;
use crate::header::params::Params;
use crate::message::Message;
use crate::name::HeaderName;

/// How deep parts may lie in parts.
const DEPTH: usize = 3;

/// A part of a body, or the whole of one that has no parts.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct BodyPart<'a> {
    /// The value of its Content-Type, as sent; empty where there is none.
    pub content_type: &'a str,
    /// Its header fields, as sent; empty for the whole of a body, whose are the message's.
    pub head: &'a [u8],
    /// What it holds.
    pub body: &'a [u8],
}

impl<'a> BodyPart<'a> {
    /// Whether it is of a media type such as `application/sdp`, in any case, its parameters aside.
    #[must_use]
    pub fn is(&self, media_type: &str) -> bool {
        let (own, _) = Params::split(self.content_type);
        let (kind, sub) = own.split_once('/').unwrap_or((own, ""));
        let (other_kind, other_sub) = media_type.split_once('/').unwrap_or((media_type, ""));
        kind.trim().eq_ignore_ascii_case(other_kind) && sub.trim().eq_ignore_ascii_case(other_sub)
    }

    /// The value of its first header field of that name, as sent.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a str> {
        field(self.head, name)
    }

    /// Its Content-ID, without brackets.
    #[must_use]
    pub fn content_id(&self) -> Option<&'a str> {
        let id = self.header("Content-ID")?;
        let inner = id.strip_prefix('<').and_then(|id| id.strip_suffix('>'));
        Some(inner.unwrap_or(id))
    }

    /// The parts that it consists of; none where it is no `multipart/...` with a boundary.
    pub fn parts(&self) -> Parts<'a> {
        let (own, params) = Params::split(self.content_type);
        let is_multipart = own
            .get(..10)
            .is_some_and(|kind| kind.eq_ignore_ascii_case("multipart/"));
        let boundary = params.get_raw("boundary").flatten().unwrap_or("");
        let boundary = boundary
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .unwrap_or(boundary);
        let mut parts = Parts {
            rest: &[],
            boundary,
        };
        if is_multipart && !boundary.is_empty() {
            // What stands before the first delimiter is for people.
            if let Some((_, after, false)) = delimiter(self.body, boundary) {
                parts.rest = after;
            }
        }
        parts
    }

    fn find(self, wanted: &impl Fn(&BodyPart<'a>) -> bool, depth: usize) -> Option<BodyPart<'a>> {
        if wanted(&self) {
            return Some(self);
        }
        if depth == 0 {
            return None;
        }
        self.parts().find_map(|part| part.find(wanted, depth - 1))
    }
}

/// The parts of a body, in order.
#[derive(Clone, Debug)]
pub struct Parts<'a> {
    rest: &'a [u8],
    boundary: &'a str,
}

impl<'a> Iterator for Parts<'a> {
    type Item = BodyPart<'a>;

    fn next(&mut self) -> Option<BodyPart<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        // A body that was cut off ends its last part.
        let (part, after, last) =
            delimiter(self.rest, self.boundary).unwrap_or((self.rest, &[], true));
        self.rest = if last { &[] } else { after };
        let (head, body) = split_head(part);
        Some(BodyPart {
            content_type: field(head, "Content-Type").unwrap_or(""),
            head,
            body,
        })
    }
}

/// What stands before the next delimiter line, what behind it, and whether it is the closing one.
fn delimiter<'a>(text: &'a [u8], boundary: &str) -> Option<(&'a [u8], &'a [u8], bool)> {
    let mut at = 0;
    while let Some(line) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let length = memchr::memchr(b'\n', line).map_or(line.len(), |end| end + 1);
        let content = trim(line.get(..length)?);
        let name = content
            .strip_prefix(b"--")
            .and_then(|rest| rest.strip_prefix(boundary.as_bytes()));
        if let Some(tail @ (b"" | b"--")) = name {
            let before = text.get(..at)?;
            // The line end before a delimiter is the delimiter's (RFC 2046 §5.1.1).
            let before = before.strip_suffix(b"\n").unwrap_or(before);
            let before = before.strip_suffix(b"\r").unwrap_or(before);
            return Some((before, text.get(at + length..)?, !tail.is_empty()));
        }
        at += length;
    }
    None
}

/// The header fields of a part, and its body.
fn split_head(part: &[u8]) -> (&[u8], &[u8]) {
    let mut at = 0;
    while let Some(line) = part.get(at..).filter(|rest| !rest.is_empty()) {
        let length = memchr::memchr(b'\n', line).map_or(line.len(), |end| end + 1);
        if trim(line.get(..length).unwrap_or_default()).is_empty() {
            return (
                part.get(..at).unwrap_or_default(),
                part.get(at + length..).unwrap_or_default(),
            );
        }
        at += length;
    }
    (part, &[])
}

/// The value of the first field of that name, a folded one with its folds.
fn field<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    let mut at = 0;
    while let Some(line) = head.get(at..).filter(|rest| !rest.is_empty()) {
        let mut length = memchr::memchr(b'\n', line).map_or(line.len(), |end| end + 1);
        while matches!(line.get(length), Some(b' ' | b'\t')) {
            let next = line.get(length..)?;
            length += memchr::memchr(b'\n', next).map_or(next.len(), |end| end + 1);
        }
        let text = std::str::from_utf8(line.get(..length)?).unwrap_or("");
        if let Some((own, value)) = text.split_once(':') {
            if own.trim().eq_ignore_ascii_case(name) {
                return Some(value.trim());
            }
        }
        at += length;
    }
    None
}

impl Message {
    /// The body as a part: the whole of it. None where it is empty.
    #[must_use]
    pub fn whole_body(&self) -> Option<BodyPart<'_>> {
        let content_type = self.header(HeaderName::ContentType);
        (!self.body().is_empty()).then(|| BodyPart {
            content_type: content_type
                .and_then(|field| std::str::from_utf8(field.raw_value()).ok())
                .unwrap_or(""),
            head: &[],
            body: self.body(),
        })
    }

    /// The body, or the first part of a multipart one, that is of a media type such as `application/sdp`.
    #[must_use]
    pub fn body_part(&self, media_type: &str) -> Option<BodyPart<'_>> {
        self.whole_body()?.find(&|part| part.is(media_type), DEPTH)
    }

    /// The part of a multipart body with that Content-ID, given without brackets: what a `cid:` URI names (RFC 2392).
    #[must_use]
    pub fn body_part_by_id(&self, content_id: &str) -> Option<BodyPart<'_>> {
        self.whole_body()?
            .find(&|part| part.content_id() == Some(content_id), DEPTH)
    }
}
