//! Routes through the proxy, message by message: preloaded ones, strict routers before and behind us, a request-URI that is our
//! Record-Route, `maddr`, Path and Service-Route (RFC 3261 §16.4, §16.6 items 6 and 7; RFC 3327; RFC 3608).
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod raw;

use engine::command::{Command, PathPolicy, Proxy, ProxyOptions};
use engine::event::CommandError;
use raw::{one, reply, send, values};
use simnet::{Faults, HostId, Packet, World};

const ALICE: &str = "198.51.100.9:5060";
const BOB: &str = "203.0.113.5:5060";
const EDGE: &str = "203.0.113.7:5060";

fn world() -> (World, HostId) {
    let mut world = World::new(1, Faults::none());
    // The routes are written by hand here: what they must prove is `proxy_marks`'.
    let mut config = simnet::host::config(HostId(0));
    config.network.key = None;
    let proxy = world.host_with("proxy", config);
    (world, proxy)
}

fn request(method: &str, uri: &str, to_tag: &str, more: &str) -> String {
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {ALICE};branch=z9hG4bK{method}\r\nMax-Forwards: 70\r\n\
         From: <sip:a@example.com>;tag=one\r\nTo: <sip:bob@b.example>{to_tag}\r\nCall-ID: routes\r\nCSeq: 7 {method}\r\n\
         Contact: <sip:a@{ALICE}>\r\n{more}Content-Length: 0\r\n\r\n"
    )
}

/// Sends a request that the proxy's application proxies so; gives what came to `at`.
fn proxied(
    world: &mut World,
    proxy: HostId,
    text: String,
    targets: &[&str],
    options: ProxyOptions,
    at: &str,
) -> Packet {
    send(world, ALICE, proxy, text);
    let seen = world.request(proxy);
    world.act(proxy, |actions| {
        actions.proxy(seen.transaction, targets, options);
    });
    let there = one(world, at);
    let answer = reply(&there, "480 Temporarily Unavailable", "two", "");
    send(world, at, proxy, answer);
    there
}

/// Sends a request of a dialog that the proxy has record-routed; gives what came to `at`.
fn relayed(world: &mut World, proxy: HostId, text: String, at: &str) -> Packet {
    send(world, ALICE, proxy, text);
    let there = one(world, at);
    send(world, at, proxy, reply(&there, "200 OK", "two", ""));
    assert_eq!(one(world, ALICE).start_line(), "SIP/2.0 200 OK");
    there
}

#[test]
fn a_preloaded_route_is_followed_and_ours_comes_off() {
    let (mut world, proxy) = world();
    let more = format!(
        "Route: <sip:192.0.2.1;lr>\r\nRoute: <sip:{EDGE};lr>, <sip:last.example;lr>\r\nSupported: 100rel\r\n"
    );
    let text = request("INVITE", "sip:bob@b.example", "", &more);
    let options = ProxyOptions {
        record_route: true,
        ..ProxyOptions::default()
    };
    let there = proxied(&mut world, proxy, text, &[], options, EDGE);
    assert_eq!(there.start_line(), "INVITE sip:bob@b.example SIP/2.0");
    let routes = values(&there, "Route").join(", ");
    assert_eq!(routes, format!("<sip:{EDGE};lr>, <sip:last.example;lr>"));
    assert_eq!(values(&there, "Record-Route").len(), 1);
    world.rest();
}

#[test]
fn a_strict_router_behind_us_finds_itself_in_the_request_uri() {
    let (mut world, proxy) = world();
    let more = format!("Route: <sip:192.0.2.1;lr>, <sip:{EDGE}>\r\n");
    let text = request("BYE", &format!("sip:bob@{BOB}"), ";tag=two", &more);
    let there = relayed(&mut world, proxy, text, EDGE);
    assert_eq!(there.start_line(), format!("BYE sip:{EDGE} SIP/2.0"));
    assert_eq!(values(&there, "Route"), [format!("<sip:bob@{BOB}>")]);
    world.rest();
}

