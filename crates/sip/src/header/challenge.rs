//! Challenges and credentials: WWW-Authenticate, Proxy-Authenticate, Authorization, Proxy-Authorization (RFC 3261 §20.7, §20.44).
use crate::error::HeaderError;
use crate::grammar::{List, is_lws, is_token, trim, trim_text, unquote};
use crate::name::HeaderName;
use std::borrow::Cow;

/// A scheme and its parameters. What they mean is the digest code's business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge<'a> {
    /// The scheme as sent: `Digest`.
    pub scheme: &'a str,
    params: &'a str,
}

impl<'a> Challenge<'a> {
    /// Reads one header field's value: one challenge or one set of credentials.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &'a str) -> Result<Challenge<'a>, HeaderError> {
        Challenge::parse_as(HeaderName::Other, text.as_bytes())
    }

    pub(crate) fn parse_as(
        header: HeaderName,
        value: &'a [u8],
    ) -> Result<Challenge<'a>, HeaderError> {
        let text = std::str::from_utf8(trim(value))
            .map_err(|_| HeaderError::new(header, "it is not UTF-8"))?;
        let end = text.bytes().position(is_lws).unwrap_or(text.len());
        let (scheme, params) = text.split_at(end);
        if !is_token(scheme.as_bytes()) {
            return Err(HeaderError::new(
                header,
                "the scheme is missing or no token; write `Digest name=value, ...`",
            ));
        }
        Ok(Challenge {
            scheme,
            params: trim_text(params),
        })
    }

    /// The parameter of that name, in any case; a quoted string without its quotes.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Cow<'a, str>> {
        self.iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| unquote(value))
    }

    /// Every parameter, name and value as sent (quotes included).
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let list =
            List::new(self.params.as_bytes()).filter_map(|part| std::str::from_utf8(part).ok());
        list.map(|part| {
            part.split_once('=').map_or((part, ""), |(name, value)| {
                (trim_text(name), trim_text(value))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Challenge;

    #[test]
    fn parameters_are_read_with_commas_in_quotes() {
        let challenge =
            Challenge::parse("Digest realm=\"a, \\\"b\\\"\", nonce = \"x=\" ,\r\n qop=auth")
                .unwrap();
        assert_eq!(challenge.scheme, "Digest");
        assert_eq!(challenge.get("Realm").as_deref(), Some("a, \"b\""));
        assert_eq!(challenge.get("nonce").as_deref(), Some("x="));
        assert_eq!(challenge.get("qop").as_deref(), Some("auth"));
        assert_eq!(challenge.get("opaque"), None);
        assert!(Challenge::parse("").is_err());
    }
}
