//! Privacy (RFC 3323 §4.2): what a caller wants kept from the callee, and what that means for header fields that leave the
//! trusted network (RFC 3325 §7, RFC 7044 §10.1).
use crate::error::HeaderError;
use crate::grammar::is_token;
use crate::header::value_text;
use crate::message::Message;
use crate::name::HeaderName;
use smallvec::SmallVec;
use std::borrow::Cow;
use std::fmt;

/// The set of privacy values.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Privacy<'a> {
    /// The values as sent, in order: `header`, `session`, `user`, `id`, `history`, `none`, `critical`.
    pub values: SmallVec<[Cow<'a, str>; 2]>,
}

impl<'a> Privacy<'a> {
    /// Reads a value such as `id;critical`. Commas, which some servers write, are taken for semicolons.
    ///
    /// # Errors
    /// There is none, or one is no token.
    pub fn parse(value: &'a [u8]) -> Result<Privacy<'a>, HeaderError> {
        let mut privacy = Privacy::default();
        privacy.extend(value)?;
        Ok(privacy)
    }

    fn extend(&mut self, value: &'a [u8]) -> Result<(), HeaderError> {
        let fail = HeaderError::new(
            HeaderName::Privacy,
            "a value is missing or no token; write `id;critical`",
        );
        let text = value_text(HeaderName::Privacy, value)?;
        let words = text.split([';', ',']).map(crate::grammar::trim_text);
        for word in words.filter(|word| !word.is_empty()) {
            if !is_token(word.as_bytes()) {
                return Err(fail);
            }
            self.values.push(Cow::Borrowed(word));
        }
        if self.values.is_empty() {
            return Err(fail);
        }
        Ok(())
    }

    /// Whether a value is among them, in any case.
    #[must_use]
    pub fn has(&self, value: &str) -> bool {
        self.values
            .iter()
            .any(|other| other.eq_ignore_ascii_case(value))
    }

    /// The same, holding texts of its own.
    #[must_use]
    pub fn into_owned(self) -> Privacy<'static> {
        let owned = |value: Cow<'a, str>| Cow::Owned(value.into_owned());
        Privacy {
            values: self.values.into_iter().map(owned).collect(),
        }
    }
}

impl fmt::Display for Privacy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, value) in self.values.iter().enumerate() {
            let separator = if at == 0 { "" } else { ";" };
            write!(f, "{separator}{value}")?;
        }
        Ok(())
    }
}

impl Message {
    /// The Privacy; several header fields count as one.
    ///
    /// # Errors
    /// One is empty or unreadable.
    pub fn privacy(&self) -> Result<Option<Privacy<'_>>, HeaderError> {
        let mut all: Option<Privacy<'_>> = None;
        for field in self.headers(HeaderName::Privacy) {
            all.get_or_insert_default().extend(field.raw_value())?;
        }
        Ok(all)
    }

    /// The header fields that must not reach a next hop outside the trusted network; whoever sends the message on removes them.
    ///
    /// * P-Preferred-Identity always: it is meant for the first proxy (RFC 3325 §5).
    /// * P-Asserted-Identity with `Privacy: id` (RFC 3325 §7), and Remote-Party-ID likewise, or when it says so itself.
    /// * History-Info with `Privacy: history` or `header`, or when an entry is marked so (RFC 7044 §10.1; hiding single entries,
    ///   which the RFC also allows, keeps more).
    ///
    /// A Privacy that cannot be read counts as `id` and `history`. `Privacy: none` forbids to remove anything for the caller's sake.
    #[must_use]
    pub fn withheld_from_untrusted(&self) -> SmallVec<[HeaderName; 4]> {
        let (id, history, none) = match self.privacy() {
            Ok(Some(privacy)) => (
                privacy.has("id"),
                privacy.has("history") || privacy.has("header"),
                privacy.has("none"),
            ),
            Ok(None) => (false, false, false),
            Err(_) => (true, true, false),
        };
        let is_private = |name| match name {
            HeaderName::PPreferredIdentity => true,
            _ if none => false,
            HeaderName::PAssertedIdentity => id,
            HeaderName::RemotePartyId => {
                id || match self.remote_party_ids() {
                    Ok(parties) => parties.iter().any(super::RemotePartyId::is_private),
                    Err(_) => true,
                }
            }
            HeaderName::HistoryInfo => {
                history
                    || match self.history_info() {
                        Ok(entries) => entries.iter().any(super::HistoryInfo::is_private),
                        Err(_) => true,
                    }
            }
            _ => false,
        };
        [
            HeaderName::PPreferredIdentity,
            HeaderName::PAssertedIdentity,
            HeaderName::RemotePartyId,
            HeaderName::HistoryInfo,
        ]
        .into_iter()
        .filter(|name| self.header(*name).is_some() && is_private(*name))
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Privacy;

    #[test]
    fn values_are_a_set() {
        let privacy = Privacy::parse(b" ID ;\r\n critical, history").unwrap();
        assert!(privacy.has("id") && privacy.has("Critical") && privacy.has("history"));
        assert!(!privacy.has("none"));
        assert_eq!(privacy.to_string(), "ID;critical;history");
        for bad in ["", ";", "a b", "\"id\""] {
            assert!(Privacy::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
