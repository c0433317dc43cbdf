//! `UserToUser` (RFC 7433) and `GeolocationError` (RFC 6442).
use super::{held, written};
use crate::errors::ErrorClass;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use std::borrow::Cow;

held!(
    /// Data of the application that travels with a call (RFC 7433).
    UserToUser,
    sip::header::UserToUser<'_>,
    UserToUser
);

#[pymethods]
impl UserToUser {
    #[new]
    #[pyo3(signature = (data, *, purpose=None, content=None, encoding=None))]
    fn new(
        py: Python<'_>,
        data: &Bound<'_, PyAny>,
        purpose: Option<&str>,
        content: Option<&str>,
        encoding: Option<&str>,
    ) -> PyResult<UserToUser> {
        let mut value = if let Ok(bytes) = data.cast::<PyBytes>() {
            sip::header::UserToUser::from_bytes(bytes.as_bytes())
        } else if let Ok(text) = data.cast::<PyString>() {
            sip::header::UserToUser {
                data: Cow::Owned(text.to_str()?.to_owned()),
                // Hexadecimal digits are sent as a word, other text in quotes.
                quoted: !encoding.is_some_and(|encoding| encoding.eq_ignore_ascii_case("hex")),
                encoding: encoding.map(Cow::Borrowed),
                ..sip::header::UserToUser::from_bytes(b"")
            }
        } else {
            let text = "data is bytes, which are sent in hexadecimal digits, or str";
            return Err(PyTypeError::new_err(text));
        };
        value.purpose = purpose.map(Cow::Borrowed);
        value.content = content.map(Cow::Borrowed);
        written(py, &value)
    }

    /// The data as text, without quotes.
    #[getter]
    fn data(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.read(py)?.data.into_owned())
    }

    /// What uses it.
    #[getter]
    fn purpose(&self, py: Python<'_>) -> PyResult<Option<String>> {
        Ok(self.read(py)?.purpose.map(Cow::into_owned))
    }

    /// What it holds.
    #[getter]
    fn content(&self, py: Python<'_>) -> PyResult<Option<String>> {
        Ok(self.read(py)?.content.map(Cow::into_owned))
    }

    /// How it is written.
    #[getter]
    fn encoding(&self, py: Python<'_>) -> PyResult<Option<String>> {
        Ok(self.read(py)?.encoding.map(Cow::into_owned))
    }

    /// The data as bytes.
    fn decode<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = self.read(py)?.decode();
        let bytes = bytes.map_err(|error| ErrorClass::Header.error(py, error))?;
        Ok(PyBytes::new(py, &bytes))
    }

    fn __repr__(&self) -> String {
        format!("UserToUser({})", self.0)
    }
}

held!(
    /// Why a location was of no use (RFC 6442 §4.3).
    GeolocationError,
    sip::header::GeolocationError<'_>,
    GeolocationError
);

#[pymethods]
impl GeolocationError {
    #[new]
    #[pyo3(signature = (code, text=None))]
    fn new(py: Python<'_>, code: u32, text: Option<&str>) -> PyResult<GeolocationError> {
        let text = text.map(Cow::Borrowed);
        written(py, &sip::header::GeolocationError { code, text })
    }

    /// The code.
    #[getter]
    fn code(&self, py: Python<'_>) -> PyResult<u32> {
        Ok(self.read(py)?.code)
    }

    /// The text for people.
    #[getter]
    fn text(&self, py: Python<'_>) -> PyResult<Option<String>> {
        Ok(self.read(py)?.text.map(Cow::into_owned))
    }

    fn __repr__(&self) -> String {
        format!("GeolocationError({})", self.0)
    }
}
