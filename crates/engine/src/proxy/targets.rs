//! Targets: what an application or a 3xx names, made fit for a request-URI.
use crate::event::CommandError;
use crate::proxy::route::without_parameter;
use sip::header::Address;
use sip::{Message, Scheme, Uri};
use std::cmp::Reverse;

/// The most targets of one search, those of its redirections among them: about twice what Max-Breadth lets ring at one time (RFC 5393 §5.3.3: 60).
pub const MOST_TARGETS: usize = 128;

/// A q of 1, in thousandths.
pub const MOST: u16 = 1000;

/// The URI of a target as it may stand in a request-URI: without headers and without `method` (RFC 3261 §19.1.1, table 1).
///
/// # Errors
/// `InvalidUri`, which says what was wrong.
pub fn clean(target: &str) -> Result<String, CommandError> {
    let text = target.trim();
    let uri = Uri::parse(text).map_err(|error| {
        CommandError::InvalidUri(format!("the target {target:?} cannot be read: {error}"))
    })?;
    if !matches!(uri.scheme(), Scheme::Sip | Scheme::Sips) {
        return Ok(text.to_owned());
    }
    let after_user = text.rfind('@').unwrap_or(0);
    let headers = text
        .get(after_user..)
        .and_then(|rest| rest.find('?'))
        .map(|at| at + after_user);
    let text = headers.and_then(|at| text.get(..at)).unwrap_or(text);
    if uri.param("method").is_some() {
        return Ok(without_parameter(text, "method"));
    }
    Ok(text.to_owned())
}

/// A target as an application names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Weighted {
    /// The URI.
    pub uri: String,
    /// Its q in thousandths.
    pub q: u16,
    /// The token of the flow to take.
    pub flow: Option<String>,
}

/// A target with its q: a URI, or a value as Contact has it, `"Bob" <sip:bob@192.0.2.4>;q=0.5`. None counts as 1, as in the Contacts
/// of a 3xx. `;flow=TOKEN` says which flow to take (RFC 5626).
///
/// # Errors
/// `InvalidUri`, which says what was wrong.
pub fn weighted(target: &str) -> Result<Weighted, CommandError> {
    if !target.contains('<') {
        return Ok(Weighted {
            uri: clean(target)?,
            q: MOST,
            flow: None,
        });
    }
    let address = Address::parse(target.trim()).map_err(|error| {
        CommandError::InvalidUri(format!("the target {target:?} cannot be read: {error}"))
    })?;
    let flow = address
        .param("flow")
        .flatten()
        .map(|flow| flow.into_owned());
    let is_token = |flow: &String| {
        let mut bytes = flow.bytes();
        bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if let Some(flow) = flow.as_ref().filter(|flow| !is_token(flow)) {
        return Err(CommandError::InvalidUri(format!(
            "the target {target:?} names a flow that is no token: {flow:?}"
        )));
    }
    Ok(Weighted {
        uri: clean(address.uri_text)?,
        q: weight(&address),
        flow,
    })
}

/// The q of a Contact value, in thousandths.
fn weight(contact: &Address<'_>) -> u16 {
    contact
        .param("q")
        .flatten()
        .map_or(MOST, |q| thousandths(&q))
}

/// Whether a URI can be resolved by RFC 3263.
#[must_use]
pub fn is_routable(uri: &str) -> bool {
    Uri::parse(uri).is_ok_and(|uri| matches!(uri.scheme(), Scheme::Sip | Scheme::Sips))
}

/// The targets that a 3xx names: its Contacts, the highest q first (none counts as 1), those of equal q in their order.
///
/// A 305 and a 380 name none: they do not say where the same request should go (RFC 3261 §21.3.4, §21.3.5). With `secure` (the
/// request-URI was `sips`) only `sips` URIs count, since the others would break its promise (RFC 3261 §16.7 item 4).
#[must_use]
pub fn redirected(response: &Message, secure: bool) -> Vec<(String, u16)> {
    if matches!(response.status(), 305 | 380) {
        return Vec::new();
    }
    let Ok(contacts) = response.contacts() else {
        return Vec::new();
    };
    let mut named: Vec<(String, u16)> = Vec::with_capacity(contacts.len());
    for contact in contacts.iter().filter(|contact| !contact.is_wildcard()) {
        let Ok(uri) = contact.uri() else { continue };
        let fits = match uri.scheme() {
            Scheme::Sips => true,
            Scheme::Sip => !secure,
            _ => false,
        };
        if let (true, Ok(target)) = (fits, clean(contact.uri_text)) {
            named.push((target, weight(contact)));
        }
    }
    named.sort_by_key(|(_, q)| Reverse(*q));
    named
}

/// A q value (RFC 3261 §25.1: at most three digits after the point) in thousandths; what cannot be read counts as 0.
fn thousandths(q: &str) -> u16 {
    let (whole, fraction) = q.split_once('.').unwrap_or((q, ""));
    let digits = fraction.bytes().chain(*b"000").take(3);
    let Ok(whole) = whole.parse::<u16>() else {
        return 0;
    };
    digits
        .fold(whole.min(1), |value, digit| {
            value * 10 + u16::from(digit.saturating_sub(b'0')).min(9)
        })
        .min(MOST)
}

/// Whether two targets are the same (RFC 3261 §19.1.4), so that none is tried twice.
#[must_use]
pub fn same(one: &str, other: &str) -> bool {
    one == other
        || match (Uri::parse(one), Uri::parse(other)) {
            (Ok(one), Ok(other)) => one.equivalent(&other),
            _ => false,
        }
}
