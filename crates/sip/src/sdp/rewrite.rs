//! Rewriting a description: the lines that are meant change, every other byte stays as received.
use super::attribute::Attribute;
use super::direction::Direction;
use super::line::{Line, words};
use super::media::named_direction;
use super::{Media, Sdp};
use std::borrow::Cow;
use std::net::IpAddr;

/// A line and the section it stands in: 0 is the session, 1 the first media section.
#[derive(Clone, Debug)]
struct Placed<'a> {
    section: usize,
    whole: Cow<'a, [u8]>,
}

impl Placed<'_> {
    fn line(&self) -> Line<'_> {
        Line {
            start: 0,
            whole: &self.whole,
        }
    }

    fn attribute(&self) -> Option<Attribute<'_>> {
        let line = self.line();
        (line.kind() == b'a')
            .then(|| line.value().map(Attribute::read))
            .flatten()
    }
}

/// A description that is being changed. Media sections are counted from 0; one that is not there is left alone.
#[derive(Clone, Debug)]
pub struct Rewrite<'a> {
    lines: Vec<Placed<'a>>,
    line_end: &'static [u8],
}

impl<'a> Rewrite<'a> {
    /// Begins with the description as it is.
    #[must_use]
    pub fn new(sdp: &Sdp<'a>) -> Rewrite<'a> {
        let mut section = 0;
        let placed = sdp.lines().map(|line| {
            section += usize::from(line.kind() == b'm');
            Placed {
                section,
                whole: Cow::Borrowed(line.whole),
            }
        });
        let lines: Vec<_> = placed.collect();
        let bare =
            |line: &Placed<'_>| line.whole.ends_with(b"\n") && !line.whole.ends_with(b"\r\n");
        let line_end: &[u8] = if lines.first().is_some_and(bare) {
            b"\n"
        } else {
            b"\r\n"
        };
        Rewrite { lines, line_end }
    }

    /// The description as it is now.
    #[must_use]
    pub fn finish(&self) -> Vec<u8> {
        let parts: Vec<&[u8]> = self.lines.iter().map(|line| line.whole.as_ref()).collect();
        parts.concat()
    }

    /// The version of `o=`, one more: what RFC 3264 §8 wants of each change. A version that is no number stays.
    pub fn bump_version(&mut self) {
        let end = self.line_end;
        for line in &mut self.lines {
            if line.line().kind() != b'o' || line.section > 0 {
                continue;
            }
            let next = line.line().value().and_then(|value| {
                let (at, version) = nth_word(value, 2)?;
                let (before, after) = (value.get(..at)?, value.get(at + version.len()..)?);
                Some(format!("o={before}{}{after}", incremented(version)?))
            });
            if let Some(next) = next {
                replace(line, &next, end);
            }
        }
    }

    /// Another address in every `c=`; one for the session where it has none and a media section has none either. `a=rtcp` and
    /// candidates stay: remove them where they name addresses that no longer hold.
    pub fn set_address(&mut self, address: IpAddr) {
        let end = self.line_end;
        let text = connection(address);
        let sections = self.lines.last().map_or(1, |line| line.section + 1);
        let mut connected = vec![false; sections];
        for line in &mut self.lines {
            if line.line().kind() == b'c' {
                replace(line, &text, end);
                if let Some(it) = connected.get_mut(line.section) {
                    *it = true;
                }
            }
        }
        let (session, media) = connected.split_at(1);
        let is_whole = !media.is_empty() && media.iter().all(|it| *it);
        if session != [true] && !is_whole {
            self.insert(0, b"vosiuep", &text);
        }
    }

    /// Another address for one media section.
    pub fn set_media_address(&mut self, media: usize, address: IpAddr) {
        let end = self.line_end;
        let text = connection(address);
        let mut lines = self.lines.iter_mut();
        match lines.find(|line| line.section == media + 1 && line.line().kind() == b'c') {
            Some(line) => replace(line, &text, end),
            None => self.insert(media + 1, b"mi", &text),
        }
    }

    /// Another port for one media section; 0 refuses it (RFC 3264 §6).
    pub fn set_port(&mut self, media: usize, port: u16) {
        self.set_media_word(media, 1, |old| {
            let count = old.split_once('/').map(|(_, count)| count);
            match count {
                Some(count) if port != 0 => format!("{port}/{count}"),
                _ => port.to_string(),
            }
        });
    }

    /// Another direction for one media section. Nothing is written where it has that direction already.
    pub fn set_direction(&mut self, media: usize, direction: Direction) {
        let now = self.finish();
        let current = Sdp::parse(&now)
            .ok()
            .and_then(|sdp| sdp.media().get(media).map(Media::written_direction));
        if current.is_none_or(|current| current == direction) {
            return;
        }
        let is_direction = |line: &Placed<'_>| {
            line.attribute()
                .is_some_and(|it| named_direction(it).is_some())
        };
        let end = self.line_end;
        let text = format!("a={}", direction.as_str());
        let mut written = false;
        self.lines.retain_mut(|line| {
            if line.section != media + 1 || !is_direction(line) {
                return true;
            }
            let keep = !written;
            if keep {
                replace(line, &text, end);
                written = true;
            }
            keep
        });
        if !written {
            self.append(media + 1, &text);
        }
    }

