//! The flows that are there: connections over which messages came, the hosts that browsers gave themselves on them (RFC 7118
//! §5.6), and the requests that wait for an answer over one.
//!
//! All of it belongs to the connections: it ends with them, and their number bounds it. What one shard learns, its driver tells the
//! others, by way of the shard that holds the connection, so that nobody learns of one after its end.
use crate::engine::Engine;
use crate::flow::{Flow, Token, is_invalid, is_web};
use crate::id::{ConnectionId, TransactionId};
use crate::time::Time;
use crate::transaction::client::Way;
use crate::transport::{Destination, Origin};
use rustc_hash::FxHashMap;
use sip::header::via::Via;
use sip::{Host, Message};
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::sync::Arc;

/// How many hosts one connection may have: a browser has one.
const MOST_HOSTS: usize = 8;

/// What one shard learnt about a connection, for the others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Learnt {
    /// The connection, as the origin of a message that came over it.
    pub origin: Origin,
    /// The host that its peer gave itself; none: there is nothing more to know than that it is open.
    pub host: Option<Box<str>>,
}

/// A request over a stream that was left without any answer until its time was up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unanswered {
    /// Where it went.
    pub destination: Destination,
    /// The domain that the server had to prove, over TLS.
    pub server_name: Option<Arc<str>>,
}

struct Open {
    origin: Origin,
    hosts: SmallVec<[Box<str>; 1]>,
    /// The client transactions whose answer can come no other way.
    waiting: Vec<TransactionId>,
}

/// The connections that are open, as far as messages came over them.
#[derive(Default)]
pub(crate) struct Flows {
    open: FxHashMap<ConnectionId, Open>,
    hosts: FxHashMap<Box<str>, ConnectionId>,
    learnt: VecDeque<Learnt>,
    unanswered: VecDeque<Unanswered>,
}

impl Flows {
    /// How many connections and hosts are known.
    pub(crate) fn len(&self) -> usize {
        self.open.len() + self.hosts.len()
    }

    /// A message came over this connection; says whether that is news.
    fn note(&mut self, origin: &Origin) -> bool {
        let Some(connection) = origin.connection else {
            return false;
        };
        let mut is_new = false;
        self.open.entry(connection).or_insert_with(|| {
            is_new = true;
            Open {
                origin: *origin,
                hosts: SmallVec::new(),
                waiting: Vec::new(),
            }
        });
        is_new
    }

    /// The peer of a connection gave itself this host. The first that did keeps it while its connection is open, but for a
    /// newer connection from the same address: that is a browser which lost its connection before anybody noticed.
    fn claim(&mut self, origin: &Origin, host: &str) -> bool {
        let Some(connection) = origin.connection else {
            return false;
        };
        let host = host.to_ascii_lowercase().into_boxed_str();
        let holder = self.hosts.get(&host).copied();
        if holder == Some(connection) {
            return false;
        }
        if let Some(holder) = holder.and_then(|holder| self.open.get_mut(&holder)) {
            if holder.origin.peer.ip() != origin.peer.ip() {
                return false;
            }
            holder.hosts.retain(|other| *other != host);
        }
        let Some(open) = self
            .open
            .get_mut(&connection)
            .filter(|open| open.hosts.len() < MOST_HOSTS)
        else {
            return false;
        };
        open.hosts.push(host.clone());
        self.hosts.insert(host, connection);
        true
    }

    /// Forgets a connection; gives the transactions that waited for it.
    fn forget(&mut self, connection: ConnectionId) -> Vec<TransactionId> {
        let Some(open) = self.open.remove(&connection) else {
            return Vec::new();
        };
        for host in open.hosts {
            if self.hosts.get(&host) == Some(&connection) {
                self.hosts.remove(&host);
            }
        }
        open.waiting
    }

    /// A connection, while it is open.
    pub(crate) fn get(&self, connection: ConnectionId) -> Option<&Origin> {
        self.open.get(&connection).map(|open| &open.origin)
    }

    /// The connection whose peer gave itself this host.
    pub(crate) fn find_host(&self, host: &str) -> Option<&Origin> {
        let host = host.strip_suffix('.').unwrap_or(host);
        let connection = match self.hosts.get(host) {
            Some(connection) => connection,
            None => self.hosts.get(host.to_ascii_lowercase().as_str())?,
        };
        self.get(*connection)
    }

