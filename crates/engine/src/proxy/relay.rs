//! Forwarding without a context: requests that come back by our Record-Route, and the stateless proxy (RFC 3261 §16.11).
//!
//! A stateless proxy has to find the same target for an INVITE, its CANCEL and the ACK of its refusal. Here an application names
//! the target of the one it sees; the way of an INVITE is remembered for a while, so that the others follow it (`ways`).
use crate::event::CommandError;
use crate::network::Unsigned;
use crate::proxy::prepare::prepare;
use crate::proxy::route::{Path, names_us, preprocess};
use crate::proxy::{Hop, OwnNames, ProxyOrder, Rejection, breadth, forward, loops, validate};
use bytes::Bytes;
use sip::{Message, Method, Scheme, Uri};
use std::sync::Arc;

/// A request to forward as it is, to one place.
#[derive(Clone, Debug)]
pub struct Forwarding {
    request: Arc<Message>,
    path: Path,
    headers: Vec<(Bytes, Bytes)>,
    withheld: forward::Withheld,
    stay_in_path: bool,
    /// Max-Breadth to write; none: as it is. What is relayed in a dialog forks nowhere here.
    breadth: Option<u32>,
    /// Whether nothing but a flow lets it pass, so that it goes down that or nowhere.
    pub by_flow_only: bool,
}

impl Forwarding {
    /// A CANCEL or ACK that goes the way of its INVITE.
    #[must_use]
    pub fn following(request: Arc<Message>, path: Path) -> Forwarding {
        Forwarding {
            request,
            path,
            headers: Vec::new(),
            withheld: forward::Withheld::default(),
            stay_in_path: false,
            breadth: None,
            by_flow_only: false,
        }
    }

    /// The way it takes.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The URI to resolve.
    #[must_use]
    pub fn next_hop(&self) -> &Arc<str> {
        &self.path.next_hop
    }

    /// The received request.
    #[must_use]
    pub fn request(&self) -> &Arc<Message> {
        &self.request
    }

    /// The Via branch when no transaction is kept: the same for repetitions of the request (RFC 3261 §16.11).
    #[must_use]
    pub fn branch(&self) -> String {
        loops::stateless_branch(&self.request)
    }

    /// Whether it adds its Record-Route or Path: otherwise a `Hop` needs none.
    #[must_use]
    pub fn stays_in_path(&self) -> bool {
        self.stay_in_path
    }

    /// Whether Record-Route has to be a `sips` URI, since the request-URI is one (RFC 3261 §16.6 item 4).
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.request
            .uri()
            .is_ok_and(|uri| uri.scheme() == Scheme::Sips)
    }

    /// The request as it is to be sent.
    #[must_use]
    pub fn write(&self, hop: &Hop<'_>) -> Bytes {
        forward::write(
            &self.request,
            &self.path,
            &self.headers,
            &self.withheld,
            self.stay_in_path,
            self.breadth,
            hop,
        )
    }
}

/// What is to be done with a request that has a To tag.
#[derive(Clone, Debug)]
pub enum InDialog {
    /// It did not come to us by our Record-Route, or ends here: look for a dialog of our own.
    NotRelayed,
    /// It belongs to a dialog whose path we stay in.
    Relay(Forwarding),
    /// It does, but it goes no further.
    Reject(Rejection),
    /// It says so, but nothing that this server gave out proves it.
    Unproven(Rejection),
}

/// How often a request may pass here on its way: more is no spiral that a call makes, but a route that somebody wrote by hand, as with a
/// name of ours that we do not know between two that we do.
const SPIRALS: usize = 4;

/// Decides whether a request belongs to a dialog that was proxied here with Record-Route, and where it goes: the top Route (or, after
/// a strict router, the request-URI) is ours, and what follows is not. Nothing is kept of such dialogs, so that the route has to
/// prove it: a mark that this server put into its Record-Route for this call, or a flow that it gave out.
#[must_use]
pub fn in_dialog(request: &Arc<Message>, own: &dyn OwnNames) -> InDialog {
    if !request.to().is_ok_and(|to| to.tag().is_some()) {
        return InDialog::NotRelayed;
    }
    let route = preprocess(request, own);
    if !route.by_route {
        return InDialog::NotRelayed;
    }
    let target = Uri::parse(&route.request_uri);
    if route.remaining.is_empty() && target.as_ref().is_ok_and(|uri| names_us(uri, own)) {
        return InDialog::NotRelayed;
    }
    let refused = |status: u16, error: CommandError| Rejection {
        status: (request.method() != Method::Ack).then_some(status),
        header: None,
        error,
    };
    if own.unsigned() != Unsigned::Relay && !route.passage.is_allowed() {
        return InDialog::Unproven(refused(403, CommandError::Rejected(403)));
    }
    if let Err(rejection) = validate::check(request, own) {
        return InDialog::Reject(rejection);
    }
    if loops::passages(request, own) > SPIRALS {
        return InDialog::Reject(refused(482, CommandError::Loop));
    }
    let path = Path::onward(&route, &route.request_uri, own);
    let mut forwarding = Forwarding::following(Arc::clone(request), path);
    forwarding.by_flow_only = !route.passage.is_bound;
    InDialog::Relay(forwarding)
}

/// The stateless proxy: the request goes to the first target, each time to the same (RFC 3261 §16.11).
///
/// # Errors
/// As `ProxyContext::new`.
pub fn stateless(order: ProxyOrder, own: &dyn OwnNames) -> Result<Forwarding, Rejection> {
    let prepared = prepare(&order, own)?;
    let path = match prepared.paths.into_iter().next() {
        Some(prospect) => prospect.path,
        None => Path::along(&prepared.route, &prepared.route.request_uri),
    };
    Ok(Forwarding {
        stay_in_path: forward::stays_in_path(&order.request, &order.options),
        withheld: forward::withheld(&order.request, &order.options),
        breadth: Some(breadth::received(&order.request).unwrap_or(breadth::DEFAULT)),
        request: order.request,
        path,
        headers: order.headers,
        by_flow_only: false,
    })
}
