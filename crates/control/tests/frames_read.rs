//! Every frame that an application sends becomes the request it means.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that goes wrong is to stop"
)]
mod corpus;

use bytes::Bytes;
use control::envelope::Envelope;
use control::name::{TransactionNames, parse_dialog};
use control::request::{Asked, Refusal, Request, Verb};
use engine::command::{
    Cancel, Command, DialogReference, Draft, Forking, Proxy, ProxyOptions, Respond, SendRequest,
};
use engine::id::TransactionId;
use sip::Method;
use std::time::Duration;

fn names() -> TransactionNames {
    TransactionNames::new(0x0123_4567_89ab_cdef, 0x00fe_dcba_9876_5432)
}

fn id(number: u64) -> TransactionId {
    TransactionId::new(3, number)
}

fn name(number: u64) -> String {
    String::from_utf8(names().text(id(number)).to_vec()).unwrap()
}

fn read(payload: impl Into<Bytes>) -> Result<Request, Refusal> {
    Envelope::open(&payload.into()).unwrap().request(names())
}

/// The frame of an example, with its transaction (`e0000013-…-000000000013`) by a name of ours.
fn example(path: &str, index: usize) -> Result<Request, Refusal> {
    let entry = corpus::one(&format!("examples/{path}.txt"))
        .into_iter()
        .filter(|entry| entry.is_from_application)
        .nth(index)
        .unwrap();
    let mut text = String::from_utf8(entry.payload.to_vec()).unwrap();
    while let Some(start) = text.find("|e00000") {
        let number: u64 = text[start + 7..start + 9].parse().unwrap();
        text.replace_range(start + 1..start + 37, &name(number));
    }
    read(text)
}

fn header<'a>(draft: &'a Draft, name: &str) -> &'a str {
    let field = draft
        .headers
        .iter()
        .find(|(header, _)| header.eq_ignore_ascii_case(name.as_bytes()));
    std::str::from_utf8(&field.unwrap_or_else(|| panic!("no {name} in {draft:?}")).1).unwrap()
}

fn respond(request: Result<Request, Refusal>) -> Respond {
    match request {
        Ok(Request::Command(Command::Respond(respond), Asked::Respond)) => respond,
        other => panic!("not a response: {other:?}"),
    }
}

fn send(request: Result<Request, Refusal>) -> (SendRequest, Asked) {
    match request {
        Ok(Request::Command(Command::Send(send), asked)) => (send, asked),
        other => panic!("not a request: {other:?}"),
    }
}

fn proxy(request: Result<Request, Refusal>) -> (Proxy, Asked) {
    match request {
        Ok(Request::Command(Command::Proxy(proxy), asked)) => (proxy, asked),
        other => panic!("not a proxy: {other:?}"),
    }
}

#[test]
fn authenticate_carries_secret_and_tags() {
    for (path, secret, expected) in [
        ("01-authenticate", "cymru", &[][..]),
        ("01b-authenticate-tags", "cymru", &["red", "blue"]),
        ("01c-authenticate-wrong-secret", "wrong", &[]),
    ] {
        match example(path, 0) {
            Ok(Request::Authenticate {
                secret: given,
                tags,
            }) => {
                assert_eq!(given, secret);
                assert_eq!(tags, expected);
            }
            other => panic!("{path}: {other:?}"),
        }
    }
    assert!(
        matches!(read("m1|authenticate|cymru"), Ok(Request::Authenticate { tags, .. }) if tags.is_empty())
    );
}

#[test]
fn routes_name_methods_in_lower_case() {
    assert!(matches!(
        example("02-route-ping", 0),
        Ok(Request::Route(Verb::Method(Method::Invite)))
    ));
    assert!(matches!(
        example("02-route-ping", 1),
        Ok(Request::RemoveRoute(Verb::Method(Method::Invite)))
    ));
    assert!(matches!(example("02-route-ping", 2), Ok(Request::Ping)));
    assert!(matches!(
        read("m1|route|cdr:attempt"),
        Ok(Request::Route(Verb::CallDetail))
    ));
    assert!(
        matches!(read("m1|route|foo"), Ok(Request::Route(Verb::Method(Method::Other(name)))) if &*name == "FOO")
    );
    assert!(matches!(
        read("m1|route|in vite"),
        Err(Refusal::Disconnect(
            "Route request includes unsupported verb"
        ))
    ));
    assert!(matches!(
        read("m1|route"),
        Err(Refusal::Disconnect("Invalid message format"))
    ));
}

