//! Every message of RFC 4475 and RFC 5118 reaches an engine, which answers with the status that the RFC says, hands it to its
//! application, or drops it; a proxied one loses nothing on the way; and at rest nothing is left of any.
//!
//! Where the RFC leaves a choice, ours is in `docs/rfc/rfc4475.md` and `docs/rfc/rfc5118.md`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use bytes::Bytes;
use engine::command::ProxyOptions;
use simnet::{Faults, HostId, Packet, World, corpus};
use sip::{Build, HeaderName, Limits, Message, Method};
use std::net::SocketAddr;
use std::time::Duration;

/// What an engine makes of a message.
#[derive(Copy, Clone, PartialEq, Debug)]
enum Outcome {
    /// The application is told, and what it answers goes back.
    Delivered,
    /// The engine answers.
    Answered(u16),
    /// Nothing: a response that nobody waits for, or what shows no one to answer.
    Dropped,
}
use Outcome::{Answered, Delivered, Dropped};

/// By the order of RFC 4475.
const RFC_4475: [(&str, Outcome); 50] = [
    // Its To tag names a dialog that is not here (§3.1.1.1).
    ("wsinv", Answered(481)),
    ("intmeth", Delivered),
    ("esc01", Delivered),
    ("escnull", Delivered),
    ("esc02", Delivered),
    ("lwsdisp", Delivered),
    ("longreq", Delivered),
    ("dblreq", Delivered),
    ("semiuri", Delivered),
    ("transports", Delivered),
    ("mpart01", Delivered),
    ("unreason", Dropped),
    ("noreason", Dropped),
    // §3.1.2
    ("badinv01", Answered(400)),
    ("clerr", Answered(400)),
    ("ncl", Answered(400)),
    ("scalar02", Answered(400)),
    ("scalarlg", Dropped),
    ("quotbal", Answered(400)),
    ("ltgtruri", Answered(400)),
    ("lwsruri", Answered(400)),
    ("lwsstart", Answered(400)),
    ("trws", Answered(400)),
    ("escruri", Answered(400)),
    ("baddate", Delivered),
    ("regbadct", Delivered),
    ("badaspec", Delivered),
    ("baddn", Answered(400)),
    ("badvers", Answered(505)),
    ("mismatch01", Answered(400)),
    ("mismatch02", Answered(501)),
    ("bigcode", Dropped),
    // §3.2
    ("badbranch", Delivered),
    // §3.3
    ("insuf", Answered(400)),
    ("unkscm", Answered(416)),
    ("novelsc", Answered(416)),
    ("unksm2", Delivered),
    ("bext01", Delivered),
    ("invut", Delivered),
    ("regaut01", Delivered),
    ("multi01", Answered(400)),
    ("mcl01", Answered(400)),
    ("bcast", Dropped),
    ("zeromf", Delivered),
    ("cparam01", Delivered),
    ("cparam02", Delivered),
    ("regescrt", Delivered),
    ("sdp01", Delivered),
    // §3.4
    ("inv2543", Delivered),
    // In no section.
    ("test", Dropped),
];

/// By the order of RFC 5118.
const RFC_5118: [(&str, Outcome); 12] = [
    ("ipv6-good", Delivered),
    ("ipv6-bad", Answered(400)),
    ("port-ambiguous", Delivered),
    ("port-unambiguous", Delivered),
    // A BYE for a dialog that is not here.
    ("via-received-param-with-delim", Answered(481)),
    ("via-received-param-no-delim", Delivered),
    // Its archived Content-Length is more than there is (RFC 3261 §18.3).
    ("ipv6-in-sdp", Answered(400)),
    ("mult-ip-in-header", Answered(481)),
    ("mult-ip-in-sdp", Answered(400)),
    ("ipv4-mapped-ipv6", Delivered),
    ("ipv6-bug-abnf-3-colons", Delivered),
    ("ipv6-correct-abnf-2-colons", Delivered),
];

fn peer() -> SocketAddr {
    "198.51.100.9:5060".parse().unwrap()
}

/// Every message with its outcome.
fn torture() -> Vec<(String, Vec<u8>, Outcome)> {
    let mut all = Vec::new();
    for (folder, rows) in [("rfc4475", &RFC_4475[..]), ("rfc5118", &RFC_5118[..])] {
        let vectors = corpus::load(folder);
        assert_eq!(vectors.len(), rows.len(), "every message has its row");
        for (name, outcome) in rows {
            let vector = vectors.iter().find(|vector| vector.name == *name).unwrap();
            all.push(((*name).to_owned(), vector.bytes.clone(), *outcome));
        }
    }
    all
}

fn parse(bytes: &[u8]) -> Message {
    Message::parse(Bytes::copy_from_slice(bytes), &Limits::default()).unwrap()
}

