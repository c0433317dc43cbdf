//! Where a request goes before anything is looked up: down a flow (RFC 5626 §5.3), over the connection of a browser (RFC 7118 §5.6), or
//! to what its URI names.
use crate::engine::Engine;
use crate::event::CommandError;
use crate::flow::{FLOW_HOST, Token, TokenFlow, is_invalid, is_web};
use crate::id::DialogId;
use crate::plan::Plan;
use crate::proxy::route::RouteEdit;
use crate::resolve::Resolved;
use crate::target::{Target, target};
use crate::transaction::client::Way;
use crate::transport::Origin;
use sip::{Host, Scheme, Uri};
use std::borrow::Cow;

/// Where a request goes.
pub(super) struct Located {
    pub(super) target: Target,
    /// The flow to take there.
    pub(super) flow: Option<Way>,
    /// Where else it may go when the flow fails.
    pub(super) fallback: Option<Resolved>,
}

impl Located {
    fn at(target: Target) -> Located {
        Located {
            target,
            flow: None,
            fallback: None,
        }
    }

    fn down(origin: Origin, is_only: bool) -> Located {
        Located {
            target: Target::Address(Resolved {
                transport: origin.transport,
                address: origin.peer,
            }),
            flow: Some(Way { origin, is_only }),
            fallback: None,
        }
    }
}

/// Why a flow cannot be taken.
fn gone(what: &str) -> CommandError {
    CommandError::FlowFailed(format!(
        "{what}: the peer is reached again when it has registered again"
    ))
}

impl Engine {
    /// Where a request to be sent to `hop` goes.
    ///
    /// # Errors
    /// `FlowFailed`, `FlowForged`, and what the URI is refused with.
    pub(super) fn locate(
        &self,
        plan: &Plan,
        hop: &str,
        dialog: Option<DialogId>,
    ) -> Result<Located, CommandError> {
        if let Some(way) = self.flow_of(dialog) {
            // The Contact is for when there is no connection any more, and may be no address at all (RFC 7118 §5.6).
            let mut located = Located::down(way.origin, way.is_only);
            if let (Some(_), false, Ok(Target::Address(resolved))) =
                (way.origin.connection, way.is_only, target(hop))
            {
                located.target = Target::Address(Resolved {
                    transport: way.origin.transport,
                    address: resolved.address,
                });
            }
            return Ok(located);
        }
        let Ok(uri) = Uri::parse(hop) else {
            return target(hop).map(Located::at);
        };
        let token = match uri.user() {
            Some(user) if Token::is_likely(user) => self.token_of(&uri, &self.call_id_of(plan)),
            Some(_) | None => Token::Absent,
        };
        let located = match (token, uri.host()) {
            (Token::Flow(flow), _) => self.locate_flow(plan, flow)?,
            (Token::Forged, _) => return Err(CommandError::FlowForged),
            (_, Host::Name(host)) if host.eq_ignore_ascii_case(FLOW_HOST) => {
                return Err(CommandError::FlowForged);
            }
            (_, Host::Name(host)) if is_invalid(host) => {
                let nobody = || gone(&format!("no connection is open whose peer is {host}"));
                self.locate_browser(host).ok_or_else(nobody)?
            }
            (Token::Absent | Token::Mark, _) => return target(hop).map(Located::at),
        };
        self.keeps_promise(plan, located)
    }

    /// A `sips` request-URI goes down a secure flow only (RFC 3261 §26.2.2, RFC 5630 §3.1.3), but for a trusted peer: a proxy of our own
    /// network that ends TLS for us.
    fn keeps_promise(&self, plan: &Plan, located: Located) -> Result<Located, CommandError> {
        let Some(Way { origin, .. }) = &located.flow else {
            return Ok(located);
        };
        let transport = origin.transport;
        let uri = match plan {
            Plan::Own(request) => Some(request.uri.as_str()),
            Plan::Branch(server, branch) => {
                let context = self.contexts.get(server);
                let path = context.and_then(|context| context.context.path(*branch));
                path.map(|path| &*path.request_uri)
            }
            // What belongs to a call goes the way that the call went.
            Plan::Relay(..) => None,
        };
        match uri {
            Some(uri) if !self.may_take(uri, origin) => Err(CommandError::NoTransport(format!(
                "{uri} asks for TLS all the way, and its peer is reached by {} only",
                transport.via()
            ))),
            _ => Ok(located),
        }
    }

