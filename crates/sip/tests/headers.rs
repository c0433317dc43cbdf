//! Each typed header field is read from a message as its RFC says, absent ones are none, doubled and broken ones are refused by name.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
use bytes::Bytes;
use sip::header::{Refresher, Replaces, Resubscribe, SessionExpires, Substate};
use sip::{HeaderName, Limits, Message, Method};

const REST: &str = "Via: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: i\r\nCSeq: 1 INVITE\r\n";

fn with(extra: &str) -> Message {
    let text = format!("INVITE sip:c@d SIP/2.0\r\n{REST}{extra}\r\n");
    Message::parse(Bytes::from(text), &Limits::default()).unwrap()
}

#[test]
fn session_timers_are_read() {
    let message = with("x: 1800 ;\r\n refresher=uac\r\nMin-SE: 90;x=y\r\n");
    assert_eq!(
        message.session_expires(),
        Ok(Some(SessionExpires {
            seconds: 1800,
            refresher: Some(Refresher::Uac)
        }))
    );
    assert_eq!(message.min_se(), Ok(Some(90)));
    assert_eq!(with("").session_expires(), Ok(None));
    assert_eq!(with("").min_se(), Ok(None));
    let error = with("Min-SE: soon\r\n").min_se().unwrap_err().to_string();
    assert_eq!(error, "Min-SE: it is no number of seconds; write `90`");
    let doubled = with("Session-Expires: 90\r\nSession-Expires: 90\r\n");
    assert_eq!(
        doubled.session_expires().unwrap_err().header,
        HeaderName::SessionExpires
    );
}

#[test]
fn events_are_read() {
    let message =
        with("o: refer;id=9\r\nSubscription-State: terminated;reason=giveup;retry-after=30\r\n");
    let event = message.event().unwrap().unwrap();
    assert_eq!((event.package, event.id), ("refer", Some("9")));
    let state = message.subscription_state().unwrap().unwrap();
    assert_eq!(state.state, Substate::Terminated);
    assert_eq!(state.resubscribe(), Resubscribe::After(30));
    assert_eq!(with("").event(), Ok(None));
    assert_eq!(with("").subscription_state(), Ok(None));
}

#[test]
fn transfers_are_read() {
    let message = with(
        "Replaces: 1@h;from-tag=a;to-tag=b\r\nb: \"Bob\" <sip:bob@h>\r\nRefer-Sub: FALSE\r\n\
         Refer-To: <sip:c@d?Replaces=1%40h%3Bfrom-tag%3Da%3Bto-tag%3Db>\r\n\
         Join: 2@h;from-tag=c;to-tag=d\r\nTarget-Dialog: 3@h;local-tag=e;remote-tag=f\r\n",
    );
    let replaces = message.replaces().unwrap().unwrap();
    assert_eq!(
        (&*replaces.call_id, &*replaces.to_tag, replaces.early_only),
        ("1@h", "b", false)
    );
    let uri = message.refer_to().unwrap().unwrap().uri().unwrap();
    assert_eq!(Replaces::from_uri(&uri), Ok(Some(replaces)));
    assert_eq!(
        message.referred_by().unwrap().unwrap().display.as_deref(),
        Some("Bob")
    );
    assert_eq!(message.refer_sub(), Some(false));
    assert_eq!(message.join().unwrap().unwrap().from_tag, "c");
    assert_eq!(message.target_dialog().unwrap().unwrap().remote_tag, "f");
    let none = with("");
    assert_eq!(
        (none.replaces(), none.refer_to(), none.refer_sub()),
        (Ok(None), Ok(None), None)
    );
    let two = "Refer-To: <sip:a@b>\r\nr: <sip:c@d>\r\n";
    assert!(with(two).refer_to().is_err());
}

#[test]
fn acknowledgements_and_numbers_are_read() {
    let message = with(
        "RAck: 7 1 INVITE\r\nRSeq: 8\r\nMax-Breadth: 60\r\nMin-Expires: 60\r\nRetry-After: 5 (soon)\r\n",
    );
    let rack = message.rack().unwrap().unwrap();
    assert_eq!(
        (rack.response, rack.sequence, rack.method),
        (7, 1, Method::Invite)
    );
    assert_eq!(message.rseq(), Ok(Some(8)));
    assert_eq!(message.max_breadth(), Ok(Some(60)));
    assert_eq!(message.min_expires(), Ok(Some(60)));
    assert_eq!(
        message.retry_after().unwrap().unwrap().comment.as_deref(),
        Some("soon")
    );
    let broken = with("RSeq: 4294967296\r\nMax-Breadth: x\r\nRAck: 7 INVITE\r\n");
    assert!(broken.rseq().is_err() && broken.max_breadth().is_err() && broken.rack().is_err());
}

#[test]
fn words_are_compared_as_their_rfcs_say() {
    let message = with(
        "k: timer , 100REL\r\nRequire: Replaces,\r\n path\r\nAllow: INVITE, ACK\r\nAllow: BYE\r\nSIP-ETag: dx200xyz\r\nSIP-If-Match: a b\r\n",
    );
    assert!(message.supports("100rel") && message.supports("Timer"));
    assert!(message.requires("replaces") && message.requires("path") && !message.requires("timer"));
    assert!(message.supports("path"), "who requires it understands it");
    assert_eq!(message.allows(&Method::Bye), Some(true));
    assert_eq!(message.allows(&Method::Update), Some(false));
    assert_eq!(message.allows(&Method::parse(b"bye").unwrap()), Some(false));
    assert_eq!(with("").allows(&Method::Bye), None);
    assert_eq!(with("Allow:\r\n").allows(&Method::Bye), Some(false));
    let tags: Vec<_> = message.option_tags(HeaderName::Supported).collect();
    assert_eq!(tags, ["timer", "100REL"]);
    assert_eq!(message.sip_etag(), Ok(Some("dx200xyz")));
    assert!(message.sip_if_match().is_err());
}

