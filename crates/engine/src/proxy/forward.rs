//! The forwarded request (RFC 3261 §16.6): a patch of the received one, written when the way it takes is known.
use crate::command::{PathPolicy, ProxyOptions};
use crate::event::CommandError;
use crate::proxy::route::{Path, RouteEdit};
use crate::proxy::{Hop, validate};
use crate::transport::Transport;
use bytes::Bytes;
use sip::{HeaderName, Message, Method, Patch};
use smallvec::SmallVec;

/// Max-Forwards of a request that came without (RFC 3261 §16.6 item 3).
const MAX_FORWARDS: u32 = 70;

/// The header fields of a request that go no further.
#[derive(Clone, Default, Debug)]
pub struct Withheld {
    /// Every field of these names.
    names: SmallVec<[HeaderName; 4]>,
    /// The Proxy-Authorization fields with these numbers.
    credentials: Vec<u8>,
}

/// Writes the request as it goes to the next hop.
///
/// `headers` are the application's, checked by `check_headers`; what is `withheld` is left out before. With `stay_in_path` the proxy adds its Record-Route, or for a
/// REGISTER its Path (RFC 3327) with `Require: path`. `breadth` is the branch's share of Max-Breadth (RFC 5393 §5).
#[must_use]
pub fn write(
    request: &Message,
    path: &Path,
    headers: &[(Bytes, Bytes)],
    withheld: &Withheld,
    stay_in_path: bool,
    breadth: Option<u32>,
    hop: &Hop<'_>,
) -> Bytes {
    let mut patch = Patch::new(request);
    if *path.request_uri != *request.request_uri() {
        patch.request_uri(&path.request_uri);
    }
    let forwards = match request.max_forwards() {
        Ok(Some(hops)) => hops.saturating_sub(1),
        Ok(None) | Err(_) => MAX_FORWARDS,
    };
    patch.set(HeaderName::MaxForwards, forwards.to_string());
    if let Some(breadth) = breadth {
        patch.set(HeaderName::MaxBreadth, breadth.to_string());
    }
    if stay_in_path {
        add_record_route(&mut patch, request, hop);
    }
    for name in &withheld.names {
        patch.remove(*name);
    }
    for number in &withheld.credentials {
        patch.remove_field(HeaderName::ProxyAuthorization, usize::from(*number));
    }
    for (name, value) in headers {
        add_header(&mut patch, name, value);
    }
    match &path.route {
        RouteEdit::Keep => {}
        RouteEdit::Remove => {
            patch.remove(HeaderName::Route);
        }
        RouteEdit::RemoveFirst => {
            patch.remove_first_value(HeaderName::Route);
        }
        RouteEdit::Replace(values) => {
            patch.set(HeaderName::Route, values.as_str());
        }
    }
    patch.prepend(HeaderName::Via, via(hop));
    patch.write()
}

/// Whether the forwarded request gets our Record-Route, or for a REGISTER our Path (RFC 3327 §5.2).
#[must_use]
pub fn stays_in_path(request: &Message, options: &ProxyOptions) -> bool {
    options.record_route
        && (options.path != PathPolicy::IfSupported
            || request.method() != Method::Register
            || validate::supports_path(request))
}

/// The header fields of the request that are not for these targets: what an untrusted one must not see, and the credentials that
/// this proxy asked for.
pub(super) fn withheld(request: &Message, options: &ProxyOptions) -> Withheld {
    let names = if options.untrusted {
        request.withheld_from_untrusted()
    } else {
        SmallVec::new()
    };
    Withheld {
        names,
        credentials: options.consumed.clone(),
    }
}

/// Our Via value. `rport` asks the next hop to answer to the port that it sees (RFC 3581 §3).
fn via(hop: &Hop<'_>) -> String {
    let rport = if hop.transport == Transport::Udp {
        ";rport"
    } else {
        ""
    };
    let alias = if hop.alias { ";alias" } else { "" };
    format!(
        "SIP/2.0/{} {};branch={}{rport}{alias}",
        hop.transport.via(),
        hop.sent_by,
        hop.branch
    )
}

