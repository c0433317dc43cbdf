//! Header fields that name a dialog: Replaces (RFC 3891 §6.1), Join (RFC 3911 §7.1), Target-Dialog (RFC 4538 §7).
use crate::error::HeaderError;
use crate::grammar::is_closed;
use crate::header::params::Params;
use crate::header::value_text;
use crate::message::Message;
use crate::name::HeaderName;
use crate::uri::Uri;
use std::borrow::Cow;
use std::fmt;

/// What a value says: the Call-ID and the parameters. A Call-ID holds no semicolon that its own grammar would allow.
fn parts<'a>(name: HeaderName, value: &'a [u8]) -> Result<(&'a str, Params<'a>), HeaderError> {
    // Not `Params::split`: quotes and angle brackets may stand in a Call-ID (RFC 3261 §25.1, word).
    let text = value_text(name, value)?;
    let (call_id, params) = text.split_once(';').unwrap_or((text, ""));
    let call_id = crate::grammar::trim_text(call_id);
    let plain = |byte: u8| byte > b' ' && byte != 0x7f && byte != b',';
    if call_id.is_empty() || !call_id.bytes().all(plain) {
        return Err(HeaderError::new(
            name,
            "it begins with no Call-ID; write `Call-ID;to-tag=tag;from-tag=tag`",
        ));
    }
    // Written in another order, a tag that is not closed would take in the other.
    if !is_closed(params.as_bytes()) {
        return Err(HeaderError::new(
            name,
            "a parameter's quote or bracket is not closed",
        ));
    }
    Ok((call_id, Params::new(params)))
}

/// The value of a tag that must be there.
fn tag<'a>(
    name: HeaderName,
    params: &Params<'a>,
    tag: &str,
    what: &'static str,
) -> Result<Cow<'a, str>, HeaderError> {
    match params.get_raw(tag) {
        Some(Some(value)) if !value.is_empty() => Ok(Cow::Borrowed(value)),
        _ => Err(HeaderError::new(name, what)),
    }
}

const NO_TO_TAG: &str = "there is no to-tag; write `Call-ID;to-tag=tag;from-tag=tag`";
const NO_FROM_TAG: &str = "there is no from-tag; write `Call-ID;to-tag=tag;from-tag=tag`";
const NO_LOCAL_TAG: &str = "there is no local-tag; write `Call-ID;local-tag=tag;remote-tag=tag`";
const NO_REMOTE_TAG: &str = "there is no remote-tag; write `Call-ID;local-tag=tag;remote-tag=tag`";

/// The dialog that a new one is to replace, as its receiver knows it: the to-tag is the receiver's own tag, the from-tag its
/// peer's (RFC 3891 §3). A tag of `0` also means none, as in dialogs of RFC 2543.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replaces<'a> {
    /// The Call-ID.
    pub call_id: Cow<'a, str>,
    /// The tag of the side that receives the request.
    pub to_tag: Cow<'a, str>,
    /// The tag of its peer.
    pub from_tag: Cow<'a, str>,
    /// Whether only an early dialog is to be replaced.
    pub early_only: bool,
}

impl<'a> Replaces<'a> {
    /// Reads a value such as `98732@host;from-tag=r33th4x0r;to-tag=ff87ff`.
    ///
    /// # Errors
    /// The Call-ID or a tag is missing.
    pub fn parse(value: &'a [u8]) -> Result<Replaces<'a>, HeaderError> {
        const NAME: HeaderName = HeaderName::Replaces;
        let (call_id, params) = parts(NAME, value)?;
        Ok(Replaces {
            call_id: Cow::Borrowed(call_id),
            to_tag: tag(NAME, &params, "to-tag", NO_TO_TAG)?,
            from_tag: tag(NAME, &params, "from-tag", NO_FROM_TAG)?,
            early_only: params.get_raw("early-only").is_some(),
        })
    }

    /// Reads the Replaces that stands in the header part of a URI, of a Refer-To for one: `<sip:b@h?Replaces=1%40h%3B...>`.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn from_uri(uri: &Uri<'_>) -> Result<Option<Replaces<'static>>, HeaderError> {
        let Some(value) = uri.header_decoded("Replaces") else {
            return Ok(None);
        };
        Replaces::parse(value.as_bytes()).map(|replaces| Some(replaces.into_owned()))
    }

    /// The same, holding texts of its own.
    #[must_use]
    pub fn into_owned(self) -> Replaces<'static> {
        Replaces {
            call_id: Cow::Owned(self.call_id.into_owned()),
            to_tag: Cow::Owned(self.to_tag.into_owned()),
            from_tag: Cow::Owned(self.from_tag.into_owned()),
            early_only: self.early_only,
        }
    }
}

impl fmt::Display for Replaces<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (call_id, to, from) = (&self.call_id, &self.to_tag, &self.from_tag);
        write!(f, "{call_id};to-tag={to};from-tag={from}")?;
        f.write_str(if self.early_only { ";early-only" } else { "" })
    }
}

/// The dialog that a new one is to join; its tags are as in [`Replaces`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Join<'a> {
    /// The Call-ID.
    pub call_id: Cow<'a, str>,
    /// The tag of the side that receives the request.
    pub to_tag: Cow<'a, str>,
    /// The tag of its peer.
    pub from_tag: Cow<'a, str>,
}

