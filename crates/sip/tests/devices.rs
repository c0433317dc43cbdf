//! Every message of the corpus is read whole, validates, and reads the same after it was written again.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod corpus;

use bytes::Bytes;
use sip::{HeaderName, Limits, Message, Method, Patch, Scheme};

fn read(name: &str) -> Message {
    let (_, bytes) = corpus::devices()
        .into_iter()
        .find(|(other, _)| other == name)
        .unwrap();
    Message::parse(Bytes::from(bytes), &Limits::default()).unwrap()
}

#[test]
fn every_message_is_read_and_validates() {
    for (name, bytes) in corpus::devices() {
        let message = Message::parse(Bytes::from(bytes.clone()), &Limits::default())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        message
            .validate()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(message.as_bytes(), bytes, "{name}: nothing is lost");
        for via in message.vias() {
            via.unwrap();
        }
        message.contacts().unwrap();
        message.routes().unwrap();
        message.record_routes().unwrap();
        if message.is_request() {
            message.uri().unwrap();
        }
        let again = Message::parse(Patch::new(&message).write(), &Limits::default()).unwrap();
        let fields = |message: &Message| -> Vec<(String, Vec<u8>)> {
            message
                .fields()
                .map(|field| (field.raw_name().to_owned(), field.value().into_owned()))
                .collect()
        };
        assert_eq!(fields(&message), fields(&again), "{name}");
        assert_eq!(message.body(), again.body(), "{name}");
    }
}

#[test]
fn a_border_controllers_compact_invite_is_understood() {
    let message = read("sbc-invite-compact");
    assert_eq!(message.method(), Method::Invite);
    let uri = message.uri().unwrap();
    assert_eq!(uri.user(), Some("+15550100;phone-context=example.net"));
    assert_eq!(
        (
            uri.host().to_string().as_str(),
            uri.port(),
            uri.param("user")
        ),
        ("sbc.example.net", Some(5061), Some(Some("phone")))
    );
    let vias: Vec<_> = message.vias().map(|via| via.unwrap().sent_by()).collect();
    assert_eq!(
        vias,
        [
            ("[2001:db8::12]", Some(5061)),
            ("192.0.2.77", None),
            ("192.0.2.78", Some(5060))
        ]
    );
    let from = message.from().unwrap();
    assert_eq!(
        (from.uri().unwrap().scheme(), from.uri().unwrap().user()),
        (Scheme::Tel, Some("+15550199"))
    );
    assert_eq!(message.record_routes().unwrap().len(), 2);
    let identities: Vec<_> = message.values(HeaderName::PAssertedIdentity).collect();
    assert_eq!(
        identities,
        ["\"Doe, J.\" <sip:+15550199@example.net>", "<tel:+15550199>"]
    );
    assert!(message.body_is_sdp());
    assert_eq!(message.named("content-length").count(), 1);
    assert_eq!(message.named("X-None").count(), 0);
}

#[test]
fn folded_fields_with_white_space_everywhere_are_understood() {
    let message = read("softphone-subscribe-folded");
    let via = message.top_via().unwrap();
    assert_eq!(
        (via.transport, via.branch(), via.params.get("alias")),
        ("TCP", Some("z9hG4bK.5f"), Some(None))
    );
    let from = message.from().unwrap();
    assert_eq!(
        (from.display.as_deref(), from.tag()),
        (Some("Ann \"A\" Lee"), Some("lee"))
    );
    assert_eq!(message.cseq().unwrap().number, 20);
    assert_eq!(message.max_forwards(), Ok(Some(68)));
    assert_eq!(
        message.header(HeaderName::From).unwrap().text(),
        "\"Ann \\\"A\\\" Lee\" <sip:ann@pbx.example.com> ;tag=lee"
    );
}

#[test]
fn bytes_that_are_not_utf_8_are_kept() {
    let message = read("latin1-display-refer");
    assert!(
        message
            .header(HeaderName::From)
            .unwrap()
            .value()
            .contains(&0xfc)
    );
    assert_eq!(
        message.from().unwrap().display.as_deref(),
        Some("M\u{fffd}ller")
    );
    let binary = read("multipart-binary");
    assert!(binary.body().windows(2).any(|pair| pair == [0xff, 0xfe]));
}
