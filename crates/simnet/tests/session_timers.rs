//! A call with a session timer lives as long as its refreshes get through, and ends at both ends, in time, when they do not
//! (RFC 4028): in either role, whoever refreshes, by UPDATE or by INVITE, over any network.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod sessions;

use engine::config::{Refresher, SessionTimers};
use engine::event::DialogEndReason;
use sessions::{call, header, refreshes, seconds, timers};
use simnet::actions::SDP;
use simnet::{Faults, Packet, World};
use sip::Method;
use std::time::Duration;

/// The 2xx that opened the call, as sent by the callee.
fn answer(world: &World) -> Packet {
    let steps = world.ladder().steps().iter();
    let mut answers = steps.filter(|step| step.packet.answers(200, "INVITE"));
    answers.next().unwrap().packet.clone()
}

/// Lets a timed call run for hours, then hangs up; every refresh must come from that end, in that way, in time.
fn lives(offer: &'static str, update: bool, by_caller: bool) {
    let mut world = World::new(200, Faults::none());
    let ends = call(&mut world, &[("Session-Expires", offer)], &[], update);
    let start = world.now();
    world.run(seconds(20_000));
    let host = if by_caller { ends.caller } else { ends.callee };
    let all = refreshes(&world, start);
    let method = if update { "UPDATE" } else { "INVITE" };
    assert!((22..=25).contains(&all.len()), "{} refreshes", all.len());
    let mut before = start;
    for (at, packet) in all {
        assert_eq!(packet.from, host.address());
        assert!(packet.is(method), "{}", packet.start_line());
        assert_eq!(header(&packet, "session-expires"), "1800;refresher=uac");
        let after = at.since(before);
        assert!(
            after >= seconds(809) && after <= seconds(901),
            "{after:?} after the one before"
        );
        before = at;
        assert_eq!(
            update,
            header(&packet, "content-type").is_empty(),
            "an UPDATE says nothing else"
        );
        if !update {
            assert!(
                packet.bytes.ends_with(SDP),
                "the description that holds, version and all"
            );
        }
    }
    for (host, seen) in [
        (ends.caller, &ends.caller_seen),
        (ends.callee, &ends.callee_seen),
    ] {
        assert_eq!(world.counts(host).dialogs, 1, "the call stands");
        assert!(
            seen.borrow().faults.is_empty(),
            "{:?}",
            seen.borrow().faults
        );
        assert!(
            seen.borrow().responses.iter().all(|status| *status == 200),
            "no refresh is told"
        );
    }
    ends.hang_up(&mut world);
    world.rest();
}

#[test]
fn a_call_is_refreshed_by_whom_its_2xx_names() {
    for update in [true, false] {
        lives("1800;refresher=uac", update, true);
        lives("1800;refresher=uas", update, false);
        lives("1800", update, true);
    }
}

#[test]
fn refreshes_of_many_calls_do_not_come_in_one_second() {
    let mut times = Vec::new();
    for seed in 0..50 {
        let mut world = World::new(seed, Faults::none());
        let ends = call(&mut world, &[("Session-Expires", "1800")], &[], true);
        let start = world.now();
        world.run(seconds(901));
        let all = refreshes(&world, start);
        times.push(all[0].0.since(start).as_secs());
        ends.hang_up(&mut world);
    }
    times.sort_unstable();
    times.dedup();
    assert!(
        times.len() > 30,
        "50 calls refreshed in {} different seconds",
        times.len()
    );
}

#[test]
fn the_2xx_says_who_refreshes_and_requires_it_of_a_caller_that_can() {
    for (offer, expected, require) in [
        ("1800;refresher=uac", "1800;refresher=uac", "timer"),
        ("1800;refresher=uas", "1800;refresher=uas", ""),
        ("600", "600;refresher=uac", "timer"),
    ] {
        let mut world = World::new(201, Faults::none());
        let ends = call(&mut world, &[("Session-Expires", offer)], &[], true);
        let answer = answer(&world);
        assert_eq!(header(&answer, "session-expires"), expected);
        assert_eq!(header(&answer, "require"), require);
        ends.hang_up(&mut world);
        world.rest();
    }
}

