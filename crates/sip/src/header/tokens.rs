//! Header fields that are lists of words or single ones: option tags, methods, entity tags, and plain numbers.
use crate::error::HeaderError;
use crate::field::Field;
use crate::grammar::is_token;
use crate::message::Message;
use crate::method::Method;
use crate::name::HeaderName;

impl Message {
    /// The words of a comma list such as Supported, Require, Proxy-Require, Unsupported, Allow, Allow-Events, in order. What
    /// is no text is left out.
    pub fn option_tags(&self, name: HeaderName) -> impl Iterator<Item = &str> {
        self.headers(name)
            .flat_map(|field: Field<'_>| field.list())
            .filter_map(|value| std::str::from_utf8(value).ok())
    }

    /// Whether the sender understands an extension: its tag is in Supported, or in Require, as who requires it understands it.
    /// Tags are compared without regard to case (RFC 3261 §7.3.1).
    #[must_use]
    pub fn supports(&self, tag: &str) -> bool {
        self.has_tag(HeaderName::Supported, tag) || self.requires(tag)
    }

    /// Whether the sender requires an extension (Require, RFC 3261 §20.32).
    #[must_use]
    pub fn requires(&self, tag: &str) -> bool {
        self.has_tag(HeaderName::Require, tag)
    }

    /// Whether the sender takes requests of that method; none where it says nothing (RFC 3261 §20.5). Methods are compared with
    /// regard to case (RFC 3261 §7.1).
    #[must_use]
    pub fn allows(&self, method: &Method) -> Option<bool> {
        self.header(HeaderName::Allow)?;
        Some(
            self.option_tags(HeaderName::Allow)
                .any(|name| name == method.as_str()),
        )
    }

    fn has_tag(&self, name: HeaderName, tag: &str) -> bool {
        self.option_tags(name)
            .any(|other| other.eq_ignore_ascii_case(tag))
    }

    /// The entity tag that a publication got (SIP-ETag, RFC 3903 §11.3.1).
    ///
    /// # Errors
    /// More than one, or no token.
    pub fn sip_etag(&self) -> Result<Option<&str>, HeaderError> {
        self.single_token(HeaderName::SipEtag)
    }

    /// The entity tag of the publication that a PUBLISH is about (SIP-If-Match, RFC 3903 §11.3.2).
    ///
    /// # Errors
    /// More than one, or no token.
    pub fn sip_if_match(&self) -> Result<Option<&str>, HeaderError> {
        self.single_token(HeaderName::SipIfMatch)
    }

    fn single_token(&self, name: HeaderName) -> Result<Option<&str>, HeaderError> {
        let Some(field) = self.single(name)? else {
            return Ok(None);
        };
        let value = field.raw_value();
        match std::str::from_utf8(value) {
            Ok(text) if is_token(value) => Ok(Some(text)),
            _ => Err(HeaderError::new(name, "it is no token; write one word")),
        }
    }

    /// The shortest Expires that the sender accepts, in seconds (RFC 3261 §20.23).
    ///
    /// # Errors
    /// More than one, no number, or over 2^32-1.
    pub fn min_expires(&self) -> Result<Option<u32>, HeaderError> {
        self.number(HeaderName::MinExpires, u32::MAX)
    }

    /// How many branches the request may yet be forked into (RFC 5393 §5).
    ///
    /// # Errors
    /// More than one, no number, or over 2^32-1.
    pub fn max_breadth(&self) -> Result<Option<u32>, HeaderError> {
        self.number(HeaderName::MaxBreadth, u32::MAX)
    }
}
