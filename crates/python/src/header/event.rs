//! `EventPackage` and `SubscriptionState` (RFC 6665 §8.2).
use super::{held, word, written};
use crate::text;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use sip::HeaderName;
use sip::header::{Params, Resubscribe, Substate, TerminationReason};

held!(
    /// The event package of a subscription, and which of several it is (Event, RFC 6665 §8.2.1).
    EventPackage,
    sip::header::EventPackage<'_>,
    Event
);

#[pymethods]
impl EventPackage {
    #[new]
    #[pyo3(signature = (package, id=None))]
    fn new(py: Python<'_>, package: &str, id: Option<&str>) -> PyResult<EventPackage> {
        const NAME: HeaderName = HeaderName::Event;
        let value = sip::header::EventPackage {
            package: word(py, NAME, package)?,
            id: id.map(|id| word(py, NAME, id)).transpose()?,
            params: Params::default(),
        };
        written(py, &value)
    }

    /// The package with its templates.
    #[getter]
    fn package(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.read(py)?.package.to_owned())
    }

    /// The id parameter.
    #[getter]
    fn id(&self, py: Python<'_>) -> PyResult<Option<String>> {
        Ok(self.read(py)?.id.map(str::to_owned))
    }

    /// Every parameter.
    #[getter]
    fn params<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        text::parameters(py, self.read(py)?.params.iter())
    }

    /// Whether both mean the same subscription (RFC 6665 §8.2.1).
    fn same_as(&self, py: Python<'_>, other: &EventPackage) -> PyResult<bool> {
        Ok(self.read(py)?.same_as(&other.read(py)?))
    }

    fn __repr__(&self) -> String {
        format!("EventPackage({})", self.0)
    }
}

held!(
    /// Whether a subscription lives, for how long, and why it ended (Subscription-State, RFC 6665 §4.1.3).
    SubscriptionState,
    sip::header::SubscriptionState<'_>,
    SubscriptionState
);

#[pymethods]
impl SubscriptionState {
    #[new]
    #[pyo3(signature = (state, *, reason=None, expires=None, retry_after=None))]
    fn new(
        py: Python<'_>,
        state: &str,
        reason: Option<&str>,
        expires: Option<u32>,
        retry_after: Option<u32>,
    ) -> PyResult<SubscriptionState> {
        const NAME: HeaderName = HeaderName::SubscriptionState;
        let value = sip::header::SubscriptionState {
            state: Substate::Other(word(py, NAME, state)?),
            reason: reason
                .map(|reason| word(py, NAME, reason).map(TerminationReason::parse))
                .transpose()?,
            expires,
            retry_after,
        };
        written(py, &value)
    }

    /// The state in lower case.
    #[getter]
    fn state(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.read(py)?.state.as_str().to_ascii_lowercase())
    }

    /// Why it ended, in lower case.
    #[getter]
    fn reason(&self, py: Python<'_>) -> PyResult<Option<String>> {
        let reason = self.read(py)?.reason;
        Ok(reason.map(|reason| reason.as_str().to_ascii_lowercase()))
    }

    /// How long it lives yet, in seconds.
    #[getter]
    fn expires(&self, py: Python<'_>) -> PyResult<Option<u32>> {
        Ok(self.read(py)?.expires)
    }

    /// How long to wait before subscribing again, in seconds.
    #[getter]
    fn retry_after(&self, py: Python<'_>) -> PyResult<Option<u32>> {
        Ok(self.read(py)?.retry_after)
    }

    /// Whether it ended.
    #[getter]
    fn is_terminated(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.read(py)?.is_terminated())
    }

    /// Whether to subscribe again after it ended, and how: `now`, `after` (`retry_after` seconds), `later`, `never`.
    #[getter]
    fn resubscribe(&self, py: Python<'_>) -> PyResult<&'static str> {
        Ok(match self.read(py)?.resubscribe() {
            Resubscribe::Now => "now",
            Resubscribe::After(_) => "after",
            Resubscribe::Later => "later",
            Resubscribe::Never => "never",
        })
    }

    fn __repr__(&self) -> String {
        format!("SubscriptionState({})", self.0)
    }
}
