//! A request written for the way that it takes: what we call ourselves in Via, Contact and Record-Route depends on it.
use crate::engine::Engine;
use crate::flow::{Flow, is_invalid, is_web};
use crate::id::TransactionId;
use crate::plan::{Names, Plan, via_value};
use crate::proxy::{self, forward::record_route_uri, loops};
use crate::transaction::client::User;
use crate::transaction::key::client_branch;
use crate::transport::{Origin, Transport};
use crate::uac::attempt::Hop;
use bytes::Bytes;
use sip::{Host, Message, Method};
use std::net::IpAddr;

/// The two sides of a proxy that stays in the path: our URIs in Record-Route or Path.
struct Routes {
    sent: String,
    /// On the side that the request came from, when it is another.
    received: Option<String>,
}

impl Engine {
    /// The request as it goes this way.
    pub(super) fn write(&mut self, id: TransactionId, secret: u64, way: Hop) -> Option<Bytes> {
        let client = self.clients.get_mut(id)?;
        let plan = client.plan.take()?;
        let flow = client.flow.as_ref().map(|way| way.origin);
        let (user, dialog) = (client.user, client.dialog);
        let branch = match (&plan, user) {
            (Plan::Relay(forwarding, origin), User::Stateless) => {
                self.stateless_branch(forwarding, origin)
            }
            _ => client_branch(id, secret),
        };
        let dialog = dialog.and_then(|dialog| self.dialogs.get(dialog));
        let known = flow.or(dialog.map(|dialog| dialog.origin));
        let local = known
            .filter(|origin| origin.peer.ip() == way.peer.ip() && origin.listener == way.listener)
            .map(|origin| origin.local.ip());
        let host_port = self.listeners.host_port(way.listener, way.peer.ip(), local);
        let alias = self.config.alias && way.transport == Transport::Tls;
        let bytes = match &plan {
            Plan::Own(request) => {
                let via = via_value(way.transport, &host_port, &branch, alias);
                let contact = self
                    .listeners
                    .contact(way.listener, (way.peer.ip(), local), || {
                        request.demands_sips()
                    });
                Some(request.write(&Names {
                    via: &via,
                    host_port: &host_port,
                    contact: &contact,
                }))
            }
            Plan::Branch(server, number) => {
                let origin = self.servers.get(*server).map(|server| server.origin);
                let context = &self.contexts.get(server)?.context;
                let branch = loops::branch_parameter(&branch, context.mark());
                let routes = context.stays_in_path().then(|| {
                    let request = (&**context.request(), context.is_secure());
                    self.record_routes((way, local, flow), origin, request)
                });
                let hop = hop((way, alias), &host_port, &branch, routes.as_ref());
                let context = &mut self.contexts.get_mut(server)?.context;
                context.write_request(*number, &hop)
            }
            Plan::Relay(forwarding, origin) => {
                let routes = forwarding.stays_in_path().then(|| {
                    let request = (&**forwarding.request(), forwarding.is_secure());
                    self.record_routes((way, local, flow), Some(*origin), request)
                });
                Some(forwarding.write(&hop((way, alias), &host_port, &branch, routes.as_ref())))
            }
        };
        self.clients.get_mut(id)?.plan = Some(plan);
        bytes
    }

    /// Our Record-Route URIs: on the side of the next hop, and on the side the request came from when that is another.
    fn record_routes(
        &self,
        (way, local, flow): (Hop, Option<IpAddr>, Option<Origin>),
        origin: Option<Origin>,
        (request, secure): (&Message, bool),
    ) -> Routes {
        let uri = |side: (_, Transport, IpAddr, Option<IpAddr>), user: (String, bool)| {
            let (listener, transport, peer, local) = side;
            let host_port = self.listeners.host_port(listener, peer, local);
            let (user, outbound) = (user.0, if user.1 { ";ob" } else { "" });
            record_route_uri(&user, &host_port, transport, secure) + outbound
        };
        let sent = uri(
            (way.listener, way.transport, way.peer.ip(), local),
            self.user_part(request, flow.map(|flow| (flow, false))),
        );
        let received = origin.map(|origin| {
            let side = (
                origin.listener,
                origin.transport,
                origin.peer.ip(),
                Some(origin.local.ip()),
            );
            let user = self.user_part(request, self.flow_behind(request, &origin));
            uri(side, user)
        });
        Routes {
            received: received.filter(|received| *received != sent),
            sent,
        }
    }

    /// The user part of one of them: the token of the flow on that side, the mark of the call, or nothing; and whether it is a Path that
    /// leads down a flow (RFC 5626 §5.1: `ob`).
    fn user_part(&self, request: &Message, flow: Option<(Origin, bool)>) -> (String, bool) {
        let Some(signer) = self.listeners.signer() else {
            return (String::new(), false);
        };
        let is_register = request.method() == Method::Register;
        // The calls that come by a Path have other Call-IDs.
        let call_id = request.call_id().ok().filter(|_| !is_register);
        match (flow, call_id) {
            (Some((origin, is_soft)), call_id) => {
                let token = signer.flow(Flow::of(&origin), is_soft, call_id);
                (token, is_register)
            }
            (None, Some(call_id)) => (signer.mark(call_id), false),
            (None, None) => (String::new(), false),
        }
    }

    /// The flow of whoever sent a request, when it is to be reached by that and not by its Contact (RFC 5626 §5.3): it has no address
    /// of its own, asks for it (`ob`), or is behind a NAT. Over another connection than a browser's its Contact will do as well, once
    /// that is gone. Nothing, when the request comes from a proxy: the flow is not the user agent's.
    fn flow_behind(&self, request: &Message, origin: &Origin) -> Option<(Origin, bool)> {
        let mut vias = request.vias();
        let via = vias.next()?.ok()?;
        if vias.next().is_some() {
            return None;
        }
        let contacts = request.contacts().ok()?;
        let contact = contacts.first().and_then(|contact| contact.uri().ok());
        let network = self.listeners.network();
        let is_behind = is_web(origin.transport)
            || network.disbelieves_via(&via, origin)
            || contact.as_ref().is_some_and(|uri| {
                uri.param("ob").is_some()
                    || matches!(uri.host(), Host::Name(host) if is_invalid(host))
                    || network.disbelieves_contact(uri, origin)
            });
        if is_behind {
            return Some((*origin, false));
        }
        // Without a Contact it begins no dialog.
        contact.filter(|_| origin.connection.is_some())?;
        Some((*origin, true))
    }
}

/// The hop of a request that is forwarded; without Record-Route those texts stay empty.
fn hop<'a>(
    (way, alias): (Hop, bool),
    sent_by: &'a str,
    branch: &'a str,
    routes: Option<&'a Routes>,
) -> proxy::Hop<'a> {
    proxy::Hop {
        transport: way.transport,
        sent_by,
        branch,
        alias,
        record_route: routes.map_or("", |routes| &routes.sent),
        record_route_received: routes.and_then(|routes| routes.received.as_deref()),
    }
}
