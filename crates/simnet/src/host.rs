//! A host: an engine, its application, its address.
use crate::actions::Application;
use engine::admit::Admission;
use engine::config::{
    Bounds, Config, Failover, Listener, Network, RelayKey, SessionTimers, Timers,
};
use engine::id::ApplicationId;
use engine::transport::Transport;
use engine::{Engine, Event, Time};
use std::collections::VecDeque;
use std::net::SocketAddr;

/// The one application of each host.
pub(crate) const APPLICATION: ApplicationId = ApplicationId(1);

/// A host of a world: the index in the order in which they were added.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct HostId(pub usize);

impl HostId {
    /// Its address, `192.0.2.N`, and port 5060.
    #[must_use]
    pub fn address(self) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, u8::try_from(self.0 + 1).unwrap_or(255)], 5060))
    }

    /// A URI that leads there.
    #[must_use]
    pub fn uri(self, user: &str) -> String {
        format!("sip:{user}@{}", self.address().ip())
    }
}

pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    pub(crate) config: Config,
    pub(crate) engine: Engine,
    pub(crate) script: Option<Box<dyn Application>>,
    /// Events that no script took.
    pub(crate) events: VecDeque<Event>,
    pub(crate) wake: Option<Time>,
    pub(crate) commands: u64,
    /// The next local port of an outgoing connection.
    pub(crate) next_port: u16,
}

/// The usual configuration of a host: UDP and TCP on port 5060 of its address.
#[must_use]
pub fn config(id: HostId) -> Config {
    let listener = |transport| Listener {
        transport,
        bound: id.address(),
        addresses: vec![id.address().ip()],
        advertised: None,
    };
    Config {
        shard: 0,
        shards: 1,
        listeners: vec![listener(Transport::Udp), listener(Transport::Tcp)],
        timers: Timers::default(),
        bounds: Bounds::default(),
        udp_request_limit: None,
        drachtio_compatible: false,
        session: SessionTimers::default(),
        network: Network {
            key: Some(RelayKey {
                secret: [1, u64::try_from(id.0).unwrap_or(0)],
                epoch: 1,
            }),
            ..Network::default()
        },
        failover: Failover::default(),
        alias: false,
        admission: Admission::everybody(),
    }
}
