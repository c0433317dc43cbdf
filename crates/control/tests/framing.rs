//! A stream gives the same payloads however it is chunked, and a length that cannot be followed is named, not obeyed.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that goes wrong is to stop"
)]
mod corpus;

use bytes::Bytes;
use control::frame::{Decoder, FrameError};

const LIMIT: usize = 1024 * 1024;

fn all(decoder: &mut Decoder) -> Vec<Bytes> {
    std::iter::from_fn(|| decoder.next_payload().unwrap()).collect()
}

#[test]
fn payloads_do_not_depend_on_chunks() {
    let entries = corpus::entries("captures");
    let stream: Vec<u8> = entries
        .iter()
        .flat_map(|entry| entry.frame.to_vec())
        .collect();
    let expected: Vec<Bytes> = entries.iter().map(|entry| entry.payload.clone()).collect();
    for size in [1, 2, 3, 7, 64, 1000, 1460, 65_536, stream.len()] {
        let mut decoder = Decoder::new(LIMIT);
        let mut payloads = Vec::new();
        for chunk in stream.chunks(size) {
            decoder.push(chunk);
            payloads.extend(all(&mut decoder));
        }
        assert!(payloads == expected, "chunks of {size} bytes");
        assert_eq!(decoder.pending(), 0);
    }
}

#[test]
fn a_length_counts_bytes_not_characters() {
    let mut decoder = Decoder::new(LIMIT);
    let payload = "1|ping|käse🧀";
    decoder.push(format!("{}#{payload}4#tail", payload.len()).as_bytes());
    assert_eq!(
        all(&mut decoder),
        vec![Bytes::from(payload), Bytes::from("tail")]
    );
}

#[test]
fn a_length_past_the_limit_is_refused_before_its_bytes_come() {
    let mut decoder = Decoder::new(LIMIT);
    decoder.push(b"10000000#c1|sip||");
    let error = decoder.next_payload().unwrap_err();
    assert_eq!(
        error,
        FrameError::TooLong {
            announced: 10_000_000,
            limit: LIMIT
        }
    );
    assert_eq!(
        error.to_string(),
        "a frame announces 10000000 bytes, more than the 1048576 accepted"
    );
}

#[test]
fn the_limit_itself_is_accepted() {
    let mut decoder = Decoder::new(8);
    decoder.push(b"8#12345678");
    assert_eq!(all(&mut decoder), vec![Bytes::from("12345678")]);
    decoder.push(b"9#");
    assert!(decoder.next_payload().is_err());
}

#[test]
fn what_is_no_length_is_named() {
    for (bytes, error) in [
        (
            &b"GET / HTTP/1.1\r\n"[..],
            FrameError::NotALength {
                byte: b'G',
                index: 0,
            },
        ),
        (
            b"#ping",
            FrameError::NotALength {
                byte: b'#',
                index: 0,
            },
        ),
        (
            b"12 #ping",
            FrameError::NotALength {
                byte: b' ',
                index: 2,
            },
        ),
        (
            b"\r\n41#",
            FrameError::NotALength {
                byte: b'\r',
                index: 0,
            },
        ),
        (
            b"-5#",
            FrameError::NotALength {
                byte: b'-',
                index: 0,
            },
        ),
        (b"0#", FrameError::Empty),
    ] {
        let mut decoder = Decoder::new(LIMIT);
        decoder.push(bytes);
        assert_eq!(decoder.next_payload(), Err(error), "{bytes:?}");
    }
}

#[test]
fn endless_digits_are_refused() {
    let mut decoder = Decoder::new(LIMIT);
    decoder.push(b"00000000000000000000000000000");
    assert!(matches!(
        decoder.next_payload(),
        Err(FrameError::TooLong { .. })
    ));
}

#[test]
fn an_incomplete_frame_waits() {
    let mut decoder = Decoder::new(LIMIT);
    for byte in b"5#hell" {
        decoder.push(&[*byte]);
        assert_eq!(decoder.next_payload(), Ok(None));
    }
    decoder.push(b"o");
    assert_eq!(decoder.next_payload(), Ok(Some(Bytes::from("hello"))));
}