#[test]
fn reasons_of_several_protocols_stand_side_by_side() {
    let message =
        with("Reason: SIP;cause=200;text=\"Call, completed\", Q.850 ; cause=16\r\nReason: X\r\n");
    let reasons = message.reason_values().unwrap();
    let all: Vec<String> = reasons.iter().map(ToString::to_string).collect();
    assert_eq!(
        all,
        [
            "SIP;cause=200;text=\"Call, completed\"",
            "Q.850;cause=16",
            "X"
        ]
    );
    assert!(with("").reason_values().unwrap().is_empty());
    assert!(with("Reason: SIP;cause=many\r\n").reason_values().is_err());
}

#[test]
fn identities_are_sip_and_tel() {
    let message = with(
        "P-Asserted-Identity: \"Cullen Jennings\" <sip:fluffy@example.com>, tel:+14085264000;ext=5\r\nP-Asserted-Identity: sip:+15550100@h;user=phone\r\n\
         P-Preferred-Identity: <sip:a@b>\r\nRemote-Party-ID: <sip:a@b>;party=calling;privacy=full\r\n",
    );
    let all: Vec<String> = message
        .asserted_identities()
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        all,
        [
            "\"Cullen Jennings\" <sip:fluffy@example.com>",
            "<tel:+14085264000;ext=5>",
            "<sip:+15550100@h;user=phone>"
        ],
        "without brackets the parameters are the URI's"
    );
    assert_eq!(message.preferred_identities().unwrap().len(), 1);
    assert!(message.remote_party_ids().unwrap()[0].is_private());
    assert!(with("").asserted_identities().unwrap().is_empty());
}

#[test]
fn privacy_says_what_is_withheld() {
    let withheld = |extra: &str| -> Vec<&str> {
        let identity = "P-Asserted-Identity: <sip:a@b>\r\n";
        let message = with(&format!("{identity}{extra}"));
        let names = message.withheld_from_untrusted();
        names.iter().map(|name| name.as_str()).collect()
    };
    assert!(withheld("").is_empty());
    assert_eq!(
        withheld("Privacy: critical;ID\r\n"),
        ["P-Asserted-Identity"]
    );
    assert_eq!(
        withheld("Privacy: user\r\nPrivacy: id\r\n"),
        ["P-Asserted-Identity"]
    );
    assert!(withheld("Privacy: none\r\nRemote-Party-ID: <sip:a@b>;privacy=full\r\n").is_empty());
    assert_eq!(
        withheld("P-Preferred-Identity: <sip:x@y>\r\nPrivacy: none\r\n"),
        ["P-Preferred-Identity"]
    );
    assert_eq!(
        withheld(
            "Remote-Party-ID: <sip:a@b>;privacy=full\r\nHistory-Info: <sip:a@b?Privacy=history>;index=1\r\n"
        ),
        ["Remote-Party-ID", "History-Info"]
    );
    assert!(
        withheld("Remote-Party-ID: <sip:a@b>;privacy=off\r\nHistory-Info: <sip:a@b>;index=1\r\n")
            .is_empty()
    );
    assert_eq!(
        withheld("Privacy: history\r\nHistory-Info: <sip:a@b>;index=1\r\n"),
        ["History-Info"]
    );
    assert_eq!(
        withheld("Privacy: \"\"\r\n"),
        ["P-Asserted-Identity"],
        "what cannot be read hides"
    );
}

#[test]
fn history_is_read_in_order() {
    // RFC 7044 §5 and appendix: a call that was busy at one phone and went on to voicemail.
    let message = with(
        "History-Info: <sip:bob@example.com>;index=1, <sip:bob@192.0.2.4?Reason=SIP%3Bcause%3D302>;index=1.1;rc=1\r\n\
         History-Info: <sip:vm@192.0.2.5;cause=480>;index=1.2;mp=1\r\nDiversion: <sip:b@h>;reason=no-answer;counter=2, <sip:a@h>;reason=unconditional\r\n",
    );
    let entries = message.history_info().unwrap();
    let indexes: Vec<_> = entries.iter().map(|entry| entry.index.unwrap()).collect();
    assert_eq!(indexes, ["1", "1.1", "1.2"]);
    assert_eq!(entries[1].reasons().unwrap()[0].cause, Some(302));
    assert_eq!(entries[2].cause(), Some(480));
    let diversions = message.diversions().unwrap();
    let reasons: Vec<_> = diversions.iter().map(|it| it.reason.as_deref()).collect();
    assert_eq!(reasons, [Some("no-answer"), Some("unconditional")]);
}

#[test]
fn data_and_locations_are_read() {
    let message = with(
        "User-to-User: 0464;encoding=hex, \"a, b\"\r\nGeolocation: <cid:target123@h>, <sips:3sd@h>\r\nGeolocation-Routing: Yes\r\nGeolocation-Error: 100 ; code=\"Cannot\"\r\n",
    );
    let data = message.user_to_user().unwrap();
    assert_eq!(data[0].decode().unwrap(), [4, 0x64]);
    assert_eq!(data[1].data, "a, b");
    assert_eq!(
        message.geolocations().unwrap()[0].uri_text,
        "cid:target123@h"
    );
    assert_eq!(message.geolocation_routing(), Some(true));
    let error = message.geolocation_error().unwrap().unwrap();
    assert_eq!((error.code, error.text.as_deref()), (100, Some("Cannot")));
    assert_eq!(with("").geolocation_routing(), None);
}
