//! The message of the Rust half, as Python sees it: `Message`. Nothing is turned into Python objects before it is asked for.
use crate::address::Address;
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
pub struct Message(Arc<sip::Message>);

impl Message {
    /// The Python side of a message.
    pub fn new(message: Arc<sip::Message>) -> Message {
        Message(message)
    }

    fn addresses(&self, py: Python<'_>, name: HeaderName) -> PyResult<Vec<Address>> {
        self.0
            .values(name)
            .map(|value| Address::from_header(py, name, &value))
            .collect()
    }

    fn address(&self, py: Python<'_>, name: HeaderName) -> PyResult<Address> {
        match self.0.header(name) {
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
            Ok(message) => Ok(Message(Arc::new(message))),
            Err(error) => Err(ErrorClass::Parse.error(py, error)),
        }
    }

    /// Whether this is a request.
    #[getter]
    fn is_request(&self) -> bool {
        self.0.is_request()
    }

    /// The method: of the start line, in a response of CSeq ("" when that is unreadable).
    #[getter]
    fn method<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        text::method(py, &self.0.method())
    }

    /// The status code; 0 in a request.
    #[getter]
    fn status(&self) -> u16 {
        self.0.status()
    }

    /// The reason phrase; "" in a request.
    #[getter]
    fn reason<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        text::text(py, self.0.reason_bytes())
    }

    /// The request-URI as sent; "" in a response.
    #[getter]
    fn uri(&self) -> &str {
        self.0.request_uri()
    }

    /// The Call-ID; "" when there is none.
    #[getter]
    fn call_id(&self) -> &str {
        self.0.call_id().unwrap_or("")
    }

    /// The body.
    #[getter]
    fn body<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.body())
    }

    /// The value of Content-Type.
    #[getter]
    fn content_type<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
        self.0
            .header(HeaderName::ContentType)
            .map(|field| text::text(py, &field.value()))
            .transpose()
    }

    /// The value of the first header field of that name, unfolded; None when there is none.
    fn header<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Option<Bound<'py, PyString>>> {
        self.0
            .named(name)
            .next()
            .map(|field| text::text(py, &field.value()))
            .transpose()
    }

    /// The value of every header field of that name, one item per field, in order.
    fn headers_all<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Vec<Bound<'py, PyString>>> {
        self.0
            .named(name)
            .map(|field| text::text(py, &field.value()))
            .collect()
    }

    /// Every single value of that header: comma-separated lists split outside quotes and angle brackets.
    fn values<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Vec<Bound<'py, PyString>>> {
        self.0
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
        self.0
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
        match self.0.values(HeaderName::Via).next() {
            Some(value) => Via::from_header(py, &value),
            None => Err(missing(py, HeaderName::Via)),
        }
    }

    /// Every Via, top first.
    #[getter]
    fn vias(&self, py: Python<'_>) -> PyResult<Vec<Via>> {
        self.0
            .values(HeaderName::Via)
            .map(|value| Via::from_header(py, &value))
            .collect()
    }

    /// The CSeq header field.
    #[getter]
    fn cseq(&self, py: Python<'_>) -> PyResult<CSeq> {
        self.0
            .cseq()
            .map(CSeq::new)
            .map_err(|error| ErrorClass::Header.error(py, error))
    }

    fn __bytes__<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.as_bytes())
    }

    fn __str__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        text::text(py, self.0.as_bytes())
    }

    fn __repr__(&self) -> String {
        if self.0.is_request() {
            format!(
                "<Message {} {}>",
                self.0.method().as_str(),
                self.0.request_uri()
            )
        } else {
            format!("<Message {} {}>", self.0.status(), self.0.method().as_str())
        }
    }

    fn __len__(&self) -> usize {
        self.0.as_bytes().len()
    }

    fn __eq__(&self, other: &Message) -> bool {
        self.0.as_bytes() == other.0.as_bytes()
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.0.as_bytes().hash(&mut hasher);
        hasher.finish()
    }
}
