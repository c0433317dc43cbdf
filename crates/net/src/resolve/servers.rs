//! Asking name servers: hickory's stub resolver, without its cache, its search domains and its hosts file, which are ours.
//!
//! Questions are for the name as it is written, never below a search domain: a SIP domain that does not exist must not lead into the
//! network of whoever asks.
use super::config::DnsConfig;
use super::record::{Kind, Naptr, Record, Srv};
use engine::ResolveError;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{Hosts, Resolver, TokioResolver, system_conf};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// How often the files of the system are looked at for a change.
const LOOK: Duration = Duration::from_secs(5);

/// How many records of one answer are read: a domain with more does not get more of our time.
const RECORDS: usize = 64;

/// The longest time a name is believed not to exist, whatever its zone says (RFC 2308 §5).
const LONGEST_NEGATIVE: Duration = Duration::from_secs(300);

/// How long a failure is believed (RFC 9520 §3.2: 1 s at least).
pub(crate) const FAILURE: Duration = Duration::from_secs(5);

const RESOLV_CONF: &str = "/etc/resolv.conf";
const HOSTS: &str = "/etc/hosts";

/// What a question led to, and how long that is to be believed.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) outcome: Result<Vec<Record>, ResolveError>,
    pub(crate) ttl: Duration,
}

impl Answer {
    /// No server told.
    pub(crate) fn failed(error: ResolveError) -> Answer {
        Answer {
            outcome: Err(error),
            ttl: FAILURE,
        }
    }

    fn empty(ttl: Duration) -> Answer {
        Answer {
            outcome: Err(ResolveError::NotFound),
            ttl,
        }
    }
}

/// The name servers, and the hosts file.
pub(crate) struct Servers {
    config: DnsConfig,
    current: Mutex<Current>,
}

/// What was read from the system's files, and when they were last looked at.
struct Current {
    resolver: Option<TokioResolver>,
    hosts: Arc<Hosts>,
    stamps: [Option<SystemTime>; 2],
    looked: Instant,
}

impl Servers {
    pub(crate) fn new(config: DnsConfig) -> Servers {
        let stamps = stamps();
        let current = Current {
            resolver: resolver(&config),
            hosts: hosts(&config),
            stamps,
            looked: Instant::now(),
        };
        Servers {
            config,
            current: Mutex::new(current),
        }
    }

    /// The resolver and the hosts file as they are now.
    fn current(&self) -> (Option<TokioResolver>, Arc<Hosts>) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.looked.elapsed() >= LOOK {
            current.looked = Instant::now();
            let stamps = stamps();
            let [servers, names] = stamps;
            let [old_servers, old_names] = current.stamps;
            if servers != old_servers && self.config.servers.is_empty() {
                current.resolver = resolver(&self.config);
            }
            if names != old_names {
                current.hosts = hosts(&self.config);
            }
            current.stamps = stamps;
        }
        (current.resolver.clone(), current.hosts.clone())
    }

    /// The addresses of a name in the hosts file; none when it is not there.
    pub(crate) fn in_hosts(&self, host: &str) -> Option<Vec<IpAddr>> {
        if !self.config.hosts {
            return None;
        }
        let name = name(host)?;
        let (_, hosts) = self.current();
        let mut addresses = Vec::new();
        for kind in [RecordType::AAAA, RecordType::A] {
            let found = hosts.lookup_static_host(&Query::query(name.clone(), kind));
            let records = found.iter().flat_map(|lookup| lookup.answers());
            addresses.extend(records.filter_map(|record| record.data.ip_addr()));
        }
        addresses.truncate(RECORDS);
        (!addresses.is_empty()).then_some(addresses)
    }

    /// Asks for the records of one kind that a name has.
    pub(crate) async fn ask(&self, host: &str, kind: Kind) -> Answer {
        let Some(name) = name(host) else {
            return Answer::empty(LONGEST_NEGATIVE);
        };
        let (Some(resolver), _) = self.current() else {
            return Answer::failed(ResolveError::Failed);
        };
        match resolver.lookup(name, record_type(kind)).await {
            Ok(lookup) => {
                let mut ttl = self.config.longest_ttl;
                let mut records = Vec::new();
                for answer in lookup.answers().iter().take(RECORDS) {
                    if let Some(record) = record(kind, &answer.data) {
                        ttl = ttl.min(Duration::from_secs(answer.ttl.into()));
                        records.push(record);
                    }
                }
                if records.is_empty() {
                    return Answer::empty(FAILURE);
                }
                Answer {
                    outcome: Ok(records),
                    ttl,
                }
            }
            Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
                let ttl = none.negative_ttl.map_or(FAILURE, |seconds| {
                    Duration::from_secs(seconds.into()).min(LONGEST_NEGATIVE)
                });
                Answer::empty(ttl)
            }
            Err(NetError::Timeout) => Answer::failed(ResolveError::Timeout),
            Err(error) => {
                tracing::debug!(host, ?kind, %error, "a question to the name servers failed");
                Answer::failed(ResolveError::Failed)
            }
        }
    }
}

