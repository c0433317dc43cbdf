//! A confirmed dialog as a value (invariant 7 of ARCHITECTURE.md): small, versioned JSON that another engine, perhaps of a later
//! version, reads and goes on with.
//!
//! Times are durations, as engines share no clock: whoever keeps a value says how old it is when it is imported. A value that comes
//! back from a store is input like any other: everything in it that will stand on the wire is checked when it is read. It holds no
//! transaction, so what is under way while it is made (a re-INVITE, a 2xx without its ACK) does not move with it.
use crate::dialog::bounds::{MOST_ROUTES, MOST_TEXT};
use serde::{Deserialize, Serialize};
use sip::header::EventPackage;
use sip::{Address, Uri};
use std::fmt;
use std::net::SocketAddr;

/// The version that this engine writes. It reads every one up to this.
pub const VERSION: u32 = 1;
/// The longest value that is read, in bytes.
pub const MOST_BYTES: usize = 256 * 1024;
/// The most subscriptions in a value, as many as a dialog holds.
const MOST_SUBSCRIPTIONS: usize = 32;

/// Which side of a dialog the application is.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExportedRole {
    /// Its request created the dialog.
    Uac,
    /// It answered that request.
    Uas,
}

/// Which side of a subscription the application is (RFC 6665 §2).
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExportedSide {
    /// It gets the NOTIFYs.
    Subscriber,
    /// It sends them.
    Notifier,
}

/// An open subscription of a dialog (RFC 6665), a REFER's among them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ExportedSubscription {
    /// Which side the application is.
    pub role: ExportedSide,
    /// The event package.
    pub package: String,
    /// The `id` of its Event; empty when there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// How long it lives unless it is refreshed, in milliseconds; none before anybody said.
    pub expires_milliseconds: Option<u64>,
    /// Until when a NOTIFY is due, in milliseconds (Timer N, RFC 6665 §4.1.2.4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_milliseconds: Option<u64>,
    /// It was asked to end, and its last NOTIFY is owed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unsubscribed: bool,
}

/// The session timer of a dialog (RFC 4028).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ExportedSession {
    /// The session interval, in seconds.
    pub interval: u32,
    /// Whether we refresh.
    pub we_refresh: bool,
    /// The largest Min-SE that anybody named, in seconds.
    pub min_se: u32,
    /// How long the session lives unless it is refreshed, in milliseconds.
    pub ends_milliseconds: u64,
    /// Whether the peer takes UPDATE.
    pub updates: bool,
    /// Our session description, where a refresh has to repeat it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Our Contact, where the application wrote its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
}

/// A confirmed dialog, to be taken over by another engine.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ExportedDialog {
    /// The version of the engine's format that wrote it.
    pub version: u32,
    /// Which side the application is.
    pub role: ExportedRole,
    /// The Call-ID.
    pub call_id: String,
    /// Our tag.
    pub local_tag: String,
    /// The peer's tag; empty for one of RFC 2543.
    pub remote_tag: String,
    /// The value of From in our requests.
    pub local: String,
    /// The value of To in our requests.
    pub remote: String,
    /// The peer's Contact URI.
    pub remote_target: String,
    /// The Route values of our requests, first hop first.
    pub route_set: Vec<String>,
    /// The CSeq number of our last request.
    pub local_sequence: u32,
    /// That of the peer's last one, if it sent any.
    pub remote_sequence: Option<u32>,
    /// The transport that the peer's last message came over: `udp`, `tcp`, ...
    pub transport: String,
    /// Where it came from.
    pub peer: SocketAddr,
    /// Whether a call is open in it (RFC 5057 §2).
    pub invited: bool,
    /// The subscriptions that are open in it; none of those that are just asked for, or ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subscriptions: Vec<ExportedSubscription>,
    /// Its session timer, while one runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<ExportedSession>,
    /// How long nothing had passed in it, in milliseconds.
    pub silent_milliseconds: u64,
}

/// Why a value is no dialog.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ImportError {
    /// It is no JSON of that shape: what the reader says.
    Unreadable(String),
    /// A later version wrote it.
    Version(u32),
    /// A part cannot be used: which, and why.
    Invalid(&'static str, &'static str),
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImportError::Unreadable(what) => write!(f, "this is no exported dialog: {what}"),
            ImportError::Version(version) => write!(
                f,
                "the dialog was exported in format {version}, this engine reads up to {VERSION}: import it with a later release"
            ),
            ImportError::Invalid(part, what) => write!(f, "the exported dialog's {part} {what}"),
        }
    }
}

