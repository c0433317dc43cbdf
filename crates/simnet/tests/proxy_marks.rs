//! A request is relayed within a call only if the call passed here: its Route has the mark that this proxy put into its Record-Route for
//! that very call. Whoever makes one up, or takes one from another call, is refused, and nothing of his reaches anybody.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod raw;

use engine::command::ProxyOptions;
use engine::config::Unsigned;
use raw::{one, reply, send, values};
use simnet::{Faults, HostId, Packet, World};
use std::time::Duration;

const ALICE: &str = "198.51.100.9:5060";
const BOB: &str = "203.0.113.5:5060";
const VICTIM: &str = "203.0.113.66:5060";

fn world(unsigned: Unsigned) -> (World, HostId) {
    let mut world = World::new(1, Faults::none());
    let mut config = simnet::host::config(HostId(0));
    config.network.unsigned = unsigned;
    let proxy = world.host_with("proxy", config);
    (world, proxy)
}

fn request(method: &str, uri: &str, call: &str, to_tag: &str, more: &str) -> String {
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {ALICE};branch=z9hG4bK{method}{call}\r\nMax-Forwards: 70\r\n\
         From: <sip:a@example.com>;tag=one\r\nTo: <sip:bob@b.example>{to_tag}\r\nCall-ID: {call}\r\nCSeq: 7 {method}\r\n\
         Contact: <sip:a@{ALICE}>\r\n{more}Content-Length: 0\r\n\r\n"
    )
}

/// A call through the proxy, up to its 200; gives the Record-Route value of the proxy.
fn call(world: &mut World, proxy: HostId, call: &str) -> String {
    send(
        world,
        ALICE,
        proxy,
        request("INVITE", "sip:bob@b.example", call, "", ""),
    );
    let seen = world.request(proxy);
    let options = ProxyOptions {
        record_route: true,
        ..ProxyOptions::default()
    };
    let target = format!("sip:bob@{BOB}");
    world.act(proxy, |actions| {
        actions.proxy(seen.transaction, &[&target], options);
    });
    let there = one(world, BOB);
    let contact = format!("Contact: <sip:bob@{BOB}>\r\n");
    send(world, BOB, proxy, reply(&there, "200 OK", "two", &contact));
    let answer = one(world, ALICE);
    assert_eq!(answer.start_line(), "SIP/2.0 200 OK");
    let routes = values(&answer, "Record-Route");
    assert_eq!(routes.len(), 1, "{routes:?}");
    routes[0].clone()
}

fn refused(world: &mut World, proxy: HostId, text: String, status: &str) {
    send(world, ALICE, proxy, text);
    let answer: Packet = one(world, ALICE);
    assert_eq!(answer.start_line(), format!("SIP/2.0 {status}"));
    assert_eq!(world.strays().len(), 0, "nothing went anywhere");
}

#[test]
fn a_request_with_the_mark_of_its_call_is_relayed_and_survives_a_restart() {
    let (mut world, proxy) = world(Unsigned::Refuse);
    let route = call(&mut world, proxy, "first");
    assert!(route.starts_with("<sip:drm"), "{route}");
    for (number, restart) in [(1, false), (2, true)] {
        if restart {
            world.restart(proxy);
        }
        let more = format!("Route: {route}\r\nX-Number: {number}\r\n");
        let uri = format!("sip:bob@{BOB}");
        let method = ["INFO", "BYE"][number - 1];
        send(
            &mut world,
            ALICE,
            proxy,
            request(method, &uri, "first", ";tag=two", &more),
        );
        let there = one(&mut world, BOB);
        assert_eq!(there.start_line(), format!("{method} {uri} SIP/2.0"));
        assert_eq!(values(&there, "Route"), [""; 0]);
        send(&mut world, BOB, proxy, reply(&there, "200 OK", "two", ""));
        assert_eq!(one(&mut world, ALICE).start_line(), "SIP/2.0 200 OK");
    }
    world.rest();
}

