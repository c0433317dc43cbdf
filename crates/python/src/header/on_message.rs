//! The typed header fields of a `Message`: properties that read them when asked.
use super::{
    Diversion, EventPackage, GeolocationError, HistoryInfo, Join, Privacy, RAck, Reason,
    RemotePartyId, Replaces, RetryAfter, SessionExpires, SubscriptionState, TargetDialog,
    UserToUser, every, single, written,
};
use crate::address::Address;
use crate::errors::ErrorClass;
use crate::message::Message;
use crate::sdp::Sdp;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use sip::{HeaderError, HeaderName, Method};

/// What was read, or the exception.
fn read<T>(py: Python<'_>, result: Result<T, HeaderError>) -> PyResult<T> {
    result.map_err(|error| ErrorClass::Header.error(py, error))
}

/// An address that was read, as Python sees it.
fn address(py: Python<'_>, name: HeaderName, address: &sip::Address<'_>) -> PyResult<Address> {
    Address::from_header(py, name, &address.to_string())
}

impl Message {
    fn words(&self, name: HeaderName) -> Vec<String> {
        self.inner().option_tags(name).map(str::to_owned).collect()
    }
}

#[pymethods]
impl Message {
    /// The Session-Expires.
    #[getter]
    fn session_expires(&self, py: Python<'_>) -> PyResult<Option<SessionExpires>> {
        single(py, self.inner())
    }

    /// The Min-SE, in seconds.
    #[getter]
    fn min_se(&self, py: Python<'_>) -> PyResult<Option<u32>> {
        read(py, self.inner().min_se())
    }

    /// The Event.
    #[getter]
    fn event(&self, py: Python<'_>) -> PyResult<Option<EventPackage>> {
        single(py, self.inner())
    }

    /// The Subscription-State.
    #[getter]
    fn subscription_state(&self, py: Python<'_>) -> PyResult<Option<SubscriptionState>> {
        single(py, self.inner())
    }

    /// The Replaces.
    #[getter]
    fn replaces(&self, py: Python<'_>) -> PyResult<Option<Replaces>> {
        single(py, self.inner())
    }

    /// The Join.
    #[getter]
    fn join(&self, py: Python<'_>) -> PyResult<Option<Join>> {
        single(py, self.inner())
    }

    /// The Target-Dialog.
    #[getter]
    fn target_dialog(&self, py: Python<'_>) -> PyResult<Option<TargetDialog>> {
        single(py, self.inner())
    }

    /// The Refer-To.
    #[getter]
    fn refer_to(&self, py: Python<'_>) -> PyResult<Option<Address>> {
        let found = read(py, self.inner().refer_to())?;
        let name = HeaderName::ReferTo;
        found.map(|found| address(py, name, &found)).transpose()
    }

    /// The Referred-By.
    #[getter]
    fn referred_by(&self, py: Python<'_>) -> PyResult<Option<Address>> {
        let found = read(py, self.inner().referred_by())?;
        let name = HeaderName::ReferredBy;
        found.map(|found| address(py, name, &found)).transpose()
    }

    /// The Refer-Sub.
    #[getter]
    fn refer_sub(&self) -> Option<bool> {
        self.inner().refer_sub()
    }

    /// The RAck.
    #[getter]
    fn rack(&self, py: Python<'_>) -> PyResult<Option<RAck>> {
        single(py, self.inner())
    }

    /// The RSeq.
    #[getter]
    fn rseq(&self, py: Python<'_>) -> PyResult<Option<u32>> {
        read(py, self.inner().rseq())
    }

    /// Every Reason.
    #[getter]
    fn reasons(&self, py: Python<'_>) -> PyResult<Vec<Reason>> {
        every(py, self.inner())
    }

    /// The Retry-After.
    #[getter]
    fn retry_after(&self, py: Python<'_>) -> PyResult<Option<RetryAfter>> {
        single(py, self.inner())
    }

    /// The Expires, in seconds.
    #[getter]
    fn expires(&self, py: Python<'_>) -> PyResult<Option<u32>> {
        read(py, self.inner().expires())
    }

    /// The Min-Expires, in seconds.
    #[getter]
    fn min_expires(&self, py: Python<'_>) -> PyResult<Option<u32>> {
        read(py, self.inner().min_expires())
    }

    /// The Max-Breadth.
    #[getter]
    fn max_breadth(&self, py: Python<'_>) -> PyResult<Option<u32>> {
        read(py, self.inner().max_breadth())
    }

    /// The SIP-ETag.
    #[getter]
    fn sip_etag(&self, py: Python<'_>) -> PyResult<Option<&str>> {
        read(py, self.inner().sip_etag())
    }

    /// The SIP-If-Match.
    #[getter]
    fn sip_if_match(&self, py: Python<'_>) -> PyResult<Option<&str>> {
        read(py, self.inner().sip_if_match())
    }