impl std::error::Error for ImportError {}

/// What every version has.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

impl ExportedDialog {
    /// The value as text: one line of JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Plain data with text keys: writing it cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads what `to_json` gave, here or elsewhere.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn from_json(text: &str) -> Result<ExportedDialog, ImportError> {
        if text.len() > MOST_BYTES {
            return Err(ImportError::Unreadable(format!(
                "{} bytes, at most {MOST_BYTES}",
                text.len()
            )));
        }
        let unreadable = |error: serde_json::Error| ImportError::Unreadable(error.to_string());
        let Versioned { version } = serde_json::from_str(text).map_err(unreadable)?;
        if version > VERSION {
            return Err(ImportError::Version(version));
        }
        let dialog: ExportedDialog = serde_json::from_str(text).map_err(unreadable)?;
        dialog.check()?;
        Ok(dialog)
    }

    /// Nothing of it may break a message that is made from it.
    fn check(&self) -> Result<(), ImportError> {
        one_line("call_id", &self.call_id)?;
        if self.call_id.is_empty() || self.call_id.contains(char::is_whitespace) {
            return Err(ImportError::Invalid("call_id", "is no word"));
        }
        if self.local_tag.is_empty() {
            return Err(ImportError::Invalid("local_tag", "is empty"));
        }
        end("local", &self.local, &self.local_tag)?;
        end("remote", &self.remote, &self.remote_tag)?;
        one_line("remote_target", &self.remote_target)?;
        Uri::parse(&self.remote_target)
            .map_err(|_| ImportError::Invalid("remote_target", "is no URI"))?;
        if self.route_set.len() > MOST_ROUTES {
            return Err(ImportError::Invalid("route_set", "is too long"));
        }
        for route in &self.route_set {
            one_line("route_set", route)?;
            Address::parse(route)
                .map_err(|_| ImportError::Invalid("route_set", "holds what is no Route value"))?;
        }
        if self.subscriptions.len() > MOST_SUBSCRIPTIONS {
            return Err(ImportError::Invalid("subscriptions", "are too many"));
        }
        for subscription in &self.subscriptions {
            event("subscriptions", &subscription.package, &subscription.id)?;
        }
        if let Some(contact) = self.session.as_ref().and_then(|one| one.contact.as_ref()) {
            one_line("session", contact)?;
            Address::parse(contact)
                .map_err(|_| ImportError::Invalid("session", "has no Contact value"))?;
        }
        let sequences = [Some(self.local_sequence), self.remote_sequence];
        if sequences.iter().flatten().any(|number| *number >= 1 << 31) {
            return Err(ImportError::Invalid("CSeq numbers", "must be below 2^31"));
        }
        if crate::transport::Transport::from_name(&self.transport).is_none() {
            return Err(ImportError::Invalid(
                "transport",
                "is none of udp, tcp, tls, ws, wss",
            ));
        }
        Ok(())
    }
}

/// An event package and its `id`, empty when there is none: they stand in the Event of what the engine sends.
fn event(part: &'static str, package: &str, id: &str) -> Result<(), ImportError> {
    let value = match id {
        "" => package.to_owned(),
        id => format!("{package};id={id}"),
    };
    one_line(part, &value)?;
    let is_same =
        |read: EventPackage<'_>| read.package == package && read.id.unwrap_or_default() == id;
    if !EventPackage::parse(value.as_bytes()).is_ok_and(is_same) {
        return Err(ImportError::Invalid(
            part,
            "name an event that cannot be read",
        ));
    }
    Ok(())
}

fn one_line(part: &'static str, text: &str) -> Result<(), ImportError> {
    if text.len() > MOST_TEXT {
        return Err(ImportError::Invalid(part, "is too long"));
    }
    // What would end a header field early; a message may have had any other character there, of which a NUL is written as a space.
    if text.contains(['\r', '\n']) {
        return Err(ImportError::Invalid(part, "has a line end in it"));
    }
    Ok(())
}

