//! What the tests of TLS share: an authority that makes certificates, the files they are in, and a client that trusts it.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
use net::tls::{CertificateFiles, ClientCertificates, Store, TlsConfig};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder that goes when the test does.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("dracht-tls-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A certificate and its key, PEM.
pub struct Pair {
    pub chain: String,
    pub key: String,
}

impl Pair {
    pub fn write(&self, folder: &Folder, name: &str) -> CertificateFiles {
        CertificateFiles {
            chain: folder.write(&format!("{name}.pem"), &self.chain),
            key: folder.write(&format!("{name}.key"), &self.key),
        }
    }
}

/// Makes certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

impl Authority {
    pub fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "an authority of the tests");
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Authority {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    pub fn certificate(&self, names: &[&str]) -> Pair {
        self.sign(Authority::params(names))
    }

    pub fn expired(&self, names: &[&str]) -> Pair {
        self.valid(names, 2020, 2021)
    }

    /// Valid from the beginning of a year to that of another.
    pub fn valid(&self, names: &[&str], from: i32, until: i32) -> Pair {
        let mut params = Authority::params(names);
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        self.sign(params)
    }

    /// For a domain that it names by a SIP URI alone (RFC 5922 §7.1).
    pub fn for_uri(&self, uri: &str) -> Pair {
        self.for_names(vec![SanType::URI(uri.try_into().unwrap())])
    }

    pub fn for_names(&self, names: Vec<SanType>) -> Pair {
        let mut params = Authority::params(&[]);
        params.subject_alt_names = names;
        self.sign(params)
    }

    /// One that may sign others, shown by a server (as `openssl req -x509` makes them).
    pub fn own(&self, name: &str) -> Pair {
        let mut params = Authority::params(&[name]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        self.sign(params)
    }

    fn params(names: &[&str]) -> CertificateParams {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names.clone()).unwrap();
        let subject = names.first().map_or("nobody", String::as_str);
        params.distinguished_name.push(DnType::CommonName, subject);
        params
    }

    fn sign(&self, params: CertificateParams) -> Pair {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Pair {
            chain: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    /// What a client needs to trust it.
    pub fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap())
            .unwrap();
        Arc::new(roots)
    }
}

/// A configuration with these certificates and authorities that looks at its files when it is told to.
pub fn tls(certificates: Vec<CertificateFiles>, authorities: &[&Path]) -> TlsConfig {
    TlsConfig {
        certificates,
        authorities: authorities.iter().map(|path| (*path).to_owned()).collect(),
        reload_interval: std::time::Duration::ZERO,
        ..TlsConfig::default()
    }
}

pub fn demanding(config: TlsConfig, client_certificates: ClientCertificates) -> TlsConfig {
    TlsConfig {
        client_certificates,
        ..config
    }
}

pub fn store(config: TlsConfig) -> Arc<Store> {
    Arc::new(Store::open(config).unwrap_or_else(|error| panic!("{error}")))
}

/// How a client of the tests speaks TLS.
pub struct Client {
    pub roots: Arc<RootCertStore>,
    pub versions: &'static [&'static SupportedProtocolVersion],
    pub own: Option<Pair>,
}

pub type TlsStream = StreamOwned<ClientConnection, TcpStream>;

impl Client {
    pub fn trusting(authority: &Authority) -> Client {
        Client {
            roots: authority.roots(),
            versions: rustls::ALL_VERSIONS,
            own: None,
        }
    }

    pub fn config(&self) -> Arc<ClientConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(self.versions)
            .unwrap()
            .with_root_certificates(self.roots.clone());
        Arc::new(match &self.own {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let chain = vec![CertificateDer::from_pem_slice(pair.chain.as_bytes()).unwrap()];
                let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        })
    }

    /// Connects and completes the handshake, asking for this name.
    pub fn connect(&self, address: SocketAddr, name: &str) -> std::io::Result<TlsStream> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut tls = ClientConnection::new(self.config(), name).unwrap();
        let mut stream = super::support::connect(address);
        while tls.is_handshaking() {
            tls.complete_io(&mut stream)?;
        }
        Ok(StreamOwned::new(tls, stream))
    }
}
