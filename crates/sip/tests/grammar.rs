//! The corners of RFC 3261's grammar are read, and what breaks it is refused with its kind, its place and the status to answer.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
use bytes::Bytes;
use sip::{Build, HeaderName, Host, Limits, Message, Method, ParseErrorKind, Scheme, Uri};

const REST: &str = "Via: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: i\r\nCSeq: 1 INVITE\r\n";

fn parse(text: impl AsRef<[u8]>) -> Result<Message, sip::ParseError> {
    Message::parse(Bytes::copy_from_slice(text.as_ref()), &Limits::default())
}

fn invite(extra: &str) -> String {
    format!("INVITE sip:c@d SIP/2.0\r\n{REST}{extra}\r\n")
}

fn kind(text: impl AsRef<[u8]>) -> (ParseErrorKind, Option<u16>) {
    let error = parse(text).unwrap_err();
    (error.kind, error.status())
}

#[test]
fn start_lines_are_strict() {
    let line = |line: &str| kind(format!("{line}\r\n{REST}\r\n"));
    assert_eq!(
        line("INVITE sip:c@d SIP/7.0"),
        (ParseErrorKind::Version, Some(505))
    );
    assert_eq!(
        line("INVITE  sip:c@d SIP/2.0"),
        (ParseErrorKind::RequestUri, Some(400))
    );
    assert_eq!(
        line("INVITE <sip:c@d> SIP/2.0"),
        (ParseErrorKind::RequestUri, Some(400))
    );
    assert_eq!(
        line("INVITE sip:c@d; lr SIP/2.0"),
        (ParseErrorKind::RequestUri, Some(400))
    );
    assert_eq!(
        line("INVITE sip:c@d SIP/2.0  "),
        (ParseErrorKind::RequestUri, Some(400))
    );
    assert_eq!(
        line("INV(ITE sip:c@d SIP/2.0"),
        (ParseErrorKind::Method, Some(400))
    );
    assert_eq!(line("GET / HTTP/1.1"), (ParseErrorKind::NotSip, None));
    assert_eq!(
        line("SIP/2.0 4294967301 better not break"),
        (ParseErrorKind::Status, None)
    );
    assert_eq!(line("SIP/2.0 099 X"), (ParseErrorKind::Status, None));
    assert_eq!(kind("\r\n\r\n"), (ParseErrorKind::Empty, None));
    assert_eq!(
        parse(format!(
            "\r\n\r\nINVITE nobodyknows:x sip/2.0\r\n{REST}\r\n"
        ))
        .unwrap()
        .request_uri(),
        "nobodyknows:x"
    );
    let response = parse(format!("SIP/2.0 299\r\n{REST}\r\n")).unwrap();
    assert_eq!(
        (
            response.status(),
            response.reason().as_ref(),
            response.method()
        ),
        (299, "", Method::Invite)
    );
}

