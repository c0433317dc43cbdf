//! No truncated prefix and no damaged byte of any message in the corpus makes the reader panic, loop, or read what is not there.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod corpus;

use bytes::Bytes;
use sip::{Build, Frame, Framer, HeaderName, Limits, Message, Patch};

/// Touches everything that reads a message.
fn touch(message: &Message) {
    let _ = message.validate();
    let _ = (
        message.contacts(),
        message.routes(),
        message.record_routes(),
        message.expires(),
        message.content_length(),
    );
    let _ = (
        message.reason(),
        message.body_is_sdp(),
        message.method(),
        message.body(),
    );
    for via in message.vias().flatten() {
        let _ = (
            via.branch(),
            via.rport(),
            via.received_address(),
            via.sent_by(),
            via.params.iter().count(),
        );
    }
    for address in [message.from(), message.to()].into_iter().flatten() {
        let _ = (
            address.tag(),
            address.uri().map(|uri| {
                (
                    uri.user_decoded(),
                    uri.equivalent(&uri),
                    uri.headers().count(),
                )
            }),
        );
    }
    if let Ok(uri) = message.uri() {
        assert!(uri.equivalent(&uri));
    }
    let _ = message
        .fields()
        .map(|field| field.text().len() + field.raw_name().len())
        .sum::<usize>();
    let _ = message.values(HeaderName::Authorization).count();
}

/// What a server does with it: forward it, answer it. What is written must be readable.
fn use_it(message: &Message) {
    let unlimited = Limits::unlimited();
    let mut patch = Patch::new(message);
    patch.prepend(HeaderName::Via, "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx");
    patch.remove_first_value(HeaderName::Route);
    patch.set(HeaderName::MaxForwards, "9");
    let forwarded = Message::parse(patch.write(), &unlimited).unwrap();
    assert_eq!(forwarded.body(), message.body());
    assert_eq!(forwarded.top_via().unwrap().branch(), Some("z9hG4bKx"));
    if message.is_request() {
        Message::parse(
            Build::reply(message, 400, "Bad Request", Some("t")).finish(b""),
            &unlimited,
        )
        .unwrap();
    }
}

fn check(bytes: &[u8]) {
    let limits = Limits::default();
    match Message::parse(Bytes::copy_from_slice(bytes), &limits) {
        Ok(message) => {
            touch(&message);
            use_it(&message);
        }
        Err(error) => {
            assert!(error.offset <= bytes.len() && !error.to_string().is_empty());
            if let Some(message) = Message::parse_lenient(Bytes::copy_from_slice(bytes), &limits) {
                touch(&message);
                let reply = Build::reply(&message, 400, "Bad Request", Some("t")).finish(b"");
                Message::parse(reply, &Limits::unlimited()).unwrap();
            }
        }
    }
}

fn check_framed(bytes: &[u8]) {
    let mut framer = Framer::new(Limits::default());
    framer.push(bytes);
    for _ in 0..bytes.len() + 1 {
        match framer.next() {
            Some(Ok(Frame::Message(message))) => touch(&message),
            Some(Ok(Frame::Ping | Frame::Pong)) => {}
            Some(Err(_)) | None => return,
        }
    }
    panic!("the framer gives frames without end");
}

/// The torture messages are many: a byte lost and a few values at each place have to do.
#[test]
fn damaged_torture_messages_are_refused_or_read() {
    for (_, bytes) in corpus::torture() {
        let mut damaged = bytes.clone();
        for at in 0..bytes.len() {
            check(&bytes[..at]);
            check_framed(&bytes[..at]);
            check(&[&bytes[..at], &bytes[at + 1..]].concat());
            let values = b"\0\r\n \t:;,\"<>@/=%[]9\xff";
            for step in 0..3 {
                damaged[at] = values[(at * 3 + step) % values.len()];
                check(&damaged);
            }
            damaged[at] = bytes[at];
        }
    }
}

#[test]
fn every_prefix_is_refused_or_read() {
    for (_, bytes) in corpus::devices() {
        for end in 0..bytes.len() {
            check(&bytes[..end]);
            check_framed(&bytes[..end]);
        }
    }
}

#[test]
fn every_damaged_byte_is_refused_or_read() {
    // All 256 values at each place in release builds; a dense sample otherwise, another one at each place.
    let step = if cfg!(debug_assertions) { 11 } else { 1 };
    for (_, bytes) in corpus::devices() {
        let mut damaged = bytes.clone();
        for at in 0..bytes.len() {
            for value in (0..=255_u8)
                .skip(at % step)
                .step_by(step)
                .chain(*b"\0\r\n \t:;,\"<>@/=%[]")
            {
                damaged[at] = value;
                check(&damaged);
            }
            damaged[at] = b'\n';
            check_framed(&damaged);
            damaged[at] = bytes[at];
        }
    }
}

#[test]
fn every_missing_or_doubled_byte_is_refused_or_read() {
    for (_, bytes) in corpus::devices() {
        for at in 0..bytes.len() {
            let missing = [&bytes[..at], &bytes[at + 1..]].concat();
            check(&missing);
            check_framed(&missing);
            let doubled = [&bytes[..at], &bytes[at..=at], &bytes[at..]].concat();
            check(&doubled);
        }
    }
}
