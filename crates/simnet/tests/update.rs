//! UPDATE (RFC 3311) changes a session and a target before and after the answer, from either side; two that cross are refused at
//! both ends, and both get through in the end.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
use engine::Event;
use engine::command::{Command, DialogReference, Respond, SendRequest};
use engine::dialog::glare::back_off;
use engine::event::CommandError;
use engine::id::{DialogId, TransactionId};
use simnet::actions::{SDP, draft};
use simnet::{Actions, Application, Faults, HostId, Random, World};
use sip::{HeaderName, Message, Method};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// A call whose first exchange is over while it rings: the dialogs at Alice's and Bob's, and Bob's INVITE.
fn ringing(seed: u64) -> (World, [HostId; 2], [DialogId; 2], TransactionId) {
    let (world, hosts, dialogs, invite, _) = ringing_by(seed);
    (world, hosts, dialogs, invite)
}

/// With Alice's own transaction at the end.
fn ringing_by(
    seed: u64,
) -> (
    World,
    [HostId; 2],
    [DialogId; 2],
    TransactionId,
    TransactionId,
) {
    let mut world = World::new(seed, Faults::none());
    let [alice, bob] = [world.host("alice"), world.host("bob")];
    let supported = [("Supported", "100rel")];
    world.act(alice, |actions| {
        actions.send(Method::Invite, &bob.uri("bob"), &supported, SDP)
    });
    let client = world.sent(alice).transaction;
    let invite = world.request(bob).transaction;
    let draft = draft(&[("Require", "100rel")], SDP);
    world.act(bob, |actions| {
        actions.command(|id| {
            Command::Respond(Respond {
                id,
                transaction: invite,
                status: 183,
                reason: String::new(),
                draft,
            })
        })
    });
    let there = world.sent(bob).dialog.unwrap();
    let here = world.response(alice).dialog.unwrap();
    world.act(alice, |actions| actions.send_in(here, Method::Prack, b""));
    world.sent(alice);
    let prack = world.request(bob);
    world.act(bob, |actions| actions.respond(prack.transaction, 200, b""));
    world.sent(bob);
    world.response(alice);
    (world, [alice, bob], [here, there], invite, client)
}

fn finish(mut world: World, hosts: [HostId; 2], dialogs: [DialogId; 2], invite: TransactionId) {
    world.act(hosts[1], |actions| actions.respond(invite, 200, b""));
    world.sent(hosts[1]);
    assert_eq!(world.response(hosts[0]).message.status(), 200);
    world.act(hosts[0], |actions| actions.ack(dialogs[0]));
    world.sent(hosts[0]);
    assert_eq!(world.request(hosts[1]).message.method(), Method::Ack);
    world.hang_up(hosts[0], dialogs[0], hosts[1]);
    world.rest();
}

#[test]
fn an_early_one_passes_either_way_and_says_which_invite_it_precedes() {
    let (mut world, hosts, dialogs, invite, client) = ringing_by(1);
    for (from, to) in [(0, 1), (1, 0)] {
        world.act(hosts[from], |actions| {
            actions.send_in(dialogs[from], Method::Update, SDP)
        });
        world.sent(hosts[from]);
        let update = world.request(hosts[to]);
        assert_eq!(update.dialog, Some(dialogs[to]));
        let named = update.invite.unwrap();
        assert_eq!(named, if to == 1 { invite } else { client });
        world.act(hosts[to], |actions| {
            actions.respond(update.transaction, 200, SDP)
        });
        world.sent(hosts[to]);
        let answer = world.response(hosts[from]);
        assert_eq!(answer.message.status(), 200);
        assert!(
            answer.message.header(HeaderName::Contact).is_some(),
            "it may move the target"
        );
    }
    finish(world, hosts, dialogs, invite);
}

