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
use crate::uas::in_dialog::refreshes_target;
use rustc_hash::FxHashMap;
use sip::{Host, Message, Method};
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// How many hosts one connection may have: a browser has one.
const MOST_HOSTS: usize = 8;
/// How long a host may be, in bytes (RFC 1035 §2.3.4).
const LONGEST_HOST: usize = 253;

/// What one shard learnt about a connection, for the others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Learnt {
    /// The connection, as the origin of a message that came over it.
    pub origin: Origin,
    /// The host that its peer gave itself; none: there is nothing more to know than that it is open.
    pub host: Option<Claim>,
}

/// A host that a browser gave itself, in a request that was accepted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claim {
    pub(crate) host: Box<str>,
    /// Stands for the address of record that was accepted with it.
    pub(crate) of: u64,
    /// Whether it was a REGISTER: who may say that he is this user is asked for a password there, and hardly anywhere else.
    pub(crate) is_registered: bool,
}

impl Claim {
    fn new(host: &str, of: u64, is_registered: bool) -> Option<Claim> {
        let host = host.strip_suffix('.').unwrap_or(host);
        (is_invalid(host) && host.len() <= LONGEST_HOST).then(|| Claim {
            host: host.to_ascii_lowercase().into_boxed_str(),
            of,
            is_registered,
        })
    }
}

/// What stands for the address of record of a request: of REGISTER its To (RFC 3261 §10.2), of others its From.
fn address_of_record(request: &Message) -> Option<u64> {
    let address = match request.method() {
        Method::Register => request.to(),
        _ => request.from(),
    };
    let address = address.ok()?;
    let uri = address.uri().ok()?;
    let mut hasher = DefaultHasher::new();
    (uri.user(), uri.host().to_string().to_ascii_lowercase()).hash(&mut hasher);
    Some(hasher.finish())
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
    hosts: FxHashMap<Box<str>, (ConnectionId, u64)>,
    learnt: VecDeque<Learnt>,
    unanswered: VecDeque<Unanswered>,
}

impl Flows {
    /// How many connections and hosts are known.
    pub(crate) fn len(&self) -> usize {
        self.open.len() + self.hosts.len()
    }

    /// Gives back the room of connections that are gone.
    pub(crate) fn shrink(&mut self) {
        self.open.shrink_to_fit();
        self.hosts.shrink_to_fit();
        self.learnt.shrink_to_fit();
        self.unanswered.shrink_to_fit();
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

    /// The peer of a connection gave itself this host, and was accepted. Whoever has it keeps it while its connection is open, but for
    /// a registration of the same address of record, which may have lost that connection before anybody noticed.
    fn claim(&mut self, origin: &Origin, claim: &Claim) -> bool {
        let Some(connection) = origin.connection else {
            return false;
        };
        let Claim {
            host,
            of,
            is_registered,
        } = claim;
        if let Some((holder, theirs)) = self.hosts.get(host).copied() {
            if holder == connection || theirs != *of || !is_registered {
                return false;
            }
            if let Some(holder) = self.open.get_mut(&holder) {
                holder.hosts.retain(|other| other != host);
            }
        }
        let Some(open) = self
            .open
            .get_mut(&connection)
            .filter(|open| open.hosts.len() < MOST_HOSTS)
        else {
            return false;
        };
        open.hosts.push(host.clone());
        self.hosts.insert(host.clone(), (connection, *of));
        true
    }

    /// Forgets a connection; gives the transactions that waited for it.
    fn forget(&mut self, connection: ConnectionId) -> Vec<TransactionId> {
        let Some(open) = self.open.remove(&connection) else {
            return Vec::new();
        };
        for host in open.hosts {
            if self
                .hosts
                .get(&host)
                .is_some_and(|(holder, _)| *holder == connection)
            {
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
        let (connection, _) = match self.hosts.get(host) {
            Some(found) => found,
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
        if let Some(claim) = &learnt.host {
            self.flows.claim(&learnt.origin, claim);
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

    /// A request is answered with a 2xx: learns the hosts that a browser gave itself in its Contact, where the request says who is to be
    /// reached there.
    pub(crate) fn learn_hosts(&mut self, origin: &Origin, request: &Message) {
        if !is_web(origin.transport) {
            return;
        }
        let method = request.method();
        if method != Method::Register && !refreshes_target(&method) {
            return;
        }
        let (Ok(contacts), Some(of)) = (request.contacts(), address_of_record(request)) else {
            return;
        };
        for contact in contacts.iter().filter(|contact| !contact.is_wildcard()) {
            let Ok(uri) = contact.uri() else { continue };
            let Host::Name(host) = uri.host() else {
                continue;
            };
            let is_registered = method == Method::Register;
            if let Some(claim) = Claim::new(host, of, is_registered)
                && self.flows.claim(origin, &claim)
            {
                self.tell(origin, Some(claim));
            }
        }
    }

    fn tell(&mut self, origin: &Origin, host: Option<Claim>) {
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
