//! The forwarded request is the received one with exactly the changes of RFC 3261 §16.6, and what may not pass is refused.
use super::*;
use crate::event::CommandError;

fn forwarded(order: ProxyOrder) -> Message {
    let mut bench = Bench::new(order);
    bench.start();
    bench.sent.remove(&0).expect("sent")
}

fn rejection(order: ProxyOrder) -> Rejection {
    ProxyContext::new(order, &own).expect_err("the request is refused")
}

const TARGET: &str = "sip:one@203.0.113.10";

#[test]
fn only_uri_max_forwards_and_via_change() {
    let received = invite();
    let sent = forwarded(order(Arc::clone(&received), &[TARGET]));
    assert_eq!(sent.request_uri(), TARGET);
    assert_eq!(value(&sent, HeaderName::MaxForwards), "10");
    let vias: Vec<_> = sent
        .values(HeaderName::Via)
        .map(|via| via.into_owned())
        .collect();
    assert_eq!(
        vias[0],
        "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKtest0;rport"
    );
    assert_eq!(
        vias[1..],
        received
            .values(HeaderName::Via)
            .map(|via| via.into_owned())
            .collect::<Vec<_>>()
    );
    for name in [
        HeaderName::From,
        HeaderName::To,
        HeaderName::CallId,
        HeaderName::CSeq,
        HeaderName::Contact,
    ] {
        assert_eq!(value(&sent, name), value(&received, name));
    }
    assert!(sent.header(HeaderName::RecordRoute).is_none());
    assert_eq!(sent.body(), received.body());
}

#[test]
fn max_forwards_is_added_when_there_is_none() {
    let bare = parse(
        "OPTIONS sip:bob@proxy.example SIP/2.0\nVia: SIP/2.0/UDP 198.51.100.7;branch=z9hG4bKa\nFrom: <sip:a@a.example>;tag=1\n\
         To: <sip:b@b.example>\nCall-ID: c1\nCSeq: 1 OPTIONS\n\n",
    );
    let sent = forwarded(order(bare, &[TARGET]));
    assert_eq!(value(&sent, HeaderName::MaxForwards), "70");
    // It may go out over a stream.
    assert_eq!(value(&sent, HeaderName::ContentLength), "0");
}

#[test]
fn record_route_is_added_when_asked_for_above_those_of_others() {
    let mut staying = order(
        request(
            "INVITE",
            "sip:bob@proxy.example",
            "Record-Route: <sip:edge.example;lr>\n",
        ),
        &[TARGET],
    );
    staying.options.record_route = true;
    let sent = forwarded(staying);
    let values: Vec<_> = sent
        .values(HeaderName::RecordRoute)
        .map(|value| value.into_owned())
        .collect();
    assert_eq!(values, ["<sip:192.0.2.1:5060;lr>", "<sip:edge.example;lr>"]);
}

#[test]
fn a_request_that_changes_sides_gets_a_record_route_for_each() {
    let mut staying = order(invite(), &[TARGET]);
    staying.options.record_route = true;
    let mut context = ProxyContext::new(staying, &own).unwrap();
    context.start(Time::ZERO, &mut Effects::new());
    let way = Hop {
        record_route_received: Some("sip:192.0.2.1:5060;transport=tcp;lr"),
        ..hop("z9hG4bKb", "sip:192.0.2.1:5060;lr")
    };
    let sent = Message::parse(context.write_request(0, &way).unwrap(), &Limits::default()).unwrap();
    let values: Vec<_> = sent
        .values(HeaderName::RecordRoute)
        .map(|value| value.into_owned())
        .collect();
    assert_eq!(
        values,
        [
            "<sip:192.0.2.1:5060;lr>",
            "<sip:192.0.2.1:5060;transport=tcp;lr>"
        ]
    );
}

#[test]
fn a_register_gets_path_instead() {
    let mut staying = order(
        request("REGISTER", "sip:proxy.example", ""),
        &["sip:registrar.example"],
    );
    staying.options.record_route = true;
    let sent = forwarded(staying);
    assert_eq!(value(&sent, HeaderName::Path), "<sip:192.0.2.1:5060;lr>");
    assert_eq!(value(&sent, HeaderName::Require), "path");
    assert!(sent.header(HeaderName::RecordRoute).is_none());
}

#[test]
fn record_route_uris_name_the_transport() {
    assert_eq!(
        forward::record_route_uri("", "192.0.2.1:5060", Transport::Udp, false),
        "sip:192.0.2.1:5060;lr"
    );
    assert_eq!(
        forward::record_route_uri("", "192.0.2.1:5060", Transport::Tcp, false),
        "sip:192.0.2.1:5060;transport=tcp;lr"
    );
    assert_eq!(
        forward::record_route_uri("", "[2001:db8::1]:5061", Transport::Tls, true),
        "sips:[2001:db8::1]:5061;transport=tls;lr"
    );
}