#[test]
fn what_a_strict_router_before_us_did_is_undone() {
    let (mut world, proxy) = world();
    let more = format!("Route: <sip:{EDGE};lr>, <sip:bob@{BOB}>\r\n");
    let text = request("BYE", "sip:192.0.2.1:5060;lr", ";tag=two", &more);
    let there = relayed(&mut world, proxy, text, EDGE);
    assert_eq!(there.start_line(), format!("BYE sip:bob@{BOB} SIP/2.0"));
    assert_eq!(values(&there, "Route"), [format!("<sip:{EDGE};lr>")]);
    world.rest();
}

#[test]
fn maddr_says_whose_a_route_is() {
    let (mut world, proxy) = world();
    let more = "Route: <sip:proxy.example;maddr=192.0.2.1;lr>\r\n";
    let text = request("BYE", &format!("sip:bob@{BOB}"), ";tag=two", more);
    let there = relayed(&mut world, proxy, text, BOB);
    assert_eq!(values(&there, "Route"), [""; 0]);
    // The host is ours, but the request is to go elsewhere.
    let elsewhere = format!("sip:bob@192.0.2.1;maddr={}", &BOB[..BOB.len() - 5]);
    let text = request("OPTIONS", &elsewhere, "", "");
    let there = proxied(&mut world, proxy, text, &[], ProxyOptions::default(), BOB);
    assert_eq!(there.start_line(), format!("OPTIONS {elsewhere} SIP/2.0"));
    world.rest();
}

#[test]
fn a_register_gets_our_path_above_the_others_and_service_route_comes_back_as_it_was() {
    let (mut world, proxy) = world();
    let more = "Supported: path\r\nPath: <sip:edge@203.0.113.9;lr;ob>\r\n";
    let text = request("REGISTER", "sip:b.example", "", more);
    send(&mut world, ALICE, proxy, text);
    let seen = world.request(proxy);
    let options = ProxyOptions {
        record_route: true,
        ..ProxyOptions::default()
    };
    world.act(proxy, |actions| {
        actions.proxy(seen.transaction, &["sip:203.0.113.5"], options);
    });
    let there = one(&mut world, BOB);
    let paths = values(&there, "Path");
    assert_eq!(paths.len(), 2);
    assert!(paths[0].starts_with("<sip:192.0.2.1:5060;lr"), "{paths:?}");
    assert_eq!(paths[1], "<sip:edge@203.0.113.9;lr;ob>");
    assert_eq!(values(&there, "Require"), ["path"]);
    let more = format!(
        "Path: {}\r\nPath: {}\r\nService-Route: <sip:p2.home.example;lr>, <sip:hsp.home.example;lr>\r\n",
        paths[0], paths[1]
    );
    send(&mut world, BOB, proxy, reply(&there, "200 OK", "r", &more));
    let back = one(&mut world, ALICE);
    assert_eq!(values(&back, "Path"), paths);
    assert_eq!(
        values(&back, "Service-Route"),
        ["<sip:p2.home.example;lr>, <sip:hsp.home.example;lr>"]
    );
    world.rest();
}

#[test]
fn a_user_agent_without_path_is_passed_on_or_refused_as_asked() {
    let register = |supported: &str| request("REGISTER", "sip:b.example", "", supported);
    let with = |path| ProxyOptions {
        record_route: true,
        path,
        ..ProxyOptions::default()
    };
    for (policy, supported, added) in [
        (PathPolicy::Always, "", 1),
        (PathPolicy::IfSupported, "", 0),
        (PathPolicy::IfSupported, "Supported: 100rel, path\r\n", 1),
        (PathPolicy::Required, "Supported: path\r\n", 1),
    ] {
        let (mut world, proxy) = world();
        let there = proxied(
            &mut world,
            proxy,
            register(supported),
            &["sip:203.0.113.5"],
            with(policy),
            BOB,
        );
        assert_eq!(values(&there, "Path").len(), added, "{policy:?}");
        assert_eq!(values(&there, "Require").len(), added, "{policy:?}");
        world.rest();
    }
    let (mut world, proxy) = world();
    send(&mut world, ALICE, proxy, register(""));
    let seen = world.request(proxy);
    world.act(proxy, |actions| {
        actions.proxy(
            seen.transaction,
            &["sip:203.0.113.5"],
            with(PathPolicy::Required),
        );
    });
    let refused = one(&mut world, ALICE);
    assert_eq!(refused.start_line(), "SIP/2.0 421 Extension Required");
    assert_eq!(values(&refused, "Require"), ["path"]);
    world.failed(proxy);
    world.rest();
}

