//! Two messages that cross, in every order of sending and of arrival, with and without the loss of any one message: no dialog is
//! stuck, both ends believe the same, nothing is left at rest.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod party;

use party::{Manner, Party, State, audit};
use simnet::ladder::Fate;
use simnet::{Actions, Faults, HostId, Packet, Passage, World};
use sip::Method;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::time::Duration;

type Act = fn(&mut State, &mut Actions);

/// A wrong machine: the datagrams that it would not have sent, by their bytes and how often it sent them.
type Wrong = fn(&Packet, usize) -> bool;

/// Two acts that cross.
#[derive(Clone)]
struct Case {
    name: &'static str,
    /// Alice's and Bob's.
    acts: [Act; 2],
    /// How the call stands before.
    before: Before,
    /// Whether the call stands after; none: as it happens.
    lives: Option<bool>,
    /// How often each side has changed the session after.
    changed: Option<[u32; 2]>,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Before {
    Ringing,
    /// A reliable provisional response, with a description or without, that has no PRACK.
    Progress(bool),
    Called,
    Nothing,
    Subscribed,
}

/// What the network does to the messages of the crossing.
#[derive(Clone, Debug)]
struct Network {
    /// Who acts first, and how much later the other.
    first: usize,
    offset: u64,
    /// What each datagram takes, in milliseconds, in the order in which they are sent; the rest takes one.
    delays: Vec<u64>,
    /// The datagram that is lost.
    lost: Option<usize>,
}

const DELAYS: [u64; 3] = [1, 30, 620];

/// Every order: who begins, how far apart, how long each of the first four messages takes, which one is lost.
fn networks() -> Vec<Network> {
    let mut all = Vec::new();
    for (first, offset) in [(0, 0), (0, 10), (0, 40), (1, 10), (1, 40)] {
        let mut add = |delays: Vec<u64>, lost| {
            all.push(Network {
                first,
                offset,
                delays,
                lost,
            });
        };
        for number in 0..81_usize {
            add(
                (0..4)
                    .map(|place| DELAYS[number / 3_usize.pow(place) % 3])
                    .collect(),
                None,
            );
        }
        for lost in 0..8 {
            for number in 0..8_usize {
                add(
                    (0..3)
                        .map(|place| DELAYS[1 + number / 2_usize.pow(place) % 2])
                        .collect(),
                    Some(lost),
                );
            }
            add(Vec::new(), Some(lost));
        }
    }
    all
}

struct Played {
    faults: Vec<String>,
    /// What was sent, in order.
    course: String,
    ladder: String,
}

fn begin(case: &Case, seed: u64) -> (World, [HostId; 2], [Party; 2]) {
    let mut world = World::new(seed, Faults::none());
    let hosts = [world.host("alice"), world.host("bob")];
    let manner = Manner {
        reliable: matches!(case.before, Before::Progress(_)),
        describes_early: case.before == Before::Progress(true),
        pracks: !matches!(case.before, Before::Progress(_)),
        answers: match case.before {
            Before::Called => vec![
                (Duration::from_millis(5), 180),
                (Duration::from_millis(10), 200),
            ],
            Before::Ringing => vec![(Duration::from_millis(5), 180)],
            Before::Progress(_) => vec![(Duration::from_millis(5), 183)],
            Before::Nothing | Before::Subscribed => Vec::new(),
        },
        ..Manner::default()
    };
    let parties = [
        Party::new("alice", seed, hosts[1].uri("bob"), manner.clone()),
        Party::new("bob", seed, hosts[0].uri("alice"), manner),
    ];
    for (host, party) in hosts.into_iter().zip(&parties) {
        world.script(host, party.clone());
    }
    world.act(hosts[0], |actions| match case.before {
        Before::Nothing => {}
        Before::Subscribed => parties[0].state().subscribe(actions),
        Before::Ringing | Before::Progress(_) | Before::Called => {
            parties[0].state().invite(actions, true)
        }
    });
    // Shorter than the first repetition.
    world.run(Duration::from_millis(100));
    (world, hosts, parties)
}

fn play(case: &Case, network: &Network, seed: u64, wrong: Option<Wrong>) -> Played {
    let (mut world, hosts, parties) = begin(case, seed);
    let before = world.ladder().steps().len();
    let (sent, plan) = (Cell::new(0), network.clone());
    let seen: RefCell<std::collections::HashMap<Vec<u8>, usize>> = RefCell::default();
    world.schedule(move |packet| {
        let at = sent.replace(sent.get() + 1);
        let mut seen = seen.borrow_mut();
        let times = seen.entry(packet.bytes.to_vec()).or_default();
        *times += 1;
        if plan.lost == Some(at) || wrong.is_some_and(|machine| machine(packet, *times)) {
            return Passage::Lost;
        }
        let delay = plan.delays.get(at).copied().unwrap_or(1);
        Passage::After(Duration::from_millis(delay))
    });
    for side in [network.first, 1 - network.first] {
        let act = case.acts[side];
        world.act(hosts[side], |actions| {
            act(&mut parties[side].state(), actions)
        });
        if side == network.first {
            world.run(Duration::from_millis(network.offset));
        }
    }
    // Longer than every timer of a transaction, shorter than a subscription takes to be given up.
    world.run(Duration::from_secs(100));
    let mut faults = audit::agreement(&parties[0], &[&parties[1]]);
    let lives = parties[0].state().call();
    if case
        .lives
        .is_some_and(|expected| expected != lives.is_some())
    {
        faults.push(format!("the call stands: {}", lives.is_some()));
    }
    let changed = [0, 1].map(|side| parties[side].state().changed);
    if case.changed.is_some_and(|expected| expected != changed) {
        faults.push(format!("the session was changed {changed:?} times"));
    }
    let course = course(&world, before);
    if let Some(dialog) = lives {
        world.act(hosts[0], |actions| parties[0].state().bye(actions, dialog));
    }
    world.run(Duration::from_secs(600));
    for party in &parties {
        faults.extend(audit::outcomes(party));
        faults.extend(audit::all_over(party));
        faults.extend(unanswered(&party.state()));
    }
    faults.extend(audit::tables(&world, &hosts));
    faults.extend(audit::wire(&world));
    Played {
        faults,
        course,
        ladder: world.draw(),
    }
}

/// One loss is made good by a repetition, so that every request is answered by the peer. Only a re-INVITE whose call was ended
/// meanwhile by the peer may wait in vain: its 2xx is not repeated any more.
fn unanswered(state: &State) -> Vec<String> {
    let made = state.clients.values().filter(|client| {
        let over = client.dialog.and_then(|dialog| state.legs.get(&dialog));
        let over = over.is_some_and(|leg| leg.ended.first().is_some_and(|how| how == "BYE"));
        let excused = client.method == Method::Invite && over;
        !excused && client.finals.iter().any(|(_, _, is_made)| *is_made)
    });
    made.map(|client| format!("a request went unanswered: {client:?}"))
        .collect()
}

/// What was sent in the crossing, in this order: it follows from what arrived in which order.
fn course(world: &World, before: usize) -> String {
    let steps = world.ladder().steps().iter().skip(before);
    let lines = steps.map(|step| {
        let lost = if step.fate == Fate::Lost { " lost" } else { "" };
        format!("{} {}{lost}", step.packet.from, step.packet.start_line())
    });
    lines.collect::<Vec<_>>().join("\n")
}

const CANCEL: Act = |state, actions| {
    state.cancel(actions);
};
const ANSWER: Act = |state, actions| {
    state.answer(actions, 200);
};
const RELIABLE: Act = |state, actions| {
    (state.manner.reliable, state.manner.describes_early) = (true, true);
    state.answer(actions, 183);
    // Waits for the PRACK.
    state.answer(actions, 200);
};
const REFUSE: Act = |state, actions| {
    state.answer(actions, 486);
};
const BYE: Act = |state, actions| {
    if let Some(call) = state.call() {
        state.bye(actions, call);
    }
};
const REINVITE: Act = |state, actions| {
    if let Some(call) = state.call() {
        state.change(actions, call, Method::Invite, 0);
    }
};
const LATE_OFFER: Act = |state, actions| {
    if let Some(call) = state.call() {
        state.ask_for_offer(actions, call);
    }
};
const UPDATE: Act = |state, actions| {
    if let Some(call) = state.call() {
        state.change(actions, call, Method::Update, 0);
    }
};
const PRACK: Act = |state, actions| state.acknowledge_progress(actions);
const REFER: Act = |state, actions| {
    if let Some(call) = state.call() {
        state.refer(actions, call);
    }
};
const SUBSCRIBE: Act = |state, actions| state.subscribe(actions);
const REFRESH: Act = |state, actions| {
    if let Some((dialog, event)) = state.watched(false) {
        state.resubscribe(actions, dialog, &event, false);
    }
};
const UNSUBSCRIBE: Act = |state, actions| {
    if let Some((dialog, event)) = state.watched(false) {
        state.resubscribe(actions, dialog, &event, true);
    }
};
const NOTIFY: Act = |state, actions| {
    state.notify_unasked(actions, false);
};
const LAST_NOTIFY: Act = |state, actions| {
    state.notify_unasked(actions, true);
};
const NOTHING: Act = |_, _| {};

/// Plays a case in every order; the acts of Alice and Bob exchanged as well, where both have a call.
fn cross(
    name: &'static str,
    before: Before,
    acts: [Act; 2],
    lives: Option<bool>,
    changed: Option<[u32; 2]>,
) {
    let mut cases = vec![Case {
        name,
        acts,
        before,
        lives,
        changed,
    }];
    if before == Before::Called {
        let mut other = cases[0].clone();
        other.acts.reverse();
        if let Some(changed) = other.changed.as_mut() {
            changed.reverse();
        }
        cases.push(other);
    }
    let networks = networks();
    let mut courses = BTreeSet::new();
    for (side, case) in cases.iter().enumerate() {
        for (seed, network) in networks.iter().enumerate() {
            let played = play(case, network, seed as u64, None);
            assert!(
                played.faults.is_empty(),
                "{} (side {side}) over {network:?}:\n{:#?}\n{}",
                case.name,
                played.faults,
                played.ladder
            );
            courses.insert(played.course);
        }
    }
    println!(
        "{name}: {} runs, {} different courses",
        networks.len() * cases.len(),
        courses.len()
    );
    assert!(courses.len() > 20, "{name}: only {} courses", courses.len());
}

#[test]
fn cancel_crosses_the_200() {
    cross(
        "CANCEL and 200",
        Before::Ringing,
        [CANCEL, ANSWER],
        None,
        None,
    );
}

#[test]
fn cancel_crosses_a_refusal() {
    cross(
        "CANCEL and 486",
        Before::Ringing,
        [CANCEL, REFUSE],
        Some(false),
        None,
    );
}

#[test]
fn bye_crosses_bye() {
    cross("BYE and BYE", Before::Called, [BYE, BYE], Some(false), None);
}

#[test]
fn a_reinvite_crosses_bye() {
    cross(
        "re-INVITE and BYE",
        Before::Called,
        [REINVITE, BYE],
        Some(false),
        None,
    );
    cross(
        "re-INVITE without an offer and BYE",
        Before::Called,
        [LATE_OFFER, BYE],
        Some(false),
        None,
    );
}

#[test]
fn a_reinvite_crosses_a_reinvite() {
    cross(
        "re-INVITE and re-INVITE",
        Before::Called,
        [REINVITE, REINVITE],
        Some(true),
        Some([1, 1]),
    );
    cross(
        "re-INVITE and one without an offer",
        Before::Called,
        [REINVITE, LATE_OFFER],
        Some(true),
        None,
    );
}

#[test]
fn an_update_crosses_a_reinvite() {
    cross(
        "UPDATE and re-INVITE",
        Before::Called,
        [UPDATE, REINVITE],
        Some(true),
        Some([1, 1]),
    );
}

#[test]
fn an_update_crosses_an_update() {
    cross(
        "UPDATE and UPDATE",
        Before::Called,
        [UPDATE, UPDATE],
        Some(true),
        Some([1, 1]),
    );
}

#[test]
fn a_prack_crosses_the_200() {
    for describes in [false, true] {
        cross(
            "PRACK and 200",
            Before::Progress(describes),
            [PRACK, ANSWER],
            Some(true),
            None,
        );
    }
}

#[test]
fn a_prack_is_overtaken_by_an_update() {
    let both: Act = |state, actions| {
        state.acknowledge_progress(actions);
        let early = state.legs.keys().next().copied();
        state.change(actions, early.unwrap(), Method::Update, 0);
    };
    cross(
        "PRACK, UPDATE and 200",
        Before::Progress(true),
        [both, ANSWER],
        Some(true),
        Some([1, 0]),
    );
}

#[test]
fn a_prack_crosses_a_refusal_and_a_cancel() {
    for describes in [false, true] {
        cross(
            "PRACK and 486",
            Before::Progress(describes),
            [PRACK, REFUSE],
            Some(false),
            None,
        );
        let both: Act = |state, actions| {
            state.acknowledge_progress(actions);
            state.cancel(actions);
        };
        cross(
            "PRACK, CANCEL and 200",
            Before::Progress(describes),
            [both, ANSWER],
            None,
            None,
        );
    }
}

#[test]
fn a_refer_crosses_bye() {
    cross(
        "REFER and BYE",
        Before::Called,
        [REFER, BYE],
        Some(false),
        None,
    );
    let both: Act = |state, actions| {
        if let Some(call) = state.call() {
            state.refer(actions, call);
            state.bye(actions, call);
        }
    };
    cross(
        "REFER and BYE from one side",
        Before::Called,
        [both, NOTHING],
        Some(false),
        None,
    );
    cross(
        "REFER and REFER",
        Before::Called,
        [REFER, REFER],
        Some(true),
        None,
    );
}

#[test]
fn a_subscribe_crosses_a_notify() {
    cross(
        "the first SUBSCRIBE and its NOTIFY",
        Before::Nothing,
        [SUBSCRIBE, NOTHING],
        Some(false),
        None,
    );
    cross(
        "refresh and NOTIFY",
        Before::Subscribed,
        [REFRESH, NOTIFY],
        Some(false),
        None,
    );
    cross(
        "refresh and the last NOTIFY",
        Before::Subscribed,
        [REFRESH, LAST_NOTIFY],
        Some(false),
        None,
    );
    cross(
        "unsubscription and NOTIFY",
        Before::Subscribed,
        [UNSUBSCRIBE, NOTIFY],
        Some(false),
        None,
    );
    cross(
        "unsubscription and the last NOTIFY",
        Before::Subscribed,
        [UNSUBSCRIBE, LAST_NOTIFY],
        Some(false),
        None,
    );
}

/// How many of the courses show that a machine is wrong, and what they say of it.
fn caught(case: &Case, wrong: Wrong) -> (usize, BTreeSet<String>) {
    let (mut count, mut said) = (0, BTreeSet::new());
    for (seed, network) in networks().iter().enumerate() {
        let played = play(case, network, seed as u64, Some(wrong));
        count += usize::from(!played.faults.is_empty());
        let words = |fault: &String| fault.split([':', '{', '[']).next().map(str::to_owned);
        said.extend(played.faults.iter().filter_map(words));
    }
    (count, said)
}

/// The checks above can fail: each of these machines, which does not do what it should, fails them.
#[test]
fn a_machine_that_is_wrong_is_caught() {
    let case = |name, before, acts, lives, changed| Case {
        name,
        acts,
        before,
        lives,
        changed,
    };
    let glare = case(
        "re-INVITEs",
        Before::Called,
        [REINVITE, NOTHING],
        Some(true),
        Some([1, 0]),
    );
    let answer = case("200", Before::Ringing, [NOTHING, ANSWER], Some(true), None);
    let refusal = case("486", Before::Ringing, [NOTHING, REFUSE], Some(false), None);
    let progress = case(
        "PRACK",
        Before::Ringing,
        [NOTHING, RELIABLE],
        Some(true),
        None,
    );
    let bye = case("BYE", Before::Called, [BYE, NOTHING], Some(false), None);
    let repeated =
        |packet: &Packet, times: usize| times > 1 && packet.start_line().starts_with("SIP/2.0");
    let machines: [(&str, &Case, Wrong); 8] = [
        ("a 2xx is not repeated", &answer, |packet, times| {
            times > 1 && packet.answers(200, "INVITE")
        }),
        (
            "a 2xx within a dialog is not repeated",
            &glare,
            |packet, times| times > 1 && packet.answers(200, "INVITE"),
        ),
        (
            "an ACK is not repeated for a repeated 2xx",
            &answer,
            |packet, times| times > 1 && packet.is("ACK"),
        ),
        ("nobody sends an ACK", &answer, |packet, _| packet.is("ACK")),
        ("a refusal is not repeated", &refusal, |packet, times| {
            times > 1 && packet.answers(486, "INVITE")
        }),
        (
            "a reliable provisional response is not repeated",
            &progress,
            |packet, times| times > 1 && packet.answers(183, "INVITE"),
        ),
        ("a BYE is not repeated", &bye, |packet, times| {
            times > 1 && packet.is("BYE")
        }),
        ("a repeated request gets no answer", &bye, repeated),
    ];
    for (name, case, wrong) in machines {
        assert_eq!(
            caught(case, |_, _| false).0,
            0,
            "{}: without the machine",
            case.name
        );
        let (count, said) = caught(case, wrong);
        println!("{name}: {count} courses, {said:?}");
        assert!(count > 0, "{name} is not noticed");
    }
}