#[test]
fn headers_of_the_application_are_added_or_replace_the_single_ones() {
    let mut with = order(
        request(
            "INVITE",
            "sip:bob@proxy.example",
            "User-Agent: phone\nX-Tag: 1\n",
        ),
        &[TARGET],
    );
    let fields = [
        ("User-Agent", "dracht rocks!"),
        ("X-Tag", "2"),
        ("Via", "SIP/2.0/UDP evil"),
        ("Call-ID", "other"),
    ];
    with.headers = fields
        .iter()
        .map(|(name, value)| (Bytes::from(*name), Bytes::from(*value)))
        .collect();
    let sent = forwarded(with);
    assert_eq!(value(&sent, HeaderName::UserAgent), "dracht rocks!");
    let tags: Vec<_> = sent
        .named("X-Tag")
        .map(|field| field.text().into_owned())
        .collect();
    assert_eq!(tags, ["1", "2"]);
    assert_eq!(value(&sent, HeaderName::CallId), "c1");
    assert_eq!(sent.values(HeaderName::Via).count(), 2);
}

#[test]
fn a_header_that_would_split_the_message_is_refused() {
    for (name, text) in [("X-Tag", "1\r\nEvil: 2"), ("X Tag", "1"), ("", "1")] {
        let mut with = order(invite(), &[TARGET]);
        with.headers = vec![(Bytes::from(name), Bytes::from(text))];
        let rejection = rejection(with);
        assert_eq!(rejection.status, None);
        assert!(matches!(rejection.error, CommandError::InvalidHeader(_)));
    }
}

#[test]
fn our_own_route_comes_off_and_the_next_one_is_the_next_hop() {
    let extra = "Route: <sip:192.0.2.1;lr>, <sip:next.example;lr>\nRoute: <sip:last.example;lr>\n";
    let mut bench = Bench::new(order(request("INVITE", "sip:bob@b.example", extra), &[]));
    assert_eq!(bench.start(), ["forward 0 to sip:next.example;lr"]);
    let routes: Vec<_> = bench.sent[&0]
        .values(HeaderName::Route)
        .map(|value| value.into_owned())
        .collect();
    assert_eq!(routes, ["<sip:next.example;lr>", "<sip:last.example;lr>"]);
    assert_eq!(bench.sent[&0].request_uri(), "sip:bob@b.example");
}

#[test]
fn a_lone_route_of_ours_leaves_none() {
    let mut bench = Bench::new(order(
        request(
            "INVITE",
            "sip:bob@b.example",
            "Route: <sip:192.0.2.1:5060;lr>\n",
        ),
        &[],
    ));
    assert_eq!(bench.start(), ["forward 0 to sip:bob@b.example"]);
    assert!(bench.sent[&0].header(HeaderName::Route).is_none());
}

#[test]
fn a_strict_router_behind_us_gets_its_uri_in_the_request_uri() {
    let extra = "Route: <sip:192.0.2.1;lr>, <sip:strict.example>, <sip:last.example;lr>\n";
    let mut bench = Bench::new(order(request("INVITE", "sip:bob@b.example", extra), &[]));
    assert_eq!(bench.start(), ["forward 0 to sip:strict.example"]);
    let sent = &bench.sent[&0];
    assert_eq!(sent.request_uri(), "sip:strict.example");
    let routes: Vec<_> = sent
        .values(HeaderName::Route)
        .map(|value| value.into_owned())
        .collect();
    assert_eq!(routes, ["<sip:last.example;lr>", "<sip:bob@b.example>"]);
}

#[test]
fn the_work_of_a_strict_router_before_us_is_undone() {
    let extra = "Route: <sip:next.example;lr>, <sip:bob@b.example>\n";
    let mut bench = Bench::new(order(
        request("INVITE", "sip:192.0.2.1:5060;lr", extra),
        &[],
    ));
    assert_eq!(bench.start(), ["forward 0 to sip:next.example;lr"]);
    let sent = &bench.sent[&0];
    assert_eq!(sent.request_uri(), "sip:bob@b.example");
    let routes: Vec<_> = sent
        .values(HeaderName::Route)
        .map(|value| value.into_owned())
        .collect();
    assert_eq!(routes, ["<sip:next.example;lr>"]);
}

#[test]
fn what_is_no_uri_never_becomes_a_request_uri() {
    let extra = "Route: <sip:next.example;lr>, <sip:bob b@b.example>\n";
    let mut bench = Bench::new(order(
        request("INVITE", "sip:192.0.2.1:5060;lr", extra),
        &[],
    ));
    bench.start();
    assert_eq!(bench.sent[&0].request_uri(), "sip:192.0.2.1:5060;lr");
    for target in [
        "sip:one@203.0.113.10\r\nEvil: 1",
        "sip:one two@203.0.113.10",
        "<sip:one@203.0.113.10",
        "sip:one@203.0.113.10>;x",
    ] {
        let rejection = rejection(order(invite(), &[target]));
        assert!(
            matches!(rejection.error, CommandError::InvalidUri(_)),
            "{target:?}"
        );
    }
}

#[test]
fn an_maddr_of_ours_is_taken_off() {
    let uri = "sip:bob@b.example:5060;transport=tcp;maddr=192.0.2.1;x=1";
    let mut bench = Bench::new(order(request("INVITE", uri, ""), &[]));
    assert_eq!(bench.start(), ["forward 0 to sip:bob@b.example;x=1"]);
    let mut bench = Bench::new(order(
        request("INVITE", "sip:bob@b.example;maddr=203.0.113.9", ""),
        &[],
    ));
    assert_eq!(
        bench.start(),
        ["forward 0 to sip:bob@b.example;maddr=203.0.113.9"]
    );
}

