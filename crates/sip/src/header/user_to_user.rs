//! User-to-User (RFC 7433, RFC 7434 for the interworking with ISDN): data of the application that travels with a call.
use crate::error::HeaderError;
use crate::grammar::{Quoted, TokenOrQuoted, is_token, unquote};
use crate::header::params::Params;
use crate::header::value_text;
use crate::message::Message;
use crate::name::HeaderName;
use smallvec::SmallVec;
use std::borrow::Cow;
use std::fmt;

/// One piece of data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserToUser<'a> {
    /// The data as text, without quotes.
    pub data: Cow<'a, str>,
    /// Whether it is sent as a quoted string.
    pub quoted: bool,
    /// What uses it (`purpose`): `isdn-uui`.
    pub purpose: Option<Cow<'a, str>>,
    /// What it holds (`content`): `isdn-uui`.
    pub content: Option<Cow<'a, str>>,
    /// How it is written (`encoding`): `hex`.
    pub encoding: Option<Cow<'a, str>>,
    /// Every parameter as sent, those of the fields among them.
    pub params: Params<'a>,
}

impl<'a> UserToUser<'a> {
    /// Reads one value such as `56a390f3d2b7310023a2;encoding=hex`.
    ///
    /// # Errors
    /// The data is missing, or neither a token nor a quoted string.
    pub fn parse(value: &'a [u8]) -> Result<UserToUser<'a>, HeaderError> {
        let (data, params) = Params::split(value_text(HeaderName::UserToUser, value)?);
        let quoted = data.starts_with('"');
        let whole = !quoted || crate::grammar::quoted_len(data.as_bytes()) == Some(data.len());
        if !whole || !(quoted || is_token(data.as_bytes())) {
            return Err(HeaderError::new(
                HeaderName::UserToUser,
                "the data is neither a word nor in quotes; write `48656c6c6f;encoding=hex`",
            ));
        }
        Ok(UserToUser {
            data: unquote(data),
            quoted,
            purpose: params.get("purpose").flatten(),
            content: params.get("content").flatten(),
            encoding: params.get("encoding").flatten(),
            params,
        })
    }

    /// Bytes to send as hexadecimal digits.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> UserToUser<'static> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |nibble: u8| {
            DIGITS
                .get(usize::from(nibble))
                .map(|digit| char::from(*digit))
        };
        let mut data = String::with_capacity(bytes.len() * 2);
        for byte in bytes {
            data.extend([digit(byte >> 4), digit(byte & 15)].into_iter().flatten());
        }
        UserToUser {
            // No word can be empty.
            quoted: data.is_empty(),
            data: Cow::Owned(data),
            purpose: None,
            content: None,
            encoding: Some(Cow::Borrowed("hex")),
            params: Params::default(),
        }
    }

    /// The data as bytes: of hexadecimal digits what they stand for, else those of the text.
    ///
    /// Digits are meant with `encoding=hex`, and without an encoding where a word holds nothing but pairs of them, as RFC 7434
    /// §5.4 has it. Any other encoding is left to the application.
    ///
    /// # Errors
    /// `encoding=hex` and no pairs of digits.
    pub fn decode(&self) -> Result<Vec<u8>, HeaderError> {
        let is_hex = match &self.encoding {
            Some(encoding) => encoding.eq_ignore_ascii_case("hex"),
            None => !self.quoted && digits(&self.data).is_some(),
        };
        if !is_hex {
            return Ok(self.data.as_bytes().to_vec());
        }
        digits(&self.data).ok_or(HeaderError::new(
            HeaderName::UserToUser,
            "the encoding is hex, but the data is not pairs of hexadecimal digits",
        ))
    }
}

/// The bytes that pairs of hexadecimal digits stand for.
fn digits(text: &str) -> Option<Vec<u8>> {
    let pair = |pair: &[u8]| match pair {
        [high, low] => {
            let value = char::from(*high).to_digit(16)? * 16 + char::from(*low).to_digit(16)?;
            u8::try_from(value).ok()
        }
        _ => None,
    };
    text.as_bytes().chunks(2).map(pair).collect()
}

impl fmt::Display for UserToUser<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.quoted || !is_token(self.data.as_bytes()) {
            Quoted(&self.data).fmt(f)?;
        } else {
            f.write_str(&self.data)?;
        }
        for (name, value) in [
            ("purpose", &self.purpose),
            ("content", &self.content),
            ("encoding", &self.encoding),
        ] {
            if let Some(value) = value {
                write!(f, ";{name}={}", TokenOrQuoted(value))?;
            }
        }
        self.params.fmt_but(f, &["purpose", "content", "encoding"])
    }
}

impl Message {
    /// Every User-to-User, in order.
    ///
    /// # Errors
    /// One of them is unreadable.
    pub fn user_to_user(&self) -> Result<SmallVec<[UserToUser<'_>; 1]>, HeaderError> {
        self.headers(HeaderName::UserToUser)
            .flat_map(|field| field.list())
            .map(UserToUser::parse)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::UserToUser;

    fn read(text: &str) -> UserToUser<'_> {
        UserToUser::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn data_is_read_and_decoded() {
        let hex = read("04C81031;encoding=HEX;purpose=isdn-uui;x=y");
        assert_eq!(hex.decode().unwrap(), [0x04, 0xc8, 0x10, 0x31]);
        assert_eq!(
            hex.to_string(),
            "04C81031;purpose=isdn-uui;encoding=HEX;x=y"
        );
        assert_eq!(read("48690a").decode().unwrap(), b"Hi\n");
        assert_eq!(read("\"48690a\"").decode().unwrap(), b"48690a");
        assert_eq!(
            read("\"a;b\\\"c\";content=text").decode().unwrap(),
            b"a;b\"c"
        );
        assert_eq!(read("order-7").decode().unwrap(), b"order-7");
        assert!(read("abc;encoding=hex").decode().is_err());
        assert_eq!(
            UserToUser::from_bytes(b"Hi\n").to_string(),
            "48690a;encoding=hex"
        );
        let empty = UserToUser::from_bytes(b"").to_string();
        assert_eq!(read(&empty).decode().unwrap(), b"");
        for bad in ["", ";encoding=hex", "a b", "\"a", "\"a\" b"] {
            assert!(UserToUser::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
