//! How much of a peer's message a dialog may be made to keep: a confirmed call lives for hours, and has to fit into an export.
use crate::reply::creates_dialog;
use sip::{Address, HeaderName, Message};

/// The most routes.
pub(crate) const MOST_ROUTES: usize = 64;
/// Their length together, in bytes.
pub(crate) const MOST_ROUTE_BYTES: usize = 16 * 1024;
/// The longest of the other texts: a Call-ID, an end, a target; in bytes.
pub(crate) const MOST_TEXT: usize = 8 * 1024;

/// Whether a dialog may be made of this request or response: its route set, its ends and its Call-ID are of a size to be kept. The
/// target is looked at where it is taken.
pub(crate) fn fits(message: &Message) -> bool {
    let is_short = |name| {
        message
            .header(name)
            .is_none_or(|field| field.text().len() <= MOST_TEXT)
    };
    // What is short as a whole has no part that is too long.
    let texts = message.as_bytes().len() <= MOST_TEXT
        || [HeaderName::CallId, HeaderName::From, HeaderName::To]
            .into_iter()
            .all(is_short);
    let (mut routes, mut bytes) = (0, 0);
    for route in message.values(HeaderName::RecordRoute) {
        routes += 1;
        bytes += route.len();
        if routes > MOST_ROUTES || bytes > MOST_ROUTE_BYTES {
            return false;
        }
    }
    texts
}

/// Whether every Record-Route value leads somewhere.
pub(crate) fn routes_are_readable(message: &Message) -> bool {
    let mut routes = message.values(HeaderName::RecordRoute);
    routes.all(|route| Address::parse(&route).is_ok())
}

/// Whether a response would make a dialog that may not be kept: it counts as one that cannot be read.
pub(crate) fn is_too_much(response: &Message) -> bool {
    (101..300).contains(&response.status()) && creates_dialog(&response.method()) && !fits(response)
}
