//! Starts and stops what an `Engine` stands for: the server of `net`, and the control listener as its companion. The arguments of
//! `Engine.start` that need reading are read beside, a file a concern.
pub mod admission;
pub mod control;
pub mod dns;
pub mod listeners;
pub mod network;
pub mod session;
pub mod streams;
pub mod tls;

use crate::answering::Writer;
use ::control::ControlConfig;
use engine::seam::Commands;
use net::ServerConfig;
use net::config::Companion;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A running server.
pub struct Running {
    commands: Arc<dyn Commands>,
    /// Until it is stopped.
    server: Mutex<Option<net::Server>>,
    control_address: Option<SocketAddr>,
    tls: Option<Arc<net::tls::Store>>,
    writer: Writer,
}

impl Running {
    /// Opens the listeners and starts the threads.
    pub fn start(
        mut config: ServerConfig,
        control: Option<(SocketAddr, ControlConfig)>,
    ) -> PyResult<Running> {
        let mut control_address = None;
        if let Some((address, control)) = control {
            let listener = ::control::Listener::bind(address)
                .map_err(|error| cannot_listen(address, &error))?;
            control_address = Some(listener.address()?);
            let serve: Companion = Box::new(move |commands| {
                Box::pin(async move {
                    if let Err(error) = ::control::serve(listener, control, commands).await {
                        tracing::error!(%error, "the control listener ended");
                    }
                })
            });
            config.companions.push(serve);
        }
        let tls = config.tls.clone();
        let server = net::Server::start(config).map_err(start_error)?;
        Ok(Running {
            commands: server.commands(),
            writer: Writer::new(server.replier()),
            server: Mutex::new(Some(server)),
            control_address,
            tls,
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

    /// Reads the certificates' files again; whether there are any.
    pub fn reload_certificates(&self) -> PyResult<bool> {
        let Some(tls) = &self.tls else {
            return Ok(false);
        };
        let unusable = |error| PyValueError::new_err(format!("TLS: {error}"));
        tls.reload().map_err(unusable)?;
        Ok(true)
    }

    /// Takes no new requests any more.
    pub fn drain(&self) {
        let server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = server.as_ref() {
            server.drain();
        }
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

/// The number of shards.
pub fn shards(shards: usize) -> PyResult<u8> {
    match u8::try_from(shards) {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(PyValueError::new_err(format!(
            "shards={shards} is out of range: 1 to 255"
        ))),
    }
}

/// The attribute of a configuration that is a length of time in seconds.
fn duration(given: &Bound<'_, PyAny>, of: &str, name: &str) -> PyResult<Duration> {
    let seconds: f64 = given.getattr(name)?.extract()?;
    crate::draft::seconds(&format!("{of}: {name}"), seconds)
}
