//! The one pass over a message's head: start line and header fields become spans. No value is read but Content-Length's.
//!
//! A line ends with CRLF. A line feed alone is taken, too, as the deployed world sends it; a carriage return alone is refused,
//! since peers differ on whether it ends a line.
use crate::error::{HeaderError, ParseError, ParseErrorKind};
use crate::grammar::{is_token_byte, number, trim};
use crate::limits::Limits;
use crate::method::Method;
use crate::name::HeaderName;
use crate::start_line::start_line;

/// A part of the message, as offsets.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct Range {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Range {
    pub(crate) fn of(self, bytes: &[u8]) -> &[u8] {
        bytes
            .get(self.start as usize..self.end as usize)
            .unwrap_or_default()
    }
}

/// One header field, as offsets into the message.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Span {
    /// From the first byte of the name to behind the line end.
    pub(crate) whole: Range,
    /// The value, trimmed; a folded one with its line ends.
    pub(crate) value: Range,
    pub(crate) name_len: u16,
    pub(crate) name: HeaderName,
    pub(crate) folded: bool,
}

/// The start line.
#[derive(Clone, Debug)]
pub(crate) enum Start {
    Request { method: Method, uri: Range },
    Response { status: u16, reason: Range },
}

/// What one pass found.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) start: Start,
    pub(crate) fields: Vec<Span>,
    /// Where the first header field begins.
    pub(crate) fields_start: u32,
    /// Where the body begins.
    pub(crate) body: u32,
    pub(crate) content_length: Option<u32>,
    /// Whether a line ends with a line feed alone.
    pub(crate) bare_line_feed: bool,
}

impl Head {
    /// The head of a message in which so many bytes stand where others ended at `end`, within one field's value. None when the
    /// message would be longer than messages can be.
    pub(crate) fn shifted(&self, end: u32, new: usize, old: usize) -> Option<Head> {
        let (new, old) = (u32::try_from(new).ok()?, u32::try_from(old).ok()?);
        let shift = |at: &mut u32| {
            if *at >= end {
                *at = (*at - old).saturating_add(new);
            }
        };
        let mut head = self.clone();
        for span in &mut head.fields {
            for range in [&mut span.whole, &mut span.value] {
                shift(&mut range.start);
                shift(&mut range.end);
            }
        }
        shift(&mut head.body);
        (head.body < u32::MAX).then_some(head)
    }
}

/// How much is forgiven.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Nothing that is not in this module's description.
    Strict,
    /// Everything that leaves something to read: for answering a request that cannot be handled.
    Lenient,
}

/// The end of a line: of its content, and of the line with its line end.
struct Line {
    content: usize,
    next: usize,
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    mode: Mode,
    bare_line_feed: bool,
}

/// Reads the head of the message that `bytes` begin with.
pub(crate) fn parse(bytes: &[u8], limits: &Limits, mode: Mode) -> Result<Head, ParseError> {
    let bytes = bytes.get(..u32::MAX as usize).unwrap_or(bytes);
    let mut scanner = Scanner {
        bytes,
        at: 0,
        mode,
        bare_line_feed: false,
    };
    scanner.skip_line_ends()?;
    let start_offset = scanner.at;
    let line = scanner
        .line()?
        .ok_or(ParseError::new(ParseErrorKind::NotSip, start_offset))?;
    if line.content - start_offset > limits.start_line_bytes {
        return Err(ParseError::new(
            ParseErrorKind::StartLineTooLong,
            start_offset,
        ));
    }
    let start = start_line(bytes, start_offset, line.content, mode)?;
    scanner.at = line.next;
    let mut head = Head {
        start,
        fields: Vec::with_capacity(16),
        fields_start: offset(line.next),
        body: offset(bytes.len()),
        content_length: None,
        bare_line_feed: false,
    };
    while !scanner.at_end_of_head(&mut head)? {
        scanner.field(&mut head, limits)?;
        if scanner.at - start_offset > limits.head_bytes {
            return Err(ParseError::new(ParseErrorKind::HeadTooLong, scanner.at));
        }
    }
    head.bare_line_feed = scanner.bare_line_feed;
    Ok(head)
}

/// An offset within a message; messages are cut at 4 GiB before they are read.
pub(crate) fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