#[test]
fn a_peer_that_knows_no_timers_is_refreshed_by_the_callee_and_answers_in_vain() {
    for update in [true, false] {
        let mut world = World::new(202, Faults::none());
        let none = SessionTimers {
            enabled: false,
            ..SessionTimers::default()
        };
        let ask = SessionTimers {
            expires: Some(600),
            refresher: Some(Refresher::Uac),
            ..SessionTimers::default()
        };
        let ends = sessions::call_with(&mut world, [none, ask], &[], &[], update);
        assert_eq!(
            header(&answer(&world), "session-expires"),
            "600;refresher=uas"
        );
        assert_eq!(header(&answer(&world), "require"), "");
        let start = world.now();
        world.run(seconds(6000));
        let all = refreshes(&world, start);
        assert!((19..=23).contains(&all.len()), "{} refreshes", all.len());
        assert!(
            all.iter()
                .all(|(_, packet)| packet.from == ends.callee.address())
        );
        ends.hang_up(&mut world);
        world.rest();
    }
}

#[test]
fn a_callee_that_knows_no_timers_gets_none_and_the_call_stands() {
    let mut world = World::new(203, Faults::none());
    let none = SessionTimers {
        enabled: false,
        ..SessionTimers::default()
    };
    let ends = sessions::call_with(
        &mut world,
        [timers(), none],
        &[("Session-Expires", "1800")],
        &[],
        true,
    );
    let start = world.now();
    world.run(seconds(30_000));
    assert!(refreshes(&world, start).is_empty());
    assert_eq!(world.counts(ends.caller).dialogs, 1);
    ends.hang_up(&mut world);
    world.rest();
}

#[test]
fn lost_refreshes_are_sent_again() {
    for update in [true, false] {
        let mut world = World::new(204, Faults::none());
        let ends = call(&mut world, &[("Session-Expires", "90")], &[], update);
        let start = world.now();
        world.lose(3, |packet| packet.is("UPDATE") || packet.is("INVITE"));
        world.run(seconds(46));
        world.lose(2, |packet| {
            packet.answers(200, "UPDATE") || packet.answers(200, "INVITE")
        });
        world.run(seconds(1000));
        assert!(refreshes(&world, start).len() > 20);
        assert!(ends.ended().is_empty(), "{:?}", ends.ended());
        ends.hang_up(&mut world);
        world.rest();
    }
}

/// Nothing passes between the two any more: how long after the 2xx each end gave up, caller first.
fn left_alone(offer: &'static str, update: bool) -> [Duration; 2] {
    let mut world = World::new(205, Faults::none());
    let ends = call(&mut world, &[("Session-Expires", offer)], &[], update);
    let start = world.now();
    world.faults.loss = 1.0;
    world.run(seconds(3000));
    let times = [&ends.caller_seen, &ends.callee_seen].map(|seen| {
        let seen = seen.borrow();
        assert_eq!(seen.ended.len(), 1, "{:?}", seen.ended);
        assert_eq!(
            seen.ended[0].1,
            format!("{:?}", DialogEndReason::SessionExpired)
        );
        seen.ended[0].0.since(start)
    });
    let byes = world
        .ladder()
        .steps()
        .iter()
        .filter(|step| step.packet.is("BYE"));
    let reasons: Vec<String> = byes.map(|step| header(&step.packet, "reason")).collect();
    assert!(!reasons.is_empty());
    for reason in reasons {
        assert_eq!(reason, "SIP ;cause=200 ;text=\"Session timer expired\"");
    }
    world.rest();
    times
}

#[test]
fn a_call_whose_peer_is_gone_ends_at_both_ends_in_time() {
    for update in [true, false] {
        // The refresher learns it by its refresh, 32 s after half the interval at most; the other end 32 s before its end.
        for (offer, refresher) in [("1800;refresher=uac", 0), ("1800;refresher=uas", 1)] {
            let times = left_alone(offer, update);
            let (ours, theirs) = (times[refresher], times[1 - refresher]);
            assert!(ours >= seconds(842) && ours <= seconds(933), "{ours:?}");
            assert!(
                theirs >= seconds(1767) && theirs <= seconds(1769),
                "{theirs:?}"
            );
        }
        // Of a short one the end comes before the refresh is given up: a third before the interval is over (RFC 4028 §10).
        for time in left_alone("90", update) {
            assert!(time >= seconds(59) && time <= seconds(61), "{time:?}");
        }
    }
}

