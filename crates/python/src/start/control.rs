//! `control`, `secret`: where other applications reach the engine.
use ::control::ControlConfig;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::net::{SocketAddr, ToSocketAddrs};

/// Address and configuration of the control listener.
pub fn read(
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