/// What came back to the sender, provisional responses left out.
fn finals(world: &mut World) -> Vec<Message> {
    world.run(Duration::from_millis(50));
    let packets = world.strays().into_iter();
    let to_peer = packets.filter(|packet| packet.to == peer());
    // A response may lack what its request lacked.
    let read = to_peer.map(|packet: Packet| parse(&packet.bytes));
    read.filter(|message| message.status() >= 200).collect()
}

/// The value of a field, as sent.
fn value(message: &Message, name: HeaderName) -> Option<Vec<u8>> {
    message.header(name).map(|field| field.value().into_owned())
}

/// A response repeats what its request had (RFC 3261 §8.2.6.2).
fn assert_answers(name: &str, request: &[u8], answer: &Message) {
    let Ok(request) = Message::parse(Bytes::copy_from_slice(request), &Limits::default()) else {
        return;
    };
    for field in [HeaderName::CallId, HeaderName::CSeq, HeaderName::From] {
        if request.headers(field).count() <= 1 {
            assert_eq!(value(answer, field), value(&request, field), "{name}");
        }
    }
    assert_eq!(
        answer.values(HeaderName::Via).count(),
        request.values(HeaderName::Via).count(),
        "{name}"
    );
    if let Ok(to) = answer.to() {
        assert!(to.tag().is_some(), "{name}");
    }
    if let (Some(before), Some(after)) = (
        value(&request, HeaderName::To),
        value(answer, HeaderName::To),
    ) {
        let once = request.headers(HeaderName::To).count() == 1;
        assert!(
            !once || after.starts_with(&before),
            "{name}: {}",
            after.escape_ascii()
        );
    }
}

