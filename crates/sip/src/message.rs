//! A message: one buffer and the spans of its header fields. Headers are read when they are asked for, and not kept.
use crate::error::{ParseError, ParseErrorKind};
use crate::grammar::{lossy, unfold};
use crate::head::{self, Head, Mode, Range, Start};
use crate::limits::Limits;
use crate::method::Method;
use crate::name::HeaderName;
use bytes::Bytes;
use std::borrow::Cow;

pub use crate::field::Field;

/// A SIP request or response.
#[derive(Clone, Debug)]
pub struct Message {
    bytes: Bytes,
    head: Head,
}

impl Message {
    /// Reads one whole message: a datagram, or what a stream's framing gave.
    ///
    /// Bytes past the Content-Length are dropped (RFC 3261 §18.3). Without a Content-Length the body goes to the end.
    /// Where only the empty line behind the header fields is missing and the Content-Length is 0, it is put there.
    /// Nothing is said about the meaning; see [`Message::validate`].
    ///
    /// # Errors
    /// The first thing that is wrong, and where.
    pub fn parse(bytes: Bytes, limits: &Limits) -> Result<Message, ParseError> {
        let head = match head::parse(&bytes, limits, Mode::Strict) {
            Ok(head) => head,
            Err(error) => return Message::closed(&bytes, limits, error),
        };
        let body_start = head.body as usize;
        let present = bytes.len().saturating_sub(body_start);
        let body = match head.content_length {
            Some(length) if length as usize > present => {
                let kind = if length as usize > limits.body_bytes {
                    ParseErrorKind::BodyTooLong
                } else {
                    ParseErrorKind::BodyTruncated
                };
                return Err(ParseError::new(kind, bytes.len()));
            }
            Some(length) => length as usize,
            None => present,
        };
        Message::from_head(bytes, head, body, limits)
    }

    /// The message whose last empty line was forgotten (RFC 4475's baddn, RFC 5118 §4.10, and some scripts do): its Content-Length of
    /// 0 says that it is whole. Any other gives back `error`.
    fn closed(bytes: &[u8], limits: &Limits, error: ParseError) -> Result<Message, ParseError> {
        if error.kind != ParseErrorKind::HeadUnfinished || !bytes.ends_with(b"\n") {
            return Err(error);
        }
        let whole = Bytes::from([bytes, b"\r\n"].concat());
        match head::parse(&whole, limits, Mode::Strict) {
            Ok(head) if head.content_length == Some(0) => {
                Message::from_head(whole, head, 0, limits)
            }
            _ => Err(error),
        }
    }

    /// A message of a head that was read and the length of its body, which is there.
    pub(crate) fn from_head(
        bytes: Bytes,
        head: Head,
        body: usize,
        limits: &Limits,
    ) -> Result<Message, ParseError> {
        let body_start = head.body as usize;
        if body > limits.body_bytes {
            return Err(ParseError::new(ParseErrorKind::BodyTooLong, body_start));
        }
        let total = body_start + body;
        if total > limits.message_bytes {
            return Err(ParseError::new(ParseErrorKind::MessageTooLong, body_start));
        }
        let bytes = if total < bytes.len() {
            bytes.slice(..total)
        } else {
            bytes
        };
        Ok(Message { bytes, head })
    }

    /// Reads what can be read of a request that [`Message::parse`] refused, so that it can be answered: lines that are no
    /// header fields are left out, the version and the request-URI are not looked at, and there is no body.
    ///
    /// None when the first line is no request line, or when even this exceeds `limits`.
    #[must_use]
    pub fn parse_lenient(bytes: Bytes, limits: &Limits) -> Option<Message> {
        let head = head::parse(&bytes, limits, Mode::Lenient).ok()?;
        let bytes = bytes.slice(..(head.body as usize).min(bytes.len()));
        matches!(head.start, Start::Request { .. }).then_some(Message { bytes, head })
    }