#[test]
fn without_it_or_with_that_of_another_call_it_is_refused() {
    let (mut world, proxy) = world(Unsigned::Refuse);
    let route = call(&mut world, proxy, "first");
    let to_victim = format!("sip:x@{VICTIM}");
    let unsigned = "Route: <sip:192.0.2.1:5060;lr>\r\n".to_owned();
    let of_another = format!("Route: {route}\r\n");
    let mut changed = route.clone();
    changed.replace_range(9..10, if &route[9..10] == "A" { "B" } else { "A" });
    let forged = format!("Route: {changed}\r\n");
    for (call, more) in [
        ("second", &unsigned),
        ("second", &of_another),
        ("first", &forged),
    ] {
        for method in ["BYE", "INFO", "MESSAGE"] {
            let text = request(method, &to_victim, call, ";tag=any", more);
            refused(&mut world, proxy, text, "403 Forbidden");
            world.run(Duration::from_secs(40));
        }
    }
    // Nothing answers an ACK, and nothing comes of it.
    let text = request("ACK", &to_victim, "second", ";tag=any", &unsigned);
    send(&mut world, ALICE, proxy, text);
    assert_eq!(world.strays().len(), 0);
    // What a strict router would do is no way round it.
    let more = format!("Route: <{to_victim}>\r\n");
    let text = request("BYE", "sip:192.0.2.1:5060;lr", "second", ";tag=any", &more);
    refused(&mut world, proxy, text, "403 Forbidden");
    world.run(Duration::from_secs(40));
    world.rest();
}

#[test]
fn by_choice_it_gets_no_answer_or_is_relayed_as_ever() {
    let (mut dropping, proxy) = world(Unsigned::Drop);
    let text = |call| {
        let more = "Route: <sip:192.0.2.1:5060;lr>\r\n";
        request("BYE", &format!("sip:bob@{BOB}"), call, ";tag=any", more)
    };
    send(&mut dropping, ALICE, proxy, text("one"));
    dropping.run(Duration::from_secs(40));
    assert_eq!(dropping.strays().len(), 0);
    dropping.rest();
    let (mut relaying, proxy) = world(Unsigned::Relay);
    send(&mut relaying, ALICE, proxy, text("two"));
    let there = one(&mut relaying, BOB);
    send(
        &mut relaying,
        BOB,
        proxy,
        reply(&there, "200 OK", "two", ""),
    );
    assert_eq!(one(&mut relaying, ALICE).start_line(), "SIP/2.0 200 OK");
    relaying.rest();
}

#[test]
fn a_strict_router_before_us_hands_the_mark_back_in_the_request_uri() {
    let (mut world, proxy) = world(Unsigned::Refuse);
    let route = call(&mut world, proxy, "first");
    let uri = route.trim_matches(['<', '>']).to_owned();
    let more = format!("Route: <sip:bob@{BOB}>\r\n");
    send(
        &mut world,
        ALICE,
        proxy,
        request("BYE", &uri, "first", ";tag=two", &more),
    );
    let there = one(&mut world, BOB);
    assert_eq!(there.start_line(), format!("BYE sip:bob@{BOB} SIP/2.0"));
    send(&mut world, BOB, proxy, reply(&there, "200 OK", "two", ""));
    assert_eq!(one(&mut world, ALICE).start_line(), "SIP/2.0 200 OK");
    world.rest();
}

#[test]
fn a_route_that_winds_through_us_again_and_again_is_cut_short() {
    let (mut world, proxy) = world(Unsigned::Refuse);
    let route = call(&mut world, proxy, "first");
    // `alias.example` leads here and we do not know it: as a strict router it stands in the request-URI each other time.
    let resolved = engine::Resolved {
        transport: engine::transport::Transport::Udp,
        address: "192.0.2.1:5060".parse().unwrap(),
    };
    world.name("alias.example", vec![resolved]);
    let pair = format!("{route}, <sip:alias.example>");
    let routes = vec![pair; 20].join(", ");
    let more = format!("Route: {routes}\r\n");
    let text = request(
        "INFO",
        &format!("sip:bob@{BOB}"),
        "first",
        ";tag=two",
        &more,
    );
    send(&mut world, ALICE, proxy, text);
    assert_eq!(
        one(&mut world, ALICE).start_line(),
        "SIP/2.0 482 Loop Detected"
    );
    let passed = world.count(|packet| packet.start_line().starts_with("INFO"));
    assert!(passed <= 6, "{passed} times");
    world.run(Duration::from_secs(40));
    world.rest();
}

