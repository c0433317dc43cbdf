//! The first line: a request's or a response's (RFC 3261 §7.1, §7.2). Strict: one space between its parts, none behind them.
use crate::error::{ParseError, ParseErrorKind};
use crate::grammar::{number, trim};
use crate::head::{Mode, Range, Start, offset};
use crate::method::Method;

/// Reads the start line (RFC 3261 §7.1, §7.2).
pub(crate) fn start_line(
    bytes: &[u8],
    start: usize,
    end: usize,
    mode: Mode,
) -> Result<Start, ParseError> {
    let line = bytes.get(start..end).unwrap_or_default();
    let fail = |kind, at: usize| Err(ParseError::new(kind, start + at));
    if line
        .get(..4)
        .is_some_and(|four| four.eq_ignore_ascii_case(b"SIP/"))
    {
        return status_line(line, start);
    }
    let Some(first) = memchr::memchr(b' ', line) else {
        return fail(ParseErrorKind::NotSip, 0);
    };
    let Some(last) = memchr::memrchr(b' ', line) else {
        return fail(ParseErrorKind::NotSip, 0);
    };
    let version = line.get(last + 1..).unwrap_or_default();
    if first == last
        || !version
            .get(..4)
            .is_some_and(|four| four.eq_ignore_ascii_case(b"SIP/"))
    {
        // A request line with white space at its end is one that can be answered; anything else is another protocol.
        return fail(
            if is_sip_like(line) {
                ParseErrorKind::RequestUri
            } else {
                ParseErrorKind::NotSip
            },
            first,
        );
    }
    let Some(method) = Method::parse(line.get(..first).unwrap_or_default()) else {
        return fail(ParseErrorKind::Method, 0);
    };
    let uri = line.get(first + 1..last).unwrap_or_default();
    if mode == Mode::Strict {
        if !version.eq_ignore_ascii_case(b"SIP/2.0") {
            return fail(ParseErrorKind::Version, last + 1);
        }
        if let Some(at) = refused_in_uri(uri) {
            return fail(ParseErrorKind::RequestUri, first + 1 + at);
        }
    }
    Ok(Start::Request {
        method,
        uri: Range {
            start: offset(start + first + 1),
            end: offset(start + last),
        },
    })
}

/// Whether a line that cannot be read was meant as a request line.
fn is_sip_like(line: &[u8]) -> bool {
    let line = trim(line);
    line.len() > 8
        && line
            .get(line.len() - 7..)
            .is_some_and(|version| version.eq_ignore_ascii_case(b"SIP/2.0"))
}

/// Where a request-URI has what no URI may hold; none when it may be one. What it means is not asked here.
fn refused_in_uri(uri: &[u8]) -> Option<usize> {
    if uri.is_empty() {
        return Some(0);
    }
    let bad = uri
        .iter()
        .position(|byte| *byte <= b' ' || matches!(*byte, 0x7f | b'<' | b'>' | b'"'));
    bad.or_else(|| {
        std::str::from_utf8(uri)
            .err()
            .map(|error| error.valid_up_to())
    })
}

fn status_line(line: &[u8], start: usize) -> Result<Start, ParseError> {
    if !line
        .get(..8)
        .is_some_and(|version| version.eq_ignore_ascii_case(b"SIP/2.0 "))
    {
        return Err(ParseError::new(ParseErrorKind::NotSip, start));
    }
    let status = line
        .get(8..11)
        .and_then(|digits| number(digits, 699))
        .filter(|status| *status >= 100);
    // The space behind the status is missing where the reason is empty, in the deployed world.
    let (Some(status), None | Some(b' ')) = (status, line.get(11)) else {
        return Err(ParseError::new(ParseErrorKind::Status, start + 8));
    };
    let reason_start = (start + 12).min(start + line.len());
    Ok(Start::Response {
        status: u16::try_from(status).unwrap_or(699),
        reason: Range {
            start: offset(reason_start),
            end: offset(start + line.len()),
        },
    })
}