#[test]
fn an_interval_below_the_minimum_is_refused_before_the_application_sees_it() {
    let mut world = World::new(206, Faults::none());
    let alice = world.host("alice");
    let strict = SessionTimers {
        min_se: 600,
        ..SessionTimers::default()
    };
    let bob = sessions::host(&mut world, "bob", strict);
    let invite = |world: &mut World, headers: &[(&str, &str)]| {
        world.act(alice, |actions| {
            actions.send(Method::Invite, &bob.uri("bob"), headers, SDP)
        });
        world.sent(alice);
    };
    invite(&mut world, &[("Session-Expires", "300")]);
    let refused = world.response(alice);
    assert_eq!(refused.message.status(), 422);
    assert_eq!(refused.message.min_se().unwrap(), Some(600));
    world.no_event(bob);
    invite(&mut world, &[("Session-Expires", "600"), ("Min-SE", "600")]);
    let request = world.request(bob);
    world.act(bob, |actions| {
        actions.respond(request.transaction, 200, SDP)
    });
    let there = world.sent(bob).dialog.unwrap();
    let here = world.response(alice).dialog.unwrap();
    world.act(alice, |actions| actions.ack(here));
    world.sent(alice);
    world.request(bob);
    // What was learnt is said again: by the application's next request as well (RFC 4028 §7.4).
    world.act(alice, |actions| actions.send_in(here, Method::Update, b""));
    let update = world.sent(alice).message;
    assert_eq!(
        update.session_expires().unwrap().unwrap().to_string(),
        "600;refresher=uac"
    );
    assert_eq!(update.min_se().unwrap(), Some(600));
    let request = world.request(bob);
    world.act(bob, |actions| {
        actions.respond(request.transaction, 200, b"")
    });
    world.sent(bob);
    world.response(alice);
    world.hang_up(bob, there, alice);
    world.rest();
}

#[test]
fn a_refusal_as_too_brief_that_is_lost_comes_again() {
    let mut world = World::new(219, Faults::none());
    let alice = world.host("alice");
    let strict = SessionTimers {
        min_se: 600,
        ..SessionTimers::default()
    };
    let bob = sessions::host(&mut world, "bob", strict);
    let (here, there) = world.call(alice, bob);
    world.act(alice, |actions| actions.send_in(here, Method::Update, b""));
    let update = world.sent(alice).message;
    let request = world.request(bob);
    world.act(bob, |actions| {
        actions.respond(request.transaction, 200, b"")
    });
    world.sent(bob);
    world.response(alice);
    // As no engine of ours would send it; and once more, as one does that did not hear the answer.
    let number = update.cseq().unwrap().number;
    let brief = String::from_utf8(update.as_bytes().to_vec())
        .unwrap()
        .replace("branch=z9hG4bK", "branch=z9hG4bKbrief")
        .replace(
            &format!("CSeq: {number}"),
            &format!("Session-Expires: 300\r\nCSeq: {}", number + 1),
        );
    for _ in 0..2 {
        world.inject(alice.address(), bob, brief.clone());
        world.run(Duration::from_millis(50));
    }
    world.no_event(bob);
    assert_eq!(world.count(|packet| packet.answers(500, "UPDATE")), 0);
    assert_eq!(world.count(|packet| packet.answers(422, "UPDATE")), 2);
    world.hang_up(bob, there, alice);
    world.rest();
}

#[test]
fn a_refresh_that_is_refused_as_too_brief_is_sent_again_for_longer() {
    for update in [true, false] {
        let mut world = World::new(207, Faults::none());
        let strict = SessionTimers {
            min_se: 600,
            ..SessionTimers::default()
        };
        // The callee's application agrees to less than its engine lets pass.
        let answer = [("Session-Expires", "100;refresher=uac")];
        let ends = sessions::call_with(&mut world, [timers(), strict], &[], &answer, update);
        let start = world.now();
        world.run(seconds(1000));
        let all = refreshes(&world, start);
        let asked: Vec<String> = all
            .iter()
            .map(|(_, packet)| header(packet, "session-expires"))
            .collect();
        assert_eq!(
            asked[..3],
            [
                "100;refresher=uac",
                "600;refresher=uac",
                "600;refresher=uac"
            ]
        );
        assert_eq!(header(&all[0].1, "min-se"), "");
        assert_eq!(header(&all[1].1, "min-se"), "600");
        assert_eq!(header(&all[2].1, "min-se"), "600");
        assert!(ends.ended().is_empty());
        ends.hang_up(&mut world);
        world.rest();
    }
}

