//! What an application gives for a message, checked: names are tokens, values are one line, the engine's own fields are left out.
use crate::command::Draft;
use crate::event::CommandError;
use bytes::Bytes;
use sip::HeaderName;

/// The host that an application writes for "our own address": replaced by the listener's.
const OWN_HOST: &[u8] = b"@localhost";

/// Header fields of an application, sorted into those that the engine has a say in and the rest.
#[derive(Default)]
pub(crate) struct Fields<'a> {
    pub(crate) from: Option<&'a Bytes>,
    pub(crate) to: Option<&'a Bytes>,
    pub(crate) call_id: Option<&'a Bytes>,
    pub(crate) sequence: Option<&'a Bytes>,
    pub(crate) max_forwards: Option<&'a Bytes>,
    pub(crate) contacts: bool,
    pub(crate) content_type: bool,
    pub(crate) routes: Vec<&'a Bytes>,
    /// All others, Contact among them, in order.
    pub(crate) rest: Vec<(HeaderName, &'a (Bytes, Bytes))>,
}

fn is_token(name: &[u8]) -> bool {
    !name.is_empty()
        && name
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(byte))
}

impl<'a> Fields<'a> {
    /// Sorts the fields of a draft.
    ///
    /// # Errors
    /// `InvalidHeader` for a name that is no token, or a value with a line break or NUL in it.
    pub(crate) fn sort(headers: &'a [(Bytes, Bytes)]) -> Result<Fields<'a>, CommandError> {
        let mut fields = Fields::default();
        for field in headers {
            let (name, value) = field;
            if !is_token(name) || value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
                return Err(invalid(
                    name,
                    "the name must be a token, the value one line",
                ));
            }
            match HeaderName::from_bytes(name) {
                HeaderName::Via
                | HeaderName::RecordRoute
                | HeaderName::RSeq
                | HeaderName::ContentLength => {}
                HeaderName::Route => fields.routes.push(value),
                HeaderName::From => fields.from = Some(value),
                HeaderName::To => fields.to = Some(value),
                HeaderName::CallId => fields.call_id = Some(value),
                HeaderName::CSeq => fields.sequence = Some(value),
                HeaderName::MaxForwards => fields.max_forwards = Some(value),
                other => {
                    fields.contacts |= other == HeaderName::Contact;
                    fields.content_type |= other == HeaderName::ContentType;
                    fields.rest.push((other, field));
                }
            }
        }
        Ok(fields)
    }
}

/// `InvalidHeader`, with the field's name and what is wrong.
pub(crate) fn invalid(name: &[u8], what: &str) -> CommandError {
    CommandError::InvalidHeader(format!("{}: {what}", String::from_utf8_lossy(name)))
}

/// A value as text.
///
/// # Errors
/// `InvalidHeader` when it is not UTF-8.
pub(crate) fn text<'a>(name: &str, value: &'a Bytes) -> Result<&'a str, CommandError> {
    std::str::from_utf8(value).map_err(|_| invalid(name.as_bytes(), "not UTF-8"))
}

/// Whether a body that has no Content-Type is SDP, to be labelled so.
pub(crate) fn looks_like_sdp(body: &[u8]) -> bool {
    body.starts_with(b"v=0")
}

/// Whether a draft's body needs a Content-Type that is not there: `Some(true)` when it is SDP.
pub(crate) fn missing_content_type(draft: &Draft, fields: &Fields<'_>) -> Option<bool> {
    (!draft.body.is_empty() && !fields.content_type).then(|| looks_like_sdp(&draft.body))
}

/// Whether `@localhost` in this header field means our own address.
pub(crate) fn takes_own_host(name: HeaderName) -> bool {
    matches!(
        name,
        HeaderName::From | HeaderName::To | HeaderName::Contact | HeaderName::PAssertedIdentity
    )
}

/// Replaces the host `localhost` (and a port behind it) in `user@localhost` by `host_port`; none when it is not there.
pub(crate) fn own_host(value: &[u8], host_port: &str) -> Option<Vec<u8>> {
    let at = value
        .windows(OWN_HOST.len())
        .position(|window| window.eq_ignore_ascii_case(OWN_HOST))?;
    let (head, rest) = value.split_at(at + 1);
    let mut tail = rest.get(OWN_HOST.len() - 1..).unwrap_or_default();
    if tail
        .first()
        .is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'.' || *byte == b'-')
    {
        return None;
    }
    if let Some(port) = tail.strip_prefix(b":") {
        let digits = port.iter().take_while(|byte| byte.is_ascii_digit()).count();
        tail = port.get(digits..).unwrap_or_default();
    }
    Some([head, host_port.as_bytes(), tail].concat())
}

#[cfg(test)]
mod tests {
    //! What an application writes is used or refused, never smuggled onto the wire.
    use super::*;

    fn field(name: &'static str, value: &'static str) -> (Bytes, Bytes) {
        (
            Bytes::from_static(name.as_bytes()),
            Bytes::from_static(value.as_bytes()),
        )
    }

    #[test]
    fn a_line_break_in_a_value_or_a_name_that_is_no_token_is_refused() {
        assert!(Fields::sort(&[field("X-A", "one\r\nVia: two")]).is_err());
        assert!(Fields::sort(&[field("X A", "one")]).is_err());
        assert!(Fields::sort(&[field("", "one")]).is_err());
    }

    #[test]
    fn the_engines_own_fields_are_left_out() {
        let headers = [
            field("Via", "v"),
            field("content-length", "3"),
            field("X-A", "1"),
            field("f", "<sip:a@b>"),
        ];
        let fields = Fields::sort(&headers).unwrap();
        assert_eq!(fields.rest.len(), 1);
        assert!(fields.from.is_some());
    }

    #[test]
    fn localhost_stands_for_our_address() {
        let replaced = own_host(b"<sip:bob@localhost:9;x=y>;tag=1", "192.0.2.1:5060").unwrap();
        assert_eq!(replaced, b"<sip:bob@192.0.2.1:5060;x=y>;tag=1");
        assert_eq!(own_host(b"<sip:bob@localhost.example>", "h:1"), None);
        assert_eq!(own_host(b"<sip:bob@example.com>", "h:1"), None);
    }
}
