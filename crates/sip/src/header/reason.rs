//! Reason (RFC 3326): why a request was sent or a call ended, in the words of SIP, of Q.850 or of another protocol.
use crate::error::HeaderError;
use crate::grammar::{Quoted, is_token, number};
use crate::header::params::Params;
use crate::header::value_text;
use crate::message::Message;
use crate::name::HeaderName;
use smallvec::SmallVec;
use std::borrow::Cow;
use std::fmt;

/// One reason.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reason<'a> {
    /// The protocol that the cause is a number of: `SIP`, `Q.850`.
    pub protocol: Cow<'a, str>,
    /// The cause: a status of SIP, a cause of Q.850.
    pub cause: Option<u32>,
    /// The text for people.
    pub text: Option<Cow<'a, str>>,
}

impl<'a> Reason<'a> {
    /// Reads one value such as `Q.850;cause=16;text="Terminated"`.
    ///
    /// # Errors
    /// The protocol is missing or no token, or the cause is no number.
    pub fn parse(value: &'a [u8]) -> Result<Reason<'a>, HeaderError> {
        let fail = |what| HeaderError::new(HeaderName::Reason, what);
        let (protocol, params) = Params::split(value_text(HeaderName::Reason, value)?);
        if !is_token(protocol.as_bytes()) {
            return Err(fail(
                "the protocol is missing or no token; write `SIP;cause=200;text=\"...\"`",
            ));
        }
        let cause = match params.get_raw("cause") {
            None => None,
            Some(text) => Some(
                number(text.unwrap_or("").as_bytes(), u32::MAX)
                    .ok_or(fail("the cause is no number; write `SIP;cause=200`"))?,
            ),
        };
        Ok(Reason {
            protocol: Cow::Borrowed(protocol),
            cause,
            text: params.get("text").flatten(),
        })
    }

    /// The same, holding texts of its own.
    #[must_use]
    pub fn into_owned(self) -> Reason<'static> {
        Reason {
            protocol: Cow::Owned(self.protocol.into_owned()),
            cause: self.cause,
            text: self.text.map(|text| Cow::Owned(text.into_owned())),
        }
    }

    /// Whether the cause is one of that protocol, in any case.
    #[must_use]
    pub fn is(&self, protocol: &str) -> bool {
        self.protocol.eq_ignore_ascii_case(protocol)
    }
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.protocol)?;
        if let Some(cause) = self.cause {
            write!(f, ";cause={cause}")?;
        }
        match &self.text {
            Some(text) => write!(f, ";text={}", Quoted(text)),
            None => Ok(()),
        }
    }
}

impl Message {
    /// Every Reason, in order; at most one of each protocol makes sense (RFC 3326 §2).
    ///
    /// # Errors
    /// One of them is unreadable.
    pub fn reason_values(&self) -> Result<SmallVec<[Reason<'_>; 1]>, HeaderError> {
        self.headers(HeaderName::Reason)
            .flat_map(|field| field.list())
            .map(Reason::parse)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Reason;

    #[test]
    fn reasons_are_read_as_servers_write_them() {
        let reason = Reason::parse(b"Q.850 ;cause=16 ;text=\"Say \\\"bye\\\"; end\"").unwrap();
        assert_eq!((reason.is("q.850"), reason.cause), (true, Some(16)));
        assert_eq!(reason.text.as_deref(), Some("Say \"bye\"; end"));
        assert_eq!(
            reason.to_string(),
            "Q.850;cause=16;text=\"Say \\\"bye\\\"; end\""
        );
        let bare = Reason::parse(b"SIP;text=Call completed elsewhere").unwrap();
        assert_eq!(
            (bare.cause, bare.text.as_deref()),
            (None, Some("Call completed elsewhere"))
        );
        for bad in ["", ";cause=1", "SIP;cause=x", "SIP;cause", "a b"] {
            assert!(Reason::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