    /// The option tags of Supported.
    #[getter]
    fn supported(&self) -> Vec<String> {
        self.words(HeaderName::Supported)
    }

    /// The option tags of Require.
    #[getter]
    fn required(&self) -> Vec<String> {
        self.words(HeaderName::Require)
    }

    /// The option tags of Unsupported.
    #[getter]
    fn unsupported(&self) -> Vec<String> {
        self.words(HeaderName::Unsupported)
    }

    /// The methods of Allow.
    #[getter]
    fn allowed(&self) -> Vec<String> {
        self.words(HeaderName::Allow)
    }

    /// The packages of Allow-Events.
    #[getter]
    fn allowed_events(&self) -> Vec<String> {
        self.words(HeaderName::AllowEvents)
    }

    /// Whether Supported or Require has that option tag.
    fn supports(&self, tag: &str) -> bool {
        self.inner().supports(tag)
    }

    /// Whether Require has that option tag.
    fn requires(&self, tag: &str) -> bool {
        self.inner().requires(tag)
    }

    /// Whether Allow has that method; None without Allow.
    fn allows(&self, method: &str) -> Option<bool> {
        let method = Method::parse(method.as_bytes());
        method.map_or(Some(false), |method| self.inner().allows(&method))
    }

    /// Every P-Asserted-Identity.
    #[getter]
    fn asserted_identities(&self, py: Python<'_>) -> PyResult<Vec<Address>> {
        let all = read(py, self.inner().asserted_identities())?;
        let name = HeaderName::PAssertedIdentity;
        all.iter().map(|one| address(py, name, one)).collect()
    }

    /// Every P-Preferred-Identity.
    #[getter]
    fn preferred_identities(&self, py: Python<'_>) -> PyResult<Vec<Address>> {
        let all = read(py, self.inner().preferred_identities())?;
        let name = HeaderName::PPreferredIdentity;
        all.iter().map(|one| address(py, name, one)).collect()
    }

    /// Every Remote-Party-ID.
    #[getter]
    fn remote_party_ids(&self, py: Python<'_>) -> PyResult<Vec<RemotePartyId>> {
        every(py, self.inner())
    }

    /// The Privacy.
    #[getter]
    fn privacy(&self, py: Python<'_>) -> PyResult<Option<Privacy>> {
        let found = read(py, self.inner().privacy())?;
        found.map(|found| written(py, &found)).transpose()
    }

    /// The names of header fields that must not reach an untrusted next hop.
    #[getter]
    fn withheld_from_untrusted(&self) -> Vec<&'static str> {
        let names = self.inner().withheld_from_untrusted();
        names.iter().map(|name| name.as_str()).collect()
    }

    /// Every History-Info entry.
    #[getter]
    fn history_info(&self, py: Python<'_>) -> PyResult<Vec<HistoryInfo>> {
        every(py, self.inner())
    }

    /// Every Diversion.
    #[getter]
    fn diversions(&self, py: Python<'_>) -> PyResult<Vec<Diversion>> {
        every(py, self.inner())
    }

    /// Every User-to-User.
    #[getter]
    fn user_to_user(&self, py: Python<'_>) -> PyResult<Vec<UserToUser>> {
        every(py, self.inner())
    }

    /// Every Geolocation.
    #[getter]
    fn geolocations(&self, py: Python<'_>) -> PyResult<Vec<Address>> {
        let all = read(py, self.inner().geolocations())?;
        let name = HeaderName::Geolocation;
        all.iter().map(|one| address(py, name, one)).collect()
    }

    /// The Geolocation-Routing.
    #[getter]
    fn geolocation_routing(&self) -> Option<bool> {
        self.inner().geolocation_routing()
    }

    /// The Geolocation-Error.
    #[getter]
    fn geolocation_error(&self, py: Python<'_>) -> PyResult<Option<GeolocationError>> {
        single(py, self.inner())
    }

    /// The session description.
    #[getter]
    fn sdp(&self, py: Python<'_>) -> PyResult<Option<Sdp>> {
        let part = self.inner().body_part("application/sdp");
        part.map(|part| Sdp::of(py, part.body.to_vec())).transpose()
    }

    /// The body, or the first part of a multipart one, of that media type.
    fn body_part<'py>(&self, py: Python<'py>, media_type: &str) -> Option<Bound<'py, PyBytes>> {
        let part = self.inner().body_part(media_type)?;
        Some(PyBytes::new(py, part.body))
    }

    /// The part of a multipart body with that Content-ID.
    fn body_part_by_id<'py>(
        &self,
        py: Python<'py>,
        content_id: &str,
    ) -> Option<Bound<'py, PyBytes>> {
        let part = self.inner().body_part_by_id(content_id)?;
        Some(PyBytes::new(py, part.body))
    }
}
