//! Diversion (RFC 5806): who forwarded a call, the latest first, and why. History-Info replaced it; carriers and PBXs go on sending it.
use crate::error::HeaderError;
use crate::grammar::{TokenOrQuoted, number};
use crate::header::address::Address;
use crate::message::Message;
use crate::name::HeaderName;
use smallvec::SmallVec;
use std::borrow::Cow;
use std::fmt;

/// One diversion.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diversion<'a> {
    /// The address that was diverted from, all parameters with it.
    pub address: Address<'a>,
    /// Why: `unconditional`, `user-busy`, `no-answer`, `deflection`, or any other text.
    pub reason: Option<Cow<'a, str>>,
    /// How many diversions this one stands for.
    pub counter: Option<u32>,
    /// How many there may be.
    pub limit: Option<u32>,
    /// What of the address may be shown: `full` (nothing), `name`, `uri`, `off` (everything).
    pub privacy: Option<Cow<'a, str>>,
    /// Whether a server has checked the address: `yes`, `no`.
    pub screen: Option<Cow<'a, str>>,
}

/// The parameters that have a field of their own.
const OWN: &[&str] = &["reason", "counter", "limit", "privacy", "screen"];

impl<'a> Diversion<'a> {
    /// Reads one value such as `<sip:+15550100@h>;reason=user-busy;counter=1`.
    ///
    /// # Errors
    /// The address is unreadable, or counter or limit is no number.
    pub fn parse(value: &'a [u8]) -> Result<Diversion<'a>, HeaderError> {
        let address = Address::parse_as(HeaderName::Diversion, value)?;
        let count = |name| match address.params.get(name) {
            None => Ok(None),
            Some(text) => number(text.unwrap_or_default().as_bytes(), u32::MAX)
                .map(Some)
                .ok_or(HeaderError::new(
                    HeaderName::Diversion,
                    "counter or limit is no number; write `counter=1`",
                )),
        };
        Ok(Diversion {
            reason: address.param("reason").flatten(),
            counter: count("counter")?,
            limit: count("limit")?,
            privacy: address.param("privacy").flatten(),
            screen: address.param("screen").flatten(),
            address,
        })
    }
}

impl fmt::Display for Diversion<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt_name_addr(f)?;
        if let Some(reason) = &self.reason {
            write!(f, ";reason={}", TokenOrQuoted(reason))?;
        }
        for (name, count) in [("counter", self.counter), ("limit", self.limit)] {
            if let Some(count) = count {
                write!(f, ";{name}={count}")?;
            }
        }
        for (name, value) in [("privacy", &self.privacy), ("screen", &self.screen)] {
            if let Some(value) = value {
                write!(f, ";{name}={}", TokenOrQuoted(value))?;
            }
        }
        self.address.params.fmt_but(f, OWN)
    }
}

impl Message {
    /// Every Diversion, in order: the latest first (RFC 5806 §5).
    ///
    /// # Errors
    /// One of them is unreadable.
    pub fn diversions(&self) -> Result<SmallVec<[Diversion<'_>; 1]>, HeaderError> {
        self.headers(HeaderName::Diversion)
            .flat_map(|field| field.list())
            .map(Diversion::parse)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Diversion;

    #[test]
    fn reasons_may_be_words_or_texts() {
        let text = b"\"Desk\" <tel:+15550100>;privacy=off;counter=\"2\";reason=\"out of office\";screen=no;limit=5;x=y";
        let diversion = Diversion::parse(text).unwrap();
        assert_eq!(diversion.reason.as_deref(), Some("out of office"));
        assert_eq!((diversion.counter, diversion.limit), (Some(2), Some(5)));
        assert_eq!(
            diversion.to_string(),
            "\"Desk\" <tel:+15550100>;reason=\"out of office\";counter=2;limit=5;privacy=off;screen=no;x=y"
        );
        for bad in ["", "<sip:a@b>;counter=x", "<sip:a@b>;limit"] {
            assert!(Diversion::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