/// The value of From or To, which carries this tag.
fn end(part: &'static str, value: &str, tag: &str) -> Result<(), ImportError> {
    one_line(part, value)?;
    let address =
        Address::parse(value).map_err(|_| ImportError::Invalid(part, "is no From or To value"))?;
    if address.tag().unwrap_or_default() != tag {
        return Err(ImportError::Invalid(part, "carries another tag"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    //! What is written is read again; what was tampered with is refused by name, and nothing panics.
    use super::*;

    fn sample() -> ExportedDialog {
        ExportedDialog {
            version: VERSION,
            role: ExportedRole::Uas,
            call_id: "a84b4c76e66710".to_owned(),
            local_tag: "314159".to_owned(),
            remote_tag: "1928301774".to_owned(),
            local: "Bob <sip:bob@biloxi.example>;tag=314159".to_owned(),
            remote: "\"Ålice\" <sip:alice@atlanta.example>;tag=1928301774".to_owned(),
            remote_target: "sip:alice@192.0.2.1:5062;transport=tcp".to_owned(),
            route_set: vec!["<sip:p1.example;lr>".to_owned()],
            local_sequence: 17,
            remote_sequence: Some(314_159),
            transport: "tcp".to_owned(),
            peer: "192.0.2.1:5062".parse().unwrap(),
            invited: true,
            subscriptions: vec![ExportedSubscription {
                role: ExportedSide::Notifier,
                package: "presence".to_owned(),
                id: String::new(),
                expires_milliseconds: Some(3_600_000),
                due_milliseconds: None,
                unsubscribed: false,
            }],
            session: Some(ExportedSession {
                interval: 1800,
                we_refresh: true,
                min_se: 90,
                ends_milliseconds: 1_000_000,
                updates: true,
                description: None,
                contact: None,
            }),
            silent_milliseconds: 1250,
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let dialog = sample();
        let text = dialog.to_json();
        assert!(text.len() < 800, "{} bytes", text.len());
        assert_eq!(ExportedDialog::from_json(&text), Ok(dialog));
    }

    #[test]
    fn the_id_of_a_subscription_is_whatever_the_peer_wrote() {
        for id in ["7", "\"a b\"", "a:b"] {
            let mut dialog = sample();
            dialog.subscriptions[0].id = id.to_owned();
            assert_eq!(ExportedDialog::from_json(&dialog.to_json()), Ok(dialog));
        }
    }

    #[test]
    fn parts_that_a_later_release_added_are_passed_over() {
        let text = sample().to_json().replacen('{', "{\"colour\":\"blue\",", 1);
        assert_eq!(ExportedDialog::from_json(&text), Ok(sample()));
    }

    #[test]
    fn a_later_format_is_refused_by_its_number() {
        let text = sample().to_json().replace("\"version\":1", "\"version\":2");
        assert_eq!(
            ExportedDialog::from_json(&text),
            Err(ImportError::Version(2))
        );
    }

    #[test]
    fn what_would_break_a_message_is_refused_by_name() {
        type Tamper = fn(&mut ExportedDialog);
        let cases: [(&str, Tamper); 10] = [
            ("subscriptions", |dialog| {
                dialog.subscriptions[0].package = "presence\r\nX: y".to_owned()
            }),
            ("call_id", |dialog| dialog.call_id.push_str("\r\nVia: x")),
            ("call_id", |dialog| dialog.call_id.clear()),
            ("local_tag", |dialog| dialog.local_tag.clear()),
            ("local", |dialog| dialog.local.push_str("\r\nX: y")),
            ("remote", |dialog| dialog.remote_tag.push('x')),
            ("remote_target", |dialog| {
                dialog.remote_target = "bob".to_owned()
            }),
            ("route_set", |dialog| {
                dialog.route_set = vec!["<sip:".to_owned()]
            }),
            ("CSeq numbers", |dialog| dialog.local_sequence = 1 << 31),
            ("transport", |dialog| dialog.transport = "pigeon".to_owned()),
        ];
        for (part, tamper) in cases {
            let mut dialog = sample();
            tamper(&mut dialog);
            match ExportedDialog::from_json(&dialog.to_json()) {
                Err(ImportError::Invalid(named, _)) => assert_eq!(named, part),
                other => panic!("{part}: {other:?}"),
            }
        }
    }

    #[test]
    fn no_damage_to_the_text_panics() {
        let text = sample().to_json();
        for at in (0..text.len()).filter(|at| text.is_char_boundary(*at)) {
            let _ = ExportedDialog::from_json(&text[..at]);
            let mut damaged = text.clone().into_bytes();
            for byte in [b'"', b'{', b'9', 0x0d] {
                damaged[at] = byte;
                if let Ok(damaged) = std::str::from_utf8(&damaged) {
                    let _ = ExportedDialog::from_json(damaged);
                }
            }
        }
    }
}
