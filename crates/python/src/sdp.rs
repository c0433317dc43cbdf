//! `Sdp` and `SdpMedia`: a session description (RFC 8866). Holds its bytes, which were readable when it was made.
use crate::errors::ErrorClass;
use crate::text;
use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use sip::sdp::{Attribute, Direction, Media, Rewrite, hold_state};
use std::net::IpAddr;
use std::sync::Arc;

/// A session description: immutable, and read when asked.
#[pyclass(frozen, eq, hash, module = "dracht._core")]
#[derive(PartialEq, Eq, Hash)]
pub struct Sdp(Arc<[u8]>);

/// One media section of a description.
#[pyclass(frozen, eq, hash, module = "dracht._core")]
#[derive(PartialEq, Eq, Hash)]
pub struct SdpMedia {
    text: Arc<[u8]>,
    index: usize,
}

fn read<'a>(py: Python<'_>, text: &'a [u8]) -> PyResult<sip::Sdp<'a>> {
    sip::Sdp::parse(text).map_err(|error| ErrorClass::Parse.error(py, error))
}

fn direction(name: &str) -> PyResult<Direction> {
    Direction::parse(name).ok_or_else(|| {
        PyValueError::new_err(format!(
            "a direction is sendrecv, sendonly, recvonly or inactive, not {name:?}"
        ))
    })
}

fn address(text: &str) -> PyResult<IpAddr> {
    text.parse().map_err(|_| {
        PyValueError::new_err(format!(
            "{text:?} is no IP address; write 192.0.2.1 or 2001:db8::1"
        ))
    })
}

fn pair(attribute: Attribute<'_>) -> (String, Option<String>) {
    let value = attribute.value.map(str::to_owned);
    (attribute.name.to_owned(), value)
}

/// The value of the first attribute of that name, "" for a flag.
fn value_of<'a>(attributes: impl Iterator<Item = Attribute<'a>>, name: &str) -> Option<String> {
    let mut attributes = attributes;
    let found = attributes.find(|attribute| attribute.name == name)?;
    Some(found.value.unwrap_or_default().to_owned())
}

impl Sdp {
    /// The description in these bytes.
    pub fn of(py: Python<'_>, text: Vec<u8>) -> PyResult<Sdp> {
        read(py, &text)?;
        Ok(Sdp(text.into()))
    }

    fn read(&self, py: Python<'_>) -> PyResult<sip::Sdp<'_>> {
        read(py, &self.0)
    }

    fn rewritten(&self, py: Python<'_>, change: impl FnOnce(&mut Rewrite<'_>)) -> PyResult<Sdp> {
        let mut rewrite = Rewrite::new(&self.read(py)?);
        change(&mut rewrite);
        Sdp::of(py, rewrite.finish())
    }

    /// That there is such a media section.
    fn must_have(&self, py: Python<'_>, media: Option<usize>) -> PyResult<()> {
        let count = self.read(py)?.media().len();
        match media {
            Some(index) if index >= count => Err(PyIndexError::new_err(format!(
                "there is no media section {index}: there are {count}, counted from 0"
            ))),
            _ => Ok(()),
        }
    }
}

#[pymethods]
impl Sdp {
    /// Reads a description.
    #[staticmethod]
    fn parse(py: Python<'_>, text: &Bound<'_, PyAny>) -> PyResult<Sdp> {
        Sdp::of(py, text::bytes_of(text)?.to_vec())
    }

    /// The session's identifier; "" without `o=`.
    #[getter]
    fn session_id(&self, py: Python<'_>) -> PyResult<String> {
        let origin = self.read(py)?.origin();
        Ok(origin.map_or("", |origin| origin.session_id).to_owned())
    }

    /// The version; "" without `o=`.
    #[getter]
    fn version(&self, py: Python<'_>) -> PyResult<String> {
        let origin = self.read(py)?.origin();
        Ok(origin.map_or("", |origin| origin.version).to_owned())
    }

    /// The session's name.
    #[getter]
    fn name(&self, py: Python<'_>) -> PyResult<Option<String>> {
        Ok(self.read(py)?.name().map(str::to_owned))
    }

    /// The address of media sections that name none.
    #[getter]
    fn address(&self, py: Python<'_>) -> PyResult<Option<String>> {
        let connection = self.read(py)?.connection();
        Ok(connection.map(|connection| connection.address.to_owned()))
    }

