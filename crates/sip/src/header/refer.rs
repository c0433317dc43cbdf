//! The header fields of REFER: Refer-To (RFC 3515 §2.1), Referred-By (RFC 3892), Refer-Sub (RFC 4488).
use crate::error::HeaderError;
use crate::header::address::Address;
use crate::header::params::Params;
use crate::message::Message;
use crate::name::HeaderName;

/// What a value of Refer-Sub says (RFC 4488 §4); none where it cannot be read.
#[must_use]
pub fn refer_sub(value: &[u8]) -> Option<bool> {
    let (word, _) = Params::split(std::str::from_utf8(value).ok()?.trim());
    match word {
        word if word.eq_ignore_ascii_case("true") => Some(true),
        word if word.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

impl Message {
    /// Whom to call. Its URI may carry header fields for the new request, a Replaces for one; see
    /// [`crate::header::Replaces::from_uri`].
    ///
    /// # Errors
    /// More than one (RFC 3515 §2.4.2: 400), or unreadable.
    pub fn refer_to(&self) -> Result<Option<Address<'_>>, HeaderError> {
        self.single_address(HeaderName::ReferTo)
    }

    /// Who asked for the call.
    ///
    /// # Errors
    /// More than one, or unreadable.
    pub fn referred_by(&self) -> Result<Option<Address<'_>>, HeaderError> {
        self.single_address(HeaderName::ReferredBy)
    }

    /// Whether the REFER is to make a subscription; none where nothing is said, or nothing that can be read, and it does.
    #[must_use]
    pub fn refer_sub(&self) -> Option<bool> {
        refer_sub(self.header(HeaderName::ReferSub)?.raw_value())
    }

    fn single_address(&self, name: HeaderName) -> Result<Option<Address<'_>>, HeaderError> {
        self.single(name)?
            .map(|field| Address::parse_as(name, field.raw_value()))
            .transpose()
    }
}