#[test]
fn a_status_line_is_a_response() {
    let ringing = respond(example("04-invite-answered", 0));
    assert_eq!(
        (ringing.transaction, ringing.status, ringing.reason.as_str()),
        (id(13), 180, "")
    );
    assert_eq!(header(&ringing.draft, "to"), "<sip:bob@10.0.0.5>");
    assert_eq!(
        ringing.draft.headers.len(),
        4,
        "Content-Length is left out: {:?}",
        ringing.draft
    );
    assert!(ringing.draft.body.is_empty());
    let ok = respond(example("04-invite-answered", 1));
    assert_eq!((ok.status, ok.draft.body.len()), (200, 85));
    assert!(
        ok.draft
            .body
            .starts_with(b"v=0\r\no=a 1 1 IN IP4 10.0.0.5\r\n")
    );
    let busy = respond(read(format!(
        "m1|sip|{}|\r\nSIP/2.0 486 Gone fishing\r\n\r\n",
        name(9)
    )));
    assert_eq!((busy.status, busy.reason.as_str()), (486, "Gone fishing"));
    let short = respond(read(format!("m1|sip|{}|\r\nSIP/2.0 486\r\n\r\n", name(9))));
    assert_eq!((short.status, short.reason.as_str()), (486, ""));
}

#[test]
fn a_request_with_a_dialog_is_sent_in_it() {
    let tags = || {
        Some(DialogReference::Tags {
            call_id: "cid-1@192.0.2.1".to_owned(),
            from_tag: "ft1".to_owned(),
        })
    };
    let (bye, asked) = send(example("07-bye-sent", 0));
    assert_eq!(
        (bye.method, bye.uri.as_str(), bye.dialog, asked),
        (Method::Bye, "sip:placeholder", tags(), Asked::InDialog)
    );
    let (invite, _) = send(example("12-reinvite-sent", 0));
    assert_eq!(
        (invite.method, invite.dialog, invite.draft.body.len()),
        (Method::Invite, tags(), 85)
    );
    assert_eq!(header(&invite.draft, "Contact"), "<sip:10.0.0.5:5060>");
    let (ack, asked) = send(example("12-reinvite-sent", 1));
    assert_eq!(
        (ack.method, ack.dialog, asked),
        (Method::Ack, tags(), Asked::InDialog)
    );
    let (notify, _) = send(example("13-refer-notify", 1));
    assert_eq!(
        (notify.method, notify.draft.body),
        (Method::Notify, Bytes::from("SIP/2.0 100 Trying"))
    );
}

#[test]
fn a_request_without_identifiers_is_new() {
    let (invite, asked) = send(example("08-invite-sent", 0));
    assert_eq!(
        (invite.method, invite.uri.as_str(), asked),
        (Method::Invite, "sip:carol@198.51.100.7", Asked::NewRequest)
    );
    assert_eq!((invite.dialog, invite.next_hop), (None, None));
    assert_eq!(header(&invite.draft, "From"), "<sip:bob@localhost>");
    let (invite, _) = send(example("08b-invite-sent-next-hop", 0));
    assert_eq!(
        invite.next_hop.as_deref(),
        Some("sip:10.0.0.1:5080;transport=tcp")
    );
}

#[test]
fn a_transaction_and_cancel_cancels_it() {
    let payload = format!(
        "m1|sip|{}|\r\nCANCEL sip:x SIP/2.0\r\nReason: SIP;cause=200\r\nFrom: <sip:a@b>\r\nContact: <sip:c>\r\n\r\n",
        name(30)
    );
    for request in [example("09-cancel-sent", 0), read(payload)] {
        match request {
            Ok(Request::Command(
                Command::Cancel(Cancel {
                    transaction, draft, ..
                }),
                Asked::Cancel(asked),
            )) => {
                assert_eq!((transaction, asked), (id(30), id(30)));
                assert!(
                    draft.headers.iter().all(|(name, _)| name == "Reason"),
                    "{draft:?}"
                );
            }
            other => panic!("not a CANCEL: {other:?}"),
        }
    }
    assert!(matches!(
        read(format!("m1|sip|{}|\r\nBYE sip:x SIP/2.0\r\n\r\n", name(30))),
        Err(Refusal::Failure(_))
    ));
}

