//! `Via`: one Via value (RFC 3261 §20.42). Holds its text, which was readable when it was made, and reads it when asked.
use crate::errors::ErrorClass;
use crate::text;
use crate::uri::host_text;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// A Via value (RFC 3261 §20.42).
#[pyclass(frozen, eq, hash, str = "{0}", module = "dracht._core")]
#[derive(PartialEq, Eq, Hash)]
pub struct Via(String);

impl Via {
    /// Of a header field's value.
    pub fn from_header(py: Python<'_>, value: &str) -> PyResult<Via> {
        let via = Via(value.to_owned());
        via.read(py)?;
        Ok(via)
    }

    fn read(&self, py: Python<'_>) -> PyResult<sip::header::Via<'_>> {
        sip::header::Via::parse(&self.0).map_err(|error| ErrorClass::Header.error(py, error))
    }
}

#[pymethods]
impl Via {
    /// The transport, as sent: `UDP`.
    #[getter]
    fn transport(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.read(py)?.transport.to_owned())
    }

    /// The host of sent-by; IPv6 without brackets.
    #[getter]
    fn host(&self, py: Python<'_>) -> PyResult<String> {
        Ok(host_text(&self.read(py)?.host))
    }

    /// The port of sent-by, where one is given.
    #[getter]
    fn port(&self, py: Python<'_>) -> PyResult<Option<u16>> {
        Ok(self.read(py)?.port)
    }

    /// The branch parameter.
    #[getter]
    fn branch(&self, py: Python<'_>) -> PyResult<Option<String>> {
        Ok(self.read(py)?.branch().map(str::to_owned))
    }

    /// The received parameter.
    #[getter]
    fn received(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.param(py, "received")
    }

    /// The value of the rport parameter (RFC 3581); None when it is absent or has none.
    #[getter]
    fn rport(&self, py: Python<'_>) -> PyResult<Option<u16>> {
        Ok(self.read(py)?.rport().flatten())
    }

    /// Every parameter, names in lower case; None for one without a value.
    #[getter]
    fn params<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        text::parameters(py, self.read(py)?.params.iter())
    }

    /// The value of a parameter ("" when it has none); None when it is not there.
    fn param(&self, py: Python<'_>, name: &str) -> PyResult<Option<String>> {
        Ok(self
            .read(py)?
            .params
            .get(name)
            .map(|value| value.unwrap_or_default().into_owned()))
    }

    fn __repr__(&self) -> String {
        format!("Via({})", self.0)
    }
}