#[test]
fn a_registration_behind_a_nat_gets_a_path_that_leads_back_through_it() {
    let (mut world, proxy) = world(Unsigned::Refuse);
    // The phone's Contact is private, and nobody's here.
    let text = "REGISTER sip:b.example SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.4:5060;branch=z9hG4bKr\r\nMax-Forwards: 70\r\n\
         From: <sip:a@b.example>;tag=one\r\nTo: <sip:a@b.example>\r\nCall-ID: r\r\nCSeq: 1 REGISTER\r\n\
         Contact: <sip:a@10.0.0.4:5060>\r\nSupported: path\r\nContent-Length: 0\r\n\r\n";
    send(&mut world, ALICE, proxy, text.to_owned());
    let seen = world.request(proxy);
    let options = ProxyOptions {
        record_route: true,
        ..ProxyOptions::default()
    };
    let registrar = format!("sip:{BOB}");
    world.act(proxy, |actions| {
        actions.proxy(seen.transaction, &[&registrar], options);
    });
    let there = one(&mut world, BOB);
    let path = values(&there, "Path").join(", ");
    assert!(path.contains("<sip:drf") && path.contains(";ob>"), "{path}");
    send(&mut world, BOB, proxy, reply(&there, "200 OK", "two", ""));
    one(&mut world, ALICE);
    world.events(proxy);
    // A call for it, as the registrar sends it: down the flow, whatever the Contact says.
    let text = format!(
        "INVITE sip:a@10.0.0.4:5060 SIP/2.0\r\nVia: SIP/2.0/UDP {BOB};branch=z9hG4bKi\r\nMax-Forwards: 70\r\n\
         From: <sip:bob@b.example>;tag=one\r\nTo: <sip:a@b.example>\r\nCall-ID: i\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:bob@{BOB}>\r\nRoute: {path}\r\nContent-Length: 0\r\n\r\n"
    );
    send(&mut world, BOB, proxy, text);
    let seen = world.request(proxy);
    let options = ProxyOptions {
        record_route: true,
        ..ProxyOptions::default()
    };
    world.act(proxy, |actions| {
        actions.proxy(seen.transaction, &[], options);
    });
    let there = one(&mut world, ALICE);
    assert_eq!(there.start_line(), "INVITE sip:a@10.0.0.4:5060 SIP/2.0");
    // Later requests of its caller come the same way.
    let routes = values(&there, "Record-Route").join(", ");
    let contact = "Contact: <sip:a@10.0.0.4:5060>\r\n";
    send(
        &mut world,
        ALICE,
        proxy,
        reply(&there, "200 OK", "two", contact),
    );
    assert_eq!(one(&mut world, BOB).start_line(), "SIP/2.0 200 OK");
    // Seen from the one who was called the set is as it stands; the caller turns it round (RFC 3261 §12.1.2).
    let turned: Vec<&str> = routes
        .split(", ")
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
        .collect();
    let text = format!(
        "BYE sip:a@10.0.0.4:5060 SIP/2.0\r\nVia: SIP/2.0/UDP {BOB};branch=z9hG4bKb\r\nMax-Forwards: 70\r\n\
         From: <sip:bob@b.example>;tag=one\r\nTo: <sip:a@b.example>;tag=two\r\nCall-ID: i\r\nCSeq: 2 BYE\r\n\
         Route: {}\r\nContent-Length: 0\r\n\r\n",
        turned.join(", ")
    );
    send(&mut world, BOB, proxy, text);
    let bye = one(&mut world, ALICE);
    assert_eq!(bye.start_line(), "BYE sip:a@10.0.0.4:5060 SIP/2.0");
    send(&mut world, ALICE, proxy, reply(&bye, "200 OK", "two", ""));
    assert_eq!(one(&mut world, BOB).start_line(), "SIP/2.0 200 OK");
    world.run(Duration::from_secs(40));
    world.rest();
}

/// A registrar tells the Path to whoever registers (RFC 3327 §5.3). Its flow may give way to the Contact once it is gone; with a
/// request-URI of somebody's choice that would be a way to anywhere.
#[test]
fn the_path_of_a_connection_that_is_gone_leads_nowhere_by_itself() {
    let (mut world, proxy) = world(Unsigned::Refuse);
    let config = simnet::host::config(HostId(0));
    let key = engine::flow::Signer::new(config.network.key.as_ref().unwrap());
    let gone = engine::flow::Flow::Connection(engine::id::ConnectionId(77));
    let to_victim = format!("sip:x@{VICTIM}");
    for is_soft in [true, false] {
        let token = key.flow(gone, is_soft, None);
        for uri in [&*to_victim, "sip:x@browser.invalid"] {
            let more = format!("Route: <sip:{token}@192.0.2.1:5060;lr>\r\n");
            let call = format!("call{is_soft}{}", uri.len());
            let text = request("MESSAGE", uri, &call, ";tag=any", &more);
            let status = if is_soft {
                "403 Forbidden"
            } else {
                "430 Flow Failed"
            };
            refused(&mut world, proxy, text, status);
        }
    }
    world.run(Duration::from_secs(40));
    world.rest();
}