#[test]
fn a_refresh_that_meets_the_peer_s_invite_is_refused_and_tried_again() {
    let mut world = World::new(208, Faults::none());
    let exact = SessionTimers {
        jitter: 0,
        ..SessionTimers::default()
    };
    let ends = sessions::call_with(
        &mut world,
        [exact.clone(), exact],
        &[("Session-Expires", "1800")],
        &[],
        false,
    );
    let start = world.now();
    // The refresh is on its way for a millisecond.
    while refreshes(&world, start).is_empty() {
        let end = world.now() + seconds(1);
        world.step(end);
    }
    let there = ends.callee_seen.borrow().dialog.unwrap();
    world.act(ends.callee, |actions| {
        actions.send_in(there, Method::Invite, SDP)
    });
    world.run(seconds(10));
    assert_eq!(
        world.count(|packet| packet.answers(491, "INVITE")),
        2,
        "each refuses the other's"
    );
    let all = refreshes(&world, start);
    let ours: Vec<_> = all
        .iter()
        .filter(|(_, packet)| packet.from == ends.caller.address())
        .collect();
    assert_eq!(ours.len(), 2);
    let delay = ours[1].0.since(ours[0].0);
    assert!(
        delay >= Duration::from_millis(2100) && delay <= seconds(5),
        "{delay:?} (RFC 3261 §14.1)"
    );
    assert_eq!(*ends.callee_seen.borrow().responses, [491]);
    assert!(
        ends.caller_seen
            .borrow()
            .responses
            .iter()
            .all(|status| *status == 200),
        "it is not told"
    );
    world.run(seconds(4000));
    assert!(ends.ended().is_empty(), "{:?}", ends.ended());
    ends.hang_up(&mut world);
    world.rest();
}

#[test]
fn a_refresh_waits_for_an_invite_that_is_open_and_an_invite_for_a_refresh() {
    let mut world = World::new(209, Faults::none());
    let exact = SessionTimers {
        jitter: 0,
        ..SessionTimers::default()
    };
    let ends = sessions::call_with(
        &mut world,
        [exact.clone(), exact],
        &[("Session-Expires", "1800")],
        &[],
        false,
    );
    let here = ends.caller_seen.borrow().dialog.unwrap();
    // The callee takes five seconds over this one.
    world.run(seconds(899));
    ends.callee_seen.borrow_mut().delay = Some(seconds(5));
    let start = world.now();
    world.act(ends.caller, |actions| {
        actions.send_in(here, Method::Invite, SDP)
    });
    world.run(seconds(30));
    assert_eq!(
        refreshes(&world, start).len(),
        1,
        "the application's has refreshed the session"
    );
    // Now ours is open, and the application's waits.
    ends.callee_seen.borrow_mut().delay = Some(seconds(5));
    world.run(seconds(876));
    while refreshes(&world, start).len() < 2 {
        let end = world.now() + seconds(1);
        world.step(end);
    }
    world.act(ends.caller, |actions| {
        actions.send_in(here, Method::Invite, SDP)
    });
    world.run(seconds(3));
    assert_eq!(refreshes(&world, start).len(), 2);
    world.run(seconds(30));
    assert_eq!(refreshes(&world, start).len(), 3, "one at a time");
    assert_eq!(world.count(|packet| packet.answers(491, "INVITE")), 0);
    assert_eq!(world.count(|packet| packet.answers(500, "INVITE")), 0);
    ends.hang_up(&mut world);
    world.rest();
}

#[test]
fn a_refresh_that_is_challenged_is_left_to_the_application() {
    let mut world = World::new(210, Faults::none());
    let ends = call(&mut world, &[("Session-Expires", "1800")], &[], true);
    let here = ends.caller_seen.borrow().dialog.unwrap();
    let start = world.now();
    ends.callee_seen.borrow_mut().refuse = Some(401);
    world.run(seconds(1000));
    assert_eq!(refreshes(&world, start).len(), 1);
    assert!(ends.ended().is_empty());
    // The application's own sets the timer again.
    ends.callee_seen.borrow_mut().refuse = None;
    world.act(ends.caller, |actions| {
        actions.send_in(here, Method::Update, b"")
    });
    ends.callee_seen.borrow_mut().refuse = None;
    world.run(seconds(10));
    ends.callee_seen.borrow_mut().refuse = Some(500);
    let again = world.now();
    world.run(seconds(2500));
    let ended = ends.ended();
    assert_eq!(ended.len(), 2, "{ended:?}");
    let after = ended[0].0.since(again);
    assert!(
        after >= seconds(1750) && after <= seconds(1769),
        "{after:?}: what is refused does not end it before its time"
    );
    world.rest();
}

