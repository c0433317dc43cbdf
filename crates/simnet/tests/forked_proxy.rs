//! A proxy that forks, over a lossy network too, gives the caller one answer, cancels every other branch, and forgets all of it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod calls;

use calls::{Callee, Caller, Forwarder, Manner};
use engine::command::{Forking, ProxyOptions};
use simnet::{Faults, HostId, Random, World};
use std::time::Duration;

fn milliseconds(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn manner(status: u16, decide: u64) -> Manner {
    Manner {
        ring: Some(milliseconds(decide / 3)),
        decide: milliseconds(decide),
        status,
        hang_up: None,
    }
}

/// Alice calls by way of a proxy that forks to these callees. Gives the caller's finals and the callees'.
fn fork(
    seed: u64,
    faults: Faults,
    forking: Forking,
    cancel: Option<u64>,
    callees: &[Manner],
) -> (Vec<u16>, Vec<Vec<u16>>) {
    let mut world = World::new(seed, faults);
    let [alice, proxy] = [world.host("alice"), world.host("proxy")];
    let hosts: Vec<HostId> = callees.iter().map(|_| world.host("callee")).collect();
    let options = ProxyOptions {
        record_route: true,
        forking,
        ..ProxyOptions::default()
    };
    // The first two, the next two and so on are of one q.
    let targets = hosts
        .iter()
        .enumerate()
        .map(|(index, host)| format!("<{}>;q=0.{}", host.uri("bob"), 9 - index / 2))
        .collect();
    let (forwarder, between) = Forwarder::new(targets, options);
    world.script(proxy, forwarder);
    let mut records = Vec::new();
    for (host, manner) in hosts.iter().zip(callees) {
        let (callee, seen) = Callee::new(*manner);
        world.script(*host, callee);
        records.push(seen);
    }
    let by = format!("sip:{};lr", proxy.address().ip());
    let (caller, caller_saw) = Caller::new(
        "sip:bob@192.0.2.2".to_owned(),
        Some(by),
        cancel.map(milliseconds),
        Some(milliseconds(3000)),
    );
    world.script(alice, caller);
    world.rest();
    world.note(format!("caller: {:?}", caller_saw.borrow()));
    for seen in records.iter().chain([&between]) {
        world.note(format!("{:?}", seen.borrow()));
        assert_eq!(seen.borrow().faults, Vec::<String>::new());
    }
    assert_eq!(caller_saw.borrow().faults, Vec::<String>::new());
    assert!(
        !caller_saw.borrow().ended.is_empty(),
        "the caller saw the end"
    );
    let finals = caller_saw.borrow().finals.clone();
    assert!(
        !finals.is_empty() && finals.iter().skip(1).all(|status| *status == 200),
        "one final, or several answers: {finals:?}"
    );
    (
        finals,
        records
            .iter()
            .map(|seen| seen.borrow().finals.clone())
            .collect(),
    )
}

#[test]
fn the_first_answer_wins_and_the_others_are_cancelled() {
    let callees = [manner(200, 900), manner(200, 3000), manner(486, 300)];
    let (caller, callees) = fork(60, Faults::none(), Forking::Simultaneous, None, &callees);
    assert_eq!(
        (caller, callees),
        (vec![200], vec![vec![200], vec![487], vec![486]])
    );
}

#[test]
fn one_after_the_other_is_tried_until_one_answers() {
    let callees = [
        manner(486, 300),
        manner(480, 300),
        manner(200, 300),
        manner(200, 300),
    ];
    let (caller, callees) = fork(61, Faults::none(), Forking::Serial, None, &callees);
    assert_eq!(
        (caller, callees),
        (vec![200], vec![vec![486], vec![480], vec![200], vec![]])
    );
}

#[test]
fn equal_q_rings_together_and_the_next_group_follows() {
    let callees = [
        manner(486, 300),
        manner(480, 900),
        manner(200, 600),
        manner(200, 3000),
        manner(200, 300),
    ];
    let (caller, callees) = fork(66, Faults::none(), Forking::ByQ, None, &callees);
    assert_eq!(
        (caller, callees),
        (
            vec![200],
            vec![vec![486], vec![480], vec![200], vec![487], vec![]]
        )
    );
}

#[test]
fn when_all_refuse_the_best_refusal_is_given_and_a_6xx_ends_the_search() {
    let (caller, _) = fork(
        62,
        Faults::none(),
        Forking::Simultaneous,
        None,
        &[manner(404, 300), manner(486, 600)],
    );
    assert!(caller == [404] || caller == [486], "{caller:?}");
    let (caller, callees) = fork(
        63,
        Faults::none(),
        Forking::Simultaneous,
        None,
        &[manner(603, 300), manner(200, 3000)],
    );
    assert_eq!((caller, callees), (vec![603], vec![vec![603], vec![487]]));
}

#[test]
fn a_caller_who_gives_up_ends_every_branch() {
    let (caller, callees) = fork(
        64,
        Faults::none(),
        Forking::Simultaneous,
        Some(700),
        &[manner(200, 3000), manner(200, 4000)],
    );
    assert_eq!((caller, callees), (vec![487], vec![vec![487], vec![487]]));
}

#[test]
fn over_a_lossy_network_nothing_is_left_either() {
    for seed in 0..1000 {
        let mut random = Random::new(seed, 2000);
        let loss = [0.0, 0.05, 0.1, 0.2][usize::try_from(seed % 4).unwrap()];
        let faults = Faults {
            loss,
            duplication: 0.1,
            delay: milliseconds(1),
            most_delay: milliseconds(1 + random.below(300)),
        };
        let callees: Vec<Manner> = (0..=random.below(3))
            .map(|_| {
                manner(
                    [200, 200, 486, 603][usize::try_from(random.below(4)).unwrap()],
                    100 + random.below(4000),
                )
            })
            .collect();
        let forking = [Forking::Serial, Forking::Simultaneous, Forking::ByQ]
            [usize::try_from(random.below(3)).unwrap()];
        let cancel = random.chance(0.3).then(|| random.below(5000));
        let (caller, answers) = fork(seed, faults, forking, cancel, &callees);
        if caller[0] == 200 {
            assert!(
                answers.iter().any(|finals| finals == &[200]),
                "seed {seed}: {answers:?}"
            );
        }
    }
}
