//! Reads everything that a message has to say: none of it may panic, and what was read agrees with itself.
use sip::header::Replaces;
use sip::{HeaderError, HeaderName, Message, Method};
use std::fmt::Display;

/// What a message shows to whoever does not read its headers: for comparing two.
#[derive(Debug, PartialEq, Eq)]
pub struct Shown {
    start: (bool, String, u16, Vec<u8>),
    /// Names in lower case and values, unfolded.
    pub fields: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

/// What this message shows. `Content-Length` is left out: writing adds it.
#[must_use]
pub fn shown(message: &Message) -> Shown {
    let request_line = message
        .request_method()
        .map(|method| format!("{method} {}", message.request_uri()));
    let fields = message
        .fields()
        .filter(|field| field.name() != HeaderName::ContentLength);
    Shown {
        start: (
            message.is_request(),
            request_line.unwrap_or_default(),
            message.status(),
            message.reason_bytes().to_vec(),
        ),
        fields: fields
            .map(|field| {
                (
                    field.raw_name().to_ascii_lowercase(),
                    field.value().into_owned(),
                )
            })
            .collect(),
        body: message.body().to_vec(),
    }
}

/// Where every field stands.
#[must_use]
pub fn places(message: &Message) -> Vec<(usize, Vec<u8>)> {
    message
        .fields()
        .map(|field| (field.offset(), field.raw().to_vec()))
        .collect()
}

fn one<T: Display>(
    read: Result<Option<T>, HeaderError>,
    name: HeaderName,
    errors: &mut Vec<HeaderError>,
) {
    match read {
        Ok(value) => drop(value.map(|it| it.to_string())),
        Err(error) => {
            assert_eq!(error.header, name, "{error}");
            assert!(!error.what.is_empty());
            errors.push(error);
        }
    }
}

fn all<T: Display>(
    read: Result<impl IntoIterator<Item = T>, HeaderError>,
    name: HeaderName,
    errors: &mut Vec<HeaderError>,
) {
    one(
        read.map(|values| {
            Some(
                values
                    .into_iter()
                    .map(|it| it.to_string())
                    .collect::<String>(),
            )
        }),
        name,
        errors,
    );
}

/// Reads every typed header field; gives what was refused.
pub fn typed(message: &Message) -> Vec<HeaderError> {
    use HeaderName as Name;
    let errors = &mut Vec::new();
    one(message.session_expires(), Name::SessionExpires, errors);
    one(message.min_se(), Name::MinSe, errors);
    one(message.event(), Name::Event, errors);
    one(
        message.subscription_state(),
        Name::SubscriptionState,
        errors,
    );
    one(message.replaces(), Name::Replaces, errors);
    one(message.join(), Name::Join, errors);
    one(message.target_dialog(), Name::TargetDialog, errors);
    one(message.refer_to(), Name::ReferTo, errors);
    one(message.referred_by(), Name::ReferredBy, errors);
    one(message.rack(), Name::RAck, errors);
    one(message.rseq(), Name::RSeq, errors);
    one(message.retry_after(), Name::RetryAfter, errors);
    one(message.max_breadth(), Name::MaxBreadth, errors);
    one(message.sip_etag(), Name::SipEtag, errors);
    one(message.sip_if_match(), Name::SipIfMatch, errors);
    one(message.min_expires(), Name::MinExpires, errors);
    one(message.privacy(), Name::Privacy, errors);
    one(message.geolocation_error(), Name::GeolocationError, errors);
    one(message.max_forwards(), Name::MaxForwards, errors);
    one(message.expires(), Name::Expires, errors);
    all(message.reason_values(), Name::Reason, errors);
    all(
        message.asserted_identities(),
        Name::PAssertedIdentity,
        errors,
    );
    all(
        message.preferred_identities(),
        Name::PPreferredIdentity,
        errors,
    );
    all(message.remote_party_ids(), Name::RemotePartyId, errors);
    all(message.history_info(), Name::HistoryInfo, errors);
    all(message.diversions(), Name::Diversion, errors);
    all(message.user_to_user(), Name::UserToUser, errors);
    all(message.geolocations(), Name::Geolocation, errors);
    all(message.contacts(), Name::Contact, errors);
    all(message.routes(), Name::Route, errors);
    all(message.record_routes(), Name::RecordRoute, errors);
    std::mem::take(errors)
}

/// Reads what is behind the typed header fields: of what they are made, and what follows from several of them.
pub fn deeper(message: &Message) {
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
    for identity in message.remote_party_ids().into_iter().flatten() {
        let _ = identity.is_private();
    }
    let _ = (
        message.withheld_from_untrusted(),
        message.geolocation_routing(),
    );
    let _ = (
        message.refer_sub(),
        message.supports("timer"),
        message.requires("100rel"),
    );
    let _ = (message.allows(&Method::Bye), message.content_type());
    if let Ok(Some(state)) = message.subscription_state() {
        let _ = (state.resubscribe(), state.is_terminated());
    }
    for address in [message.refer_to(), message.referred_by()]
        .into_iter()
        .flatten()
        .flatten()
    {
        let _ = address.uri().map(|uri| Replaces::from_uri(&uri));
    }
    for name in [
        HeaderName::Authorization,
        HeaderName::WwwAuthenticate,
        HeaderName::ProxyAuthenticate,
    ] {
        for field in message.headers(name) {
            if let Ok(challenge) = sip::Challenge::parse(&field.text()) {
                let _ = (challenge.get("nonce"), challenge.iter().count());
            }
        }
    }
    for via in message.vias().flatten() {
        let _ = (
            via.branch(),
            via.rport(),
            via.received_address(),
            via.sent_by(),
        );
        let _ = via.params.iter().count();
    }
    for address in [message.from(), message.to()].into_iter().flatten() {
        let _ = (address.tag(), address.is_wildcard());
        if let Ok(uri) = address.uri() {
            assert!(uri.equivalent(&uri), "{uri} is not itself");
        }
    }
    if let Ok(uri) = message.uri() {
        let _ = (
            uri.user_decoded(),
            uri.headers().count(),
            uri.transport(),
            uri.is_loose_router(),
        );
        assert!(uri.equivalent(&uri), "{uri} is not itself");
    }
    for field in message.fields() {
        let _ = (field.text(), field.values().count());
    }
    let _ = (
        message.validate(),
        message.method(),
        message.reason(),
        message.body_is_sdp(),
    );
    let _ = (
        message.content_length(),
        message.sdp().is_ok(),
        message.body_part_by_id("x"),
    );
}
