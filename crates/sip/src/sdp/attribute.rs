//! Attributes (`a=`, RFC 8866 §6), and what they say about formats.
use super::line::Lines;

/// One attribute.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Attribute<'a> {
    /// The name, as sent: names are case-sensitive (RFC 8866 §9).
    pub name: &'a str,
    /// The value; none for a flag.
    pub value: Option<&'a str>,
}

impl<'a> Attribute<'a> {
    pub(super) fn read(text: &'a str) -> Attribute<'a> {
        let (name, value) = match text.split_once(':') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        Attribute { name, value }
    }
}

/// The attributes among some lines.
pub(super) fn attributes<'a>(lines: Lines<'a>) -> impl Iterator<Item = Attribute<'a>> + use<'a> {
    lines
        .filter(|line| line.kind() == b'a')
        .filter_map(|line| line.value())
        .map(Attribute::read)
}

/// What a payload type stands for (RFC 8866 §6.6).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct RtpMap<'a> {
    /// The encoding's name: `PCMU`, `opus`, `telephone-event`. Compared without regard to case.
    pub encoding: &'a str,
    /// The clock rate in Hz.
    pub clock_rate: u32,
    /// The number of channels.
    pub channels: u32,
}

impl<'a> RtpMap<'a> {
    /// Reads what follows the payload type: `opus/48000/2`.
    pub(super) fn read(text: &'a str) -> Option<RtpMap<'a>> {
        let mut parts = text.split('/').map(|part| part.trim_matches(' '));
        let encoding = parts.next().filter(|part| !part.is_empty())?;
        let number = |text: &str| crate::grammar::number(text.as_bytes(), u32::MAX);
        let clock_rate = number(parts.next()?)?;
        Some(RtpMap {
            encoding,
            clock_rate,
            channels: parts.next().and_then(number).unwrap_or(1),
        })
    }

    /// What a payload type stands for without an rtpmap (RFC 3551 §6), those that telephones send.
    pub(super) fn assigned(format: &str) -> Option<RtpMap<'static>> {
        let (encoding, clock_rate) = match format {
            "0" => ("PCMU", 8000),
            "3" => ("GSM", 8000),
            "4" => ("G723", 8000),
            "8" => ("PCMA", 8000),
            "9" => ("G722", 8000),
            "13" => ("CN", 8000),
            "15" => ("G728", 8000),
            "18" => ("G729", 8000),
            "26" => ("JPEG", 90_000),
            "31" => ("H261", 90_000),
            "34" => ("H263", 90_000),
            _ => return None,
        };
        Some(RtpMap {
            encoding,
            clock_rate,
            channels: 1,
        })
    }
}
