//! RAck and RSeq (RFC 3262 §7.1, §7.2): which reliable provisional response a PRACK acknowledges.
use crate::error::HeaderError;
use crate::grammar::{is_lws, number};
use crate::header::value_text;
use crate::message::Message;
use crate::method::Method;
use crate::name::HeaderName;
use std::fmt;

/// The response that a PRACK acknowledges.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RAck {
    /// The RSeq of the response.
    pub response: u32,
    /// The number of its CSeq.
    pub sequence: u32,
    /// The method of its CSeq.
    pub method: Method,
}

impl RAck {
    /// Reads a value such as `776656 1 INVITE`.
    ///
    /// # Errors
    /// It is not two numbers and a method.
    pub fn parse(value: &[u8]) -> Result<RAck, HeaderError> {
        let fail = HeaderError::new(
            HeaderName::RAck,
            "it is not two numbers and a method; write `RSeq number method`",
        );
        let text = value_text(HeaderName::RAck, value)?.as_bytes();
        let mut words = text
            .split(|byte| is_lws(*byte))
            .filter(|word| !word.is_empty());
        let mut word = || words.next().ok_or(fail);
        let response = number(word()?, u32::MAX).ok_or(fail)?;
        let sequence = number(word()?, 0x7fff_ffff).ok_or(fail)?;
        let method = Method::parse(word()?).ok_or(fail)?;
        match words.next() {
            Some(_) => Err(fail),
            None => Ok(RAck {
                response,
                sequence,
                method,
            }),
        }
    }
}

impl fmt::Display for RAck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = self.method.as_str();
        write!(f, "{} {} {method}", self.response, self.sequence)
    }
}

impl Message {
    /// The RAck.
    ///
    /// # Errors
    /// More than one, or unreadable.
    pub fn rack(&self) -> Result<Option<RAck>, HeaderError> {
        self.single(HeaderName::RAck)?
            .map(|field| RAck::parse(field.raw_value()))
            .transpose()
    }

    /// The RSeq.
    ///
    /// # Errors
    /// More than one, no number, or over 2^32-1.
    pub fn rseq(&self) -> Result<Option<u32>, HeaderError> {
        self.number(HeaderName::RSeq, u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::RAck;

    #[test]
    fn two_numbers_and_a_method() {
        let rack = RAck::parse(b"776656  1\r\n INVITE").unwrap();
        assert_eq!(rack.to_string(), "776656 1 INVITE");
        for bad in [
            "",
            "1",
            "1 1",
            "1 1 ",
            "x 1 INVITE",
            "1 1 IN(V",
            "1 1 INVITE x",
            "4294967296 1 A",
        ] {
            assert!(RAck::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
