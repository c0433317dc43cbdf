//! The registrations of RFC 3665 §2, message by message. Bob's agent and the registrar are played by hand; the credentials are fixed text.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod flows;

use engine::event::Sent;
use flows::{Fields, Flow};
use simnet::HostId;
use sip::Method;

const URI: &str = "sip:ss2.biloxi.example.com";
const REALM: &str = "atlanta.example.com";
const BOTH: [(&str, &str); 2] = [
    ("From", "Bob <sip:bob@biloxi.example.com>"),
    ("To", "Bob <sip:bob@biloxi.example.com>"),
];
const DESK: &str = "<sips:bob@client.biloxi.example.com>";
const MAIL: &str = "<mailto:bob@biloxi.example.com>";

fn flow(seed: u64) -> (Flow, HostId, HostId) {
    let mut flow = Flow::new(seed);
    let [bob, server] = [flow.agent("bob"), flow.agent("registrar")];
    flow.name("ss2.biloxi.example.com", &[server]);
    (flow, bob, server)
}

/// A REGISTER that is answered with 401 (F1, F2).
fn challenged(flow: &mut Flow, bob: HostId, server: HostId, fields: Fields<'_>) -> Sent {
    let fields = [&BOTH, fields].concat();
    let first = flow.ask(bob, Method::Register, URI, &fields, b"");
    let got = flow.hears(server, "REGISTER");
    assert_eq!(got.dialog, None);
    let challenge = flows::challenge(REALM);
    flow.answer(server, &got, 401, &[("WWW-Authenticate", &challenge)], b"");
    let refused = flow.gets(bob, 401);
    assert_eq!(
        refused
            .message
            .named("WWW-Authenticate")
            .next()
            .unwrap()
            .text(),
        challenge
    );
    first
}

/// With credentials, and what is to be registered once more.
fn authorized(flow: &mut Flow, bob: HostId, first: &Sent, fields: Fields<'_>) {
    let credentials = flows::credentials("bob", REALM, URI);
    let mut more = vec![("Authorization", &*credentials)];
    more.extend(
        fields
            .iter()
            .copied()
            .filter(|(name, _)| *name != "Contact"),
    );
    flow.again(bob, first, &more);
}

#[test]
fn a_new_registration_is_challenged_and_accepted() {
    // §2.1, and §2.2 with another Contact.
    for (seed, fields, bindings) in [
        (
            1,
            [("Contact", DESK), ("Expires", "3600")].as_slice(),
            vec![format!("{DESK};expires=3600")],
        ),
        (
            2,
            [("Contact", MAIL), ("Expires", "7200")].as_slice(),
            vec![
                format!("{DESK};expires=3600"),
                format!("{MAIL};expires=4294967295"),
            ],
        ),
    ] {
        let (mut flow, bob, server) = flow(seed);
        let first = challenged(&mut flow, bob, server, fields);
        authorized(&mut flow, bob, &first, fields);
        let got = flow.hears(server, "REGISTER");
        let listed: Vec<_> = bindings.iter().map(|it| ("Contact", &**it)).collect();
        flow.answer(server, &got, 200, &listed, b"");
        let heard = flow.gets(bob, 200);
        assert_eq!(heard.dialog, None);
        let lines = flow.ladder(&[
            ("F1", bob, "REGISTER", server),
            ("F2", server, "401 REGISTER", bob),
            ("F3", bob, "REGISTER", server),
            ("F4", server, "200 REGISTER", bob),
        ]);
        lines.same("Call-ID", &["F1", "F2", "F3", "F4"]);
        lines.same("From", &["F1", "F2", "F3", "F4"]);
        assert_eq!(lines.at("F1").uri(), URI);
        assert_eq!(lines.at("F1").tag("To"), "");
        assert_eq!(lines.at("F3").tag("To"), "", "no tag of the 401");
        assert_eq!(lines.at("F3").number(), lines.at("F1").number() + 1);
        assert_eq!(lines.at("F1").field("Authorization"), "");
        assert!(lines.at("F3").field("Authorization").contains(REALM));
        assert_eq!(lines.at("F3").fields("Contact"), [fields[0].1]);
        assert_eq!(lines.at("F3").field("Expires"), fields[1].1);
        assert_eq!(lines.at("F4").fields("Contact"), bindings);
        assert_eq!(flow.dialogs([bob, server]), [0, 0]);
        flow.finish();
    }
}

#[test]
fn a_request_for_the_contacts_names_none_of_its_own() {
    // §2.3
    let (mut flow, bob, server) = flow(3);
    let credentials = flows::credentials("bob", REALM, URI);
    let fields = [BOTH[0], BOTH[1], ("Authorization", &*credentials)];
    flow.ask(bob, Method::Register, URI, &fields, b"");
    let got = flow.hears(server, "REGISTER");
    let listed = [("Contact", DESK), ("Contact", MAIL)];
    flow.answer(server, &got, 200, &listed, b"");
    flow.gets(bob, 200);
    let lines = flow.ladder(&[
        ("F1", bob, "REGISTER", server),
        ("F2", server, "200 REGISTER", bob),
    ]);
    assert_eq!(lines.at("F1").fields("Contact"), [""; 0], "a query");
    assert_eq!(lines.at("F1").field("Expires"), "");
    assert_eq!(lines.at("F2").fields("Contact"), [DESK, MAIL]);
    flow.finish();
}

#[test]
fn a_cancelled_registration_leaves_no_contact() {
    // §2.4
    let (mut flow, bob, server) = flow(4);
    let credentials = flows::credentials("bob", REALM, URI);
    let fields = [
        BOTH[0],
        BOTH[1],
        ("Expires", "0"),
        ("Contact", "*"),
        ("Authorization", &*credentials),
    ];
    flow.ask(bob, Method::Register, URI, &fields, b"");
    let got = flow.hears(server, "REGISTER");
    flow.answer(server, &got, 200, &[], b"");
    flow.gets(bob, 200);
    let lines = flow.ladder(&[
        ("F1", bob, "REGISTER", server),
        ("F2", server, "200 REGISTER", bob),
    ]);
    assert_eq!(lines.at("F1").fields("Contact"), ["*"]);
    assert_eq!(lines.at("F1").field("Expires"), "0");
    assert_eq!(lines.at("F2").fields("Contact"), [""; 0]);
    flow.finish();
}

#[test]
fn wrong_credentials_are_challenged_again() {
    // §2.5
    let (mut flow, bob, server) = flow(5);
    let fields = [("Contact", DESK)];
    let first = challenged(&mut flow, bob, server, &fields);
    authorized(&mut flow, bob, &first, &fields);
    let got = flow.hears(server, "REGISTER");
    let challenge = flows::challenge(REALM);
    flow.answer(server, &got, 401, &[("WWW-Authenticate", &challenge)], b"");
    flow.gets(bob, 401);
    let lines = flow.ladder(&[
        ("F1", bob, "REGISTER", server),
        ("F2", server, "401 REGISTER", bob),
        ("F3", bob, "REGISTER", server),
        ("F4", server, "401 REGISTER", bob),
    ]);
    lines.same("Call-ID", &["F1", "F2", "F3", "F4"]);
    assert_eq!(lines.at("F4").field("WWW-Authenticate"), challenge);
    assert_eq!(lines.at("F4").fields("Contact"), [""; 0]);
    flow.finish();
}