#[test]
fn proxy_carries_its_options_and_targets() {
    let (first, asked) = proxy(example("11-proxy", 0));
    assert_eq!(
        asked,
        Asked::Proxy {
            transaction: id(13),
            full_response: true
        }
    );
    assert_eq!(first.targets, ["sip:203.0.113.10", "sip:203.0.113.20"]);
    let options = ProxyOptions {
        record_route: true,
        provisional_timeout: Some(Duration::from_secs(2)),
        final_timeout: Some(Duration::from_secs(18)),
        report_responses: true,
        ..ProxyOptions::default()
    };
    assert_eq!(first.options, options);
    let text = format!(
        "m1|proxy|{}|||followRedirects|simultaneous|500ms|7|\r\nINVITE x SIP/2.0\r\nX-A: 1\r\n\r\n",
        name(5)
    );
    let (second, asked) = proxy(read(text));
    assert_eq!(
        asked,
        Asked::Proxy {
            transaction: id(5),
            full_response: false
        }
    );
    assert!(
        second.options.forking == Forking::Simultaneous
            && second.options.follow_redirects
            && !second.options.record_route
    );
    assert_eq!(
        second.options.provisional_timeout,
        Some(Duration::from_millis(500))
    );
    assert_eq!(
        (second.options.final_timeout, second.targets.len()),
        (None, 0)
    );
    assert_eq!(second.headers, [(Bytes::from("X-A"), Bytes::from("1"))]);
    assert!(matches!(
        read("m1|proxy|x|||"),
        Err(Refusal::Disconnect(
            "Invalid proxy request: not enough information provided"
        ))
    ));
}

#[test]
fn a_last_word_of_a_sip_frame_keeps_the_session_timer_out() {
    let without = |frame: String| match read(frame) {
        Ok(Request::Command(Command::Send(send), _)) => send.draft.without_session_timer,
        Ok(Request::Command(Command::Respond(respond), _)) => respond.draft.without_session_timer,
        other => panic!("{other:?}"),
    };
    let word = "withoutSessionTimer";
    for (meta, line) in [
        ("sip|||", "INVITE sip:b@x SIP/2.0".to_owned()),
        (
            "sip|||sip:proxy.example",
            "INVITE sip:b@x SIP/2.0".to_owned(),
        ),
        ("sip||a;from-tag=b|", "UPDATE sip:b@x SIP/2.0".to_owned()),
        (&format!("sip|{}||", name(5)), "SIP/2.0 200 OK".to_owned()),
    ] {
        assert!(
            without(format!("m1|{meta}|{word}\r\n{line}\r\n\r\n")),
            "{meta}"
        );
        assert!(!without(format!("m1|{meta}\r\n{line}\r\n\r\n")), "{meta}");
    }
}

