//! Reliable provisional responses (RFC 3262) arrive once and in order, one after the other; a 2xx that depends on one waits for its
//! PRACK; each INVITE, dialog and fork counts for itself.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
use engine::Event;
use engine::command::{Command, Forking, ProxyOptions, Respond};
use engine::event::CommandError;
use engine::id::{DialogId, TransactionId};
use simnet::actions::{SDP, draft};
use simnet::{Actions, Application, Faults, HostId, Random, World};
use sip::{HeaderName, Message, Method};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// A provisional response that is to be reliable.
fn progress(actions: &mut Actions, transaction: TransactionId, status: u16, body: &[u8]) {
    let draft = draft(&[("Require", "100rel")], body);
    actions.command(|id| {
        Command::Respond(Respond {
            id,
            transaction,
            status,
            reason: String::new(),
            draft,
        })
    });
}

/// Alice calls Bob and supports 100rel.
fn invited(seed: u64, body: &[u8]) -> (World, HostId, HostId, TransactionId) {
    let mut world = World::new(seed, Faults::none());
    let [alice, bob] = [world.host("alice"), world.host("bob")];
    let headers = [("Supported", "100rel")];
    world.act(alice, |actions| {
        actions.send(Method::Invite, &bob.uri("bob"), &headers, body)
    });
    world.sent(alice);
    let invite = world.request(bob).transaction;
    (world, alice, bob, invite)
}

fn number(message: &Message) -> u32 {
    message
        .header(HeaderName::RSeq)
        .unwrap()
        .text()
        .parse()
        .unwrap()
}

/// Alice acknowledges what rang; Bob answers the PRACK.
fn prack(world: &mut World, [from, to]: [HostId; 2], dialog: DialogId, body: &[u8], answer: &[u8]) {
    world.act(from, |actions| actions.send_in(dialog, Method::Prack, body));
    world.sent(from);
    let prack = world.request(to);
    assert_eq!(prack.message.method(), Method::Prack);
    assert_eq!(prack.message.body(), body);
    world.act(to, |actions| {
        actions.respond(prack.transaction, 200, answer)
    });
    // What waited for the PRACK goes out first.
    while world.sent(to).message.method() != Method::Prack {}
}

fn acknowledge(world: &mut World, [from, to]: [HostId; 2], dialog: DialogId) {
    world.act(from, |actions| actions.ack(dialog));
    world.sent(from);
    assert_eq!(world.request(to).message.method(), Method::Ack);
}

#[test]
fn several_go_out_one_after_the_other_each_after_the_prack_of_the_one_before() {
    let (mut world, alice, bob, invite) = invited(1, SDP);
    world.act(bob, |actions| {
        progress(actions, invite, 183, SDP);
        progress(actions, invite, 180, b"");
        progress(actions, invite, 182, b"");
    });
    let first = number(&world.sent(bob).message);
    world.no_event(bob);
    let mut response = world.response(alice);
    for (at, status) in [183, 180, 182].into_iter().enumerate() {
        assert_eq!(response.message.status(), status);
        let rises = first + u32::try_from(at).unwrap();
        assert_eq!(number(&response.message), rises, "RSeq rises by one");
        let dialog = response.dialog.unwrap();
        world.act(alice, |actions| actions.send_in(dialog, Method::Prack, b""));
        world.sent(alice);
        let prack = world.request(bob);
        if status != 182 {
            // The next one goes out as soon as the PRACK is there.
            response = world.response(alice);
            world.sent(bob);
        }
        world.act(bob, |actions| actions.respond(prack.transaction, 200, b""));
        world.sent(bob);
        assert_eq!(world.response(alice).message.method(), Method::Prack);
    }
    world.act(bob, |actions| actions.respond(invite, 486, b""));
    world.rest();
}

