//! The route of a request: what RFC 3261 §16.4 makes of it before the proxy decides, and the path that §16.6 items 6 and 7 take.
//!
//! It reads URIs and decides; nothing here resolves or sends.
use crate::flow::{Token, TokenFlow};
use crate::proxy::OwnNames;
use sip::header::Address;
use sip::{HeaderName, Message, Scheme, Uri};
use std::sync::Arc;

/// The route of a request after RFC 3261 §16.4.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Route {
    /// The request-URI: as received, or the one that a strict router before us hid in the last Route value.
    pub request_uri: Arc<str>,
    /// The Route values that remain, in order, as written.
    pub remaining: Vec<String>,
    /// How many there were.
    pub received: usize,
    /// Whether the last one became the request-URI.
    pub last_taken: bool,
    /// How many stand before them that the application gave.
    pub added: usize,
    /// Whether the request came to us by its route: its first Route value, or its request-URI, was one of our Record-Routes.
    pub by_route: bool,
    /// What those of them say that were ours.
    pub passage: Passage,
}

/// What the values of ours say that led a request here.
#[derive(Copy, Clone, Default, PartialEq, Eq, Debug)]
pub struct Passage {
    /// One was given out for this very call.
    pub is_bound: bool,
    /// One looks as if it were ours and is not.
    pub is_forged: bool,
    /// The flow of the last one, on the side that the request goes to.
    pub flow: Option<TokenFlow>,
}

impl Passage {
    /// Whether the request may pass: it belongs to a call that passed here before, or goes nowhere but down a flow that it was given. One
    /// that may go elsewhere once its flow is gone is no such: whoever registers by way of us is told it, and would have the rest of
    /// the world for it.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.is_bound || self.flow.is_some_and(|flow| !flow.is_soft)
    }

    fn note(&mut self, token: Token) {
        self.flow = None;
        match token {
            Token::Absent => {}
            Token::Forged => self.is_forged = true,
            Token::Mark => self.is_bound = true,
            Token::Flow(flow) => {
                self.is_bound |= flow.is_bound;
                self.flow = Some(flow);
            }
        }
    }
}

/// What the user part of a URI of ours says.
fn token(uri: &Uri<'_>, request: &Message, own: &dyn OwnNames) -> Token {
    uri.user().map_or(Token::Absent, |user| {
        own.token(user, request.call_id().unwrap_or_default())
    })
}

/// Applies RFC 3261 §16.4 to a request: undoes a strict router's work, reads `maddr`, takes our own Route values off the top.
#[must_use]
pub fn preprocess(request: &Message, own: &dyn OwnNames) -> Route {
    let mut remaining: Vec<String> = request
        .values(HeaderName::Route)
        .map(|value| value.into_owned())
        .collect();
    let mut route = Route {
        request_uri: Arc::from(request.request_uri()),
        remaining: Vec::new(),
        received: remaining.len(),
        last_taken: false,
        added: 0,
        by_route: false,
        passage: Passage::default(),
    };
    if let Ok(uri) = request.uri() {
        // A last value that is no URI cannot be what a strict router put there, and may not become a request-URI.
        let hidden = remaining
            .last()
            .filter(|_| is_own_record_route(&uri, request, own))
            .and_then(|last| uri_of(last))
            .filter(|last| Uri::parse(last).is_ok())
            .map(Arc::from);
        if let Some(hidden) = hidden {
            remaining.pop();
            route.request_uri = hidden;
            route.last_taken = true;
            route.by_route = true;
            route.passage.note(token(&uri, request, own));
        } else if let Some(stripped) = without_own_maddr(&uri, own) {
            route.request_uri = Arc::from(stripped);
        }
    }
    // Two of ours lie on top when the request crosses from one listener to another (RFC 5658 §3).
    let mut ours = 0;
    for value in &remaining {
        let uri = uri_of(value).and_then(|uri| Uri::parse(uri).ok());
        let Some(uri) = uri.filter(|uri| names_us(uri, own)) else {
            break;
        };
        route.passage.note(token(&uri, request, own));
        ours += 1;
    }
    route.by_route |= ours > 0;
    remaining.drain(..ours);
    route.remaining = remaining;
    route
}

/// Whether the URI is a SIP URI with a host and port of this server; `maddr`, where there is one, says more than the host (RFC 3261
/// §19.1.1).
#[must_use]
pub fn names_us(uri: &Uri<'_>, own: &dyn OwnNames) -> bool {
    if !matches!(uri.scheme(), Scheme::Sip | Scheme::Sips) {
        return false;
    }
    match uri.param("maddr").flatten() {
        None => own.is_own(uri.host(), uri.port()),
        Some(maddr) => Uri::parse(&format!("sip:{maddr}"))
            .is_ok_and(|there| own.is_own(there.host(), uri.port())),
    }
}

/// Whether the URI is one that this proxy puts into Record-Route: a host of ours, `lr`, no user but a token.
fn is_own_record_route(uri: &Uri<'_>, request: &Message, own: &dyn OwnNames) -> bool {
    uri.is_loose_router()
        && (uri.user().is_none() || token(uri, request, own) != Token::Absent)
        && names_us(uri, own)
}

/// The URI inside a Route value.
fn uri_of(value: &str) -> Option<&str> {
    Address::parse(value).ok().map(|address| address.uri_text)
}

