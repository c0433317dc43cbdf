//! Over a network that loses, repeats, reorders and delays, every call ends in a state that both ends agree on, no transaction
//! has two final responses, nothing follows the end, and at rest every table of every engine is empty.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod calls;

use calls::{Callee, Caller, Forwarder, Manner, Seen};
use engine::command::ProxyOptions;
use simnet::ladder::Fate;
use simnet::{Faults, Packet, Random, World};
use std::collections::HashMap;
use std::time::Duration;

const SEEDS: u64 = 2000;

fn milliseconds(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// How the calls ended, so that a test which proves nothing is noticed.
#[derive(Default, Debug)]
struct Tally {
    answered: usize,
    refused: usize,
    cancelled: usize,
    ended_by_engine: usize,
    lost: usize,
}

impl Tally {
    fn add(&mut self, world: &World, caller: &Seen, callee: &Seen) {
        self.answered += usize::from(caller.answered);
        self.refused += usize::from(matches!(caller.finals[0], 486 | 603));
        self.cancelled += usize::from(caller.finals[0] == 487);
        let engine = |seen: &Seen| {
            seen.ended
                .iter()
                .any(|end| end == "AnsweredAfterCancel" || end == "AckTimeout")
        };
        self.ended_by_engine += usize::from(engine(caller) || engine(callee));
        self.lost += world
            .ladder()
            .steps()
            .iter()
            .filter(|step| step.fate == Fate::Lost)
            .count();
    }

    fn check(&self, seeds: u64) {
        println!("{self:?}");
        let many = usize::try_from(seeds / 20).unwrap();
        assert!(
            self.answered > many
                && self.refused > many
                && self.cancelled > many
                && self.lost > many,
            "{self:?}"
        );
        assert!(self.ended_by_engine > 0, "{self:?}");
    }
}

/// One call of that seed; `proxy` puts a proxy between.
fn play(seed: u64, proxy: bool, tally: &mut Tally) {
    let mut random = Random::new(seed, 1000);
    let loss = [0.0, 0.02, 0.05, 0.1, 0.2][usize::try_from(seed % 5).unwrap()];
    let delay = milliseconds(random.below(40) + 1);
    let faults = Faults {
        loss,
        duplication: 0.1,
        delay,
        most_delay: delay + milliseconds(random.below(400)),
    };
    let some = |random: &mut Random, probability: f64, most: u64| {
        random
            .chance(probability)
            .then(|| milliseconds(random.below(most)))
    };
    let ring = some(&mut random, 0.6, 1500);
    let manner = Manner {
        ring,
        decide: ring.unwrap_or_default() + milliseconds(random.below(4000)),
        status: [200, 200, 200, 486, 603][usize::try_from(random.below(5)).unwrap()],
        hang_up: some(&mut random, 0.4, 8000),
    };
    let cancel = some(&mut random, 0.5, 6000);
    // Somebody must hang up.
    let hang_up = if manner.hang_up.is_some() {
        some(&mut random, 0.4, 8000)
    } else {
        Some(milliseconds(random.below(8000)))
    };

    let mut world = World::new(seed, faults);
    let [alice, bob] = [world.host("alice"), world.host("bob")];
    let mut by = None;
    let mut between = None;
    if proxy {
        let carol = world.host("proxy");
        let options = ProxyOptions {
            record_route: random.chance(0.7),
            report_responses: true,
            ..ProxyOptions::default()
        };
        let (forwarder, seen) = Forwarder::new(vec![bob.uri("bob")], options);
        world.script(carol, forwarder);
        by = Some(format!("{};lr", carol.uri("p").replace("p@", "")));
        between = Some(seen);
    }
    let (callee, callee_saw) = Callee::new(manner);
    let (caller, caller_saw) = Caller::new(bob.uri("bob"), by, cancel, hang_up);
    world.note(format!(
        "loss {loss}, {manner:?}, cancel after {cancel:?}, hang up after {hang_up:?}"
    ));
    world.script(bob, callee);
    world.script(alice, caller);
    world.rest();
    judge(&mut world, &caller_saw.borrow(), &callee_saw.borrow());
    tally.add(&world, &caller_saw.borrow(), &callee_saw.borrow());
    if let Some(between) = between {
        assert_eq!(between.borrow().faults, Vec::<String>::new());
    }
    one_final_for_each_transaction(&world);
}

/// Both ends agree.
fn judge(world: &mut World, caller: &Seen, callee: &Seen) {
    world.note(format!("caller: {caller:?}"));
    world.note(format!("callee: {callee:?}"));
    assert_eq!((&caller.faults, &callee.faults), (&vec![], &vec![]));
    assert_eq!(
        caller.finals.len(),
        1,
        "the caller has exactly one final response"
    );
    assert!(callee.invites <= 1, "a repeated INVITE is no new one");
    assert!(
        callee.finals.len() <= 1,
        "the callee gave at most one final response"
    );
    assert!(callee.acknowledged <= 1, "a repeated ACK is no new one");
    assert!(!caller.ended.is_empty(), "the caller saw the end");
    assert_eq!(
        callee.ended.is_empty(),
        callee.finals.is_empty(),
        "the callee saw the end of what it answered"
    );
    if caller.answered {
        assert!(
            callee.answered,
            "what the caller believes answered was answered"
        );
    }
    match (callee.answered, caller.finals[0]) {
        // The caller gave up, or every answer was lost: the callee's dialog was ended for want of an ACK, or by a late CANCEL.
        (true, 300..) => {
            let engine = callee.ended.iter().any(|end| {
                end == "AckTimeout" || end == "CancelAfterAnswer" || end.starts_with("BYE")
            });
            assert!(
                engine && caller.finals[0] == 408,
                "an answer that the caller never saw was ended"
            );
        }
        (true, _) => assert!(caller.answered),
        // A proxy answers a cancelled call with 487 whatever the callee refused it with meanwhile.
        (false, 408 | 487 | 500) => {}
        (false, status) => assert_eq!(
            callee.finals,
            [status],
            "the caller got what the callee gave"
        ),
    }
}

fn header(packet: &Packet, name: &str) -> String {
    let text = String::from_utf8_lossy(&packet.bytes).into_owned();
    text.lines()
        .find(|line| line.starts_with(name))
        .unwrap_or("")
        .to_owned()
}

/// No transaction was ever answered with two different final responses.
fn one_final_for_each_transaction(world: &World) {
    let mut finals: HashMap<(String, String, String), String> = HashMap::new();
    for step in world.ladder().steps() {
        let packet = &step.packet;
        let line = packet.start_line();
        if !line.starts_with("SIP/2.0") || line.starts_with("SIP/2.0 1") {
            continue;
        }
        let key = (
            header(packet, "Via: "),
            header(packet, "CSeq: "),
            packet.from.to_string(),
        );
        let first = finals.entry(key.clone()).or_insert_with(|| line.clone());
        assert_eq!(*first, line, "two finals of {key:?}");
    }
}

#[test]
fn direct_calls_end_in_a_state_both_ends_agree_on() {
    let mut tally = Tally::default();
    for seed in 0..SEEDS {
        play(seed, false, &mut tally);
    }
    tally.check(SEEDS);
}

#[test]
fn proxied_calls_end_in_a_state_both_ends_agree_on() {
    let mut tally = Tally::default();
    for seed in 0..SEEDS {
        play(seed, true, &mut tally);
    }
    tally.check(SEEDS);
}
