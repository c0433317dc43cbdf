//! Parameters: `;name=value` after a header's value or in a URI.
use crate::grammar::{find_outside, trim_text, unquote};
use std::borrow::Cow;
use std::fmt;

/// Parameters in the order sent, read at each call. Names are compared without regard to case.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Params<'a> {
    text: &'a str,
}

impl<'a> Params<'a> {
    /// The parameters of `text`, which begins with a semicolon or with the first name.
    #[must_use]
    pub fn new(text: &'a str) -> Params<'a> {
        Params {
            text: trim_text(text),
        }
    }

    /// What stands before the first semicolon outside quotes and angle brackets, and the parameters behind it.
    #[must_use]
    pub fn split(text: &'a str) -> (&'a str, Params<'a>) {
        let (value, params) = text.split_at(separator(text));
        (trim_text(value), Params::new(params))
    }

    /// The text as sent.
    #[must_use]
    pub fn as_str(&self) -> &'a str {
        self.text
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// The parameter of that name: `Some(None)` without a value, else the value, a quoted string without its quotes.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Option<Cow<'a, str>>> {
        self.get_raw(name).map(|value| value.map(unquote))
    }

    /// The parameter of that name, its value as sent, quotes included.
    #[must_use]
    pub fn get_raw(&self, name: &str) -> Option<Option<&'a str>> {
        self.iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// Writes every parameter but those of these names.
    pub(crate) fn fmt_but(&self, f: &mut fmt::Formatter<'_>, left_out: &[&str]) -> fmt::Result {
        let is_out = |name: &str| left_out.iter().any(|out| out.eq_ignore_ascii_case(name));
        for (name, value) in self.iter().filter(|(name, _)| !is_out(name)) {
            write!(f, ";{name}")?;
            if let Some(value) = value {
                f.write_str("=")?;
                // A folded value is written in one line.
                for part in value.split(['\r', '\n']) {
                    f.write_str(part)?;
                }
            }
        }
        Ok(())
    }

    /// Every parameter, name and value as sent (quotes included), so that they can be written again.
    #[must_use]
    pub fn iter(&self) -> ParamsIter<'a> {
        ParamsIter { rest: self.text }
    }
}

/// The parameters as they are written behind a value: each with a semicolon before it, as sent but for white space.
impl fmt::Display for Params<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_but(f, &[])
    }
}

/// The iterator over parameters.
#[derive(Clone, Debug)]
pub struct ParamsIter<'a> {
    rest: &'a str,
}

impl<'a> Iterator for ParamsIter<'a> {
    type Item = (&'a str, Option<&'a str>);

    fn next(&mut self) -> Option<(&'a str, Option<&'a str>)> {
        while !self.rest.is_empty() {
            let end = separator(self.rest);
            let part = self.rest.get(..end).unwrap_or_default();
            self.rest = self.rest.get(end + 1..).unwrap_or_default();
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (trim_text(name), Some(trim_text(value))),
                None => (trim_text(part), None),
            };
            if !name.is_empty() {
                return Some((name, value));
            }
        }
        None
    }
}

/// The offset of the semicolon that ends the first parameter.
fn separator(text: &str) -> usize {
    match memchr::memchr3(b';', b'"', b'<', text.as_bytes()) {
        Some(at) if text.as_bytes().get(at) == Some(&b';') => at,
        Some(_) => find_outside(text.as_bytes(), b';'),
        None => text.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::Params;

    #[test]
    fn parameters_may_be_quoted_valueless_spaced_and_repeated() {
        let params = Params::new(" ; lr;Tag = abc ;\r\n text=\"a;b=\\\"c\\\"\";;x=");
        assert_eq!(params.get("LR"), Some(None));
        assert_eq!(params.get("tag").flatten().as_deref(), Some("abc"));
        assert_eq!(params.get("text").flatten().as_deref(), Some("a;b=\"c\""));
        assert_eq!(params.get_raw("text").flatten(), Some("\"a;b=\\\"c\\\"\""));
        assert_eq!(params.get("x").flatten().as_deref(), Some(""));
        assert_eq!(params.get("none"), None);
        assert_eq!(params.iter().count(), 4);
        assert!(Params::default().is_empty());
        assert_eq!(Params::new("a=<sip:b;c>;d").iter().count(), 2);
    }
}
