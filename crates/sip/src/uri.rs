//! URIs: sip, sips, tel, and any other scheme as text (RFC 3261 §19.1, RFC 3966, RFC 3986).
//!
//! Wider than the grammar where telephones are: a user part may hold any character that cannot end the URI (`#`, `^`, UTF-8).
use crate::equivalence::same_escaped;
use crate::grammar::number;
use crate::header::params::Params;
use std::borrow::Cow;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Why a text is no URI.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct UriError {
    /// What is wrong.
    pub what: &'static str,
    /// Where, in bytes from the text's first.
    pub offset: usize,
}

impl fmt::Display for UriError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at byte {} of the URI)", self.what, self.offset)
    }
}

impl std::error::Error for UriError {}

/// A URI's scheme.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Scheme<'a> {
    /// `sip`.
    Sip,
    /// `sips`.
    Sips,
    /// `tel` (RFC 3966).
    Tel,
    /// Any other, as sent.
    Other(&'a str),
}

/// A host.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Host<'a> {
    /// A name; empty in a URI without a host.
    Name(&'a str),
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address, which stands in brackets.
    V6(Ipv6Addr),
}

impl<'a> Host<'a> {
    /// Reads a host: an IPv6 address in brackets, an IPv4 address, or a name of letters, digits, `-`, `.` and `_`.
    ///
    /// The third colon that RFC 3261's grammar wrongly allows before an IPv4 part is overlooked (RFC 5118 §4.10).
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Host<'a>> {
        if let Some(rest) = text.strip_prefix('[') {
            let address = rest.strip_suffix(']')?;
            let read = address.parse().ok();
            return read
                .or_else(|| address.replacen(":::", "::", 1).parse().ok())
                .map(Host::V6);
        }
        let name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        if text.is_empty() || !text.bytes().all(name) {
            return None;
        }
        if text.as_bytes().first().is_some_and(u8::is_ascii_digit) {
            if let Ok(address) = text.parse() {
                return Some(Host::V4(address));
            }
        }
        Some(Host::Name(text))
    }
}

impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::V4(address) => write!(f, "{address}"),
            Host::V6(address) => write!(f, "[{address}]"),
        }
    }
}

/// A URI that was read. Its parts are as sent.
#[derive(Copy, Clone, Debug)]
pub struct Uri<'a> {
    pub(crate) text: &'a str,
    pub(crate) scheme: Scheme<'a>,
    pub(crate) user: Option<&'a str>,
    pub(crate) password: Option<&'a str>,
    pub(crate) host: Host<'a>,
    pub(crate) port: Option<u16>,
    pub(crate) params: Params<'a>,
    pub(crate) headers: &'a str,
}

impl<'a> Uri<'a> {
    /// Reads a URI.
    ///
    /// # Errors
    /// What is wrong and where.
    pub fn parse(text: &'a str) -> Result<Uri<'a>, UriError> {
        let fail = |what, offset| Err(UriError { what, offset });
        let Some((scheme_text, rest)) = text.split_once(':') else {
            return fail("there is no scheme; write `sip:...`", 0);
        };
        let Some(scheme) = scheme(scheme_text) else {
            return fail("the scheme is not one", 0);
        };
        if let Some(at) = text
            .bytes()
            .position(|byte| byte <= b' ' || matches!(byte, 0x7f | b'<' | b'>' | b'"'))
        {
            return fail(
                "a space, control character, quote or bracket must be escaped as %XX",
                at,
            );
        }
        let start = text.len() - rest.len();
        let blank = Uri {
            text,
            scheme,
            user: None,
            password: None,
            host: Host::Name(""),
            port: None,
            params: Params::default(),
            headers: "",
        };
        match scheme {
            Scheme::Sip | Scheme::Sips => {
                check_escapes(text)?;
                sip(blank, rest, start)
            }
            Scheme::Tel => {
                check_escapes(text)?;
                let (number, params) = split_at_byte(rest, b';');
                if !number
                    .bytes()
                    .any(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'*' | b'#'))
                {
                    return fail("there is no number; write `tel:+15550100`", start);
                }
                Ok(Uri {
                    user: Some(number),
                    params: Params::new(params),
                    ..blank
                })
            }
            Scheme::Other(_) if rest.is_empty() => {
                fail("there is nothing behind the scheme", start)
            }
            Scheme::Other(_) => Ok(blank),
        }
    }

