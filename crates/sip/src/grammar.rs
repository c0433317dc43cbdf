//! The grammar's small parts (RFC 3261 §25.1): character classes, white space, folding, lists, quoted strings.
use std::borrow::Cow;
use std::fmt::{self, Write};

/// For each byte: whether it may stand in a token.
const TOKEN: [bool; 256] = token_table();

const fn token_table() -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0_usize;
    while byte < 256 {
        #[allow(clippy::indexing_slicing, clippy::cast_possible_truncation)]
        {
            let it = byte as u8;
            table[byte] = it.is_ascii_alphanumeric()
                || matches!(
                    it,
                    b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~'
                );
        }
        byte += 1;
    }
    table
}

/// Whether a byte may stand in a token.
pub(crate) fn is_token_byte(byte: u8) -> bool {
    TOKEN.get(usize::from(byte)).copied().unwrap_or(false)
}

/// Whether `bytes` are a token: not empty, letters, digits and ``-.!%*_+`'~``.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| is_token_byte(*byte))
}

/// Whether a byte is white space, the parts of a folded line end included.
pub(crate) fn is_lws(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// The bytes without white space at both ends.
pub(crate) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes {
        if !is_lws(*first) {
            break;
        }
        bytes = rest;
    }
    while let [rest @ .., last] = bytes {
        if !is_lws(*last) {
            break;
        }
        bytes = rest;
    }
    bytes
}

/// The text without white space at both ends.
pub(crate) fn trim_text(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\r', '\n'])
}

/// The value with each fold, and the white space around it, as one space (RFC 3261 §7.3.1).
pub(crate) fn unfold(value: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr2(b'\r', b'\n', value).is_none() {
        return Cow::Borrowed(value);
    }
    let mut out: Vec<u8> = Vec::with_capacity(value.len());
    for line in value.split(|byte| *byte == b'\n') {
        let line = trim(line);
        if !out.is_empty() && !line.is_empty() {
            out.push(b' ');
        }
        out.extend_from_slice(line);
    }
    Cow::Owned(out)
}

/// Text of bytes: what is not UTF-8 becomes U+FFFD.
pub(crate) fn lossy(bytes: Cow<'_, [u8]>) -> Cow<'_, str> {
    match bytes {
        Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
        Cow::Owned(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Cow::Owned(text),
            Err(error) => Cow::Owned(String::from_utf8_lossy(error.as_bytes()).into_owned()),
        },
    }
}

/// The offset of the first `separator` outside quoted strings and angle brackets; the length when there is none.
pub(crate) fn find_outside(bytes: &[u8], separator: u8) -> usize {
    let mut quoted = false;
    let mut escaped = false;
    let mut bracketed = false;
    for (offset, byte) in bytes.iter().enumerate() {
        if quoted {
            if escaped {
                escaped = false;
            } else if *byte == b'\\' {
                escaped = true;
            } else if *byte == b'"' {
                quoted = false;
            }
        } else if *byte == separator && !bracketed {
            return offset;
        } else {
            match byte {
                b'"' if !bracketed => quoted = true,
                b'<' => bracketed = true,
                b'>' => bracketed = false,
                _ => {}
            }
        }
    }
    bytes.len()
}

/// Whether every quoted string and bracket in `bytes` ends: what is written behind them is not swallowed.
pub(crate) fn is_closed(bytes: &[u8]) -> bool {
    if memchr::memchr2(b'"', b'<', bytes).is_none() {
        return true;
    }
    let (mut quoted, mut escaped, mut bracketed) = (false, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' if quoted => quoted = false,
            _ if quoted => {}
            b'"' if !bracketed => quoted = true,
            b'<' => bracketed = true,
            b'>' => bracketed = false,
            _ => {}
        }
    }
    !quoted && !bracketed
}

/// The values of a comma list, trimmed; empty ones are left out. Commas in quoted strings and angle brackets are part of a value.
#[derive(Clone, Debug)]
pub(crate) struct List<'a> {
    rest: &'a [u8],
}

impl<'a> List<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> List<'a> {
        List { rest: bytes }
    }
}

impl<'a> Iterator for List<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while !self.rest.is_empty() {
            let end = find_outside(self.rest, b',');
            let value = trim(self.rest.get(..end).unwrap_or_default());
            self.rest = self.rest.get(end + 1..).unwrap_or_default();
            if !value.is_empty() {
                return Some(value);
            }
        }
        None
    }
}

/// The values of a comma list, split outside quoted strings and angle brackets, each unfolded: of a field that an application
/// wrote, as `Field::values` of one that came.
pub fn list_values(value: &[u8]) -> impl Iterator<Item = Cow<'_, [u8]>> {
    List::new(value).map(unfold)
}

