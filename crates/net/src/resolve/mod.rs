//! Answers the engines' questions about names: where do requests for this host go (RFC 3263)? One thread for all shards, off their way.
//!
//! `locate` takes the steps, `naptr` and `srv` decide about records, `cache` keeps them, `servers` asks hickory's resolver. Which
//! target is to be left out for a while is not known here: that is the engine's, per target, so that no record is ever spoiled for others.
mod cache;
mod config;
mod locate;
mod naptr;
mod once;
pub(crate) mod random;
mod record;
mod servers;
mod srv;
mod thread;
mod turns;

pub use config::DnsConfig;
pub use once::locate_once;
pub(crate) use thread::{NamesThread, Resolver};

use cache::Cache;
use engine::config::Listener;
use engine::transport::Transport;
use engine::{Resolve, ResolveError, Resolved};
use locate::Search;
use std::time::Duration;
use tokio::time::Instant;

/// How many targets one host name gives at most: a request tries no more.
pub const TARGETS: usize = 16;

/// A transport and address family on which this server can send.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Way {
    /// The transport.
    pub transport: Transport,
    /// IPv4, else IPv6.
    pub is_ipv4: bool,
}

impl Way {
    /// The ways of these listeners.
    #[must_use]
    pub fn of(listeners: &[Listener]) -> Vec<Way> {
        let mut ways = Vec::new();
        for listener in listeners {
            let way = Way {
                transport: listener.transport,
                is_ipv4: listener.bound.is_ipv4(),
            };
            if !ways.contains(&way) {
                ways.push(way);
            }
        }
        ways
    }
}

/// What an answer took.
#[derive(Clone, Debug)]
pub struct Located {
    /// Where requests go, the first to be tried first.
    pub targets: Result<Vec<Resolved>, ResolveError>,
    /// Whether a name server had to be asked.
    pub asked: bool,
    /// How many addresses and SRV records were left out, as they cannot be a server's.
    pub unusable: u64,
}

/// Host names, and what is known about them. Used within a runtime; cheap to clone, all clones share what they know.
#[derive(Clone)]
pub struct Names {
    cache: Cache,
    ways: Vec<Way>,
    services: bool,
    limit: Duration,
}

impl Names {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(config: &DnsConfig, ways: Vec<Way>) -> Names {
        Names {
            cache: Cache::new(config),
            ways,
            services: config.services,
            limit: config.limit,
        }
    }

    /// Where requests for this host go. Takes `DnsConfig::limit` at most.
    pub async fn locate(&self, question: &Resolve) -> Located {
        let deadline = Instant::now() + self.limit;
        let mut search = Search::new(&self.cache, &self.ways, self.services, deadline);
        let targets = search.run(question).await;
        Located {
            targets,
            asked: search.asked,
            unusable: search.unusable,
        }
    }

    /// How many questions went to name servers so far.
    #[must_use]
    pub fn lookups(&self) -> u64 {
        self.cache.lookups()
    }
}
