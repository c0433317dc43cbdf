//! `listen`, `advertise`: what the engine listens on.
use net::listen::{self, ListenSpec};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::net::IpAddr;

/// Reads the listeners; `advertise` goes to those that name none.
pub fn read(texts: &[String], advertise: Option<&str>) -> PyResult<Vec<ListenSpec>> {
    let invalid = |error: listen::ListenError| PyValueError::new_err(error.to_string());
    let advertised = advertise
        .map(|text| listen::parse_advertised(text).map_err(invalid))
        .transpose()?;
    let mut specs = Vec::new();
    for text in texts {
        specs.extend(listen::parse(text).map_err(invalid)?);
    }
    let Some((host, port)) = advertised else {
        return Ok(specs);
    };
    // A name may have addresses of either family; an address of one is nowhere for peers of the other.
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
    let is_theirs =
        |spec: &ListenSpec| address.is_none_or(|address| address.is_ipv4() == spec.host.is_ipv4());
    // Where no listener is of its family, something before us translates for all of them.
    let is_for_all = !specs.iter().any(is_theirs);
    for spec in &mut specs {
        if spec.advertised.is_none() && (is_for_all || is_theirs(spec)) {
            spec.advertised = Some((host.clone(), port));
        }
    }
    Ok(specs)
}
