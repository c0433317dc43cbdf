//! Opens the listeners: a socket per listener and shard, with the options each needs. Reads and writes nothing.
use crate::addresses;
use crate::config::ServerConfig;
use crate::error::StartError;
use crate::listen::ListenSpec;
use crate::udp_batch;
use engine::config::Listener;
use engine::transport::{ListenerId, Transport};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

/// How often a free port is looked for that UDP and TCP can share.
const ATTEMPTS: usize = 32;

/// What `open` gives: the listeners, and the sockets of each shard.
pub(crate) struct Opened {
    pub listeners: Vec<Listener>,
    pub shards: Vec<Sockets>,
}

/// The sockets of one shard.
#[derive(Default)]
pub(crate) struct Sockets {
    pub udp: Vec<(ListenerId, UdpSocket)>,
    /// Of every transport that is not UDP.
    pub streams: Vec<(ListenerId, TcpListener)>,
}

enum Bound {
    Udp(UdpSocket),
    Stream(TcpListener),
}

/// Opens every listener of `config`, once for each shard.
pub(crate) fn open(config: &ServerConfig) -> Result<Opened, StartError> {
    let mut opened = Opened {
        listeners: Vec::new(),
        shards: Vec::new(),
    };
    opened
        .shards
        .resize_with(usize::from(config.shards), Sockets::default);
    for spec in &config.listen {
        let port = if spec.port == 0 && (spec.transports.len() > 1 || config.shards > 1) {
            free_port(spec, config)?
        } else {
            spec.port
        };
        for transport in &spec.transports {
            open_listener(
                spec,
                *transport,
                SocketAddr::new(spec.host, port),
                config,
                &mut opened,
            )?;
        }
    }
    Ok(opened)
}

fn open_listener(
    spec: &ListenSpec,
    transport: Transport,
    wanted: SocketAddr,
    config: &ServerConfig,
    opened: &mut Opened,
) -> Result<(), StartError> {
    let beside = in_the_way(&opened.listeners, transport, wanted);
    let failed = |error| StartError::Listen {
        transport,
        address: wanted,
        beside,
        error,
    };
    if transport.is_secure() && config.tls.is_none() {
        return Err(StartError::Config(format!(
            "{transport} {wanted} needs a certificate: give tls=Tls(certificates=[(\"chain.pem\", \"key.pem\")])"
        )));
    }
    let id = u16::try_from(opened.listeners.len())
        .map(ListenerId)
        .map_err(|_| StartError::Config("too many listeners".to_owned()))?;
    let share = config.shards > 1;
    if share {
        // Sockets that share a port would share it silently with another process of the same user: see first that it is free.
        bind(transport, wanted, false, config).map_err(failed)?;
    }
    let mut local = wanted;
    for sockets in &mut opened.shards {
        match bind(transport, wanted, share, config).map_err(failed)? {
            Bound::Udp(socket) => {
                local = socket.local_addr().map_err(failed)?;
                sockets.udp.push((id, socket));
            }
            Bound::Stream(socket) => {
                local = socket.local_addr().map_err(failed)?;
                sockets.streams.push((id, socket));
            }
        }
    }
    warn_of_small_buffer(local, config, opened);
    opened.listeners.push(listener(spec, transport, local));
    Ok(())
}

/// The one of these listeners that keeps another from being opened at this address.
fn in_the_way(
    listeners: &[Listener],
    transport: Transport,
    address: SocketAddr,
) -> Option<(Transport, SocketAddr)> {
    let (is_udp, host) = (transport == Transport::Udp, address.ip());
    let other = listeners.iter().find(|other| {
        let bound = other.bound;
        (other.transport == Transport::Udp) == is_udp
            && bound.port() == address.port()
            && bound.is_ipv4() == address.is_ipv4()
            && (bound.ip() == host || bound.ip().is_unspecified() || host.is_unspecified())
    })?;
    Some((other.transport, other.bound))
}

/// The listener that `spec` makes of a socket that is bound to `local`.
fn listener(spec: &ListenSpec, transport: Transport, local: SocketAddr) -> Listener {
    let addresses = if local.ip().is_unspecified() {
        addresses::of_wildcard(local.ip())
    } else {
        vec![local.ip()]
    };
    let advertised = spec
        .advertised
        .clone()
        .map(|(host, port)| (host, port.unwrap_or(local.port())));
    Listener {
        transport,
        bound: local,
        addresses,
        advertised,
    }
}

