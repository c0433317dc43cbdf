//! Over a network that loses, repeats and reorders, every subscription and every REFER ends at both ends, at about the same time
//! when its time runs out, never before it, and at rest every table is empty.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod watching;

use engine::event::{Request, Response, SubscriptionEndReason};
use engine::id::{CommandId, DialogId, TransactionId};
use engine::{Event, Time};
use simnet::{Actions, Application, Faults, Random, World};
use sip::Method;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use watching::{header, respond, send_in};

const SEEDS: u64 = 1000;

/// What one end saw.
#[derive(Debug, Default)]
struct Seen {
    /// When and how it ended, as the application knows.
    ended: Vec<(Time, String)>,
    /// Until when the latest answer or NOTIFY lets it live.
    until: Option<Time>,
    /// SUBSCRIBEs or REFERs that reached the notifier, and NOTIFYs that reached the subscriber.
    requests: usize,
    faults: Vec<String>,
}

type Record = Rc<RefCell<Seen>>;

#[derive(Copy, Clone, Debug)]
struct Plan {
    refers: bool,
    /// Seconds.
    life: u64,
    refreshes: u32,
    unsubscribes: bool,
    /// After so long the notifier ends it.
    terminates: Option<Duration>,
}

impl Plan {
    fn event(&self) -> &'static str {
        if self.refers { "refer" } else { "presence" }
    }
}

fn is_terminated(message: &sip::Message) -> bool {
    header(message, "Subscription-State").starts_with("terminated")
}

struct Subscriber {
    plan: Plan,
    seen: Record,
    uri: String,
    dialog: Option<DialogId>,
    refreshes: u32,
    began: bool,
    asked: Vec<CommandId>,
    asking: Vec<TransactionId>,
}

impl Subscriber {
    fn end(&self, now: Time, how: &str) {
        self.seen.borrow_mut().ended.push((now, how.to_owned()));
    }

    fn response(&mut self, response: &Response, now: Time) {
        let status = response.message.status();
        let first = self.dialog.is_none();
        if status < 300 {
            self.dialog = self.dialog.or(response.dialog);
        } else if first || matches!(status, 481 | 489) {
            self.end(now, &format!("refused {status}"));
        }
    }

    fn request(&mut self, request: &Request, actions: &mut Actions) {
        self.seen.borrow_mut().requests += 1;
        self.dialog = self.dialog.or(request.dialog);
        actions.respond(request.transaction, 200, b"");
        if is_terminated(&request.message) {
            self.end(actions.now, "NOTIFY");
        }
    }
}

impl Application for Subscriber {
    fn event(&mut self, event: Event, actions: &mut Actions) {
        match event {
            Event::Sent(sent) if self.asked.contains(&sent.command) => {
                self.asking.push(sent.transaction)
            }
            Event::Sent(_) => {}
            Event::Response(response) if self.asking.contains(&response.transaction) => {
                self.response(&response, actions.now)
            }
            Event::Request(request) => self.request(&request, actions),
            Event::SubscriptionEnded(ended) if !ended.is_notifier => {
                self.end(actions.now, &format!("{:?}", ended.reason))
            }
            // A refresh of what has ended meanwhile.
            Event::Failed(_) if !self.seen.borrow().ended.is_empty() => {}
            other => self.seen.borrow_mut().faults.push(format!("{other:?}")),
        }
    }

    fn wake(&mut self, actions: &mut Actions) {
        let plan = self.plan;
        let (life, next) = (
            plan.life.to_string(),
            Duration::from_secs(plan.life) * 8 / 10,
        );
        if !self.began {
            self.began = true;
            actions.wake_after(next);
            let command = if plan.refers {
                actions.send(
                    Method::Refer,
                    &self.uri,
                    &[("Refer-To", "<sip:c@192.0.2.3>")],
                    b"",
                )
            } else {
                let fields = [("Event", "presence"), ("Expires", life.as_str())];
                actions.send(Method::Subscribe, &self.uri, &fields, b"")
            };
            return self.asked.push(command);
        }
        let Some(dialog) = self.dialog.filter(|_| !plan.refers) else {
            return;
        };
        let fields = [("Event", "presence"), ("Expires", life.as_str())];
        if self.refreshes < plan.refreshes {
            self.refreshes += 1;
            actions.wake_after(next);
            self.asked
                .push(send_in(actions, dialog, Method::Subscribe, &fields));
        } else if plan.unsubscribes {
            let fields = [("Event", "presence"), ("Expires", "0")];
            self.asked
                .push(send_in(actions, dialog, Method::Subscribe, &fields));
        }
    }
}

struct Notifier {
    plan: Plan,
    seen: Record,
    dialog: Option<DialogId>,
    answers: Vec<CommandId>,
    last: Option<(CommandId, Option<TransactionId>)>,
    notifies: Vec<(CommandId, Option<TransactionId>)>,
    over: bool,
}

impl Notifier {
    fn end(&self, now: Time, how: &str) {
        self.seen.borrow_mut().ended.push((now, how.to_owned()));
    }

    fn notify(&mut self, actions: &mut Actions) {
        let Some(dialog) = self.dialog.filter(|_| self.last.is_none()) else {
            return;
        };
        let state = if self.over {
            "terminated;reason=noresource".to_owned()
        } else {
            let until = self.seen.borrow().until.unwrap_or(actions.now);
            format!("active;expires={}", until.since(actions.now).as_secs())
        };
        let fields = [
            ("Event", self.plan.event()),
            ("Subscription-State", state.as_str()),
        ];
        let command = send_in(actions, dialog, Method::Notify, &fields);
        if self.over {
            self.last = Some((command, None));
        } else {
            self.notifies.push((command, None));
        }
    }