/// The length of the quoted string that `bytes` begin with, both quotes included; none when it has no end.
pub(crate) fn quoted_len(bytes: &[u8]) -> Option<usize> {
    let mut escaped = false;
    for (offset, byte) in bytes.iter().enumerate().skip(1) {
        if escaped {
            escaped = false;
        } else if *byte == b'\\' {
            escaped = true;
        } else if *byte == b'"' {
            return Some(offset + 1);
        }
    }
    None
}

/// The content of a quoted string: without quotes, each `\x` as `x`, folds as one space. Other text is given back as it is.
pub(crate) fn unquote(text: &str) -> Cow<'_, str> {
    let Some(inner) = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
    else {
        return Cow::Borrowed(text);
    };
    if !inner.contains(['\\', '\r', '\n']) {
        return Cow::Borrowed(inner);
    }
    let unfolded = lossy(unfold(inner.as_bytes())).into_owned();
    let mut out = String::with_capacity(unfolded.len());
    let mut letters = unfolded.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => out.extend(letters.next()),
            _ => out.push(letter),
        }
    }
    Cow::Owned(out)
}

/// A text as a quoted string: quotes and backslashes escaped, line ends and NUL as spaces.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for letter in self.0.chars() {
            match letter {
                '"' | '\\' => write!(f, "\\{letter}")?,
                '\r' | '\n' | '\0' => f.write_char(' ')?,
                _ => f.write_char(letter)?,
            }
        }
        f.write_char('"')
    }
}

/// A parameter's value: as it is where it is a token, quoted elsewhere.
pub(crate) struct TokenOrQuoted<'a>(pub(crate) &'a str);

impl fmt::Display for TokenOrQuoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_token(self.0.as_bytes()) {
            f.write_str(self.0)
        } else {
            Quoted(self.0).fmt(f)
        }
    }
}

/// The number that `bytes` spell in decimal digits; none when they are not only digits or it exceeds `most`.
pub(crate) fn number(bytes: &[u8], most: u32) -> Option<u32> {
    if bytes.is_empty() {
        return None;
    }
    let mut value: u32 = 0;
    for byte in bytes {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u32::from(byte - b'0'))?;
    }
    (value <= most).then_some(value)
}

/// Appends a value that was read, with line ends as spaces: a message that was read leniently may hold a carriage return alone.
pub(crate) fn push_line(out: &mut Vec<u8>, value: &[u8]) {
    let start = out.len();
    out.extend_from_slice(value);
    if memchr::memchr2(b'\r', b'\n', value).is_some() {
        for byte in out.iter_mut().skip(start) {
            if matches!(*byte, b'\r' | b'\n') {
                *byte = b' ';
            }
        }
    }
}

/// Appends a header value, line ends and NUL as spaces: no value can end its own field.
pub(crate) fn push_value(out: &mut Vec<u8>, value: &[u8]) {
    let start = out.len();
    out.extend_from_slice(value);
    if memchr::memchr3(b'\r', b'\n', 0, value).is_some() {
        for byte in out.iter_mut().skip(start) {
            if matches!(*byte, b'\r' | b'\n' | 0) {
                *byte = b' ';
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{List, is_closed, number, unfold, unquote};

    #[test]
    fn what_opens_must_close() {
        for closed in [
            &b""[..],
            b";a=b",
            b";a=\"b;\\\"<\"",
            b"<a\">",
            b">",
            b"\"\\\\\"",
        ] {
            assert!(is_closed(closed), "{}", closed.escape_ascii());
        }
        for open in [&b"\""[..], b";a=\"b", b"\"\\\"", b";a=<", b"\"<\"\""] {
            assert!(!is_closed(open), "{}", open.escape_ascii());
        }
    }

    #[test]
    fn lists_split_outside_quotes_and_brackets() {
        let list: Vec<&[u8]> =
            List::new(b"\"a, \\\"b\" <sip:a,b@c>, , <sip:d>;x=\"1,2\" ,e").collect();
        assert_eq!(
            list,
            [&b"\"a, \\\"b\" <sip:a,b@c>"[..], b"<sip:d>;x=\"1,2\"", b"e"]
        );
    }

    #[test]
    fn folds_become_one_space() {
        assert_eq!(unfold(b"a \r\n\t b\n c").as_ref(), b"a b c");
        assert_eq!(unfold(b"a  b").as_ref(), b"a  b");
    }

    #[test]
    fn quoted_pairs_lose_their_backslash() {
        assert_eq!(unquote(r#""J \"x\" \\""#), r#"J "x" \"#);
        assert_eq!(unquote("token"), "token");
    }

    #[test]
    fn numbers_are_digits_within_bounds() {
        assert_eq!(number(b"4294967295", u32::MAX), Some(u32::MAX));
        for bad in [&b"4294967296"[..], b"", b"-1", b"+1", b"1 "] {
            assert_eq!(number(bad, u32::MAX), None);
        }
    }
}
