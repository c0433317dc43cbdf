//! How names are resolved: which servers, how long, how much is kept.
use std::net::SocketAddr;
use std::time::Duration;

/// Name resolution of a server, for all its shards together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DnsConfig {
    /// The name servers to ask; none: those of `/etc/resolv.conf`, read again when it changes.
    pub servers: Vec<SocketAddr>,
    /// Whether a name in `/etc/hosts` is what it says there; such a name is not asked for.
    pub hosts: bool,
    /// How long one name server may take to answer one question: 2 s.
    pub timeout: Duration,
    /// How often a question is asked before it has failed: 2.
    pub attempts: usize,
    /// How long a host name may take, with all the questions it needs: 8 s. What is known by then is used.
    pub limit: Duration,
    /// Whether NAPTR and SRV are asked for (RFC 3263 §4.1, §4.2); otherwise a name is its addresses.
    pub services: bool,
    /// How many answers are kept: 10,000.
    pub cache: usize,
    /// The longest time an answer is believed, whatever its TTL: 1 day.
    pub longest_ttl: Duration,
    /// How long past its TTL an answer is used while no name server answers (RFC 8767): 1 h; zero: not at all.
    pub stale: Duration,
    /// How many questions are open at a time: 256.
    pub concurrent: usize,
    /// How many requests of one shard may wait for their names; past it they fail at once: 10,000.
    pub waiting: usize,
}

impl Default for DnsConfig {
    fn default() -> DnsConfig {
        DnsConfig {
            servers: Vec::new(),
            hosts: true,
            timeout: Duration::from_secs(2),
            attempts: 2,
            limit: Duration::from_secs(8),
            services: true,
            cache: 10_000,
            longest_ttl: Duration::from_secs(86_400),
            stale: Duration::from_secs(3600),
            concurrent: 256,
            waiting: 10_000,
        }
    }
}
