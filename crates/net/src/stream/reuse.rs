//! Which connection takes a request to a peer (RFC 3261 §18.1.1, RFC 5923): by its address and, over TLS, by the name it proved.
use engine::id::ConnectionId;
use engine::transport::{Destination, Transport};
use rustc_hash::FxHashMap;
use smallvec::{SmallVec, smallvec};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// How many names one connection may be found by: a certificate names few, and each was asked for by an `alias`.
const NAMES: usize = 8;

/// What a connection is found by.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Key {
    transport: Transport,
    peer: SocketAddr,
    /// Over TLS, the domain that the peer proved.
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
}

/// The connections of one shard by what they are found by; the latest of those that have it in common.
#[derive(Default)]
pub(super) struct Reuse {
    connections: FxHashMap<Key, ConnectionId>,
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
        let key = |name| Key::new(destination.transport, destination.peer, name);
        let name = name.filter(|_| destination.transport.is_secure()).cloned();
        // A numeric host names no domain: the address is all that is wanted of the peer, and it has that.
        let is_address = name.as_ref().is_none_or(|name| is_address(name));
        let named = self.connections.get(&key(name));
        named
            .or_else(|| self.connections.get(&key(None)).filter(|_| is_address))
            .copied()
    }

    /// The connection is found by this from now on.
    pub fn add(&mut self, id: ConnectionId, key: Key) {
        let keys = self.keys.entry(id).or_default();
        if keys.contains(&key) || keys.len() > NAMES {
            return;
        }
        if key.name.is_some() {
            // A request that wants no name, such as the CANCEL or the ACK that belongs to one that did, goes to whoever is there.
            let unnamed = Key {
                name: None,
                ..key.clone()
            };
            keys.push(unnamed.clone());
            self.connections.insert(unnamed, id);
        }
        keys.push(key.clone());
        self.connections.insert(key, id);
    }

    /// The connection ended.
    pub fn remove(&mut self, id: ConnectionId) {
        for key in self.keys.remove(&id).unwrap_or_else(|| smallvec![]) {
            if self.connections.get(&key) == Some(&id) {
                self.connections.remove(&key);
            }
        }
    }
}

/// Neither case nor a last dot makes another name (RFC 1035 §2.3.3).
pub(super) fn one_spelling(name: Arc<str>) -> Arc<str> {
    if !name.ends_with('.') && !name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return name;
    }
    let lower = name.to_ascii_lowercase();
    Arc::from(lower.strip_suffix('.').unwrap_or(&lower))
}

fn is_address(name: &str) -> bool {
    name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
}
