//! Requests of dialogs that were proxied here with Record-Route, and what is forwarded without state: no context, no application
//! (RFC 3261 §16.4, §16.10, §16.11, §16.12).
use crate::dispatch::Incoming;
use crate::engine::Engine;
use crate::event::CommandError;
use crate::id::TransactionId;
use crate::network::Unsigned;
use crate::plan::Plan;
use crate::proxy::relay::{self, Forwarding, InDialog};
use crate::proxy::response;
use crate::totals::Total;
use crate::transaction::client::{Announce, User};
use crate::transaction::server::Owner;
use crate::transport::{Destination, Origin, TransmitToken, Transport};
use crate::uas::Arrival;
use crate::uas::via::{is_everybody, unlimited};
use bytes::Bytes;
use sip::{HeaderName, Host, Message, Method};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

impl Engine {
    /// Sends a forwarded response through the server transaction, or where its Via says when that is gone.
    pub(crate) fn send_upstream(&mut self, id: TransactionId, status: u16, response: Bytes) {
        let Some(transaction) = self.servers.get_mut(id) else {
            if (200..300).contains(&status) {
                self.forward_response(response, None);
            }
            return;
        };
        let accepted = transaction
            .request
            .clone()
            .map(|it| (transaction.origin, it));
        let effects = transaction.on_response(status, &self.config.timers);
        if (200..300).contains(&status) {
            if let Some((origin, request)) = accepted {
                self.learn_hosts(&origin, &request);
            }
            // Its ACK passes by, if it passes here at all.
            self.close_half_open(id);
        }
        let Some(transaction) = self.servers.get_mut(id) else {
            return;
        };
        if effects.is_empty() {
            // The transaction is past it. A 2xx to an INVITE is passed on all the same, so that the caller may end the call that it
            // made (RFC 3261 §16.7 item 5); what the transaction repeats stays as it was.
            if (200..300).contains(&status) && transaction.method == Method::Invite {
                let destination = transaction.destination;
                self.totals.add(Total::ResponsesOut);
                self.transmit(destination, response, TransmitToken::NONE);
            }
            return;
        }
        transaction.response = response;
        self.apply_server(id, effects);
    }

    /// A response to a request that is relayed within its dialog.
    pub(crate) fn relay_upstream(&mut self, id: TransactionId, incoming: &Incoming) {
        let status = incoming.message.status();
        if status <= 100 {
            return;
        }
        if let Some(bytes) = response::upstream(&incoming.message) {
            self.send_upstream(id, status, bytes);
        }
    }

    /// A relayed request got no response. Late 408s to other requests than INVITE help nobody (RFC 4320 §4.2).
    pub(crate) fn relay_failed(&mut self, id: TransactionId, status: u16) {
        let invite = self
            .servers
            .get(id)
            .is_some_and(|transaction| transaction.method == Method::Invite);
        if status == 408 && !invite {
            self.remove_server(id)
        } else {
            self.answer(id, status, &[])
        }
    }

    /// A request with a To tag that belongs to no dialog here: relayed if its Route says so. False when it does not.
    pub(crate) fn relay_unowned(&mut self, arrival: &Arrival<'_>) -> bool {
        match relay::in_dialog(&arrival.message, &self.listeners) {
            InDialog::NotRelayed => return false,
            InDialog::Reject(rejection) => {
                self.totals.add(Total::Invalid);
                if let Some(status) = rejection.status {
                    let headers: Vec<(HeaderName, String)> = rejection.header.into_iter().collect();
                    self.refuse(arrival, status, &headers);
                }
            }
            InDialog::Unproven(rejection) => {
                let what =
                    "it is to be relayed within a call, and its Route has no mark of this server";
                self.note_refused(Total::Unproven, &arrival.origin, &arrival.head.method, what);
                let is_answered = self.config.network.unsigned == Unsigned::Refuse;
                if let Some(status) = rejection.status.filter(|_| is_answered) {
                    self.refuse(arrival, status, &[]);
                }
            }
            InDialog::Relay(forwarding) => match arrival.head.method {
                // RFC 3261 §16.10, §16.11: what has no transaction is forwarded without one.
                Method::Ack | Method::Cancel => {
                    if let Err(error) = self.forward_stateless(forwarding, arrival.origin) {
                        tracing::debug!(?error, "request of a proxied dialog cannot be forwarded");
                        self.totals.add(Total::Dropped);
                    }
                }
                _ => self.relay_with_state(arrival, forwarding),
            },
        }
        true
    }

