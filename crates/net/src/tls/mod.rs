//! TLS: which certificates we show, whom we trust, and what a refusal means. The protocol itself is rustls's; carrying it is `stream`'s.
mod certificate;
pub mod config;
mod files;
mod names;
pub(crate) mod refusal;
mod store;
mod validity;
mod verifier;
mod watch;

pub(crate) use certificate::Certificate;
pub use config::{CertificateFiles, ClientCertificates, TlsConfig};
pub use files::FileError;
pub use store::Store;
pub(crate) use watch::watch;
