//! What can be wrong with a message: said with the place, and the status to answer with.
use crate::name::HeaderName;
use std::fmt;

/// Why bytes are not a message that can be handled.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct ParseError {
    /// What is wrong.
    pub kind: ParseErrorKind,
    /// Where: the offset from the first byte that was given.
    pub offset: usize,
}

/// What is wrong with a message.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum ParseErrorKind {
    /// There is nothing but line ends.
    Empty,
    /// The first line is neither a request line nor a status line.
    NotSip,
    /// The method of the request line is not a token.
    Method,
    /// The request-URI is empty, is no text, or holds a character that no URI may hold.
    RequestUri,
    /// The version is not SIP/2.0.
    Version,
    /// The status code of the status line is not a number from 100 to 699.
    Status,
    /// The start line is longer than `Limits::start_line_bytes`.
    StartLineTooLong,
    /// A header line has no field name and colon.
    FieldName,
    /// The first header line continues a line that is not there.
    FoldedFirstField,
    /// A carriage return without a line feed after it.
    BareCarriageReturn,
    /// The empty line after the header fields is missing.
    HeadUnfinished,
    /// There are more header fields than `Limits::headers`.
    TooManyHeaders,
    /// A header field is longer than `Limits::header_bytes`.
    HeaderTooLong,
    /// The header fields together are longer than `Limits::head_bytes`.
    HeadTooLong,
    /// The message is longer than `Limits::message_bytes`.
    MessageTooLong,
    /// The body is longer than `Limits::body_bytes`.
    BodyTooLong,
    /// The Content-Length is not a number.
    ContentLength,
    /// There are several Content-Length header fields that differ.
    ContentLengthsDiffer,
    /// There is no Content-Length, on a stream (RFC 3261 §20.14).
    ContentLengthMissing,
    /// There are fewer bytes than the Content-Length says.
    BodyTruncated,
    /// A header field that every message needs is missing, doubled or cannot be read.
    Header(HeaderError),
}

impl ParseError {
    pub(crate) fn new(kind: ParseErrorKind, offset: usize) -> ParseError {
        ParseError { kind, offset }
    }

    /// The status of the response that RFC 3261 wants, if what was sent is a request that can be answered
    /// (see [`crate::Message::parse_lenient`]). None where the bytes are no request at all.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self.kind {
            ParseErrorKind::Empty | ParseErrorKind::NotSip | ParseErrorKind::Status => None,
            ParseErrorKind::Version => Some(505),
            ParseErrorKind::StartLineTooLong => Some(414),
            ParseErrorKind::TooManyHeaders
            | ParseErrorKind::HeaderTooLong
            | ParseErrorKind::HeadTooLong
            | ParseErrorKind::MessageTooLong
            | ParseErrorKind::BodyTooLong => Some(513),
            ParseErrorKind::Method
            | ParseErrorKind::RequestUri
            | ParseErrorKind::FieldName
            | ParseErrorKind::FoldedFirstField
            | ParseErrorKind::BareCarriageReturn
            | ParseErrorKind::HeadUnfinished
            | ParseErrorKind::ContentLength
            | ParseErrorKind::ContentLengthsDiffer
            | ParseErrorKind::ContentLengthMissing
            | ParseErrorKind::BodyTruncated
            | ParseErrorKind::Header(_) => Some(400),
        }
    }

    /// What is wrong and what to do about it, without the place.
    fn what(&self) -> &'static str {
        match self.kind {
            ParseErrorKind::Empty => "there is no message, only line ends; take it as a keep-alive",
            ParseErrorKind::NotSip => {
                "this is neither a SIP request nor a response; check what is sent to this port"
            }
            ParseErrorKind::Method => {
                "the method is not a token; write letters, digits or -.!%*_+`'~"
            }
            ParseErrorKind::RequestUri => {
                "the request-URI is empty or holds a space, control character, quote or bracket; escape it as %XX"
            }
            ParseErrorKind::Version => "the version is not SIP/2.0; nothing else is spoken here",
            ParseErrorKind::Status => "the status code is not a number from 100 to 699",
            ParseErrorKind::StartLineTooLong => {
                "the start line is longer than any that is taken; shorten it"
            }
            ParseErrorKind::FieldName => "a header line has no name and colon; write `Name: value`",
            ParseErrorKind::FoldedFirstField => {
                "the first header line begins with white space; there is nothing to continue"
            }
            ParseErrorKind::BareCarriageReturn => {
                "a carriage return is not followed by a line feed; end lines with CRLF"
            }
            ParseErrorKind::HeadUnfinished => {
                "the empty line after the header fields is missing; the message was cut off"
            }
            ParseErrorKind::TooManyHeaders => {
                "there are more header fields than are taken; send fewer"
            }
            ParseErrorKind::HeaderTooLong => {
                "a header field is longer than any that is taken; shorten it"
            }
            ParseErrorKind::HeadTooLong => {
                "the header fields together are longer than is taken; send less"
            }
            ParseErrorKind::MessageTooLong => {
                "the message is too long; send less or raise max_message_bytes"
            }
            ParseErrorKind::BodyTooLong => "the body is too long; send less",
            ParseErrorKind::ContentLength => {
                "the Content-Length is not a number that a body can have"
            }
            ParseErrorKind::ContentLengthsDiffer => {
                "there are several Content-Length header fields that differ; send one"
            }
            ParseErrorKind::ContentLengthMissing => {
                "there is no Content-Length; on a stream every message needs one"
            }
            ParseErrorKind::BodyTruncated => {
                "the body is shorter than the Content-Length says; the message was cut off"
            }
            ParseErrorKind::Header(error) => error.what,
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let ParseErrorKind::Header(error) = self.kind {
            write!(f, "{error} (at byte {})", self.offset)
        } else {
            write!(f, "{} (at byte {})", self.what(), self.offset)
        }
    }
}

impl std::error::Error for ParseError {}

/// A header field that cannot be read as what it should be.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct HeaderError {
    /// The header field; `Other` when the value was not taken from one.
    pub header: HeaderName,
    /// What is wrong and, where it helps, what to write.
    pub what: &'static str,
}

impl HeaderError {
    pub(crate) fn new(header: HeaderName, what: &'static str) -> HeaderError {
        HeaderError { header, what }
    }
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.header {
            HeaderName::Other => f.write_str(self.what),
            name => write!(f, "{}: {}", name.as_str(), self.what),
        }
    }
}

impl std::error::Error for HeaderError {}
