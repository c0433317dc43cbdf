//! Session descriptions (RFC 8866), as offers and answers use them (RFC 3264): read on demand, rewritten with every other byte kept.
//!
//! Reading takes what phones send: lines in any order within their section, missing `s=` and `t=`, line feeds alone, spaces at
//! line ends, text that is not UTF-8 where it does not matter. Only what cannot be told apart is refused.
mod attribute;
mod direction;
mod line;
mod media;
mod rewrite;

pub use attribute::{Attribute, RtpMap};
pub use direction::{Direction, HoldState, hold_state};
pub use media::Media;
pub use rewrite::Rewrite;

use crate::message::Message;
use line::{Line, Lines, words};
use media::Defaults;
use std::fmt;

/// The most media sections: a description that rewriting takes apart many times has bounds.
const MOST_MEDIA: usize = 100;

/// Why bytes are no session description.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct SdpError {
    /// What is wrong and, where it helps, what to write.
    pub what: &'static str,
    /// In which line, counted from 1; 0 for the description as a whole.
    pub line: usize,
}

impl fmt::Display for SdpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "session description: {}", self.what),
            line => write!(f, "session description, line {line}: {}", self.what),
        }
    }
}

impl std::error::Error for SdpError {}

/// Who made a description, and which version it is (`o=`, RFC 8866 §5.2). Numbers are texts: some are longer than 64 bits.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Origin<'a> {
    /// The user's name; `-` for none.
    pub username: &'a str,
    /// The session's identifier.
    pub session_id: &'a str,
    /// The version: one more for each change of the description (RFC 3264 §8).
    pub version: &'a str,
    /// The address's kind: `IP4`, `IP6`.
    pub address_type: &'a str,
    /// The address of the host that made it.
    pub address: &'a str,
}

/// Where media are to be sent (`c=`, RFC 8866 §5.7).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Connection<'a> {
    /// The address's kind: `IP4`, `IP6`.
    pub address_type: &'a str,
    /// The address; of a multicast group without its time to live.
    pub address: &'a str,
}

impl<'a> Connection<'a> {
    fn read(lines: Lines<'a>) -> Option<Connection<'a>> {
        let text = lines.value(b'c')?;
        let mut words = words(text).skip(1);
        let address_type = words.next()?;
        let address = words.next()?;
        Some(Connection {
            address_type,
            address: address.split('/').next().unwrap_or(address),
        })
    }

    /// Whether the address means that nothing is to be sent there: `0.0.0.0` (RFC 3264 §8.4), `::` and its like.
    #[must_use]
    pub fn is_unspecified(&self) -> bool {
        self.address
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_unspecified())
    }
}

/// A session description.
#[derive(Clone, Debug)]
pub struct Sdp<'a> {
    text: &'a [u8],
    session: Lines<'a>,
    media: Vec<Media<'a>>,
}

impl<'a> Sdp<'a> {
    /// Reads a description.
    ///
    /// # Errors
    /// It does not begin with `v=`, a media line is not kind, port, protocol and formats, or there are more than 100 of them.
    pub fn parse(text: &'a [u8]) -> Result<Sdp<'a>, SdpError> {
        let fail = |what, line| SdpError { what, line };
        let mut starts = Vec::new();
        for (number, line) in Lines::new(text).enumerate() {
            let kind = line.kind();
            if number == 0 && kind != b'v' {
                return Err(fail("it does not begin with `v=0`", 1));
            }
            if kind == b'm' {
                if starts.len() == MOST_MEDIA {
                    return Err(fail("there are more than 100 media sections", number + 1));
                }
                starts.push((number + 1, line.start));
            }
        }
        if text.is_empty() {
            return Err(fail("it is empty", 0));
        }
        let first = starts.first().map_or(text.len(), |(_, start)| *start);
        let session = Lines::new(text.get(..first).unwrap_or_default());
        let defaults = Defaults::read(&session);
        let mut media = Vec::with_capacity(starts.len());
        for (at, (number, start)) in starts.iter().enumerate() {
            let end = starts.get(at + 1).map_or(text.len(), |(_, next)| *next);
            let section = Lines::new(text.get(*start..end).unwrap_or_default());
            media.push(Media::read(section, defaults).ok_or(fail(
                "a media line is not kind, port, protocol and formats; write `m=audio 4000 RTP/AVP 0`",
                *number,
            ))?);
        }
        Ok(Sdp {
            text,
            session,
            media,
        })
    }

    /// The description as received.
    #[must_use]
    pub fn as_bytes(&self) -> &'a [u8] {
        self.text
    }

    /// Who made it; none where the line is missing or incomplete.
    #[must_use]
    pub fn origin(&self) -> Option<Origin<'a>> {
        let mut words = words(self.session.value(b'o')?);
        let mut word = || words.next();
        let (username, session_id, version) = (word()?, word()?, word()?);
        let _net = word()?;
        Some(Origin {
            username,
            session_id,
            version,
            address_type: word()?,
            address: word()?,
        })
    }

    /// The session's name (`s=`).
    #[must_use]
    pub fn name(&self) -> Option<&'a str> {
        self.session.value(b's')
    }

    /// The connection of every media section that has none of its own.
    #[must_use]
    pub fn connection(&self) -> Option<Connection<'a>> {
        Connection::read(self.session.clone())
    }

    /// The attributes of the session, in order.
    pub fn attributes(&self) -> impl Iterator<Item = Attribute<'a>> + use<'a> {
        attribute::attributes(self.session.clone())
    }

    /// The first attribute of the session of that name.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<Attribute<'a>> {
        self.attributes().find(|it| it.name == name)
    }

    /// The media sections, in order.
    #[must_use]
    pub fn media(&self) -> &[Media<'a>] {
        &self.media
    }

    /// Whether its sender does not want to hear the other side: there is a stream, and none that it wants to receive.
    #[must_use]
    pub fn is_hold(&self) -> bool {
        let mut live = self.media.iter().filter(|media| !media.is_rejected());
        let mut any = false;
        live.all(|media| {
            any = true;
            !media.direction().receives()
        }) && any
    }

    fn lines(&self) -> impl Iterator<Item = Line<'a>> + use<'a> {
        Lines::new(self.text)
    }
}

impl Message {
    /// The session description: the body, or the part of a multipart body that is one. None where there is none.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn sdp(&self) -> Result<Option<Sdp<'_>>, SdpError> {
        self.body_part("application/sdp")
            .map(|part| Sdp::parse(part.body))
            .transpose()
    }
}
