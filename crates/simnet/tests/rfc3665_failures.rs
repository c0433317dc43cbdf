//! The sessions of RFC 3665 §3 that do not come about, message by message, through two proxies.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod flows;

use engine::Event;
use engine::event::{Request, Sent};
use flows::{ALICE, BOB, BOB_URI, Flow, Lines, Row, record_route, talk, to};
use simnet::HostId;
use sip::Method;
use std::time::Duration;

/// Alice, two proxies in the path, Bob.
struct Scene {
    flow: Flow,
    alice: HostId,
    first: HostId,
    second: HostId,
    bob: HostId,
}

impl Scene {
    fn new(seed: u64) -> Scene {
        let mut flow = Flow::new(seed);
        let alice = flow.agent("alice");
        let first = flow.proxy("ss1", to(&[], record_route()));
        let second = flow.proxy("ss2", to(&[HostId(3).uri("bob")], record_route()));
        let bob = flow.agent("bob");
        flow.name("biloxi.example.com", &[second]);
        Scene {
            flow,
            alice,
            first,
            second,
            bob,
        }
    }

    fn invite(&mut self) -> Sent {
        let route = format!("<sip:{};lr>", self.first.address().ip());
        let fields = [ALICE, BOB, ("Route", &*route)];
        self.flow
            .ask(self.alice, Method::Invite, BOB_URI, &fields, &talk())
    }

    /// F1 to F5, which begin each of these flows; then these.
    fn ladder(&mut self, rest: &[Row<'_>]) -> Lines {
        let Scene {
            alice,
            first,
            second,
            bob,
            ..
        } = *self;
        let start = [
            ("F1", alice, "INVITE", first),
            ("F2", first, "INVITE", second),
            ("F3", first, "100 INVITE", alice),
            ("F4", second, "INVITE", bob),
            ("F5", second, "100 INVITE", first),
        ];
        let lines = self.flow.ladder(&[&start, rest].concat());
        let hops = lines.at("F4").hops("Record-Route");
        assert_eq!(hops, [second, first]);
        assert_eq!(["F1", "F2", "F4"].map(|it| lines.at(it).vias()), [1, 2, 3]);
        lines
    }

    /// Bob refuses with this, and so each hop does, acknowledged by each; `n` is the number of the first line.
    fn refusal(&self, status: &'static str, labels: [&'static str; 6]) -> [Row<'static>; 6] {
        let Scene {
            alice,
            first,
            second,
            bob,
            ..
        } = *self;
        [
            (labels[0], bob, status, second),
            (labels[1], second, "ACK", bob),
            (labels[2], second, status, first),
            (labels[3], first, "ACK", second),
            (labels[4], first, status, alice),
            (labels[5], alice, "ACK", first),
        ]
    }

    fn rang(&self) -> [Row<'static>; 3] {
        let Scene {
            alice,
            first,
            second,
            bob,
            ..
        } = *self;
        [
            ("F6", bob, "180 INVITE", second),
            ("F7", second, "180 INVITE", first),
            ("F8", first, "180 INVITE", alice),
        ]
    }

    /// What each proxy told its application, and that nobody has a dialog.
    fn over(self, status: u16) {
        for proxy in [self.first, self.second] {
            assert_eq!(self.flow.ends(proxy), [Some(status)]);
        }
        self.flow.finish();
    }
}

fn ringing(scene: &mut Scene) -> (Sent, Request) {
    let sent = scene.invite();
    let invite = scene.flow.hears(scene.bob, "INVITE");
    scene.flow.ring(scene.bob, &invite, scene.alice);
    (sent, invite)
}

