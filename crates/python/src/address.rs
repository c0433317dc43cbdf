//! `Address`: From, To, Contact, Route (RFC 3261 §20.10). Holds its text, which was readable when it was made, and reads it when
//! asked.
use crate::errors::ErrorClass;
use crate::text;
use crate::uri::Uri;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use sip::HeaderName;

/// A name-addr or addr-spec with its parameters: From, To, Contact, Route (RFC 3261 §20.10, §25.1).
#[pyclass(frozen, eq, hash, str = "{0}", module = "dracht._core")]
#[derive(PartialEq, Eq, Hash)]
pub struct Address(String);

impl Address {
    /// Of a header field's value.
    pub fn from_header(py: Python<'_>, name: HeaderName, value: &str) -> PyResult<Address> {
        match sip::header::Address::parse(value) {
            Ok(_) => Ok(Address(value.to_owned())),
            Err(error) => Err(ErrorClass::Header.error(py, format!("{}: {error}", name.as_str()))),
        }
    }

    /// The address, read.
    pub fn read(&self, py: Python<'_>) -> PyResult<sip::header::Address<'_>> {
        sip::header::Address::parse(&self.0).map_err(|error| ErrorClass::Header.error(py, error))
    }
}

#[pymethods]
impl Address {
    /// Reads an address as a header field holds it.
    #[staticmethod]
    fn parse(py: Python<'_>, text: &str) -> PyResult<Address> {
        let address = Address(text.trim().to_owned());
        address.read(py)?;
        Ok(address)
    }

    /// The display name without its quotes; None when there is none.
    #[getter]
    fn display(&self, py: Python<'_>) -> PyResult<Option<String>> {
        Ok(self.read(py)?.display.map(std::borrow::Cow::into_owned))
    }

    /// The URI.
    #[getter]
    fn uri(&self, py: Python<'_>) -> PyResult<Uri> {
        Uri::read_text(py, self.read(py)?.uri_text)
    }

    /// The URI as sent.
    #[getter]
    fn uri_text(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.read(py)?.uri_text.to_owned())
    }

    /// The tag parameter.
    #[getter]
    fn tag(&self, py: Python<'_>) -> PyResult<Option<String>> {
        Ok(self.read(py)?.tag().map(str::to_owned))
    }

    /// The header parameters, names in lower case; None for one without a value.
    #[getter]
    fn params<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        text::parameters(py, self.read(py)?.params.iter())
    }

    /// The value of a header parameter ("" when it has none); None when it is not there.
    fn param(&self, py: Python<'_>, name: &str) -> PyResult<Option<String>> {
        Ok(self
            .read(py)?
            .params
            .get(name)
            .map(|value| value.unwrap_or_default().into_owned()))
    }

    /// Whether this is the `*` of a Contact (RFC 3261 §10.2.2).
    #[getter]
    fn is_wildcard(&self) -> bool {
        self.0 == "*"
    }

    fn __repr__(&self) -> String {
        format!("Address({})", self.0)
    }
}