/// The listeners that a server with these would have, in order. Opens nothing: a port of 0 stays 0.
#[must_use]
pub fn plan(specs: &[ListenSpec]) -> Vec<Listener> {
    let each = |spec: &'_ ListenSpec| {
        let local = SocketAddr::new(spec.host, spec.port);
        let made = |transport: &Transport| listener(spec, *transport, local);
        spec.transports.iter().map(made).collect::<Vec<_>>()
    };
    specs.iter().flat_map(each).collect()
}

/// Says once for each listener when bursts will be shorter than configured.
fn warn_of_small_buffer(address: SocketAddr, config: &ServerConfig, opened: &Opened) {
    let last = opened.shards.first().and_then(|sockets| sockets.udp.last());
    let Some((_, socket)) =
        last.filter(|(_, socket)| socket.local_addr().is_ok_and(|local| local == address))
    else {
        return;
    };
    let granted = udp_batch::receive_buffer(socket).unwrap_or(config.udp_receive_buffer);
    if granted < config.udp_receive_buffer {
        tracing::warn!(
            %address, granted, wanted = config.udp_receive_buffer,
            "the UDP receive buffer is smaller than configured: long bursts may be lost; raise net.core.rmem_max"
        );
    }
}

/// A port that is free for every transport of `spec`.
fn free_port(spec: &ListenSpec, config: &ServerConfig) -> Result<u16, StartError> {
    let mut failure = None;
    for _ in 0..ATTEMPTS {
        let mut port = 0;
        let mut held = Vec::new();
        for transport in &spec.transports {
            let address = SocketAddr::new(spec.host, port);
            let bound = bind(*transport, address, false, config)
                .and_then(|bound| Ok((bound.local_addr()?, bound)));
            match bound {
                Ok((local, bound)) => {
                    port = local.port();
                    held.push(bound);
                }
                Err(error) => {
                    failure = Some(StartError::Listen {
                        transport: *transport,
                        address,
                        beside: None,
                        error,
                    });
                    break;
                }
            }
        }
        if held.len() == spec.transports.len() {
            return Ok(port);
        }
    }
    Err(failure.unwrap_or_else(|| StartError::Config("no free port was found".to_owned())))
}

impl Bound {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Bound::Udp(socket) => socket.local_addr(),
            Bound::Stream(socket) => socket.local_addr(),
        }
    }
}

fn bind(
    transport: Transport,
    address: SocketAddr,
    share: bool,
    config: &ServerConfig,
) -> io::Result<Bound> {
    let datagram = match transport {
        Transport::Udp => true,
        Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => false,
    };
    let (kind, protocol) = if datagram {
        (Type::DGRAM, Protocol::UDP)
    } else {
        (Type::STREAM, Protocol::TCP)
    };
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        // An IPv6 listener is not an IPv4 listener: addresses would look like ::ffff:192.0.2.1 to every peer.
        socket.set_only_v6(true)?;
    }
    if share {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    if !datagram {
        // A restart must not wait for connections of the last run to time out.
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(i32::from(config.stream.backlog))?;
        return Ok(Bound::Stream(socket.into()));
    }
    socket.bind(&address.into())?;
    // A system that grants less than was asked for still works: bursts are shorter.
    let _ = socket.set_send_buffer_size(config.udp_send_buffer);
    let socket = UdpSocket::from(socket);
    udp_batch::prepare(
        &socket,
        address.ip().is_unspecified(),
        config.udp_receive_buffer,
    )?;
    Ok(Bound::Udp(socket))
}

/// The listeners as `transport/host:port`: as advertised, and as bound.
pub(crate) fn hostports(listeners: &[Listener]) -> (Vec<String>, Vec<String>) {
    let text = |listener: &Listener, host: &str, port: u16| {
        format!("{}/{host}:{port}", listener.transport)
    };
    let bound = |listener: &Listener| {
        let address = listener
            .addresses
            .first()
            .copied()
            .unwrap_or(listener.bound.ip());
        let host = SocketAddr::new(address, 0).to_string();
        text(
            listener,
            host.strip_suffix(":0").unwrap_or(&host),
            listener.bound.port(),
        )
    };
    let advertised = |listener: &Listener| match &listener.advertised {
        Some((host, port)) => text(listener, host, *port),
        None => bound(listener),
    };
    (
        listeners.iter().map(advertised).collect(),
        listeners.iter().map(bound).collect(),
    )
}
