//! Which connection takes a request to a peer (RFC 3261 §18.1.1, RFC 5923): by its address and, over TLS, by the name it proved.
use engine::id::ConnectionId;
use engine::transport::{Destination, Transport};
use rustc_hash::FxHashMap;
use smallvec::{SmallVec, smallvec};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// How many names one connection may be found by besides its own: a certificate names few, and each was asked for by an `alias`.
const NAMES: usize = 8;

/// What a connection is found by.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Key {
    transport: Transport,
    peer: SocketAddr,
    /// Over TLS, the domain or the address that the peer proved; none of a peer that connected to us.
    name: Option<Arc<str>>,
}

impl Key {
    pub fn new(transport: Transport, peer: SocketAddr, name: Option<Arc<str>>) -> Key {
        // Without TLS nothing is proved, and a name says nothing.
        let name = name.filter(|_| transport.is_secure()).map(one_spelling);
        Key {
            transport,
            peer,
            name,
        }
    }

    /// Of a connection that is opened: who is meant by no name proves the address.
    pub fn opened(transport: Transport, peer: SocketAddr, name: Option<Arc<str>>) -> Key {
        let name = match name {
            None if transport.is_secure() => Some(Arc::from(peer.ip().to_string())),
            name => name,
        };
        Key::new(transport, peer, name)
    }
}

/// A connection that is found by something.
#[derive(Copy, Clone)]
struct Found {
    id: ConnectionId,
    /// Its peer asked for that.
    by_alias: bool,
}

/// The connections by what they are found by; the latest of those that have it in common.
#[derive(Default)]
pub(super) struct Reuse {
    connections: FxHashMap<Key, Found>,
    keys: FxHashMap<ConnectionId, SmallVec<[Key; 1]>>,
}

impl Reuse {
    /// Gives back the room of connections that are gone.
    pub fn shrink(&mut self) {
        self.connections.shrink_to_fit();
        self.keys.shrink_to_fit();
    }

    /// The connection for a request to this destination, whose domain is `name`.
    pub fn find(&self, destination: &Destination, name: Option<&Arc<str>>) -> Option<ConnectionId> {
        let (transport, peer) = (destination.transport, destination.peer);
        let named = Key::opened(transport, peer, name.cloned());
        // A numeric host names no domain: whoever connected to us from that address has it.
        let by_address = named.name.as_ref().is_none_or(|name| is_address(name));
        let found = self.connections.get(&named);
        let accepted = || self.connections.get(&Key::new(transport, peer, None));
        let found = found.or_else(|| accepted().filter(|_| by_address));
        found.map(|found| found.id)
    }

    /// The connection that was accepted from this very address: a response goes back over it to whoever asked, whatever its Via says that
    /// he is.
    pub fn find_accepted(&self, destination: &Destination) -> Option<ConnectionId> {
        let key = Key::new(destination.transport, destination.peer, None);
        self.connections.get(&key).map(|found| found.id)
    }

    /// The connection is found by this from now on.
    pub fn add(&mut self, id: ConnectionId, key: Key) {
        self.insert(id, key, false);
    }

    /// Its peer proved a name and asks to be found by it. A connection that was opened to whoever has it is not replaced.
    pub fn alias(&mut self, id: ConnectionId, key: Key) {
        let found = self.connections.get(&key);
        let is_full = self.keys.get(&id).is_none_or(|keys| keys.len() > NAMES);
        if !is_full && key.name.is_some() && found.is_none_or(|found| found.by_alias) {
            self.insert(id, key, true);
        }
    }

    fn insert(&mut self, id: ConnectionId, key: Key, by_alias: bool) {
        let keys = self.keys.entry(id).or_default();
        if !keys.contains(&key) {
            keys.push(key.clone());
        }
        self.connections.insert(key, Found { id, by_alias });
    }

    /// The connection ended.
    pub fn remove(&mut self, id: ConnectionId) {
        for key in self.keys.remove(&id).unwrap_or_else(|| smallvec![]) {
            if self
                .connections
                .get(&key)
                .is_some_and(|found| found.id == id)
            {
                self.connections.remove(&key);
            }
        }
    }
}

/// Neither case nor a last dot makes another name (RFC 1035 §2.3.3), and no bracket another address.
pub(super) fn one_spelling(name: Arc<str>) -> Arc<str> {
    if name.contains(':')
        && let Ok(address) = name.trim_matches(['[', ']']).parse::<IpAddr>()
    {
        return Arc::from(address.to_string());
    }
    if !name.ends_with('.') && !name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return name;
    }
    let lower = name.to_ascii_lowercase();
    Arc::from(lower.strip_suffix('.').unwrap_or(&lower))
}

fn is_address(name: &str) -> bool {
    name.parse::<IpAddr>().is_ok()
}
