//! Reads `Tls` (`python/dracht/tls.py`, which documents each attribute), by attribute, and the files that it names.
use super::duration;
use net::tls::{CertificateFiles, ClientCertificates, Store, TlsConfig};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::path::PathBuf;
use std::sync::Arc;

/// What `Tls` says; none for None.
pub fn config(given: Option<&Bound<'_, PyAny>>) -> PyResult<Option<TlsConfig>> {
    let Some(given) = given else {
        return Ok(None);
    };
    let certificates: Vec<(PathBuf, PathBuf)> = given.getattr("certificates")?.extract()?;
    let client_certificates: String = given.getattr("client_certificates")?.extract()?;
    let minimum_version: String = given.getattr("minimum_version")?.extract()?;
    Ok(Some(TlsConfig {
        certificates: certificates
            .into_iter()
            .map(|(chain, key)| CertificateFiles { chain, key })
            .collect(),
        client_certificates: match client_certificates.as_str() {
            "no" => ClientCertificates::No,
            "asked" => ClientCertificates::Asked,
            "demanded" => ClientCertificates::Demanded,
            other => {
                return Err(PyValueError::new_err(format!(
                    "Tls: client_certificates is \"no\", \"asked\" or \"demanded\", not \"{other}\""
                )));
            }
        },
        authorities: given.getattr("authorities")?.extract()?,
        verify: given.getattr("verify")?.extract()?,
        only_tls13: match minimum_version.as_str() {
            "1.2" => false,
            "1.3" => true,
            other => {
                return Err(PyValueError::new_err(format!(
                    "Tls: minimum_version is \"1.2\" or \"1.3\", not \"{other}\""
                )));
            }
        },
        reload_interval: duration(given, "Tls", "reload_interval")?,
        expiry_warning: duration(given, "Tls", "expiry_warning")?,
    }))
}

/// Reads the files.
pub fn store(config: TlsConfig) -> PyResult<Arc<Store>> {
    let store =
        Store::open(config).map_err(|error| PyValueError::new_err(format!("TLS: {error}")))?;
    Ok(Arc::new(store))
}

/// Reads the files of a `Tls` as the start would, and keeps nothing of them.
#[pyfunction]
pub fn check_tls(tls: &Bound<'_, PyAny>) -> PyResult<()> {
    config(Some(tls))?.map_or(Ok(()), |config| store(config).map(drop))
}