/// RFC 3261 §16.4: a request-URI whose `maddr` names this server counts as if it had neither `maddr` nor another port or transport.
fn without_own_maddr(uri: &Uri<'_>, own: &dyn OwnNames) -> Option<String> {
    let maddr = uri.param("maddr")??;
    let probe = format!("sip:{maddr}");
    if !own.is_own(Uri::parse(&probe).ok()?.host(), uri.port()) {
        return None;
    }
    let stripped = without_parameter(&without_parameter(uri.as_str(), "maddr"), "transport");
    let Some(port) = uri.port() else {
        return Some(stripped);
    };
    let after_user = stripped.rfind('@').map_or(0, |at| at + 1);
    let (user, host) = stripped.split_at(after_user);
    Some(format!(
        "{user}{}",
        host.replacen(&format!(":{port}"), "", 1)
    ))
}

/// The URI text without the URI parameter of that name.
#[must_use]
pub fn without_parameter(uri: &str, name: &str) -> String {
    let after_user = uri.rfind('@').map_or(0, |at| at + 1);
    let (user, rest) = uri.split_at(after_user);
    let (rest, headers) = rest.find('?').map_or((rest, ""), |at| rest.split_at(at));
    let mut kept = String::with_capacity(uri.len());
    kept.push_str(user);
    for (index, part) in rest.split(';').enumerate() {
        let own_name = part.split('=').next().unwrap_or_default();
        if index > 0 && own_name.eq_ignore_ascii_case(name) {
            continue;
        }
        if index > 0 {
            kept.push(';');
        }
        kept.push_str(part);
    }
    kept.push_str(headers);
    kept
}

/// How the Route header field of the forwarded request differs from the received one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RouteEdit {
    /// Not at all.
    Keep,
    /// There is none any more.
    Remove,
    /// The first value goes.
    RemoveFirst,
    /// This is its value.
    Replace(String),
}

/// Where a forwarded request goes: RFC 3261 §16.6 items 2, 6 and 7.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Path {
    /// The request-URI to write.
    pub request_uri: Arc<str>,
    /// The URI to resolve.
    pub next_hop: Arc<str>,
    /// What happens to Route.
    pub route: RouteEdit,
}

impl Path {
    /// The path of a request to `request_uri` along what remains of its route: the first Route value is the next hop; a strict
    /// router among them gets its own URI as request-URI, and the real one goes to the end (RFC 3261 §16.6 item 6).
    #[must_use]
    pub fn along(route: &Route, request_uri: &Arc<str>) -> Path {
        let Some((first, others)) = route.remaining.split_first() else {
            return Path {
                request_uri: Arc::clone(request_uri),
                next_hop: Arc::clone(request_uri),
                route: route.edit(),
            };
        };
        let first_uri = uri_of(first).unwrap_or(first);
        if Uri::parse(first_uri).is_ok_and(|uri| !uri.is_loose_router()) {
            let strict: Arc<str> = Arc::from(first_uri);
            let mut values = others.join(", ");
            if !values.is_empty() {
                values.push_str(", ");
            }
            values.push('<');
            values.push_str(request_uri);
            values.push('>');
            return Path {
                request_uri: Arc::clone(&strict),
                next_hop: strict,
                route: RouteEdit::Replace(values),
            };
        }
        Path {
            request_uri: Arc::clone(request_uri),
            next_hop: Arc::from(first_uri),
            route: route.edit(),
        }
    }

    /// The path of a request to `request_uri` along what remains of its route, or down the flow that the last value of ours names
    /// (RFC 5626 §5.3).
    #[must_use]
    pub fn onward(route: &Route, request_uri: &Arc<str>, own: &dyn OwnNames) -> Path {
        match route.passage.flow.and_then(|flow| own.flow_uri(&flow)) {
            Some(flow) => Path::by(route, Arc::clone(request_uri), Arc::from(flow)),
            None => Path::along(route, request_uri),
        }
    }

    /// The path of a request to `request_uri` by `next_hop`, whatever its route says: drachtio-server's way, and that of flows.
    #[must_use]
    pub fn by(route: &Route, request_uri: Arc<str>, next_hop: Arc<str>) -> Path {
        Path {
            request_uri,
            next_hop,
            route: route.edit(),
        }
    }
}

impl Route {
    /// Sends the request through these first, as a policy of this proxy's (RFC 3261 §16.6 item 6). One of ours in front that leads
    /// down a flow, as in a Path that a registrar stored, is taken here and now.
    pub fn add(&mut self, mut values: Vec<String>, request: &Message, own: &dyn OwnNames) {
        if values.is_empty() {
            return;
        }
        self.added += values.len();
        self.passage.flow = None;
        let flow = values
            .first()
            .and_then(|value| Uri::parse(uri_of(value)?).ok())
            .filter(|uri| names_us(uri, own))
            .map(|uri| token(&uri, request, own));
        if let Some(Token::Flow(flow)) = flow {
            self.passage.flow = Some(flow);
            values.remove(0);
        }
        values.append(&mut self.remaining);
        self.remaining = values;
    }

    fn edit(&self) -> RouteEdit {
        if self.added > 0 && !self.remaining.is_empty() {
            RouteEdit::Replace(self.remaining.join(", "))
        } else if self.added == 0 && self.remaining.len() == self.received {
            RouteEdit::Keep
        } else if self.remaining.is_empty() {
            RouteEdit::Remove
        } else if self.remaining.len() + 1 == self.received && !self.last_taken {
            RouteEdit::RemoveFirst
        } else {
            RouteEdit::Replace(self.remaining.join(", "))
        }
    }
}
