//! `Uri`: a URI of any scheme (RFC 3261 §19.1, RFC 3966). Holds its text, which was readable when it was made, and reads it when asked.
use crate::errors::ErrorClass;
use crate::text;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use sip::{Host, Scheme};

/// A URI: sip, sips, tel or any other (RFC 3261 §19.1, RFC 3966).
#[pyclass(frozen, eq, hash, str = "{0}", module = "dracht._core")]
#[derive(PartialEq, Eq, Hash)]
pub struct Uri(String);

impl Uri {
    /// Reads a URI.
    pub fn read_text(py: Python<'_>, text: &str) -> PyResult<Uri> {
        let uri = Uri(text.to_owned());
        uri.read(py)?;
        Ok(uri)
    }

    /// The URI, read.
    pub fn read(&self, py: Python<'_>) -> PyResult<sip::Uri<'_>> {
        sip::Uri::parse(&self.0).map_err(|error| ErrorClass::Uri.error(py, error))
    }
}

/// A host without brackets.
pub fn host_text(host: &Host<'_>) -> String {
    match host {
        Host::Name(name) => (*name).to_owned(),
        Host::V4(address) => address.to_string(),
        Host::V6(address) => address.to_string(),
    }
}

#[pymethods]
impl Uri {
    /// Reads a URI.
    #[staticmethod]
    fn parse(py: Python<'_>, text: &str) -> PyResult<Uri> {
        Uri::read_text(py, text)
    }

    /// The scheme in lower case.
    #[getter]
    fn scheme(&self, py: Python<'_>) -> PyResult<String> {
        Ok(match self.read(py)?.scheme() {
            Scheme::Sip => "sip".to_owned(),
            Scheme::Sips => "sips".to_owned(),
            Scheme::Tel => "tel".to_owned(),
            Scheme::Other(other) => other.to_ascii_lowercase(),
        })
    }

    /// The user part with its %-escapes decoded; of a tel URI the number.
    #[getter]
    fn user(&self, py: Python<'_>) -> PyResult<Option<String>> {
        Ok(self
            .read(py)?
            .user_decoded()
            .map(std::borrow::Cow::into_owned))
    }

    /// The user part as sent.
    #[getter]
    fn user_raw(&self, py: Python<'_>) -> PyResult<Option<String>> {
        Ok(self.read(py)?.user().map(str::to_owned))
    }

    /// The password as sent.
    #[getter]
    fn password(&self, py: Python<'_>) -> PyResult<Option<String>> {
        Ok(self.read(py)?.password().map(str::to_owned))
    }

    /// The host; IPv6 without brackets; "" in a tel URI.
    #[getter]
    fn host(&self, py: Python<'_>) -> PyResult<String> {
        Ok(host_text(&self.read(py)?.host()))
    }

    /// The port, where one is given.
    #[getter]
    fn port(&self, py: Python<'_>) -> PyResult<Option<u16>> {
        Ok(self.read(py)?.port())
    }

    /// The URI parameters, names in lower case; None for one without a value.
    #[getter]
    fn params<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        text::parameters(py, self.read(py)?.params().iter())
    }

    /// The value of a URI parameter ("" when it has none); None when it is not there.
    fn param(&self, py: Python<'_>, name: &str) -> PyResult<Option<String>> {
        Ok(self
            .read(py)?
            .param(name)
            .map(|value| value.unwrap_or_default().to_owned()))
    }

    /// The header fields after `?`, names and values as sent (RFC 3261 §19.1.1).
    #[getter]
    fn headers(&self, py: Python<'_>) -> PyResult<Vec<(String, String)>> {
        Ok(self
            .read(py)?
            .headers()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect())
    }

    /// The transport parameter, as sent.
    #[getter]
    fn transport(&self, py: Python<'_>) -> PyResult<Option<String>> {
        Ok(self.read(py)?.transport().map(str::to_owned))
    }

    /// Whether the lr parameter is there (RFC 3261 §19.1.1).
    #[getter]
    fn is_loose_router(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.read(py)?.is_loose_router())
    }

    /// Whether both name the same resource (RFC 3261 §19.1.4).
    fn equivalent(&self, py: Python<'_>, other: &Uri) -> PyResult<bool> {
        Ok(self.read(py)?.equivalent(&other.read(py)?))
    }

    fn __repr__(&self) -> String {
        format!("Uri({})", self.0)
    }
}
