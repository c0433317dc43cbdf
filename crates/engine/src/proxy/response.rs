//! Responses on their way upstream (RFC 3261 §16.7), and those that stand for a branch that gave none.
use bytes::Bytes;
use sip::{Build, HeaderName, Limits, Message, Patch, status};
use std::sync::Arc;

/// The header fields of challenges (RFC 3261 §16.7 item 7).
const CHALLENGES: [HeaderName; 2] = [HeaderName::WwwAuthenticate, HeaderName::ProxyAuthenticate];

/// The response as it goes upstream: without the top Via. None when no other Via is left: then it was meant for us and is not
/// forwarded (RFC 3261 §16.7 item 3).
#[must_use]
pub fn upstream(response: &Message) -> Option<Bytes> {
    upstream_with_challenges(response, std::iter::empty())
}

/// The same, with the challenges of other responses added (RFC 3261 §16.7 item 7).
#[must_use]
pub fn upstream_with_challenges<'a>(
    response: &Message,
    others: impl Iterator<Item = &'a Message>,
) -> Option<Bytes> {
    response.values(HeaderName::Via).nth(1)?;
    let mut patch = Patch::new(response);
    patch.remove_first_value(HeaderName::Via);
    for other in others {
        for name in CHALLENGES {
            for field in other.headers(name) {
                patch.append(name, field.value().into_owned());
            }
        }
    }
    Some(patch.write())
}

/// The response that stands for a branch that gave none: a 408 or a 503, as if the branch had sent it.
#[must_use]
pub fn made(request: &Message, status: u16) -> Option<Arc<Message>> {
    let bytes = Build::reply(request, status, status::reason_phrase(status), None).finish(&[]);
    Message::parse(bytes, &Limits::default()).ok().map(Arc::new)
}
