//! The connections of one shard: found by number or by peer, opened when there is none, forgotten when they end.
//!
//! A connection that we opened is reused for its peer's address and, over TLS, the name that its certificate was verified for. One that was
//! accepted is reused for the address that it came from. Over TLS no domain follows from an address: there it takes requests for those
//! domains only that the peer's own certificate proved (RFC 5923 §5, §8). The `alias` of RFC 5923 is followed over TLS alone: over TCP nothing
//! proves that a sent-by belongs to the peer, so that anybody could draw another's requests to himself (RFC 5923 §9).
use super::connection::Connection;
use super::keep_alive::KeepsAlive;
use super::layer::{Failure, Layer, WebSocketRules};
use super::listener::Accepted;
use super::outbox::{Outbox, OutboxLimits};
use super::returning::{self, Addressee};
use super::reuse::{By, Key, Wanted};
use super::shared::Shared;
use super::silent::Silent;
use crate::config::StreamConfig;
use crate::inbox::{Inbox, Item, Outgoing};
use crate::tls;
use crate::totals::Totals;
use engine::admit::Prefix;
use engine::config::Listener;
use engine::flows::Unanswered;
use engine::id::ConnectionId;
use engine::transport::{Destination, Distrust, ListenerId, Origin, Transport};
use engine::{Transmit, TransmitError};
use rustc_hash::FxHashMap;
use sip::Framer;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::time::Instant;

/// The connections of one shard.
pub(crate) struct Pool {
    shard: u8,
    next: u64,
    config: Arc<StreamConfig>,
    tls: Option<Arc<tls::Store>>,
    rules: Arc<WebSocketRules>,
    limits: sip::Limits,
    listeners: Arc<[Listener]>,
    inboxes: Arc<[Inbox]>,
    queues: OutboxLimits,
    connections: FxHashMap<ConnectionId, Entry>,
    reuse: Shared,
    /// Accepted connections that may still be agreeing upon TLS or WebSocket, the oldest first.
    handshakes: VecDeque<ConnectionId>,
    silent: Silent,
    /// Those with something to write at the end of the turn.
    touched: Vec<ConnectionId>,
}

struct Entry {
    outbox: Arc<Outbox>,
    peer: IpAddr,
    is_touched: bool,
}

/// What a new connection is made of.
struct New {
    listener: ListenerId,
    transport: Transport,
    peer: SocketAddr,
    local: SocketAddr,
    key: (Key, By),
    server_name: Option<Arc<str>>,
    layer: Layer,
}

/// The shard whose pool holds the connection.
pub(crate) fn shard(connection: ConnectionId) -> u8 {
    u8::try_from(connection.0 >> 56).unwrap_or(0)
}

impl Pool {
    pub fn new(
        shard: u8,
        config: StreamConfig,
        tls: Option<Arc<tls::Store>>,
        limits: sip::Limits,
        listeners: Arc<[Listener]>,
        inboxes: Arc<[Inbox]>,
        reuse: Shared,
    ) -> Pool {
        Pool {
            shard,
            next: 1,
            queues: OutboxLimits {
                own: config.write_queue,
                all: config.write_queues,
                waiting: Arc::default(),
            },
            rules: Arc::new(WebSocketRules {
                max_message_bytes: limits.message_bytes,
                origins: config.origins.clone(),
            }),
            config: Arc::new(config),
            tls,
            limits,
            listeners,
            inboxes,
            connections: FxHashMap::default(),
            reuse,
            handshakes: VecDeque::new(),
            silent: Silent::default(),
            touched: Vec::new(),
        }
    }

    /// How many connections there are, those being opened included.
    pub fn len(&self) -> usize {
        self.connections.len()
    }