#[test]
fn a_peer_that_lost_the_dialog_is_told_so_and_the_call_ends() {
    let mut world = World::new(211, Faults::none());
    let ends = call(&mut world, &[("Session-Expires", "1800")], &[], true);
    ends.callee_seen.borrow_mut().refuse = Some(481);
    world.run(seconds(905));
    let seen = ends.caller_seen.borrow();
    assert_eq!(seen.ended[0].1, "SessionExpired");
    drop(seen);
    world.rest();
}

#[test]
fn who_opts_out_says_nothing_of_timers_and_runs_none() {
    let mut world = World::new(212, Faults::none());
    let ask = SessionTimers {
        expires: Some(600),
        ..SessionTimers::default()
    };
    let [alice, bob] = [
        sessions::host(&mut world, "alice", ask.clone()),
        sessions::host(&mut world, "bob", ask),
    ];
    let without =
        |actions: &mut simnet::Actions,
         make: &dyn Fn(engine::id::CommandId, engine::command::Draft) -> engine::Command| {
            let mut draft = simnet::actions::draft(&[], SDP);
            draft.without_session_timer = true;
            actions.command(|id| make(id, draft))
        };
    world.act(alice, |actions| {
        without(actions, &|id, draft| {
            engine::Command::Send(engine::command::SendRequest {
                id,
                method: Method::Invite,
                uri: bob.uri("bob"),
                dialog: None,
                next_hop: None,
                draft,
            })
        })
    });
    let invite = world.sent(alice).message;
    assert!(!invite.supports("timer") && invite.session_expires().unwrap().is_none());
    let request = world.request(bob);
    world.act(bob, |actions| {
        without(actions, &|id, draft| {
            engine::Command::Respond(engine::command::Respond {
                id,
                transaction: request.transaction,
                status: 200,
                reason: String::new(),
                draft,
            })
        })
    });
    let answer = world.sent(bob);
    assert!(answer.message.session_expires().unwrap().is_none());
    let here = world.response(alice).dialog.unwrap();
    world.act(alice, |actions| actions.ack(here));
    world.sent(alice);
    world.request(bob);
    world.run(seconds(5000));
    world.no_event(alice);
    world.hang_up(alice, here, bob);
    world.rest();
}

#[test]
fn a_contact_of_the_application_s_own_is_repeated_by_a_refresh() {
    for update in [true, false] {
        let mut world = World::new(213, Faults::none());
        let offer = [
            ("Session-Expires", "1800"),
            ("Contact", "<sip:alice@localhost;ob>"),
        ];
        let ends = call(&mut world, &offer, &[], update);
        let start = world.now();
        world.run(seconds(1000));
        let all = refreshes(&world, start);
        let address = ends.caller.address();
        assert_eq!(
            header(&all[0].1, "contact"),
            format!("<sip:alice@{address};ob>")
        );
        ends.hang_up(&mut world);
        world.rest();
    }
}

#[test]
fn a_peer_s_refresh_may_turn_the_roles_and_a_2xx_without_a_timer_ends_it() {
    let mut world = World::new(214, Faults::none());
    let ends = call(&mut world, &[("Session-Expires", "1800")], &[], true);
    let (start, there) = (world.now(), ends.callee_seen.borrow().dialog.unwrap());
    ends.send(
        &mut world,
        ends.callee,
        there,
        &[("Session-Expires", "900;refresher=uac")],
    );
    world.run(seconds(3000));
    let all = refreshes(&world, start);
    assert!(all.len() >= 6, "{}", all.len());
    assert!(
        all.iter()
            .all(|(_, packet)| packet.from == ends.callee.address()),
        "now the callee refreshes"
    );
    // Its peer opts out.
    let last = world.now();
    ends.caller_seen.borrow_mut().without = true;
    ends.send(
        &mut world,
        ends.callee,
        there,
        &[("Session-Expires", "900;refresher=uas")],
    );
    world.run(seconds(5000));
    let caller = refreshes(&world, last);
    assert!(
        caller
            .iter()
            .all(|(_, packet)| packet.from == ends.callee.address())
    );
    ends.hang_up(&mut world);
    world.rest();
}

