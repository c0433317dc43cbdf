//! Each kind of event and reply is spelled as drachtio-server spelled it in the captures and examples, byte for byte.
//!
//! Each frame of the server is read into the event that it tells of, and that event written again. Only identifiers differ, and
//! what drachtio-server itself leaves empty: the protocol of an ACK and of a response whose connection it did not look up.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that goes wrong is to stop"
)]
mod corpus;

use bytes::Bytes;
use control::answers::Answers;
use control::name::{MessageIds, TransactionNames};
use control::request::Asked;
use control::time_of_day::TimeOfDay;
use control::write::{FrameWriter, Status};
use corpus::Entry;
use engine::event::{
    CommandError, DialogEndReason, DialogEnded, Event, Failed, ProxyDone, ProxyResponse, Request,
    Response, Sent, SubscriptionEndReason, SubscriptionEnded,
};
use engine::id::{CommandId, DialogId, DialogRole, TransactionId};
use engine::transport::{ListenerId, Origin, Transport};
use sip::{Limits, Message};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

/// Whether the engine has a dialog for this response: a refused INVITE or SUBSCRIBE creates none, and yet its frame names the one
/// that it would have created.
fn has_dialog(message: &Message) -> bool {
    message.status() < 300
        || !matches!(
            message.method(),
            sip::Method::Invite | sip::Method::Subscribe
        )
}

/// One writer, and a copy of its identifiers that says what it will write next.
struct Desk {
    writer: FrameWriter,
    ids: MessageIds,
    names: TransactionNames,
    answers: Answers,
}

const TRANSACTION: u64 = 0x0200_0000_0000_00aa;

impl Desk {
    fn new() -> Desk {
        let names = TransactionNames::new(5, 6);
        let writer = FrameWriter::new(MessageIds::new(7), names);
        Desk {
            writer,
            ids: MessageIds::new(7),
            names,
            answers: Answers::new(8),
        }
    }

    fn next_id(&mut self) -> String {
        String::from_utf8(self.ids.next_text().to_vec()).unwrap()
    }

    fn asked(&mut self, message_id: &str, asked: Asked) -> CommandId {
        self.answers
            .insert(message_id.as_bytes(), asked, Instant::now())
            .unwrap()
    }

    fn event(&mut self, event: &Event, time: TimeOfDay) -> Vec<u8> {
        self.writer.event(event, time, &mut self.answers);
        self.writer.take(Vec::new())
    }

    fn transaction(&self) -> String {
        String::from_utf8(
            self.names
                .text(TransactionId::from_bits(TRANSACTION))
                .to_vec(),
        )
        .unwrap()
    }
}

fn frame(tokens: &[String], text: &[u8]) -> Vec<u8> {
    let mut payload = tokens.join("|").into_bytes();
    if !text.is_empty() {
        payload.extend_from_slice(b"\r\n");
        payload.extend_from_slice(text);
    }
    [format!("{}#", payload.len()).as_bytes(), &payload].concat()
}

fn time(text: &str) -> TimeOfDay {
    let number = |range: std::ops::Range<usize>| text[range].parse::<u64>().unwrap();
    let seconds = number(0..2) * 3600 + number(3..5) * 60 + number(6..8);
    TimeOfDay::at(
        UNIX_EPOCH
            + Duration::from_secs(86_400 * 20_000 + seconds)
            + Duration::from_micros(number(9..15)),
    )
}

fn address(ip: &str, port: &str) -> SocketAddr {
    SocketAddr::new(ip.parse::<IpAddr>().unwrap(), port.parse().unwrap())
}

fn message(text: &Bytes) -> Arc<Message> {
    Arc::new(Message::parse(text.clone(), &Limits::default()).unwrap())
}

/// The identifier of a dialog whose name is `text`: its role is the one by which the right tag is found in `message`.
fn dialog(text: &str, message: &Message, is_from_local: bool) -> Option<DialogId> {
    let (_, tag) = text.rsplit_once(";from-tag=")?;
    let is_creator_from = message.from().unwrap().tag() == Some(tag);
    let role = if is_creator_from == is_from_local {
        DialogRole::Uac
    } else {
        DialogRole::Uas
    };
    Some(DialogId::with_role(2, 9, role))
}

