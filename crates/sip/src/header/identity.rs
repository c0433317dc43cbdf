//! Who calls, as the network says: P-Asserted-Identity and P-Preferred-Identity (RFC 3325 §9), and Remote-Party-ID, which came
//! before them and is still sent.
use crate::error::HeaderError;
use crate::grammar::TokenOrQuoted;
use crate::header::address::Address;
use crate::message::Message;
use crate::name::HeaderName;
use smallvec::SmallVec;
use std::borrow::Cow;
use std::fmt;

/// Identities of one header: a SIP URI, a tel URI, or one of each (RFC 3325 §9.1).
pub type Identities<'a> = SmallVec<[Address<'a>; 2]>;

/// A party of the call as a Remote-Party-ID gives it (draft-ietf-sip-privacy-04).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RemotePartyId<'a> {
    /// The address, all parameters with it.
    pub address: Address<'a>,
    /// Which party: `calling`, `called`.
    pub party: Option<Cow<'a, str>>,
    /// Whether a server has checked it: `yes`, `no`.
    pub screen: Option<Cow<'a, str>>,
    /// What may be shown: `full` (nothing), `name`, `uri`, `off` (everything).
    pub privacy: Option<Cow<'a, str>>,
}

impl<'a> RemotePartyId<'a> {
    /// Reads one value such as `"Alice" <sip:a@h>;party=calling;screen=yes;privacy=off`.
    ///
    /// # Errors
    /// The address is unreadable.
    pub fn parse(value: &'a [u8]) -> Result<RemotePartyId<'a>, HeaderError> {
        let address = Address::parse_as(HeaderName::RemotePartyId, value)?;
        Ok(RemotePartyId {
            party: address.param("party").flatten(),
            screen: address.param("screen").flatten(),
            privacy: address.param("privacy").flatten(),
            address,
        })
    }

    /// Whether the party wants its address kept from the callee.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.privacy
            .as_deref()
            .is_some_and(|value| !value.eq_ignore_ascii_case("off"))
    }
}

impl fmt::Display for RemotePartyId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt_name_addr(f)?;
        for (name, value) in [
            ("party", &self.party),
            ("screen", &self.screen),
            ("privacy", &self.privacy),
        ] {
            if let Some(value) = value {
                write!(f, ";{name}={}", TokenOrQuoted(value))?;
            }
        }
        self.address
            .params
            .fmt_but(f, &["party", "screen", "privacy"])
    }
}

impl Message {
    /// The caller as the trusted network asserts it (P-Asserted-Identity).
    ///
    /// # Errors
    /// One of them is unreadable.
    pub fn asserted_identities(&self) -> Result<Identities<'_>, HeaderError> {
        self.identities(HeaderName::PAssertedIdentity)
    }

    /// The identity that a user agent asks its proxy to assert (P-Preferred-Identity).
    ///
    /// # Errors
    /// One of them is unreadable.
    pub fn preferred_identities(&self) -> Result<Identities<'_>, HeaderError> {
        self.identities(HeaderName::PPreferredIdentity)
    }

    /// Every Remote-Party-ID, in order.
    ///
    /// # Errors
    /// One of them is unreadable.
    pub fn remote_party_ids(&self) -> Result<SmallVec<[RemotePartyId<'_>; 1]>, HeaderError> {
        self.headers(HeaderName::RemotePartyId)
            .flat_map(|field| field.list())
            .map(RemotePartyId::parse)
            .collect()
    }

    /// These header fields have no parameters of their own: without brackets everything is the URI's (RFC 3325 §9.1).
    fn identities(&self, name: HeaderName) -> Result<Identities<'_>, HeaderError> {
        self.headers(name)
            .flat_map(|field| field.list())
            .map(|value| Address::parse_whole(name, value))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::RemotePartyId;

    #[test]
    fn a_remote_party_is_read_and_written() {
        let text = "\"Bob, B.\" <sip:+15550100@h;user=phone>;screen=yes;id-type=user;privacy=Full;party=calling";
        let party = RemotePartyId::parse(text.as_bytes()).unwrap();
        assert!(party.is_private());
        assert_eq!(party.party.as_deref(), Some("calling"));
        assert_eq!(
            party.to_string(),
            "\"Bob, B.\" <sip:+15550100@h;user=phone>;party=calling;screen=yes;privacy=Full;id-type=user"
        );
        assert!(
            !RemotePartyId::parse(b"<sip:a@h>;privacy=off")
                .unwrap()
                .is_private()
        );
        assert!(!RemotePartyId::parse(b"<sip:a@h>").unwrap().is_private());
        assert!(
            RemotePartyId::parse(b"Bob").is_err(),
            "a bare word is no URI"
        );
    }
}
