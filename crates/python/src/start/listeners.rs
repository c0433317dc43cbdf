//! `listen`, `advertise`: what the engine listens on.
use net::listen::{self, ListenSpec};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

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
        if spec.advertised.is_none() {
            spec.advertised.clone_from(&advertised);
        }
    }
    Ok(specs)
}
