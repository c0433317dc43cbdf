//! Retry-After (RFC 3261 §20.33): when to try again, and for how long that holds.
use crate::error::HeaderError;
use crate::grammar::number;
use crate::grammar::trim_text;
use crate::header::params::Params;
use crate::header::value_text;
use crate::message::Message;
use crate::name::HeaderName;
use std::borrow::Cow;
use std::fmt;

/// When to try again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RetryAfter<'a> {
    /// How long to wait, in seconds.
    pub seconds: u32,
    /// The comment for people, without its parentheses.
    pub comment: Option<Cow<'a, str>>,
    /// How long the sender can be reached from then on, in seconds.
    pub duration: Option<u32>,
}

impl<'a> RetryAfter<'a> {
    /// Reads a value such as `18000 (in a meeting);duration=3600`.
    ///
    /// # Errors
    /// It begins with no number, the comment has no end, or the duration is no number.
    pub fn parse(value: &'a [u8]) -> Result<RetryAfter<'a>, HeaderError> {
        let fail = |what| HeaderError::new(HeaderName::RetryAfter, what);
        let text = value_text(HeaderName::RetryAfter, value)?;
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (seconds, rest) = text.split_at(digits);
        let seconds = number(seconds.as_bytes(), u32::MAX)
            .ok_or(fail("it begins with no number of seconds; write `30`"))?;
        let mut rest = trim_text(rest);
        let mut comment = None;
        if rest.starts_with('(') {
            let length = comment_len(rest).ok_or(fail("the comment has no closing `)`"))?;
            let (inner, after) = rest.split_at(length);
            comment = Some(uncomment(inner));
            rest = trim_text(after);
        }
        if !rest.is_empty() && !rest.starts_with(';') {
            return Err(fail(
                "there is text behind the number; write `30 (comment);duration=60`",
            ));
        }
        let duration = match Params::new(rest).get_raw("duration") {
            None => None,
            Some(text) => Some(
                number(text.unwrap_or("").as_bytes(), u32::MAX)
                    .ok_or(fail("the duration is no number of seconds"))?,
            ),
        };
        Ok(RetryAfter {
            seconds,
            comment,
            duration,
        })
    }
}

/// The length of the comment that `text` begins with, its parentheses included; comments nest (RFC 3261 §25.1).
fn comment_len(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut escaped = false;
    for (offset, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'(' => depth += 1,
            b')' if depth == 1 => return Some(offset + 1),
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

/// The content of a comment: without the outer parentheses, each `\x` as `x`.
fn uncomment(text: &str) -> Cow<'_, str> {
    let inner = text
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'))
        .unwrap_or(text);
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    let mut out = String::with_capacity(inner.len());
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => out.extend(letters.next()),
            _ => out.push(letter),
        }
    }
    Cow::Owned(out)
}

impl fmt::Display for RetryAfter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.seconds)?;
        if let Some(comment) = &self.comment {
            f.write_str(" (")?;
            for letter in comment.chars() {
                match letter {
                    '(' | ')' | '\\' => write!(f, "\\{letter}")?,
                    '\r' | '\n' | '\0' => f.write_str(" ")?,
                    _ => write!(f, "{letter}")?,
                }
            }
            f.write_str(")")?;
        }
        match self.duration {
            Some(duration) => write!(f, ";duration={duration}"),
            None => Ok(()),
        }
    }
}

impl Message {
    /// The Retry-After.
    ///
    /// # Errors
    /// More than one, or unreadable.
    pub fn retry_after(&self) -> Result<Option<RetryAfter<'_>>, HeaderError> {
        self.single(HeaderName::RetryAfter)?
            .map(|field| RetryAfter::parse(field.raw_value()))
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::RetryAfter;

    #[test]
    fn comments_and_durations_are_read() {
        let read = |text| RetryAfter::parse(text).unwrap();
        let full = read(b"18000 (I'm (still) in; a \\) meeting) ;duration=3600");
        assert_eq!(
            (full.seconds, full.comment.as_deref(), full.duration),
            (18000, Some("I'm (still) in; a ) meeting"), Some(3600))
        );
        let written = full.to_string();
        assert_eq!(RetryAfter::parse(written.as_bytes()), Ok(full.clone()));
        assert_eq!(read(b"5").to_string(), "5");
        assert_eq!(read(b"5;duration=1").duration, Some(1));
        for bad in ["", "x", "5 (a", "5 a", "5;duration=x", "5 (a) b", "-5"] {
            assert!(RetryAfter::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
