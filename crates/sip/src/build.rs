//! Writes new messages. What may stand in them is decided by whoever writes; only that a value cannot end its own header
//! field is seen to here: line ends and NUL become spaces.
use crate::grammar::{push_line, push_value};
use crate::message::Message;
use crate::name::HeaderName;
use bytes::Bytes;

/// A message being written.
#[derive(Clone, Debug)]
pub struct Build {
    out: Vec<u8>,
}

impl Build {
    /// A request to `uri`.
    #[must_use]
    pub fn request(method: &str, uri: &str) -> Build {
        let mut out = Vec::with_capacity(768);
        push_value(&mut out, method.as_bytes());
        out.push(b' ');
        push_value(&mut out, uri.as_bytes());
        out.extend_from_slice(b" SIP/2.0\r\n");
        Build { out }
    }

    /// A response with `status`, 100 to 699.
    #[must_use]
    pub fn response(status: u16, reason: &str) -> Build {
        let mut out = Vec::with_capacity(512);
        out.extend_from_slice(b"SIP/2.0 ");
        write_number(&mut out, usize::from(status));
        out.push(b' ');
        push_value(&mut out, reason.as_bytes());
        out.extend_from_slice(b"\r\n");
        Build { out }
    }

    /// The response to `request` with what RFC 3261 §8.2.6.2 copies: every Via, From, To, Call-ID and CSeq, and into a 100 the
    /// Timestamp. `to_tag` is added to the To unless that has a tag.
    #[must_use]
    pub fn reply(request: &Message, status: u16, reason: &str, to_tag: Option<&str>) -> Build {
        let mut build = Build::response(status, reason);
        for field in request.fields() {
            match field.name() {
                HeaderName::Via | HeaderName::From | HeaderName::CallId | HeaderName::CSeq => {
                    build.push_copied(field.name(), &field.value());
                }
                HeaderName::Timestamp if status == 100 => {
                    build.push_copied(HeaderName::Timestamp, &field.value())
                }
                HeaderName::To => {
                    build.push_copied(HeaderName::To, &field.value());
                    let untagged = request.to().is_ok_and(|to| to.tag().is_none());
                    if let Some(tag) = to_tag.filter(|_| untagged) {
                        build.out.truncate(build.out.len() - 2);
                        build.out.extend_from_slice(b";tag=");
                        push_value(&mut build.out, tag.as_bytes());
                        build.out.extend_from_slice(b"\r\n");
                    }
                }
                _ => {}
            }
        }
        build
    }

    /// Adds a header field. `Other` has no name to write; use [`Build::named`].
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: impl AsRef<[u8]>) -> Build {
        self.push_field(name, value.as_ref());
        self
    }

    /// Adds a header field of any name.
    #[must_use]
    pub fn named(mut self, name: &str, value: impl AsRef<[u8]>) -> Build {
        push_field(&mut self.out, name.as_bytes(), value.as_ref());
        self
    }

    /// Adds every header field of that name that `from` has, in order.
    #[must_use]
    pub fn copy(mut self, from: &Message, name: HeaderName) -> Build {
        for field in from.headers(name) {
            push_field(&mut self.out, field.raw_name().as_bytes(), &field.value());
        }
        self
    }

    /// The message: Content-Length is written last, then the body.
    #[must_use]
    pub fn finish(mut self, body: &[u8]) -> Bytes {
        push_end(&mut self.out, body);
        // A response is kept as long as its transaction may repeat it: what it did not need of its buffer is half a kilobyte each.
        self.out.shrink_to_fit();
        Bytes::from(self.out)
    }

    /// A value that a message had: a NUL in it was sent so and goes back so (RFC 4475 §3.1.1.2).
    fn push_copied(&mut self, name: HeaderName, value: &[u8]) {
        self.out.extend_from_slice(name.as_str().as_bytes());
        self.out.extend_from_slice(b": ");
        push_line(&mut self.out, value);
        self.out.extend_from_slice(b"\r\n");
    }

    fn push_field(&mut self, name: HeaderName, value: &[u8]) {
        push_field(&mut self.out, name.as_str().as_bytes(), value);
    }
}

/// Appends `name: value` and a line end; nothing without a name.
pub(crate) fn push_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    if name.is_empty() {
        return;
    }
    push_value(out, name);
    out.extend_from_slice(b": ");
    push_value(out, value);
    out.extend_from_slice(b"\r\n");
}

/// Appends the Content-Length, the empty line and the body.
pub(crate) fn push_end(out: &mut Vec<u8>, body: &[u8]) {
    out.extend_from_slice(b"Content-Length: ");
    write_number(out, body.len());
    out.extend_from_slice(b"\r\n\r\n");
    out.extend_from_slice(body);
}

/// Appends a number in decimal digits.
pub fn write_number(out: &mut Vec<u8>, mut number: usize) {
    let start = out.len();
    loop {
        // A digit is less than 10.
        #[allow(clippy::cast_possible_truncation)]
        out.push(b'0' + (number % 10) as u8);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    if let Some(digits) = out.get_mut(start..) {
        digits.reverse();
    }
}

#[cfg(test)]
mod tests {
    use super::Build;
    use crate::limits::Limits;
    use crate::message::Message;
    use crate::name::HeaderName;
    use bytes::Bytes;

    #[test]
    fn a_value_cannot_end_its_own_field() {
        let bytes = Build::request("OPTIONS", "sip:a@b")
            .named("X-A", "1\r\nEvil: 2")
            .header(HeaderName::Subject, "s")
            .finish(b"x");
        assert_eq!(
            bytes,
            "OPTIONS sip:a@b SIP/2.0\r\nX-A: 1  Evil: 2\r\nSubject: s\r\nContent-Length: 1\r\n\r\nx"
        );
    }

    #[test]
    fn a_reply_repeats_what_must_be_repeated_and_tags_once() {
        let request = "INVITE sip:a@b SIP/2.0\r\nv: SIP/2.0/UDP h;branch=1\r\nVia: SIP/2.0/UDP i\r\nf: <sip:x@y>;tag=1\r\nt:\r\n <sip:a@b>\r\ni: 7\r\nCSeq: 1 INVITE\r\nTimestamp: 5\r\n\r\n";
        let request = Message::parse(Bytes::from(request), &Limits::default()).unwrap();
        let reply = Build::reply(&request, 180, "Ringing", Some("t1")).finish(b"");
        assert_eq!(
            reply,
            "SIP/2.0 180 Ringing\r\nVia: SIP/2.0/UDP h;branch=1\r\nVia: SIP/2.0/UDP i\r\nFrom: <sip:x@y>;tag=1\r\nTo: <sip:a@b>;tag=t1\r\nCall-ID: 7\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
        );
        let trying = Message::parse(
            Build::reply(&request, 100, "Trying", None).finish(b""),
            &Limits::default(),
        )
        .unwrap();
        assert_eq!(trying.header(HeaderName::Timestamp).unwrap().text(), "5");
        assert_eq!(trying.to().unwrap().tag(), None);
    }
}
