//! `HistoryInfo` (RFC 7044) and `Diversion` (RFC 5806).
use super::{Privacy, Reason, held, held_text, word, written};
use crate::address::Address;
use crate::errors::ErrorClass;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use sip::HeaderName;
use sip::header::HistoryTarget;
use std::borrow::Cow;

held!(
    /// One entry of a request's history (RFC 7044 §5).
    HistoryInfo,
    sip::header::HistoryInfo<'_>,
    HistoryInfo
);

#[pymethods]
impl HistoryInfo {
    #[new]
    #[pyo3(signature = (address, index, *, rc=None, mp=None, np=None))]
    fn new(
        py: Python<'_>,
        address: &Address,
        index: &str,
        rc: Option<&str>,
        mp: Option<&str>,
        np: Option<&str>,
    ) -> PyResult<HistoryInfo> {
        let target = match (rc, mp, np) {
            (None, None, None) => None,
            (Some(from), None, None) => Some(HistoryTarget::RegisteredContact(from)),
            (None, Some(from), None) => Some(HistoryTarget::MappedUser(from)),
            (None, None, Some(from)) => Some(HistoryTarget::NoChange(from)),
            _ => {
                let text = "an entry has one of rc, mp and np (RFC 7044 §5)";
                return Err(PyValueError::new_err(text));
            }
        };
        let value = sip::header::HistoryInfo {
            address: address.read(py)?,
            index: Some(word(py, HeaderName::HistoryInfo, index)?),
            target,
        };
        written(py, &value)
    }

    /// The address that was targeted.
    #[getter]
    fn address(&self, py: Python<'_>) -> PyResult<Address> {
        Address::from_header(py, HeaderName::HistoryInfo, &self.0)
    }

    /// The place in the tree of entries.
    #[getter]
    fn index(&self, py: Python<'_>) -> PyResult<Option<String>> {
        Ok(self.read(py)?.index.map(str::to_owned))
    }

    /// How the target was found, `rc`, `mp` or `np`, and from which entry.
    #[getter]
    fn target(&self, py: Python<'_>) -> PyResult<Option<(&'static str, String)>> {
        let target = self.read(py)?.target;
        Ok(target.map(|target| (target.parts().0, target.parts().1.to_owned())))
    }

    /// The cause parameter of the URI.
    #[getter]
    fn cause(&self, py: Python<'_>) -> PyResult<Option<u32>> {
        Ok(self.read(py)?.cause())
    }

    /// The reasons in the URI's header part.
    #[getter]
    fn reasons(&self, py: Python<'_>) -> PyResult<Vec<Reason>> {
        let reasons = self.read(py)?.reasons();
        let reasons = reasons.map_err(|error| ErrorClass::Header.error(py, error))?;
        reasons
            .iter()
            .map(|reason| held_text(py, reason.to_string()))
            .collect()
    }

    /// The Privacy in the URI's header part.
    #[getter]
    fn privacy(&self, py: Python<'_>) -> PyResult<Option<Privacy>> {
        let privacy = self.read(py)?.privacy();
        let privacy = privacy.map_err(|error| ErrorClass::Header.error(py, error))?;
        privacy.map(|privacy| written(py, &privacy)).transpose()
    }

    fn __repr__(&self) -> String {
        format!("HistoryInfo({})", self.0)
    }
}

held!(
    /// One diversion of a call (RFC 5806).
    Diversion,
    sip::header::Diversion<'_>,
    Diversion
);

#[pymethods]
impl Diversion {
    #[new]
    #[pyo3(signature = (address, reason=None, *, counter=None, limit=None, privacy=None, screen=None))]
    fn new(
        py: Python<'_>,
        address: &Address,
        reason: Option<&str>,
        counter: Option<u32>,
        limit: Option<u32>,
        privacy: Option<&str>,
        screen: Option<&str>,
    ) -> PyResult<Diversion> {
        let value = sip::header::Diversion {
            address: address.read(py)?,
            reason: reason.map(Cow::Borrowed),
            counter,
            limit,
            privacy: privacy.map(Cow::Borrowed),
            screen: screen.map(Cow::Borrowed),
        };
        written(py, &value)
    }

    /// The address that was diverted from.
    #[getter]
    fn address(&self, py: Python<'_>) -> PyResult<Address> {
        Address::from_header(py, HeaderName::Diversion, &self.0)
    }

    /// Why.
    #[getter]
    fn reason(&self, py: Python<'_>) -> PyResult<Option<String>> {
        Ok(self.read(py)?.reason.map(Cow::into_owned))
    }

    /// How many diversions this one stands for.
    #[getter]
    fn counter(&self, py: Python<'_>) -> PyResult<Option<u32>> {
        Ok(self.read(py)?.counter)
    }

    /// How many there may be.
    #[getter]
    fn limit(&self, py: Python<'_>) -> PyResult<Option<u32>> {
        Ok(self.read(py)?.limit)
    }

    /// What of the address may be shown.
    #[getter]
    fn privacy(&self, py: Python<'_>) -> PyResult<Option<String>> {
        Ok(self.read(py)?.privacy.map(Cow::into_owned))
    }

    /// Whether a server has checked the address.
    #[getter]
    fn screen(&self, py: Python<'_>) -> PyResult<Option<String>> {
        Ok(self.read(py)?.screen.map(Cow::into_owned))
    }

    fn __repr__(&self) -> String {
        format!("Diversion({})", self.0)
    }
}
