//! Reads certificates, keys and authorities from disk, and says what is wrong with a file, where, and what to do.
use super::certificate::Certificate;
use super::config::{CertificateFiles, TlsConfig};
use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// A file that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileError {
    path: PathBuf,
    what: String,
    /// From when on it can be used as it is.
    pub(super) usable_from: Option<SystemTime>,
}

impl FileError {
    /// What the library says about the configuration as a whole.
    pub(super) fn of(config: &TlsConfig, error: &dyn fmt::Display) -> FileError {
        let first = config.certificates.first().map(|files| &files.chain);
        let path = first.or(config.authorities.first());
        FileError {
            path: path.cloned().unwrap_or_else(|| PathBuf::from("TLS")),
            what: error.to_string(),
            usable_from: None,
        }
    }

    pub(super) fn new(path: &Path, what: impl Into<String>) -> FileError {
        FileError {
            path: path.to_owned(),
            what: what.into(),
            usable_from: None,
        }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.what)
    }
}

impl std::error::Error for FileError {}

/// A certificate with its key, ready for use.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub certified: Arc<CertifiedKey>,
    pub certificate: Certificate,
    pub path: PathBuf,
}

fn pem_error(path: &Path, error: &pem::Error, wanted: &str) -> FileError {
    match error {
        pem::Error::Io(error) => FileError::new(path, format!("cannot be read: {error}")),
        pem::Error::NoItemsFound => FileError::new(
            path,
            format!("holds no {wanted}: a PEM file is wanted, with -----BEGIN ...-----"),
        ),
        pem::Error::MissingSectionEnd { end_marker } => FileError::new(
            path,
            format!(
                "ends in the middle: its line -----END {}----- is missing",
                String::from_utf8_lossy(end_marker).trim_ascii()
            ),
        ),
        other => FileError::new(path, format!("is not a PEM file: {other}")),
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let failed = |error: pem::Error| pem_error(path, &error, "certificate");
    let all = CertificateDer::pem_file_iter(path)
        .map_err(failed)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    if all.is_empty() {
        return Err(failed(pem::Error::NoItemsFound));
    }
    Ok(all)
}

/// The server's own certificate, where all that are behind it can be read as well: peers refuse a chain with one that cannot.
fn read_chain(path: &Path, chain: &[CertificateDer<'_>]) -> Result<Certificate, FileError> {
    let mut own = None;
    for (index, der) in chain.iter().enumerate() {
        let read = Certificate::read(der).ok_or_else(|| {
            FileError::new(
                path,
                format!(
                    "certificate {} of the {} in it cannot be read: make the file anew",
                    index + 1,
                    chain.len()
                ),
            )
        })?;
        own.get_or_insert(read);
    }
    own.ok_or_else(|| pem_error(path, &pem::Error::NoItemsFound, "certificate"))
}

/// Reads a certificate and its key, and sees that they belong together.
pub(crate) fn load(files: &CertificateFiles) -> Result<Loaded, FileError> {
    let chain = certificates(&files.chain)?;
    let certificate = read_chain(&files.chain, &chain)?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| pem_error(&files.key, &error, "private key (one without a password)"))?;
    let key = rustls::crypto::ring::sign::any_supported_type(&key).map_err(|error| {
        FileError::new(
            &files.key,
            format!("this kind of key is not supported: use RSA of 2048 bits or more, or ECDSA P-256 ({error})"),
        )
    })?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        // Unknown: the key does not tell its public half, the peer will.
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
        Err(_) => {
            return Err(FileError::new(
                &files.key,
                format!(
                    "is not the key of the certificate in {}: give the two that belong together, the server's own certificate first in its file",
                    files.chain.display()
                ),
            ));
        }
    }
    Ok(Loaded {
        certified: Arc::new(certified),
        certificate,
        path: files.chain.clone(),
    })
}

/// The authorities in these files, or the system's.
pub(crate) fn authorities(files: &[PathBuf]) -> Result<RootCertStore, FileError> {
    let mut store = RootCertStore::empty();
    for path in files {
        for certificate in certificates(path)? {
            store.add(certificate).map_err(|error| {
                FileError::new(
                    path,
                    format!("holds a certificate that is no authority's: {error}"),
                )
            })?;
        }
    }
    if files.is_empty() {
        let native = rustls_native_certs::load_native_certs();
        store.add_parsable_certificates(native.certs);
        if store.is_empty() {
            let why = native
                .errors
                .first()
                .map(ToString::to_string)
                .unwrap_or_default();
            tracing::warn!(
                why,
                "this system has no certificate authorities: every server we connect to over TLS is refused; install the package ca-certificates, or name a file"
            );
        }
    }
    Ok(store)
}

/// How a file looked when it was read, to see that it changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Stamp {
    path: PathBuf,
    modified: Option<SystemTime>,
    length: u64,
}

impl Stamp {
    pub fn of(path: &Path) -> Stamp {
        // A link that was pointed elsewhere (as certificate managers do) shows the new file's time.
        let metadata = std::fs::metadata(path).ok();
        Stamp {
            path: path.to_owned(),
            modified: metadata
                .as_ref()
                .and_then(|metadata| metadata.modified().ok()),
            length: metadata.map_or(0, |metadata| metadata.len()),
        }
    }
}
