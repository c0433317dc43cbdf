//! Of two INVITEs in a dialog one waits: crossing ones get 491 at both ends and pass after the back-off of RFC 3261 §14.1, a second
//! one from the same side gets 500, and a BYE ends what is pending.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
use engine::dialog::glare::back_off;
use engine::event::{CommandError, Event};
use engine::id::DialogId;
use simnet::actions::SDP;
use simnet::{Actions, Application, Faults, HostId, Random, World};
use sip::{HeaderName, Method};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

fn called(seed: u64) -> (World, [HostId; 2], [DialogId; 2]) {
    let mut world = World::new(seed, Faults::none());
    let hosts = [world.host("alice"), world.host("bob")];
    let (here, there) = world.call(hosts[0], hosts[1]);
    (world, hosts, [here, there])
}

fn is_pending(error: &CommandError) -> bool {
    matches!(error, CommandError::RequestPending(_))
}

#[test]
fn invites_that_cross_get_491_at_both_ends() {
    let (mut world, hosts, dialogs) = called(1);
    for (host, dialog) in hosts.into_iter().zip(dialogs) {
        world.act(host, |actions| actions.send_in(dialog, Method::Invite, SDP));
    }
    for host in hosts {
        world.sent(host);
        assert_eq!(world.response(host).message.status(), 491);
        world.no_event(host);
    }
    // The exchange is over: both may try again.
    world.act(hosts[1], |actions| {
        actions.send_in(dialogs[1], Method::Invite, SDP)
    });
    world.sent(hosts[1]);
    let invite = world.request(hosts[0]);
    world.act(hosts[0], |actions| {
        actions.respond(invite.transaction, 200, SDP)
    });
    world.sent(hosts[0]);
    assert_eq!(world.response(hosts[1]).message.status(), 200);
    world.act(hosts[1], |actions| actions.ack(dialogs[1]));
    world.sent(hosts[1]);
    world.request(hosts[0]);
    world.hang_up(hosts[0], dialogs[0], hosts[1]);
    world.rest();
}

#[test]
fn a_491_that_is_lost_comes_again_and_the_invite_reaches_nobody_later() {
    let (mut world, hosts, dialogs) = called(2);
    world.lose(1, |packet| packet.answers(491, "INVITE"));
    for (host, dialog) in hosts.into_iter().zip(dialogs) {
        world.act(host, |actions| actions.send_in(dialog, Method::Invite, SDP));
    }
    world.run(Duration::from_secs(5));
    for host in hosts {
        world.sent(host);
        assert_eq!(world.response(host).message.status(), 491);
        world.no_event(host);
    }
    world.hang_up(hosts[0], dialogs[0], hosts[1]);
    world.rest();
}

#[test]
fn while_one_is_pending_the_application_is_told_to_wait() {
    let (mut world, [alice, bob], [here, there]) = called(3);
    world.act(alice, |actions| actions.send_in(here, Method::Invite, SDP));
    world.sent(alice);
    let invite = world.request(bob);
    for (host, dialog) in [(alice, here), (bob, there)] {
        world.act(host, |actions| {
            actions.send_in(dialog, Method::Invite, SDP);
            actions.send_in(dialog, Method::Update, SDP)
        });
        assert!(is_pending(&world.failed(host).error));
        assert!(is_pending(&world.failed(host).error));
    }
    world.act(bob, |actions| actions.respond(invite.transaction, 200, SDP));
    world.sent(bob);
    assert_eq!(world.response(alice).message.status(), 200);
    // Not before the ACK.
    world.act(alice, |actions| actions.send_in(here, Method::Invite, SDP));
    assert!(is_pending(&world.failed(alice).error));
    world.act(alice, |actions| actions.ack(here));
    world.sent(alice);
    world.request(bob);
    world.hang_up(bob, there, alice);
    world.rest();
}

#[test]
fn a_refused_reinvite_leaves_the_call_and_its_offer_is_void() {
    for status in [302, 488, 491, 500] {
        let (mut world, [alice, bob], [here, there]) = called(4);
        world.act(alice, |actions| actions.send_in(here, Method::Invite, SDP));
        world.sent(alice);
        let invite = world.request(bob);
        world.act(bob, |actions| {
            actions.respond(invite.transaction, status, b"")
        });
        world.sent(bob);
        assert_eq!(world.response(alice).message.status(), status);
        // Either side may offer again (RFC 6337 §3.4).
        world.act(bob, |actions| actions.send_in(there, Method::Update, SDP));
        world.sent(bob);
        let update = world.request(alice);
        world.act(alice, |actions| {
            actions.respond(update.transaction, 200, SDP)
        });
        world.sent(alice);
        assert_eq!(world.response(bob).message.status(), 200);
        world.hang_up(alice, here, bob);
        world.rest();
    }
}