    /// The session's attributes: name and value, None for a flag.
    #[getter]
    fn attributes(&self, py: Python<'_>) -> PyResult<Vec<(String, Option<String>)>> {
        Ok(self.read(py)?.attributes().map(pair).collect())
    }

    /// The value of the session's first attribute of that name ("" for a flag); None when it is not there.
    fn attribute(&self, py: Python<'_>, name: &str) -> PyResult<Option<String>> {
        Ok(value_of(self.read(py)?.attributes(), name))
    }

    /// The media sections.
    #[getter]
    fn media(&self, py: Python<'_>) -> PyResult<Vec<SdpMedia>> {
        let of = |index| SdpMedia {
            text: Arc::clone(&self.0),
            index,
        };
        Ok((0..self.read(py)?.media().len()).map(of).collect())
    }

    /// Whether its sender holds the other side.
    #[getter]
    fn is_hold(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.read(py)?.is_hold())
    }

    /// What became of hold since the description `before` of the same side.
    #[pyo3(signature = (before=None))]
    fn hold_state(&self, py: Python<'_>, before: Option<&Sdp>) -> PyResult<&'static str> {
        let before = before.map(|before| before.read(py)).transpose()?;
        Ok(hold_state(before.as_ref(), &self.read(py)?).as_str())
    }

    /// The next version, holding the other side.
    fn hold(&self, py: Python<'_>) -> PyResult<Sdp> {
        self.rewritten(py, |rewrite| {
            rewrite.hold();
            rewrite.bump_version();
        })
    }

    /// The next version, holding the other side no more.
    fn resume(&self, py: Python<'_>) -> PyResult<Sdp> {
        self.rewritten(py, |rewrite| {
            rewrite.resume();
            rewrite.bump_version();
        })
    }

    /// The same with a version one higher.
    fn next_version(&self, py: Python<'_>) -> PyResult<Sdp> {
        self.rewritten(py, |rewrite| rewrite.bump_version())
    }

    /// The same with another address.
    #[pyo3(signature = (address, media=None))]
    fn with_address(&self, py: Python<'_>, address: &str, media: Option<usize>) -> PyResult<Sdp> {
        self.must_have(py, media)?;
        let address = self::address(address)?;
        self.rewritten(py, |rewrite| match media {
            Some(media) => rewrite.set_media_address(media, address),
            None => rewrite.set_address(address),
        })
    }

    /// The same with another port of a media section.
    fn with_port(&self, py: Python<'_>, port: u16, media: usize) -> PyResult<Sdp> {
        self.must_have(py, Some(media))?;
        self.rewritten(py, |rewrite| rewrite.set_port(media, port))
    }

    /// The same with another direction.
    #[pyo3(signature = (direction, media=None))]
    fn with_direction(
        &self,
        py: Python<'_>,
        direction: &str,
        media: Option<usize>,
    ) -> PyResult<Sdp> {
        self.must_have(py, media)?;
        let direction = self::direction(direction)?;
        let count = self.read(py)?.media().len();
        self.rewritten(py, |rewrite| {
            for index in (0..count).filter(|index| media.is_none_or(|media| media == *index)) {
                rewrite.set_direction(index, direction);
            }
        })
    }

    /// The same without a media section.
    fn without_media(&self, py: Python<'_>, media: usize) -> PyResult<Sdp> {
        self.must_have(py, Some(media))?;
        self.rewritten(py, |rewrite| rewrite.remove_media(media))
    }

    /// The same without a format of a media section.
    fn without_format(&self, py: Python<'_>, format: &str, media: usize) -> PyResult<Sdp> {
        self.must_have(py, Some(media))?;
        let mut done = false;
        let sdp = self.rewritten(py, |rewrite| done = rewrite.remove_format(media, format))?;
        if done {
            return Ok(sdp);
        }
        Err(PyValueError::new_err(format!(
            "media section {media} has no format {format:?}, or no other; refuse it with port 0 instead"
        )))
    }

    /// The same with an attribute.
    #[pyo3(signature = (name, value=None, media=None))]
    fn with_attribute(
        &self,
        py: Python<'_>,
        name: &str,
        value: Option<&str>,
        media: Option<usize>,
    ) -> PyResult<Sdp> {
        self.must_have(py, media)?;
        self.rewritten(py, |rewrite| rewrite.set_attribute(media, name, value))
    }

    /// The same without the attributes of that name.
    #[pyo3(signature = (name, media=None))]
    fn without_attribute(&self, py: Python<'_>, name: &str, media: Option<usize>) -> PyResult<Sdp> {
        self.must_have(py, media)?;
        self.rewritten(py, |rewrite| rewrite.remove_attribute(media, name))
    }

    fn __bytes__<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0)
    }

    fn __str__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        text::text(py, &self.0)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let sdp = self.read(py)?;
        let kinds: Vec<_> = sdp.media().iter().map(|media| media.kind).collect();
        Ok(format!("<Sdp {}>", kinds.join(" ")))
    }
}

