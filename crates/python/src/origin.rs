//! Where a message came from or went: `Origin`.
use engine::transport::{PeerCertificate, Transport};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyString;
use std::sync::Arc;

/// Where a message was received, or which way one was sent.
#[pyclass(frozen, module = "dracht._core")]
pub struct Origin(engine::transport::Origin, Option<Arc<PeerCertificate>>);

impl Origin {
    /// The Python side of an origin.
    pub fn new(origin: engine::transport::Origin) -> Origin {
        Origin(origin, None)
    }

    /// The Python side of where a request came from, and what its sender proved to be.
    pub fn certified(
        origin: engine::transport::Origin,
        certificate: Option<Arc<PeerCertificate>>,
    ) -> Origin {
        Origin(origin, certificate)
    }

    /// The engine's side of it.
    pub fn inner(&self) -> &engine::transport::Origin {
        &self.0
    }
}

#[pymethods]
impl Origin {
    /// The transport's name in lower case.
    #[getter]
    fn transport<'py>(&self, py: Python<'py>) -> &Bound<'py, PyString> {
        match self.0.transport {
            Transport::Udp => intern!(py, "udp"),
            Transport::Tcp => intern!(py, "tcp"),
            Transport::Tls => intern!(py, "tls"),
            Transport::Ws => intern!(py, "ws"),
            Transport::Wss => intern!(py, "wss"),
        }
    }

    /// The peer's address and port; IPv6 without brackets.
    #[getter]
    fn peer(&self) -> (String, u16) {
        (self.0.peer.ip().to_string(), self.0.peer.port())
    }

    /// Our address and port.
    #[getter]
    fn local(&self) -> (String, u16) {
        (self.0.local.ip().to_string(), self.0.local.port())
    }

    /// The number of the connection; None on UDP.
    #[getter]
    fn connection(&self) -> Option<u64> {
        self.0.connection.map(|connection| connection.0)
    }

    /// The index of the listener, in the order of `Engine.hostports()`.
    #[getter]
    fn listener(&self) -> u16 {
        self.0.listener.0
    }

    /// The names and the subject of the certificate that the peer proved to have, over TLS and WSS.
    #[getter]
    fn peer_certificate(&self) -> Option<(Vec<String>, String)> {
        let certificate = self.1.as_ref()?;
        Some((certificate.names.clone(), certificate.subject.clone()))
    }

    fn __repr__(&self) -> String {
        format!(
            "Origin({} from {} at {})",
            self.0.transport, self.0.peer, self.0.local
        )
    }
}
