//! Which connection takes a request to a peer (RFC 3261 §18.1.1, RFC 5923): by its address and, over TLS, by the name it proved.
use super::pool::shard;
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

/// How a connection came to be found by something.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum By {
    /// It was opened to that.
    Opened,
    /// It was accepted from there.
    Accepted,
    /// Its peer proved it and asks for it.
    Alias,
}

/// What is looked for: a connection to this destination, whose peer has this name.
pub(super) struct Wanted {
    named: Key,
    by_address: Option<Key>,
}

impl Wanted {
    pub fn new(destination: &Destination, name: Option<Arc<str>>) -> Wanted {
        let (transport, peer) = (destination.transport, destination.peer);
        let named = Key::opened(transport, peer, name);
        // A numeric host names no domain: whoever connected to us from that address has it.
        let by_address = named.name.as_ref().is_some_and(|name| is_address(name));
        Wanted {
            named,
            by_address: by_address.then(|| Key::new(transport, peer, None)),
        }
    }
}

/// The connections by what they are found by.
#[derive(Default)]
pub(super) struct Reuse {
    /// All that have it in common: the last is found, while it is there.
    connections: FxHashMap<Key, SmallVec<[(ConnectionId, By); 1]>>,
    keys: FxHashMap<ConnectionId, SmallVec<[Key; 1]>>,
}

impl Reuse {
    /// Gives back the room of connections that are gone.
    pub fn shrink(&mut self) {
        self.connections.shrink_to_fit();
        self.keys.shrink_to_fit();
    }

    /// The connection to take; of several that were opened one of this shard.
    pub fn find(&self, wanted: &Wanted, own: u8) -> Option<ConnectionId> {
        let by_address = || self.find_by(wanted.by_address.as_ref()?, own);
        self.find_by(&wanted.named, own).or_else(by_address)
    }

    /// The connection with this key.
    pub fn find_by(&self, key: &Key, own: u8) -> Option<ConnectionId> {
        let found = self.connections.get(key)?;
        let (last, by) = *found.last()?;
        if by != By::Opened || shard(last) == own {
            return Some(last);
        }
        let mut owned = found.iter().rev();
        let owned = owned.find(|(id, by)| *by == By::Opened && shard(*id) == own);
        Some(owned.map_or(last, |(id, _)| *id))
    }

    /// The connection is found by this from now on, before those that were. Not by an alias, where one was opened to whoever has that.
    pub fn add(&mut self, id: ConnectionId, key: Key, by: By) {
        let keys = self.keys.entry(id).or_default();
        let is_refused = by == By::Alias && (key.name.is_none() || keys.len() > NAMES);
        if is_refused || keys.contains(&key) {
            return;
        }
        keys.push(key.clone());
        let found = self.connections.entry(key).or_default();
        let opened = found.iter().position(|(_, by)| *by == By::Opened);
        let place = opened.filter(|_| by == By::Alias).unwrap_or(found.len());
        found.insert(place, (id, by));
    }

    /// The connection ended.
    pub fn remove(&mut self, id: ConnectionId) {
        for key in self.keys.remove(&id).unwrap_or_else(|| smallvec![]) {
            if let Some(found) = self.connections.get_mut(&key) {
                found.retain(|(other, _)| *other != id);
                if found.is_empty() {
                    self.connections.remove(&key);
                }
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

#[cfg(test)]
mod tests {
    //! The latest is found, until it ends; an alias gives way to what was opened, and a shard keeps to its own.
    use super::*;

    fn connection(shard: u8, number: u64) -> ConnectionId {
        ConnectionId((u64::from(shard) << 56) | number)
    }

    fn key(name: Option<&str>) -> Key {
        let peer = "192.0.2.9:5061".parse().unwrap();
        Key::new(Transport::Tls, peer, name.map(Arc::from))
    }

    fn found(reuse: &Reuse, name: &str, own: u8) -> Option<ConnectionId> {
        reuse.find_by(&key(Some(name)), own)
    }

    #[test]
    fn what_ends_leaves_the_one_before_it() {
        let mut reuse = Reuse::default();
        let [first, second] = [1, 2].map(|number| connection(0, number));
        for id in [first, second] {
            reuse.add(id, key(None), By::Accepted);
        }
        assert_eq!(reuse.find_by(&key(None), 0), Some(second));
        reuse.remove(second);
        assert_eq!(reuse.find_by(&key(None), 0), Some(first));
        reuse.remove(first);
        assert_eq!(reuse.find_by(&key(None), 0), None);
        assert!(reuse.connections.is_empty() && reuse.keys.is_empty());
    }

    #[test]
    fn an_alias_is_found_where_nothing_was_opened_and_by_its_names_alone() {
        let mut reuse = Reuse::default();
        let [opened, other] = [1, 2].map(|number| connection(0, number));
        reuse.add(opened, key(Some("a.example")), By::Opened);
        reuse.add(other, key(None), By::Accepted);
        reuse.add(other, key(Some("a.example")), By::Alias);
        assert_eq!(found(&reuse, "a.example", 0), Some(opened));
        reuse.remove(opened);
        assert_eq!(found(&reuse, "a.example", 0), Some(other));
        for number in 0..20 {
            reuse.add(other, key(Some(&format!("b{number}.example"))), By::Alias);
        }
        let count = (0..20).filter(|n| found(&reuse, &format!("b{n}.example"), 0).is_some());
        assert_eq!(count.count(), NAMES - 1);
    }

    #[test]
    fn of_several_that_were_opened_a_shard_takes_its_own() {
        let mut reuse = Reuse::default();
        let [ours, theirs] = [0, 1].map(|shard| connection(shard, 1));
        for id in [ours, theirs] {
            reuse.add(id, key(Some("a.example")), By::Opened);
        }
        assert_eq!(found(&reuse, "a.example", 0), Some(ours));
        assert_eq!(found(&reuse, "a.example", 1), Some(theirs));
        assert_eq!(found(&reuse, "a.example", 2), Some(theirs));
    }
}
