//! Starts and stops what an `Engine` stands for: the server of `net`, and the control listener as its companion.
use crate::answering::Writer;
use control::ControlConfig;
use engine::config::{Refresher, SessionTimers};
use engine::reply::Replier;
use engine::seam::Commands;
use net::ServerConfig;
use net::config::Companion;
use net::listen::{self, ListenSpec};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A running server.
pub struct Running {
    commands: Arc<dyn Commands>,
    /// Until it is stopped.
    server: Mutex<Option<net::Server>>,
    control_address: Option<SocketAddr>,
    writer: Writer,
}

impl Running {
    /// Opens the listeners and starts the threads.
    pub fn start(
        mut config: ServerConfig,
        control: Option<(SocketAddr, ControlConfig)>,
    ) -> PyResult<Running> {
        let mut control_address = None;
        let (drachtio_compatible, session) = (config.drachtio_compatible, config.session.clone());
        if let Some((address, control)) = control {
            let listener =
                control::Listener::bind(address).map_err(|error| cannot_listen(address, &error))?;
            control_address = Some(listener.address()?);
            let serve: Companion = Box::new(move |commands| {
                Box::pin(async move {
                    if let Err(error) = control::serve(listener, control, commands).await {
                        tracing::error!(%error, "the control listener ended");
                    }
                })
            });
            config.companions.push(serve);
        }
        let server = net::Server::start(config).map_err(start_error)?;
        Ok(Running {
            commands: server.commands(),
            writer: Writer::new(Replier::new(
                server.listeners(),
                drachtio_compatible,
                session,
            )),
            server: Mutex::new(Some(server)),
            control_address,
        })
    }

    /// Where commands are handed in.
    pub fn commands(&self) -> &Arc<dyn Commands> {
        &self.commands
    }

    /// Writes answers as the engine would.
    pub fn writer(&self) -> &Writer {
        &self.writer
    }

    /// The address of the control listener.
    pub fn control_address(&self) -> Option<SocketAddr> {
        self.control_address
    }

    /// Stops it; whether its threads ended in time. The second call finds nothing to stop.
    pub fn stop(&self, timeout: Duration) -> bool {
        let server = self
            .server
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        server.is_none_or(|server| server.stop(timeout))
    }
}

fn cannot_listen(address: SocketAddr, error: &io::Error) -> PyErr {
    io::Error::new(
        error.kind(),
        format!("cannot listen for applications on {address}: {error}"),
    )
    .into()
}

/// A mistake in an argument is a ValueError, what the operating system refuses an OSError of its kind.
fn start_error(error: net::StartError) -> PyErr {
    match error.io_error() {
        Some(cause) => io::Error::new(cause.kind(), error.to_string()).into(),
        None => PyValueError::new_err(error.to_string()),
    }
}

/// Reads the listeners; `advertise` goes to those that name none.
pub fn listeners(texts: &[String], advertise: Option<&str>) -> PyResult<Vec<ListenSpec>> {
    let invalid = |error: listen::ListenError| PyValueError::new_err(error.to_string());
    let advertised = advertise
        .map(|text| listen::parse_advertised(text).map_err(invalid))
        .transpose()?;
    let mut specs = Vec::new();
    for text in texts {
        specs.extend(listen::parse(text).map_err(invalid)?);
    }
    for spec in &mut specs {
        if spec.advertised.is_none() {
            spec.advertised.clone_from(&advertised);
        }
    }
    Ok(specs)
}

/// The number of shards.
pub fn shards(shards: usize) -> PyResult<u8> {
    match u8::try_from(shards) {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(PyValueError::new_err(format!(
            "shards={shards} is out of range: 1 to 255"
        ))),
    }
}

/// How session timers are taken (RFC 4028).
pub fn session(
    enabled: bool,
    expires: Option<u32>,
    min_se: u32,
    refresher: Option<&str>,
) -> PyResult<SessionTimers> {
    if min_se < 90 {
        return Err(PyValueError::new_err(format!(
            "min_se={min_se} is out of range: 90 seconds or more (RFC 4028 §4)"
        )));
    }
    if let Some(short) = expires.filter(|expires| *expires < min_se) {
        return Err(PyValueError::new_err(format!(
            "session_expires={short} is less than min_se={min_se}"
        )));
    }
    let refresher = match refresher {
        None => None,
        Some("uac") => Some(Refresher::Uac),
        Some("uas") => Some(Refresher::Uas),
        Some(other) => {
            return Err(PyValueError::new_err(format!(
                "session_refresher is \"uac\", \"uas\" or None, not \"{other}\""
            )));
        }
    };
    Ok(SessionTimers {
        enabled,
        expires,
        min_se,
        refresher,
        ..SessionTimers::default()
    })
}

/// Address and configuration of the control listener.
pub fn control(
    address: Option<&str>,
    secret: Option<&str>,
) -> PyResult<Option<(SocketAddr, ControlConfig)>> {
    let (address, secret) = match (address, secret) {
        (None, _) => return Ok(None),
        (Some(address), Some(secret)) if !secret.is_empty() => (address, secret),
        (Some(_), _) => {
            return Err(PyValueError::new_err(
                "control needs a secret: give secret=, which is not empty",
            ));
        }
    };
    let wanted = format!(
        "cannot listen for applications on \"{address}\": give HOST:PORT, for example 127.0.0.1:9022"
    );
    // `*` is every IPv4 address, as in `listen`.
    let text = address
        .strip_prefix("*:")
        .map_or_else(|| address.to_owned(), |port| format!("0.0.0.0:{port}"));
    let resolved = text
        .to_socket_addrs()
        .map_err(|error| PyValueError::new_err(format!("{wanted} ({error})")))?
        .next();
    let address = resolved.ok_or_else(|| PyValueError::new_err(wanted))?;
    Ok(Some((address, ControlConfig::new(secret))))
}
