//! Methods: those the protocol knows by name, and any other token.
use crate::grammar::is_token;
use std::fmt;

macro_rules! methods {
    ($($(#[$doc:meta])* $variant:ident $text:literal $bytes:literal;)*) => {
        /// A method. Case-sensitive (RFC 3261 §7.1): `invite` is not INVITE.
        #[derive(Clone, PartialEq, Eq, Hash, Debug)]
        pub enum Method {
            $($(#[$doc])* $variant,)*
            /// Any other token.
            Other(Box<str>),
        }

        impl Method {
            /// The method that `bytes` name; none when they are not a token.
            #[must_use]
            pub fn parse(bytes: &[u8]) -> Option<Method> {
                match bytes {
                    $($bytes => Some(Method::$variant),)*
                    _ if is_token(bytes) => std::str::from_utf8(bytes).ok().map(|text| Method::Other(text.into())),
                    _ => None,
                }
            }

            /// The method as it stands on the wire.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Method::$variant => $text,)*
                    Method::Other(text) => text,
                }
            }
        }
    };
}

methods! {
    /// RFC 3261 §13.
    Invite "INVITE" b"INVITE";
    /// RFC 3261 §13.
    Ack "ACK" b"ACK";
    /// RFC 3261 §15.
    Bye "BYE" b"BYE";
    /// RFC 3261 §9.
    Cancel "CANCEL" b"CANCEL";
    /// RFC 3261 §11.
    Options "OPTIONS" b"OPTIONS";
    /// RFC 3261 §10.
    Register "REGISTER" b"REGISTER";
    /// RFC 3262.
    Prack "PRACK" b"PRACK";
    /// RFC 6665.
    Subscribe "SUBSCRIBE" b"SUBSCRIBE";
    /// RFC 6665.
    Notify "NOTIFY" b"NOTIFY";
    /// RFC 3903.
    Publish "PUBLISH" b"PUBLISH";
    /// RFC 6086.
    Info "INFO" b"INFO";
    /// RFC 3515.
    Refer "REFER" b"REFER";
    /// RFC 3428.
    Message "MESSAGE" b"MESSAGE";
    /// RFC 3311.
    Update "UPDATE" b"UPDATE";
}

impl Method {
    /// How many methods are known by name.
    pub const KNOWN: usize = 14;

    /// Where it stands among those, from 0, for tables by method; `KNOWN` for any other.
    #[must_use]
    pub fn index(&self) -> usize {
        match self {
            Method::Invite => 0,
            Method::Ack => 1,
            Method::Bye => 2,
            Method::Cancel => 3,
            Method::Options => 4,
            Method::Register => 5,
            Method::Prack => 6,
            Method::Subscribe => 7,
            Method::Notify => 8,
            Method::Publish => 9,
            Method::Info => 10,
            Method::Refer => 11,
            Method::Message => 12,
            Method::Update => 13,
            Method::Other(_) => Method::KNOWN,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Method;

    #[test]
    fn methods_are_tokens_and_case_matters() {
        assert_eq!(Method::parse(b"INVITE"), Some(Method::Invite));
        assert_eq!(
            Method::parse(b"invite"),
            Some(Method::Other("invite".into()))
        );
        assert_eq!(
            Method::parse(b"!interesting-Method0123456789_*+`.%indeed'~").map(|m| m.as_str().len()),
            Some(43)
        );
        assert_eq!(Method::parse(b"IN VITE"), None);
        assert_eq!(Method::parse(b""), None);
        assert_eq!(Method::parse("ÜPDATE".as_bytes()), None);
    }
}