#[test]
fn an_answer_that_names_the_invite_and_the_cseq_of_the_update_goes_to_the_update() {
    let (mut world, hosts, dialogs, invite) = ringing(2);
    for (from, to) in [(0, 1), (1, 0)] {
        world.act(hosts[from], |actions| {
            actions.send_in(dialogs[from], Method::Update, SDP)
        });
        world.sent(hosts[from]);
        let update = world.request(hosts[to]);
        let number = update.message.cseq().unwrap().number;
        let respond = |number: u32| {
            let draft = draft(&[("CSeq", &format!("{number} UPDATE"))], SDP);
            let transaction = update.invite.unwrap();
            move |id| {
                Command::Respond(Respond {
                    id,
                    transaction,
                    status: 200,
                    reason: String::new(),
                    draft,
                })
            }
        };
        world.act(hosts[to], |actions| actions.command(respond(number)));
        let sent = world.sent(hosts[to]);
        assert_eq!(sent.message.method(), Method::Update);
        assert_eq!(
            (Some(sent.transaction), sent.dialog),
            (update.invite, None),
            "told as it was asked"
        );
        assert_eq!(world.response(hosts[from]).message.method(), Method::Update);
    }
    assert_eq!(world.count(|packet| packet.answers(200, "INVITE")), 0);
    finish(world, hosts, dialogs, invite);
}

#[test]
fn two_that_cross_get_491_at_both_ends() {
    let (mut world, hosts, dialogs, invite) = ringing(3);
    for index in [0, 1] {
        world.act(hosts[index], |actions| {
            actions.send_in(dialogs[index], Method::Update, SDP)
        });
    }
    for host in hosts {
        world.sent(host);
        assert_eq!(world.response(host).message.status(), 491);
        world.no_event(host);
    }
    finish(world, hosts, dialogs, invite);
}

#[test]
fn a_second_one_gets_500_with_retry_after_with_an_offer_and_without() {
    let (mut world, hosts, dialogs, invite) = ringing(4);
    world.act(hosts[0], |actions| {
        actions.send_in(dialogs[0], Method::Update, SDP)
    });
    let first = world.sent(hosts[0]).message;
    let update = world.request(hosts[1]);
    // As no engine of ours would send it.
    let number = first.cseq().unwrap().number;
    let second = String::from_utf8(first.as_bytes().to_vec())
        .unwrap()
        .replace("branch=z9hG4bK", "branch=z9hG4bKsecond")
        .replace(&format!("CSeq: {number}"), &format!("CSeq: {}", number + 1));
    world.inject(hosts[0].address(), hosts[1], second.clone());
    world.run(Duration::from_millis(50));
    world.no_event(hosts[1]);
    let steps = world.ladder().steps().iter();
    let refusal = steps
        .filter(|step| step.packet.answers(500, "UPDATE"))
        .map(|step| step.packet.bytes.clone())
        .next_back()
        .unwrap();
    let refusal = Message::parse(refusal, &sip::Limits::default()).unwrap();
    let wait = refusal.header(HeaderName::RetryAfter).unwrap();
    assert!(wait.text().parse::<u32>().unwrap() <= 10);
    // The engines' own counts go on behind what was made by hand.
    let head = second.split("\r\n\r\n").next().unwrap();
    let refresh: String = head
        .lines()
        .filter(|line| !line.starts_with("Content-"))
        .map(|line| format!("{line}\r\n"))
        .collect::<String>()
        .replace("z9hG4bKsecond", "z9hG4bKthird")
        .replace(
            &format!("CSeq: {}", number + 1),
            &format!("CSeq: {}", number + 2),
        );
    world.inject(
        hosts[0].address(),
        hosts[1],
        format!("{refresh}Content-Length: 0\r\n\r\n"),
    );
    world.no_event(hosts[1]);
    assert_eq!(
        world.count(|packet| packet.answers(500, "UPDATE")),
        2,
        "§5.2: with an offer or without"
    );
    world.act(hosts[1], |actions| {
        actions.respond(update.transaction, 200, SDP)
    });
    world.sent(hosts[1]);
    assert_eq!(world.response(hosts[0]).message.status(), 200);
    world.act(hosts[1], |actions| actions.respond(invite, 486, b""));
    world.sent(hosts[1]);
    assert_eq!(world.response(hosts[0]).message.status(), 486);
    world.rest();
}

