//! `Plan`: what an engine would listen on and what its peers would be told, without opening anything.
//!
//! The addresses are not worked out here: an engine as it would run is given a call from the peer, and what it writes is read. So
//! whoever asks (`dracht doctor`) sees what the peer would see.
use crate::start;
use engine::admit::Admission;
use engine::command::{Draft, Forking, Proxy, ProxyOptions, Respond};
use engine::config::{Bounds, Config, Failover, Listener, Network, SessionTimers, Timers};
use engine::event::Request;
use engine::id::{ApplicationId, CommandId, ConnectionId, Generator, ResolveId};
use engine::transport::{ListenerId, Origin, Transport};
use engine::{Command, Engine, Event, Resolve, ResolveError, Resolved, Time};
use net::DnsConfig;
use net::resolve::{Way, locate_once};
use pyo3::exceptions::{PyLookupError, PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use sip::{HeaderName, Limits, Message};
use std::net::{IpAddr, SocketAddr};

const APPLICATION: ApplicationId = ApplicationId(1);
/// The port of a peer that calls, as a NAT might choose it.
const PEER_PORT: u16 = 40_404;

/// What an engine would listen on.
#[pyclass(frozen, module = "dracht._core")]
pub struct Plan {
    listeners: Vec<Listener>,
    network: Network,
    dns: DnsConfig,
}

/// Transport, bound address and port, and the advertised host and port of a listener.
type Planned = (&'static str, String, u16, Option<(String, u16)>);

#[pymethods]
impl Plan {
    #[new]
    #[pyo3(signature = (listen, *, advertise = None, network = None, dns = None))]
    fn new(
        listen: Vec<String>,
        advertise: Option<&str>,
        network: Option<&Bound<'_, PyAny>>,
        dns: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Plan> {
        let specs = start::listeners::read(&listen, advertise)?;
        Ok(Plan {
            listeners: net::plan(&specs),
            network: start::network::read(network)?,
            dns: start::dns::read(dns)?.0,
        })
    }

    /// The listeners, in the order in which they would be opened.
    #[getter]
    fn listeners(&self) -> Vec<Planned> {
        let planned = |listener: &Listener| {
            (
                listener.transport.name(),
                listener.bound.ip().to_string(),
                listener.bound.port(),
                listener.advertised.clone(),
            )
        };
        self.listeners.iter().map(planned).collect()
    }

    /// Where requests for a host would go (RFC 3263): transport, address and port of each target, in the order of trying.
    #[pyo3(signature = (host, *, port = None, transport = None, secure = false))]
    fn locate(
        &self,
        py: Python<'_>,
        host: String,
        port: Option<u16>,
        transport: Option<&str>,
        secure: bool,
    ) -> PyResult<Vec<(&'static str, String, u16)>> {
        let transport = transport
            .map(|name| {
                Transport::from_name(name)
                    .ok_or_else(|| PyValueError::new_err(format!("\"{name}\" is not a transport")))
            })
            .transpose()?;
        let question = Resolve {
            id: ResolveId(0),
            host,
            port,
            transport,
            secure,
            draw: 0,
        };
        let ways = Way::of(&self.listeners);
        let located = py.detach(|| locate_once(&self.dns, ways, &question));
        let targets = located.map_err(|error| match error {
            ResolveError::NotFound | ResolveError::Unusable => {
                PyLookupError::new_err(error.to_string())
            }
            ResolveError::Timeout | ResolveError::Failed | ResolveError::Crowded => {
                PyOSError::new_err(error.to_string())
            }
        })?;
        let target = |one: Resolved| {
            (
                one.transport.name(),
                one.address.ip().to_string(),
                one.address.port(),
            )
        };
        Ok(targets.into_iter().map(target).collect())
    }

    /// Via, Contact and Record-Route as a peer would see them that reaches this listener at the address `local`.
    fn seen_by(
        &self,
        listener: u16,
        peer: &str,
        local: &str,
    ) -> PyResult<(String, String, String)> {
        let address = |text: &str| {
            text.parse::<IpAddr>()
                .map_err(|_| PyValueError::new_err(format!("\"{text}\" is not an IP address")))
        };
        let (peer, local) = (address(peer)?, address(local)?);
        let planned = self.listeners.get(usize::from(listener)).ok_or_else(|| {
            PyValueError::new_err(format!(
                "listener {listener}: there are {}",
                self.listeners.len()
            ))
        })?;
        let is_stream = planned.transport.is_reliable();
        let origin = Origin {
            listener: ListenerId(listener),
            transport: planned.transport,
            peer: SocketAddr::new(peer, PEER_PORT),
            local: SocketAddr::new(local, planned.bound.port()),
            connection: is_stream.then_some(ConnectionId(1)),
        };
        let unwritten = || {
            PyRuntimeError::new_err(format!(
                "the engine wrote nothing towards {peer}: this is a bug"
            ))
        };
        let answer = self.written(origin, true).ok_or_else(unwritten)?;
        let forwarded = self.written(origin, false).ok_or_else(unwritten)?;
        let value = |message: &Message, name| {
            message
                .header(name)
                .map(|field| field.text().into_owned())
                .unwrap_or_default()
        };
        Ok((
            value(&forwarded, HeaderName::Via),
            value(&answer, HeaderName::Contact),
            value(&forwarded, HeaderName::RecordRoute),
        ))
    }
}

impl Plan {
    /// What an engine with these listeners writes to a peer that calls: its answer, or the call as it forwards it to such a peer.
    fn written(&self, origin: Origin, answers: bool) -> Option<Message> {
        let now = Time::START;
        let config = Config {
            shard: 0,
            shards: 1,
            listeners: self.listeners.clone(),
            timers: Timers::default(),
            bounds: Bounds::default(),
            udp_request_limit: None,
            drachtio_compatible: false,
            session: SessionTimers::default(),
            // Without a key: the marks in Record-Route are no part of an address.
            network: Network {
                key: None,
                ..self.network.clone()
            },
            failover: Failover::default(),
            alias: false,
            admission: Admission::everybody(),
        };
        let mut engine = Engine::new(config, Generator::new([7; 32]));
        engine.handle_attach(now, APPLICATION);
        engine.handle_command(now, APPLICATION, Command::RouteAll);
        let invite = invite(&origin)?;
        let size = invite.as_bytes().len();
        engine.handle_message(now, origin, invite, size);
        let (_, Event::Request(request)) = engine.poll_event()? else {
            return None;
        };
        let command = command(&request, &origin, answers);
        engine.handle_command(now, APPLICATION, command);
        std::iter::from_fn(|| engine.poll_transmit())
            .filter_map(|transmit| Message::parse(transmit.bytes, &Limits::default()).ok())
            .find(|message| {
                if answers {
                    message.is_response() && message.status() == 200
                } else {
                    message.is_request()
                }
            })
    }
}

fn command(request: &Request, origin: &Origin, answers: bool) -> Command {
    let id = CommandId(1);
    let transaction = request.transaction;
    if answers {
        return Command::Respond(Respond {
            id,
            transaction,
            status: 200,
            reason: String::new(),
            draft: Draft::default(),
        });
    }
    // To the same peer, at another port: it is told of us in the same way as any in its place.
    let target = SocketAddr::new(origin.peer.ip(), PEER_PORT + 1);
    Command::Proxy(Proxy {
        id,
        transaction,
        targets: vec![format!(
            "sip:callee@{target};transport={}",
            origin.transport
        )],
        options: ProxyOptions {
            record_route: true,
            forking: Forking::Serial,
            ..ProxyOptions::default()
        },
        headers: Vec::new(),
    })
}

/// A call from that peer to that address of ours.
fn invite(origin: &Origin) -> Option<Message> {
    let (peer, local, via) = (origin.peer, origin.local, origin.transport.via());
    let text = format!(
        "INVITE sip:callee@{local} SIP/2.0\r\nVia: SIP/2.0/{via} {peer};branch=z9hG4bKplan;rport\r\nMax-Forwards: 70\r\n\
         From: <sip:caller@{peer}>;tag=1\r\nTo: <sip:callee@{local}>\r\nCall-ID: plan\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:caller@{peer};transport={}>\r\nContent-Length: 0\r\n\r\n",
        origin.transport
    );
    Message::parse(text.into(), &Limits::default()).ok()
}
