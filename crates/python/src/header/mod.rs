//! Typed header fields: each class holds the text of one value, which was readable when it was made, and reads it when asked.
mod dialog;
mod event;
mod history;
mod identity;
mod on_message;
mod reason;
mod session;
mod user_to_user;

pub use dialog::{Join, RAck, Replaces, TargetDialog};
pub use event::{EventPackage, SubscriptionState};
pub use history::{Diversion, HistoryInfo};
pub use identity::{Privacy, RemotePartyId};
pub use reason::{Reason, RetryAfter};
pub use session::SessionExpires;
pub use user_to_user::{GeolocationError, UserToUser};

use crate::errors::ErrorClass;
use pyo3::prelude::*;
use sip::{HeaderError, HeaderName, Message};
use std::fmt::Display;

/// A class that holds one value of a header field as text.
pub trait HeaderText: Sized {
    /// The header field.
    const NAME: HeaderName;
    /// Whether the text can be read.
    fn check(text: &str) -> Result<(), HeaderError>;
    /// The class around a text that can be read.
    fn hold(text: String) -> Self;
}

/// Defines such a class.
macro_rules! held {
    ($(#[$doc:meta])* $class:ident, $read:ty, $name:ident) => {
        $(#[$doc])*
        #[pyclass(frozen, eq, hash, str = "{0}", module = "dracht._core")]
        #[derive(PartialEq, Eq, Hash)]
        pub struct $class(String);

        impl crate::header::HeaderText for $class {
            const NAME: sip::HeaderName = sip::HeaderName::$name;

            fn check(text: &str) -> Result<(), sip::HeaderError> {
                <$read>::parse(text.as_bytes()).map(drop)
            }

            fn hold(text: String) -> $class {
                $class(text)
            }
        }

        impl $class {
            fn read(&self, py: Python<'_>) -> PyResult<$read> {
                <$read>::parse(self.0.as_bytes())
                    .map_err(|error| crate::errors::ErrorClass::Header.error(py, error))
            }
        }
    };
}
pub(crate) use held;

/// The class around a text, if it can be read.
pub fn held_text<T: HeaderText>(py: Python<'_>, text: String) -> PyResult<T> {
    match T::check(&text) {
        Ok(()) => Ok(T::hold(text)),
        Err(error) => Err(ErrorClass::Header.error(py, error)),
    }
}

/// The class around a value as it is written.
pub fn written<T: HeaderText>(py: Python<'_>, value: &impl Display) -> PyResult<T> {
    held_text(py, value.to_string())
}

/// The only header field of that class.
pub fn single<T: HeaderText>(py: Python<'_>, message: &Message) -> PyResult<Option<T>> {
    let mut fields = message.headers(T::NAME);
    let first = fields.next();
    if fields.next().is_some() {
        let name = T::NAME.as_str();
        let text = format!("{name}: there is more than one; send one");
        return Err(ErrorClass::Header.error(py, text));
    }
    first
        .map(|field| held_text(py, field.text().into_owned()))
        .transpose()
}

/// Every value of the header fields of that class, in order.
pub fn every<T: HeaderText>(py: Python<'_>, message: &Message) -> PyResult<Vec<T>> {
    message
        .values(T::NAME)
        .map(|value| held_text(py, value.into_owned()))
        .collect()
}

/// What an application gave as a word of a header field.
pub fn word<'a>(py: Python<'_>, name: HeaderName, text: &'a str) -> PyResult<&'a str> {
    let plain = |byte: u8| byte > b' ' && byte < 0x7f && !b";,\"<>()=\\".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return Ok(text);
    }
    let name = name.as_str();
    let text = format!("{name}: {text:?} is not one word; write letters, digits or -.!%*_+`'~");
    Err(ErrorClass::Header.error(py, text))
}