impl SdpMedia {
    fn with<T>(&self, py: Python<'_>, ask: impl FnOnce(&Media<'_>) -> T) -> PyResult<T> {
        let sdp = read(py, &self.text)?;
        match sdp.media().get(self.index) {
            Some(media) => Ok(ask(media)),
            None => Err(PyIndexError::new_err("there is no such media section")),
        }
    }
}

#[pymethods]
impl SdpMedia {
    /// Which section of its description it is, from 0.
    #[getter]
    fn index(&self) -> usize {
        self.index
    }

    /// What it carries.
    #[getter]
    fn kind(&self, py: Python<'_>) -> PyResult<String> {
        self.with(py, |media| media.kind.to_owned())
    }

    /// The port.
    #[getter]
    fn port(&self, py: Python<'_>) -> PyResult<u16> {
        self.with(py, |media| media.port)
    }

    /// How many ports there are.
    #[getter]
    fn ports(&self, py: Python<'_>) -> PyResult<u32> {
        self.with(py, |media| media.ports)
    }

    /// The protocol.
    #[getter]
    fn protocol(&self, py: Python<'_>) -> PyResult<String> {
        self.with(py, |media| media.protocol.to_owned())
    }

    /// The formats.
    #[getter]
    fn formats(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        self.with(py, |media| media.formats().map(str::to_owned).collect())
    }

    /// Whether the stream is refused.
    #[getter]
    fn is_rejected(&self, py: Python<'_>) -> PyResult<bool> {
        self.with(py, |media| media.is_rejected())
    }

    /// Where media are to be sent.
    #[getter]
    fn address(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.with(py, |media| Some(media.connection()?.address.to_owned()))
    }

    /// Which way media flow.
    #[getter]
    fn direction(&self, py: Python<'_>) -> PyResult<&'static str> {
        self.with(py, |media| media.direction().as_str())
    }

    /// The attributes: name and value, None for a flag.
    #[getter]
    fn attributes(&self, py: Python<'_>) -> PyResult<Vec<(String, Option<String>)>> {
        self.with(py, |media| media.attributes().map(pair).collect())
    }

    /// The value of the first attribute of that name ("" for a flag); None when it is not there.
    fn attribute(&self, py: Python<'_>, name: &str) -> PyResult<Option<String>> {
        self.with(py, |media| value_of(media.attributes(), name))
    }

    /// What a format stands for: encoding, clock rate in Hz, channels.
    fn rtpmap(&self, py: Python<'_>, format: &str) -> PyResult<Option<(String, u32, u32)>> {
        self.with(py, |media| {
            let map = media.rtpmap(format)?;
            Some((map.encoding.to_owned(), map.clock_rate, map.channels))
        })
    }

    /// The parameters of a format.
    fn fmtp(&self, py: Python<'_>, format: &str) -> PyResult<Option<String>> {
        self.with(py, |media| media.fmtp(format).map(str::to_owned))
    }

    /// Whether ICE is used.
    #[getter]
    fn has_ice(&self, py: Python<'_>) -> PyResult<bool> {
        self.with(py, |media| media.has_ice())
    }

    /// Whether keys are in the description.
    #[getter]
    fn has_crypto(&self, py: Python<'_>) -> PyResult<bool> {
        self.with(py, |media| media.has_crypto())
    }

    /// Whether there is a certificate's fingerprint.
    #[getter]
    fn has_fingerprint(&self, py: Python<'_>) -> PyResult<bool> {
        self.with(py, |media| media.has_fingerprint())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        self.with(py, |media| {
            format!("<SdpMedia {} {}>", media.kind, media.port)
        })
    }
}