#[test]
fn drachtio_keeps_a_foreign_request_uri_and_routes_to_the_target() {
    for (uri, compatible, expected) in [
        ("sip:bob@b.example", false, TARGET),
        ("sip:bob@b.example", true, "sip:bob@b.example"),
        ("sip:bob@192.0.2.1", true, TARGET),
        ("tel:+15551234", true, "tel:+15551234"),
        ("tel:+15551234", false, TARGET),
    ] {
        let mut asked = order(request("INVITE", uri, ""), &[TARGET]);
        asked.drachtio_compatible = compatible;
        let mut bench = Bench::new(asked);
        assert_eq!(bench.start(), [format!("forward 0 to {TARGET}")]);
        assert_eq!(bench.sent[&0].request_uri(), expected, "{uri} {compatible}");
    }
}

#[test]
fn a_request_without_a_hop_left_gets_483() {
    let last = parse(
        "INVITE sip:bob@proxy.example SIP/2.0\nVia: SIP/2.0/UDP 198.51.100.7;branch=z9hG4bKa\nFrom: <sip:a@a.example>;tag=1\n\
         To: <sip:b@b.example>\nCall-ID: c1\nCSeq: 1 INVITE\nMax-Forwards: 0\nContent-Length: 0\n\n",
    );
    let rejection = rejection(order(last, &[TARGET]));
    assert_eq!(
        (rejection.status, rejection.error),
        (Some(483), CommandError::TooManyHops)
    );
}

#[test]
fn an_unknown_extension_for_proxies_gets_420() {
    let rejection = rejection(order(
        request(
            "INVITE",
            "sip:bob@proxy.example",
            "Proxy-Require: foo, bar\n",
        ),
        &[TARGET],
    ));
    assert_eq!(rejection.status, Some(420));
    assert_eq!(
        rejection.header,
        Some((HeaderName::Unsupported, "foo, bar".to_owned()))
    );
}

#[test]
fn a_target_that_cannot_be_used_is_the_application_s_error() {
    for target in ["nonsense", "mailto:bob@b.example", "tel:+1555", "sip:"] {
        let rejection = rejection(order(invite(), &[target]));
        assert_eq!(rejection.status, None);
        assert!(
            matches!(rejection.error, CommandError::InvalidUri(_)),
            "{target}"
        );
    }
    let mut compatible = order(invite(), &["nonsense"]);
    compatible.drachtio_compatible = true;
    assert_eq!(self::rejection(compatible).status, Some(500));
    assert_eq!(
        self::rejection(order(request("INVITE", "tel:+1555", ""), &[])).status,
        Some(416)
    );
}

#[test]
fn a_request_that_comes_back_unchanged_is_a_loop_and_a_changed_one_a_spiral() {
    let first = invite();
    let branch = loops::branch_parameter("z9hG4bK0123", loops::mark(&first));
    let looped = |uri: &str| {
        request(
            "INVITE",
            uri,
            &format!("Via: SIP/2.0/UDP 192.0.2.1:5060;branch={branch}\n"),
        )
    };
    let rejection = rejection(order(looped("sip:bob@proxy.example"), &[TARGET]));
    assert_eq!(
        (rejection.status, rejection.error),
        (Some(482), CommandError::Loop)
    );
    assert!(ProxyContext::new(order(looped("sip:bob@elsewhere.example"), &[TARGET]), &own).is_ok());
}

#[test]
fn credentials_that_were_for_this_proxy_go_no_further_and_others_do() {
    let fields = "Proxy-Authorization: Digest realm=\"one\"\nProxy-Authorization: Digest realm=\"two\"\nProxy-Authorization: Digest realm=\"three\"\n";
    let received = request("INVITE", "sip:bob@proxy.example", fields);
    let realms = |consumed: &[u8], headers: &[(&'static str, &'static str)]| {
        let mut order = order(Arc::clone(&received), &[TARGET]);
        order.options.consumed = consumed.to_vec();
        order.headers = headers
            .iter()
            .map(|(name, value)| {
                (
                    Bytes::from_static(name.as_bytes()),
                    Bytes::from_static(value.as_bytes()),
                )
            })
            .collect();
        let sent = forwarded(order);
        let fields = sent
            .fields()
            .filter(|field| field.name() == HeaderName::ProxyAuthorization);
        fields
            .map(|field| field.text().into_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(realms(&[], &[]).len(), 3);
    assert_eq!(
        realms(&[1], &[]),
        ["Digest realm=\"one\"", "Digest realm=\"three\""]
    );
    assert_eq!(realms(&[0, 1, 2], &[]), [""; 0]);
    assert_eq!(
        realms(
            &[0, 1, 200],
            &[("Proxy-Authorization", "Digest realm=\"four\"")]
        ),
        ["Digest realm=\"three\"", "Digest realm=\"four\"",]
    );
}
