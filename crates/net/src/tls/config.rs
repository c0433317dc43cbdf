//! What TLS is told at the start: files, whom to ask for a certificate, whom to trust. Plain data.
use std::path::PathBuf;
use std::time::Duration;

/// TLS for listeners, for connections that are opened, and for the control listener.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsConfig {
    /// Certificates by the name that a client asks for (SNI); the first is for clients that ask for no name or an unknown one, and what
    /// we present ourselves when a server asks us for one.
    pub certificates: Vec<CertificateFiles>,
    /// Whether those who connect show a certificate.
    pub client_certificates: ClientCertificates,
    /// Files with the certificates of the authorities that are trusted; empty: those of the system.
    pub authorities: Vec<PathBuf>,
    /// Whether the servers that we connect to must show a certificate for the name we want, by an authority we trust.
    pub verify: bool,
    /// Refuse TLS 1.2.
    pub only_tls13: bool,
    /// How often the files are looked at for changes; zero: never.
    pub reload_interval: Duration,
    /// How long before its end a certificate is warned of.
    pub expiry_warning: Duration,
}

impl Default for TlsConfig {
    fn default() -> TlsConfig {
        TlsConfig {
            certificates: Vec::new(),
            client_certificates: ClientCertificates::No,
            authorities: Vec::new(),
            verify: true,
            only_tls13: false,
            reload_interval: Duration::from_secs(5),
            expiry_warning: Duration::from_secs(14 * 86_400),
        }
    }
}

/// A certificate and its key, PEM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CertificateFiles {
    /// The certificate, followed by those that lead to its authority.
    pub chain: PathBuf,
    /// Its private key: PKCS#8, SEC1 or PKCS#1. May be the same file.
    pub key: PathBuf,
}

/// Whether those who connect show a certificate of their own.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum ClientCertificates {
    /// They are not asked.
    No,
    /// They are asked: without one they are taken too, with one that cannot be trusted they are not.
    Asked,
    /// Without one that can be trusted the connection is refused.
    Demanded,
}
