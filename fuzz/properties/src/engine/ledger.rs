//! What was promised and what was seen: outcomes of commands, final responses of transactions.
use engine::event::Event;
use engine::id::{ApplicationId, CommandId, DialogId, TransactionId};
use engine::{Time, Transmit};
use sip::{HeaderName, Message, Method};
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// How a command is answered.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// By one `Sent`, `Exported` or `Imported`, or one `Failed`.
    Once,
    /// By one `ProxyDone` or one `Failed`.
    Proxy,
    /// By one `Failed` at most.
    FailureAtMost,
}

/// How long two final responses of one server transaction could not belong to two: shorter than timer I.
const SAME: Duration = Duration::from_secs(4);

/// The record of one run.
#[derive(Default)]
pub struct Ledger {
    pending: HashMap<(ApplicationId, CommandId), Outcome>,
    /// Commands of applications that went. One that comes back under its number, as none does outside of here, may hear of them.
    past: HashSet<(ApplicationId, CommandId)>,
    /// The final answers that applications were told they have given; with the method, as an UPDATE may be answered under the name of
    /// its INVITE.
    answered: HashSet<(TransactionId, Method)>,
    /// The final responses that applications were told of, with the dialog of a 2xx.
    heard: HashMap<TransactionId, HashSet<Option<DialogId>>>,
    /// By what identifies a server transaction on the wire: when, and what.
    finals: HashMap<String, (Time, Message)>,
    /// Those of which one went out beside what a proxy without transactions passed on: nothing more is said of them.
    loose: HashSet<String>,
    /// Call-ID and CSeq of requests that were forwarded without a transaction, and their branches, by which a CANCEL follows whatever else it
    /// says: whatever answers them is passed on.
    stateless: HashSet<(String, u32)>,
    stateless_branches: HashSet<String>,
}

fn call_and_number(message: &Message) -> Option<(String, u32)> {
    Some((
        message.call_id().ok()?.to_owned(),
        message.cseq().ok()?.number,
    ))
}

/// Whether it is the same response. What is refused without a transaction has the Via of each request as it was written: space around the
/// `=` of a parameter makes no other branch (RFC 3261 §25.1: EQUAL).
fn is_repeated(first: &Message, message: &Message) -> bool {
    let solid = |message: &Message| -> Vec<u8> {
        let bytes = message.as_bytes().iter().copied();
        bytes.filter(|byte| !matches!(byte, b' ' | b'\t')).collect()
    };
    first.as_bytes() == message.as_bytes() || solid(first) == solid(message)
}

fn branches(message: &Message) -> Vec<String> {
    let vias = message.vias().flatten();
    vias.filter_map(|via| via.branch().map(str::to_owned))
        .collect()
}

impl Ledger {
    /// A command was given.
    pub fn asked(&mut self, application: ApplicationId, command: CommandId, outcome: Outcome) {
        self.pending.insert((application, command), outcome);
    }

    /// A request is forwarded without a transaction.
    pub fn forwarded(&mut self, request: &Message) {
        self.stateless.extend(call_and_number(request));
        self.stateless_branches.extend(branches(request));
    }

    /// An application is gone, and hears no more.
    pub fn forget(&mut self, application: ApplicationId) {
        let (gone, left) = self
            .pending
            .drain()
            .partition(|((owner, _), _)| *owner == application);
        self.pending = left;
        let gone: HashMap<_, _> = gone;
        self.past.extend(gone.into_keys());
    }

    /// No command waits any more.
    pub fn rest(&self) {
        let waiting = self
            .pending
            .iter()
            .find(|(_, outcome)| **outcome != Outcome::FailureAtMost);
        assert!(waiting.is_none(), "{waiting:?} has no outcome");
    }

