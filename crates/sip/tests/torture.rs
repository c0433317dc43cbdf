//! Every message of RFC 4475 is read as the RFC says, or refused with the status that it says.
//!
//! One row a message: the section, the verdict of this crate, and what the RFC tells of the values. What only an engine decides
//! (416, 420, 483, 501, what becomes of responses) is in `crates/simnet/tests/torture.rs`; where the RFC leaves a choice, ours is
//! in `docs/rfc/rfc4475.md`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod corpus;

use bytes::Bytes;
use sip::{HeaderName, Host, Limits, Message, Method, ParseErrorKind, Patch, Scheme, Uri};

/// What becomes of a message here.
enum Verdict {
    /// It is read, has every header field that the protocol needs, and holds this.
    Read(fn(&Message)),
    /// It is no message, for this reason and with this status.
    Refused(ParseErrorKind, Option<u16>),
    /// It is a message in which this header field cannot be used: 400.
    Invalid(HeaderName),
}
use Verdict::{Invalid, Read, Refused};

/// The name of a message, its section, and the verdict.
type Row = (&'static str, &'static str, Verdict);

fn user(uri: &Uri<'_>) -> String {
    uri.user_decoded().unwrap().into_owned()
}

fn to_user(message: &Message) -> String {
    user(&message.to().unwrap().uri().unwrap())
}

fn branches(message: &Message) -> Vec<Option<&str>> {
    message.vias().map(|via| via.unwrap().branch()).collect()
}

fn names(message: &Message) -> Vec<String> {
    let names = message.fields().map(|field| field.raw_name().to_owned());
    names.collect()
}

fn text<'a>(message: &'a Message, name: &'a str) -> Vec<String> {
    let values = message.named(name).map(|field| field.text().into_owned());
    values.collect()
}

/// The session description that most of the messages carry, read whole.
fn has_sdp(message: &Message) {
    assert!(message.body_is_sdp());
    assert!(message.body().starts_with(b"v=0\r\n"));
    assert_eq!(
        message.content_length().unwrap().map(|it| it as usize),
        Some(message.body().len())
    );
}