/// A BYE by either side while Alice's INVITE is pending.
#[test]
fn a_bye_ends_a_pending_reinvite_whoever_sends_it() {
    for by_caller in [true, false] {
        let (mut world, [alice, bob], [here, there]) = called(5);
        world.act(alice, |actions| actions.send_in(here, Method::Invite, SDP));
        let client = world.sent(alice).transaction;
        let server = world.request(bob).transaction;
        let (from, dialog, to) = if by_caller {
            (alice, here, bob)
        } else {
            (bob, there, alice)
        };
        world.act(from, |actions| actions.bye(dialog));
        world.run(Duration::from_secs(1));
        let bye = world
            .events(to)
            .into_iter()
            .find_map(|event| match event {
                Event::Request(request) if request.message.method() == Method::Bye => Some(request),
                _ => None,
            })
            .unwrap();
        world.act(to, |actions| actions.respond(bye.transaction, 200, b""));
        world.run(Duration::from_secs(1));
        world.act(bob, |actions| actions.respond(server, 200, SDP));
        let finals: Vec<u16> = world
            .events(alice)
            .iter()
            .filter_map(|event| match event {
                Event::Response(response) if response.transaction == client => {
                    Some(response.message.status())
                }
                _ => None,
            })
            .collect();
        assert_eq!(finals, [487], "BYE by the caller: {by_caller}");
        world.rest();
    }
}

#[test]
fn an_invite_of_the_callee_that_overtakes_its_2xx_is_to_come_again() {
    let mut world = World::new(6, Faults::none());
    let [alice, bob] = [world.host("alice"), world.host("bob")];
    world.act(alice, |actions| actions.invite(&bob.uri("bob")));
    world.sent(alice);
    let invite = world.request(bob);
    world.act(bob, |actions| actions.respond(invite.transaction, 180, b""));
    world.sent(bob);
    let here = world.response(alice).dialog.unwrap();
    world.hold(|packet| packet.answers(200, "INVITE"));
    world.act(bob, |actions| actions.respond(invite.transaction, 200, SDP));
    let answer = world.sent(bob).message;
    // Our engine sends none before the ACK (§14.1); others do.
    let value = |name| answer.header(name).unwrap().text().into_owned();
    let (from, to) = (value(HeaderName::To), value(HeaderName::From));
    let (call_id, here_is, there_is) = (value(HeaderName::CallId), alice.address(), bob.address());
    let overtaking = format!(
        "INVITE sip:{here_is} SIP/2.0\r\nVia: SIP/2.0/UDP {there_is};branch=z9hG4bKearly\r\nMax-Forwards: 70\r\n\
         From: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: 1 INVITE\r\nContact: <sip:{there_is}>\r\n\
         Content-Length: 0\r\n\r\n"
    );
    world.inject(there_is, alice, overtaking);
    world.run(Duration::from_millis(100));
    assert!(world.count(|packet| packet.answers(491, "INVITE")) > 0);
    world.release();
    assert_eq!(world.response(alice).dialog, Some(here));
    world.act(alice, |actions| actions.ack(here));
    world.sent(alice);
    world.request(bob);
    world.hang_up(alice, here, bob);
    world.rest();
}

#[test]
fn a_second_invite_of_the_same_side_gets_500_with_retry_after() {
    let (mut world, [alice, bob], [here, there]) = called(7);
    world.act(alice, |actions| actions.send_in(here, Method::Invite, SDP));
    let first = world.sent(alice).message;
    let invite = world.request(bob);
    // As no engine of ours would send it.
    let text = String::from_utf8(first.as_bytes().to_vec()).unwrap();
    let number = first.cseq().unwrap().number;
    let second = text
        .replace("branch=z9hG4bK", "branch=z9hG4bKsecond")
        .replace(&format!("CSeq: {number}"), &format!("CSeq: {}", number + 1));
    world.inject("192.0.2.1:5060".parse().unwrap(), bob, second);
    world.run(Duration::from_millis(100));
    let refusal = world
        .ladder()
        .steps()
        .iter()
        .rev()
        .find(|step| step.packet.answers(500, "INVITE"))
        .map(|step| step.packet.bytes.clone())
        .unwrap();
    let refusal = sip::Message::parse(refusal, &sip::Limits::default()).unwrap();
    let wait: u32 = refusal
        .header(HeaderName::RetryAfter)
        .unwrap()
        .text()
        .parse()
        .unwrap();
    assert!(wait <= 10);
    world.act(bob, |actions| actions.respond(invite.transaction, 200, SDP));
    world.sent(bob);
    world.response(alice);
    world.act(alice, |actions| actions.ack(here));
    world.sent(alice);
    world.request(bob);
    world.hang_up(bob, there, alice);
    world.rest();
}

/// Changes the session a number of times, waiting as RFC 3261 §14.1 says after a 491; answers the other's changes.
struct Changer {
    dialog: DialogId,
    owner: bool,
    random: Random,
    left: usize,
    pending: bool,
    seen: Rc<RefCell<Seen>>,
}

