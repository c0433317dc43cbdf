//! Why a TLS connection did not come about, or ended, for people: what was wrong, and what to do.
use engine::transport::Distrust;
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};
use std::time::Duration;

/// What a rustls error means; `speaks_tls`: whether the first bytes that came began a TLS record.
pub(crate) fn text(error: &Error, speaks_tls: bool) -> String {
    match error {
        Error::InvalidCertificate(error) => certificate(error),
        Error::NoCertificatesPresented => {
            "it showed no certificate, and one is demanded (client_certificates=\"demanded\")"
                .to_owned()
        }
        Error::AlertReceived(alert) => alert_text(*alert),
        Error::PeerIncompatible(why) => {
            format!(
                "no common TLS version or cipher suite ({why:?}): TLS 1.2 and 1.3 are offered, by option 1.3 alone"
            )
        }
        Error::InvalidMessage(_) if !speaks_tls => {
            "it does not speak TLS: is it a plain TCP peer at a TLS port?".to_owned()
        }
        Error::InvalidMessage(why) => message(*why),
        other => other.to_string(),
    }
}

fn message(why: InvalidMessage) -> String {
    match why {
        // In TLS 1.3 what is so long is encrypted; no other message is.
        InvalidMessage::HandshakePayloadTooLarge | InvalidMessage::CertificatePayloadTooLarge => {
            "its certificates are larger than the 64 KiB that are taken: it has to show fewer, or one with fewer names".to_owned()
        }
        InvalidMessage::InvalidContentType => {
            "it sent something that is no TLS record between those that are".to_owned()
        }
        other => format!("it sent a TLS message that cannot be read: {other:?}"),
    }
}

/// What is wrong with a certificate; none when that is not why.
pub(crate) fn distrust(error: &Error) -> Option<Distrust> {
    Some(match error {
        Error::InvalidCertificate(error) => match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                Distrust::Expired
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Distrust::NotYetValid
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Distrust::OtherName
            }
            // An authority may have the name of one that is known.
            CertificateError::UnknownIssuer
            | CertificateError::BadSignature
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
                Distrust::UnknownAuthority
            }
            CertificateError::Revoked => Distrust::Revoked,
            other if is_an_authority(other) => Distrust::Authority,
            _ => Distrust::Other,
        },
        Error::NoCertificatesPresented => Distrust::Other,
        Error::AlertReceived(alert) => match alert {
            AlertDescription::CertificateRequired => Distrust::OwnMissing,
            AlertDescription::UnknownCA
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnsupportedCertificate => Distrust::OwnRefused,
            _ => return None,
        },
        _ => return None,
    })
}

fn certificate(error: &CertificateError) -> String {
    let ago = |from: u64, to: u64| days(Duration::from_secs(to.saturating_sub(from)));
    match error {
        CertificateError::ExpiredContext { time, not_after } => format!(
            "its certificate expired {} ago: its operator has to renew it (or our clock is wrong)",
            ago(not_after.as_secs(), time.as_secs())
        ),
        CertificateError::Expired => {
            "its certificate expired: its operator has to renew it (or our clock is wrong)".to_owned()
        }
        CertificateError::NotValidYetContext { time, not_before } => format!(
            "its certificate begins in {} only: one of the two clocks is wrong",
            ago(time.as_secs(), not_before.as_secs())
        ),
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => format!(
            "its certificate is not for {} but for {}: call it by that name, or have the certificate made for this one",
            expected.to_str(),
            if presented.is_empty() {
                "no name at all".to_owned()
            } else {
                presented.join(", ")
            }
        ),
        CertificateError::UnknownIssuer => {
            "its certificate is by an authority that is not trusted: add that authority's certificate (authorities=), if you trust it".to_owned()
        }
        CertificateError::BadSignature
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "the trusted authority whose name its certificate gives did not sign it: add the certificate of the one that did (authorities=), if you trust it".to_owned()
        }
        CertificateError::Revoked => "its certificate was revoked".to_owned(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "its certificate is not made for this use (extended key usage)".to_owned()
        }
        other if is_an_authority(other) => {
            "its certificate is an authority's own (CA:TRUE, as `openssl req -x509` makes them), which is for signing others: it needs one with basicConstraints=CA:FALSE, or one that this authority signed".to_owned()
        }
        other => format!("its certificate cannot be trusted: {other}"),
    }
}

/// Whether a server showed the certificate of an authority as its own. Only the text of the error under rustls's says so.
fn is_an_authority(error: &CertificateError) -> bool {
    matches!(error, CertificateError::Other(_)) && error.to_string().contains("CaUsedAsEndEntity")
}

fn alert_text(alert: AlertDescription) -> String {
    let why = match alert {
        AlertDescription::UnknownCA => "it does not trust the authority of our certificate",
        AlertDescription::CertificateExpired => "it says that our certificate expired",
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate => "it does not accept our certificate",
        AlertDescription::CertificateRequired => {
            "it demands a certificate of ours: give one (certificates=)"
        }
        AlertDescription::ProtocolVersion => "it offers no TLS version that we do",
        AlertDescription::HandshakeFailure => {
            "it found no common way (cipher suite, version or certificate)"
        }
        AlertDescription::UnrecognisedName => "it does not know the name we asked for",
        _ => return format!("it broke off with the alert {alert:?}"),
    };
    why.to_owned()
}

fn days(time: Duration) -> String {
    match time.as_secs() {
        seconds if seconds >= 2 * 86_400 => format!("{} days", seconds / 86_400),
        seconds if seconds >= 7200 => format!("{} hours", seconds / 3600),
        seconds if seconds >= 120 => format!("{} minutes", seconds / 60),
        seconds => format!("{seconds} seconds"),
    }
}