    /// Whether a request to this URI may go down that flow.
    fn may_take(&self, uri: &str, origin: &Origin) -> bool {
        origin.transport.is_secure()
            || self.config.admission.trusts(origin.peer.ip())
            || Uri::parse(uri).map_or(true, |uri| uri.scheme() != Scheme::Sips)
    }

    fn locate_browser(&self, host: &str) -> Option<Located> {
        let origin = self.flows.find_host(host)?;
        Some(Located::down(*origin, true))
    }

    fn locate_flow(&self, plan: &Plan, flow: TokenFlow) -> Result<Located, CommandError> {
        let elsewhere = self.target_of(plan);
        if let Some(origin) = self.open_flow(flow.flow) {
            let mut located = Located::down(origin, !flow.is_soft && origin.connection.is_some());
            if flow.is_soft
                && let Some(Ok(Target::Address(resolved))) = elsewhere.as_deref().map(target)
            {
                located.fallback = Some(resolved);
            }
            return Ok(located);
        }
        let failed = || gone("its connection is closed");
        // What is relayed without an application goes nowhere else for a token of no call.
        if matches!(plan, Plan::Relay(forwarding, _) if forwarding.by_flow_only) {
            return Err(failed());
        }
        let elsewhere = elsewhere.ok_or_else(failed)?;
        // A browser keeps its host when it comes back over another connection.
        if let Ok(Host::Name(host)) = Uri::parse(&elsewhere).map(|uri| uri.host())
            && is_invalid(host)
        {
            return self.locate_browser(host).ok_or_else(failed);
        }
        if flow.is_soft {
            return target(&elsewhere).map(Located::at);
        }
        Err(failed())
    }

    /// The request-URI, where the request is to go there once it has left its flow, and by no other route.
    fn target_of<'a>(&'a self, plan: &'a Plan) -> Option<Cow<'a, str>> {
        let path = match plan {
            Plan::Own(request) => {
                return request
                    .routes
                    .is_empty()
                    .then_some(Cow::Borrowed(request.uri.as_str()));
            }
            Plan::Branch(server, branch) => self.contexts.get(server)?.context.path(*branch)?,
            Plan::Relay(forwarding, _) => forwarding.path(),
        };
        let ends = match &path.route {
            RouteEdit::Remove => true,
            RouteEdit::Keep => !self.has_route(plan),
            RouteEdit::RemoveFirst | RouteEdit::Replace(_) => false,
        };
        ends.then_some(Cow::Borrowed(&*path.request_uri))
    }

    fn has_route(&self, plan: &Plan) -> bool {
        let request = match plan {
            Plan::Own(_) => return false,
            Plan::Branch(server, _) => {
                let server = self.servers.get(*server);
                server.and_then(|server| server.request.clone())
            }
            Plan::Relay(forwarding, _) => Some(forwarding.request().clone()),
        };
        request.is_some_and(|request| request.header(sip::HeaderName::Route).is_some())
    }

    fn call_id_of<'a>(&'a self, plan: &'a Plan) -> Cow<'a, str> {
        match plan {
            Plan::Own(request) => String::from_utf8_lossy(&request.call_id),
            Plan::Branch(server, _) => {
                let server = self.servers.get(*server);
                let request = server.and_then(|server| server.request.as_ref());
                let call_id = request.and_then(|request| request.call_id().ok());
                Cow::Borrowed(call_id.unwrap_or_default())
            }
            Plan::Relay(forwarding, _) => {
                Cow::Borrowed(forwarding.request().call_id().unwrap_or_default())
            }
        }
    }

    /// The way to a dialog's peer that its Contact does not name: its connection, while it is open and nobody stands between; or
    /// where it speaks from, when its Contact is not believed. Even where its Contact is a `sips` URI and this way is without TLS: the call
    /// came by it, often from a balancer that ends TLS, and nothing leads to the phone behind that but this. Once it is gone only TLS will do.
    fn flow_of(&self, dialog: Option<DialogId>) -> Option<Way> {
        let dialog = self.dialogs.get(dialog?)?;
        let origin = dialog.origin;
        if !dialog.route_set.is_empty() {
            return None;
        }
        let is_there = match origin.connection {
            Some(connection) => self.flows.get(connection).is_some(),
            None => dialog.behind_nat,
        };
        is_there.then_some(Way {
            origin,
            is_only: is_web(origin.transport),
        })
    }
}