fn origin(transport: &str, peer: SocketAddr, local: SocketAddr) -> Origin {
    let transport = Transport::from_name(transport).unwrap();
    Origin {
        listener: ListenerId(0),
        transport,
        peer,
        local,
        connection: None,
    }
}

/// `sip|…`: gives what is expected and what is written.
fn sip(entry: &Entry, desk: &mut Desk) -> (Vec<u8>, Vec<u8>) {
    let mut tokens = entry.tokens();
    let message = message(&entry.text());
    let is_sent = tokens[2] == "application";
    if tokens[4].is_empty() {
        tokens[4] = "udp".to_owned();
    }
    let peer = address(&tokens[5], &tokens[6]);
    let local = if tokens.len() > 11 {
        address(&tokens[10], &tokens[11])
    } else {
        address("10.0.0.5", "5060")
    };
    let transaction = TransactionId::from_bits(TRANSACTION);
    let dialog = dialog(&tokens[9], &message, is_sent || message.is_response());
    let wire_bytes = tokens[3].parse().unwrap();
    let event = if is_sent {
        let path = origin(&tokens[4], address("192.0.2.200", "9"), peer);
        Event::DialogEnded(DialogEnded {
            dialog: dialog.unwrap(),
            reason: DialogEndReason::AckTimeout,
            message: Arc::clone(&message),
            path,
        })
    } else {
        let origin = origin(&tokens[4], peer, local);
        let message = Arc::clone(&message);
        if message.is_request() {
            Event::Request(Request {
                transaction,
                dialog,
                invite: None,
                message,
                origin,
                peer_certificate: None,
                wire_bytes,
            })
        } else {
            let dialog = dialog.filter(|_| has_dialog(&message));
            Event::Response(Response {
                transaction,
                dialog,
                message,
                origin: Some(origin),
                wire_bytes,
            })
        }
    };
    let written = desk.event(&event, time(&tokens[7]));
    tokens[0] = desk.next_id();
    if !is_sent {
        tokens[8] = desk.transaction();
    }
    (frame(&tokens, &entry.text()), written)
}

/// `response|…|OK|application|…`: the echo of what was sent.
fn echo(entry: &Entry, desk: &mut Desk) -> (Vec<u8>, Vec<u8>) {
    let mut tokens = entry.tokens();
    let message = message(&entry.text());
    if tokens[6].is_empty() {
        tokens[6] = "udp".to_owned();
    }
    let there = address(&tokens[7], &tokens[8]);
    let elsewhere = address("192.0.2.200", "9");
    let transaction = TransactionId::from_bits(TRANSACTION);
    let is_cancel = message.method() == sip::Method::Cancel;
    let (asked, path, dialog) = if message.is_response() {
        let dialog = dialog(&tokens[11], &message, false).filter(|_| has_dialog(&message));
        (Asked::Respond, origin(&tokens[6], there, elsewhere), dialog)
    } else {
        let asked = if is_cancel {
            Asked::Cancel(transaction)
        } else {
            Asked::NewRequest
        };
        (asked, origin(&tokens[6], elsewhere, there), None)
    };
    let command = desk.asked(&tokens[2], asked);
    let written = desk.event(
        &Event::Sent(Sent {
            command,
            transaction,
            dialog,
            message,
            path,
        }),
        time(&tokens[9]),
    );
    tokens[0] = desk.next_id();
    tokens[10] = if is_cancel {
        desk.next_id()
    } else {
        desk.transaction()
    };
    (frame(&tokens, &entry.text()), written)
}

fn proxy_response(entry: &Entry, desk: &mut Desk) -> (Vec<u8>, Vec<u8>) {
    let mut tokens = entry.tokens();
    let origin = Some(origin(
        &tokens[6],
        address(&tokens[7], &tokens[8]),
        address("10.0.0.5", "5060"),
    ));
    let transaction = TransactionId::from_bits(TRANSACTION);
    let command = desk.asked(
        &tokens[2],
        Asked::Proxy {
            transaction,
            full_response: true,
        },
    );
    let (message, wire_bytes) = (message(&entry.text()), tokens[5].parse().unwrap());
    let written = desk.event(
        &Event::ProxyResponse(ProxyResponse {
            command,
            branch: 0,
            message,
            origin,
            wire_bytes,
        }),
        time(&tokens[9]),
    );
    tokens[0] = desk.next_id();
    (frame(&tokens, &entry.text()), written)
}

