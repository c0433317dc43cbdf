//! Whether a certificate of ours is valid on a day, and what is said where it is not.
use super::certificate::Certificate;
use super::config::TlsConfig;
use super::files::{FileError, Loaded};
use std::time::SystemTime;

#[derive(Copy, Clone, PartialEq, Eq)]
enum Validity {
    NotYet,
    Valid,
    Expired,
}

fn validity(certificate: &Certificate, now: SystemTime) -> Validity {
    if now < certificate.not_before.time {
        Validity::NotYet
    } else if now <= certificate.not_after.time {
        Validity::Valid
    } else {
        Validity::Expired
    }
}

/// Warns of one that ends soon, and tells as an error of one that is not valid.
pub(super) fn warn(loaded: &Loaded, config: &TlsConfig, now: SystemTime) {
    let certificate = &loaded.certificate;
    let names = certificate.names().join(", ");
    let file = loaded.path.display();
    let (from, until) = (&certificate.not_before.date, &certificate.not_after.date);
    match validity(certificate, now) {
        Validity::NotYet => {
            tracing::error!(%file, names, from, "TLS: this certificate is not valid yet: peers refuse it until then; is this host's clock right?");
        }
        Validity::Expired => {
            tracing::error!(%file, names, until, "TLS: this certificate has expired: peers refuse it; renew it");
        }
        Validity::Valid => {
            let rest = certificate.not_after.time.duration_since(now);
            let rest = rest.unwrap_or_default();
            if rest < config.expiry_warning {
                let days = rest.as_secs() / 86_400;
                tracing::warn!(%file, names, until, days, "TLS: this certificate expires soon: renew it");
            }
        }
    }
}

/// Whether the new one of a file may take the place of the old one: one that peers refuse does not, where the old one is good for a name of it.
pub(super) fn compare(old: &Loaded, new: &Loaded, now: SystemTime) -> Result<(), FileError> {
    let certificate = &new.certificate;
    let new_validity = validity(certificate, now);
    if new_validity == Validity::Valid
        || validity(&old.certificate, now) != Validity::Valid
        || !shares_a_name(&old.certificate, certificate)
    {
        return Ok(());
    }
    let what = if new_validity == Validity::Expired {
        format!("its certificate expired on {}", certificate.not_after.date)
    } else {
        format!(
            "its certificate is valid from {} on only, and taken over then",
            certificate.not_before.date
        )
    };
    let until = &old.certificate.not_after.date;
    let what = format!("{what}; the one in use is valid until {until}");
    let mut error = FileError::new(&new.path, what);
    if new_validity == Validity::NotYet {
        error.usable_from = Some(certificate.not_before.time);
    }
    Err(error)
}

fn shares_a_name(old: &Certificate, new: &Certificate) -> bool {
    let (old, new) = (old.names(), new.names());
    old == new || new.iter().any(|name| old.contains(name))
}