#[test]
fn a_reinvite_meets_an_update() {
    let (mut world, [alice, bob], [here, there], invite) = ringing(5);
    world.act(bob, |actions| actions.respond(invite, 200, b""));
    world.sent(bob);
    world.response(alice);
    world.act(alice, |actions| actions.ack(here));
    world.sent(alice);
    world.request(bob);
    // They cross.
    world.act(alice, |actions| actions.send_in(here, Method::Invite, SDP));
    world.act(bob, |actions| actions.send_in(there, Method::Update, SDP));
    for host in [alice, bob] {
        world.sent(host);
        assert_eq!(world.response(host).message.status(), 491);
        world.no_event(host);
    }
    // One after the other they pass.
    world.act(bob, |actions| actions.send_in(there, Method::Update, SDP));
    world.sent(bob);
    let update = world.request(alice);
    world.act(alice, |actions| {
        actions.send_in(here, Method::Invite, SDP);
        actions.respond(update.transaction, 200, SDP)
    });
    let error = world.failed(alice).error;
    assert!(
        matches!(error, CommandError::RequestPending(what) if what.contains("answer it first"))
    );
    world.sent(alice);
    assert_eq!(world.response(bob).message.status(), 200);
    world.hang_up(alice, here, bob);
    world.rest();
}

#[test]
fn an_update_that_is_dropped_or_never_answered_leaves_nothing_open() {
    let (mut world, [alice, bob], [here, there], invite) = ringing(6);
    world.act(alice, |actions| actions.send_in(here, Method::Update, SDP));
    world.sent(alice);
    let update = world.request(bob);
    world.act(bob, |actions| {
        actions.command(|_| Command::Drop(update.transaction))
    });
    world.run(Duration::from_secs(33));
    assert_eq!(world.response(alice).message.status(), 408);
    world.act(bob, |actions| actions.send_in(there, Method::Update, SDP));
    world.sent(bob);
    let update = world.request(alice);
    world.act(alice, |actions| {
        actions.respond(update.transaction, 200, SDP)
    });
    world.sent(alice);
    assert_eq!(world.response(bob).message.status(), 200);
    finish(world, [alice, bob], [here, there], invite);
}

#[test]
fn it_moves_the_target_and_so_does_its_2xx_but_an_info_does_not() {
    let mut world = World::new(7, Faults::none());
    let [alice, bob] = [world.host("alice"), world.host("bob")];
    let (here, there) = world.call(alice, bob);
    let moved = |method: Method, user: &str| {
        let contact = format!("<sip:{user}@192.0.2.1>");
        let draft = draft(&[("Contact", &contact)], b"");
        move |id| {
            Command::Send(SendRequest {
                id,
                method,
                uri: String::new(),
                dialog: Some(DialogReference::Id(here)),
                next_hop: None,
                draft,
            })
        }
    };
    for (method, user, expected) in [
        (Method::Info, "info", "sip:192.0.2.1:5060"),
        (Method::Update, "update", "sip:update@192.0.2.1"),
        (Method::Message, "message", "sip:update@192.0.2.1"),
    ] {
        world.act(alice, |actions| actions.command(moved(method, user)));
        world.sent(alice);
        let request = world.request(bob);
        let contact = draft(&[("Contact", "<sip:elsewhere@192.0.2.2>")], b"");
        world.act(bob, |actions| {
            actions.command(|id| {
                Command::Respond(Respond {
                    id,
                    transaction: request.transaction,
                    status: 200,
                    reason: String::new(),
                    draft: contact,
                })
            })
        });
        world.sent(bob);
        world.response(alice);
        world.act(bob, |actions| actions.send_in(there, Method::Info, b""));
        assert_eq!(world.sent(bob).message.request_uri(), expected);
        let info = world.request(alice);
        world.act(alice, |actions| actions.respond(info.transaction, 200, b""));
        world.sent(alice);
        world.response(bob);
    }
    world.act(alice, |actions| actions.bye(here));
    let bye = world.sent(alice).message;
    assert_eq!(bye.request_uri(), "sip:elsewhere@192.0.2.2");
    let bye = world.request(bob);
    world.act(bob, |actions| actions.respond(bye.transaction, 200, b""));
    world.rest();
}

/// Changes the session by UPDATE so often, and waits as after a 491 in between; answers the other's.
struct Changer {
    dialog: DialogId,
    owner: bool,
    random: Random,
    left: usize,
    pending: bool,
    seen: Rc<RefCell<Vec<String>>>,
}