impl Scanner<'_> {
    fn byte(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    fn error(&self, kind: ParseErrorKind, at: usize) -> ParseError {
        ParseError::new(kind, at)
    }

    /// Skips empty lines before the start line (RFC 3261 §7.5).
    fn skip_line_ends(&mut self) -> Result<(), ParseError> {
        loop {
            match (self.byte(self.at), self.byte(self.at + 1)) {
                (Some(b'\r'), Some(b'\n')) => self.at += 2,
                (Some(b'\n'), _) => self.at += 1,
                (None, _) => return Err(self.error(ParseErrorKind::Empty, self.at)),
                _ => return Ok(()),
            }
        }
    }

    /// The end of the line that begins at or before `self.at`; none when the bytes end first.
    fn line(&mut self) -> Result<Option<Line>, ParseError> {
        let mut from = self.at;
        loop {
            let rest = self.bytes.get(from..).unwrap_or_default();
            let Some(found) = memchr::memchr2(b'\r', b'\n', rest) else {
                return Ok(None);
            };
            let end = from + found;
            if self.byte(end) == Some(b'\n') {
                self.bare_line_feed = true;
                return Ok(Some(Line {
                    content: end,
                    next: end + 1,
                }));
            }
            if self.byte(end + 1) == Some(b'\n') {
                return Ok(Some(Line {
                    content: end,
                    next: end + 2,
                }));
            }
            if self.mode == Mode::Strict {
                return Err(self.error(ParseErrorKind::BareCarriageReturn, end));
            }
            from = end + 1;
        }
    }

    /// Whether the head ends here; then the body's offset is noted.
    fn at_end_of_head(&mut self, head: &mut Head) -> Result<bool, ParseError> {
        let empty = match (self.byte(self.at), self.byte(self.at + 1)) {
            (Some(b'\r'), Some(b'\n')) => 2,
            (Some(b'\n'), _) => 1,
            (None, _) if self.mode == Mode::Lenient => 0,
            (None, _) => return Err(self.error(ParseErrorKind::HeadUnfinished, self.at)),
            _ => return Ok(false),
        };
        self.bare_line_feed |= empty == 1;
        head.body = offset(self.at + empty);
        Ok(true)
    }

    /// Reads one header field, the lines that continue it included.
    fn field(&mut self, head: &mut Head, limits: &Limits) -> Result<(), ParseError> {
        let start = self.at;
        let mut colon = start;
        while self.byte(colon).is_some_and(is_token_byte) {
            colon += 1;
        }
        let name_end = colon;
        while matches!(self.byte(colon), Some(b' ' | b'\t')) {
            colon += 1;
        }
        let named = name_end > start && self.byte(colon) == Some(b':');
        if !named && self.mode == Mode::Strict {
            let kind = match self.byte(start) {
                Some(b' ' | b'\t') => ParseErrorKind::FoldedFirstField,
                None => ParseErrorKind::HeadUnfinished,
                Some(_) if self.byte(colon).is_none() => ParseErrorKind::HeadUnfinished,
                Some(_) => ParseErrorKind::FieldName,
            };
            return Err(self.error(kind, colon.max(start)));
        }
        // The name and colon hold no line end.
        self.at = colon;
        let mut folded = false;
        let line = loop {
            let Some(line) = self.line()? else {
                if self.mode == Mode::Strict {
                    return Err(self.error(ParseErrorKind::HeadUnfinished, self.bytes.len()));
                }
                self.at = self.bytes.len();
                return Ok(());
            };
            self.at = line.next;
            if !matches!(self.byte(line.next), Some(b' ' | b'\t')) {
                break line;
            }
            folded = true;
        };
        if line.content - start > limits.header_bytes {
            return Err(self.error(ParseErrorKind::HeaderTooLong, start));
        }
        if named {
            self.keep(
                head,
                limits,
                Found {
                    start,
                    name_end,
                    colon,
                    folded,
                    line,
                },
            )?;
        }
        Ok(())
    }

    /// Keeps a field that was found.
    fn keep(&self, head: &mut Head, limits: &Limits, found: Found) -> Result<(), ParseError> {
        if head.fields.len() >= limits.headers {
            return Err(self.error(ParseErrorKind::TooManyHeaders, found.start));
        }
        let untrimmed = self
            .bytes
            .get(found.colon + 1..found.line.content)
            .unwrap_or_default();
        let value = trim(untrimmed);
        let leading = untrimmed
            .iter()
            .take(untrimmed.len() - value.len())
            .take_while(|byte| crate::grammar::is_lws(**byte))
            .count();
        let value_start = found.colon + 1 + leading;
        let name = HeaderName::from_bytes(
            self.bytes
                .get(found.start..found.name_end)
                .unwrap_or_default(),
        );
        let Ok(name_len) = u16::try_from(found.name_end - found.start) else {
            return Err(self.error(ParseErrorKind::HeaderTooLong, found.start));
        };
        if name == HeaderName::ContentLength {
            match (number(value, u32::MAX), head.content_length, self.mode) {
                (_, _, Mode::Lenient) => {}
                (None, _, Mode::Strict) => {
                    return Err(self.error(ParseErrorKind::ContentLength, value_start));
                }
                (Some(new), Some(old), Mode::Strict) if new != old => {
                    return Err(self.error(ParseErrorKind::ContentLengthsDiffer, value_start));
                }
                (Some(new), _, Mode::Strict) => head.content_length = Some(new),
            }
        }
        head.fields.push(Span {
            whole: Range {
                start: offset(found.start),
                end: offset(found.line.next),
            },
            value: Range {
                start: offset(value_start),
                end: offset(value_start + value.len()),
            },
            name_len,
            name,
            // Line ends that trimming took away do not count.
            folded: found.folded && memchr::memchr(b'\n', value).is_some(),
        });
        Ok(())
    }
}

/// A field as the scanner found it.
struct Found {
    start: usize,
    name_end: usize,
    colon: usize,
    folded: bool,
    line: Line,
}

/// The error for a field that every message needs.
pub(crate) fn header_error(error: HeaderError, at: usize) -> ParseError {
    ParseError::new(ParseErrorKind::Header(error), at)
}
