//! Each fork that rings is a dialog of its own; each that answers becomes a call that the application is told of; the others end
//! 64*T1 after the first 2xx (RFC 3261 §13.2.2.4). An early dialog is ended by its caller's BYE, never by its callee's.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
use engine::event::CommandError;
use engine::id::DialogRole;
use simnet::actions::SDP;
use simnet::{Faults, HostId, World};
use sip::Method;
use std::net::SocketAddr;
use std::time::Duration;

/// A peer that a test plays by hand: it answers Alice's INVITE as several forks.
struct Forks {
    world: World,
    alice: HostId,
    invite: String,
}

const PEER: &str = "198.51.100.7:5060";

impl Forks {
    fn new(seed: u64) -> Forks {
        let mut world = World::new(seed, Faults::none());
        let alice = world.host("alice");
        let headers = [("Supported", "100rel")];
        let uri = format!("sip:bob@{PEER}");
        world.act(alice, |actions| {
            actions.send(Method::Invite, &uri, &headers, SDP)
        });
        let invite = world.sent(alice).message;
        let invite = String::from_utf8(invite.as_bytes().to_vec()).unwrap();
        Forks {
            world,
            alice,
            invite,
        }
    }

    fn field(text: &str, name: &str) -> String {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.to_owned()
    }

    /// A response of the fork with this tag to a request.
    fn respond_to(&mut self, request: &str, status: u16, tag: &str, more: &str, body: &[u8]) {
        let to = Forks::field(request, "To:");
        let to = if to.contains("tag=") {
            to
        } else {
            format!("{to};tag={tag}")
        };
        let kind = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        let text = format!(
            "SIP/2.0 {status} Reason\r\n{}\r\n{}\r\n{to}\r\n{}\r\n{}\r\nContact: <sip:{tag}@{PEER}>\r\n{more}{kind}Content-Length: {}\r\n\r\n{}",
            Forks::field(request, "Via:"),
            Forks::field(request, "From:"),
            Forks::field(request, "Call-ID:"),
            Forks::field(request, "CSeq:"),
            body.len(),
            String::from_utf8_lossy(body),
        );
        let peer: SocketAddr = PEER.parse().unwrap();
        self.world.inject(peer, self.alice, text);
        self.world.run(Duration::from_millis(5));
    }

    fn respond(&mut self, status: u16, tag: &str, more: &str, body: &[u8]) {
        let invite = self.invite.clone();
        self.respond_to(&invite, status, tag, more, body);
    }

    /// What came to the peer of this method since the last call.
    fn received(&mut self, method: &str) -> Vec<String> {
        self.world.run(Duration::from_millis(5));
        let strays = self.world.strays().into_iter();
        strays
            .filter(|packet| packet.is(method))
            .map(|packet| String::from_utf8(packet.bytes.to_vec()).unwrap())
            .collect()
    }
}

#[test]
fn forks_ring_answer_and_end_each_for_itself() {
    let mut forks = Forks::new(1);
    let mut early = Vec::new();
    for (tag, route) in [("one", "a"), ("two", "b"), ("three", "c")] {
        let record = format!("Record-Route: <sip:{route}.example;lr>\r\n");
        forks.respond(180, tag, &record, b"");
        early.push(forks.world.response(forks.alice).dialog.unwrap());
    }
    assert_eq!(forks.world.counts(forks.alice).dialogs, 3);
    // The second answers; the first one answers after it. The route set is the 2xx's.
    for (index, tag) in [(1, "two"), (0, "one")] {
        forks.respond(200, tag, "Record-Route: <sip:198.51.100.7;lr>\r\n", SDP);
        let response = forks.world.response(forks.alice);
        assert_eq!(
            (response.message.status(), response.dialog),
            (200, Some(early[index])),
            "a second 2xx is a call, and told"
        );
        let alice = forks.alice;
        let dialog = early[index];
        forks.world.act(alice, |actions| actions.ack(dialog));
        let ack = forks.world.sent(alice).message;
        let ack = String::from_utf8(ack.as_bytes().to_vec()).unwrap();
        assert!(ack.starts_with(&format!("ACK sip:{tag}@{PEER}")), "{ack}");
        assert!(ack.contains("Route: <sip:198.51.100.7;lr>"), "{ack}");
        assert!(!ack.contains(".example"), "{ack}");
        // Each call has a CSeq of its own.
        forks
            .world
            .act(alice, |actions| actions.send_in(dialog, Method::Info, b""));
        let info = forks.world.sent(alice).message;
        let invite: u32 = Forks::field(&forks.invite, "CSeq:")
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        assert_eq!(info.cseq().unwrap().number, invite + 1);
        let info = String::from_utf8(info.as_bytes().to_vec()).unwrap();
        forks.respond_to(&info, 200, tag, "", b"");
        assert_eq!(forks.world.response(alice).dialog, Some(dialog));
    }
    forks.world.run(Duration::from_secs(31));
    assert_eq!(
        forks.world.counts(forks.alice).dialogs,
        3,
        "the third may still answer"
    );
    forks.world.run(Duration::from_secs(2));
    assert_eq!(forks.world.counts(forks.alice).dialogs, 2, "64*T1 are over");
    forks.respond(200, "three", "", SDP);
    forks.world.no_event(forks.alice);
    for dialog in [early[0], early[1]] {
        let alice = forks.alice;
        forks.received("BYE");
        forks.world.act(alice, |actions| actions.bye(dialog));
        forks.world.sent(alice);
        let bye = forks.received("BYE").remove(0);
        forks.respond_to(&bye, 200, "x", "", b"");
        forks.world.response(alice);
    }
    forks.world.rest();
}

