//! When two URIs are the same (RFC 3261 §19.1.4, RFC 3966 §4).
use crate::uri::{Host, Scheme, Uri, hex_pair};

/// Parameters that never match when only one URI has them.
const DECISIVE: [&str; 5] = ["user", "ttl", "method", "maddr", "transport"];

impl Uri<'_> {
    /// Whether both name the same resource (RFC 3261 §19.1.4; tel: RFC 3966 §4). Other schemes compare as text.
    ///
    /// The relation is not transitive: a parameter that only one has is often ignored.
    #[must_use]
    pub fn equivalent(&self, other: &Uri<'_>) -> bool {
        match (self.scheme, other.scheme) {
            (Scheme::Sip, Scheme::Sip) | (Scheme::Sips, Scheme::Sips) => same_sip(self, other),
            (Scheme::Tel, Scheme::Tel) => same_tel(self, other),
            (Scheme::Other(one), Scheme::Other(two)) => {
                one.eq_ignore_ascii_case(two)
                    && self.text.get(one.len()..) == other.text.get(two.len()..)
            }
            _ => false,
        }
    }
}

fn same_sip(one: &Uri<'_>, two: &Uri<'_>) -> bool {
    same_optional(one.user, two.user)
        && same_optional(one.password, two.password)
        && same_host(one.host, two.host)
        && one.port == two.port
        && params_match(one, two)
        && params_match(two, one)
        && headers_match(one, two)
        && headers_match(two, one)
}

fn same_optional(one: Option<&str>, two: Option<&str>) -> bool {
    match (one, two) {
        (Some(one), Some(two)) => same_escaped(one, two, false),
        (None, None) => true,
        _ => false,
    }
}

fn same_host(one: Host<'_>, two: Host<'_>) -> bool {
    match (one, two) {
        (Host::Name(one), Host::Name(two)) => one.eq_ignore_ascii_case(two),
        (one, two) => one == two,
    }
}

/// Of a parameter that is repeated, which none may be (RFC 3261 §19.1.1), the first value counts, as everywhere: what a user agent
/// registers must be the same when it registers it again.
fn params_match(one: &Uri<'_>, two: &Uri<'_>) -> bool {
    one.params.iter().all(|(name, value)| {
        let same = |(other, _): &(&str, Option<&str>)| same_escaped(name, other, true);
        let value = one
            .params
            .iter()
            .find(same)
            .map_or(value, |(_, first)| first);
        match two.params.iter().find(same) {
            Some((_, other)) => same_escaped(value.unwrap_or(""), other.unwrap_or(""), true),
            None => !DECISIVE
                .iter()
                .any(|decisive| same_escaped(decisive, name, true)),
        }
    })
}

fn headers_match(one: &Uri<'_>, two: &Uri<'_>) -> bool {
    one.headers().all(|(name, value)| {
        two.headers().any(|(other, content)| {
            same_escaped(name, other, true) && same_escaped(value, content, false)
        })
    })
}

/// A character, and whether it is what an escape of a reserved character stands for: that one differs from the character itself.
fn units(text: &str) -> impl Iterator<Item = (u8, bool)> + '_ {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        let byte = *bytes.get(at)?;
        if let (b'%', Some(decoded)) = (byte, hex_pair(bytes, at)) {
            at += 3;
            return Some((
                decoded,
                matches!(
                    decoded,
                    b';' | b'/' | b'?' | b':' | b'@' | b'&' | b'=' | b'+' | b'$' | b','
                ),
            ));
        }
        at += 1;
        Some((byte, false))
    })
}

pub(crate) fn same_escaped(one: &str, two: &str, any_case: bool) -> bool {
    let fold = |(byte, escaped): (u8, bool)| {
        (
            if any_case {
                byte.to_ascii_lowercase()
            } else {
                byte
            },
            escaped,
        )
    };
    units(one).map(fold).eq(units(two).map(fold))
}

fn same_tel(one: &Uri<'_>, two: &Uri<'_>) -> bool {
    let digits = |text: &str| -> Vec<u8> {
        let kept = text
            .bytes()
            .filter(|byte| !matches!(byte, b'-' | b'.' | b'(' | b')'));
        kept.map(|byte| byte.to_ascii_lowercase()).collect()
    };
    let same = |a: &Uri<'_>, b: &Uri<'_>| {
        a.params.iter().all(|(name, value)| {
            let value = a.params.get_raw(name).unwrap_or(value);
            b.params
                .get_raw(name)
                .is_some_and(|other| digits(value.unwrap_or("")) == digits(other.unwrap_or("")))
        })
    };
    digits(one.user.unwrap_or("")) == digits(two.user.unwrap_or(""))
        && same(one, two)
        && same(two, one)
}