#[test]
fn a_2xx_waits_for_the_prack_of_a_response_with_a_session_description() {
    let (mut world, alice, bob, invite) = invited(2, SDP);
    world.act(bob, |actions| {
        progress(actions, invite, 183, SDP);
        actions.respond(invite, 200, SDP);
        actions.respond(invite, 200, SDP)
    });
    world.sent(bob);
    assert_eq!(
        world.failed(bob).error,
        CommandError::AlreadyAnswered,
        "one final response, sent or waiting"
    );
    world.run(Duration::from_secs(3));
    assert_eq!(
        world.count(|packet| packet.answers(200, "INVITE")),
        0,
        "RFC 3262 §3"
    );
    let here = world.response(alice).dialog.unwrap();
    prack(&mut world, [alice, bob], here, b"", b"");
    let mut answered = None;
    for _ in 0..2 {
        let response = world.response(alice);
        if response.message.method() == Method::Invite {
            answered = Some(response.message.status());
        }
    }
    assert_eq!(answered, Some(200));
    acknowledge(&mut world, [alice, bob], here);
    world.hang_up(alice, here, bob);
    world.rest();
}

#[test]
fn an_early_request_that_is_dropped_leaves_the_response_waiting_for_its_prack() {
    let (mut world, alice, bob, invite) = invited(16, SDP);
    world.act(bob, |actions| progress(actions, invite, 183, SDP));
    world.sent(bob);
    let here = world.response(alice).dialog.unwrap();
    world.act(alice, |actions| actions.send_in(here, Method::Info, b""));
    world.sent(alice);
    let info = world.request(bob).transaction;
    world.act(bob, |actions| actions.command(|_| Command::Drop(info)));
    world.act(bob, |actions| actions.respond(invite, 200, SDP));
    world.run(Duration::from_secs(3));
    assert_eq!(world.count(|packet| packet.answers(200, "INVITE")), 0);
    assert!(world.count(|packet| packet.answers(183, "INVITE")) > 2);
    prack(&mut world, [alice, bob], here, b"", b"");
    for method in [Method::Invite, Method::Prack] {
        assert_eq!(world.response(alice).message.method(), method);
    }
    acknowledge(&mut world, [alice, bob], here);
    world.hang_up(alice, here, bob);
    world.run(Duration::from_secs(33));
    assert_eq!(world.response(alice).message.status(), 408, "the INFO's");
    world.rest();
}

#[test]
fn a_2xx_does_not_wait_for_the_prack_of_a_response_without_one_whose_prack_is_welcome_all_the_same()
{
    let (mut world, alice, bob, invite) = invited(3, SDP);
    world.lose(1, |packet| packet.is("PRACK"));
    world.act(bob, |actions| progress(actions, invite, 180, b""));
    world.sent(bob);
    let here = world.response(alice).dialog.unwrap();
    world.act(alice, |actions| actions.send_in(here, Method::Prack, b""));
    world.sent(alice);
    world.act(bob, |actions| actions.respond(invite, 200, SDP));
    world.sent(bob);
    assert_eq!(world.response(alice).message.status(), 200);
    let ringing = world.count(|packet| packet.answers(180, "INVITE"));
    acknowledge(&mut world, [alice, bob], here);
    world.run(Duration::from_secs(1));
    let late = world.request(bob);
    assert_eq!(late.message.method(), Method::Prack);
    world.act(bob, |actions| actions.respond(late.transaction, 200, b""));
    world.sent(bob);
    assert_eq!(world.response(alice).message.status(), 200);
    world.run(Duration::from_secs(5));
    assert_eq!(
        world.count(|packet| packet.answers(180, "INVITE")),
        ringing,
        "not repeated behind the 2xx"
    );
    world.hang_up(bob, world_dialog(invite), alice);
    world.rest();
}

/// The dialog that answering this INVITE created.
fn world_dialog(invite: TransactionId) -> DialogId {
    let number = invite.to_bits() & 0x00ff_ffff_ffff_ffff;
    DialogId::with_role(invite.shard(), number, engine::id::DialogRole::Uas)
}

#[test]
fn a_refusal_overtakes_it_and_what_waits_is_told() {
    let (mut world, alice, bob, invite) = invited(4, SDP);
    world.act(bob, |actions| {
        progress(actions, invite, 183, SDP);
        progress(actions, invite, 180, b"");
        actions.respond(invite, 486, b"")
    });
    world.sent(bob);
    assert_eq!(world.failed(bob).error, CommandError::AlreadyAnswered);
    assert_eq!(world.sent(bob).message.status(), 486);
    assert_eq!(world.response(alice).message.status(), 183);
    assert_eq!(world.response(alice).message.status(), 486);
    world.rest();
}

