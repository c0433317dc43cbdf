//! Every message of RFC 5118 is read as the RFC says, or refused with the status that it says.
//!
//! The archive of the RFC has line feeds alone as line ends and two Content-Lengths that fit no body; what is made of both is in
//! `corpus/rfc5118/README.md`. Each message is therefore read twice: as archived, and as the RFC's text shows it, with CRLF.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod corpus;

use bytes::Bytes;
use sip::{Host, Limits, Message, Method, ParseErrorKind};
use std::net::{IpAddr, Ipv6Addr};

fn v6(text: &str) -> Host<'static> {
    Host::V6(text.parse::<Ipv6Addr>().unwrap())
}

fn ip(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

fn parse(bytes: Vec<u8>) -> Result<Message, sip::ParseError> {
    Message::parse(Bytes::from(bytes), &Limits::default())
}

fn archived(name: &str) -> Vec<u8> {
    let all = corpus::folder("rfc5118");
    all.into_iter().find(|(other, _)| other == name).unwrap().1
}

/// The message with CRLF, the empty line behind its header fields, and a Content-Length that says what there is.
fn on_the_wire(archived: &[u8]) -> Vec<u8> {
    let text = String::from_utf8(archived.to_vec()).unwrap();
    let (head, body) = text.split_once("\n\n").unwrap_or((text.trim_end(), ""));
    let body = body.replace('\n', "\r\n");
    let lines: Vec<String> = head
        .lines()
        .map(|line| match line.split_once(": ") {
            Some(("Content-Length", _)) => format!("Content-Length: {}", body.len()),
            _ => line.to_owned(),
        })
        .collect();
    format!("{}\r\n\r\n{body}", lines.join("\r\n")).into_bytes()
}

/// Reads a message both ways; each must hold `check`.
fn accepted(name: &str, check: impl Fn(&Message)) {
    for bytes in [archived(name), on_the_wire(&archived(name))] {
        let message = parse(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(message.validate(), Ok(()), "{name}");
        message
            .uri()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        check(&message);
    }
}

/// The same for a message whose archived Content-Length is more than there is (RFC 3261 §18.3: 400).
fn accepted_with_its_length(name: &str, check: impl Fn(&Message)) {
    let error = parse(archived(name)).unwrap_err();
    assert_eq!(error.kind, ParseErrorKind::BodyTruncated, "{name}");
    assert_eq!(error.status(), Some(400));
    let message = parse(on_the_wire(&archived(name))).unwrap();
    assert_eq!(message.validate(), Ok(()), "{name}");
    check(&message);
}

#[test]
fn rfc_5118_4_1_ipv6_good() {
    accepted("ipv6-good", |message| {
        assert_eq!(message.method(), Method::Register);
        assert_eq!(message.uri().unwrap().host(), v6("2001:db8::10"));
        let via = message.top_via().unwrap();
        assert_eq!((via.host, via.port), (v6("2001:db8::9:1"), None));
        let contacts = message.contacts().unwrap();
        assert_eq!(contacts[0].display.as_deref(), Some("Caller"));
        assert_eq!(contacts[0].uri().unwrap().host(), v6("2001:db8::1"));
    });
}

#[test]
fn rfc_5118_4_2_ipv6_bad() {
    // The message is read, its request-URI is not: the engine answers 400.
    let message = parse(archived("ipv6-bad")).unwrap();
    assert_eq!(message.validate(), Ok(()));
    assert!(message.uri().is_err());
}

#[test]
fn rfc_5118_4_3_port_ambiguous() {
    accepted("port-ambiguous", |message| {
        let uri = message.uri().unwrap();
        assert_eq!((uri.host(), uri.port()), (v6("2001:db8::10:5070"), None));
    });
}

#[test]
fn rfc_5118_4_4_port_unambiguous() {
    accepted("port-unambiguous", |message| {
        let uri = message.uri().unwrap();
        assert_eq!((uri.host(), uri.port()), (v6("2001:db8::10"), Some(5070)));
    });
}

#[test]
fn rfc_5118_4_5_received_with_and_without_brackets() {
    for (name, method, branch) in [
        (
            "via-received-param-with-delim",
            Method::Bye,
            "z9hG4bKas3-111",
        ),
        ("via-received-param-no-delim", Method::Options, "z9hG4bKas3"),
    ] {
        accepted(name, |message| {
            assert_eq!(message.method(), method);
            let via = message.top_via().unwrap();
            assert_eq!(via.host, v6("2001:db8::9:1"));
            assert_eq!(via.received_address(), ip("2001:db8::9:255"), "{name}");
            assert_eq!(via.branch(), Some(branch));
        });
    }
}

#[test]
fn rfc_5118_4_6_ipv6_in_sdp() {
    accepted_with_its_length("ipv6-in-sdp", |message| {
        let to = message.to().unwrap();
        assert_eq!(to.uri().unwrap().host(), v6("2001:db8::10"));
        assert!(message.body_is_sdp());
        let sdp = std::str::from_utf8(message.body()).unwrap();
        assert!(sdp.contains("\r\nc=IN IP6 2001:db8::20\r\n"));
    });
}

#[test]
fn rfc_5118_4_7_mult_ip_in_header() {
    accepted("mult-ip-in-header", |message| {
        let vias: Vec<_> = message.vias().map(Result::unwrap).collect();
        let hosts: Vec<_> = vias.iter().map(|via| (via.host, via.port)).collect();
        let middle = Host::V4("192.0.2.1".parse().unwrap());
        assert_eq!(
            hosts,
            [
                (v6("2001:db8::9:1"), Some(6050)),
                (middle, None),
                (v6("2001:db8::9:255"), None)
            ]
        );
        assert_eq!(vias[2].received_address(), ip("192.0.2.200"));
    });
}

#[test]
fn rfc_5118_4_8_mult_ip_in_sdp() {
    accepted_with_its_length("mult-ip-in-sdp", |message| {
        assert!(message.body_is_sdp());
        let sdp = std::str::from_utf8(message.body()).unwrap();
        assert!(sdp.contains("c=IN IP4 192.0.2.1\r\n") && sdp.contains("c=IN IP6 2001:db8::1\r\n"));
    });
}

#[test]
fn rfc_5118_4_9_ipv4_mapped_ipv6() {
    accepted("ipv4-mapped-ipv6", |message| {
        let vias: Vec<_> = message.vias().map(Result::unwrap).collect();
        assert_eq!(
            (vias[0].host, vias[0].port),
            (v6("::ffff:192.0.2.10"), Some(19_823))
        );
        assert_eq!((vias[1].host, vias[1].port), (v6("::ffff:192.0.2.2"), None));
        let contacts = message.contacts().unwrap();
        let contact = contacts[0].uri().unwrap();
        assert_eq!(contact.host(), v6("::ffff:192.0.2.2"));
        assert!(message.body_is_sdp());
        assert!(
            message.body().ends_with(b"H263-1998/90000\r\n")
                || message.body().ends_with(b"H263-1998/90000\n")
        );
    });
}

#[test]
fn rfc_5118_4_10_three_colons_mean_two() {
    for name in ["ipv6-bug-abnf-3-colons", "ipv6-correct-abnf-2-colons"] {
        accepted(name, |message| {
            let uri = message.uri().unwrap();
            assert_eq!(uri.user(), Some("user"));
            assert_eq!(uri.host(), v6("2001:db8::192.0.2.1"), "{name}");
            let to = message.to().unwrap();
            assert_eq!(to.uri().unwrap().host(), v6("2001:db8::192.0.2.1"));
            assert!(
                message.as_bytes().ends_with(b"\n\r\n"),
                "the empty line is put there"
            );
        });
    }
    assert_eq!(Host::parse("[2001:db8::::1]"), None);
    assert_eq!(Host::parse("[:::1]"), Some(v6("::1")));
}
