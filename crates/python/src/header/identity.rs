//! `Privacy` (RFC 3323) and `RemotePartyId`.
use super::{held, word, written};
use crate::address::Address;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use sip::HeaderName;
use std::borrow::Cow;

held!(
    /// What a caller wants kept from the callee (RFC 3323 §4.2): a set of words.
    Privacy,
    sip::header::Privacy<'_>,
    Privacy
);

#[pymethods]
impl Privacy {
    #[new]
    #[pyo3(signature = (*values))]
    fn new(py: Python<'_>, values: &Bound<'_, PyTuple>) -> PyResult<Privacy> {
        let values: Vec<String> = values.extract()?;
        let words = values
            .iter()
            .map(|value| word(py, HeaderName::Privacy, value).map(Cow::Borrowed));
        let values = words.collect::<PyResult<_>>()?;
        written(py, &sip::header::Privacy { values })
    }

    /// The values in lower case, in order.
    #[getter]
    fn values(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        let lower = |value: Cow<'_, str>| value.to_ascii_lowercase();
        Ok(self.read(py)?.values.into_iter().map(lower).collect())
    }

    fn __contains__(&self, py: Python<'_>, value: &str) -> PyResult<bool> {
        Ok(self.read(py)?.has(value))
    }

    fn __repr__(&self) -> String {
        format!("Privacy({})", self.0)
    }
}

held!(
    /// A party of the call (Remote-Party-ID, draft-ietf-sip-privacy-04).
    RemotePartyId,
    sip::header::RemotePartyId<'_>,
    RemotePartyId
);

#[pymethods]
impl RemotePartyId {
    #[new]
    #[pyo3(signature = (address, *, party=None, screen=None, privacy=None))]
    fn new(
        py: Python<'_>,
        address: &Address,
        party: Option<&str>,
        screen: Option<&str>,
        privacy: Option<&str>,
    ) -> PyResult<RemotePartyId> {
        let value = sip::header::RemotePartyId {
            address: address.read(py)?,
            party: party.map(Cow::Borrowed),
            screen: screen.map(Cow::Borrowed),
            privacy: privacy.map(Cow::Borrowed),
        };
        written(py, &value)
    }

    /// The address.
    #[getter]
    fn address(&self, py: Python<'_>) -> PyResult<Address> {
        Address::from_header(py, HeaderName::RemotePartyId, &self.0)
    }

    /// Which party.
    #[getter]
    fn party(&self, py: Python<'_>) -> PyResult<Option<String>> {
        Ok(self.read(py)?.party.map(Cow::into_owned))
    }

    /// Whether a server has checked it.
    #[getter]
    fn screen(&self, py: Python<'_>) -> PyResult<Option<String>> {
        Ok(self.read(py)?.screen.map(Cow::into_owned))
    }

    /// What may be shown.
    #[getter]
    fn privacy(&self, py: Python<'_>) -> PyResult<Option<String>> {
        Ok(self.read(py)?.privacy.map(Cow::into_owned))
    }

    /// Whether the party wants its address kept from the callee.
    #[getter]
    fn is_private(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.read(py)?.is_private())
    }

    fn __repr__(&self) -> String {
        format!("RemotePartyId({})", self.0)
    }
}