    pub(crate) fn wait(&mut self, connection: ConnectionId, transaction: TransactionId) {
        if let Some(open) = self.open.get_mut(&connection) {
            open.waiting.push(transaction);
        }
    }

    pub(crate) fn stop_waiting(&mut self, connection: ConnectionId, transaction: TransactionId) {
        if let Some(open) = self.open.get_mut(&connection)
            && let Some(at) = open.waiting.iter().position(|other| *other == transaction)
        {
            open.waiting.swap_remove(at);
        }
    }

    pub(crate) fn push_unanswered(&mut self, unanswered: Unanswered) {
        self.unanswered.push_back(unanswered);
    }
}

impl Engine {
    /// A connection is closed. Messages that were not sent on it are reported by `handle_transmit_failed`; requests whose answer
    /// can come no other way fail now (RFC 3261 §8.1.3.1, RFC 5626 §5.3).
    pub fn handle_connection_closed(&mut self, now: Time, connection: ConnectionId) {
        self.advance(now);
        self.certificates.remove(&connection);
        for transaction in self.flows.forget(connection) {
            self.flow_ended(transaction);
        }
    }

    /// What another shard learnt about a connection that is open.
    pub fn handle_learnt(&mut self, now: Time, learnt: &Learnt) {
        self.advance(now);
        self.flows.note(&learnt.origin);
        if let Some(host) = &learnt.host {
            self.flows.claim(&learnt.origin, host);
        }
    }

    /// The next thing to tell the other shards, by way of the one that holds the connection.
    pub fn poll_learnt(&mut self) -> Option<Learnt> {
        self.flows.learnt.pop_front()
    }

    /// Where a request went over a stream and was left without any answer until its time was up: the driver closes a connection to
    /// which that happens several times in a row.
    pub fn poll_unanswered(&mut self) -> Option<Unanswered> {
        self.flows.unanswered.pop_front()
    }

    /// A message came over a connection.
    pub(crate) fn note_connection(&mut self, origin: &Origin) {
        if self.flows.note(origin) {
            self.tell(origin, None);
        }
    }

    /// Learns the hosts that a browser gave itself: in its Via, and in its Contact.
    pub(crate) fn learn_hosts(&mut self, origin: &Origin, via: &Via<'_>, message: &Message) {
        if !is_web(origin.transport) {
            return;
        }
        if let Host::Name(host) = via.host {
            self.learn_host(origin, host);
        }
        let Ok(contacts) = message.contacts() else {
            return;
        };
        for contact in contacts.iter().filter(|contact| !contact.is_wildcard()) {
            let Ok(uri) = contact.uri() else { continue };
            if let Host::Name(host) = uri.host() {
                self.learn_host(origin, host);
            }
        }
    }

    fn learn_host(&mut self, origin: &Origin, host: &str) {
        if is_invalid(host) && self.flows.claim(origin, host) {
            self.tell(origin, Some(host.into()));
        }
    }

    fn tell(&mut self, origin: &Origin, host: Option<Box<str>>) {
        if self.config.shards > 1 {
            let origin = *origin;
            self.flows.learnt.push_back(Learnt { origin, host });
        }
    }

    /// A client transaction does not wait for its flow any more.
    pub(crate) fn stop_waiting(&mut self, transaction: TransactionId, way: Option<&Way>) {
        let only = way.filter(|way| way.is_only);
        if let Some(connection) = only.and_then(|way| way.origin.connection) {
            self.flows.stop_waiting(connection, transaction);
        }
    }

    /// A flow as the way to its peer; none when it is gone.
    pub(crate) fn open_flow(&self, flow: Flow) -> Option<Origin> {
        match flow {
            Flow::Connection(connection) => self.flows.get(connection).copied(),
            Flow::Datagram(listener, peer) => self.listeners.datagram_flow(listener, peer),
            Flow::Gone => None,
        }
    }

    /// What the user part of a hop's URI says, where its host is ours or the one that stands for flows.
    pub(crate) fn token_of(&self, uri: &sip::Uri<'_>, call_id: &str) -> Token {
        let Some(user) = uri.user() else {
            return Token::Absent;
        };
        self.listeners.read_token(user, uri, call_id)
    }
}