const VALID: &[Row] = &[
    (
        "wsinv",
        "3.1.1.1",
        Read(|message| {
            assert_eq!(message.method(), Method::Invite);
            let uri = message.uri().unwrap();
            assert_eq!(uri.param("unknownparam"), Some(None));
            assert_eq!(message.to().unwrap().tag(), Some("1918181833n"));
            let from = message.from().unwrap();
            assert_eq!(from.display.as_deref(), Some("J Rosenberg \\\""));
            assert_eq!(from.tag(), Some("98asjd8"));
            assert_eq!(message.max_forwards(), Ok(Some(68)));
            assert_eq!(message.call_id(), Ok("wsinv.ndaksdj@192.0.2.1"));
            assert_eq!(message.cseq().unwrap().number, 9);
            let vias: Vec<_> = message.vias().map(Result::unwrap).collect();
            let hops: Vec<_> = vias
                .iter()
                .map(|via| (via.transport, via.sent_by().0, via.branch()))
                .collect();
            assert_eq!(
                hops,
                [
                    ("UDP", "192.0.2.2", Some("390skdjuw")),
                    ("TCP", "spindle.example.com", Some("z9hG4bK9ikj8")),
                    ("UDP", "192.168.255.111", Some("z9hG4bK30239")),
                ]
            );
            assert_eq!(text(message, "Subject"), [""]);
            assert_eq!(
                text(message, "newfangledheader"),
                ["newfangled value continued newfangled value"]
            );
            assert_eq!(text(message, "UnknownHeaderWithUnusualValue"), [";;,,;;,;"]);
            let routes = message.routes().unwrap();
            assert_eq!(routes.len(), 1);
            let route = routes[0].uri().unwrap();
            assert!(route.is_loose_router());
            assert_eq!(route.param("unknownwith"), Some(Some("value")));
            assert_eq!(route.param("unknown-no-value"), Some(None));
            let contacts = message.contacts().unwrap();
            assert_eq!(contacts.len(), 1);
            let contact = &contacts[0];
            assert_eq!(contact.display.as_deref(), Some("Quoted string \"\""));
            assert_eq!(
                contact.param("newparam").flatten().as_deref(),
                Some("newvalue")
            );
            assert_eq!(contact.param("secondparam"), Some(None));
            assert_eq!(contact.param("q").flatten().as_deref(), Some("0.33"));
            has_sdp(message);
        }),
    ),
    (
        "intmeth",
        "3.1.1.2",
        Read(|message| {
            let method = "!interesting-Method0123456789_*+`.%indeed'~";
            assert_eq!(message.method().as_str(), method);
            assert_eq!(message.cseq().unwrap().method.as_str(), method);
            assert_eq!(message.cseq().unwrap().number, 139_122_385);
            let uri = message.uri().unwrap();
            assert_eq!(
                uri.user(),
                Some("1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*")
            );
            assert_eq!(
                uri.password(),
                Some("&it+has=1,weird!*pas$wo~d_too.(doesn't-it)")
            );
            assert_eq!(uri.host(), Host::Name("example.com"));
            assert_eq!(branches(message), [Some("z9hG4bK-.!%66*_+`'~")]);
            let to = message.to().unwrap();
            assert_eq!(
                to.display.as_deref(),
                Some("BEL:\u{7} NUL:\0 DEL:\u{7f}"),
                "quoted pairs, a NUL too"
            );
            let from = message.from().unwrap();
            assert_eq!(
                from.display.as_deref(),
                Some("token1~` token2'+_ token3*%!.-")
            );
            assert_eq!(
                from.param("fromParam''~+*_!.-%").flatten().as_deref(),
                Some("работающий")
            );
            assert_eq!(from.tag(), Some("_token~1'+`*%!-."));
            assert_eq!(
                message.call_id(),
                Ok("intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{")
            );
            assert_eq!(message.max_forwards(), Ok(Some(255)));
            assert_eq!(
                text(message, "extensionHeader-!.%*+_`'~"),
                ["\u{feff}大停電"]
            );
        }),
    ),
    (
        "esc01",
        "3.1.1.3",
        Read(|message| {
            assert_eq!(user(&message.uri().unwrap()), "sips:user@example.com");
            assert_eq!(message.uri().unwrap().scheme(), Scheme::Sip);
            assert_eq!(to_user(message), "user");
            let from = message.from().unwrap();
            assert_eq!(user(&from.uri().unwrap()), "I have spaces");
            let contacts = message.contacts().unwrap();
            let contact = contacts[0].uri().unwrap();
            assert_eq!(user(&contact), "caller");
            assert_eq!(contact.host(), Host::Name("host5.example.net"));
            assert_eq!(contact.param("lr"), Some(None));
            assert_eq!(contact.param("name"), Some(Some("v%61lue%25%34%31")));
            // "lr" and "name=value%41" are escaped: kept as sent, and compared as what they stand for, unescaped once.
            let same = Uri::parse("sip:caller@host5.example.net;lr;name=value%2541").unwrap();
            let other = Uri::parse("sip:caller@host5.example.net;lr;name=valueA").unwrap();
            assert!(contact.equivalent(&same) && !contact.equivalent(&other));
            has_sdp(message);
        }),
    ),
    (
        "escnull",
        "3.1.1.4",
        Read(|message| {
            assert_eq!(message.method(), Method::Register);
            assert_eq!(to_user(message), "null-\0-null");
            let contacts = message.contacts().unwrap();
            let users: Vec<String> = contacts
                .iter()
                .map(|contact| user(&contact.uri().unwrap()))
                .collect();
            assert_eq!(users, ["\0", "\0\0"]);
            let [one, two] = &contacts[..] else { panic!() };
            assert!(!one.uri().unwrap().equivalent(&two.uri().unwrap()));
        }),
    ),
    (
        "esc02",
        "3.1.1.5",
        Read(|message| {
            assert_eq!(message.method(), Method::Other("RE%47IST%45R".into()));
            assert_eq!(message.to().unwrap().display.as_deref(), Some("%Z%45"));
            assert_eq!(message.from().unwrap().display.as_deref(), Some("%Z%45"));
            assert_eq!(branches(message), [Some("z9hG4bK209%fzsnel234")]);
            assert_eq!(message.contacts().unwrap().len(), 2, "C%6Fntact is none");
            assert_eq!(
                text(message, "C%6Fntact"),
                ["<sip:alias2@host2.example.com>"]
            );
        }),
    ),
    (
        "lwsdisp",
        "3.1.1.6",
        Read(|message| {
            let from = message.from().unwrap();
            assert_eq!(from.display.as_deref(), Some("caller"));
            assert_eq!(from.uri_text, "sip:caller@example.com");
            assert_eq!(from.tag(), Some("323"));
        }),
    ),
    (
        "longreq",
        "3.1.1.7",
        Read(|message| {
            let to = message.to().unwrap();
            assert_eq!(
                to.display.as_deref().unwrap(),
                format!("I have a user name of {} proportion", "extreme".repeat(10))
            );
            let uri = to.uri().unwrap();
            assert_eq!(uri.port(), Some(6000));
            let long = "long".repeat(20);
            assert_eq!(
                uri.param("unknownparam1"),
                Some(Some(&*format!("very{long}value")))
            );
            assert_eq!(
                uri.param(&format!("longparam{}", "name".repeat(25))),
                Some(Some("shortvalue"))
            );
            assert_eq!(
                uri.param(&format!(
                    "very{}ParameterNameWithNoValue",
                    "long".repeat(25)
                )),
                Some(None)
            );
            let from = message.from().unwrap();
            let caller = "amazinglylongcallername".repeat(5);
            assert_eq!(user(&from.uri().unwrap()), caller);
            assert_eq!(from.tag().unwrap(), format!("12{}424", "982".repeat(50)));
            assert_eq!(
                message.call_id().unwrap(),
                format!("longreq.one{}longcallid", "really".repeat(20))
            );
            let branches = branches(message);
            assert_eq!(branches.len(), 34);
            assert_eq!(branches.iter().flatten().count(), 1);
            assert_eq!(
                branches.last().unwrap().unwrap(),
                format!("very{}branchvalue", "long".repeat(50))
            );
            let contacts = message.contacts().unwrap();
            assert_eq!(user(&contacts[0].uri().unwrap()), caller);
            assert_eq!(
                text(message, &format!("Unknown-{}-Name", "Long".repeat(20))).len(),
                1
            );
            has_sdp(message);
        }),
    ),
    (
        "dblreq",
        "3.1.1.8",
        Read(|message| {
            assert_eq!(message.method(), Method::Register);
            assert_eq!(message.max_forwards(), Ok(Some(8)));
            assert!(message.body().is_empty());
            let bytes = message.as_bytes();
            assert!(bytes.ends_with(b"Content-Length: 0\r\n\r\n"));
            assert!(!bytes.windows(6).any(|six| six == b"INVITE"));
        }),
    ),
    (
        "semiuri",
        "3.1.1.9",
        Read(|message| {
            let uri = message.uri().unwrap();
            assert_eq!(user(&uri), "user;par=u@example.net");
            assert_eq!(uri.host(), Host::Name("example.com"));
            assert!(uri.params().is_empty());
            let accepted: Vec<_> = message.values(HeaderName::Accept).collect();
            assert_eq!(accepted.len(), 6);
            assert_eq!(accepted[5], "message/sipfrag");
        }),
    ),
    (
        "transports",
        "3.1.1.10",
        Read(|message| {
            let transports: Vec<_> = message.vias().map(|via| via.unwrap().transport).collect();
            assert_eq!(transports, ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"]);
        }),
    ),
    (
        "mpart01",
        "3.1.1.11",
        Read(|message| {
            assert_eq!(message.method(), Method::Message);
            assert_eq!(message.body().len(), 553);
            assert!(message.body().contains(&0), "binary");
            assert!(message.body().ends_with(b"--7a9cbec02ceef655--\r\n"));
            assert_eq!(
                message.content_type().as_deref(),
                Some("multipart/mixed;boundary=7a9cbec02ceef655")
            );
            assert_eq!(text(message, "Identity")[0].len(), 172);
            assert_eq!(message.top_via().unwrap().rport(), Some(None));
        }),
    ),
    (
        "unreason",
        "3.1.1.12",
        Read(|message| {
            assert_eq!(message.status(), 200);
            assert_eq!(
                message.reason(),
                "= 2**3 * 5**2 но сто девяносто девять - простое"
            );
            assert_eq!(message.method(), Method::Invite);
            has_sdp(message);
        }),
    ),
    (
        "noreason",
        "3.1.1.13",
        Read(|message| {
            assert_eq!((message.status(), &*message.reason()), (100, ""));
            assert_eq!(message.cseq().unwrap().number, 35);
        }),
    ),
];

const INVALID: &[Row] = &[
    ("badinv01", "3.1.2.1", Invalid(HeaderName::Via)),
    (
        "clerr",
        "3.1.2.2",
        Refused(ParseErrorKind::BodyTruncated, Some(400)),
    ),
    (
        "ncl",
        "3.1.2.3",
        Refused(ParseErrorKind::ContentLength, Some(400)),
    ),
    ("scalar02", "3.1.2.4", Invalid(HeaderName::CSeq)),
    ("scalarlg", "3.1.2.5", Invalid(HeaderName::CSeq)),
    ("quotbal", "3.1.2.6", Invalid(HeaderName::To)),
    (
        "ltgtruri",
        "3.1.2.7",
        Refused(ParseErrorKind::RequestUri, Some(400)),
    ),
    (
        "lwsruri",
        "3.1.2.8",
        Refused(ParseErrorKind::RequestUri, Some(400)),
    ),
    (
        "lwsstart",
        "3.1.2.9",
        Refused(ParseErrorKind::RequestUri, Some(400)),
    ),
    (
        "trws",
        "3.1.2.10",
        Refused(ParseErrorKind::RequestUri, Some(400)),
    ),
    (
        "escruri",
        "3.1.2.11",
        Read(|message| {
            // The engine answers 400.
            let uri = message.uri().unwrap();
            assert_eq!(user(&uri), "user");
            let headers: Vec<_> = uri.headers().collect();
            assert_eq!(headers, [("Route", "%3Csip:example.com%3E")]);
            assert_eq!(message.routes().unwrap().len(), 0);
        }),
    ),
    (
        "baddate",
        "3.1.2.12",
        Read(|message| {
            assert_eq!(text(message, "Date"), ["Fri, 01 Jan 2010 16:00:00 EST"]);
            has_sdp(message);
        }),
    ),
    (
        "regbadct",
        "3.1.2.13",
        Read(|message| {
            let contacts = message.contacts().unwrap();
            let uri = contacts[0].uri().unwrap();
            assert_eq!(user(&uri), "user");
            assert_eq!(uri.headers().count(), 1);
            assert_eq!(contacts[0].params.iter().count(), 0);
        }),
    ),
    (
        "badaspec",
        "3.1.2.14",
        Read(|message| {
            let to = message.to().unwrap();
            assert_eq!(to.uri_text, "sip:t.watson@example.org");
            assert_eq!(to_user(message), "t.watson");
            assert_eq!(to.display.as_deref(), Some("Watson, Thomas"));
        }),
    ),
    ("baddn", "3.1.2.15", Invalid(HeaderName::From)),
    (
        "badvers",
        "3.1.2.16",
        Refused(ParseErrorKind::Version, Some(505)),
    ),
    ("mismatch01", "3.1.2.17", Invalid(HeaderName::CSeq)),
    ("mismatch02", "3.1.2.18", Invalid(HeaderName::CSeq)), // The engine answers 501.
    ("bigcode", "3.1.2.19", Refused(ParseErrorKind::Status, None)),
];

const SEMANTIC: &[Row] = &[
    (
        "badbranch",
        "3.2.1",
        Read(|message| assert_eq!(branches(message), [Some("z9hG4bK")])),
    ),
    ("insuf", "3.3.1", Invalid(HeaderName::CallId)),
    (
        "unkscm",
        "3.3.2",
        Read(|message| {
            assert_eq!(
                message.request_uri(),
                "nobodyKnowsThisScheme:totallyopaquecontent"
            );
            assert_eq!(
                message.uri().unwrap().scheme(),
                Scheme::Other("nobodyKnowsThisScheme")
            );
        }),
    ),
    (
        "novelsc",
        "3.3.3",
        Read(|message| {
            assert_eq!(message.request_uri(), "soap.beep://192.0.2.103:3002");
            assert_eq!(message.uri().unwrap().scheme(), Scheme::Other("soap.beep"));
        }),
    ),
    (
        "unksm2",
        "3.3.4",
        Read(|message| {
            let scheme = |address: &sip::Address<'_>| match address.uri().unwrap().scheme() {
                Scheme::Other(scheme) => scheme.to_owned(),
                other => panic!("{other:?}"),
            };
            assert_eq!(scheme(&message.to().unwrap()), "isbn");
            assert_eq!(scheme(&message.from().unwrap()), "http");
            assert_eq!(scheme(&message.contacts().unwrap()[0]), "name");
        }),
    ),
    (
        "bext01",
        "3.3.5",
        Read(|message| {
            let required: Vec<_> = message.values(HeaderName::Require).collect();
            assert_eq!(
                required,
                ["nothingSupportsThis", "nothingSupportsThisEither"]
            );
            let required: Vec<_> = message.values(HeaderName::ProxyRequire).collect();
            assert_eq!(
                required,
                ["noProxiesSupportThis", "norDoAnyProxiesSupportThis"]
            );
        }),
    ),
    (
        "invut",
        "3.3.6",
        Read(|message| {
            assert_eq!(
                message.content_type().as_deref(),
                Some("application/unknownformat")
            );
            assert!(!message.body_is_sdp());
            assert_eq!(message.body().len(), 40);
        }),
    ),
    (
        "regaut01",
        "3.3.7",
        Read(|message| {
            assert_eq!(
                text(message, "Authorization"),
                ["NoOneKnowsThisScheme opaque-data=here"]
            );
        }),
    ),
    ("multi01", "3.3.8", Invalid(HeaderName::CallId)),
    (
        "mcl01",
        "3.3.9",
        Refused(ParseErrorKind::ContentLengthsDiffer, Some(400)),
    ),
    (
        "bcast",
        "3.3.10",
        Read(|message| {
            let hosts: Vec<_> = message.vias().map(|via| via.unwrap().host).collect();
            assert_eq!(
                hosts[1],
                Host::V4(std::net::Ipv4Addr::BROADCAST),
                "the engine sends nothing there"
            );
            has_sdp(message);
        }),
    ),
    (
        "zeromf",
        "3.3.11",
        Read(|message| assert_eq!(message.max_forwards(), Ok(Some(0)))),
    ),
    (
        "cparam01",
        "3.3.12",
        Read(|message| {
            let contacts = message.contacts().unwrap();
            assert_eq!(contacts[0].param("unknownparam"), Some(None));
            let uri = contacts[0].uri().unwrap();
            assert_eq!(
                (user(&uri).as_str(), uri.params().is_empty()),
                ("+19725552222", true)
            );
        }),
    ),
    (
        "cparam02",
        "3.3.13",
        Read(|message| {
            let contacts = message.contacts().unwrap();
            assert!(contacts[0].params.is_empty());
            assert_eq!(contacts[0].uri().unwrap().param("unknownparam"), Some(None));
        }),
    ),
    (
        "regescrt",
        "3.3.14",
        Read(|message| {
            let contacts = message.contacts().unwrap();
            let uri = contacts[0].uri().unwrap();
            let headers: Vec<_> = uri.headers().collect();
            assert_eq!(headers, [("Route", "%3Csip:sip.example.com%3E")]);
        }),
    ),
    (
        "sdp01",
        "3.3.15",
        Read(|message| {
            assert_eq!(text(message, "Accept"), ["text/nobodyKnowsThis"]);
            has_sdp(message);
        }),
    ),
    (
        "inv2543",
        "3.4.1",
        Read(|message| {
            assert_eq!(branches(message), [None]);
            assert_eq!(message.from().unwrap().tag(), None);
            assert_eq!(message.max_forwards(), Ok(None));
            assert_eq!(message.content_length(), Ok(None));
            assert!(message.body_is_sdp(), "all that is left is the body");
            assert!(message.body().ends_with(b"RTP/AVP 0\r\n"));
            let to = message.to().unwrap();
            assert_eq!(to.param("user").flatten().as_deref(), Some("phone"));
            let proxies = message.record_routes().unwrap();
            assert_eq!(
                proxies[0].uri().unwrap().param("maddr"),
                Some(Some("ss1.example.com"))
            );
        }),
    ),
    // In the archive of the RFC, but in no section: no version, and a line that is no header field.
    ("test", "appendix A", Refused(ParseErrorKind::NotSip, None)),
];