#[test]
fn the_extensions_of_proxy_are_an_order_by_q_and_giving_up() {
    let (by_q, _) = proxy(read(format!(
        "m1|proxy|{}|||followRedirects|byQ|||<sip:a@203.0.113.1>;q=0.5|sip:b@203.0.113.2\r\nINVITE x SIP/2.0\r\n\r\n",
        name(5)
    )));
    assert_eq!(by_q.options.forking, Forking::ByQ);
    assert_eq!(
        by_q.targets,
        ["<sip:a@203.0.113.1>;q=0.5", "sip:b@203.0.113.2"]
    );
    for (order, forking, stateless, untrusted, consumed) in [
        (
            "simultaneous;untrusted",
            Forking::Simultaneous,
            false,
            true,
            &[][..],
        ),
        (";untrusted", Forking::Serial, false, true, &[]),
        ("stateless;untrusted", Forking::Serial, true, true, &[]),
        ("byQ", Forking::ByQ, false, false, &[]),
        ("serial;consumed=0", Forking::Serial, false, false, &[0]),
        (
            "byQ;untrusted;consumed=1,4",
            Forking::ByQ,
            false,
            true,
            &[1, 4],
        ),
        (
            "serial;consumed=x,-1,300,2",
            Forking::Serial,
            false,
            false,
            &[2],
        ),
    ] {
        let (command, _) = proxy(read(format!(
            "m1|proxy|{}||||{order}|||sip:b@203.0.113.2\r\nINVITE x SIP/2.0\r\n\r\n",
            name(5)
        )));
        let options = command.options;
        assert_eq!(
            (
                options.forking,
                options.stateless,
                options.untrusted,
                &*options.consumed
            ),
            (forking, stateless, untrusted, consumed),
            "{order}"
        );
    }
    let given_up = read(format!(
        "m1|cancel_proxy|{}|480\r\nCANCEL x SIP/2.0\r\nReason: SIP;cause=480\r\n\r\n",
        name(5)
    ));
    let Ok(Request::Unanswered(Command::CancelProxy(cancel))) = given_up else {
        panic!("{given_up:?}");
    };
    assert_eq!(
        (cancel.transaction, cancel.status, cancel.reason.as_deref()),
        (id(5), 480, Some("SIP;cause=480"))
    );
    for bad in ["m1|cancel_proxy|nonsense|480", "m1|cancel_proxy"] {
        assert!(matches!(read(bad), Err(Refusal::Failure(_))));
    }
    assert!(matches!(
        read(format!("m1|cancel_proxy|{}|200", name(5))),
        Err(Refusal::Failure(_))
    ));
}

#[test]
fn requests_are_dropped_and_networks_banned_by_words_of_our_own() {
    let dropped = read(format!("m1|drop|{}", name(5)));
    assert!(
        matches!(dropped, Ok(Request::Unanswered(Command::Drop(transaction))) if transaction == id(5))
    );
    let Ok(Request::Ban(network, time)) = read("m1|ban|192.0.2.0/24|60000") else {
        panic!("no ban");
    };
    assert_eq!(
        (network.to_string().as_str(), time),
        ("192.0.2.0/24", Some(Duration::from_secs(60)))
    );
    let Ok(Request::Ban(network, None)) = read("m1|unban|2001:db8::1") else {
        panic!("not lifted");
    };
    assert_eq!(network.to_string(), "2001:db8::1");
    for bad in [
        "m1|drop|nonsense",
        "m1|drop",
        "m1|ban|example.com|60000",
        "m1|ban|192.0.2.1|0",
        "m1|ban|192.0.2.1",
        "m1|ban|192.0.2.1|-5",
        "m1|unban|",
    ] {
        assert!(matches!(read(bad), Err(Refusal::Failure(_))), "{bad}");
    }
    // The UPDATE of an early dialog, which has its INVITE's name: that is not to be dropped.
    let update = read(format!("m1|drop|{}|7", name(5)));
    assert!(matches!(update, Err(Refusal::Failure(_))));
}

#[test]
fn unknown_names_fail_without_an_engine() {
    let failure = |text: &'static str| Refusal::Failure(text.into());
    assert_eq!(
        example("17-errors", 1).unwrap_err(),
        failure("Response not sent due to unknown transaction")
    );
    assert_eq!(
        read("m1|sip|nope|\r\nCANCEL sip:x SIP/2.0\r\n\r\n").unwrap_err(),
        failure("unable to cancel unknown transaction id: nope")
    );
    assert_eq!(
        read("m1|proxy|nope|||||||sip:x\r\n").unwrap_err(),
        failure("Unknown transaction id: nope")
    );
    let bad = read("m1|sip||no-tag-here\r\nBYE sip:placeholder SIP/2.0\r\n\r\n").unwrap_err();
    assert_eq!(
        bad,
        failure("Server error: unable to find dialog for dialog id provided")
    );
    let other = TransactionNames::new(1, 2).text(id(13));
    let frame = format!(
        "m1|sip|{}|\r\nSIP/2.0 200 OK\r\n\r\n",
        String::from_utf8(other.to_vec()).unwrap()
    );
    assert!(
        matches!(read(frame), Err(Refusal::Failure(_))),
        "another server's transaction"
    );
}

