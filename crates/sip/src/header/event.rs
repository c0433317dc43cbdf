//! Event (RFC 6665 §8.2.1): the package of a subscription, and which of several subscriptions to it.
use crate::error::HeaderError;
use crate::grammar::is_token;
use crate::header::params::Params;
use crate::header::value_text;
use crate::message::Message;
use crate::name::HeaderName;
use std::fmt;

/// An event package and the subscription's identifier.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct EventPackage<'a> {
    /// The package with its templates: `dialog`, `presence.winfo`.
    pub package: &'a str,
    /// The `id` parameter.
    pub id: Option<&'a str>,
    /// Every parameter, `id` among them; a package may define its own (RFC 6665 §7.2).
    pub params: Params<'a>,
}

impl<'a> EventPackage<'a> {
    /// Reads a value such as `refer;id=93809824`.
    ///
    /// # Errors
    /// The package is missing or no token, or the `id` is empty.
    pub fn parse(value: &'a [u8]) -> Result<EventPackage<'a>, HeaderError> {
        let fail = |what| HeaderError::new(HeaderName::Event, what);
        let (package, params) = Params::split(value_text(HeaderName::Event, value)?);
        if !is_token(package.as_bytes()) {
            return Err(fail(
                "the package is missing or no token; write `package;id=value`",
            ));
        }
        let id = match params.get_raw("id") {
            Some(Some(id)) if !id.is_empty() => Some(id),
            None => None,
            Some(_) => return Err(fail("the id has no value; write `package;id=value`")),
        };
        Ok(EventPackage {
            package,
            id,
            params,
        })
    }

    /// Whether both mean the same subscription: package and `id` byte by byte, an absent `id` equal to none but an absent
    /// one, other parameters not looked at (RFC 6665 §8.2.1).
    #[must_use]
    pub fn same_as(&self, other: &EventPackage<'_>) -> bool {
        self.package == other.package && self.id == other.id
    }

    /// The package without its templates: `presence` of `presence.winfo` (RFC 6665 §7.2).
    #[must_use]
    pub fn base(&self) -> &'a str {
        self.package.split('.').next().unwrap_or(self.package)
    }
}

impl fmt::Display for EventPackage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.package)?;
        if let (Some(id), None) = (self.id, self.params.get_raw("id")) {
            write!(f, ";id={id}")?;
        }
        write!(f, "{}", self.params)
    }
}

impl Message {
    /// The Event.
    ///
    /// # Errors
    /// More than one, or unreadable.
    pub fn event(&self) -> Result<Option<EventPackage<'_>>, HeaderError> {
        self.single(HeaderName::Event)?
            .map(|field| EventPackage::parse(field.raw_value()))
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::EventPackage;

    fn read(text: &str) -> EventPackage<'_> {
        EventPackage::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn only_package_and_id_make_a_subscription() {
        assert!(read("dialog").same_as(&read("dialog;sla;include-session-description")));
        assert!(read("refer;id=1").same_as(&read("refer ; x=y ; ID=1")));
        assert!(!read("refer;id=1").same_as(&read("refer")));
        assert!(!read("refer;id=1").same_as(&read("refer;id=2")));
        assert!(!read("refer;id=a").same_as(&read("refer;id=A")));
        assert!(!read("presence").same_as(&read("presence.winfo")));
        assert_eq!(read("presence.winfo").base(), "presence");
        assert_eq!(read("refer ; id=1;x").to_string(), "refer;id=1;x");
        for bad in ["", ";id=1", "a b", "refer;id", "refer;id="] {
            assert!(EventPackage::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