    fn request(&mut self, request: &Request, actions: &mut Actions) {
        let asked = request.message.expires().ok().flatten().map(u64::from);
        let life = if self.plan.refers {
            self.plan.life
        } else {
            asked.unwrap_or(0)
        };
        let expires = life.to_string();
        let first = self.seen.borrow().requests == 0;
        self.seen.borrow_mut().requests += 1;
        if life == 0 {
            self.over = true;
        } else {
            self.seen.borrow_mut().until = Some(actions.now + Duration::from_secs(life));
        }
        self.answers.push(respond(
            actions,
            request.transaction,
            200,
            &[("Expires", &expires)],
        ));
        if let (true, Some(after)) = (first, self.plan.terminates) {
            actions.wake_after(after);
        }
    }
}

impl Application for Notifier {
    fn event(&mut self, event: Event, actions: &mut Actions) {
        match event {
            Event::Sent(sent) => {
                if self.answers.contains(&sent.command) {
                    self.dialog = sent.dialog;
                    return self.notify(actions);
                }
                for (command, transaction) in self.notifies.iter_mut().chain(self.last.as_mut()) {
                    if *command == sent.command {
                        *transaction = Some(sent.transaction);
                    }
                }
            }
            Event::Response(response) => {
                let status = response.message.status();
                let last = self
                    .last
                    .is_some_and(|(_, it)| it == Some(response.transaction));
                if last || matches!(status, 481 | 489 | 408) {
                    self.end(actions.now, &format!("NOTIFY answered {status}"));
                }
            }
            Event::Request(request) => self.request(&request, actions),
            Event::SubscriptionEnded(ended) if ended.is_notifier => {
                if let Some(until) = self
                    .seen
                    .borrow()
                    .until
                    .filter(|until| *until > actions.now)
                {
                    if ended.reason == SubscriptionEndReason::Expired && !self.over {
                        let early = until.since(actions.now);
                        // A NOTIFY says whole seconds.
                        assert!(early < Duration::from_secs(1), "ended {early:?} too early");
                    }
                }
                self.end(actions.now, &format!("{:?}", ended.reason))
            }
            Event::Failed(_) if !self.seen.borrow().ended.is_empty() => {}
            other => self.seen.borrow_mut().faults.push(format!("{other:?}")),
        }
    }

    fn wake(&mut self, actions: &mut Actions) {
        if self.seen.borrow().requests == 0 {
            return;
        }
        self.over = true;
        self.notify(actions);
    }
}

/// One subscription of that seed; gives how it ended at each end.
fn play(seed: u64) -> (String, String) {
    let mut random = Random::new(seed, 2000);
    let delay = Duration::from_millis(random.below(40) + 1);
    let faults = Faults {
        loss: [0.0, 0.1, 0.2, 0.4, 0.6][usize::try_from(seed % 5).unwrap()],
        duplication: 0.1,
        delay,
        most_delay: delay + Duration::from_millis(random.below(400)),
    };
    let plan = Plan {
        refers: random.chance(0.3),
        life: 10 + random.below(60),
        refreshes: u32::try_from(random.below(3)).unwrap(),
        unsubscribes: random.chance(0.4),
        terminates: random
            .chance(0.4)
            .then(|| Duration::from_millis(random.below(90_000))),
    };
    let mut world = World::new(seed, faults);
    let [alice, bob] = [world.host("alice"), world.host("bob")];
    let [here, there] = [Record::default(), Record::default()];
    world.note(format!("{plan:?}"));
    world.script(
        bob,
        Notifier {
            plan,
            seen: Rc::clone(&there),
            dialog: None,
            answers: Vec::new(),
            last: None,
            notifies: Vec::new(),
            over: false,
        },
    );
    world.script(
        alice,
        Subscriber {
            plan,
            seen: Rc::clone(&here),
            uri: bob.uri("bob"),
            dialog: None,
            refreshes: 0,
            began: false,
            asked: Vec::new(),
            asking: Vec::new(),
        },
    );
    world.rest();
    let (here, there) = (here.borrow(), there.borrow());
    world.note(format!("subscriber {here:?}"));
    world.note(format!("notifier {there:?}"));
    assert_eq!((&here.faults, &there.faults), (&vec![], &vec![]));
    assert!(!here.ended.is_empty(), "the subscriber saw the end");
    assert_eq!(
        there.ended.is_empty(),
        there.requests == 0,
        "the notifier saw the end of what it accepted"
    );
    let how = |seen: &Seen| {
        seen.ended
            .first()
            .map_or("never began".to_owned(), |(_, how)| how.clone())
    };
    let (one, other) = (how(&here), how(&there));
    // Its time ran out at both ends at about the same time: what the subscriber waits longer is the last NOTIFY's time.
    if other == "Expired" {
        let apart = here.ended[0].0.since(there.ended[0].0);
        assert!(apart <= Duration::from_secs(2 * 32 + 1), "{apart:?} apart");
    }
    (one, other)
}

#[test]
fn every_subscription_ends_at_both_ends() {
    let mut tally = std::collections::BTreeMap::new();
    for seed in 0..SEEDS {
        *tally.entry(play(seed)).or_insert(0) += 1;
    }
    println!("{tally:#?}");
    let count = |one: &str, other: &str| {
        let matching = tally.iter().filter(|((a, b), _)| a == one && b == other);
        matching.map(|(_, count)| *count).sum::<usize>()
    };
    // A test that proves nothing is noticed.
    assert!(count("NOTIFY", "NOTIFY answered 200") > 100, "{tally:?}");
    assert!(count("NOTIFY", "Expired") > 100, "{tally:?}");
    assert!(
        tally.keys().any(|(one, _)| one == "refused 481"),
        "{tally:?}"
    );
    assert!(tally.keys().any(|(one, _)| one == "Expired"), "{tally:?}");
}