    /// Puts the other side on hold: no live stream is received any more (RFC 3264 §8.4).
    pub fn hold(&mut self) {
        self.redirect(|direction| Direction::of(direction.sends(), false));
    }

    /// Takes the other side off hold: every live stream flows both ways again, as far as the other side lets it.
    pub fn resume(&mut self) {
        self.redirect(|direction| match direction {
            Direction::SendOnly | Direction::Inactive => Direction::SendRecv,
            other => other,
        });
    }

    fn redirect(&mut self, change: impl Fn(Direction) -> Direction) {
        let now = self.finish();
        let Ok(sdp) = Sdp::parse(&now) else { return };
        for (at, media) in sdp.media().iter().enumerate() {
            if !media.is_rejected() {
                self.set_direction(at, change(media.written_direction()));
            }
        }
    }

    /// Removes a media section. Only from a first offer: later ones and answers keep every section and refuse it by its port
    /// (RFC 3264 §6, §8).
    pub fn remove_media(&mut self, media: usize) {
        self.lines.retain(|line| line.section != media + 1);
        for line in &mut self.lines {
            if line.section > media + 1 {
                line.section -= 1;
            }
        }
    }

    /// Removes a format of a media section, and the attributes about it. False, and nothing is done, where it is not there, or
    /// where it is the only one: refuse the stream instead.
    pub fn remove_format(&mut self, media: usize, format: &str) -> bool {
        let is_media = |line: &Placed<'_>| line.section == media + 1 && line.line().kind() == b'm';
        let end = self.line_end;
        let Some(line) = self.lines.iter_mut().find(|line| is_media(line)) else {
            return false;
        };
        let Some(value) = line.line().value() else {
            return false;
        };
        let head: Vec<&str> = words(value).take(3).collect();
        let kept: Vec<&str> = words(value).skip(3).filter(|it| *it != format).collect();
        if kept.is_empty() || kept.len() == words(value).skip(3).count() {
            return false;
        }
        let text = format!("m={} {}", head.join(" "), kept.join(" "));
        replace(line, &text, end);
        let is_about = |line: &Placed<'_>| {
            line.section == media + 1
                && line.attribute().is_some_and(|it| {
                    matches!(it.name, "rtpmap" | "fmtp" | "rtcp-fb")
                        && it
                            .value
                            .is_some_and(|value| words(value).next() == Some(format))
                })
        };
        self.lines.retain(|line| !is_about(line));
        true
    }

    /// Sets an attribute, of the session where no media section is named: the first of that name changes, others of it go, and
    /// where there is none it is written last.
    pub fn set_attribute(&mut self, media: Option<usize>, name: &str, value: Option<&str>) {
        let section = media.map_or(0, |media| media + 1);
        let end = self.line_end;
        let text = attribute_text(name, value);
        let mut written = false;
        self.lines.retain_mut(|line| {
            if line.section != section || line.attribute().is_none_or(|it| it.name != name) {
                return true;
            }
            let keep = !written;
            if keep {
                replace(line, &text, end);
                written = true;
            }
            keep
        });
        if !written {
            self.append(section, &text);
        }
    }

    /// Adds an attribute behind the others.
    pub fn add_attribute(&mut self, media: Option<usize>, name: &str, value: Option<&str>) {
        self.append(
            media.map_or(0, |media| media + 1),
            &attribute_text(name, value),
        );
    }

    /// Removes every attribute of that name, of the session where no media section is named.
    pub fn remove_attribute(&mut self, media: Option<usize>, name: &str) {
        let section = media.map_or(0, |media| media + 1);
        self.lines.retain(|line| {
            line.section != section || line.attribute().is_none_or(|it| it.name != name)
        });
    }

    /// Changes one word of a media line.
    fn set_media_word(&mut self, media: usize, number: usize, change: impl Fn(&str) -> String) {
        let end = self.line_end;
        let mut lines = self.lines.iter_mut();
        let is_media = |line: &Placed<'_>| line.section == media + 1 && line.line().kind() == b'm';
        let Some(line) = lines.find(|line| is_media(line)) else {
            return;
        };
        let text = line.line().value().and_then(|value| {
            let (at, word) = nth_word(value, number)?;
            let (before, after) = (value.get(..at)?, value.get(at + word.len()..)?);
            Some(format!("m={before}{}{after}", change(word)))
        });
        if let Some(text) = text {
            replace(line, &text, end);
        }
    }

    /// Writes a line at the end of a section that is there.
    fn append(&mut self, section: usize, text: &str) {
        let at = self
            .lines
            .iter()
            .rposition(|line| line.section == section && !line.line().content().is_empty());
        self.write_after(at, section, text);
    }

    /// Writes a line behind the last of these kinds in a section.
    fn insert(&mut self, section: usize, behind: &[u8], text: &str) {
        let at = self
            .lines
            .iter()
            .rposition(|line| line.section == section && behind.contains(&line.line().kind()));
        self.write_after(at, section, text);
    }

    fn write_after(&mut self, at: Option<usize>, section: usize, text: &str) {
        let Some(at) = at else { return };
        let end = self.line_end;
        let mut line = Placed {
            section,
            whole: Cow::Borrowed(end),
        };
        replace(&mut line, text, end);
        // The last line may have no end; it needs one before another.
        if let Some(last) = self.lines.get_mut(at) {
            if !last.whole.ends_with(b"\n") {
                last.whole.to_mut().extend_from_slice(end);
            }
        }
        self.lines.insert(at + 1, line);
    }
}

