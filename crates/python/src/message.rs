//! The message of the Rust half, as Python sees it: `Message`. Nothing is turned into Python objects before it is asked for.
use crate::address::Address;
use crate::answering::Answering;
use crate::cseq::CSeq;
use crate::errors::ErrorClass;
use crate::text;
use crate::via::Via;
use bytes::Bytes;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use sip::{Field, HeaderName, Limits};
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A SIP request or response as it was on the wire (RFC 3261 §7): immutable, its headers read when asked for.
#[pyclass(frozen, module = "dracht._core")]
pub struct Message {
    inner: Arc<sip::Message>,
    /// In a request that may be answered.
    answering: Option<Box<Answering>>,
}

impl Message {
    /// The Python side of a message.
    pub fn new(inner: Arc<sip::Message>) -> Message {
        Message {
            inner,
            answering: None,
        }
    }

    /// The Python side of a request that may be answered.
    pub fn asking(inner: Arc<sip::Message>, answering: Answering) -> Message {
        Message {
            inner,
            answering: Some(Box::new(answering)),
        }
    }

    /// The message, and what an answer to it needs.
    pub fn answering(&self) -> Option<(&sip::Message, &Answering)> {
        Some((&self.inner, self.answering.as_deref()?))
    }

    /// The message itself.
    pub fn inner(&self) -> &sip::Message {
        &self.inner
    }

    fn addresses(&self, py: Python<'_>, name: HeaderName) -> PyResult<Vec<Address>> {
        self.inner
            .values(name)
            .map(|value| Address::from_header(py, name, &value))
            .collect()
    }

    fn address(&self, py: Python<'_>, name: HeaderName) -> PyResult<Address> {
        match self.inner.header(name) {
            Some(field) => Address::from_header(py, name, &field.text()),
            None => Err(missing(py, name)),
        }
    }
}

fn missing(py: Python<'_>, name: HeaderName) -> PyErr {
    ErrorClass::Header.error(
        py,
        format!("the message has no {} header field", name.as_str()),
    )
}

#[pymethods]
impl Message {
    /// Reads one whole message: a datagram, or what a stream's framing gave.
    #[staticmethod]
    fn parse(py: Python<'_>, data: &[u8]) -> PyResult<Message> {
        match sip::Message::parse(Bytes::copy_from_slice(data), &Limits::unlimited()) {
            Ok(message) => Ok(Message::new(Arc::new(message))),
            Err(error) => Err(ErrorClass::Parse.error(py, error)),
        }
    }

    /// Whether this is a request.
    #[getter]
    fn is_request(&self) -> bool {
        self.inner.is_request()
    }

    /// The method: of the start line, in a response of CSeq ("" when that is unreadable).
    #[getter]
    fn method<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        text::method(py, &self.inner.method())
    }

    /// The status code; 0 in a request.
    #[getter]
    fn status(&self) -> u16 {
        self.inner.status()
    }

    /// The reason phrase; "" in a request.
    #[getter]
    fn reason<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        text::text(py, self.inner.reason_bytes())
    }

    /// The request-URI as sent; "" in a response.
    #[getter]
    fn uri(&self) -> &str {
        self.inner.request_uri()
    }

    /// The Call-ID; "" when there is none.
    #[getter]
    fn call_id(&self) -> &str {
        self.inner.call_id().unwrap_or("")
    }

    /// The body.
    #[getter]
    fn body<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.inner.body())
    }

    /// The value of Content-Type.
    #[getter]
    fn content_type<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
        self.inner
            .header(HeaderName::ContentType)
            .map(|field| text::text(py, &field.value()))
            .transpose()
    }

    /// The value of the first header field of that name, unfolded; None when there is none.
    fn header<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Option<Bound<'py, PyString>>> {
        self.inner
            .named(name)
            .next()
            .map(|field| text::text(py, &field.value()))
            .transpose()
    }

    /// The value of every header field of that name, one item per field, in order.
    fn headers_all<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Vec<Bound<'py, PyString>>> {
        self.inner
            .named(name)
            .map(|field| text::text(py, &field.value()))
            .collect()
    }

    /// Every single value of that header: comma-separated lists split outside quotes and angle brackets.
    fn values<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Vec<Bound<'py, PyString>>> {
        self.inner
            .named(name)
            .flat_map(|field| field.values())
            .map(|value| text::text(py, &value))
            .collect()
    }

    /// Every header field in order: name as sent (compact forms in the long one, known names spelled as in the RFC), value.
    fn fields<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<Vec<(Bound<'py, PyString>, Bound<'py, PyString>)>> {
        let name = |field: &Field<'_>| match field.name() {
            HeaderName::Other => PyString::new(py, field.raw_name()),
            known => PyString::intern(py, known.as_str()),
        };
        self.inner
            .fields()
            .map(|field| Ok((name(&field), text::text(py, &field.value())?)))
            .collect()
    }

    /// The From header field.
    #[getter]
    fn from_(&self, py: Python<'_>) -> PyResult<Address> {
        self.address(py, HeaderName::From)
    }

    /// The To header field.
    #[getter]
    fn to(&self, py: Python<'_>) -> PyResult<Address> {
        self.address(py, HeaderName::To)
    }

    /// Every Contact; for `Contact: *` one Address whose `is_wildcard` is true.
    #[getter]
    fn contacts(&self, py: Python<'_>) -> PyResult<Vec<Address>> {
        self.addresses(py, HeaderName::Contact)
    }

    /// Every Route, top first.
    #[getter]
    fn routes(&self, py: Python<'_>) -> PyResult<Vec<Address>> {
        self.addresses(py, HeaderName::Route)
    }

    /// Every Record-Route, top first.
    #[getter]
    fn record_routes(&self, py: Python<'_>) -> PyResult<Vec<Address>> {
        self.addresses(py, HeaderName::RecordRoute)
    }

    /// The top Via.
    #[getter]
    fn via(&self, py: Python<'_>) -> PyResult<Via> {
        match self.inner.values(HeaderName::Via).next() {
            Some(value) => Via::from_header(py, &value),
            None => Err(missing(py, HeaderName::Via)),
        }
    }

    /// Every Via, top first.
    #[getter]
    fn vias(&self, py: Python<'_>) -> PyResult<Vec<Via>> {
        self.inner
            .values(HeaderName::Via)
            .map(|value| Via::from_header(py, &value))
            .collect()
    }

    /// The CSeq header field.
    #[getter]
    fn cseq(&self, py: Python<'_>) -> PyResult<CSeq> {
        self.inner
            .cseq()
            .map(CSeq::new)
            .map_err(|error| ErrorClass::Header.error(py, error))
    }

    fn __bytes__<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.inner.as_bytes())
    }

    fn __str__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        text::text(py, self.inner.as_bytes())
    }

    fn __repr__(&self) -> String {
        if self.inner.is_request() {
            format!(
                "<Message {} {}>",
                self.inner.method().as_str(),
                self.inner.request_uri()
            )
        } else {
            format!(
                "<Message {} {}>",
                self.inner.status(),
                self.inner.method().as_str()
            )
        }
    }

    fn __len__(&self) -> usize {
        self.inner.as_bytes().len()
    }

    fn __eq__(&self, other: &Message) -> bool {
        self.inner.as_bytes() == other.inner.as_bytes()
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.inner.as_bytes().hash(&mut hasher);
        hasher.finish()
    }
}
