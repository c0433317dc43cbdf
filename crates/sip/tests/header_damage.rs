//! No cut and no damaged byte of a typed header field's value makes its reader panic; what is refused is said with its name.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
use bytes::Bytes;
use sip::header::Replaces;
use sip::{HeaderError, HeaderName, Limits, Message, Method};

/// Values as they stand on wires, one or more of each header field that is read.
const SAMPLES: &[(HeaderName, &str)] = &[
    (HeaderName::SessionExpires, "1800;refresher=uas;x=\"y;z\""),
    (HeaderName::MinSe, "90;x=y"),
    (HeaderName::Event, "presence.winfo;id=93809824;x=\"a;b\""),
    (
        HeaderName::SubscriptionState,
        "terminated;reason=giveup;retry-after=30;expires=0",
    ),
    (
        HeaderName::Replaces,
        "98732@h;from-tag=r33;to-tag=ff87;early-only",
    ),
    (HeaderName::Join, "98732@h;from-tag=r33;to-tag=ff87"),
    (
        HeaderName::TargetDialog,
        "98732@h;local-tag=r33;remote-tag=ff87",
    ),
    (
        HeaderName::ReferTo,
        "\"Bob \\\"B\\\"\" <sip:b@h;x=y?Replaces=1%40h%3Bto-tag%3Da%3Bfrom-tag%3Db&Require=replaces>;x=y",
    ),
    (
        HeaderName::ReferredBy,
        "<sip:a@h>;cid=\"2UWQFN309shb3@referrer.example\"",
    ),
    (HeaderName::ReferSub, "false;x"),
    (HeaderName::RAck, "776656 1 INVITE"),
    (HeaderName::RSeq, "988789"),
    (HeaderName::Supported, "timer, 100rel ,path"),
    (HeaderName::Allow, "INVITE, ACK"),
    (
        HeaderName::Reason,
        "SIP ;cause=580 ;text=\"Pre\\\"condition, Failure\", Q.850;cause=16",
    ),
    (
        HeaderName::RetryAfter,
        "18000 (I'm (in) a \\) meeting);duration=3600",
    ),
    (HeaderName::MaxBreadth, "60"),
    (HeaderName::SipEtag, "dx200xyz"),
    (HeaderName::MinExpires, "3600"),
    (
        HeaderName::PAssertedIdentity,
        "\"Cullen, J.\" <sip:+15550100@h;user=phone>, tel:+15550100;ext=1",
    ),
    (HeaderName::PPreferredIdentity, "sip:+15550100@h;user=phone"),
    (
        HeaderName::RemotePartyId,
        "\"A\" <sip:a@h>;party=calling;screen=yes;privacy=off;x=\"y\"",
    ),
    (HeaderName::Privacy, "id;critical, history"),
    (
        HeaderName::HistoryInfo,
        "<sip:bob@h;cause=486?Reason=SIP%3Bcause%3D302&Privacy=history>;index=1.1;mp=1, <sip:c@h>;index=1.2;rc=1;x",
    ),
    (
        HeaderName::Diversion,
        "\"A\" <tel:+15550100>;reason=\"out of\";counter=1;limit=9;privacy=full;screen=no, <sip:b@h>;reason=user-busy",
    ),
    (
        HeaderName::UserToUser,
        "56a390f3d2b7;purpose=isdn-uui;content=isdn-uui;encoding=hex, \"a,\\\"b\"",
    ),
    (
        HeaderName::Geolocation,
        "<cid:target123@h>, <sips:3sdefrhy2jj7@h>;x=y",
    ),
    (HeaderName::GeolocationRouting, "yes;x"),
    (
        HeaderName::GeolocationError,
        "100 ; code=\"Cannot Process Location\"",
    ),
];

fn message(name: HeaderName, value: &[u8]) -> Option<Message> {
    let head = "INVITE sip:c@d SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: i\r\nCSeq: 1 INVITE\r\n";
    let mut bytes = format!("{head}{}: ", name.as_str()).into_bytes();
    bytes.extend_from_slice(value);
    bytes.extend_from_slice(b"\r\n\r\n");
    Message::parse(Bytes::from(bytes), &Limits::default()).ok()
}

/// Reads everything, and what was read is written.
fn read(message: &Message) -> Vec<HeaderError> {
    let mut errors = Vec::new();
    macro_rules! touch {
        ($($method:ident),*) => {
            $(match message.$method() {
                Ok(value) => drop(value.map(|it| it.to_string())),
                Err(error) => errors.push(error),
            })*
        };
    }
    touch!(
        session_expires,
        min_se,
        event,
        subscription_state,
        replaces,
        join,
        target_dialog
    );
    touch!(
        refer_to,
        referred_by,
        rack,
        rseq,
        retry_after,
        max_breadth,
        min_expires,
        sip_etag,
        sip_if_match
    );
    macro_rules! touch_all {
        ($($method:ident),*) => {
            $(match message.$method() {
                Ok(all) => drop(all.iter().map(ToString::to_string).collect::<Vec<_>>()),
                Err(error) => errors.push(error),
            })*
        };
    }
    touch!(privacy, geolocation_error);
    touch_all!(
        reason_values,
        asserted_identities,
        preferred_identities,
        remote_party_ids
    );
    touch_all!(history_info, diversions, user_to_user, geolocations);
    for entry in message.history_info().into_iter().flatten() {
        let _ = (
            entry.cause(),
            entry.reasons(),
            entry.privacy(),
            entry.is_private(),
        );
    }
    for data in message.user_to_user().into_iter().flatten() {
        let _ = data.decode();
    }
    let _ = (
        message.withheld_from_untrusted(),
        message.geolocation_routing(),
    );
    let _ = (
        message.refer_sub(),
        message.supports("timer"),
        message.allows(&Method::Bye),
    );
    if let Ok(Some(state)) = message.subscription_state() {
        let _ = state.resubscribe();
    }
    if let Ok(Some(address)) = message.refer_to() {
        let _ = address.uri().map(|uri| Replaces::from_uri(&uri));
    }
    errors
}

fn check(name: HeaderName, value: &[u8]) {
    // A damaged byte may end the line: the rest is then another field, which may be refused too.
    let whole = !value.iter().any(|byte| matches!(byte, b'\r' | b'\n'));
    if let Some(message) = message(name, value) {
        for error in read(&message) {
            assert!(!error.what.is_empty());
            assert!(
                !whole || error.header == name,
                "{error} of {}",
                name.as_str()
            );
        }
    }
}

#[test]
fn every_sample_is_read() {
    for (name, value) in SAMPLES {
        let errors = read(&message(*name, value.as_bytes()).unwrap());
        assert!(errors.is_empty(), "{}: {errors:?}", name.as_str());
    }
}

#[test]
fn every_cut_and_every_damaged_byte_is_refused_or_read() {
    for (name, value) in SAMPLES {
        let mut bytes = value.as_bytes().to_vec();
        for end in 0..bytes.len() {
            check(*name, &bytes[..end]);
            check(*name, &bytes[end..]);
            check(*name, &[&bytes[..end], &bytes[end + 1..]].concat());
        }
        for at in 0..bytes.len() {
            let kept = bytes[at];
            for damaged in 0..=255 {
                bytes[at] = damaged;
                check(*name, &bytes);
            }
            bytes[at] = kept;
        }
    }
}
