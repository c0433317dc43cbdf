//! Addresses: From, To, Contact, Route and their like (RFC 3261 §20.10, `name-addr` and `addr-spec`).
//!
//! Brackets say what the URI is, and a bad one in them is found where it is used. Without brackets a text is an address only if it is a
//! URI: `bob`, `192.0.2.4` and `Bob sip:bob@h` are none. It is as wide as [`Uri::parse`] is where telephones are: any character in the user
//! part that ends no URI, `_` in host names, unknown schemes; and a question mark or comma, which RFC 3261 §20.10 wants in brackets.
use crate::error::HeaderError;
use crate::grammar::{Quoted, is_closed, lossy, quoted_len, trim, unfold, unquote};
use crate::header::params::Params;
use crate::name::HeaderName;
use crate::uri::Uri;
use std::borrow::Cow;
use std::fmt;

/// A URI with an optional display name and the header's parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address<'a> {
    /// The display name, without quotes, each `\x` as `x`; what is not UTF-8 becomes U+FFFD.
    pub display: Option<Cow<'a, str>>,
    /// The URI as sent; `*` for the wildcard of a Contact.
    pub uri_text: &'a str,
    /// The header's parameters, not those of the URI.
    pub params: Params<'a>,
    header: HeaderName,
}

impl<'a> Address<'a> {
    /// Reads one value, folded or not.
    ///
    /// # Errors
    /// What is wrong with it. A URI in brackets is read by [`Address::uri`], one without at once.
    pub fn parse(text: &'a str) -> Result<Address<'a>, HeaderError> {
        Address::parse_as(HeaderName::Other, text.as_bytes())
    }

    /// Reads one value of that header field.
    pub(crate) fn parse_as(
        header: HeaderName,
        value: &'a [u8],
    ) -> Result<Address<'a>, HeaderError> {
        let fail = |what| HeaderError::new(header, what);
        let text = |bytes| {
            std::str::from_utf8(bytes).map_err(|_| fail("the URI or a parameter is not UTF-8"))
        };
        let value = trim(value);
        let quoted = if value.first() == Some(&b'"') {
            quoted_len(value).ok_or(fail("the quoted display name has no closing quote"))?
        } else {
            0
        };
        let (display, rest) = value.split_at(quoted);
        let open = memchr::memchr(b'<', rest);
        let (display, uri, params) = match open {
            Some(open) => {
                let between = trim(rest.get(..open).unwrap_or_default());
                if quoted > 0 && !between.is_empty() {
                    return Err(fail("there is text between the display name and the URI"));
                }
                let inner = rest.get(open + 1..).unwrap_or_default();
                let close =
                    memchr::memchr(b'>', inner).ok_or(fail("the URI has no closing `>`"))?;
                // Whoever forgot the quotes may have meant two addresses (RFC 4475 §3.1.2.15).
                if quoted == 0 && memchr::memchr2(b',', b';', between).is_some() {
                    return Err(fail(
                        "the display name holds a comma or semicolon; write it in quotes",
                    ));
                }
                let name = if quoted > 0 { display } else { between };
                (
                    name,
                    // Spaces inside the brackets mean nothing (RFC 4475 §3.1.2.14).
                    trim(inner.get(..close).unwrap_or_default()),
                    inner.get(close + 1..).unwrap_or_default(),
                )
            }
            None if quoted > 0 => return Err(fail("a display name is followed by no `<URI>`")),
            None => {
                // Without brackets everything behind the first semicolon is the header's (RFC 3261 §20.10).
                let end = memchr::memchr(b';', rest).unwrap_or(rest.len());
                let (uri, params) = rest.split_at(end);
                (&b""[..], trim(uri), params)
            }
        };
        let params = trim(params);
        if !params.is_empty() && params.first() != Some(&b';') {
            return Err(fail(
                "there is text behind the URI; write `<URI>;name=value`",
            ));
        }
        // A tag that we add behind it would be part of it, and nobody could read it.
        if !is_closed(params) {
            return Err(fail("a parameter's quote or bracket is not closed"));
        }
        let uri_text = text(uri)?;
        if uri_text.is_empty() {
            return Err(fail("there is no URI"));
        }
        if open.is_none() {
            check_bare(header, uri_text)?;
        }
        Ok(Address {
            display: display_text(display),
            uri_text,
            params: Params::new(text(params)?),
            header,
        })
    }

