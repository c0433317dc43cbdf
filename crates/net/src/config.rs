//! What a server is told at its start. Plain data; the defaults are for a server on the open Internet.
use crate::admission::AdmissionConfig;
use crate::listen::ListenSpec;
use crate::resolve::DnsConfig;
use crate::tls;
use engine::config::{Bounds, Failover, Network, SessionTimers, Timers};
use engine::seam::Commands;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// A task that lives on the runtime of shard 0 and ends with the server, such as the control listener.
pub type Companion =
    Box<dyn FnOnce(Arc<dyn Commands>) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// A server's configuration.
pub struct ServerConfig {
    /// The addresses to listen on (`listen::parse`); at least one.
    pub listen: Vec<ListenSpec>,
    /// The number of shards, each with a thread and an engine of its own: 1 to 255.
    pub shards: u8,
    /// SIP timer values.
    pub timers: Timers,
    /// Bounds of each shard's engine.
    pub bounds: Bounds,
    /// What is accepted as a message.
    pub limits: sip::Limits,
    /// A UDP request longer than this goes over TCP (RFC 3261 §18.1.1: 1300 bytes); none: never.
    pub udp_request_limit: Option<usize>,
    /// Behave as drachtio-server where it differs from the default.
    pub drachtio_compatible: bool,
    /// Session timers (RFC 4028).
    pub session: SessionTimers,
    /// The networks around, and the key of what is relayed. Without a key the server makes one, which ends with it.
    pub network: Network,
    /// What becomes of targets that do not answer (RFC 3263 §4.3).
    pub failover: Failover,
    /// The receive buffer of a UDP socket, in bytes: what a burst may fill while the shard is busy. The system may cap it.
    pub udp_receive_buffer: usize,
    /// The send buffer of a UDP socket, in bytes.
    pub udp_send_buffer: usize,
    /// What is taken from whom.
    pub admission: AdmissionConfig,
    /// Bounds of stream connections.
    pub stream: StreamConfig,
    /// Certificates and trust, for the listeners of TLS and WSS; none: there can be no such listener.
    pub tls: Option<Arc<tls::Store>>,
    /// Name resolution (RFC 3263).
    pub dns: DnsConfig,
    /// Tasks that share the thread of shard 0.
    pub companions: Vec<Companion>,
}

impl Default for ServerConfig {
    fn default() -> ServerConfig {
        ServerConfig {
            listen: Vec::new(),
            shards: 1,
            timers: Timers::default(),
            bounds: Bounds::default(),
            limits: sip::Limits::default(),
            udp_request_limit: Some(1300),
            drachtio_compatible: false,
            session: SessionTimers::default(),
            network: Network::default(),
            failover: Failover::default(),
            udp_receive_buffer: 4 << 20,
            udp_send_buffer: 4 << 20,
            admission: AdmissionConfig::default(),
            stream: StreamConfig::default(),
            tls: None,
            dns: DnsConfig::default(),
            companions: Vec::new(),
        }
    }
}

impl fmt::Debug for ServerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerConfig")
            .field("listen", &self.listen)
            .field("shards", &self.shards)
            .field("companions", &self.companions.len())
            .finish_non_exhaustive()
    }
}

/// Which of the connections over TCP and TLS that we opened are kept alive (RFC 5626 §4.4.1).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum KeepAlive {
    /// Those over which a registration was accepted, while it lasts: requests for it may come back over them alone.
    Registered,
    /// All.
    Opened,
}

/// Bounds of stream connections. Each shard holds its own connections.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StreamConfig {
    /// Connections per shard, accepted and opened: 16,384. Past it new ones are refused, and none is opened.
    pub connections: usize,
    /// How long opening a connection may take: 4 s, so that another target can be tried before timer B or F.
    pub connect_timeout: Duration,
    /// How long TLS and WebSocket may take to be agreed upon: 10 s.
    pub handshake_timeout: Duration,
    /// How many accepted connections of a shard may be agreeing upon TLS and WebSocket: 1,024. Past it the oldest of them is closed,
    /// so that those who never come to an end cannot keep others out.
    pub handshakes: usize,
    /// Whoever connected over TCP or TLS has to send a whole message or a keep-alive (RFC 5626 §4.4.1) within 30 s: a connection that was
    /// never used is nobody's.
    pub first_message_timeout: Duration,
    /// A connection without any traffic, keep-alives included, is closed after 10 min, transactions or not: a response that
    /// comes later opens a new one (RFC 3261 §18.2.2).
    pub idle_timeout: Duration,
    /// A message that was begun must be complete within 30 s.
    pub message_timeout: Duration,
    /// A peer that takes nothing while something waits for it is closed after 30 s.
    pub write_timeout: Duration,
    /// What may wait for one peer, in bytes: 4 MiB. Past it the connection is closed.
    pub write_queue: usize,
    /// What may wait for all peers of a shard together, in bytes: 256 MiB. Past it a connection for which more than 64 KiB wait is
    /// closed, so that many peers that do not read cannot take the memory that one may not.
    pub write_queues: usize,
    /// How many requests in a row may go unanswered, with nothing heard from the peer between them, before its connection is given up
    /// and another opened: 3; 0: any number.
    pub unanswered: u32,
    /// A WebSocket whose peer was silent for 30 s is asked whether it lives (RFC 7118 §6); zero: never. The answers are traffic:
    /// a browser that is there stays connected.
    pub ping_interval: Duration,
    /// How long the answer to that, or to a keep-alive over TCP or TLS, may take: 10 s.
    pub pong_timeout: Duration,
    /// Which connections over TCP and TLS are kept alive: those registered over. Others are to end when they are idle.
    pub keep_alive: KeepAlive,
    /// How often at least a keep-alive goes over those: 120 s, as RFC 5626 §4.4.1 has it, or the registrar's Flow-Timer where that is
    /// shorter; zero: never.
    pub keep_alive_interval: Duration,
    /// Whether, with a certificate of ours, our Via over TLS asks the peer to send its requests for us over the connection that we
    /// opened (`alias`, RFC 5923 §5): yes. It does so if our certificate proves our sent-by, and otherwise leaves it.
    pub alias: bool,
    /// The origins (`https://phone.example.com`) whose pages may open a WebSocket here; empty: all.
    pub origins: Vec<String>,
    /// How many connections may wait to be accepted.
    pub backlog: u16,
}

impl Default for StreamConfig {
    fn default() -> StreamConfig {
        StreamConfig {
            connections: 16_384,
            connect_timeout: Duration::from_secs(4),
            handshake_timeout: Duration::from_secs(10),
            handshakes: 1024,
            first_message_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(600),
            message_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            write_queue: 4 << 20,
            write_queues: 256 << 20,
            unanswered: 3,
            ping_interval: Duration::from_secs(30),
            pong_timeout: Duration::from_secs(10),
            keep_alive: KeepAlive::Registered,
            keep_alive_interval: Duration::from_secs(120),
            alias: true,
            origins: Vec::new(),
            backlog: 1024,
        }
    }
}