#[test]
fn a_cancel_ends_what_waits() {
    let (mut world, alice, bob, invite) = invited(5, SDP);
    world.act(bob, |actions| {
        progress(actions, invite, 183, SDP);
        actions.respond(invite, 200, SDP)
    });
    world.sent(bob);
    let progress = world.response(alice);
    world.act(alice, |actions| actions.cancel(progress.transaction));
    world.sent(alice);
    assert_eq!(world.failed(bob).error, CommandError::AlreadyAnswered);
    assert_eq!(world.request(bob).message.method(), Method::Cancel);
    assert_eq!(world.response(alice).message.status(), 487);
    world.rest();
}

#[test]
fn without_a_prack_the_invite_fails_and_what_waits_is_told() {
    let (mut world, alice, bob, invite) = invited(6, SDP);
    world.act(bob, |actions| {
        progress(actions, invite, 183, SDP);
        actions.respond(invite, 200, SDP)
    });
    world.sent(bob);
    assert_eq!(world.response(alice).message.status(), 183);
    world.run(Duration::from_secs(33));
    assert_eq!(world.response(alice).message.status(), 500);
    assert_eq!(world.failed(bob).error, CommandError::AlreadyAnswered);
    world.rest();
}

#[test]
fn a_prack_to_nothing_gets_481_and_the_call_stands() {
    let (mut world, alice, bob, invite) = invited(7, SDP);
    world.act(bob, |actions| progress(actions, invite, 180, b""));
    world.sent(bob);
    let ringing = world.response(alice);
    let here = ringing.dialog.unwrap();
    let cseq = ringing.message.cseq().unwrap().number;
    let right = number(&ringing.message);
    for wrong in [
        format!("{} {cseq} INVITE", right + 1),
        format!("{right} {} INVITE", cseq + 1),
        format!("{right} {cseq} UPDATE"),
        "nonsense".to_owned(),
    ] {
        let wrong = draft(&[("RAck", &wrong)], b"");
        world.act(alice, |actions| {
            actions.command(|id| {
                Command::Send(engine::command::SendRequest {
                    id,
                    method: Method::Prack,
                    uri: String::new(),
                    dialog: Some(engine::command::DialogReference::Id(here)),
                    next_hop: None,
                    draft: wrong,
                })
            })
        });
        world.sent(alice);
        assert_eq!(world.response(alice).message.status(), 481);
        world.no_event(bob);
    }
    prack(&mut world, [alice, bob], here, b"", b"");
    assert_eq!(world.response(alice).message.status(), 200);
    world.act(bob, |actions| actions.respond(invite, 200, SDP));
    let there = world.sent(bob).dialog.unwrap();
    world.response(alice);
    acknowledge(&mut world, [alice, bob], here);
    world.hang_up(bob, there, alice);
    world.rest();
}

#[test]
fn each_fork_counts_for_itself() {
    let mut world = World::new(8, Faults::none());
    let [alice, proxy, bob, carol] = [
        world.host("alice"),
        world.host("proxy"),
        world.host("bob"),
        world.host("carol"),
    ];
    world.act(alice, |actions| {
        let headers = [("Supported", "100rel")];
        actions.send(Method::Invite, &proxy.uri("x"), &headers, SDP)
    });
    world.sent(alice);
    let invite = world.request(proxy);
    let options = ProxyOptions {
        forking: Forking::Simultaneous,
        record_route: true,
        ..ProxyOptions::default()
    };
    world.act(proxy, |actions| {
        actions.proxy(
            invite.transaction,
            &[&bob.uri("b"), &carol.uri("c")],
            options,
        )
    });
    let mut forks = Vec::new();
    for host in [bob, carol] {
        let server = world.request(host).transaction;
        world.act(host, |actions| progress(actions, server, 183, SDP));
        world.sent(host);
        let response = world.response(alice);
        forks.push((host, server, response.dialog.unwrap()));
    }
    assert_ne!(forks[0].2, forks[1].2);
    let mut sequences = Vec::new();
    for (host, _, dialog) in forks.iter().rev() {
        world.act(alice, |actions| {
            actions.send_in(*dialog, Method::Prack, b"")
        });
        let sent = world.sent(alice).message;
        sequences.push(sent.cseq().unwrap().number);
        let prack = world.request(*host);
        world.act(*host, |actions| {
            actions.respond(prack.transaction, 200, b"")
        });
        world.sent(*host);
        let response = world.response(alice);
        assert_eq!(
            (response.message.status(), response.dialog),
            (200, Some(*dialog))
        );
    }
    assert_eq!(
        sequences[0], sequences[1],
        "each dialog counts its own CSeq from the INVITE on"
    );
    let (host, server, dialog) = forks[1];
    world.act(host, |actions| actions.respond(server, 200, SDP));
    let there = world.sent(host).dialog.unwrap();
    assert_eq!(world.response(alice).dialog, Some(dialog));
    acknowledge(&mut world, [alice, host], dialog);
    world.hang_up(host, there, alice);
    world.rest();
}