    /// The URI as sent.
    #[must_use]
    pub fn as_str(&self) -> &'a str {
        self.text
    }

    /// The scheme.
    #[must_use]
    pub fn scheme(&self) -> Scheme<'a> {
        self.scheme
    }

    /// The user part as sent, without password; of a tel URI the number.
    #[must_use]
    pub fn user(&self) -> Option<&'a str> {
        self.user
    }

    /// The user part with each %XX as its byte; what is not UTF-8 becomes U+FFFD.
    #[must_use]
    pub fn user_decoded(&self) -> Option<Cow<'a, str>> {
        self.user.map(decode)
    }

    /// The password as sent. It has no use but to be kept (RFC 3261 §19.1.1).
    #[must_use]
    pub fn password(&self) -> Option<&'a str> {
        self.password
    }

    /// The host; an empty name when there is none.
    #[must_use]
    pub fn host(&self) -> Host<'a> {
        self.host
    }

    /// The port, when one is given.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// A parameter, its value as sent: `Some(None)` without one. A name that was sent escaped is found as well (`%6C%72` is `lr`,
    /// RFC 4475 §3.1.1.3).
    #[must_use]
    pub fn param(&self, name: &str) -> Option<Option<&'a str>> {
        let found = self.params.get_raw(name);
        if found.is_some() || memchr::memchr(b'%', self.params.as_str().as_bytes()).is_none() {
            return found;
        }
        let mut all = self.params.iter();
        all.find(|(other, _)| same_escaped(name, other, true))
            .map(|(_, value)| value)
    }

    /// The parameters.
    #[must_use]
    pub fn params(&self) -> Params<'a> {
        self.params
    }

    /// The header fields behind the question mark: names and values as sent.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let parts = self.headers.split('&').filter(|part| !part.is_empty());
        parts.map(|part| part.split_once('=').unwrap_or((part, "")))
    }

    /// The first header field of that name behind the question mark, in any case, each %XX as its byte; what is not UTF-8
    /// becomes U+FFFD (RFC 3261 §19.1.1).
    #[must_use]
    pub fn header_decoded(&self, name: &str) -> Option<Cow<'a, str>> {
        self.headers()
            .find(|(other, _)| decode(other).eq_ignore_ascii_case(name))
            .map(|(_, value)| decode(value))
    }

    /// The `transport` parameter.
    #[must_use]
    pub fn transport(&self) -> Option<&'a str> {
        self.param("transport").flatten()
    }

    /// Whether this is a loose router's URI (`lr`, RFC 3261 §16.12).
    #[must_use]
    pub fn is_loose_router(&self) -> bool {
        self.param("lr").is_some()
    }
}

impl fmt::Display for Uri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

fn scheme(text: &str) -> Option<Scheme<'_>> {
    if text.eq_ignore_ascii_case("sip") {
        return Some(Scheme::Sip);
    }
    if text.eq_ignore_ascii_case("sips") {
        return Some(Scheme::Sips);
    }
    if text.eq_ignore_ascii_case("tel") {
        return Some(Scheme::Tel);
    }
    let letter = text.as_bytes().first().is_some_and(u8::is_ascii_alphabetic);
    let rest = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    (letter && rest).then_some(Scheme::Other(text))
}

/// The text before the first `byte`, and from it on.
fn split_at_byte(text: &str, byte: u8) -> (&str, &str) {
    text.split_at(memchr::memchr(byte, text.as_bytes()).unwrap_or(text.len()))
}

fn check_escapes(text: &str) -> Result<(), UriError> {
    for at in memchr::memchr_iter(b'%', text.as_bytes()) {
        if hex_pair(text.as_bytes(), at).is_none() {
            return Err(UriError {
                what: "a % is not followed by two hexadecimal digits; write %25 for a percent sign",
                offset: at,
            });
        }
    }
    Ok(())
}

/// The byte that the escape at `at` stands for.
pub(crate) fn hex_pair(bytes: &[u8], at: usize) -> Option<u8> {
    let digit = |at: usize| {
        bytes
            .get(at)
            .and_then(|byte| char::from(*byte).to_digit(16))
    };
    let value = digit(at + 1)? * 16 + digit(at + 2)?;
    u8::try_from(value).ok()
}

/// The text with each escape as its byte.
fn decode(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    if memchr::memchr(b'%', bytes).is_none() {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match hex_pair(bytes, at).filter(|_| *byte == b'%') {
            Some(decoded) => {
                out.push(decoded);
                at += 3;
            }
            None => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

/// Reads what follows `sip:` or `sips:`, which begins at byte `start`.
fn sip<'a>(mut uri: Uri<'a>, rest: &'a str, start: usize) -> Result<Uri<'a>, UriError> {
    let fail = |what, part: &str| {
        Err(UriError {
            what,
            offset: start + rest.len() - part.len(),
        })
    };
    let mut tail = rest;
    // A user part may hold `;` and `?`, so the `@` is looked for first (RFC 3261 §25.1).
    if let Some((userinfo, host)) = rest.split_once('@') {
        let (user, password) = match userinfo.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (userinfo, None),
        };
        if user.is_empty() {
            return fail("there is an @ but no user before it", rest);
        }
        (uri.user, uri.password) = (Some(user), password);
        tail = host;
    }
    let host_text = if tail.starts_with('[') {
        let Some(close) = tail.find(']') else {
            return fail("the IPv6 address has no closing `]`", tail);
        };
        tail.get(..=close).unwrap_or(tail)
    } else {
        let end = tail
            .bytes()
            .position(|byte| matches!(byte, b':' | b';' | b'?'))
            .unwrap_or(tail.len());
        tail.get(..end).unwrap_or(tail)
    };
    let Some(host) = Host::parse(host_text) else {
        return fail("the host is neither a name nor an IP address", tail);
    };
    uri.host = host;
    tail = tail.get(host_text.len()..).unwrap_or("");
    if let Some(after) = tail.strip_prefix(':') {
        let end = after
            .bytes()
            .position(|byte| matches!(byte, b';' | b'?'))
            .unwrap_or(after.len());
        let (digits, behind) = after.split_at(end);
        let port = number(digits.as_bytes(), 65_535).and_then(|port| u16::try_from(port).ok());
        if port.is_none() {
            return fail("the port is not a number up to 65535", after);
        }
        (uri.port, tail) = (port, behind);
    }
    let (params, headers) = split_at_byte(tail, b'?');
    if !params.is_empty() && !params.starts_with(';') {
        return fail(
            "there is text behind the host; write `host:port;parameters`",
            tail,
        );
    }
    uri.params = Params::new(params);
    uri.headers = headers.strip_prefix('?').unwrap_or("");
    Ok(uri)
}
