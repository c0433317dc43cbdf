//! Any bytes as the value of a typed header field, as a URI, as a session description, as a body of parts: refused by name or read,
//! and what is read is written so that it reads the same. The first byte of the input says which header field it is.
use crate::reading::{deeper, typed};
use bytes::Bytes;
use sip::header::*;
use sip::sdp::{Direction, Rewrite, hold_state};
use sip::{HeaderName, Limits, Message, Params, Sdp, Uri, Via};

/// The header fields that are read, in the order of the input's first byte.
pub const NAMES: &[HeaderName] = &[
    HeaderName::SessionExpires,
    HeaderName::MinSe,
    HeaderName::Event,
    HeaderName::SubscriptionState,
    HeaderName::Replaces,
    HeaderName::Join,
    HeaderName::TargetDialog,
    HeaderName::ReferTo,
    HeaderName::ReferredBy,
    HeaderName::ReferSub,
    HeaderName::RAck,
    HeaderName::RSeq,
    HeaderName::Supported,
    HeaderName::Allow,
    HeaderName::Reason,
    HeaderName::RetryAfter,
    HeaderName::MaxBreadth,
    HeaderName::SipEtag,
    HeaderName::MinExpires,
    HeaderName::PAssertedIdentity,
    HeaderName::PPreferredIdentity,
    HeaderName::RemotePartyId,
    HeaderName::Privacy,
    HeaderName::HistoryInfo,
    HeaderName::Diversion,
    HeaderName::UserToUser,
    HeaderName::Geolocation,
    HeaderName::GeolocationRouting,
    HeaderName::GeolocationError,
    HeaderName::Contact,
    HeaderName::Route,
    HeaderName::Via,
    HeaderName::WwwAuthenticate,
    HeaderName::ContentType,
];

/// Holds the properties for one input.
pub fn run(data: &[u8]) {
    let Some((which, value)) = data.split_first() else {
        return;
    };
    let name = NAMES[usize::from(*which) % NAMES.len()];
    in_a_message(name, value);
    values(value);
    description(value);
    if let Ok(text) = std::str::from_utf8(value) {
        texts(text);
    }
}

/// As the value of a message's header field: what is refused is refused under that name.
fn in_a_message(name: HeaderName, value: &[u8]) {
    let head = "INVITE sip:c@d SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: i\r\nCSeq: 1 INVITE\r\n";
    let line = [
        head.as_bytes(),
        name.as_str().as_bytes(),
        b": ",
        value,
        b"\r\n\r\n",
        value,
    ]
    .concat();
    let Ok(message) = Message::parse(Bytes::from(line), &Limits::default()) else {
        return;
    };
    let is_one_field = !value.iter().any(|byte| matches!(byte, b'\r' | b'\n'));
    for error in typed(&message) {
        assert!(
            !is_one_field || error.header == name,
            "{error} of {}",
            name.as_str()
        );
    }
    deeper(&message);
    if let Some(body) = message.whole_body() {
        assert!(body.parts().count() <= body.body.len() + 1);
    }
}

/// What a reader gives is written, and what is written reads the same: it is `same`, and is written the same again.
macro_rules! rounds {
    ($value:expr, $same:expr, $($kind:ident),*) => {
        $({
            let written: String;
            if let Ok(first) = $kind::parse($value) {
                written = first.to_string();
                assert!(!written.contains(['\r', '\n', '\0']), "{written:?} would end its line");
                match $kind::parse(written.as_bytes()) {
                    Ok(again) => {
                        assert!(!$same || again == first, "{first:?} was written as {written:?} and is {again:?}");
                        assert_eq!(again.to_string(), written);
                    }
                    Err(error) => panic!("{first:?} was written as {written:?}, which is refused: {error}"),
                }
            }
        })*
    };
}

fn values(value: &[u8]) {
    // NUL and line ends are written as spaces: nothing that holds one can be the same afterwards.
    if value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
        return;
    }
    rounds!(
        value,
        true,
        SessionExpires,
        RAck,
        Replaces,
        Join,
        TargetDialog,
        Reason,
        RetryAfter,
        SubscriptionState,
        Privacy
    );
    // These keep parameters that they do not know as they were written, white space and all.
    rounds!(value, false, EventPackage, UserToUser, GeolocationError);
    // What stands where a URI should is kept as it is, and need not be one.
    let address = std::str::from_utf8(value)
        .ok()
        .and_then(|text| Address::parse(text).ok());
    if address.is_some_and(|address| address.uri().is_ok()) {
        rounds!(value, false, RemotePartyId, HistoryInfo, Diversion);
    }
}

