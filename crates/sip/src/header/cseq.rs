//! CSeq (RFC 3261 §20.16).
use crate::error::HeaderError;
use crate::grammar::{is_lws, number, trim};
use crate::method::Method;
use crate::name::HeaderName;

/// A sequence number and the method it counts for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CSeq {
    /// The number: less than 2^31 (RFC 3261 §8.1.1.5).
    pub number: u32,
    /// The method.
    pub method: Method,
}

impl CSeq {
    /// Reads a value such as `314159 INVITE`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(value: &[u8]) -> Result<CSeq, HeaderError> {
        let fail = |what| HeaderError::new(HeaderName::CSeq, what);
        let digits = value
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let (text, rest) = value.split_at(digits);
        if text.is_empty() || !rest.first().is_some_and(|byte| is_lws(*byte)) {
            return Err(fail("begins with no number; write `number method`"));
        }
        let number = number(text, 0x7fff_ffff).ok_or(fail("the number is not less than 2^31"))?;
        let method = Method::parse(trim(rest)).ok_or(fail(
            "the method is missing or no token; write `number method`",
        ))?;
        Ok(CSeq { number, method })
    }
}

#[cfg(test)]
mod tests {
    use super::CSeq;
    use crate::method::Method;

    #[test]
    fn numbers_are_below_two_to_the_31st() {
        assert_eq!(
            CSeq::parse(b"0009\r\n  INVITE"),
            Ok(CSeq {
                number: 9,
                method: Method::Invite
            })
        );
        assert_eq!(
            CSeq::parse(b"2147483647 X"),
            Ok(CSeq {
                number: 0x7fff_ffff,
                method: Method::Other("X".into())
            })
        );
        for bad in [
            &b"2147483648 X"[..],
            b"36893488147419103232 REGISTER",
            b"INVITE",
            b"1",
            b"1 ",
            b"",
            b"1INVITE",
            b"-1 X",
            b"1 A B",
        ] {
            assert!(
                CSeq::parse(bad).is_err(),
                "{}",
                String::from_utf8_lossy(bad)
            );
        }
    }
}
