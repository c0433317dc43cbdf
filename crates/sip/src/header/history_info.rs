//! History-Info (RFC 7044): whom a request was sent to on its way, and why it went on.
use crate::error::HeaderError;
use crate::grammar::List;
use crate::header::address::Address;
use crate::header::privacy::Privacy;
use crate::header::reason::Reason;
use crate::message::Message;
use crate::name::HeaderName;
use crate::uri::Uri;
use smallvec::SmallVec;
use std::fmt;

/// How an entry's target was found, and from which entry (`hi-target-param`).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum HistoryTarget<'a> {
    /// `rc`: the registered contact of the entry with that index.
    RegisteredContact(&'a str),
    /// `mp`: another user than that of the entry with that index.
    MappedUser(&'a str),
    /// `np`: the same target as that of the entry with that index.
    NoChange(&'a str),
}

impl<'a> HistoryTarget<'a> {
    /// The parameter's name and value.
    #[must_use]
    pub fn parts(&self) -> (&'static str, &'a str) {
        match self {
            HistoryTarget::RegisteredContact(index) => ("rc", index),
            HistoryTarget::MappedUser(index) => ("mp", index),
            HistoryTarget::NoChange(index) => ("np", index),
        }
    }
}

/// One entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HistoryInfo<'a> {
    /// The address that was targeted, all parameters with it.
    pub address: Address<'a>,
    /// The place in the tree of entries: `1.2.1`. The RFC wants it (§5); some senders leave it out.
    pub index: Option<&'a str>,
    /// How the target was found.
    pub target: Option<HistoryTarget<'a>>,
}

impl<'a> HistoryInfo<'a> {
    /// Reads one value such as `<sip:bob@h?Reason=SIP%3Bcause%3D302>;index=1.1;mp=1`.
    ///
    /// # Errors
    /// The address is unreadable, or an index is not numbers with dots between.
    pub fn parse(value: &'a [u8]) -> Result<HistoryInfo<'a>, HeaderError> {
        let address = Address::parse_as(HeaderName::HistoryInfo, value)?;
        let index = |name| match address.params.get_raw(name) {
            None => Ok(None),
            Some(Some(text)) if is_index(text) => Ok(Some(text)),
            Some(_) => Err(HeaderError::new(
                HeaderName::HistoryInfo,
                "an index is not numbers with dots between; write `index=1.1`",
            )),
        };
        let target = if let Some(from) = index("rc")? {
            Some(HistoryTarget::RegisteredContact(from))
        } else if let Some(from) = index("mp")? {
            Some(HistoryTarget::MappedUser(from))
        } else {
            index("np")?.map(HistoryTarget::NoChange)
        };
        Ok(HistoryInfo {
            index: index("index")?,
            target,
            address,
        })
    }

    fn uri(&self) -> Option<Uri<'a>> {
        self.address.uri().ok()
    }

    /// The `cause` parameter of the URI: why the call was sent there (RFC 4458, RFC 7044 §12.4).
    #[must_use]
    pub fn cause(&self) -> Option<u32> {
        let cause = self.uri()?.param("cause").flatten()?;
        crate::grammar::number(cause.as_bytes(), u32::MAX)
    }

    /// The reasons in the URI's header part: why the request did not stay there (RFC 7044 §10.2).
    ///
    /// # Errors
    /// One of them is unreadable.
    pub fn reasons(&self) -> Result<SmallVec<[Reason<'static>; 1]>, HeaderError> {
        let Some(value) = self.uri().and_then(|uri| uri.header_decoded("Reason")) else {
            return Ok(SmallVec::new());
        };
        List::new(value.as_bytes())
            .map(|one| Reason::parse(one).map(Reason::into_owned))
            .collect()
    }

    /// The Privacy in the URI's header part.
    ///
    /// # Errors
    /// It is unreadable.
    pub fn privacy(&self) -> Result<Option<Privacy<'static>>, HeaderError> {
        match self.uri().and_then(|uri| uri.header_decoded("Privacy")) {
            None => Ok(None),
            Some(value) => Privacy::parse(value.as_bytes()).map(|it| Some(it.into_owned())),
        }
    }

    /// Whether the entry is not to leave the domain (`Privacy=history`, RFC 7044 §10.1); also when that cannot be read.
    #[must_use]
    pub fn is_private(&self) -> bool {
        match self.privacy() {
            Ok(privacy) => privacy.is_some_and(|it| it.has("history")),
            Err(_) => true,
        }
    }
}

/// Whether a text is numbers with dots between.
fn is_index(text: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.split('.').all(part)
}

impl fmt::Display for HistoryInfo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt_name_addr(f)?;
        if let Some(index) = self.index {
            write!(f, ";index={index}")?;
        }
        if let Some((name, from)) = self.target.map(|target| target.parts()) {
            write!(f, ";{name}={from}")?;
        }
        self.address.params.fmt_but(f, &["index", "rc", "mp", "np"])
    }
}

impl Message {
    /// Every History-Info entry, in order: the oldest first (RFC 7044 §5).
    ///
    /// # Errors
    /// One of them is unreadable.
    pub fn history_info(&self) -> Result<SmallVec<[HistoryInfo<'_>; 1]>, HeaderError> {
        self.headers(HeaderName::HistoryInfo)
            .flat_map(|field| field.list())
            .map(HistoryInfo::parse)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{HistoryInfo, HistoryTarget};

    #[test]
    fn an_entry_says_where_and_why() {
        let text = b"\"Bob\" <sip:bob@192.0.2.4;cause=486?Reason=SIP%3Bcause%3D486%3Btext%3D%22Busy%20Here%22%2CQ.850%3Bcause%3D17&Privacy=history> ; index=1.3;x=y;rc=1";
        let entry = HistoryInfo::parse(text).unwrap();
        assert_eq!(entry.index, Some("1.3"));
        assert_eq!(entry.target, Some(HistoryTarget::RegisteredContact("1")));
        assert_eq!(entry.cause(), Some(486));
        let reasons = entry.reasons().unwrap();
        assert_eq!(reasons.len(), 2);
        assert_eq!(reasons[0].text.as_deref(), Some("Busy Here"));
        assert_eq!((reasons[1].is("Q.850"), reasons[1].cause), (true, Some(17)));
        assert!(entry.is_private());
        assert!(entry.to_string().ends_with(">;index=1.3;rc=1;x=y"));
        let old = HistoryInfo::parse(b"<sip:a@b>").unwrap();
        assert_eq!((old.index, old.target, old.cause()), (None, None, None));
        assert!(old.reasons().unwrap().is_empty() && !old.is_private());
        for bad in [
            "",
            "<sip:a@b>;index=x",
            "<sip:a@b>;index",
            "<sip:a@b>;index=1.;rc=1",
            "<sip:a@b>;mp=a",
        ] {
            assert!(HistoryInfo::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
