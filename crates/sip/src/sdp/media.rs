//! A media section: the `m=` line and what follows it up to the next (RFC 8866 §5.14).
use super::Connection;
use super::attribute::{Attribute, RtpMap, attributes};
use super::direction::Direction;
use super::line::{Lines, words};
use crate::grammar::number;

/// A stream that is offered, answered or refused.
#[derive(Clone, Debug)]
pub struct Media<'a> {
    /// What it carries: `audio`, `video`, `image`, `application`, `message`.
    pub kind: &'a str,
    /// The port; 0 refuses the stream (RFC 3264 §6), or leaves it to a bundle.
    pub port: u16,
    /// How many ports there are, from that one on.
    pub ports: u32,
    /// The protocol: `RTP/AVP`, `UDP/TLS/RTP/SAVPF`, `udptl`.
    pub protocol: &'a str,
    formats: &'a str,
    lines: Lines<'a>,
    session: Defaults<'a>,
}

/// What the session says for media sections that say nothing, read once for all of them.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Defaults<'a> {
    connection: Option<Connection<'a>>,
    direction: Option<Direction>,
    has_ice: bool,
    has_fingerprint: bool,
}

impl<'a> Defaults<'a> {
    pub(super) fn read(session: &Lines<'a>) -> Defaults<'a> {
        Defaults {
            connection: Connection::read(session.clone()),
            direction: direction(session.clone()),
            has_ice: has(session, ICE),
            has_fingerprint: has(session, FINGERPRINT),
        }
    }
}

const ICE: &[&str] = &["ice-ufrag", "candidate"];
const FINGERPRINT: &[&str] = &["fingerprint"];

/// Whether there is an attribute of one of these names.
fn has(lines: &Lines<'_>, names: &[&str]) -> bool {
    attributes(lines.clone()).any(|attribute| names.contains(&attribute.name))
}

/// The direction that an attribute is; `a=sendrecv:` is one too.
pub(super) fn named_direction(attribute: Attribute<'_>) -> Option<Direction> {
    match attribute.value {
        None | Some("") => Direction::parse(attribute.name),
        Some(_) => None,
    }
}

/// The first direction that the attributes name.
fn direction(lines: Lines<'_>) -> Option<Direction> {
    attributes(lines).find_map(named_direction)
}

impl<'a> Media<'a> {
    pub(super) fn read(lines: Lines<'a>, session: Defaults<'a>) -> Option<Media<'a>> {
        let value = lines.value(b'm')?;
        let (kind, rest) = word(value)?;
        let (port, rest) = word(rest)?;
        let (protocol, formats) = word(rest)?;
        let (port, ports) = port.split_once('/').unwrap_or((port, "1"));
        Some(Media {
            kind,
            port: u16::try_from(number(port.as_bytes(), 65_535)?).ok()?,
            ports: number(ports.as_bytes(), 65_535)?,
            protocol,
            formats,
            lines,
            session,
        })
    }

    /// The formats in order of preference: payload types, or names such as `t38`.
    pub fn formats(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        words(self.formats)
    }

    /// Whether the stream is refused: its port is 0, and it is none that a bundle carries (RFC 9143 §6).
    #[must_use]
    pub fn is_rejected(&self) -> bool {
        self.port == 0 && self.attribute("bundle-only").is_none()
    }

    /// Where the media are to be sent: of the section, else of the session.
    #[must_use]
    pub fn connection(&self) -> Option<Connection<'a>> {
        self.own_connection().or(self.session.connection)
    }

    /// The connection that the section itself names.
    #[must_use]
    pub fn own_connection(&self) -> Option<Connection<'a>> {
        Connection::read(self.lines.clone())
    }

    /// Which way media flow: by the section's attribute, else the session's, else both ways (RFC 8866 §6.7).
    #[must_use]
    pub fn written_direction(&self) -> Direction {
        direction(self.lines.clone())
            .or(self.session.direction)
            .unwrap_or_default()
    }

    /// Which way media flow, an unspecified address taken for hold: its sender does not receive there (RFC 3264 §8.4). Not with
    /// ICE, where candidates say where to send and the address says nothing (RFC 8840 §4.1.1).
    #[must_use]
    pub fn direction(&self) -> Direction {
        let written = self.written_direction();
        let unspecified = self.connection().is_some_and(|it| it.is_unspecified());
        if unspecified && !self.has_ice() {
            Direction::of(written.sends(), false)
        } else {
            written
        }
    }

    /// The section's attributes, in order.
    pub fn attributes(&self) -> impl Iterator<Item = Attribute<'a>> + use<'a> {
        attributes(self.lines.clone())
    }

    /// The first attribute of that name.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<Attribute<'a>> {
        self.attributes().find(|it| it.name == name)
    }

    /// What a format stands for: by its rtpmap, else as payload types are assigned (RFC 3551 §6).
    #[must_use]
    pub fn rtpmap(&self, format: &str) -> Option<RtpMap<'a>> {
        self.about("rtpmap", format)
            .and_then(RtpMap::read)
            .or_else(|| RtpMap::assigned(format))
    }

    /// The parameters of a format, as sent (RFC 8866 §6.15).
    #[must_use]
    pub fn fmtp(&self, format: &str) -> Option<&'a str> {
        self.about("fmtp", format)
    }

    /// What the first attribute of that name says about a format.
    fn about(&self, name: &str, format: &str) -> Option<&'a str> {
        self.attributes()
            .filter(|attribute| attribute.name == name)
            .filter_map(|attribute| word(attribute.value?))
            .find(|(about, _)| *about == format)
            .map(|(_, text)| text)
    }

    /// Whether ICE is used (RFC 8839), here or for the session.
    #[must_use]
    pub fn has_ice(&self) -> bool {
        self.session.has_ice || has(&self.lines, ICE)
    }

    /// Whether keys are in the description (RFC 4568).
    #[must_use]
    pub fn has_crypto(&self) -> bool {
        self.attribute("crypto").is_some()
    }

    /// Whether there is a certificate's fingerprint (RFC 8122), here or for the session.
    #[must_use]
    pub fn has_fingerprint(&self) -> bool {
        self.session.has_fingerprint || has(&self.lines, FINGERPRINT)
    }
}

/// The first word, and what follows it.
fn word(text: &str) -> Option<(&str, &str)> {
    let space = [' ', '\t'];
    let text = text.trim_start_matches(space);
    let end = text.find(space).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    (!word.is_empty()).then(|| (word, rest.trim_matches(space)))
}