#[test]
fn over_a_bad_network_both_ends_agree_on_the_end() {
    let (mut survived, mut expired) = (0, 0);
    for seed in 0..300 {
        let mut random = simnet::Random::new(seed, 4028);
        let offer = ["180;refresher=uac", "180;refresher=uas", "180", "90"]
            [usize::try_from(seed % 4).unwrap()];
        let update = random.chance(0.5);
        let mut world = World::new(seed, Faults::none());
        let ends = call(&mut world, &[("Session-Expires", offer)], &[], update);
        world.faults = Faults {
            loss: [0.05, 0.15, 0.3][usize::try_from(random.below(3)).unwrap()],
            duplication: 0.1,
            delay: Duration::from_millis(1 + random.below(50)),
            most_delay: Duration::from_millis(60 + random.below(300)),
        };
        world.run(seconds(1000 + random.below(3000)));
        let gone = random.chance(0.5);
        if gone {
            world.faults.loss = 1.0;
            world.run(seconds(300));
            assert_eq!(ends.ended().len(), 2, "seed {seed}: {:?}", ends.ended());
            expired += 1;
        } else if ends.ended().is_empty() {
            survived += 1;
            world.faults = Faults::none();
            ends.hang_up(&mut world);
        }
        world.run(seconds(300));
        let ended = ends.ended();
        assert_eq!(
            ended.len(),
            2,
            "seed {seed}: each end sees one end: {ended:?}"
        );
        assert!(ends.faults().is_empty(), "seed {seed}: {:?}", ends.faults());
        world.rest();
    }
    println!("{survived} survived, {expired} were cut off");
    assert!(
        survived > 50 && expired > 50,
        "{survived} survived, {expired} were cut off"
    );
}

#[test]
fn a_bye_that_is_challenged_leaves_the_timer_running_at_both_ends() {
    for by_caller in [true, false] {
        let mut world = World::new(215, Faults::none());
        let ends = call(&mut world, &[("Session-Expires", "1800")], &[], true);
        let (from, who, other) = if by_caller {
            (ends.caller, &ends.caller_seen, &ends.callee_seen)
        } else {
            (ends.callee, &ends.callee_seen, &ends.caller_seen)
        };
        let dialog = who.borrow().dialog.unwrap();
        other.borrow_mut().challenge = true;
        world.act(from, |actions| actions.bye(dialog));
        world.run(seconds(1));
        other.borrow_mut().challenge = false;
        let start = world.now();
        world.run(seconds(5000));
        let all = refreshes(&world, start);
        assert!(all.len() >= 5, "{} refreshes", all.len());
        assert!(ends.ended().is_empty(), "{:?}", ends.ended());
        ends.hang_up(&mut world);
        world.rest();
    }
}

#[test]
fn a_challenged_bye_that_never_comes_again_does_not_keep_a_call_that_nobody_refreshes() {
    let mut world = World::new(216, Faults::none());
    let ends = call(&mut world, &[("Session-Expires", "1800")], &[], true);
    let start = world.now();
    let dialog = ends.caller_seen.borrow().dialog.unwrap();
    ends.callee_seen.borrow_mut().challenge = true;
    world.act(ends.caller, |actions| actions.bye(dialog));
    world.run(seconds(1));
    world.lose(usize::MAX, |packet| packet.is("UPDATE"));
    world.run(seconds(1850));
    for (at, how) in ends.ended() {
        assert!(at.since(start) < seconds(1800), "{how}");
    }
    assert_eq!(ends.ended().len(), 2, "{:?}", ends.ended());
    world.rest();
}

#[test]
fn nothing_is_refreshed_while_a_bye_is_under_way() {
    let mut world = World::new(217, Faults::none());
    let ends = call(&mut world, &[("Session-Expires", "1800")], &[], true);
    world.run(seconds(780));
    let (start, dialog) = (world.now(), ends.caller_seen.borrow().dialog.unwrap());
    // The BYE never arrives, and is repeated until timer F while the refresh falls due.
    world.lose(usize::MAX, |packet| packet.is("BYE"));
    for _ in 0..5 {
        world.act(ends.caller, |actions| actions.bye(dialog));
        world.run(seconds(25));
    }
    assert_eq!(refreshes(&world, start).len(), 0);
    world.run(seconds(3000));
    world.rest();
}