    /// The message as received or written.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The message as received or written; cheap, nothing is copied.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        self.bytes.clone()
    }

    /// Whether it is a request.
    #[must_use]
    pub fn is_request(&self) -> bool {
        matches!(self.head.start, Start::Request { .. })
    }

    /// Whether it is a response.
    #[must_use]
    pub fn is_response(&self) -> bool {
        !self.is_request()
    }

    /// The method: of a request the start line's, of a response the CSeq's (`Other("")` when that cannot be read).
    #[must_use]
    pub fn method(&self) -> Method {
        match &self.head.start {
            Start::Request { method, .. } => method.clone(),
            Start::Response { .. } => self
                .cseq()
                .map_or_else(|_| Method::Other("".into()), |cseq| cseq.method),
        }
    }

    /// The request-URI as sent; empty in a response.
    #[must_use]
    pub fn request_uri(&self) -> &str {
        match self.head.start {
            Start::Request { uri, .. } => std::str::from_utf8(uri.of(&self.bytes)).unwrap_or(""),
            Start::Response { .. } => "",
        }
    }

    /// The status, 100 to 699; 0 in a request.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self.head.start {
            Start::Request { .. } => 0,
            Start::Response { status, .. } => status,
        }
    }

    /// The reason phrase: what is not UTF-8 becomes U+FFFD; empty in a request.
    #[must_use]
    pub fn reason(&self) -> Cow<'_, str> {
        match self.head.start {
            Start::Request { .. } => Cow::Borrowed(""),
            Start::Response { reason, .. } => String::from_utf8_lossy(reason.of(&self.bytes)),
        }
    }

    /// The reason phrase as sent; empty in a request.
    #[must_use]
    pub fn reason_bytes(&self) -> &[u8] {
        match self.head.start {
            Start::Request { .. } => &[],
            Start::Response { reason, .. } => reason.of(&self.bytes),
        }
    }

    /// Every header field, in order, as sent.
    pub fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        self.head.fields.iter().map(|span| Field {
            bytes: &self.bytes,
            span: *span,
        })
    }

    /// The first header field of that name.
    #[must_use]
    pub fn header(&self, name: HeaderName) -> Option<Field<'_>> {
        self.headers(name).next()
    }

    /// Every header field of that name, in order.
    pub fn headers(&self, name: HeaderName) -> impl Iterator<Item = Field<'_>> {
        let fields = self
            .head
            .fields
            .iter()
            .filter(move |span| span.name == name);
        fields.map(|span| Field {
            bytes: &self.bytes,
            span: *span,
        })
    }

    /// Every header field of a name in any spelling: any case, compact or long, known to the protocol or not.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Field<'a>> {
        let known = HeaderName::from_bytes(name.as_bytes());
        self.headers(known).filter(move |field| {
            known != HeaderName::Other || field.raw_name().eq_ignore_ascii_case(name)
        })
    }

    /// Every single value of that name: comma lists are split outside quoted strings and angle brackets, empty ones left out.
    pub fn values(&self, name: HeaderName) -> impl Iterator<Item = Cow<'_, str>> {
        self.headers(name)
            .flat_map(|field| field.list())
            .map(|value| lossy(unfold(value)))
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.bytes
            .get(self.head.body as usize..)
            .unwrap_or_default()
    }

    /// The message with another first value of that name, one of a comma list too, and all else as sent; it need not be read again.
    ///
    /// None where there is no such value, and where it would not be the same as with [`crate::Patch`], which adds a missing
    /// Content-Length and writes anew what is folded, ends with a line feed alone, or stands before the start line.
    #[must_use]
    pub fn with_first_value(&self, name: HeaderName, value: &[u8]) -> Option<Message> {
        let head = &self.head;
        let field = self.header(name)?;
        let is_as_written =
            !(head.bare_line_feed || field.span.folded || self.bytes.starts_with(b"\r\n"));
        let is_complete = head.content_length.is_some() && name != HeaderName::ContentLength;
        if !(is_as_written && is_complete && is_plain_value(value)) {
            return None;
        }
        let first = field.list().next()?;
        let leading = first.as_ptr().addr() - field.raw_value().as_ptr().addr();
        let start = field.span.value.start as usize + leading;
        let end = start + first.len();
        let mut out = Vec::with_capacity(self.bytes.len() + value.len());
        out.extend_from_slice(self.bytes.get(..start)?);
        out.extend_from_slice(value);
        out.extend_from_slice(self.bytes.get(end..)?);
        let head = head.shifted(head::offset(end), value.len(), first.len())?;
        let bytes = Bytes::from(out);
        Some(Message { bytes, head })
    }

    /// The method of the request line, without copying it; none in a response.
    #[must_use]
    pub fn request_method(&self) -> Option<&Method> {
        match &self.head.start {
            Start::Request { method, .. } => Some(method),
            Start::Response { .. } => None,
        }
    }

    /// The head's parts, for whoever writes a message from this one.
    pub(crate) fn head(&self) -> &Head {
        &self.head
    }

    /// The request-URI's place.
    pub(crate) fn uri_range(&self) -> Option<Range> {
        match self.head.start {
            Start::Request { uri, .. } => Some(uri),
            Start::Response { .. } => None,
        }
    }
}

/// Whether a value can stand in a line as it is, and is all that a reader takes for the value.
fn is_plain_value(value: &[u8]) -> bool {
    !value.is_empty()
        && value.trim_ascii() == value
        && memchr::memchr3(b'\r', b'\n', 0, value).is_none()
}