    /// Takes a connection that was accepted. When there are too many, the oldest of those over which nothing ever came gives way; without
    /// such the new one is refused. An eighth of the room is kept for those that we open: whoever
    /// connects and says nothing is not to keep us from calling anybody.
    pub fn accept(&mut self, accepted: Accepted, totals: &mut Totals) -> bool {
        if self.connections.len() >= self.config.connections - self.config.connections / 8 {
            totals.refused += 1;
            let Some(silent) = self
                .silent
                .take_oldest(|id| is_silent(&self.connections, id))
            else {
                return false;
            };
            self.close(silent);
        }
        // A peer that is gone already has no address any more.
        let Ok(local) = accepted.stream.local_addr() else {
            return true;
        };
        let Some((transport, _)) = self.listener(accepted.listener) else {
            return true;
        };
        let Some(layer) = self.accepting(transport) else {
            totals.refused += 1;
            return true;
        };
        totals.accepted += 1;
        let is_plain = layer.is_plain();
        let connection = self.insert(New {
            listener: accepted.listener,
            transport,
            peer: accepted.peer,
            local,
            key: (Key::new(transport, accepted.peer, None), By::Accepted),
            server_name: None,
            layer,
        });
        if let Some(id) = connection.origin.connection {
            let is_silent = |id| is_silent(&self.connections, id);
            self.silent.add(id, is_silent);
            if !is_plain {
                self.bound_handshakes(id, totals);
            }
        }
        tokio::spawn(connection.serve(accepted.stream));
        true
    }

    /// The layers of an accepted connection; none where TLS has no certificate to show.
    fn accepting(&self, transport: Transport) -> Option<Layer> {
        let tls = match &self.tls {
            Some(store) if transport.is_secure() => Some(store.server()?),
            _ => None,
        };
        let rules = matches!(transport, Transport::Ws | Transport::Wss).then(|| self.rules.clone());
        match (tls, rules) {
            (None, None) => Some(Layer::plain()),
            (tls, rules) => Layer::accepting(tls, rules).ok(),
        }
    }

    /// The layers of a connection that is opened to the server of that name, or at that address.
    fn opening(&self, destination: &Destination, name: Option<&str>) -> Result<Layer, Failure> {
        let tls = self
            .tls
            .as_ref()
            .filter(|_| destination.transport.is_secure());
        let rules = matches!(destination.transport, Transport::Ws | Transport::Wss)
            .then(|| self.rules.clone());
        if tls.is_none() && rules.is_none() {
            return Ok(Layer::plain());
        }
        let address = destination.peer.ip().to_string();
        let host = match name {
            Some(name) => format!("{name}:{}", destination.peer.port()),
            None => destination.peer.to_string(),
        };
        Layer::opening(
            tls.map(|store| store.client()),
            rules,
            name.unwrap_or(&address),
            &host,
        )
    }

    /// When too many are agreeing upon TLS or WebSocket, the oldest of them gives way.
    fn bound_handshakes(&mut self, new: ConnectionId, totals: &mut Totals) {
        self.handshakes.push_back(new);
        if self.handshakes.len() <= self.config.handshakes {
            return;
        }
        let connections = &self.connections;
        self.handshakes.retain(|id| {
            let entry = connections.get(id);
            entry.is_some_and(|entry| !entry.outbox.status().is_ready)
        });
        if self.handshakes.len() > self.config.handshakes
            && let Some(oldest) = self.handshakes.pop_front()
        {
            totals.refused += 1;
            self.close(oldest);
        }
    }

    /// The connection that was made last, accepted or opened.
    pub fn newest(&self) -> ConnectionId {
        ConnectionId((u64::from(self.shard) << 56) | (self.next - 1))
    }

    /// The connection that takes this message: the one that it names, or one that is there for its peer.
    pub fn connection_of(&self, transmit: &Transmit) -> Option<ConnectionId> {
        let named = transmit.destination.connection;
        named.or_else(|| self.find(transmit, &returning::addressee(transmit)))
    }

    /// The connection that a request was left unanswered over.
    pub fn connection_of_unanswered(&self, unanswered: &Unanswered) -> Option<ConnectionId> {
        let destination = &unanswered.destination;
        let found = || {
            let wanted = Wanted::new(destination, unanswered.server_name.clone());
            self.reuse.lock().find(&wanted, self.shard)
        };
        destination.connection.or_else(found)
    }

    fn find(&self, transmit: &Transmit, addressee: &Addressee) -> Option<ConnectionId> {
        let destination = &transmit.destination;
        let source = Key::new(destination.transport, destination.peer, None);
        let wanted = Wanted::new(destination, addressee.name.clone());
        let reuse = self.reuse.lock();
        let back = || reuse.find_by(&source, self.shard);
        let back = addressee.is_source.then(back).flatten();
        back.or_else(|| reuse.find(&wanted, self.shard))
    }

