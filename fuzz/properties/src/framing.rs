//! Any bytes as a stream: cut in any way they give the same frames, and no more is held than the limits say. The first byte of the
//! input says how the stream is cut.
use crate::parser::tight;
use crate::reading::{places, shown};
use bytes::Bytes;
use sip::{Frame, Framer, Limits, Message};

/// Holds the properties for one input.
pub fn run(data: &[u8]) {
    let Some((manner, stream)) = data.split_first() else {
        return;
    };
    for limits in [Limits::default(), tight()] {
        let whole = frames(stream, &limits, |_| usize::MAX);
        let bytewise = frames(stream, &limits, |_| 1);
        assert_eq!(bytewise, whole, "byte by byte");
        let manner = usize::from(*manner);
        let pieces = frames(stream, &limits, |at| 1 + (at * 7 + manner) % (manner + 2));
        assert_eq!(pieces, whole, "in pieces");
    }
}

/// The frames of a stream in pieces of these lengths, as text; the last one says whether it went wrong.
fn frames(stream: &[u8], limits: &Limits, length: impl Fn(usize) -> usize) -> Vec<String> {
    let mut framer = Framer::new(limits.clone());
    let mut out = Vec::new();
    let mut failed = false;
    let (mut rest, mut at) = (stream, 0);
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(length(at).min(rest.len()));
        (rest, at) = (behind, at + 1);
        framer.push(piece);
        while let Some(frame) = framer.next() {
            assert!(!failed, "a frame after the stream was lost");
            match frame {
                Ok(Frame::Message(message)) => {
                    stands_alone(&message, limits);
                    out.push(format!("{:?}", message.bytes()));
                }
                Ok(Frame::Ping) => out.push("ping".to_owned()),
                Ok(Frame::Pong) => out.push("pong".to_owned()),
                Err(error) => {
                    assert!(!error.to_string().is_empty());
                    failed = true;
                    // Which of two faults is seen first may depend on how much came, that there is one may not.
                    out.push("lost".to_owned());
                }
            }
            assert!(out.len() <= stream.len() + 1, "frames without end");
        }
        let most = limits.message_bytes.max(limits.head_bytes) + piece.len();
        assert!(
            failed || framer.buffered().len() <= most,
            "{} bytes are held",
            framer.buffered().len()
        );
    }
    out
}

/// A message that a stream gave is the message that a datagram would have given.
fn stands_alone(message: &Message, limits: &Limits) {
    let alone = Message::parse(Bytes::copy_from_slice(message.as_bytes()), limits);
    let alone = alone.expect("a frame is a message");
    assert_eq!(shown(&alone), shown(message));
    assert_eq!(places(&alone), places(message));
}