    fn settle(&mut self, application: ApplicationId, command: CommandId, event: &Event) {
        if self.past.contains(&(application, command)) {
            return;
        }
        let outcome = self.pending.remove(&(application, command));
        let expected = match event {
            Event::Failed(_) => outcome.is_some(),
            Event::ProxyDone(_) => outcome == Some(Outcome::Proxy),
            _ => outcome == Some(Outcome::Once),
        };
        assert!(
            expected,
            "the outcome of nothing that waits ({outcome:?}): {event:?}"
        );
    }

    /// An application was told something.
    pub fn told(&mut self, application: ApplicationId, event: &Event) {
        match event {
            Event::Sent(sent) => {
                self.settle(application, sent.command, event);
                if sent.message.is_response() && sent.message.status() >= 200 {
                    assert!(
                        self.answered
                            .insert((sent.transaction, sent.message.method())),
                        "two final answers: {event:?}"
                    );
                }
            }
            Event::Failed(failed) => self.settle(application, failed.command, event),
            Event::ProxyDone(done) => self.settle(application, done.command, event),
            Event::Exported(exported) => self.settle(application, exported.command, event),
            Event::Imported(imported) => self.settle(application, imported.command, event),
            Event::Response(response) => {
                let status = response.message.status();
                assert!(status != 100, "a 100 reaches no application");
                if status < 200 {
                    return;
                }
                let heard = self.heard.entry(response.transaction).or_default();
                let is_fork = response.message.method() == Method::Invite && status < 300;
                assert!(
                    heard.is_empty() || is_fork,
                    "a final response after the final one: {event:?}"
                );
                let dialog = response.dialog.filter(|_| is_fork);
                assert!(heard.insert(dialog), "the same answer twice: {event:?}");
            }
            Event::ProxyResponse(response) => {
                assert!(
                    response.message.status() != 100,
                    "a 100 reaches no application"
                );
            }
            Event::Request(_) | Event::DialogEnded(_) | Event::SubscriptionEnded(_) => {}
        }
    }

    /// A response went out. `is_strict`: it is a transaction's, and none was refused for want of room.
    pub fn sent(&mut self, now: Time, transmit: &Transmit, message: &Message, is_strict: bool) {
        if message.is_request() || message.status() < 200 {
            return;
        }
        if call_and_number(message).is_some_and(|key| self.stateless.contains(&key)) {
            return;
        }
        let mut ways = branches(message).into_iter();
        if ways.any(|branch| self.stateless_branches.contains(&branch)) {
            return;
        }
        let Ok(via) = message.top_via() else { return };
        if transmit.destination.transport.is_reliable()
            || via
                .branch()
                .and_then(|branch| branch.strip_prefix("z9hG4bK"))
                .is_none_or(str::is_empty)
        {
            // Of RFC 2543, or a cookie with nothing behind it (RFC 4475 §3.1.1.5): more than the branch tells those apart.
            return;
        }
        let value = |name| {
            message
                .header(name)
                .map(|field| field.text().into_owned())
                .unwrap_or_default()
        };
        let key = format!(
            "{} {:?} {}",
            via.branch().unwrap_or_default(),
            via.sent_by(),
            message.method()
        );
        let key = format!(
            "{key} {} {} {}",
            value(HeaderName::CSeq),
            value(HeaderName::CallId),
            value(HeaderName::From)
        );
        if !is_strict {
            // It may be the one that its transaction repeats later.
            self.loose.insert(key);
            return;
        }
        if self.loose.contains(&key) {
            return;
        }
        let Some((before, first)) = self.finals.get(&key) else {
            self.finals.insert(key, (now, message.clone()));
            return;
        };
        // A proxy forwards every 2xx to an INVITE, whatever it has forwarded before, and goes on repeating that (RFC 3261 §16.7 item 5).
        let is_fork = message.method() == Method::Invite && message.status() < 300;
        if is_fork || is_repeated(first, message) {
            // Its transaction is no younger for it.
            return;
        }
        assert!(
            now.since(*before) >= SAME,
            "two final responses in one transaction:\n{}\n{}",
            first.as_bytes().escape_ascii(),
            message.as_bytes().escape_ascii()
        );
        self.finals.insert(key, (now, message.clone()));
    }
}