#[test]
fn a_repeated_2xx_of_each_fork_gets_that_fork_s_ack_again() {
    let mut forks = Forks::new(2);
    for tag in ["one", "two"] {
        forks.respond(200, tag, "", SDP);
        let dialog = forks.world.response(forks.alice).dialog.unwrap();
        let alice = forks.alice;
        forks.world.act(alice, |actions| actions.ack(dialog));
        forks.world.sent(alice);
    }
    forks.received("ACK");
    for tag in ["two", "one"] {
        forks.respond(200, tag, "", SDP);
        let acks = forks.received("ACK");
        assert_eq!(acks.len(), 1);
        assert!(Forks::field(&acks[0], "To:").ends_with(&format!("tag={tag}")));
        forks.world.no_event(forks.alice);
    }
    forks.world.run(Duration::from_secs(100_000));
}

#[test]
fn a_refusal_ends_every_early_dialog() {
    let mut forks = Forks::new(3);
    for tag in ["one", "two"] {
        forks.respond(180, tag, "", b"");
        forks.world.response(forks.alice);
    }
    forks.respond(486, "one", "", b"");
    assert_eq!(forks.world.response(forks.alice).message.status(), 486);
    assert_eq!(forks.world.counts(forks.alice).dialogs, 0);
    forks.world.rest();
}

#[test]
fn the_caller_ends_one_early_dialog_by_bye_and_a_2xx_that_crosses_it_is_acknowledged() {
    let mut forks = Forks::new(4);
    for tag in ["one", "two"] {
        forks.respond(180, tag, "", b"");
    }
    let one = forks.world.response(forks.alice).dialog.unwrap();
    let two = forks.world.response(forks.alice).dialog.unwrap();
    let alice = forks.alice;
    forks.world.act(alice, |actions| actions.bye(one));
    forks.world.sent(alice);
    let bye = forks.received("BYE").remove(0);
    assert!(Forks::field(&bye, "To:").ends_with("tag=one"));
    forks.respond_to(&bye, 200, "one", "", b"");
    assert_eq!(forks.world.response(alice).message.method(), Method::Bye);
    forks
        .world
        .act(alice, |actions| actions.send_in(one, Method::Info, b""));
    assert_eq!(forks.world.failed(alice).error, CommandError::UnknownDialog);
    forks.respond(200, "one", "", SDP);
    assert_eq!(forks.received("ACK").len(), 1, "nobody rings on alone");
    let crossed = forks.world.response(alice);
    assert_eq!((crossed.message.status(), crossed.dialog), (200, Some(one)));
    // The other one is what it was.
    forks.respond(200, "two", "", SDP);
    assert_eq!(forks.world.response(alice).dialog, Some(two));
    forks.world.act(alice, |actions| actions.ack(two));
    forks.world.sent(alice);
    forks.received("BYE");
    forks.world.act(alice, |actions| actions.bye(two));
    forks.world.sent(alice);
    let bye = forks.received("BYE").remove(0);
    forks.respond_to(&bye, 200, "two", "", b"");
    forks.world.response(alice);
    forks.world.rest();
}

#[test]
fn the_callee_may_not_send_a_bye_or_an_invite_in_an_early_dialog() {
    let mut world = World::new(5, Faults::none());
    let [alice, bob] = [world.host("alice"), world.host("bob")];
    world.act(alice, |actions| actions.invite(&bob.uri("bob")));
    world.sent(alice);
    let invite = world.request(bob).transaction;
    world.act(bob, |actions| actions.respond(invite, 180, b""));
    let there = world.sent(bob).dialog.unwrap();
    assert_eq!(there.role(), DialogRole::Uas);
    let here = world.response(alice).dialog.unwrap();
    world.act(bob, |actions| actions.bye(there));
    let error = world.failed(bob).error;
    assert!(
        matches!(&error, CommandError::InvalidMethod(what) if what.starts_with("BYE: ")),
        "{error:?}"
    );
    for (host, dialog) in [(alice, here), (bob, there)] {
        world.act(host, |actions| actions.send_in(dialog, Method::Invite, SDP));
        let error = world.failed(host).error;
        assert!(
            matches!(error, CommandError::RequestPending(what) if what.contains("early")),
            "{error:?}"
        );
    }
    // Other requests pass, either way.
    for (from, dialog, to) in [(alice, here, bob), (bob, there, alice)] {
        world.act(from, |actions| actions.send_in(dialog, Method::Info, b""));
        world.sent(from);
        let info = world.request(to);
        world.act(to, |actions| actions.respond(info.transaction, 200, b""));
        world.sent(to);
        assert_eq!(world.response(from).message.status(), 200);
    }
    // The caller may: the INVITE is answered 487 (RFC 3261 §15.1.2).
    world.act(alice, |actions| actions.bye(here));
    world.sent(alice);
    let bye = world.request(bob);
    assert_eq!(bye.message.method(), Method::Bye);
    world.act(bob, |actions| actions.respond(bye.transaction, 200, b""));
    world.sent(bob);
    let mut finals = vec![
        world.response(alice).message.status(),
        world.response(alice).message.status(),
    ];
    finals.sort_unstable();
    assert_eq!(finals, [200, 487]);
    world.rest();
}