/// A host name as a question names it; none for what is no name.
fn name(host: &str) -> Option<Name> {
    let mut name = Name::from_ascii(host).ok()?;
    name.set_fqdn(true);
    Some(name)
}

fn record_type(kind: Kind) -> RecordType {
    match kind {
        Kind::Naptr => RecordType::NAPTR,
        Kind::Srv => RecordType::SRV,
        Kind::A => RecordType::A,
        Kind::Aaaa => RecordType::AAAA,
    }
}

/// A name as it is asked for: without the last dot, so that the root is empty.
fn text(name: &Name) -> String {
    let mut text = name.to_ascii();
    if text.ends_with('.') {
        text.pop();
    }
    text
}

fn record(kind: Kind, data: &RData) -> Option<Record> {
    let latin = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match (kind, data) {
        (Kind::A, RData::A(address)) => Some(Record::Address(IpAddr::V4(address.0))),
        (Kind::Aaaa, RData::AAAA(address)) => Some(Record::Address(IpAddr::V6(address.0))),
        (Kind::Srv, RData::SRV(srv)) => Some(Record::Srv(Srv {
            priority: srv.priority,
            weight: srv.weight,
            port: srv.port,
            target: text(&srv.target),
        })),
        (Kind::Naptr, RData::NAPTR(naptr)) => Some(Record::Naptr(Naptr {
            order: naptr.order,
            preference: naptr.preference,
            flags: latin(&naptr.flags),
            service: latin(&naptr.services),
            replacement: text(&naptr.replacement),
        })),
        (_, _) => None,
    }
}

/// When the system's files changed last.
fn stamps() -> [Option<SystemTime>; 2] {
    [RESOLV_CONF, HOSTS].map(|path| {
        std::fs::metadata(path)
            .and_then(|data| data.modified())
            .ok()
    })
}

fn hosts(config: &DnsConfig) -> Arc<Hosts> {
    if !config.hosts {
        return Arc::default();
    }
    match Hosts::from_system() {
        Ok(hosts) => Arc::new(hosts),
        Err(error) => {
            tracing::warn!(%error, "{HOSTS} cannot be read: its names are not known");
            Arc::default()
        }
    }
}

/// The servers to ask: those given, else the system's, else the one on this machine, as the system's own resolver does.
fn servers(config: &DnsConfig) -> Vec<NameServerConfig> {
    let at = |address: &SocketAddr| {
        let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut kind| {
            kind.port = address.port();
            kind
        });
        NameServerConfig::new(address.ip(), true, connections.into())
    };
    if !config.servers.is_empty() {
        return config.servers.iter().map(at).collect();
    }
    match system_conf::read_system_conf() {
        Ok((system, _)) => system.name_servers,
        Err(error) => {
            tracing::warn!(%error, "{RESOLV_CONF} names no name server: 127.0.0.1 is asked; Dns(servers=[...]) names others");
            vec![at(&SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 53))]
        }
    }
}

fn resolver(config: &DnsConfig) -> Option<TokioResolver> {
    let mut options = ResolverOpts::default();
    options.timeout = config.timeout;
    options.attempts = config.attempts.saturating_sub(1);
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.preserve_intermediates = false;
    let servers = ResolverConfig::from_name_servers(servers(config));
    Resolver::builder_with_config(servers, TokioRuntimeProvider::default())
        .with_options(options)
        .build()
        .inspect_err(|error| tracing::error!(%error, "names cannot be resolved"))
        .ok()
}
