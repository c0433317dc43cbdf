//! The certificates in use: made of files at the start, and again when the files change. A connection keeps what it began with.
use super::config::{ClientCertificates, TlsConfig};
use super::files::{self, FileError, Loaded, Stamp};
use super::names::ByName;
use super::validity;
use super::verifier::Verifier;
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ServerConfig, SupportedProtocolVersion};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

/// TLS as it is configured now, for every shard and the control listener.
#[derive(Debug)]
pub struct Store {
    config: TlsConfig,
    current: RwLock<Current>,
    looked: Mutex<Looked>,
}

/// What was seen of the files when they were read last.
#[derive(Debug)]
struct Looked {
    stamps: Vec<Stamp>,
    /// When they are read again though they are the same.
    again: Option<SystemTime>,
}

#[derive(Clone, Debug)]
struct Current {
    loaded: Arc<[Loaded]>,
    /// None without a certificate: connections are opened then, and none accepted.
    server: Option<Arc<ServerConfig>>,
    client: Arc<ClientConfig>,
}

impl Store {
    /// Reads the files.
    ///
    /// # Errors
    /// [`FileError`] names the file that cannot be used, and why.
    pub fn open(config: TlsConfig) -> Result<Store, FileError> {
        if !config.verify {
            tracing::warn!(
                "TLS: the certificates of the servers we connect to are not verified (verify=False): anybody between us and them can read and change every call"
            );
        }
        let looked = Looked {
            stamps: stamps(&config),
            again: None,
        };
        let current = load(&config, &[], SystemTime::now())?;
        Ok(Store {
            config,
            current: RwLock::new(current),
            looked: Mutex::new(looked),
        })
    }

    fn current(&self) -> Current {
        let current = self.current.read();
        current.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// For a connection that was accepted; none when there is no certificate.
    #[must_use]
    pub fn server(&self) -> Option<Arc<ServerConfig>> {
        self.current().server
    }

    /// For a connection that is opened.
    #[must_use]
    pub fn client(&self) -> Arc<ClientConfig> {
        self.current().client
    }

    /// What it was made of.
    #[must_use]
    pub fn config(&self) -> &TlsConfig {
        &self.config
    }

    /// Reads the files again, whether they changed or not. What cannot be used, or is worse than what is in use, leaves everything as it is.
    ///
    /// # Errors
    /// [`FileError`] names the file that cannot be used, and why.
    pub fn reload(&self) -> Result<(), FileError> {
        self.reload_at(SystemTime::now())
    }

    fn reload_at(&self, now: SystemTime) -> Result<(), FileError> {
        let stamps = stamps(&self.config);
        let result = load(&self.config, &self.current().loaded, now);
        let again = result.as_ref().err().and_then(|error| error.usable_from);
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = Looked { stamps, again };
        let new = result?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    /// Reads the files again if one of them changed, or became valid, and logs what came of it.
    pub fn reload_if_changed(&self, now: SystemTime) {
        let is_same = {
            let looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
            looked.again.is_none_or(|again| now < again) && looked.stamps == stamps(&self.config)
        };
        if is_same {
            return;
        }
        match self.reload_at(now) {
            Ok(()) => {
                tracing::info!("TLS: the certificates were read anew; open connections keep theirs")
            }
            Err(error) => tracing::error!(
                %error,
                "TLS: the changed certificates cannot be used: those in use stay; mend the file, it is read again when it changes"
            ),
        }
    }

    /// Warns of certificates in use that end soon, or have ended.
    pub fn warn_of_expiry(&self, now: SystemTime) {
        for loaded in self.current().loaded.iter() {
            validity::warn(loaded, &self.config, now);
        }
    }
}

fn stamps(config: &TlsConfig) -> Vec<Stamp> {
    let pairs = config.certificates.iter();
    let own = pairs.flat_map(|files| [files.chain.as_path(), files.key.as_path()]);
    let authorities = config.authorities.iter().map(Path::new);
    own.chain(authorities).map(Stamp::of).collect()
}

/// What the files make, where nothing that they have is worse than what is `in_use` of the same files.
fn load(config: &TlsConfig, in_use: &[Loaded], now: SystemTime) -> Result<Current, FileError> {
    let loaded = config
        .certificates
        .iter()
        .map(files::load)
        .collect::<Result<Arc<[_]>, _>>()?;
    for (old, new) in in_use.iter().zip(loaded.iter()) {
        validity::compare(old, new, now)?;
    }
    for loaded in loaded.iter() {
        validity::warn(loaded, config, now);
    }
    let authorities = Arc::new(files::authorities(&config.authorities)?);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions: &[&SupportedProtocolVersion] = if config.only_tls13 {
        &[&TLS13]
    } else {
        &[&TLS13, &TLS12]
    };
    let invalid = |error: &dyn std::fmt::Display| FileError::of(config, error);
    let server = if loaded.is_empty() {
        None
    } else {
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions)
            .map_err(|error| invalid(&error))?;
        let builder = match config.client_certificates {
            ClientCertificates::No => builder.with_no_client_auth(),
            asked => {
                let verifier = WebPkiClientVerifier::builder_with_provider(
                    authorities.clone(),
                    provider.clone(),
                );
                let verifier = if asked == ClientCertificates::Asked {
                    verifier.allow_unauthenticated()
                } else {
                    verifier
                };
                builder
                    .with_client_cert_verifier(verifier.build().map_err(|error| invalid(&error))?)
            }
        };
        Some(Arc::new(
            builder.with_cert_resolver(Arc::new(ByName::new(&loaded))),
        ))
    };
    let client = client(config, &loaded, authorities, provider, versions)
        .map_err(|error| invalid(&error))?;
    Ok(Current {
        loaded,
        server,
        client: Arc::new(client),
    })
}

fn client(
    config: &TlsConfig,
    loaded: &[Loaded],
    authorities: Arc<rustls::RootCertStore>,
    provider: Arc<CryptoProvider>,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<ClientConfig, Box<dyn std::error::Error>> {
    let inner = if config.verify && !authorities.is_empty() {
        Some(WebPkiServerVerifier::builder_with_provider(authorities, provider.clone()).build()?)
    } else {
        None
    };
    let builder =
        ClientConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions)?;
    let builder = if config.verify && inner.is_none() {
        // No authority at all: nobody is trusted.
        builder.with_root_certificates(rustls::RootCertStore::empty())
    } else {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier::new(inner, provider)))
    };
    Ok(match loaded.first() {
        Some(first) => builder.with_client_cert_resolver(Arc::new(
            rustls::sign::SingleCertAndKey::from(first.certified.clone()),
        )),
        None => builder.with_no_client_auth(),
    })
}