fn delivered(world: &mut World, host: HostId) -> Option<engine::event::Request> {
    world.run(Duration::from_millis(10));
    let mut events = world.events(host).into_iter();
    match (events.next(), events.next()) {
        (Some(engine::Event::Request(request)), None) => Some(request),
        (None, None) => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_is_answered_delivered_or_dropped_as_the_rfc_says() {
    for (name, bytes, outcome) in torture() {
        let mut world = World::new(4475, Faults::none());
        let host = world.host("server");
        world.inject(peer(), host, bytes.clone());
        let request = delivered(&mut world, host);
        assert_eq!(request.is_some(), outcome == Delivered, "{name}");
        if let Some(request) = request {
            world.act(host, |actions| {
                actions.respond(request.transaction, 480, b"")
            });
        }
        let answers = finals(&mut world);
        let statuses: Vec<u16> = answers.iter().map(Message::status).collect();
        let expected = match outcome {
            Delivered => vec![480],
            Answered(status) => vec![status],
            Dropped => vec![],
        };
        assert_eq!(statuses, expected, "{name}");
        for answer in &answers {
            assert_answers(&name, &bytes, answer);
        }
        world.rest();
    }
}

/// Repetitions find their transaction, a missing identifier behind the cookie (§3.2.1) and RFC 2543's lack of a branch (§3.4.1) too.
#[test]
fn a_repetition_is_not_delivered_again() {
    for (name, bytes, outcome) in torture() {
        if outcome != Delivered {
            continue;
        }
        let mut world = World::new(4476, Faults::none());
        let host = world.host("server");
        world.inject(peer(), host, bytes.clone());
        world.inject(peer(), host, bytes);
        let request = delivered(&mut world, host).unwrap_or_else(|| panic!("{name}"));
        world.act(host, |actions| {
            actions.respond(request.transaction, 480, b"")
        });
        world.rest();
    }
}

/// What a proxy may change (RFC 3261 §16.6); all else must arrive as it was.
fn kept(message: &Message) -> Vec<(String, Vec<u8>)> {
    let all = message.fields().filter(|field| {
        !matches!(
            field.name(),
            HeaderName::Via
                | HeaderName::MaxForwards
                | HeaderName::MaxBreadth
                | HeaderName::Route
                | HeaderName::ContentLength
        )
    });
    all.map(|field| (field.raw_name().to_owned(), field.value().into_owned()))
        .collect()
}

#[test]
fn a_proxied_one_loses_nothing_and_its_answer_comes_back() {
    for (name, bytes, outcome) in torture() {
        if outcome != Delivered {
            continue;
        }
        let mut world = World::new(4477, Faults::none());
        let host = world.host("proxy");
        world.inject(peer(), host, bytes.clone());
        let request = delivered(&mut world, host).unwrap();
        world.act(host, |actions| {
            let options = ProxyOptions::default();
            actions.proxy(request.transaction, &["sip:a@198.51.100.77"], options)
        });
        world.run(Duration::from_millis(20));
        let (sent, back): (Vec<Packet>, Vec<Packet>) = world
            .strays()
            .into_iter()
            .partition(|packet| packet.to != peer());
        let before = parse(&bytes);
        let refused = match name.as_str() {
            // §3.3.11 and §3.3.5.
            "zeromf" => Some(483),
            "bext01" => Some(420),
            _ => None,
        };
        if let Some(status) = refused {
            assert!(sent.is_empty(), "{name}");
            let answer = parse(&back.last().unwrap().bytes);
            assert_eq!(answer.status(), status, "{name}");
            if status == 420 {
                let unsupported: Vec<_> = answer.values(HeaderName::Unsupported).collect();
                assert_eq!(
                    unsupported,
                    ["noProxiesSupportThis", "norDoAnyProxiesSupportThis"]
                );
            }
        } else {
            let [forwarded] = &sent[..] else {
                panic!("{name}: {sent:?}")
            };
            let after = parse(&forwarded.bytes);
            assert_eq!(kept(&after), kept(&before), "{name}");
            assert_eq!(after.body(), before.body(), "{name}");
            assert_eq!(after.method(), before.method(), "{name}");
            assert_eq!(
                after.values(HeaderName::Via).count(),
                before.values(HeaderName::Via).count() + 1,
                "{name}"
            );
            let hops = before.max_forwards().unwrap().map_or(70, |hops| hops - 1);
            assert_eq!(after.max_forwards(), Ok(Some(hops)), "{name}");
            let answer = Build::reply(&after, 404, "Not Found", Some("there")).finish(b"");
            world.inject(forwarded.to, host, answer);
            let answers = finals(&mut world);
            let [answer] = &answers[..] else {
                panic!("{name}: {answers:?}")
            };
            assert_eq!(answer.status(), 404, "{name}");
            assert_answers(&name, &bytes, answer);
        }
        world.rest();
    }
}

/// RFC 4475 §3.3.10: a proxy that keeps no state goes by the next Via, but not to everybody; nor to anybody else than who asked.
#[test]
fn a_response_whose_next_via_is_the_broadcast_address_is_dropped() {
    for (received, relayed) in [
        ("", true),
        ("255.255.255.255", false),
        ("224.0.1.75", false),
        ("0.0.0.0", false),
        ("198.51.100.10", false),
    ] {
        let mut world = World::new(4478, Faults::none());
        let host = world.host("proxy");
        let options = corpus::load("rfc4475")
            .into_iter()
            .find(|vector| vector.name == "semiuri");
        let text = String::from_utf8(options.unwrap().bytes).unwrap();
        world.inject(peer(), host, text);
        let request = delivered(&mut world, host).unwrap();
        world.act(host, |actions| {
            let options = ProxyOptions {
                stateless: true,
                ..ProxyOptions::default()
            };
            actions.proxy(request.transaction, &["sip:a@198.51.100.77"], options)
        });
        world.run(Duration::from_millis(20));
        let forwarded = parse(&world.strays()[0].bytes);
        let vias: Vec<_> = forwarded.values(HeaderName::Via).collect();
        let [ours, beneath] = &vias[..] else {
            panic!("{vias:?}")
        };
        let told = peer().ip().to_string();
        assert!(beneath.contains(&format!("received={told}")), "{beneath}");
        let led = match received {
            "" => beneath.to_string(),
            elsewhere => beneath.replace(&told, elsewhere),
        };
        let bcast = corpus::load("rfc4475")
            .into_iter()
            .find(|vector| vector.name == "bcast")
            .unwrap();
        let text = String::from_utf8(bcast.bytes).unwrap();
        let (before, rest) = text.split_once("Via: ").unwrap();
        let (_, rest) = rest.split_once("Via: ").unwrap();
        let (_, after) = rest.split_once("\r\n").unwrap();
        let text = format!("{before}Via: {ours}\r\nVia: {led}\r\n{after}");
        world.inject("198.51.100.77:5060".parse().unwrap(), host, text);
        world.run(Duration::from_millis(20));
        let out = world.strays();
        assert_eq!(!out.is_empty(), relayed, "{received}: {out:?}");
        world.rest();
    }
}

/// RFC 5118's messages with a Content-Length that fits are delivered.
#[test]
fn session_descriptions_with_ipv6_are_delivered_when_their_length_is_right() {
    for name in ["ipv6-in-sdp", "mult-ip-in-sdp"] {
        let vectors = corpus::load("rfc5118").into_iter();
        let mut found = vectors.filter(|vector| vector.name == name);
        let text = String::from_utf8(found.next().unwrap().bytes).unwrap();
        let length = text.split_once("\n\n").unwrap().1.len();
        let wrong = text.lines().find(|line| line.starts_with("Content-Length"));
        let text = text.replace(wrong.unwrap(), &format!("Content-Length: {length}"));
        let mut world = World::new(5118, Faults::none());
        let host = world.host("server");
        world.inject(peer(), host, text);
        let request = delivered(&mut world, host).unwrap();
        assert_eq!(request.message.method(), Method::Invite);
        assert_eq!(request.message.body().len(), length);
        world.act(host, |actions| {
            actions.respond(request.transaction, 488, b"")
        });
        assert_eq!(finals(&mut world)[0].status(), 488);
        world.rest();
    }
}
