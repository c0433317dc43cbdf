//! `Reason` (RFC 3326) and `RetryAfter` (RFC 3261 §20.33).
use super::{held, word, written};
use pyo3::prelude::*;
use sip::HeaderName;
use std::borrow::Cow;

held!(
    /// Why a request was sent or a call ended (RFC 3326).
    Reason,
    sip::header::Reason<'_>,
    Reason
);

#[pymethods]
impl Reason {
    #[new]
    #[pyo3(signature = (protocol, cause=None, text=None))]
    fn new(
        py: Python<'_>,
        protocol: &str,
        cause: Option<u32>,
        text: Option<&str>,
    ) -> PyResult<Reason> {
        let value = sip::header::Reason {
            protocol: Cow::Borrowed(word(py, HeaderName::Reason, protocol)?),
            cause,
            text: text.map(Cow::Borrowed),
        };
        written(py, &value)
    }

    /// The protocol that the cause is a number of, as sent.
    #[getter]
    fn protocol(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.read(py)?.protocol.into_owned())
    }

    /// The cause.
    #[getter]
    fn cause(&self, py: Python<'_>) -> PyResult<Option<u32>> {
        Ok(self.read(py)?.cause)
    }

    /// The text for people.
    #[getter]
    fn text(&self, py: Python<'_>) -> PyResult<Option<String>> {
        Ok(self.read(py)?.text.map(Cow::into_owned))
    }

    fn __repr__(&self) -> String {
        format!("Reason({})", self.0)
    }
}

held!(
    /// When to try again (RFC 3261 §20.33).
    RetryAfter,
    sip::header::RetryAfter<'_>,
    RetryAfter
);

#[pymethods]
impl RetryAfter {
    #[new]
    #[pyo3(signature = (seconds, comment=None, *, duration=None))]
    fn new(
        py: Python<'_>,
        seconds: u32,
        comment: Option<&str>,
        duration: Option<u32>,
    ) -> PyResult<RetryAfter> {
        let value = sip::header::RetryAfter {
            seconds,
            comment: comment.map(Cow::Borrowed),
            duration,
        };
        written(py, &value)
    }

    /// How long to wait, in seconds.
    #[getter]
    fn seconds(&self, py: Python<'_>) -> PyResult<u32> {
        Ok(self.read(py)?.seconds)
    }

    /// The comment for people.
    #[getter]
    fn comment(&self, py: Python<'_>) -> PyResult<Option<String>> {
        Ok(self.read(py)?.comment.map(Cow::into_owned))
    }

    /// How long the sender can be reached from then on, in seconds.
    #[getter]
    fn duration(&self, py: Python<'_>) -> PyResult<Option<u32>> {
        Ok(self.read(py)?.duration)
    }

    fn __repr__(&self) -> String {
        format!("RetryAfter({})", self.0)
    }
}