    /// Reads one value of a header field whose addresses have no parameters of the header: without brackets all is the URI.
    pub(crate) fn parse_whole(
        header: HeaderName,
        value: &'a [u8],
    ) -> Result<Address<'a>, HeaderError> {
        if memchr::memchr2(b'<', b'"', value).is_some() {
            return Address::parse_as(header, value);
        }
        let fail = |what| HeaderError::new(header, what);
        let uri_text = std::str::from_utf8(trim(value)).map_err(|_| fail("it is not UTF-8"))?;
        if uri_text.is_empty() {
            return Err(fail("there is no URI"));
        }
        check_bare(header, uri_text)?;
        Ok(Address {
            display: None,
            uri_text,
            params: Params::default(),
            header,
        })
    }

    /// Writes display name and URI.
    pub(crate) fn fmt_name_addr(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(display) = &self.display {
            write!(f, "{} ", Quoted(display))?;
        }
        match self.uri_text {
            "*" => f.write_str("*"),
            uri => write!(f, "<{uri}>"),
        }
    }

    /// The URI, read.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn uri(&self) -> Result<Uri<'a>, HeaderError> {
        Uri::parse(self.uri_text).map_err(|error| HeaderError::new(self.header, error.what))
    }

    /// Whether this is the `*` of a Contact (RFC 3261 §10.2.2).
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.uri_text == "*"
    }

    /// The `tag` parameter.
    #[must_use]
    pub fn tag(&self) -> Option<&'a str> {
        self.params.get_raw("tag").flatten()
    }

    /// A parameter of the header: `Some(None)` without a value.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<Option<Cow<'a, str>>> {
        self.params.get(name)
    }
}

/// The address as it is written: the URI in brackets, so that its parameters stay its own.
impl fmt::Display for Address<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_name_addr(f)?;
        self.params.fmt(f)
    }
}

/// Whether a text without brackets is a URI, or the `*` of a Contact.
fn check_bare(header: HeaderName, text: &str) -> Result<(), HeaderError> {
    if text == "*" && matches!(header, HeaderName::Contact | HeaderName::Other) {
        return Ok(());
    }
    let checked = Uri::parse(text).map(|_| ());
    checked.map_err(|error| HeaderError::new(header, error.what))
}

/// The display name that stands before the bracket.
fn display_text(bytes: &[u8]) -> Option<Cow<'_, str>> {
    if bytes.is_empty() {
        return None;
    }
    Some(match lossy(unfold(bytes)) {
        Cow::Borrowed(text) => unquote(text),
        Cow::Owned(text) => Cow::Owned(unquote(&text).into_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn both_forms_are_read() {
        let address =
            Address::parse("\"A. \\\"G.\\\" Bell, Jr\"  <sip:a,b@c;x=y> ; tag = 1a;q=0.5").unwrap();
        assert_eq!(address.display.as_deref(), Some("A. \"G.\" Bell, Jr"));
        assert_eq!(
            (address.uri_text, address.tag()),
            ("sip:a,b@c;x=y", Some("1a"))
        );
        let bare = Address::parse("sip:a@b;tag=2").unwrap();
        assert_eq!(
            (bare.display.as_deref(), bare.uri_text, bare.tag()),
            (None, "sip:a@b", Some("2"))
        );
        assert_eq!(
            Address::parse("Alice Liddell <sip:a@b>")
                .unwrap()
                .display
                .as_deref(),
            Some("Alice Liddell")
        );
        assert_eq!(
            Address::parse("\"\" <sip:a@b>").unwrap().display.as_deref(),
            Some("")
        );
        assert!(Address::parse("*").unwrap().is_wildcard());
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for bad in [
            "",
            "<>",
            "\"a <sip:b@c>",
            "<sip:a@b",
            "\"a\" sip:b@c",
            "<sip:a@b> x",
            ";tag=1",
        ] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn without_brackets_it_has_to_be_a_uri() {
        for bad in [
            "bob",
            "192.0.2.4",
            "bob@192.0.2.4;tag=1",
            "Bob sip:bob@h",
            "sip:",
            "sip:b ob@h",
            "sip:bob@h:x",
            "sip:bob@[::1",
            "1:2",
            "tel:",
            "**",
        ] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
        assert!(Address::parse_as(crate::HeaderName::To, b"*").is_err());
        assert!(Address::parse_as(crate::HeaderName::Contact, b"*").is_ok());
        for good in [
            "sip:h",
            "sip:1000#@my_pbx:5060;tag=1",
            "SIPS:j\u{f6}rg@h",
            "tel:+1-555-0100;phone-context=example.com",
            "sip:a,b@h",
            "sip:bob@h?Route=%3Csip:h%3E",
            "urn:service:sos",
            "im:bob@h",
        ] {
            assert!(Address::parse(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn a_display_name_that_is_not_utf_8_is_kept_as_far_as_text_can() {
        let address =
            Address::parse_as(crate::HeaderName::From, b"\"J\xf6rg\" <sip:j@x>;tag=1").unwrap();
        assert_eq!(address.display.as_deref(), Some("J\u{fffd}rg"));
        assert!(Address::parse_as(crate::HeaderName::From, b"<sip:\xf6@x>").is_err());
    }
}