#[test]
fn frames_that_make_no_sense_are_refused() {
    for (payload, text) in [
        ("m1|response|m0|OK", "Unknown message type"),
        ("m1", "Unknown message type"),
        ("m1|", "Unknown message type"),
        ("m1|sip", "Invalid message format"),
        ("m1|sip|", "Invalid message format"),
        (
            "m1|sip||\r\nSIP/2.0 200 OK\r\n\r\n",
            "transaction id missing",
        ),
        ("m1|authenticate", "Invalid message format"),
    ] {
        assert_eq!(
            read(payload).unwrap_err(),
            Refusal::Disconnect(text),
            "{payload}"
        );
    }
    assert!(Envelope::open(&Bytes::from("|ping")).is_err());
    assert!(Envelope::open(&Bytes::from("a\u{7}b|ping")).is_err());
    assert!(Envelope::open(&Bytes::from(format!("{}|ping", "x".repeat(129)))).is_err());
}

#[test]
fn every_captured_frame_is_understood() {
    let mut frames = 0;
    for entry in corpus::entries("captures")
        .into_iter()
        .filter(|entry| entry.is_from_application)
    {
        let mut text = String::from_utf8(entry.payload.to_vec()).unwrap();
        let tokens = entry.tokens();
        if matches!(tokens[1].as_str(), "sip" | "proxy") && !tokens[2].is_empty() {
            text = text.replacen(&tokens[2], &name(77), 1);
        }
        let request = read(text);
        assert!(request.is_ok(), "{}: {request:?}", entry.place);
        frames += 1;
    }
    assert!(frames > 100, "{frames} frames");
}

#[test]
fn sip_text_is_read_tolerantly() {
    let (request, _) = send(read(
        "m1|sip||\nMESSAGE sip:a@b SIP/2.0\nX-Fold: one\n  two\ncontent-LENGTH: 3\nno colon here\nbad name: x\n X-Not: a field\nSubject:  spaced \t\nX-Empty:\n\nbödy\n\nmore",
    ));
    let fields: Vec<(&str, &str)> = request
        .draft
        .headers
        .iter()
        .map(|(name, value)| {
            (
                std::str::from_utf8(name).unwrap(),
                std::str::from_utf8(value).unwrap(),
            )
        })
        .collect();
    assert_eq!(
        fields,
        [
            ("X-Fold", "one two"),
            ("Subject", "spaced"),
            ("X-Empty", "")
        ]
    );
    assert_eq!(request.draft.body, "bödy\n\nmore".as_bytes());
    assert_eq!(request.method, Method::Message);
}

#[test]
fn a_value_never_holds_a_line_end() {
    let (request, _) = send(read(
        "m1|sip||\r\nINFO sip:a@b SIP/2.0\r\nX-A: 1\rX-B: 2\r\nX-C: 3\r\n\tX-D: 4\r\n\r\n",
    ));
    assert_eq!(request.draft.headers.len(), 3);
    for (_, value) in &request.draft.headers {
        assert!(
            !value.iter().any(|byte| matches!(byte, b'\r' | b'\n')),
            "{value:?}"
        );
    }
}

#[test]
fn dialog_names_split_at_the_last_tag() {
    let reference = parse_dialog(b"a;from-tag=b@host;from-tag=t").unwrap();
    assert_eq!(
        reference,
        DialogReference::Tags {
            call_id: "a;from-tag=b@host".to_owned(),
            from_tag: "t".to_owned()
        }
    );
    assert_eq!(parse_dialog(b"abc;uas"), None);
    assert_eq!(parse_dialog(b"\xff;from-tag=t"), None);
}

#[test]
fn transaction_names_are_uuids_and_come_back() {
    for bits in [0, 1, u64::MAX, 0x0102_0304_0506_0708, 1 << 63] {
        let transaction = TransactionId::from_bits(bits);
        let text = names().text(transaction);
        assert_eq!(text.len(), 36);
        assert_eq!(
            (text[8], text[13], text[14], text[18], text[23]),
            (b'-', b'-', b'4', b'-', b'-')
        );
        assert!(matches!(text[19], b'8'..=b'b'));
        assert_eq!(names().transaction(&text), Some(transaction));
        assert_eq!(
            names().transaction(&text.to_ascii_uppercase()),
            Some(transaction)
        );
    }
    assert_eq!(names().transaction(b"unsolicited"), None);
}