    /// Queues a message for the connection it names, or one to its peer, opening that if need be; `flush` writes.
    pub fn send(&mut self, outgoing: Outgoing, totals: &mut Totals) {
        let (token, from) = (outgoing.transmit.token, outgoing.from);
        let found = outgoing.connection.filter(|id| self.is_usable(*id));
        let id = match found {
            Some(id) => Ok(id),
            None => match self.find_or_open(&outgoing.transmit, outgoing.is_passed_on, totals) {
                Ok(id) if shard(id) != self.shard => return self.pass_on(outgoing, id),
                other => other,
            },
        };
        let result = id.and_then(|id| {
            let entry = self.connections.get_mut(&id).ok_or(TransmitError::Closed)?;
            entry.outbox.push(outgoing, &self.inboxes)?;
            if !entry.is_touched {
                entry.is_touched = true;
                self.touched.push(id);
            }
            totals.stream_sent += 1;
            Ok(())
        });
        if let Err(error) = result
            && let Some(inbox) = self.inboxes.get(usize::from(from))
        {
            inbox.push(Item::Undelivered(token, error));
        }
    }

    /// The connection ended on the way to here, and another shard has one to that peer.
    fn pass_on(&self, outgoing: Outgoing, id: ConnectionId) {
        if let Some(inbox) = self.inboxes.get(usize::from(shard(id))) {
            inbox.push(Item::Outgoing(Outgoing {
                connection: Some(id),
                is_passed_on: true,
                ..outgoing
            }));
        }
    }

    /// One of ours, or one of another shard but for what came from there for that.
    fn find_or_open(
        &mut self,
        transmit: &Transmit,
        is_passed_on: bool,
        totals: &mut Totals,
    ) -> Result<ConnectionId, TransmitError> {
        let addressee = returning::addressee(transmit);
        let found = self.find(transmit, &addressee);
        let is_elsewhere = |id| shard(id) != self.shard && !is_passed_on;
        match found.filter(|id| is_elsewhere(*id) || self.is_usable(*id)) {
            Some(id) => Ok(id),
            None if returning::is_nobody(addressee.name.as_ref()) => Err(TransmitError::Closed),
            None => self.open(&transmit.destination, addressee.name, totals),
        }
    }

    /// Whether a connection of ours is there, being opened or open.
    pub fn has(&self, id: ConnectionId) -> bool {
        self.connections.contains_key(&id)
    }

    /// A request that went to this destination was left without any answer until its time was up. Several in a row, with nothing heard
    /// between them, and the connection is as good as dead: it is closed, and the next request opens another.
    pub fn unanswered(&mut self, unanswered: &Unanswered, totals: &mut Totals) {
        let destination = &unanswered.destination;
        let id = self.connection_of_unanswered(unanswered);
        let Some(entry) = id.and_then(|id| self.connections.get(&id)) else {
            return;
        };
        let most = self.config.unanswered;
        if entry.outbox.unanswered() >= most && most > 0 && entry.outbox.is_usable() {
            totals.given_up += 1;
            tracing::info!(
                peer = %destination.peer, transport = %destination.transport, requests = most,
                "closing a connection: requests in a row went unanswered, and nothing else came"
            );
            entry.outbox.close(TransmitError::Closed, &self.inboxes);
        }
    }

    fn is_usable(&self, id: ConnectionId) -> bool {
        self.connections
            .get(&id)
            .is_some_and(|entry| entry.outbox.is_usable())
    }

    fn open(
        &mut self,
        destination: &Destination,
        server_name: Option<Arc<str>>,
        totals: &mut Totals,
    ) -> Result<ConnectionId, TransmitError> {
        let (listener, peer) = (destination.listener, destination.peer);
        let Some((transport, source)) = self.listener(listener) else {
            return Err(TransmitError::Unreachable);
        };
        if self.connections.len() >= self.config.connections {
            totals.refused += 1;
            return Err(TransmitError::Congested);
        }
        if source.is_ipv4() != peer.is_ipv4() || peer.port() == 0 {
            return Err(TransmitError::Unreachable);
        }
        let layer = self
            .opening(destination, server_name.as_deref())
            .map_err(|failure| {
                tracing::debug!(%peer, ?failure, "cannot begin TLS");
                TransmitError::Untrusted(Distrust::OtherName)
            })?;
        totals.opened += 1;
        let connection = self.insert(New {
            listener,
            transport,
            peer,
            local: SocketAddr::new(source, 0),
            key: (
                Key::opened(transport, peer, server_name.clone()),
                By::Opened,
            ),
            server_name,
            layer,
        });
        let id = connection.origin.connection.ok_or(TransmitError::Closed)?;
        tokio::spawn(connection.open(source));
        Ok(id)
    }

