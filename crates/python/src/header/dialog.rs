//! Header fields that name a dialog or a response: `Replaces`, `Join`, `TargetDialog`, `RAck`.
use super::{held, word, written};
use crate::text;
use crate::uri::Uri;
use pyo3::prelude::*;
use pyo3::types::PyString;
use sip::HeaderName;
use std::borrow::Cow;

held!(
    /// The dialog that a new one is to replace, as its receiver knows it (RFC 3891 §6.1).
    Replaces,
    sip::header::Replaces<'_>,
    Replaces
);
held!(
    /// The dialog that a new one is to join (RFC 3911 §7.1).
    Join,
    sip::header::Join<'_>,
    Join
);
held!(
    /// The dialog that proves who sends a request (RFC 4538 §7).
    TargetDialog,
    sip::header::TargetDialog<'_>,
    TargetDialog
);
held!(
    /// Which reliable provisional response a PRACK acknowledges (RFC 3262 §7.2).
    RAck,
    sip::header::RAck,
    RAck
);

/// The parts of a name, checked.
fn names<'a>(py: Python<'_>, name: HeaderName, parts: [&'a str; 3]) -> PyResult<[Cow<'a, str>; 3]> {
    let [call_id, first, second] = parts;
    // The call-ID's grammar is wider than a token's; reading it again checks it.
    let (first, second) = (word(py, name, first)?, word(py, name, second)?);
    Ok([call_id, first, second].map(Cow::Borrowed))
}

#[pymethods]
impl Replaces {
    #[new]
    #[pyo3(signature = (call_id, to_tag, from_tag, *, early_only=false))]
    fn new(
        py: Python<'_>,
        call_id: &str,
        to_tag: &str,
        from_tag: &str,
        early_only: bool,
    ) -> PyResult<Replaces> {
        let parts = [call_id, to_tag, from_tag];
        let [call_id, to_tag, from_tag] = names(py, HeaderName::Replaces, parts)?;
        let value = sip::header::Replaces {
            call_id,
            to_tag,
            from_tag,
            early_only,
        };
        written(py, &value)
    }

    /// Reads the Replaces in the header part of a URI, of a Refer-To for one.
    #[staticmethod]
    fn from_uri(py: Python<'_>, uri: &Uri) -> PyResult<Option<Replaces>> {
        let found = sip::header::Replaces::from_uri(&uri.read(py)?)
            .map_err(|error| crate::errors::ErrorClass::Header.error(py, error))?;
        found.map(|value| written(py, &value)).transpose()
    }

    /// The Call-ID.
    #[getter]
    fn call_id(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.read(py)?.call_id.into_owned())
    }

    /// The tag of the side that receives the request.
    #[getter]
    fn to_tag(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.read(py)?.to_tag.into_owned())
    }

    /// The tag of its peer.
    #[getter(from_tag)]
    fn peer_tag(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.read(py)?.from_tag.into_owned())
    }

    /// Whether only an early dialog is to be replaced.
    #[getter]
    fn early_only(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.read(py)?.early_only)
    }

    fn __repr__(&self) -> String {
        format!("Replaces({})", self.0)
    }
}

#[pymethods]
impl Join {
    #[new]
    fn new(py: Python<'_>, call_id: &str, to_tag: &str, from_tag: &str) -> PyResult<Join> {
        let parts = [call_id, to_tag, from_tag];
        let [call_id, to_tag, from_tag] = names(py, HeaderName::Join, parts)?;
        let value = sip::header::Join {
            call_id,
            to_tag,
            from_tag,
        };
        written(py, &value)
    }

    /// The Call-ID.
    #[getter]
    fn call_id(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.read(py)?.call_id.into_owned())
    }

    /// The tag of the side that receives the request.
    #[getter]
    fn to_tag(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.read(py)?.to_tag.into_owned())
    }

    /// The tag of its peer.
    #[getter(from_tag)]
    fn peer_tag(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.read(py)?.from_tag.into_owned())
    }

    fn __repr__(&self) -> String {
        format!("Join({})", self.0)
    }
}

#[pymethods]
impl TargetDialog {
    #[new]
    fn new(
        py: Python<'_>,
        call_id: &str,
        local_tag: &str,
        remote_tag: &str,
    ) -> PyResult<TargetDialog> {
        let parts = [call_id, local_tag, remote_tag];
        let [call_id, local_tag, remote_tag] = names(py, HeaderName::TargetDialog, parts)?;
        let value = sip::header::TargetDialog {
            call_id,
            local_tag,
            remote_tag,
        };
        written(py, &value)
    }

    /// The Call-ID.
    #[getter]
    fn call_id(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.read(py)?.call_id.into_owned())
    }

    /// The tag of the side that sent the request.
    #[getter]
    fn local_tag(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.read(py)?.local_tag.into_owned())
    }

    /// The tag of the side that receives it.
    #[getter]
    fn remote_tag(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.read(py)?.remote_tag.into_owned())
    }

    fn __repr__(&self) -> String {
        format!("TargetDialog({})", self.0)
    }
}

#[pymethods]
impl RAck {
    #[new]
    fn new(py: Python<'_>, response: u32, sequence: u32, method: &str) -> PyResult<RAck> {
        let method = crate::draft::method(method)?;
        let value = sip::header::RAck {
            response,
            sequence,
            method,
        };
        written(py, &value)
    }

    /// The RSeq of the response.
    #[getter]
    fn response(&self, py: Python<'_>) -> PyResult<u32> {
        Ok(self.read(py)?.response)
    }

    /// The number of its CSeq.
    #[getter]
    fn sequence(&self, py: Python<'_>) -> PyResult<u32> {
        Ok(self.read(py)?.sequence)
    }

    /// The method of its CSeq.
    #[getter]
    fn method<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        Ok(text::method(py, &self.read(py)?.method))
    }

    fn __repr__(&self) -> String {
        format!("RAck({})", self.0)
    }
}
