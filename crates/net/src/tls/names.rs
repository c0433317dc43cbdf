//! Chooses the certificate by the name that a client asks for (SNI, RFC 6066 §3).
use super::files::Loaded;
use rustc_hash::FxHashMap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::sync::Arc;

/// The certificates by name.
#[derive(Debug, Default)]
pub(super) struct ByName {
    names: FxHashMap<String, Arc<CertifiedKey>>,
    /// By what follows `*.`.
    wildcards: FxHashMap<String, Arc<CertifiedKey>>,
    first: Option<Arc<CertifiedKey>>,
}

impl ByName {
    /// Where two certificates carry one name, the first has it.
    pub fn new(loaded: &[Loaded]) -> ByName {
        let mut by_name = ByName {
            first: loaded.first().map(|first| first.certified.clone()),
            ..ByName::default()
        };
        for loaded in loaded {
            let certificate = &loaded.certificate;
            // A SIP URI names a domain as well (RFC 5922 §7.1).
            let by_uri = certificate.sip_domains().map(str::to_ascii_lowercase);
            for name in certificate.dns_names.iter().cloned().chain(by_uri) {
                let (table, name) = match name.strip_prefix("*.") {
                    Some(rest) => (&mut by_name.wildcards, rest.to_owned()),
                    None => (&mut by_name.names, name),
                };
                table
                    .entry(name)
                    .or_insert_with(|| loaded.certified.clone());
            }
        }
        by_name
    }

    fn find(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let parent = || name.split_once('.').map(|(_, parent)| parent);
        self.names
            .get(&name)
            .or_else(|| self.wildcards.get(parent()?))
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| self.find(name));
        named.or(self.first.as_ref()).cloned()
    }
}