#[derive(Default, Debug)]
struct Seen {
    changed: usize,
    answered: usize,
    glared: usize,
    ended: bool,
    other: Vec<String>,
}

impl Changer {
    fn wait(&mut self, actions: &mut Actions) {
        let random = self.random.below(u64::MAX);
        actions.wake_after(back_off(self.owner, random));
    }
}

impl Application for Changer {
    fn event(&mut self, event: Event, actions: &mut Actions) {
        let seen = Rc::clone(&self.seen);
        let mut seen = seen.borrow_mut();
        match event {
            Event::Request(request) => match request.message.method() {
                Method::Invite => {
                    seen.answered += 1;
                    actions.respond(request.transaction, 200, SDP);
                }
                Method::Bye => {
                    seen.ended = true;
                    actions.respond(request.transaction, 200, b"");
                }
                _ => {}
            },
            Event::Response(response) if response.message.method() == Method::Bye => {
                seen.ended = true;
            }
            Event::Response(response) => {
                self.pending = false;
                match response.message.status() {
                    200..=299 => {
                        seen.changed += 1;
                        self.left -= 1;
                        actions.ack(self.dialog);
                        if self.left > 0 {
                            actions.wake_after(Duration::from_millis(10));
                        }
                    }
                    // 500: it overtook the ACK, or the other one's INVITE waits for its answer.
                    491 | 500 => {
                        seen.glared += 1;
                        self.wait(actions);
                    }
                    status => seen.other.push(status.to_string()),
                }
            }
            // The other one's INVITE is at hand.
            Event::Failed(failed) if is_pending(&failed.error) => {
                self.pending = false;
                self.wait(actions);
            }
            Event::Sent(_) => {}
            other => seen.other.push(format!("{other:?}")),
        }
    }

    fn wake(&mut self, actions: &mut Actions) {
        if self.left > 0 && !self.pending && !self.seen.borrow().ended {
            self.pending = true;
            actions.send_in(self.dialog, Method::Invite, SDP);
        }
    }
}

#[test]
fn both_sides_change_the_session_at_once_over_a_bad_network_and_both_get_through() {
    let mut glared = 0;
    for seed in 0..500 {
        let (mut world, hosts, dialogs) = called(seed);
        world.faults = Faults {
            loss: [0.0, 0.05, 0.15][usize::try_from(seed % 3).unwrap()],
            duplication: 0.1,
            delay: Duration::from_millis(5),
            most_delay: Duration::from_millis(60),
        };
        let mut records = Vec::new();
        for (index, host) in hosts.into_iter().enumerate() {
            let seen = Rc::default();
            records.push(Rc::clone(&seen));
            world.script(
                host,
                Changer {
                    dialog: dialogs[index],
                    owner: index == 0,
                    random: Random::new(seed, 50 + u64::try_from(index).unwrap()),
                    left: 3,
                    pending: false,
                    seen,
                },
            );
        }
        world.run(Duration::from_secs(400));
        for (record, other) in [(&records[0], &records[1]), (&records[1], &records[0])] {
            let seen = record.borrow();
            assert_eq!((seen.changed, &seen.other), (3, &vec![]), "seed {seed}");
            assert_eq!(other.borrow().answered, 3, "seed {seed}");
            glared += seen.glared;
        }
        world.act(hosts[0], |actions| actions.bye(dialogs[0]));
        world.rest();
    }
    assert!(glared > 100, "{glared}");
}

#[test]
fn whose_2xx_has_no_ack_yet_waits_with_an_invite() {
    let mut world = World::new(40, Faults::none());
    let [alice, bob] = [world.host("alice"), world.host("bob")];
    world.act(alice, |actions| actions.invite(&bob.uri("bob")));
    world.sent(alice);
    let invite = world.request(bob);
    world.act(bob, |actions| actions.respond(invite.transaction, 200, SDP));
    let there = world.sent(bob).dialog.unwrap();
    let here = world.response(alice).dialog.unwrap();
    world.act(bob, |actions| actions.send_in(there, Method::Invite, SDP));
    let error = world.failed(bob).error;
    assert!(
        matches!(error, CommandError::RequestPending(what) if what.contains("no ACK")),
        "RFC 3261 §14.1"
    );
    world.act(alice, |actions| actions.ack(here));
    world.sent(alice);
    world.request(bob);
    world.act(bob, |actions| actions.send_in(there, Method::Invite, SDP));
    world.sent(bob);
    let again = world.request(alice);
    world.act(alice, |actions| {
        actions.respond(again.transaction, 200, SDP)
    });
    world.sent(alice);
    world.response(bob);
    world.act(bob, |actions| actions.ack(there));
    world.sent(bob);
    world.request(alice);
    world.hang_up(alice, here, bob);
    world.rest();
}
