//! `control`, `secret`: where other applications reach the engine.
use ::control::{ControlConfig, ControlTls};
use net::tls::Store;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

/// Address and configuration of the control listener: `HOST:PORT`, `tcp://HOST:PORT`, or over TLS `tls://HOST:PORT`.
pub fn read(
    address: Option<&str>,
    secret: Option<&str>,
    tls: Option<&Arc<Store>>,
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
    let (is_secure, address) = match address.split_once("://") {
        Some(("tls", rest)) => (true, rest),
        Some(("tcp", rest)) => (false, rest),
        _ => (false, address),
    };
    let tls = tls.filter(|store| is_secure && store.server().is_some());
    if is_secure && tls.is_none() {
        return Err(PyValueError::new_err(format!(
            "control=\"tls://{address}\" needs a certificate: give tls=Tls(certificates=[(\"chain.pem\", \"key.pem\")])"
        )));
    }
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
    let mut config = ControlConfig::new(secret);
    config.tls = tls.cloned().map(|store| {
        // Asked for at each client, as certificates may be read anew.
        ControlTls(Arc::new(move || store.server()))
    });
    Ok(Some((address, config)))
}