#[test]
fn header_lines_are_strict() {
    assert_eq!(
        kind(invite("no colon here\r\n")),
        (ParseErrorKind::FieldName, Some(400))
    );
    assert_eq!(
        kind(invite(": no name\r\n")),
        (ParseErrorKind::FieldName, Some(400))
    );
    assert_eq!(
        kind(invite("Bad\u{e4}: x\r\n")),
        (ParseErrorKind::FieldName, Some(400))
    );
    assert_eq!(
        kind(invite("X: a\rY: b\r\n")),
        (ParseErrorKind::BareCarriageReturn, Some(400))
    );
    assert_eq!(
        kind("INVITE sip:c@d SIP/2.0\r\n folded: x\r\n\r\n"),
        (ParseErrorKind::FoldedFirstField, Some(400))
    );
    assert_eq!(
        kind(format!("INVITE sip:c@d SIP/2.0\r\n{REST}")),
        (ParseErrorKind::HeadUnfinished, Some(400))
    );
    let message = parse(invite("Empty:\r\nUnknown: ;;,,;;,;\r\nX : \t y \r\n")).unwrap();
    let last: Vec<_> = message
        .fields()
        .skip(5)
        .map(|field| (field.raw_name().to_owned(), field.text().into_owned()))
        .collect();
    let expected = [("Empty", ""), ("Unknown", ";;,,;;,;"), ("X", "y")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(last, expected);
}

#[test]
fn content_length_rules_the_body() {
    let with = |length: &str, body: &str| {
        parse(format!(
            "{}{body}",
            invite(&format!("Content-Length: {length}\r\n"))
        ))
    };
    assert_eq!(
        with("4", "bodyrest").unwrap().body(),
        b"body",
        "what is too much is dropped"
    );
    assert_eq!(
        with("5", "body").unwrap_err().kind,
        ParseErrorKind::BodyTruncated
    );
    for bad in ["-1", "", "4x", "99999999999", "0x4"] {
        assert_eq!(
            with(bad, "body").unwrap_err().kind,
            ParseErrorKind::ContentLength,
            "{bad}"
        );
    }
    assert_eq!(
        with("4\r\nl: 4", "body").unwrap().body(),
        b"body",
        "the same twice is harmless"
    );
    assert_eq!(
        with("4\r\nl: 3", "body").unwrap_err().kind,
        ParseErrorKind::ContentLengthsDiffer
    );
    assert_eq!(
        parse(format!("{}body", invite(""))).unwrap().body(),
        b"body",
        "without one the datagram ends the body"
    );
}

#[test]
fn limits_are_kept() {
    let limits = Limits {
        message_bytes: 1000,
        start_line_bytes: 40,
        header_bytes: 100,
        head_bytes: 500,
        headers: 8,
        body_bytes: 60,
    };
    let kind = |text: String| {
        let error = Message::parse(Bytes::from(text), &limits).unwrap_err();
        (error.kind, error.status())
    };
    let long = |count: usize| "x".repeat(count);
    assert_eq!(
        kind(format!("INVITE sip:{} SIP/2.0\r\n{REST}\r\n", long(60))),
        (ParseErrorKind::StartLineTooLong, Some(414))
    );
    assert_eq!(
        kind(invite(&format!("X: {}\r\n", long(100)))),
        (ParseErrorKind::HeaderTooLong, Some(513))
    );
    assert_eq!(
        kind(invite(&format!("X:\r\n {}\r\n", long(100)))),
        (ParseErrorKind::HeaderTooLong, Some(513))
    );
    assert_eq!(
        kind(invite(&"X: y\r\n".repeat(4))),
        (ParseErrorKind::TooManyHeaders, Some(513))
    );
    assert_eq!(
        kind(invite(&format!("X: {0}\r\nY: {0}\r\n", long(90)).repeat(3))),
        (ParseErrorKind::TooManyHeaders, Some(513))
    );
    assert_eq!(
        kind(format!("{}{}", invite(""), long(61))),
        (ParseErrorKind::BodyTooLong, Some(513))
    );
    assert_eq!(
        kind(invite("l: 61\r\n")),
        (ParseErrorKind::BodyTooLong, Some(513))
    );
    assert!(Message::parse(Bytes::from(format!("{}{}", invite(""), long(60))), &limits).is_ok());
    let four = invite(&format!("X: {}\r\n", long(95)).repeat(3)).replace("From", "f");
    let limits = Limits {
        head_bytes: 300,
        ..limits.clone()
    };
    assert_eq!(
        Message::parse(Bytes::from(four), &limits).unwrap_err().kind,
        ParseErrorKind::HeadTooLong
    );
}

#[test]
fn what_every_message_needs_is_checked_once_and_readable() {
    let fails = |from: &str, to: &str| {
        let error = parse(invite("Max-Forwards: 70\r\n").replace(from, to))
            .unwrap()
            .validate()
            .unwrap_err();
        assert_eq!(error.status(), Some(400), "{error}");
        error.to_string()
    };
    for line in REST.split_inclusive("\r\n") {
        let name = line.split(':').next().unwrap();
        assert!(fails(line, "").starts_with(name), "{line} is missing");
        if name != "Via" {
            assert!(
                fails(line, &line.repeat(2)).contains("more than one"),
                "{line} is doubled"
            );
        }
    }
    assert!(fails("1 INVITE", "1 OPTIONS").contains("method"));
    assert!(fails("1 INVITE", "2147483648 INVITE").contains("2^31"));
    assert!(fails("70", "256").starts_with("Max-Forwards"));
    assert!(fails("70", "70\r\nMax-Forwards: 70").contains("more than one"));
    assert!(fails("h;branch", "h:65536;branch").contains("65535"));
    assert!(fails("<sip:c@d>", "\"c <sip:c@d>").contains("quote"));
    parse(invite("Max-Forwards: 0\r\n"))
        .unwrap()
        .validate()
        .unwrap();
}

#[test]
fn a_refused_request_can_be_answered() {
    let broken = "INVITE sip:c@d;x=< SIP/7.0\r\nno colon\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n\x00\x01\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: i\r\nl: -9\r\nCSeq: 1 INVITE";
    let error = parse(format!("{broken}\r\n")).unwrap_err();
    assert_eq!(error.status(), Some(505));
    let message =
        Message::parse_lenient(Bytes::from(format!("{broken}\r\n")), &Limits::default()).unwrap();
    let reply =
        parse(Build::reply(&message, 505, "Version Not Supported", Some("t")).finish(b"")).unwrap();
    assert_eq!(
        (
            reply.call_id(),
            reply.to().unwrap().tag(),
            reply.top_via().unwrap().branch()
        ),
        (Ok("i"), Some("t"), Some("z9hG4bK1"))
    );
    assert_eq!(reply.cseq().unwrap().method, Method::Invite);
    assert!(
        Message::parse_lenient(
            Bytes::from_static(b"SIP/2.0 999 X\r\n\r\n"),
            &Limits::default()
        )
        .is_none()
    );
    assert!(
        Message::parse_lenient(Bytes::from_static(b"\x16\x03\x01"), &Limits::default()).is_none()
    );
}

#[test]
fn uris_are_read_in_all_their_forms() {
    let uri =
        Uri::parse("sips:al%20ice:pa;ss@[2001:DB8::1]:5061;lr;x=%3b?Subject=a%26b&x").unwrap();
    assert_eq!(
        (uri.scheme(), uri.user_decoded().as_deref(), uri.password()),
        (Scheme::Sips, Some("al ice"), Some("pa;ss"))
    );
    assert_eq!(
        (uri.host(), uri.port(), uri.is_loose_router()),
        (Host::V6("2001:db8::1".parse().unwrap()), Some(5061), true)
    );
    assert_eq!(
        (uri.param("x"), uri.headers().collect::<Vec<_>>()),
        (Some(Some("%3b")), vec![("Subject", "a%26b"), ("x", "")])
    );
    assert_eq!(
        Uri::parse("SIP:192.0.2.1").unwrap().host(),
        Host::V4("192.0.2.1".parse().unwrap())
    );
    assert_eq!(Uri::parse("sip:*72#@pbx").unwrap().user(), Some("*72#"));
    let null = Uri::parse("sip:null-%00-null@example.com").unwrap();
    assert_eq!(null.user_decoded().as_deref(), Some("null-\0-null"));
    let tel = Uri::parse("tel:+1-201-555-0123;phone-context=x").unwrap();
    assert_eq!(
        (tel.scheme(), tel.user(), tel.param("phone-context")),
        (Scheme::Tel, Some("+1-201-555-0123"), Some(Some("x")))
    );
    assert_eq!(
        Uri::parse("urn:service:sos").unwrap().scheme(),
        Scheme::Other("urn")
    );
    let bad = [
        "",
        "sip",
        "sip:",
        "sip:@h",
        "sip:h:",
        "sip:h:65536",
        "sip:h:5o60",
        "sip:[::1",
        "sip:[zz]",
        "sip:a%4@h",
        "sip:a%zz@h",
        "sip:a b@h",
        "sip:<h>",
        "sip:h;\"",
        "sip:h\u{0}",
        "tel:",
        "9:x",
        "sip:a@b@c",
        "x:",
    ];
    for text in bad {
        assert!(Uri::parse(text).is_err(), "{text}");
    }
    let error = Uri::parse("sip:alice@example.com:70000;lr").unwrap_err();
    assert_eq!(
        (error.offset, error.to_string().as_str()),
        (
            22,
            "the port is not a number up to 65535 (at byte 22 of the URI)"
        )
    );
}

#[test]
fn uris_compare_as_the_rfc_says() {
    let same = |one: &str, two: &str| {
        let (one, two) = (Uri::parse(one).unwrap(), Uri::parse(two).unwrap());
        assert_eq!(one.equivalent(&two), two.equivalent(&one));
        one.equivalent(&two)
    };
    for (one, two) in [
        (
            "sip:%61lice@atlanta.com;transport=TCP",
            "sip:alice@AtLanTa.CoM;Transport=tcp",
        ),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ),
        ("tel:+1-201-555-0123", "TEL:+12015550123"),
        ("URN:service:sos", "urn:service:sos"),
    ] {
        assert!(same(one, two), "{one} is {two}");
    }
    for (one, two) in [
        (
            "SIP:ALICE@AtLanTa.CoM;Transport=udp",
            "sip:alice@AtLanTa.CoM;Transport=UDP",
        ),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        (
            "sip:bob@biloxi.com",
            "sip:bob@biloxi.com:6000;transport=tcp",
        ),
        (
            "sip:carol@chicago.com",
            "sip:carol@chicago.com?Subject=next%20meeting",
        ),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        (
            "sip:carol@chicago.com;security=on",
            "sip:carol@chicago.com;security=off",
        ),
        ("sip:a%3Bb@c", "sip:a;b@c"),
        ("sip:a@b", "sips:a@b"),
        ("sip:a@b", "sip:b"),
    ] {
        assert!(!same(one, two), "{one} is not {two}");
    }
}

#[test]
fn names_are_found_in_every_spelling() {
    let message = parse(invite(
        "x-A: 1\r\nX-a: 2\r\nk: timer\r\nSUPPORTED: 100rel , gruu\r\n",
    ))
    .unwrap();
    assert_eq!(
        message
            .named("X-A")
            .map(|field| field.text().into_owned())
            .collect::<Vec<_>>(),
        ["1", "2"]
    );
    assert_eq!(message.named("supported").count(), 2);
    assert_eq!(
        message.values(HeaderName::Supported).collect::<Vec<_>>(),
        ["timer", "100rel", "gruu"]
    );
    assert_eq!(message.named("i").next().unwrap().raw_name(), "Call-ID");
}
