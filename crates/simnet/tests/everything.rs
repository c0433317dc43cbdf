//! Two or three user agents that do everything at random, straight or by way of a proxy, over a network that loses, doubles and
//! reorders: in the end both sides of every call believe the same, every command had one outcome and every request one final
//! response, every call and subscription is over when they hang up, and every table is empty.
//!
//! `DRACHT_SEEDS=20000` plays more seeds than the usual 1,000 of each kind; `DRACHT_SEED=17` one only, with its ladder.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
#[allow(dead_code)]
mod calls;
mod party;

use engine::command::{Forking, ProxyOptions};
use engine::config::Refresher;
use party::{Manner, Party, State, audit};
use simnet::{Actions, Faults, HostId, Random, World};
use sip::Method;
use std::collections::BTreeMap;
use std::time::Duration;

fn milliseconds(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// One step of a walk: what comes to mind, whether it is the moment for it or not. Whether there is more to do.
fn step(state: &mut State, actions: &mut Actions) -> bool {
    let pick = state.random.below(100);
    match (state.call(), state.early(), pick) {
        (_, _, 90..) => outside(state, actions),
        (Some(call), _, _) => within(state, actions, call, pick),
        (None, Some(early), 0..10) => {
            state.change(actions, early, Method::Update, 0);
        }
        (None, Some(early), 10..13) => {
            state.bye(actions, early);
        }
        (None, _, 13..20) => {
            state.cancel(actions);
        }
        (None, _, _) => {}
    }
    true
}

/// In a call.
fn within(state: &mut State, actions: &mut Actions, call: engine::id::DialogId, pick: u64) {
    match pick {
        0..14 => {
            state.change(actions, call, Method::Invite, 0);
        }
        14..20 => state.ask_for_offer(actions, call),
        20..34 => {
            state.change(actions, call, Method::Update, 0);
        }
        34..39 => state.say(actions, call, Method::Info),
        39..44 => state.say(actions, call, Method::Message),
        44..48 => state.say(actions, call, Method::Options),
        48..57 => state.refer(actions, call),
        57..69 => {
            state.relocate(actions);
        }
        69..75 => {
            state.bye(actions, call);
        }
        _ => outside(state, actions),
    }
}

/// Beside a call.
fn outside(state: &mut State, actions: &mut Actions) {
    match state.random.below(8) {
        0 | 1 => state.subscribe(actions),
        2 | 3 => {
            if let Some((dialog, event)) = state.watched(false) {
                let over = state.random.chance(0.5);
                state.resubscribe(actions, dialog, &event, over);
            }
        }
        4 | 5 => {
            let over = state.random.chance(0.4);
            state.notify_unasked(actions, over);
        }
        6 => state.say_outside(actions, Method::Message),
        _ => state.say_outside(actions, Method::Options),
    }
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Kind {
    Direct,
    Proxied,
    Forked,
}

struct Cast {
    world: World,
    hosts: Vec<HostId>,
    /// The caller first.
    parties: Vec<Party>,
    proxy: Option<calls::Record>,
    has_session_timers: bool,
}

fn faults(random: &mut Random, seed: u64) -> Faults {
    let delay = milliseconds(1 + random.below(40));
    Faults {
        loss: [0.0, 0.05, 0.1, 0.2][usize::try_from(seed % 4).unwrap()],
        duplication: [0.0, 0.1][usize::try_from(seed / 4 % 2).unwrap()],
        delay,
        most_delay: delay + milliseconds([0, 60, 700][usize::try_from(seed / 8 % 3).unwrap()]),
    }
}

/// Alice calls Bob, or Bob and Carol.
fn cast(kind: Kind, seed: u64) -> Cast {
    let mut random = Random::new(seed, 3000);
    let network = faults(&mut random, seed);
    let mut world = World::new(seed, network);
    let has_session_timers = random.chance(0.5);
    let refresher = random.chance(0.5).then_some(Refresher::Uas);
    let add = |world: &mut World, name: &str, at: usize| {
        let mut config = simnet::host::config(HostId(at));
        if has_session_timers {
            config.session.expires = Some(90);
            config.session.refresher = refresher;
        }
        world.host_with(name, config)
    };
    let names: &[&'static str] = match kind {
        Kind::Direct | Kind::Proxied => &["alice", "bob"],
        Kind::Forked => &["alice", "bob", "carol"],
    };
    let mut hosts: Vec<HostId> = Vec::new();
    for (at, name) in names.iter().enumerate() {
        hosts.push(add(&mut world, name, at));
    }
    let mut parties = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let peer = if at == 0 {
            hosts[1].uri("bob")
        } else {
            hosts[0].uri("alice")
        };
        let manner = manner(&mut random, at > 0);
        parties.push(Party::new(name, seed, peer, manner));
    }
    let mut proxy = None;
    if kind != Kind::Direct {
        let host = world.host("proxy");
        let options = ProxyOptions {
            record_route: true,
            forking: Forking::Simultaneous,
            ..ProxyOptions::default()
        };
        let targets = hosts[1..].iter().map(|host| host.uri("bob")).collect();
        let (forwarder, seen) = calls::Forwarder::new(targets, options);
        world.script(host, forwarder);
        proxy = Some(seen);
        parties[0].state().by = Some(format!("sip:{};lr", host.address().ip()));
        hosts.push(host);
    }
    for (host, party) in hosts.iter().zip(&parties) {
        world.script(*host, party.clone());
    }
    Cast {
        world,
        hosts,
        parties,
        proxy,
        has_session_timers,
    }
}

fn manner(random: &mut Random, answers: bool) -> Manner {
    let rings = milliseconds(random.below(300));
    let decides = rings + milliseconds(random.below(1500));
    let status = [180, 183][usize::try_from(random.below(2)).unwrap()];
    let last = if random.chance(0.9) { 200 } else { 486 };
    let mut all = vec![(rings, status)];
    if random.chance(0.3) {
        all.push((rings + milliseconds(random.below(100)), 182));
    }
    all.push((decides, last));
    Manner {
        answers: if answers { all } else { Vec::new() },
        reliable: random.chance(0.6),
        describes_early: random.chance(0.6),
        refuses: 5,
        steps: u32::try_from(4 + random.below(9)).unwrap(),
        refer_takes: milliseconds(random.below(2000)),
        ..Manner::default()
    }
}

/// One walk; gives what is not as it should be, and what was done.
fn play(kind: Kind, seed: u64) -> (Vec<String>, BTreeMap<String, u32>, String) {
    let mut cast = cast(kind, seed);
    let (world, parties) = (&mut cast.world, &cast.parties);
    let offers = seed % 3 != 0;
    world.act(cast.hosts[0], |actions| {
        parties[0].state().invite(actions, offers)
    });
    for (host, party) in cast.hosts.iter().zip(parties) {
        world.act(*host, |actions| party.state().start_walk(actions, step));
    }
    world.run(Duration::from_secs(15));
    // What is said from now on arrives: an end that one side does not know of is found out by the timers.
    world.faults = Faults::none();
    world.run(Duration::from_secs(250));
    let others: Vec<&Party> = parties[1..].iter().collect();
    let mut faults = Vec::new();
    // Without session timers nobody finds out that the peer never got the BYE.
    let lost_bye = parties.iter().any(|party| {
        let state = party.state();
        let mut byes = state
            .clients
            .values()
            .filter(|client| client.method == Method::Bye);
        byes.any(|bye| bye.finals.iter().any(|(_, _, is_made)| *is_made))
    });
    if cast.has_session_timers || !lost_bye {
        faults.extend(audit::agreement(&parties[0], &others));
    }
    let both = seed % 5 == 0;
    for (at, (host, party)) in cast.hosts.iter().zip(parties).enumerate() {
        let call = party.state().call();
        if let Some(call) = call.filter(|_| both || at == usize::from(seed % 2 == 0)) {
            world.act(*host, |actions| party.state().bye(actions, call));
        }
    }
    world.run(Duration::from_secs(100));
    // Whoever is left: a third party, or the other one of a call whose BYE was lost.
    for (host, party) in cast.hosts.iter().zip(parties) {
        let call = party.state().call();
        if let Some(call) = call {
            world.act(*host, |actions| party.state().bye(actions, call));
        }
    }
    world.run(Duration::from_secs(600));
    let mut tally = BTreeMap::new();
    for party in parties {
        faults.extend(audit::outcomes(party));
        faults.extend(audit::all_over(party));
        for (what, count) in &party.state().tally {
            *tally.entry(what.clone()).or_default() += count;
        }
    }
    faults.extend(audit::tables(world, &cast.hosts));
    faults.extend(audit::wire(world));
    faults.extend(
        cast.proxy
            .iter()
            .flat_map(|proxy| proxy.borrow().faults.clone()),
    );
    let ladder = if faults.is_empty() {
        String::new()
    } else {
        world.draw()
    };
    (faults, tally, ladder)
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn play_all(kind: Kind) {
    let seeds = match number("DRACHT_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("DRACHT_SEEDS").unwrap_or(1000),
    };
    let mut tally: BTreeMap<String, u32> = BTreeMap::new();
    for seed in seeds.clone() {
        let (faults, seen, ladder) = play(kind, seed);
        assert!(
            faults.is_empty(),
            "{kind:?}, seed {seed}:\n{faults:#?}\n{ladder}"
        );
        for (what, count) in seen {
            *tally.entry(what).or_default() += count;
        }
    }
    println!("{kind:?}, {} seeds: {tally:#?}", seeds.end - seeds.start);
    if seeds.end - seeds.start < 1000 {
        return;
    }
    // A test that proves nothing is noticed.
    for what in [
        "INVITE 200",
        "INVITE 491",
        "UPDATE 200",
        "PRACK 200",
        "BYE 200",
        "CANCEL",
        "INFO 200",
        "MESSAGE 200",
        "OPTIONS 200",
        "SUBSCRIBE 200",
        "NOTIFY 200",
        "REFER 202",
        "reliable",
        "refreshed",
        "unsubscribed",
        "moved",
        "tried again",
    ] {
        assert!(
            tally.get(what).is_some_and(|count| *count > 20),
            "{what}: {tally:#?}"
        );
    }
}

#[test]
fn everything_straight() {
    play_all(Kind::Direct);
}

#[test]
fn everything_by_way_of_a_proxy() {
    play_all(Kind::Proxied);
}

#[test]
fn everything_forked_to_two() {
    play_all(Kind::Forked);
}
