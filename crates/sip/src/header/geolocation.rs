//! Geolocation, Geolocation-Routing and Geolocation-Error (RFC 6442 §4): where the caller is, by a URI. A proxy passes them untouched.
use crate::error::HeaderError;
use crate::grammar::number;
use crate::header::address::Address;
use crate::header::params::Params;
use crate::header::value_text;
use crate::message::Message;
use crate::name::HeaderName;
use smallvec::SmallVec;
use std::borrow::Cow;
use std::fmt;

/// Why a location was of no use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GeolocationError<'a> {
    /// The code, 100 to 999 (RFC 6442 §4.4).
    pub code: u32,
    /// The text for people.
    pub text: Option<Cow<'a, str>>,
}

impl<'a> GeolocationError<'a> {
    /// Reads a value such as `100 ; code="Cannot Process Location"`.
    ///
    /// # Errors
    /// It begins with no number of at most three digits.
    pub fn parse(value: &'a [u8]) -> Result<GeolocationError<'a>, HeaderError> {
        let (code, params) = Params::split(value_text(HeaderName::GeolocationError, value)?);
        let code = number(code.as_bytes(), 999).ok_or(HeaderError::new(
            HeaderName::GeolocationError,
            "it begins with no number of three digits; write `100;code=\"...\"`",
        ))?;
        Ok(GeolocationError {
            code,
            text: params.get("code").flatten(),
        })
    }
}

impl fmt::Display for GeolocationError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        match &self.text {
            Some(text) => write!(f, ";code={}", crate::grammar::Quoted(text)),
            None => Ok(()),
        }
    }
}

impl Message {
    /// Where the caller is, by value (`cid:`, the body's part of that Content-ID) or by reference (`sip:`, `https:`), in order.
    ///
    /// # Errors
    /// One of them is unreadable.
    pub fn geolocations(&self) -> Result<SmallVec<[Address<'_>; 1]>, HeaderError> {
        self.addresses(HeaderName::Geolocation)
    }

    /// Whether servers may route by the location (Geolocation-Routing); none where nothing is said, which means no, or what
    /// cannot be read (RFC 6442 §4.2).
    #[must_use]
    pub fn geolocation_routing(&self) -> Option<bool> {
        let value = self.header(HeaderName::GeolocationRouting)?.raw_value();
        let (word, _) = Params::split(std::str::from_utf8(value).ok()?);
        match word {
            word if word.eq_ignore_ascii_case("yes") => Some(true),
            word if word.eq_ignore_ascii_case("no") => Some(false),
            _ => None,
        }
    }

    /// Why the location was of no use.
    ///
    /// # Errors
    /// More than one, or unreadable.
    pub fn geolocation_error(&self) -> Result<Option<GeolocationError<'_>>, HeaderError> {
        self.single(HeaderName::GeolocationError)?
            .map(|field| GeolocationError::parse(field.raw_value()))
            .transpose()
    }
}
