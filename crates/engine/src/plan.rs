//! What a request is made from. It is written anew for each attempt: Via, Contact and `@localhost` depend on the way it takes.
use crate::dialog::offer::describes_session;
use crate::draft;
use crate::id::TransactionId;
use crate::proxy::relay::Forwarding;
use crate::reply::leads_to_sips;
use crate::transport::Origin;
use bytes::Bytes;
use sip::{Build, HeaderName, Method, Scheme, Uri};
use std::borrow::Cow;

/// A request to be written.
pub(crate) enum Plan {
    /// A request of an application, or of the engine itself.
    Own(Box<OwnRequest>),
    /// What the proxy context of this server transaction writes for this branch.
    Branch(TransactionId, u32),
    /// A request of a dialog that was proxied here, or one forwarded without state; and where it came from.
    Relay(Box<Forwarding>, Origin),
}

/// Whether the engine writes the Contact.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Contact {
    /// Ours.
    Own,
    /// None, or the application's among its header fields.
    Left,
}

/// A request that starts here.
pub(crate) struct OwnRequest {
    pub(crate) method: Method,
    pub(crate) uri: String,
    /// The value; none: our own address.
    pub(crate) from: Option<Bytes>,
    /// Added to From when it has none.
    pub(crate) from_tag: Option<String>,
    pub(crate) to: Bytes,
    pub(crate) call_id: Bytes,
    pub(crate) sequence: u32,
    pub(crate) max_forwards: Bytes,
    pub(crate) routes: Vec<Bytes>,
    pub(crate) contact: Contact,
    pub(crate) headers: Vec<(Bytes, Bytes)>,
    pub(crate) content_type: Option<&'static str>,
    pub(crate) body: Bytes,
}

/// Our names on the way that a request takes.
pub(crate) struct Names<'a> {
    pub(crate) via: &'a str,
    pub(crate) host_port: &'a str,
    pub(crate) contact: &'a str,
}

fn with_own_host<'a>(name: HeaderName, value: &'a Bytes, host_port: &str) -> Cow<'a, [u8]> {
    let replaced = draft::takes_own_host(name)
        .then(|| draft::own_host(value, host_port))
        .flatten();
    replaced.map_or(Cow::Borrowed(value), Cow::Owned)
}

impl OwnRequest {
    /// Whether it carries a session description.
    pub(crate) fn describes_session(&self) -> bool {
        if self.body.is_empty() {
            return false;
        }
        let given = self
            .headers
            .iter()
            .find(|(name, _)| HeaderName::from_bytes(name) == HeaderName::ContentType);
        let content_type = self.content_type.map(str::as_bytes);
        describes_session(
            content_type.or(given.map(|(_, value)| value.as_ref())),
            &self.body,
        )
    }

    /// Whether its Contact has to be a `sips` URI (RFC 3261 §8.1.1.8): its URI, or the first that it is routed by, is one.
    pub(crate) fn demands_sips(&self) -> bool {
        let is_sips = Uri::parse(&self.uri).is_ok_and(|uri| uri.scheme() == Scheme::Sips);
        is_sips
            || self
                .routes
                .first()
                .is_some_and(|route| leads_to_sips(&String::from_utf8_lossy(route)))
    }

    /// The request for this way.
    pub(crate) fn write(&self, names: &Names<'_>) -> Bytes {
        let mut from = match &self.from {
            Some(from) => with_own_host(HeaderName::From, from, names.host_port).into_owned(),
            None => format!("<sip:{}>", names.host_port).into_bytes(),
        };
        if let Some(tag) = &self.from_tag {
            from.extend_from_slice(b";tag=");
            from.extend_from_slice(tag.as_bytes());
        }
        let mut build = Build::request(self.method.as_str(), &self.uri)
            .header(HeaderName::Via, names.via)
            .header(HeaderName::MaxForwards, &self.max_forwards);
        for route in &self.routes {
            build = build.header(HeaderName::Route, route);
        }
        build = build
            .header(HeaderName::From, from)
            .header(
                HeaderName::To,
                with_own_host(HeaderName::To, &self.to, names.host_port),
            )
            .header(HeaderName::CallId, &self.call_id)
            .header(
                HeaderName::CSeq,
                format!("{} {}", self.sequence, self.method.as_str()),
            );
        if self.contact == Contact::Own {
            build = build.header(HeaderName::Contact, names.contact);
        }
        for (name, value) in &self.headers {
            let value = with_own_host(HeaderName::from_bytes(name), value, names.host_port);
            build = build.named(&String::from_utf8_lossy(name), value);
        }
        if let Some(content_type) = self.content_type {
            build = build.header(HeaderName::ContentType, content_type);
        }
        build.finish(&self.body)
    }
}

/// The Via value of a request.
pub(crate) fn via_value(
    transport: crate::transport::Transport,
    host_port: &str,
    branch: &str,
    alias: bool,
) -> String {
    let alias = if alias { ";alias" } else { "" };
    format!(
        "SIP/2.0/{} {host_port};rport;branch={branch}{alias}",
        transport.via()
    )
}
