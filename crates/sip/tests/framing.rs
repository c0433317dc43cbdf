//! What a stream's framing gives does not depend on how the bytes were cut, and it holds no more than its limits.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod corpus;

use bytes::Bytes;
use sip::{Frame, Framer, Limits, Message, ParseErrorKind, Patch};

/// The frames of a stream that comes in pieces of these lengths, over and over; an error ends it.
fn frames(stream: &[u8], lengths: &[usize]) -> Vec<String> {
    let mut framer = Framer::new(Limits::default());
    let mut out = Vec::new();
    let mut rest = stream;
    for length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, behind) = rest.split_at((*length).clamp(1, rest.len()));
        rest = behind;
        framer.push(piece);
        while let Some(frame) = framer.next() {
            out.push(match frame {
                Ok(Frame::Message(message)) => format!("{:?}", message.bytes()),
                Ok(Frame::Ping) => "ping".to_owned(),
                Ok(Frame::Pong) => "pong".to_owned(),
                Err(error) => format!("{error}"),
            });
        }
    }
    out
}

/// Every message of the corpus, each with a Content-Length, and keep-alives between them.
fn stream() -> (Vec<u8>, usize) {
    let mut stream = Vec::new();
    let mut count = 0;
    let torture = corpus::torture().into_iter();
    let all = corpus::devices().into_iter().chain(torture);
    let read = all.filter_map(|(_, bytes)| {
        // What is refused from a datagram is refused here as well: `torture.rs`.
        Message::parse(Bytes::from(bytes), &Limits::default()).ok()
    });
    for (index, message) in read.enumerate() {
        stream.extend_from_slice(&Patch::new(&message).write());
        stream.extend_from_slice([&b""[..], b"\r\n", b"\r\n\r\n", b"\n"][index % 4]);
        count += 1;
    }
    (stream, count)
}

#[test]
fn every_way_to_cut_a_stream_gives_the_same_frames() {
    let (stream, count) = stream();
    let whole = frames(&stream, &[stream.len()]);
    assert_eq!(
        whole
            .iter()
            .filter(|frame| frame.starts_with("b\""))
            .count(),
        count
    );
    for length in (1..40).chain([511, 1024, 1447]) {
        assert_eq!(frames(&stream, &[length]), whole, "pieces of {length}");
    }
    assert_eq!(frames(&stream, &[1, 700, 3, 2, 90]), whole);
}

#[test]
fn two_line_ends_are_a_ping_and_one_is_its_answer() {
    assert_eq!(frames(b"\r\n\r\n", &[1]), ["pong", "ping"]);
    assert_eq!(frames(b"\r\n", &[2]), ["pong"]);
    assert_eq!(frames(b"\r\n\r\n\r\n", &[6]), ["pong", "ping", "pong"]);
}

/// RFC 4475 §3.1.2.2, §3.1.2.3, §3.3.9, §3.4.1: a stream whose framing is lost cannot go on; one that announces more waits for it.
#[test]
fn torture_messages_with_a_wrong_content_length_wait_or_end_the_stream() {
    let torture = corpus::torture();
    for (name, kind) in [
        ("clerr", None),
        ("ncl", Some(ParseErrorKind::ContentLength)),
        ("mcl01", Some(ParseErrorKind::ContentLengthsDiffer)),
        ("inv2543", Some(ParseErrorKind::ContentLengthMissing)),
    ] {
        let (_, bytes) = torture.iter().find(|(other, _)| other == name).unwrap();
        for length in [1, 7, bytes.len()] {
            let mut framer = Framer::new(Limits::default());
            let mut found = None;
            for piece in bytes.chunks(length) {
                framer.push(piece);
                while let Some(frame) = framer.next() {
                    found = Some(frame.unwrap_err().kind);
                }
            }
            assert_eq!(found, kind, "{name} in pieces of {length}");
        }
    }
}

fn error(framer: &mut Framer, bytes: &[u8]) -> ParseErrorKind {
    framer.push(bytes);
    let error = framer.next().unwrap().unwrap_err();
    assert!(framer.next().is_none(), "after an error nothing follows");
    error.kind
}

#[test]
fn a_message_without_content_length_ends_the_stream() {
    let mut framer = Framer::new(Limits::default());
    assert_eq!(
        error(
            &mut framer,
            b"OPTIONS sip:a@b SIP/2.0\r\nCall-ID: 1\r\n\r\n"
        ),
        ParseErrorKind::ContentLengthMissing
    );
    assert!(
        framer.buffered().starts_with(b"OPTIONS"),
        "what was refused can still be answered"
    );
}

#[test]
fn what_is_not_sip_is_refused_at_the_first_byte() {
    let mut framer = Framer::new(Limits::default());
    assert_eq!(
        error(&mut framer, b"\x16\x03\x01\x02"),
        ParseErrorKind::NotSip
    );
    let mut framer = Framer::new(Limits::default());
    assert_eq!(
        error(&mut framer, b"GET / HTTP/1.1\r\n\r\n"),
        ParseErrorKind::NotSip
    );
}

#[test]
fn a_head_without_end_and_a_body_too_long_are_refused_early() {
    let limits = Limits::default();
    let mut framer = Framer::new(limits.clone());
    framer.push(b"OPTIONS sip:a@b SIP/2.0\r\nX: ");
    assert!(framer.next().is_none());
    assert_eq!(
        error(&mut framer, &vec![b'a'; limits.head_bytes]),
        ParseErrorKind::HeadTooLong
    );
    let mut framer = Framer::new(limits);
    assert_eq!(
        error(
            &mut framer,
            b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 99999999\r\n\r\n"
        ),
        ParseErrorKind::BodyTooLong
    );
}