/// Gives a line another content, its own line end kept.
fn replace(line: &mut Placed<'_>, text: &str, line_end: &[u8]) {
    let old = line.whole.as_ref();
    let end: &[u8] = if old.ends_with(b"\r\n") {
        b"\r\n"
    } else if old.ends_with(b"\n") {
        b"\n"
    } else {
        // A last line without an end gets one: the description has changed anyway.
        line_end
    };
    let mut whole = Vec::with_capacity(text.len() + 2);
    whole.extend_from_slice(text.as_bytes());
    whole.extend_from_slice(end);
    line.whole = Cow::Owned(whole);
}

fn connection(address: IpAddr) -> String {
    let kind = if address.is_ipv4() { "IP4" } else { "IP6" };
    format!("c=IN {kind} {address}")
}

/// An attribute's line; nothing that an application gives can end it.
fn attribute_text(name: &str, value: Option<&str>) -> String {
    let text = match value {
        Some(value) => format!("a={name}:{value}"),
        None => format!("a={name}"),
    };
    text.replace(['\r', '\n', '\0'], " ")
}

/// The word of that number, from 0, and where it begins.
fn nth_word(text: &str, number: usize) -> Option<(usize, &str)> {
    let word = words(text).nth(number)?;
    Some((word.as_ptr().addr() - text.as_ptr().addr(), word))
}

/// A decimal number of any length, plus one.
fn incremented(digits: &str) -> Option<String> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let kept = digits.trim_end_matches('9');
    let zeros = "0".repeat(digits.len() - kept.len());
    let mut letters = kept.chars();
    let last = letters.next_back().and_then(|digit| digit.to_digit(10));
    let next = last.map_or(1, |digit| digit + 1);
    Some(format!("{}{next}{zeros}", letters.as_str()))
}
