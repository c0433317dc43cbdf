//! One header field, as it stands in the message.
use crate::grammar::{List, lossy, unfold};
use crate::head::Span;
use crate::name::HeaderName;
use std::borrow::Cow;

/// One header field of a message.
#[derive(Copy, Clone, Debug)]
pub struct Field<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) span: Span,
}

impl<'a> Field<'a> {
    /// The name, `Other` for one that the protocol does not know.
    #[must_use]
    pub fn name(&self) -> HeaderName {
        self.span.name
    }

    /// The name as sent.
    #[must_use]
    pub fn raw_name(&self) -> &'a str {
        let name = self
            .raw()
            .get(..usize::from(self.span.name_len))
            .unwrap_or_default();
        std::str::from_utf8(name).unwrap_or("")
    }

    /// The value: unfolded, without white space at its ends.
    #[must_use]
    pub fn value(&self) -> Cow<'a, [u8]> {
        if self.span.folded {
            unfold(self.raw_value())
        } else {
            Cow::Borrowed(self.raw_value())
        }
    }

    /// The value as text: what is not UTF-8 becomes U+FFFD.
    #[must_use]
    pub fn text(&self) -> Cow<'a, str> {
        lossy(self.value())
    }

    /// The whole field as sent: name, colon, value and line end.
    #[must_use]
    pub fn raw(&self) -> &'a [u8] {
        self.span.whole.of(self.bytes)
    }

    /// The value as sent, without white space at its ends; a folded one holds its line ends.
    #[must_use]
    pub fn raw_value(&self) -> &'a [u8] {
        self.span.value.of(self.bytes)
    }

    /// Where the field begins, in bytes from the message's first.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.span.whole.start as usize
    }

    /// The values of a comma list, split outside quoted strings and angle brackets, each unfolded; empty ones are left out.
    pub fn values(&self) -> impl Iterator<Item = Cow<'a, [u8]>> + use<'a> {
        self.list().map(unfold)
    }

    /// The values of a comma list, each as sent.
    pub(crate) fn list(&self) -> List<'a> {
        List::new(self.raw_value())
    }
}