fn texts(text: &str) {
    let (one, other) = text.split_once('\n').unwrap_or((text, text));
    if let (Ok(one), Ok(other)) = (Uri::parse(one), Uri::parse(other)) {
        assert_eq!(
            one.equivalent(&other),
            other.equivalent(&one),
            "{one} and {other}"
        );
        assert!(one.equivalent(&one));
        assert_eq!(one.to_string(), one.as_str());
        let _ = (
            one.user_decoded(),
            one.password(),
            one.header_decoded("Replaces"),
        );
        let host = one.host().to_string();
        assert!(
            host.is_empty() || sip::Host::parse(&host) == Some(one.host()),
            "{host}"
        );
        let _ = (one.is_loose_router(), one.transport(), one.port());
    }
    if let Ok(address) = Address::parse(text) {
        let written = address.to_string();
        if !text.contains(['\r', '\n', '\0']) && address.uri().is_ok() {
            let again = Address::parse(&written).expect("an address that was written is read");
            assert_eq!(again.uri_text, address.uri_text);
            assert_eq!(again.tag(), address.tag());
        }
        let _ = (address.uri().is_ok(), address.param("q"));
    }
    if let Ok(via) = Via::parse(text) {
        let _ = (
            via.branch(),
            via.rport(),
            via.received(),
            via.received_address(),
            via.sent_by(),
        );
    }
    let params = Params::new(text);
    for (name, _) in params.iter() {
        assert!(
            params.get_raw(name).is_some(),
            "{name:?} is listed and not found"
        );
        let _ = params.get(name);
    }
}

/// As a session description: every change changes what it says and no more.
fn description(text: &[u8]) {
    let Ok(sdp) = Sdp::parse(text) else { return };
    assert_eq!(
        Rewrite::new(&sdp).finish(),
        text,
        "without a change nothing changes"
    );
    let _ = (
        sdp.origin(),
        sdp.name(),
        sdp.connection(),
        sdp.is_hold(),
        sdp.attributes().count(),
    );
    let _ = hold_state(Some(&sdp), &sdp).as_str();
    let count = sdp.media().len();
    for media in sdp.media() {
        let _ = (
            media.connection(),
            media.direction(),
            media.has_ice(),
            media.has_crypto(),
        );
        for format in media.formats() {
            let _ = (media.rtpmap(format), media.fmtp(format));
        }
    }
    let changed = |change: &dyn Fn(&mut Rewrite<'_>)| {
        let mut rewrite = Rewrite::new(&sdp);
        change(&mut rewrite);
        let written = rewrite.finish();
        let read = Sdp::parse(&written).map(|sdp| sdp.media().len());
        assert!(
            read.is_ok(),
            "what was changed is no description any more: {}",
            written.escape_ascii()
        );
        (written, read.unwrap_or(0))
    };
    let address = "192.0.2.77".parse().expect("an address");
    let (written, media) = changed(&|rewrite| rewrite.set_address(address));
    assert_eq!(media, count);
    let again = Sdp::parse(&written).expect("it was read");
    for media in again.media() {
        assert_eq!(
            media.connection().map(|it| it.address.to_owned()),
            Some("192.0.2.77".to_owned())
        );
    }
    for (at, media) in sdp.media().iter().enumerate() {
        let (written, _) = changed(&|rewrite| rewrite.set_port(at, 4711));
        assert_eq!(
            Sdp::parse(&written).expect("it was read").media()[at].port,
            4711
        );
        let (written, _) = changed(&|rewrite| rewrite.set_direction(at, Direction::Inactive));
        let now = Sdp::parse(&written).expect("it was read").media()[at].written_direction();
        assert_eq!(now, Direction::Inactive);
        let (_, left) = changed(&|rewrite| rewrite.remove_media(at));
        assert_eq!(left, count - 1);
        changed(&|rewrite| rewrite.set_media_address(at, address));
        changed(&|rewrite| rewrite.set_attribute(Some(at), "x", Some("y")));
        changed(&|rewrite| rewrite.remove_attribute(Some(at), "rtpmap"));
        for format in media.formats() {
            changed(&|rewrite| {
                rewrite.remove_format(at, format);
            });
        }
    }
    let (held, _) = changed(&|rewrite| rewrite.hold());
    let held = Sdp::parse(&held).expect("it was read");
    assert!(
        held.media()
            .iter()
            .all(|media| media.is_rejected() || !media.written_direction().receives())
    );
    changed(&|rewrite| rewrite.resume());
    changed(&|rewrite| rewrite.bump_version());
    changed(&|rewrite| rewrite.add_attribute(None, "x", None));
}