/// Rings reliably so often, then answers, all at once and without waiting: the engine keeps the order.
struct Ringer {
    times: usize,
    seen: Rc<RefCell<Vec<String>>>,
}

impl Application for Ringer {
    fn event(&mut self, event: Event, actions: &mut Actions) {
        match event {
            Event::Request(request) => match request.message.method() {
                Method::Invite => {
                    progress(actions, request.transaction, 183, SDP);
                    for _ in 1..self.times {
                        progress(actions, request.transaction, 180, b"");
                    }
                    actions.respond(request.transaction, 200, SDP);
                }
                Method::Ack => {}
                _ => {
                    actions.respond(request.transaction, 200, b"");
                }
            },
            Event::Sent(_) => {}
            other => self.seen.borrow_mut().push(format!("{other:?}")),
        }
    }
}

/// Acknowledges every reliable response and the answer, then hangs up.
struct Listener {
    uri: String,
    seen: Rc<RefCell<Vec<String>>>,
}

impl Application for Listener {
    fn event(&mut self, event: Event, actions: &mut Actions) {
        match event {
            Event::Response(response) => {
                let status = response.message.status();
                let method = response.message.method();
                if method == Method::Invite {
                    self.seen.borrow_mut().push(status.to_string());
                    let dialog = response.dialog.unwrap();
                    if status < 200 {
                        actions.send_in(dialog, Method::Prack, b"");
                    } else if status < 300 {
                        actions.ack(dialog);
                        actions.bye(dialog);
                    }
                } else if status != 200 {
                    self.seen.borrow_mut().push(format!("{method} {status}"));
                }
            }
            Event::Sent(_) => {}
            other => self.seen.borrow_mut().push(format!("{other:?}")),
        }
    }

    fn wake(&mut self, actions: &mut Actions) {
        let headers = [("Supported", "100rel")];
        actions.send(Method::Invite, &self.uri, &headers, SDP);
    }
}

#[test]
fn over_a_bad_network_every_response_comes_once_in_order_and_the_answer_last() {
    for seed in 0..1000 {
        let mut random = Random::new(seed, 77);
        let faults = Faults {
            loss: [0.0, 0.05, 0.1][usize::try_from(seed % 3).unwrap()],
            duplication: 0.15,
            delay: Duration::from_millis(1),
            most_delay: Duration::from_millis(1 + random.below(300)),
        };
        let mut world = World::new(seed, faults);
        let [alice, bob] = [world.host("alice"), world.host("bob")];
        let times = usize::try_from(1 + random.below(4)).unwrap();
        let (rang, heard) = (Rc::default(), Rc::default());
        let ringer = Ringer {
            times,
            seen: Rc::clone(&rang),
        };
        world.script(bob, ringer);
        let uri = bob.uri("bob");
        let listener = Listener {
            uri,
            seen: Rc::clone(&heard),
        };
        world.script(alice, listener);
        world.rest();
        let mut expected = vec!["183".to_owned()];
        expected.resize(times, "180".to_owned());
        expected.push("200".to_owned());
        assert_eq!(*heard.borrow(), expected, "seed {seed}");
        assert_eq!(*rang.borrow(), Vec::<String>::new(), "seed {seed}");
    }
}