    /// The transport of a listener and the address that it is bound to.
    fn listener(&self, id: ListenerId) -> Option<(Transport, IpAddr)> {
        let listener = self.listeners.get(usize::from(id.0))?;
        Some((listener.transport, listener.bound.ip()))
    }

    fn insert(&mut self, new: New) -> Connection {
        let id = ConnectionId((u64::from(self.shard) << 56) | self.next);
        self.next += 1;
        let is_plain = new.layer.is_plain();
        let outbox = Arc::new(Outbox::new(self.queues.clone(), new.layer));
        self.connections.insert(
            id,
            Entry {
                outbox: outbox.clone(),
                peer: new.peer.ip(),
                is_touched: false,
            },
        );
        let (key, by) = new.key;
        self.reuse.lock().add(id, key, by);
        Connection {
            origin: Origin {
                listener: new.listener,
                transport: new.transport,
                peer: new.peer,
                local: new.local,
                connection: Some(id),
            },
            outbox,
            inboxes: self.inboxes.clone(),
            shard: self.shard,
            config: self.config.clone(),
            framer: Framer::new(self.limits.clone()),
            limits: self.limits.clone(),
            server_name: new.server_name,
            is_plain,
            is_reading: true,
            last_read: Instant::now(),
            partial_since: None,
            first_by: None,
            has_spoken: false,
            in_vain: 0,
            line_ends: (Instant::now(), 0),
            crowded: None,
            handshake_until: None,
            ping_sent: None,
            keeps_alive: KeepsAlive::new(&self.config, new.transport),
            certificate: None,
            alias: None,
            failure: None,
        }
    }

    /// The peer of this connection proved a name and asks for requests to it.
    pub fn alias(&mut self, id: ConnectionId, key: Key) {
        if self.connections.contains_key(&id) {
            self.reuse.lock().add(id, key, By::Alias);
        }
    }

    /// Writes what was queued in this turn. What the kernel does not take, the connection's task writes.
    pub fn flush(&mut self) {
        while let Some(id) = self.touched.pop() {
            let Some(entry) = self.connections.get_mut(&id) else {
                continue;
            };
            entry.is_touched = false;
            if entry.outbox.write().is_err() {
                entry.outbox.close(TransmitError::Closed, &self.inboxes);
            }
        }
    }

    /// Closes a connection once what waits for it is written.
    pub fn hang_up(&mut self, id: ConnectionId) {
        if let Some(entry) = self.connections.get(&id) {
            entry.outbox.end();
            // What TLS or WebSocket says at the end: nothing else would bring it on its way.
            if entry.outbox.write().is_err() {
                entry.outbox.close(TransmitError::Closed, &self.inboxes);
            }
        }
    }

    /// The connections with peers in that network.
    pub fn of(&self, network: Prefix) -> impl Iterator<Item = ConnectionId> {
        let found = self.connections.iter();
        let found = found.filter(move |(_, entry)| network.contains(entry.peer));
        found.map(|(id, _)| *id)
    }

    /// Gives back the room of connections that are gone.
    pub fn shrink(&mut self) {
        self.connections.shrink_to_fit();
        self.handshakes.shrink_to_fit();
        self.silent.shrink(|id| is_silent(&self.connections, id));
        self.touched.shrink_to_fit();
        self.reuse.lock().shrink();
    }

    fn close(&self, id: ConnectionId) {
        if let Some(entry) = self.connections.get(&id) {
            entry.outbox.close(TransmitError::Closed, &self.inboxes);
        }
    }

    /// A connection ended.
    pub fn forget(&mut self, id: ConnectionId) {
        if self.connections.remove(&id).is_some() {
            self.reuse.lock().remove(id);
        }
    }
}

/// Whether the peer of an open connection never sent anything whole.
fn is_silent(connections: &FxHashMap<ConnectionId, Entry>, id: ConnectionId) -> bool {
    let outbox = connections.get(&id).map(|entry| &entry.outbox);
    outbox.is_some_and(|outbox| outbox.is_silent() && outbox.is_usable())
}