/// Proxies Alice's INVITE with these header fields; what went out to `at`, or why it was not proxied.
fn proxied_with(
    more: &str,
    headers: &[(&'static str, &'static str)],
    options: ProxyOptions,
    at: &str,
) -> Result<Packet, CommandError> {
    let (mut world, proxy) = world();
    let text = request("INVITE", "sip:bob@b.example", "", more);
    send(&mut world, ALICE, proxy, text);
    let seen = world.request(proxy);
    let bytes = |text: &'static str| bytes::Bytes::from_static(text.as_bytes());
    let headers = headers
        .iter()
        .map(|(name, value)| (bytes(name), bytes(value)))
        .collect();
    world.act(proxy, |actions| {
        actions.command(|id| {
            Command::Proxy(Proxy {
                id,
                transaction: seen.transaction,
                targets: vec![format!("sip:bob@{BOB}")],
                options,
                headers,
            })
        })
    });
    let events = world.events(proxy);
    if let Some(engine::Event::Failed(failed)) = events.into_iter().next() {
        world.act(proxy, |actions| actions.respond(seen.transaction, 500, b""));
        world.events(proxy);
        world.rest();
        return Err(failed.error);
    }
    let there = one(&mut world, at);
    let answer = reply(&there, "480 Temporarily Unavailable", "two", "");
    send(&mut world, at, proxy, answer);
    world.rest();
    Ok(there)
}

#[test]
fn a_route_of_the_application_stands_before_the_others_and_is_where_the_request_goes() {
    let options = ProxyOptions::default();
    let given = [("route", "<sip:203.0.113.7;lr>, <sip:next.example;lr>")];
    let own = "Route: <sip:192.0.2.1;lr>\r\nRoute: <sip:last.example;lr>\r\n";
    for (more, last) in [("", ""), (own, ", <sip:last.example;lr>")] {
        let there = proxied_with(more, &given, options.clone(), EDGE).unwrap();
        assert_eq!(there.start_line(), format!("INVITE sip:bob@{BOB} SIP/2.0"));
        assert_eq!(
            values(&there, "Route").join(", "),
            format!("<sip:203.0.113.7;lr>, <sip:next.example;lr>{last}")
        );
    }
    // A strict router is spoken to as one.
    let strict = [("Route", "<sip:203.0.113.7>")];
    let there = proxied_with("", &strict, options.clone(), EDGE).unwrap();
    assert_eq!(there.start_line(), "INVITE sip:203.0.113.7 SIP/2.0");
    assert_eq!(values(&there, "Route"), [format!("<sip:bob@{BOB}>")]);
    for bad in ["nonsense", "<tel:+49123>"] {
        let error = proxied_with("", &[("Route", bad)], options.clone(), EDGE).unwrap_err();
        assert!(matches!(error, CommandError::InvalidHeader(what) if what.contains("Route")));
    }
}

#[test]
fn what_a_caller_wants_kept_private_does_not_reach_targets_outside_the_trusted_network() {
    let more = "P-Asserted-Identity: <sip:alice@a.example>\r\nPrivacy: id\r\nP-Preferred-Identity: <sip:al@a.example>\r\n";
    for (stateless, untrusted, kept) in [(false, true, 0), (true, true, 0), (false, false, 1)] {
        let options = ProxyOptions {
            untrusted,
            stateless,
            ..ProxyOptions::default()
        };
        let there = proxied_with(more, &[], options, BOB).unwrap();
        assert_eq!(values(&there, "P-Asserted-Identity").len(), kept);
        assert_eq!(values(&there, "P-Preferred-Identity").len(), kept);
        assert_eq!(
            values(&there, "Privacy"),
            ["id"],
            "others down the line are to know"
        );
    }
}