impl<'a> Join<'a> {
    /// Reads a value such as `12adf2f34456gs5;to-tag=12345;from-tag=54321`.
    ///
    /// # Errors
    /// The Call-ID or a tag is missing.
    pub fn parse(value: &'a [u8]) -> Result<Join<'a>, HeaderError> {
        const NAME: HeaderName = HeaderName::Join;
        let (call_id, params) = parts(NAME, value)?;
        Ok(Join {
            call_id: Cow::Borrowed(call_id),
            to_tag: tag(NAME, &params, "to-tag", NO_TO_TAG)?,
            from_tag: tag(NAME, &params, "from-tag", NO_FROM_TAG)?,
        })
    }
}

impl fmt::Display for Join<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (call_id, to, from) = (&self.call_id, &self.to_tag, &self.from_tag);
        write!(f, "{call_id};to-tag={to};from-tag={from}")
    }
}

/// The dialog that proves who sends a request: the local tag is the sender's own (RFC 4538 §4).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TargetDialog<'a> {
    /// The Call-ID.
    pub call_id: Cow<'a, str>,
    /// The tag of the side that sent the request.
    pub local_tag: Cow<'a, str>,
    /// The tag of the side that receives it.
    pub remote_tag: Cow<'a, str>,
}

impl<'a> TargetDialog<'a> {
    /// Reads a value such as `fa77as7dad8-sd98ajzz@host;local-tag=kkaz-;remote-tag=6544`.
    ///
    /// # Errors
    /// The Call-ID or a tag is missing.
    pub fn parse(value: &'a [u8]) -> Result<TargetDialog<'a>, HeaderError> {
        const NAME: HeaderName = HeaderName::TargetDialog;
        let (call_id, params) = parts(NAME, value)?;
        Ok(TargetDialog {
            call_id: Cow::Borrowed(call_id),
            local_tag: tag(NAME, &params, "local-tag", NO_LOCAL_TAG)?,
            remote_tag: tag(NAME, &params, "remote-tag", NO_REMOTE_TAG)?,
        })
    }
}

impl fmt::Display for TargetDialog<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (call_id, local, remote) = (&self.call_id, &self.local_tag, &self.remote_tag);
        write!(f, "{call_id};local-tag={local};remote-tag={remote}")
    }
}

impl Message {
    /// The Replaces (RFC 3891). Several are an error of the sender, to be answered with 400 (§3).
    ///
    /// # Errors
    /// More than one, or unreadable.
    pub fn replaces(&self) -> Result<Option<Replaces<'_>>, HeaderError> {
        self.single(HeaderName::Replaces)?
            .map(|field| Replaces::parse(field.raw_value()))
            .transpose()
    }

    /// The Join (RFC 3911).
    ///
    /// # Errors
    /// More than one, or unreadable.
    pub fn join(&self) -> Result<Option<Join<'_>>, HeaderError> {
        self.single(HeaderName::Join)?
            .map(|field| Join::parse(field.raw_value()))
            .transpose()
    }

    /// The Target-Dialog (RFC 4538).
    ///
    /// # Errors
    /// More than one, or unreadable.
    pub fn target_dialog(&self) -> Result<Option<TargetDialog<'_>>, HeaderError> {
        self.single(HeaderName::TargetDialog)?
            .map(|field| TargetDialog::parse(field.raw_value()))
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::{Join, Replaces, TargetDialog};
    use crate::uri::Uri;

    #[test]
    fn a_dialog_is_named_by_call_id_and_both_tags() {
        let replaces =
            Replaces::parse(b"98732@sip.example.com ;from-tag=r33th4x0r; to-tag=ff87ff;early-only")
                .unwrap();
        assert_eq!(
            replaces.to_string(),
            "98732@sip.example.com;to-tag=ff87ff;from-tag=r33th4x0r;early-only"
        );
        let join = Join::parse(b"12adf2f34456gs5;to-tag=12345;from-tag=54321;x=y").unwrap();
        assert_eq!(join.from_tag, "54321");
        let target = TargetDialog::parse(b"fa77as;local-tag=kkaz-;remote-tag=6544").unwrap();
        assert_eq!(target.to_string(), "fa77as;local-tag=kkaz-;remote-tag=6544");
        for bad in [
            "",
            "a",
            "a;to-tag=1",
            "a;from-tag=1",
            "a;to-tag=;from-tag=1",
            ";to-tag=1;from-tag=2",
            "a b;to-tag=1;from-tag=2",
        ] {
            assert!(Replaces::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_refer_to_carries_it_escaped() {
        let uri = Uri::parse(
            "sip:bob@biloxi.example.org?Require=replaces&replaces=12345%40192.168.118.3%3Bto-tag%3D12345%3Bfrom-tag%3D5FFE-3994",
        )
        .unwrap();
        let replaces = Replaces::from_uri(&uri).unwrap().unwrap();
        assert_eq!(
            (replaces.call_id.as_ref(), replaces.from_tag.as_ref()),
            ("12345@192.168.118.3", "5FFE-3994")
        );
        let none = Uri::parse("sip:bob@biloxi.example.org").unwrap();
        assert_eq!(Replaces::from_uri(&none), Ok(None));
        let bad = Uri::parse("sip:bob@biloxi.example.org?Replaces=12345").unwrap();
        assert!(Replaces::from_uri(&bad).is_err());
    }
}
