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
    for spec in &mut specs {
        let is_theirs = |(host, _): &&(String, Option<u16>)| {
            let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
            // A name may have addresses of either family; an address of one is nowhere for peers of the other.
            let address = address.ok();
            address.is_none_or(|address| address.is_ipv4() == spec.host.is_ipv4())
        };
        if spec.advertised.is_none() {
            spec.advertised = advertised.as_ref().filter(is_theirs).cloned();
        }
    }
    Ok(specs)
}