#[test]
fn alice_gives_up_and_each_hop_is_cancelled() {
    // §3.8
    let mut scene = Scene::new(11);
    let (sent, _) = ringing(&mut scene);
    let Scene {
        alice,
        first,
        second,
        bob,
        ..
    } = scene;
    scene
        .flow
        .world
        .act(alice, |actions| actions.cancel(sent.transaction));
    scene.flow.world.sent(alice);
    scene.flow.hears(bob, "CANCEL");
    let ended = scene.flow.gets(alice, 487);
    assert_eq!(ended.transaction, sent.transaction);
    let mut rows = scene.rang().to_vec();
    rows.extend([
        ("F9", alice, "CANCEL", first),
        ("F10", first, "200 CANCEL", alice),
        ("F11", first, "CANCEL", second),
        ("F12", second, "200 CANCEL", first),
        ("F13", second, "CANCEL", bob),
        ("F14", bob, "200 CANCEL", second),
    ]);
    let labels = ["F15", "F16", "F17", "F18", "F19", "F20"];
    rows.extend(scene.refusal("487 INVITE", labels));
    let lines = scene.ladder(&rows);
    // Hop by hop, with the branch, URI and number of that hop's INVITE (the rest is checked of every CANCEL).
    for (cancel, invite) in [("F9", "F1"), ("F11", "F2"), ("F13", "F4")] {
        let [cancel, invite] = [cancel, invite].map(|label| lines.at(label));
        assert_eq!(cancel.vias(), 1);
        assert_eq!(cancel.uri(), invite.uri());
        assert_eq!(cancel.number(), invite.number());
        assert_eq!(cancel.tag("To"), "");
    }
    lines.same("Call-ID", &["F1", "F9", "F13", "F15", "F20"]);
    scene.over(487);
}

#[test]
fn bob_is_busy() {
    // §3.9
    let mut scene = Scene::new(12);
    scene.invite();
    let invite = scene.flow.hears(scene.bob, "INVITE");
    let refused = scene.flow.answer(scene.bob, &invite, 486, &[], b"");
    assert_eq!(refused.dialog, None);
    assert_eq!(scene.flow.gets(scene.alice, 486).dialog, None);
    let labels = ["F6", "F7", "F8", "F9", "F10", "F11"];
    let lines = scene.ladder(&scene.refusal("486 INVITE", labels));
    lines.same("To", &["F6", "F7", "F8", "F9", "F10", "F11"]);
    scene.over(486);
}

#[test]
fn bobs_agent_does_not_answer() {
    // §3.10
    let mut scene = Scene::new(13);
    let Scene {
        alice,
        first,
        second,
        bob,
        ..
    } = scene;
    let silent = bob.address();
    scene
        .flow
        .world
        .lose(usize::MAX, move |packet| packet.to == silent);
    scene.invite();
    scene.flow.world.run(Duration::from_millis(32_100));
    let mut heard = scene.flow.world.events(alice);
    assert_eq!(heard.len(), 1);
    let Some(Event::Response(response)) = heard.pop() else {
        panic!("a response")
    };
    assert_eq!(response.message.status(), 408);
    assert!(response.origin.is_some(), "it came from the proxy");
    let lines = scene.ladder(&[
        ("F6", second, "INVITE", bob),
        ("F7", second, "INVITE", bob),
        ("F8", second, "INVITE", bob),
        ("F9", second, "INVITE", bob),
        ("F10", second, "INVITE", bob),
        ("F11", second, "INVITE", bob),
        ("F12", second, "408 INVITE", first),
        ("F13", first, "ACK", second),
        ("F14", first, "408 INVITE", alice),
        ("F15", alice, "ACK", first),
    ]);
    lines.same("Via", &["F4", "F6", "F11"]);
    assert_ne!(lines.at("F12").tag("To"), "");
    lines.same("To", &["F12", "F13", "F14", "F15"]);
    scene.over(408);
}

#[test]
fn bob_rings_and_is_not_available() {
    // §3.11
    let mut scene = Scene::new(14);
    let (_, invite) = ringing(&mut scene);
    let early = scene.flow.dialogs([scene.alice, scene.bob]);
    assert_eq!(early, [1, 1], "early dialogs");
    scene.flow.answer(scene.bob, &invite, 480, &[], b"");
    scene.flow.gets(scene.alice, 480);
    assert_eq!(scene.flow.dialogs([scene.alice, scene.bob]), [0, 0]);
    let mut rows = scene.rang().to_vec();
    let labels = ["F9", "F10", "F11", "F12", "F13", "F14"];
    rows.extend(scene.refusal("480 INVITE", labels));
    let lines = scene.ladder(&rows);
    lines.same("To", &["F6", "F8", "F9", "F13", "F14"]);
    scene.over(480);
}