fn add_record_route(patch: &mut Patch<'_>, request: &Message, hop: &Hop<'_>) {
    // The one the next hop will use is on top (RFC 5658 §3).
    let value = match hop.record_route_received {
        Some(received) => format!("<{}>, <{received}>", hop.record_route),
        None => format!("<{}>", hop.record_route),
    };
    if request.method() == Method::Register {
        patch.prepend(HeaderName::Path, value);
        let required = request
            .values(HeaderName::Require)
            .any(|option| option.eq_ignore_ascii_case("path"));
        if !required {
            patch.append(HeaderName::Require, "path");
        }
    } else {
        patch.prepend(HeaderName::RecordRoute, value);
    }
}

/// The URI that a proxy puts into Record-Route and Path for one of its listeners: `sip:host:port;transport=tcp;lr`. For UDP the
/// transport is left out, as it is what a URI without one means for a numeric host (RFC 3263 §4.1). With `secure` the scheme is
/// `sips` (RFC 3261 §16.6 item 4: when the request-URI or the top Route is). `user` is a token (`flow`), or empty.
#[must_use]
pub fn record_route_uri(user: &str, sent_by: &str, transport: Transport, secure: bool) -> String {
    let scheme = if secure { "sips" } else { "sip" };
    let at = if user.is_empty() { "" } else { "@" };
    match transport {
        Transport::Udp => format!("{scheme}:{user}{at}{sent_by};lr"),
        _ => format!(
            "{scheme}:{user}{at}{sent_by};transport={};lr",
            transport.name()
        ),
    }
}

/// Adds a header field of the application's: it replaces a field of which a message has only one, and is added to others.
fn add_header(patch: &mut Patch<'_>, name: &Bytes, value: &Bytes) {
    let known = HeaderName::from_bytes(name);
    if is_ours(known) {
        return;
    }
    match std::str::from_utf8(name) {
        Ok(_) if is_single(known) => {
            patch.set(known, value.as_ref());
        }
        Ok(name) => {
            patch.append_named(name, value.as_ref());
        }
        Err(_) => {}
    }
}

/// What the proxy core writes itself or may not change (RFC 3261 §16.6): such a field of the application's is ignored here. Its Route
/// is part of the path by now (`route::Path::along`).
fn is_ours(name: HeaderName) -> bool {
    matches!(
        name,
        HeaderName::Via
            | HeaderName::Route
            | HeaderName::RecordRoute
            | HeaderName::From
            | HeaderName::To
            | HeaderName::CallId
            | HeaderName::CSeq
            | HeaderName::Contact
            | HeaderName::MaxForwards
            | HeaderName::MaxBreadth
            | HeaderName::ContentLength
            | HeaderName::RSeq
            | HeaderName::RAck
    )
}

/// Header fields of which a message has one (RFC 3261 §7.3.1), as far as an application adds them.
fn is_single(name: HeaderName) -> bool {
    matches!(
        name,
        HeaderName::UserAgent
            | HeaderName::Subject
            | HeaderName::Organization
            | HeaderName::Priority
            | HeaderName::Expires
            | HeaderName::MinExpires
            | HeaderName::SessionExpires
            | HeaderName::MinSe
            | HeaderName::ReferTo
            | HeaderName::ReferredBy
            | HeaderName::ReplyTo
            | HeaderName::Date
            | HeaderName::Event
            | HeaderName::MimeVersion
            | HeaderName::ContentType
            | HeaderName::ContentDisposition
    )
}

/// Refuses header fields that would break the message: a name that is not a token, a value with a line end.
///
/// # Errors
/// `InvalidHeader`, which names the field.
pub fn check_headers(headers: &[(Bytes, Bytes)]) -> Result<(), CommandError> {
    for (name, value) in headers {
        let shown = || String::from_utf8_lossy(name).into_owned();
        if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
            return Err(CommandError::InvalidHeader(format!(
                "the header name {:?} is not a token",
                shown()
            )));
        }
        if value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return Err(CommandError::InvalidHeader(format!(
                "the value of {} holds a line end or a NUL",
                shown()
            )));
        }
    }
    Ok(())
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte)
}