/// The command and the error that these words tell of.
fn failure(text: &str) -> (Asked, CommandError) {
    match text {
        "Response not sent due to unknown transaction" => {
            (Asked::Respond, CommandError::UnknownTransaction)
        }
        "Server error: unable to find dialog for dialog id provided" => {
            (Asked::InDialog, CommandError::UnknownDialog)
        }
        "Server error: ACK for non-success final response is automatically generated by server" => {
            (Asked::InDialog, CommandError::AckIsAutomatic)
        }
        _ => panic!("unforeseen failure: {text}"),
    }
}

/// What is expected and written for a frame of the server; none for frames that this server does not send.
fn rewrite(entry: &Entry, desk: &mut Desk) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut tokens = entry.tokens();
    if tokens[1].starts_with("cdr:") {
        return None;
    }
    if tokens[1] == "sip" {
        return Some(sip(entry, desk));
    }
    let argument = tokens.get(4).map(String::as_str).unwrap_or_default();
    let written = match (tokens[3].as_str(), argument) {
        ("OK", "application") => return Some(echo(entry, desk)),
        ("OK", "network") => return Some(proxy_response(entry, desk)),
        ("OK", "done") => {
            let asked = Asked::Proxy {
                transaction: TransactionId::from_bits(TRANSACTION),
                full_response: true,
            };
            let command = desk.asked(&tokens[2], asked);
            desk.event(
                &Event::ProxyDone(ProxyDone {
                    command,
                    status: Some(200),
                    winner: Some(0),
                }),
                time("00:00:00.000000"),
            )
        }
        ("NOK", text) => {
            let (asked, error) = failure(text);
            let command = desk.asked(&tokens[2], asked);
            desk.event(
                &Event::Failed(Failed { command, error }),
                time("00:00:00.000000"),
            )
        }
        ("OK", _) if tokens.len() == 7 => {
            desk.writer
                .welcome(tokens[2].as_bytes(), argument, &tokens[5], &tokens[6]);
            desk.writer.take(Vec::new())
        }
        (status, text) => {
            let status = if status == "OK" {
                Status::Ok
            } else {
                Status::No
            };
            desk.writer.reply(tokens[2].as_bytes(), status, text);
            desk.writer.take(Vec::new())
        }
    };
    tokens[0] = desk.next_id();
    Some((frame(&tokens, b""), written))
}

#[test]
fn every_frame_of_the_server_is_written_alike() {
    let mut desk = Desk::new();
    let mut frames = 0;
    for entry in corpus::entries("captures")
        .into_iter()
        .chain(corpus::entries("examples"))
        .filter(|entry| !entry.is_from_application)
    {
        let Some((expected, written)) = rewrite(&entry, &mut desk) else {
            continue;
        };
        assert_eq!(
            String::from_utf8_lossy(&written),
            String::from_utf8_lossy(&expected),
            "{}",
            entry.place
        );
        assert_eq!(written, expected, "{}", entry.place);
        desk.answers = Answers::new(8);
        frames += 1;
    }
    assert!(frames > 150, "{frames} frames");
}

fn invite() -> Arc<Message> {
    message(&corpus::one("examples/03-invite-received.txt")[0].text())
}