impl Changer {
    fn wait(&mut self, actions: &mut Actions) {
        actions.wake_after(back_off(self.owner, self.random.below(u64::MAX)));
    }
}

impl Application for Changer {
    fn event(&mut self, event: Event, actions: &mut Actions) {
        match event {
            Event::Request(request) => {
                let body = if request.message.method() == Method::Update {
                    self.seen.borrow_mut().push("answered".to_owned());
                    SDP
                } else {
                    b""
                };
                actions.respond(request.transaction, 200, body);
            }
            Event::Response(response) if response.message.method() == Method::Update => {
                self.pending = false;
                match response.message.status() {
                    200 => {
                        self.left -= 1;
                        self.seen.borrow_mut().push("changed".to_owned());
                        actions.wake_after(Duration::from_millis(5));
                    }
                    491 | 500 => self.wait(actions),
                    status => self.seen.borrow_mut().push(status.to_string()),
                }
            }
            Event::Response(_) | Event::Sent(_) => {}
            Event::Failed(failed) if matches!(failed.error, CommandError::RequestPending(_)) => {
                self.pending = false;
                self.wait(actions);
            }
            other => self.seen.borrow_mut().push(format!("{other:?}")),
        }
    }

    fn wake(&mut self, actions: &mut Actions) {
        if self.left > 0 && !self.pending {
            self.pending = true;
            actions.send_in(self.dialog, Method::Update, SDP);
        }
    }
}

#[test]
fn over_a_bad_network_all_get_through_early_and_late() {
    for seed in 0..500 {
        let (mut world, hosts, dialogs, invite) = ringing(seed);
        world.faults = Faults {
            loss: [0.0, 0.05, 0.1][usize::try_from(seed % 3).unwrap()],
            duplication: 0.1,
            delay: Duration::from_millis(2),
            most_delay: Duration::from_millis(80),
        };
        let records: Vec<Rc<RefCell<Vec<String>>>> = vec![Rc::default(), Rc::default()];
        for index in [0, 1] {
            world.script(
                hosts[index],
                Changer {
                    dialog: dialogs[index],
                    owner: index == 0,
                    random: Random::new(seed, 60 + u64::try_from(index).unwrap()),
                    left: 2,
                    pending: false,
                    seen: Rc::clone(&records[index]),
                },
            );
        }
        world.run(Duration::from_secs(200));
        for record in &records {
            let mut seen = record.borrow().clone();
            seen.sort_unstable();
            assert_eq!(
                seen,
                ["answered", "answered", "changed", "changed"],
                "seed {seed}"
            );
        }
        world.act(hosts[1], |actions| actions.respond(invite, 486, b""));
        world.rest();
    }
}

#[test]
fn a_second_one_without_an_offer_is_refused_while_the_first_is_unanswered() {
    let (mut world, [alice, bob], [here, there], invite) = ringing(8);
    world.act(bob, |actions| actions.respond(invite, 200, b""));
    world.sent(bob);
    world.response(alice);
    world.act(alice, |actions| actions.ack(here));
    world.sent(alice);
    world.request(bob);
    world.act(alice, |actions| actions.send_in(here, Method::Update, b""));
    world.sent(alice);
    let first = world.request(bob);
    world.act(alice, |actions| actions.send_in(here, Method::Update, b""));
    world.sent(alice);
    let refused = world.response(alice).message;
    assert_eq!(refused.status(), 500, "RFC 3311 §5.2");
    assert!(refused.header(HeaderName::RetryAfter).is_some());
    world.no_event(bob);
    world.act(bob, |actions| actions.respond(first.transaction, 200, b""));
    world.sent(bob);
    assert_eq!(world.response(alice).message.status(), 200);
    // Then another passes, the other way as well.
    for (from, to, dialog) in [(alice, bob, here), (bob, alice, there)] {
        world.act(from, |actions| actions.send_in(dialog, Method::Update, b""));
        world.sent(from);
        let update = world.request(to);
        world.act(to, |actions| actions.respond(update.transaction, 200, b""));
        world.sent(to);
        assert_eq!(world.response(from).message.status(), 200);
    }
    world.hang_up(alice, here, bob);
    world.rest();
}