    fn relay_with_state(&mut self, arrival: &Arrival<'_>, forwarding: Forwarding) {
        // Whoever knows our address can write a route through it.
        if self.is_full_within() {
            self.totals.add(Total::Full);
            return self.refuse_busy(arrival);
        }
        if self
            .exceeded_quota(&arrival.origin, &arrival.head.method)
            .is_some()
        {
            return self.refuse_busy(arrival);
        }
        let server = self.open_server(arrival, Owner::Engine, None, None);
        let hop = Arc::clone(forwarding.next_hop());
        match self.open_client(
            Plan::Relay(Box::new(forwarding), arrival.origin),
            &hop,
            User::Relay(server),
            Announce::Nobody,
            None,
        ) {
            Ok(client) => {
                if let Some(transaction) = self.servers.get_mut(server) {
                    transaction.owner = Owner::Relay(client);
                }
            }
            Err(error) => {
                tracing::debug!(?error, "request of a proxied dialog cannot be relayed");
                let status = match error {
                    CommandError::FlowFailed(_) => 430,
                    CommandError::FlowForged => 403,
                    _ => 503,
                };
                self.answer(server, status, &[]);
            }
        }
    }

    /// Forwards a request that came from `origin`, and forgets it.
    pub(crate) fn forward_stateless(
        &mut self,
        forwarding: Forwarding,
        origin: Origin,
    ) -> Result<(), CommandError> {
        self.stateless = true;
        let hop = Arc::clone(forwarding.next_hop());
        self.open_client(
            Plan::Relay(Box::new(forwarding), origin),
            &hop,
            User::Stateless,
            Announce::Nobody,
            None,
        )
        .map(|_| ())
    }

    /// A response to a request that was forwarded without state goes where its next Via says (RFC 3261 §16.11). False when it
    /// is no such response, and to an answer to an ACK, which nobody answers (RFC 3261 §17).
    pub(crate) fn relay_response(&mut self, message: &Message) -> bool {
        let method = message.cseq().ok().map(|cseq| cseq.method);
        if method == Some(Method::Ack) {
            return false;
        }
        let ours = message.top_via().is_ok_and(|via| {
            let marked = via
                .branch()
                .is_some_and(|branch| branch.starts_with("z9hG4bKs"));
            marked && self.listeners.is_own(via.host, via.port)
        });
        if !ours || !self.stateless {
            return false;
        }
        let Some(back) = self.marked_way_back(message) else {
            return false;
        };
        let answered = !self.ways.is_empty()
            && (200..300).contains(&message.status())
            && method == Some(Method::Invite);
        if answered {
            if let Some(branch) = message.top_via().ok().and_then(|via| via.branch()) {
                self.way_answered(branch);
            }
        }
        if let Some(bytes) = response::upstream(message) {
            self.forward_response(bytes, Some(back));
        }
        true
    }

    /// Sends a response to where its top Via says (RFC 3261 §18.2.2), over that transport where it is known.
    fn forward_response(&mut self, bytes: Bytes, transport: Option<Transport>) {
        let Ok(message) = Message::parse(bytes.clone(), &unlimited()) else {
            return;
        };
        let address = via_address(&message, transport);
        let Some((transport, peer)) = address.filter(|(_, peer)| may_relay_to(peer.ip())) else {
            return self.totals.add(Total::Dropped);
        };
        let Some(listener) = self.listeners.choose(transport, peer.ip(), None) else {
            return self.totals.add(Total::Dropped);
        };
        self.totals.add(Total::ResponsesOut);
        self.transmit(
            Destination {
                listener,
                transport,
                peer,
                connection: None,
            },
            bytes,
            TransmitToken::NONE,
        );
    }
}

/// Whether a response may go to an address that only its Via names: one that many listen to is an attack (RFC 4475 §3.3.10).
fn may_relay_to(address: IpAddr) -> bool {
    !is_everybody(address) && !address.is_multicast()
}

/// The transport and address that a response's top Via names: `received` and `rport` before the host and port. Where the request came over
/// another transport, as when TLS ends before us, it is that.
fn via_address(message: &Message, known: Option<Transport>) -> Option<(Transport, SocketAddr)> {
    let via = message.top_via().ok()?;
    let transport = known.or_else(|| Transport::from_name(via.transport))?;
    let address = match (via.received_address(), &via.host) {
        (Some(address), _) => address,
        (None, Host::V4(address)) => IpAddr::V4(*address),
        (None, Host::V6(address)) => IpAddr::V6(*address),
        (None, Host::Name(_)) => return None,
    };
    let port = via
        .rport()
        .flatten()
        .or(via.port)
        .unwrap_or_else(|| transport.default_port());
    Some((transport, SocketAddr::new(address, port)))
}