fn check(rows: &[Row]) {
    let vectors = corpus::folder("rfc4475");
    for (name, section, verdict) in rows {
        let (_, bytes) = vectors.iter().find(|(other, _)| other == name).unwrap();
        let place = format!("{name} (RFC 4475 §{section})");
        println!("{place}");
        let message = Message::parse(Bytes::from(bytes.clone()), &Limits::default());
        match (verdict, message) {
            (Read(holds), Ok(message)) => {
                assert_eq!(message.validate(), Ok(()), "{place}");
                if message.is_request() {
                    message.uri().unwrap();
                }
                assert!(!names(&message).is_empty());
                holds(&message);
            }
            (Invalid(header), Ok(message)) => {
                let error = message.validate().unwrap_err();
                let ParseErrorKind::Header(what) = error.kind else {
                    panic!("{place}: {error}")
                };
                assert_eq!(
                    (what.header, error.status()),
                    (*header, Some(400)),
                    "{place}"
                );
            }
            (Refused(kind, status), Err(error)) => {
                assert_eq!((error.kind, error.status()), (*kind, *status), "{place}");
            }
            (_, message) => panic!("{place}: {message:?}"),
        }
    }
}

#[test]
fn rfc_4475_3_1_1_valid_messages_are_read() {
    check(VALID);
}

