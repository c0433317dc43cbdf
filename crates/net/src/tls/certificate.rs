//! What a certificate says about itself: names, subject, when it is valid. Trusts nothing: verification is rustls's.
use engine::transport::PeerCertificate;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::time::ASN1Time;

/// How many names of a certificate are kept. Public authorities write 100 into one, some of them 250; what a peer shows is bounded by
/// rustls at 64 KiB.
const NAMES: usize = 1000;

/// A certificate as far as it concerns us.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    /// `sip.example.com`, `*.example.com`, lower case.
    pub dns_names: Vec<String>,
    /// `sip:example.com`.
    pub uris: Vec<String>,
    pub addresses: Vec<IpAddr>,
    /// `CN=sip.example.com, O=Example`.
    pub subject: String,
    pub not_before: Moment,
    pub not_after: Moment,
}

/// A moment as a certificate gives it.
#[derive(Clone, Debug)]
pub(crate) struct Moment {
    pub time: SystemTime,
    /// `2027-01-31`.
    pub date: String,
}

impl Certificate {
    /// Reads a certificate in DER.
    pub fn read(der: &[u8]) -> Option<Certificate> {
        let (rest, certificate) = X509Certificate::from_der(der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let mut read = Certificate {
            dns_names: Vec::new(),
            uris: Vec::new(),
            addresses: Vec::new(),
            subject: certificate.subject().to_string(),
            not_before: moment(certificate.validity().not_before),
            not_after: moment(certificate.validity().not_after),
        };
        if let Ok(Some(names)) = certificate.subject_alternative_name() {
            for name in names.value.general_names.iter().take(NAMES) {
                match name {
                    GeneralName::DNSName(name) if is_domain(name) => {
                        read.dns_names.push(name.to_ascii_lowercase());
                    }
                    GeneralName::URI(uri) if is_uri(uri) => read.uris.push((*uri).to_owned()),
                    GeneralName::IPAddress(bytes) => read.addresses.extend(address(bytes)),
                    _ => {}
                }
            }
        }
        Some(read)
    }

    /// The domains that it names by a SIP URI (RFC 5922 §7.1): `sip:` or `sips:` and a host, no user.
    pub fn sip_domains(&self) -> impl Iterator<Item = &str> {
        self.uris.iter().filter_map(|uri| {
            let (scheme, host) = uri.split_once(':')?;
            let is_sip = scheme.eq_ignore_ascii_case("sip") || scheme.eq_ignore_ascii_case("sips");
            (is_sip && !host.contains('@'))
                .then(|| host.split([';', '?', ':']).next().unwrap_or(host))
        })
    }

    /// All its names, for people.
    pub fn names(&self) -> Vec<String> {
        let addresses = self.addresses.iter().map(IpAddr::to_string);
        let names = self.dns_names.iter().chain(&self.uris).cloned();
        names.chain(addresses).collect()
    }

    /// As the application sees the certificate of a peer that proved to have its key.
    pub fn into_peer(self) -> PeerCertificate {
        PeerCertificate {
            domains: self
                .sip_domains()
                .map(str::to_ascii_lowercase)
                .chain(self.dns_names.iter().cloned())
                .collect(),
            names: self.names(),
            subject: self.subject,
        }
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(IpAddr::V4(Ipv4Addr::from(four)));
    }
    let sixteen = <[u8; 16]>::try_from(bytes).ok()?;
    Some(IpAddr::V6(Ipv6Addr::from(sixteen)))
}

/// Applications compare names of all kinds as texts: none may pass for one of another kind, nor hide what it is from a reader.
fn is_domain(name: &str) -> bool {
    !name.contains(':') && !name.contains(char::is_control)
}

/// Whether it has a scheme (RFC 3986 §3.1): what has none looks like a domain.
fn is_uri(uri: &str) -> bool {
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme
                .chars()
                .all(|each| each.is_ascii_alphanumeric() || "+-.".contains(each))
    };
    uri.split_once(':')
        .is_some_and(|(scheme, _)| is_scheme(scheme))
        && !uri.contains(char::is_control)
}

fn moment(time: ASN1Time) -> Moment {
    let seconds = u64::try_from(time.timestamp()).unwrap_or(0);
    let date = time.to_datetime();
    Moment {
        time: UNIX_EPOCH + Duration::from_secs(seconds),
        date: format!(
            "{:04}-{:02}-{:02}",
            date.year(),
            u8::from(date.month()),
            date.day()
        ),
    }
}
