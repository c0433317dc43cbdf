//! Requests that cannot be read: answered 400 and the like where enough of them can be (RFC 3261 §18.3, RFC 4475 §3.1.2).
//!
//! A line scan that trusts nothing: it copies what a response must repeat, and gives up silently where that is not there.
use crate::engine::Engine;
use crate::time::Time;
use crate::totals::Total;
use crate::transport::{Destination, Origin, TransmitToken};
use sip::{Build, HeaderName, ParseError};
use std::net::SocketAddr;

/// The longest header value worth repeating to whoever sent rubbish.
const LONGEST: usize = 1024;
/// The most Via values worth repeating.
const MOST_VIAS: usize = 16;

/// What a response must repeat of a request.
#[derive(Default)]
struct Scan<'a> {
    vias: Vec<&'a [u8]>,
    from: &'a [u8],
    to: &'a [u8],
    call_id: &'a [u8],
    sequence: &'a [u8],
}

impl<'a> Scan<'a> {
    /// Reads it, from anything that looks like a request other than ACK.
    fn read(bytes: &'a [u8]) -> Option<Scan<'a>> {
        let mut lines = bytes
            .split(|byte| *byte == b'\n')
            .map(<[u8]>::trim_ascii_end);
        let start = lines.find(|line| !line.is_empty())?;
        if start.starts_with(b"SIP/") || start.starts_with(b"ACK ") || !start.contains(&b' ') {
            return None;
        }
        let mut scan = Scan::default();
        for line in lines.take_while(|line| !line.is_empty()) {
            let Some(colon) = line.iter().position(|byte| *byte == b':') else {
                continue;
            };
            let (name, rest) = line.split_at(colon);
            let value = rest.get(1..).unwrap_or_default().trim_ascii();
            if value.is_empty()
                || value.len() > LONGEST
                || value.contains(&0)
                || value.contains(&b'\r')
            {
                continue;
            }
            match HeaderName::from_bytes(name.trim_ascii()) {
                HeaderName::Via if scan.vias.len() < MOST_VIAS => scan.vias.push(value),
                HeaderName::From => scan.from = value,
                HeaderName::To => scan.to = value,
                HeaderName::CallId => scan.call_id = value,
                HeaderName::CSeq => scan.sequence = value,
                _ => {}
            }
        }
        // The rest may be what is wrong (RFC 4475 §3.3.1): whoever sent it learns of that all the same.
        (!scan.sequence.is_empty() && !scan.vias.is_empty()).then_some(scan)
    }
}

impl Engine {
    /// Bytes came that are no SIP message. A request that shows whom to answer gets the status that the error names; all else is
    /// dropped. How many of these are worth answering is the driver's to limit.
    pub fn handle_malformed(
        &mut self,
        now: Time,
        origin: Origin,
        bytes: &[u8],
        error: &ParseError,
    ) {
        self.advance(now);
        self.totals.add(Total::Malformed);
        tracing::debug!(peer = %origin.peer, %error, "no SIP message");
        if let Some(status) = error.status() {
            self.answer_raw(&origin, bytes, status, sip::status::reason_phrase(status));
        }
    }

    /// A request that is not wanted: answered with this status, as far as enough of it can be read.
    pub fn handle_unwanted(&mut self, now: Time, origin: Origin, bytes: &[u8], status: u16) {
        self.advance(now);
        self.answer_raw(&origin, bytes, status, sip::status::reason_phrase(status));
    }

    /// Answers a request that cannot be read, to where it came from.
    pub(crate) fn answer_raw(&mut self, origin: &Origin, bytes: &[u8], status: u16, reason: &str) {
        let Some(scan) = Scan::read(bytes) else {
            return self.totals.add(Total::Dropped);
        };
        if !self.answers_refused(origin) {
            return;
        }
        let clean: String = reason
            .chars()
            .map(|letter| if letter.is_control() { ' ' } else { letter })
            .take(80)
            .collect();
        let mut build = Build::response(status, &clean);
        for (index, via) in scan.vias.iter().enumerate() {
            let mut value = via.to_vec();
            // Only a sole value can be completed without reading the list.
            if index == 0 && !via.contains(&b',') && !contains(via, b"received=") {
                let received = format!(";received={}", origin.peer.ip().to_canonical());
                value.extend_from_slice(received.as_bytes());
            }
            build = build.header(HeaderName::Via, value);
        }
        let mut to = scan.to.to_vec();
        if !to.is_empty() && !contains(&to.to_ascii_lowercase(), b"tag=") {
            let tag = self.digester.digest(&[scan.call_id, scan.from]).token();
            to.extend_from_slice(b";tag=");
            to.extend_from_slice(tag.as_bytes());
        }
        if status == 503 {
            build = build.header(HeaderName::RetryAfter, self.retry_after());
        }
        for (name, value) in [
            (HeaderName::From, scan.from),
            (HeaderName::To, &to),
            (HeaderName::CallId, scan.call_id),
            (HeaderName::CSeq, scan.sequence),
        ] {
            if !value.is_empty() {
                build = build.header(name, value);
            }
        }
        let destination = Destination {
            listener: origin.listener,
            transport: origin.transport,
            peer: SocketAddr::new(origin.peer.ip(), origin.peer.port()),
            connection: origin.connection,
        };
        self.totals.add(Total::ResponsesOut);
        self.transmit(destination, build.finish(b""), TransmitToken::NONE);
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}