#[test]
fn rfc_4475_3_1_2_invalid_messages_are_refused_or_read_without_harm() {
    check(INVALID);
}

#[test]
fn rfc_4475_3_2_to_3_4_messages_are_read_as_far_as_their_syntax_goes() {
    check(SEMANTIC);
}

#[test]
fn every_message_has_its_row() {
    let all = [VALID, INVALID, SEMANTIC];
    let mut rows: Vec<&str> = all
        .iter()
        .flat_map(|rows| rows.iter().map(|row| row.0))
        .collect();
    rows.sort_unstable();
    let vectors = corpus::folder("rfc4475");
    let files: Vec<&str> = vectors.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(rows, files);
}

#[test]
fn what_is_read_reads_the_same_when_it_was_written_again() {
    let mut read = 0;
    for (name, bytes) in corpus::torture() {
        let Ok(message) = Message::parse(Bytes::from(bytes), &Limits::default()) else {
            continue;
        };
        read += 1;
        let again = Message::parse(Patch::new(&message).write(), &Limits::default()).unwrap();
        assert_eq!(
            again.validate().is_ok(),
            message.validate().is_ok(),
            "{name}"
        );
        assert_eq!(again.reason_bytes(), message.reason_bytes(), "{name}");
        assert_eq!(again.request_uri(), message.request_uri(), "{name}");
        assert_eq!(again.body(), message.body(), "{name}");
        let fields = |message: &Message| -> Vec<(String, Vec<u8>)> {
            let all = message.fields();
            all.map(|field| (field.raw_name().to_owned(), field.value().into_owned()))
                .collect()
        };
        let (mut before, after) = (fields(&message), fields(&again));
        if message.content_length() == Ok(None) {
            let length = message.body().len().to_string().into_bytes();
            before.push(("Content-Length".to_owned(), length));
        }
        assert_eq!(before, after, "{name}");
    }
    assert_eq!(read, 50, "of 62");
}
