//! One engine alone: what it is given are messages from anywhere, and what it sends is looked at.
#![allow(dead_code, clippy::unwrap_used)]
use bytes::Bytes;
use engine::admit::Admission;
use engine::config::{Bounds, Config, Failover, Listener, Network, SessionTimers, Timers};
use engine::id::{ApplicationId, Generator};
use engine::transport::{Origin, Transport};
use engine::{Command, Engine, Time, Transmit};
use sip::{Limits, Message};
use std::net::SocketAddr;

pub const APPLICATION: ApplicationId = ApplicationId(1);

/// A configuration that listens at this address, over each of the transports; sources are bounded as they are by default.
pub fn config(own: &str, transports: &[Transport]) -> Config {
    let bound: SocketAddr = own.parse().unwrap();
    let listener = |transport: &Transport| Listener {
        transport: *transport,
        bound,
        addresses: vec![bound.ip()],
        advertised: None,
    };
    Config {
        shard: 0,
        shards: 1,
        listeners: transports.iter().map(listener).collect(),
        timers: Timers::default(),
        bounds: Bounds::default(),
        udp_request_limit: None,
        drachtio_compatible: false,
        session: SessionTimers::default(),
        admission: Admission::default(),
        failover: Failover::default(),
        alias: false,
        network: Network::default(),
    }
}

/// An engine with an application for requests of every method.
pub fn started(config: Config) -> Engine {
    let mut engine = Engine::new(config, Generator::new([9; 32]));
    engine.handle_attach(Time::ZERO, APPLICATION);
    engine.handle_command(Time::ZERO, APPLICATION, Command::RouteAll);
    engine
}

/// A message comes; its lines end as on the wire or with a line feed alone.
pub fn receive(engine: &mut Engine, origin: Origin, text: &str) {
    let bytes = Bytes::from(text.replace("\r\n", "\n").replace('\n', "\r\n"));
    let size = bytes.len();
    let message = Message::parse(bytes, &Limits::default()).unwrap();
    engine.handle_message(Time::ZERO, origin, message, size);
}

/// What the engine sent since it was looked at last.
pub fn sent(engine: &mut Engine) -> Vec<(Transmit, Message)> {
    let sent = std::iter::from_fn(|| engine.poll_transmit());
    sent.map(|transmit| {
        let message = Message::parse(transmit.bytes.clone(), &Limits::default()).unwrap();
        (transmit, message)
    })
    .collect()
}
