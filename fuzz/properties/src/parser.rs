//! Any bytes as one message: refused with a place and a reason, or read within the limits; what was read is written and read the same.
use crate::reading::{deeper, places, shown, typed};
use bytes::Bytes;
use sip::{Build, HeaderName, Limits, Message, Patch};

/// Limits that an input of a few hundred bytes can reach.
#[must_use]
pub fn tight() -> Limits {
    Limits {
        message_bytes: 512,
        start_line_bytes: 64,
        header_bytes: 96,
        head_bytes: 384,
        headers: 8,
        body_bytes: 128,
    }
}

/// Holds the properties for one input.
pub fn run(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    let usual = check(&bytes, &Limits::default());
    let narrow = check(&bytes, &tight());
    if let Some(narrow) = narrow {
        let usual = usual.expect("wider limits refuse nothing that narrower ones allow");
        assert_eq!(places(&narrow), places(&usual));
    }
}

fn check(bytes: &Bytes, limits: &Limits) -> Option<Message> {
    match Message::parse(bytes.clone(), limits) {
        Ok(message) => {
            is_within(&message, bytes, limits);
            typed(&message);
            deeper(&message);
            is_read_again(&message, limits);
            is_written(&message);
            Some(message)
        }
        Err(error) => {
            assert!(error.offset <= bytes.len(), "{error}: past the end");
            assert!(!error.to_string().is_empty());
            if let Some(status) = error.status() {
                assert!((400..600).contains(&status), "{error}: {status}");
            }
            if let Some(message) = Message::parse_lenient(bytes.clone(), limits) {
                typed(&message);
                deeper(&message);
                let reply = Build::reply(&message, 400, "Bad Request", Some("t")).finish(b"");
                Message::parse(reply, &Limits::unlimited()).expect("the refusal can be read");
            }
            None
        }
    }
}

fn is_within(message: &Message, bytes: &Bytes, limits: &Limits) {
    let own = message.as_bytes();
    // A head whose last empty line was forgotten is completed.
    assert!(bytes.starts_with(own) || own.strip_suffix(b"\r\n") == Some(&bytes[..]));
    assert!(own.len() <= limits.message_bytes + 2 && message.body().len() <= limits.body_bytes);
    // Empty lines before the start line are no part of the head (RFC 3261 §7.5).
    let leading = own.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
    let head = own.len() - message.body().len() - leading.count();
    assert!(head <= limits.head_bytes + 2);
    assert!(message.fields().count() <= limits.headers);
    for field in message.fields() {
        assert!(
            field.raw().len() <= limits.header_bytes + 2,
            "a field past its limit"
        );
        assert!(own[field.offset()..].starts_with(field.raw()));
    }
    let announced = message.content_length().expect("it was read");
    assert!(announced.is_none_or(|length| length as usize == message.body().len()));
}

fn is_read_again(message: &Message, limits: &Limits) {
    let again = Message::parse(message.bytes(), limits).expect("what was read is read again");
    assert_eq!(places(&again), places(message));
    assert_eq!(shown(&again), shown(message));
}

fn is_written(message: &Message) {
    let unlimited = Limits::unlimited();
    let written = Patch::new(message).write();
    let again = Message::parse(written.clone(), &unlimited).expect("what is written is read");
    assert_eq!(shown(&again), shown(message));
    assert_eq!(
        again.content_length(),
        Ok(u32::try_from(message.body().len()).ok())
    );
    assert_eq!(
        Patch::new(&again).write(),
        written,
        "writing twice changes nothing"
    );
    if !message.is_request() {
        return;
    }
    let reply = Build::reply(message, 404, "Not Found", Some("t")).finish(b"");
    let reply = Message::parse(reply, &unlimited).expect("an answer can be read");
    assert_eq!(reply.status(), 404);
    let vias = |message: &Message| -> Vec<String> {
        message
            .values(HeaderName::Via)
            .map(|via| via.trim().to_owned())
            .collect()
    };
    assert_eq!(vias(&reply), vias(message), "RFC 3261 §8.2.6.2");
    if let (Ok(asked), Ok(got)) = (message.call_id(), reply.call_id()) {
        assert_eq!(asked, got);
    }
    if let Ok(to) = message.to() {
        let tag = to.tag().map_or("t".to_owned(), str::to_owned);
        assert_eq!(
            reply.to().ok().and_then(|to| to.tag().map(str::to_owned)),
            Some(tag)
        );
    }
}
