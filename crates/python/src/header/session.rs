//! `SessionExpires` (RFC 4028 §4).
use super::{held, written};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use sip::header::Refresher;

held!(
    /// How long a session lives without a refresh, and who refreshes it (Session-Expires, RFC 4028 §4).
    SessionExpires,
    sip::header::SessionExpires,
    SessionExpires
);

#[pymethods]
impl SessionExpires {
    #[new]
    #[pyo3(signature = (seconds, refresher=None))]
    fn new(py: Python<'_>, seconds: u32, refresher: Option<&str>) -> PyResult<SessionExpires> {
        let refresher = match refresher {
            None => None,
            Some("uac") => Some(Refresher::Uac),
            Some("uas") => Some(Refresher::Uas),
            Some(other) => {
                let text = format!("refresher is \"uac\", \"uas\" or None, not {other:?}");
                return Err(PyValueError::new_err(text));
            }
        };
        written(py, &sip::header::SessionExpires { seconds, refresher })
    }

    /// The interval in seconds.
    #[getter]
    fn seconds(&self, py: Python<'_>) -> PyResult<u32> {
        Ok(self.read(py)?.seconds)
    }

    /// Who refreshes.
    #[getter]
    fn refresher(&self, py: Python<'_>) -> PyResult<Option<&'static str>> {
        Ok(self.read(py)?.refresher.map(Refresher::as_str))
    }

    fn __repr__(&self) -> String {
        format!("SessionExpires({})", self.0)
    }
}
