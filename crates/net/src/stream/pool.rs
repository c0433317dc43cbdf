//! The connections of one shard: found by number or by peer, opened when there is none, forgotten when they end.
//!
//! A connection is reused in both directions by the peer's address and port. The `alias` of RFC 5923 is not followed: over TCP
//! nothing proves that a sent-by belongs to the peer, so that anybody could draw another's requests to himself (RFC 5923 §9).
use super::connection::Connection;
use super::listener::Accepted;
use super::outbox::{Outbox, OutboxLimits};
use crate::config::StreamConfig;
use crate::inbox::{Inbox, Item, Outgoing};
use crate::totals::Totals;
use engine::TransmitError;
use engine::config::Listener;
use engine::id::ConnectionId;
use engine::transport::{ListenerId, Origin, Transport};
use rustc_hash::FxHashMap;
use sip::Framer;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::time::Instant;

/// The connections of one shard.
pub(crate) struct Pool {
    shard: u8,
    next: u64,
    config: Arc<StreamConfig>,
    limits: sip::Limits,
    listeners: Arc<[Listener]>,
    inboxes: Arc<[Inbox]>,
    queues: OutboxLimits,
    connections: FxHashMap<ConnectionId, Entry>,
    by_peer: FxHashMap<(Transport, SocketAddr), ConnectionId>,
    /// Those with something to write at the end of the turn.
    touched: Vec<ConnectionId>,
}

struct Entry {
    outbox: Arc<Outbox>,
    key: (Transport, SocketAddr),
    is_touched: bool,
}

/// The shard whose pool holds the connection.
pub(crate) fn shard(connection: ConnectionId) -> u8 {
    u8::try_from(connection.0 >> 56).unwrap_or(0)
}

impl Pool {
    pub fn new(
        shard: u8,
        config: StreamConfig,
        limits: sip::Limits,
        listeners: Arc<[Listener]>,
        inboxes: Arc<[Inbox]>,
    ) -> Pool {
        Pool {
            shard,
            next: 1,
            queues: OutboxLimits {
                own: config.write_queue,
                all: config.write_queues,
                waiting: Arc::default(),
            },
            config: Arc::new(config),
            limits,
            listeners,
            inboxes,
            connections: FxHashMap::default(),
            by_peer: FxHashMap::default(),
            touched: Vec::new(),
        }
    }

    /// How many connections there are, those being opened included.
    pub fn len(&self) -> usize {
        self.connections.len()
    }

    /// Takes a connection that was accepted, unless there are too many.
    pub fn accept(&mut self, accepted: Accepted, totals: &mut Totals) -> bool {
        if self.connections.len() >= self.config.connections {
            totals.refused += 1;
            return false;
        }
        // A peer that is gone already has no address any more.
        let Ok(local) = accepted.stream.local_addr() else {
            return true;
        };
        totals.accepted += 1;
        let Some((transport, _)) = self.listener(accepted.listener) else {
            return true;
        };
        let connection = self.insert(accepted.listener, transport, accepted.peer, local);
        tokio::spawn(connection.serve(accepted.stream));
        true
    }

    /// The connection that was made last, accepted or opened.
    pub fn newest(&self) -> ConnectionId {
        ConnectionId((u64::from(self.shard) << 56) | (self.next - 1))
    }

    /// Queues a message for the connection it names, or one to its peer, opening that if need be; `flush` writes.
    pub fn send(&mut self, outgoing: Outgoing, totals: &mut Totals) {
        let destination = outgoing.transmit.destination;
        let (token, from) = (outgoing.transmit.token, outgoing.from);
        let id = destination.connection.filter(|id| self.is_usable(*id));
        let id = id.or_else(|| {
            self.by_peer
                .get(&(destination.transport, destination.peer))
                .copied()
                .filter(|id| self.is_usable(*id))
        });
        let id = match id {
            Some(id) => Ok(id),
            None => self.open(destination.listener, destination.peer, totals),
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

    fn is_usable(&self, id: ConnectionId) -> bool {
        self.connections
            .get(&id)
            .is_some_and(|entry| entry.outbox.is_usable())
    }

    fn open(
        &mut self,
        listener: ListenerId,
        peer: SocketAddr,
        totals: &mut Totals,
    ) -> Result<ConnectionId, TransmitError> {
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
        totals.opened += 1;
        let connection = self.insert(listener, transport, peer, SocketAddr::new(source, 0));
        let id = connection.origin.connection.ok_or(TransmitError::Closed)?;
        tokio::spawn(connection.open(source));
        Ok(id)
    }

    /// The transport of a listener and the address that it is bound to.
    fn listener(&self, id: ListenerId) -> Option<(Transport, IpAddr)> {
        let listener = self.listeners.get(usize::from(id.0))?;
        Some((listener.transport, listener.bound.ip()))
    }

    fn insert(
        &mut self,
        listener: ListenerId,
        transport: Transport,
        peer: SocketAddr,
        local: SocketAddr,
    ) -> Connection {
        let id = ConnectionId((u64::from(self.shard) << 56) | self.next);
        self.next += 1;
        let outbox = Arc::new(Outbox::new(self.queues.clone()));
        self.connections.insert(
            id,
            Entry {
                outbox: outbox.clone(),
                key: (transport, peer),
                is_touched: false,
            },
        );
        self.by_peer.insert((transport, peer), id);
        Connection {
            origin: Origin {
                listener,
                transport,
                peer,
                local,
                connection: Some(id),
            },
            outbox,
            inboxes: self.inboxes.clone(),
            shard: self.shard,
            config: self.config.clone(),
            framer: Framer::new(self.limits.clone()),
            is_reading: true,
            last_read: Instant::now(),
            partial_since: None,
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
        }
    }

    /// A connection ended.
    pub fn forget(&mut self, id: ConnectionId) {
        if let Some(entry) = self.connections.remove(&id)
            && self.by_peer.get(&entry.key) == Some(&id)
        {
            self.by_peer.remove(&entry.key);
        }
    }
}