fn received(message: Arc<Message>, peer: &str, local: &str) -> Event {
    let origin = origin("tcp", peer.parse().unwrap(), local.parse().unwrap());
    Event::Request(Request {
        transaction: TransactionId::new(0, 1),
        dialog: None,
        invite: None,
        message,
        origin,
        peer_certificate: None,
        wire_bytes: 411,
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn addresses_of_ipv6_peers_have_no_brackets_and_ours_has() {
    let mut desk = Desk::new();
    let written = text(&desk.event(
        &received(invite(), "[2001:db8::1]:5062", "[::1]:5060"),
        time("01:02:03.000004"),
    ));
    assert!(
        written.contains("|sip|network|411|tcp|2001:db8::1|5062|01:02:03.000004|"),
        "{written}"
    );
    assert!(written.contains("||[::1]|5060|\r\nINVITE "), "{written}");
}

#[test]
fn a_response_the_engine_made_has_no_address() {
    let mut desk = Desk::new();
    let answer = corpus::one("examples/09-cancel-sent.txt").pop().unwrap();
    let (transaction, message) = (TransactionId::new(0, 1), message(&answer.text()));
    let event = Event::Response(Response {
        transaction,
        dialog: None,
        message,
        origin: None,
        wire_bytes: 283,
    });
    let written = text(&desk.event(&event, time("01:02:03.000004")));
    assert!(
        written.contains("|sip|network|283|unknown||0|01:02:03.000004|"),
        "{written}"
    );
}

#[test]
fn trying_is_never_passed_up() {
    let mut desk = Desk::new();
    let trying = text(&corpus::one("examples/08-invite-sent.txt")[2].text())
        .replace("180 Ringing", "100 Trying");
    let event = Event::Response(Response {
        transaction: TransactionId::new(0, 1),
        dialog: None,
        message: message(&trying.into()),
        origin: None,
        wire_bytes: 1,
    });
    assert!(desk.event(&event, time("01:02:03.000004")).is_empty());
}

#[test]
fn a_dialog_has_one_name_in_both_directions() {
    let peer = text(&corpus::one("examples/06-bye-received.txt")[0].text());
    let ours = peer
        .replace("From:", "X:")
        .replace("To:", "From:")
        .replace("X:", "To:");
    for (role, tag) in [(DialogRole::Uas, "ft1"), (DialogRole::Uac, "Tt1")] {
        let dialog = DialogId::with_role(1, 5, role);
        let name = format!("|cid-1@192.0.2.1;from-tag={tag}|\r\nBYE ");
        let mut desk = Desk::new();
        let Event::Request(mut request) =
            received(message(&peer.clone().into()), "192.0.2.1:1", "10.0.0.5:2")
        else {
            panic!()
        };
        request.dialog = Some(dialog);
        let path = request.origin;
        let written = text(&desk.event(&Event::Request(request), time("01:02:03.000004")));
        assert!(written.contains(&name), "{written}");
        let message = message(&ours.clone().into());
        let ended = DialogEnded {
            dialog,
            reason: DialogEndReason::CancelAfterAnswer,
            message,
            path,
        };
        let written = text(&desk.event(&Event::DialogEnded(ended), time("01:02:03.000004")));
        assert!(written.contains(&name), "{written}");
    }
}

#[test]
fn a_client_is_not_told_what_the_protocol_has_no_word_for() {
    let ended = SubscriptionEnded {
        dialog: DialogId::from_bits(1),
        event: "presence".to_owned(),
        is_notifier: true,
        reason: SubscriptionEndReason::Expired,
    };
    let event = Event::SubscriptionEnded(ended);
    assert_eq!(
        text(&Desk::new().event(&event, time("01:02:03.000004"))),
        ""
    );
}

#[test]
fn a_call_id_that_would_break_the_frame_is_not_written() {
    let mut desk = Desk::new();
    let bye = text(&corpus::one("examples/06-bye-received.txt")[0].text());
    for call_id in ["a|b", "dracht:00800000000000aa"] {
        let bye = bye.replace("cid-1@192.0.2.1", call_id);
        let Ok(parsed) = Message::parse(bye.into(), &Limits::default()) else {
            continue;
        };
        let Event::Request(mut request) = received(Arc::new(parsed), "192.0.2.1:1", "10.0.0.5:2")
        else {
            panic!()
        };
        let dialog = DialogId::with_role(1, 5, DialogRole::Uac);
        request.dialog = Some(dialog);
        let written = text(&desk.event(&Event::Request(request), time("01:02:03.000004")));
        let meta: Vec<&str> = written.split("\r\n").next().unwrap().split('|').collect();
        assert_eq!(
            meta[9],
            format!("dracht:{:016x};from-tag=", dialog.to_bits())
        );
        assert_eq!(meta.len(), 11);
        let reference = control::name::parse_dialog(meta[9].as_bytes());
        assert_eq!(
            reference,
            Some(engine::command::DialogReference::Id(dialog))
        );
    }
}

#[test]
fn a_proxy_without_full_response_is_answered_once() {
    let mut desk = Desk::new();
    let transaction = TransactionId::new(0, 1);
    let command = desk.asked(
        "m1",
        Asked::Proxy {
            transaction,
            full_response: false,
        },
    );
    let ringing = message(&corpus::one("examples/08-invite-sent.txt")[2].text());
    let event = Event::ProxyResponse(ProxyResponse {
        command,
        branch: 0,
        message: ringing,
        origin: None,
        wire_bytes: 1,
    });
    let written = text(&desk.event(&event, time("01:02:03.000004")));
    assert!(written.ends_with("|response|m1|OK|done"), "{written}");
    assert!(desk.event(&event, time("01:02:03.000004")).is_empty());
    let done = Event::ProxyDone(ProxyDone {
        command,
        status: Some(200),
        winner: Some(0),
    });
    assert!(desk.event(&done, time("01:02:03.000004")).is_empty());
    assert!(desk.answers.is_empty());
}

#[test]
fn the_end_of_a_proxied_request_says_what_the_caller_got_to_who_gives_up() {
    let mut desk = Desk::new();
    for (knows, end) in [(false, "OK|done"), (true, "OK|done|480")] {
        let asked = Asked::Proxy {
            transaction: TransactionId::new(0, 1),
            full_response: true,
        };
        let command = desk.asked("m1", asked);
        let done = Event::ProxyDone(ProxyDone {
            command,
            status: Some(480),
            winner: None,
        });
        if knows {
            desk.writer.tell_status();
        }
        let written = text(&desk.event(&done, time("01:02:03.000004")));
        assert!(written.ends_with(end), "{written}");
    }
}

#[test]
fn provisional_responses_of_a_proxy_are_not_reported() {
    let mut desk = Desk::new();
    let command = desk.asked(
        "m1",
        Asked::Proxy {
            transaction: TransactionId::new(0, 1),
            full_response: true,
        },
    );
    let ringing = message(&corpus::one("examples/08-invite-sent.txt")[2].text());
    let event = Event::ProxyResponse(ProxyResponse {
        command,
        branch: 0,
        message: ringing,
        origin: None,
        wire_bytes: 1,
    });
    assert!(desk.event(&event, time("01:02:03.000004")).is_empty());
    assert_eq!(desk.answers.len(), 1);
}

#[test]
fn failures_have_words_on_one_line() {
    let mut desk = Desk::new();
    let transaction = TransactionId::new(0, 1);
    let name = text(&desk.names.text(transaction));
    let long = format!("unable to cancel unknown transaction id: {name}");
    let unknown = format!("Unknown transaction id: {name}");
    let proxy = Asked::Proxy {
        transaction,
        full_response: true,
    };
    for (asked, error, expected) in [
        (
            Asked::NewRequest,
            CommandError::Loop,
            "can not send request to myself",
        ),
        (
            Asked::NewRequest,
            CommandError::InvalidUri("a|b\r\nc".to_owned()),
            "invalid request-uri: a b  c",
        ),
        (
            Asked::NewRequest,
            CommandError::NoTransport("sips:a".to_owned()),
            "requested protocol/transport not available",
        ),
        (
            Asked::InDialog,
            CommandError::NoInvite,
            "Server error: unable to find IIP when sending PRACK",
        ),
        (
            Asked::InDialog,
            CommandError::MissingContentType,
            "Server error: missing content-type",
        ),
        (
            Asked::Respond,
            CommandError::No100rel,
            "Remote endpoint does not support 100rel",
        ),
        (
            Asked::Respond,
            CommandError::NoContact,
            "Unknown server error sending response: no usable Contact in the request: it got 400 instead",
        ),
        (
            Asked::Cancel(transaction),
            CommandError::NoInvite,
            long.as_str(),
        ),
        (proxy, CommandError::AlreadyProxied, unknown.as_str()),
        (
            proxy,
            CommandError::TooManyHops,
            "Rejected with 483 Too Many Hops due to Max-Forwards value of 0",
        ),
    ] {
        let command = desk.asked("m1", asked);
        let written = text(&desk.event(
            &Event::Failed(Failed { command, error }),
            time("01:02:03.000004"),
        ));
        assert!(
            written.ends_with(&format!("|response|m1|NOK|{expected}")),
            "{written}"
        );
    }
}

#[test]
fn message_identifiers_are_unique_uuids() {
    let mut ids = MessageIds::new(u64::MAX);
    let texts: std::collections::HashSet<Vec<u8>> =
        (0..10_000).map(|_| ids.next_text().to_vec()).collect();
    assert_eq!(texts.len(), 10_000);
    assert!(
        texts
            .iter()
            .all(|text| text.len() == 36 && text[14] == b'4' && text[19] == b'8')
    );
}
