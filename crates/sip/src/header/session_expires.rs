//! Session-Expires and Min-SE (RFC 4028 §4, §5).
use crate::error::HeaderError;
use crate::grammar::number;
use crate::header::params::Params;
use crate::header::value_text;
use crate::message::Message;
use crate::name::HeaderName;
use std::fmt;

/// Who refreshes a session (RFC 4028 §4): the sides of the transaction that agreed on it.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Refresher {
    /// The one that sent the request.
    Uac,
    /// The one that answers it.
    Uas,
}

impl Refresher {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Refresher::Uac => "uac",
            Refresher::Uas => "uas",
        }
    }
}

/// How long a session lives without a refresh, and who refreshes it.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct SessionExpires {
    /// The interval in seconds.
    pub seconds: u32,
    /// The refresher; none where the sender leaves it to the other side.
    pub refresher: Option<Refresher>,
}

impl SessionExpires {
    /// Reads a value such as `1800;refresher=uas`. Other parameters are left out, as RFC 4028 defines none.
    ///
    /// # Errors
    /// The interval is no number, or the refresher is neither `uac` nor `uas`.
    pub fn parse(value: &[u8]) -> Result<SessionExpires, HeaderError> {
        let fail = |what| HeaderError::new(HeaderName::SessionExpires, what);
        let (seconds, params) = Params::split(value_text(HeaderName::SessionExpires, value)?);
        let seconds = number(seconds.as_bytes(), u32::MAX)
            .ok_or(fail("it begins with no number of seconds; write `1800`"))?;
        let refresher = match params.get_raw("refresher") {
            None => None,
            Some(Some(word)) if word.eq_ignore_ascii_case("uac") => Some(Refresher::Uac),
            Some(Some(word)) if word.eq_ignore_ascii_case("uas") => Some(Refresher::Uas),
            Some(_) => return Err(fail("the refresher is neither `uac` nor `uas`")),
        };
        Ok(SessionExpires { seconds, refresher })
    }
}

impl fmt::Display for SessionExpires {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.seconds)?;
        match self.refresher {
            Some(refresher) => write!(f, ";refresher={}", refresher.as_str()),
            None => Ok(()),
        }
    }
}

impl Message {
    /// The Session-Expires (RFC 4028 §4).
    ///
    /// # Errors
    /// More than one, or unreadable.
    pub fn session_expires(&self) -> Result<Option<SessionExpires>, HeaderError> {
        self.single(HeaderName::SessionExpires)?
            .map(|field| SessionExpires::parse(field.raw_value()))
            .transpose()
    }

    /// The shortest interval that the sender or a proxy accepts, in seconds (Min-SE, RFC 4028 §5).
    ///
    /// # Errors
    /// More than one, or no number of seconds.
    pub fn min_se(&self) -> Result<Option<u32>, HeaderError> {
        let Some(field) = self.single(HeaderName::MinSe)? else {
            return Ok(None);
        };
        // Parameters may follow (RFC 4028 §5, generic-param); none is defined.
        let (seconds, _) = Params::split(value_text(HeaderName::MinSe, field.raw_value())?);
        let seconds = number(seconds.as_bytes(), u32::MAX);
        seconds.map(Some).ok_or(HeaderError::new(
            HeaderName::MinSe,
            "it is no number of seconds; write `90`",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::{Refresher, SessionExpires};

    #[test]
    fn both_parts_are_read_as_phones_write_them() {
        let read = |text: &str| SessionExpires::parse(text.as_bytes()).map(|it| it.to_string());
        assert_eq!(read("1800").as_deref(), Ok("1800"));
        assert_eq!(
            read("1800;refresher=uas").as_deref(),
            Ok("1800;refresher=uas")
        );
        assert_eq!(
            SessionExpires::parse(b"90 ; Refresher = UAC;x"),
            Ok(SessionExpires {
                seconds: 90,
                refresher: Some(Refresher::Uac)
            })
        );
        for bad in [
            "",
            "x",
            "-1",
            "1800;refresher",
            "1800;refresher=me",
            "1800 90",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
