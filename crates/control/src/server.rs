//! What the connections of one control listener share, and its state as JSON.
use crate::config::ControlConfig;
use crate::name::{MessageIds, TransactionNames};
use engine::admit::Ban;
use engine::counts::Counts;
use engine::seam::Commands;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::fmt::Write;
use std::hash::{BuildHasher, Hasher};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// The server side of the control protocol, as its connections see it.
pub struct Server {
    /// The configuration.
    pub config: ControlConfig,
    /// The engines.
    pub commands: Arc<dyn Commands>,
    /// How transactions are named to every client.
    pub names: TransactionNames,
    clients: Mutex<HashMap<SocketAddr, Vec<String>>>,
}

impl Server {
    /// A server for these engines.
    #[must_use]
    pub fn new(config: ControlConfig, commands: Arc<dyn Commands>) -> Server {
        let names = TransactionNames::new(random(), random());
        Server {
            config,
            commands,
            names,
            clients: Mutex::new(HashMap::new()),
        }
    }

    /// Message identifiers for a new connection.
    #[must_use]
    pub fn message_ids(&self) -> MessageIds {
        MessageIds::new(random())
    }

    /// Notes the tags of an authenticated client.
    pub fn set_tags(&self, peer: SocketAddr, tags: &[String]) {
        self.clients
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(peer, tags.to_vec());
    }

    /// Forgets a client.
    pub fn forget(&self, peer: SocketAddr) {
        self.clients
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&peer);
    }

    /// The state as JSON on one line: `{"version":…,"clients":[{"address":…,"tags":[…]}],"bans":[…],"shards":[{"shard":0,…,"totals":{…}}]}`.
    #[must_use]
    pub fn status(&self, counts: &[Counts], bans: &[Ban]) -> String {
        let mut json = String::with_capacity(512);
        json.push_str("{\"version\":");
        text(&mut json, crate::config::VERSION);
        json.push_str(",\"clients\":[");
        let clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        for (index, (peer, tags)) in clients.iter().enumerate() {
            json.push_str(if index > 0 {
                ",{\"address\":"
            } else {
                "{\"address\":"
            });
            text(&mut json, &peer.to_string());
            json.push_str(",\"tags\":[");
            for (index, tag) in tags.iter().enumerate() {
                if index > 0 {
                    json.push(',');
                }
                text(&mut json, tag);
            }
            json.push_str("]}");
        }
        json.push_str("],\"bans\":[");
        for (index, ban) in bans.iter().enumerate() {
            json.push_str(if index > 0 {
                ",{\"network\":"
            } else {
                "{\"network\":"
            });
            text(&mut json, &ban.network.to_string());
            let _ = write!(json, ",\"seconds\":{},\"reason\":", ban.remaining.as_secs());
            text(&mut json, &ban.reason);
            json.push('}');
        }
        json.push_str("],\"shards\":[");
        for (index, counts) in counts.iter().enumerate() {
            if index > 0 {
                json.push(',');
            }
            shard(&mut json, counts);
        }
        json.push_str("]}");
        json
    }
}

fn shard(json: &mut String, counts: &Counts) {
    let fields: [(&str, usize); 12] = [
        ("shard", usize::from(counts.shard)),
        ("server_transactions", counts.server_transactions),
        ("client_transactions", counts.client_transactions),
        ("dialogs", counts.dialogs),
        ("proxies", counts.proxies),
        ("timers", counts.timers),
        ("resolves", counts.resolves),
        ("applications", counts.applications),
        ("flows", counts.flows),
        ("connections", counts.connections),
        ("bans", counts.bans),
        ("sources", counts.sources),
    ];
    json.push('{');
    for (name, number) in fields {
        // Writing to a string does not fail.
        let _ = write!(json, "\"{name}\":{number},");
    }
    json.push_str("\"totals\":{");
    for (index, (name, number)) in counts.totals.iter().enumerate() {
        if index > 0 {
            json.push(',');
        }
        text(json, name);
        let _ = write!(json, ":{number}");
    }
    json.push_str("}}");
}

/// A JSON string that has no character a meta line could not carry.
pub(crate) fn text(json: &mut String, value: &str) {
    json.push('"');
    for character in value.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '|' | '\0'..='\x1f' | '\x7f' => {
                let _ = write!(json, "\\u{:04x}", u32::from(character));
            }
            _ => json.push(character),
        }
    }
    json.push('"');
}

/// 64 bits that differ from process to process and call to call; they need not be unpredictable.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
