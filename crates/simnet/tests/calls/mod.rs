//! Scripted parties of a call: a caller that may cancel or hang up, a callee that rings, answers, refuses or hangs up, a proxy.
//! Each writes down what it saw, so that a test can compare both ends.
use engine::Event;
use engine::command::ProxyOptions;
use engine::id::{CommandId, DialogId, TransactionId};
use simnet::actions::SDP;
use simnet::{Actions, Application};
use sip::Method;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// What one end of a call saw.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Final responses to the INVITE: received (caller) or sent (callee).
    pub finals: Vec<u16>,
    /// INVITEs that reached the application.
    pub invites: usize,
    /// The dialog came to stand: 2xx received or sent.
    pub answered: bool,
    /// The ACK of the 2xx reached the callee.
    pub acknowledged: usize,
    /// The CANCEL reached the callee.
    pub cancelled: bool,
    /// The dialog's end was seen, and how.
    pub ended: Vec<String>,
    /// Things that must not be.
    pub faults: Vec<String>,
}

pub type Record = Rc<RefCell<Seen>>;

/// The part both parties share: a dialog, when to hang up, how it ended.
struct Party {
    seen: Record,
    dialog: Option<DialogId>,
    hang_up: Option<Duration>,
    bye: Option<CommandId>,
    bye_transaction: Option<TransactionId>,
}

impl Party {
    fn new(seen: Record, hang_up: Option<Duration>) -> Party {
        Party {
            seen,
            dialog: None,
            hang_up,
            bye: None,
            bye_transaction: None,
        }
    }

    fn fault(&self, text: impl Into<String>) {
        self.seen.borrow_mut().faults.push(text.into());
    }

    fn end(&mut self, how: impl Into<String>) {
        self.seen.borrow_mut().ended.push(how.into());
        self.dialog = None;
    }

    fn hang_up(&mut self, actions: &mut Actions) {
        if let Some(dialog) = self.dialog.filter(|_| self.bye.is_none()) {
            self.bye = Some(actions.bye(dialog));
        }
    }

    /// What both do with an event of the dialog; gives back what it is not about.
    fn event(&mut self, event: Event, actions: &mut Actions) -> Option<Event> {
        match &event {
            Event::Request(request) if request.message.method() == Method::Bye => {
                actions.respond(request.transaction, 200, b"");
                self.end("BYE received");
                None
            }
            Event::Sent(sent) if Some(sent.command) == self.bye => {
                self.bye_transaction = Some(sent.transaction);
                None
            }
            Event::Response(response) if Some(response.transaction) == self.bye_transaction => {
                self.end(format!("BYE answered {}", response.message.status()));
                None
            }
            Event::DialogEnded(ended) => {
                self.end(format!("{:?}", ended.reason));
                None
            }
            _ => Some(event),
        }
    }
}

/// Calls once.
pub struct Caller {
    party: Party,
    uri: String,
    by: Option<String>,
    cancel: Option<Duration>,
    invite: Option<(CommandId, Option<TransactionId>)>,
    cancelled: Option<CommandId>,
    /// The BYEs of forks that answered after the first, and their transactions.
    extra: Vec<CommandId>,
    extra_transactions: Vec<TransactionId>,
}

impl Caller {
    /// Calls `uri`, by way of a proxy or straight, cancels after so long unless answered, hangs up so long after the answer.
    pub fn new(
        uri: String,
        by: Option<String>,
        cancel: Option<Duration>,
        hang_up: Option<Duration>,
    ) -> (Caller, Record) {
        let seen = Record::default();
        let party = Party::new(Rc::clone(&seen), hang_up);
        (
            Caller {
                party,
                uri,
                by,
                cancel,
                invite: None,
                cancelled: None,
                extra: Vec::new(),
                extra_transactions: Vec::new(),
            },
            seen,
        )
    }

    fn response(&mut self, response: &engine::event::Response, actions: &mut Actions) {
        let status = response.message.status();
        if status < 200 {
            return;
        }
        self.party.seen.borrow_mut().finals.push(status);
        if status >= 300 {
            return self.party.end(format!("INVITE answered {status}"));
        }
        let Some(dialog) = response.dialog else {
            return self.party.fault("a 2xx without a dialog");
        };
        if self.party.seen.borrow().answered {
            // A second fork answered, too: acknowledged and ended (RFC 3261 §13.2.2.4).
            if self.cancelled.is_none() {
                actions.ack(dialog);
                self.extra.push(actions.bye(dialog));
            }
            return;
        }
        self.party.seen.borrow_mut().answered = true;
        self.party.dialog = Some(dialog);
        // The engine acknowledges and ends what was answered after a CANCEL.
        if self.cancelled.is_none() {
            actions.ack(dialog);
        }
        if let Some(after) = self.party.hang_up {
            actions.wake_after(after);
        }
    }
}

impl Application for Caller {
    fn event(&mut self, event: Event, actions: &mut Actions) {
        let Some(event) = self.party.event(event, actions) else {
            return;
        };
        let invite = self.invite.and_then(|(_, transaction)| transaction);
        match event {
            Event::Sent(sent) => {
                if self.extra.contains(&sent.command) {
                    self.extra_transactions.push(sent.transaction);
                }
                if let Some((_, transaction)) = self
                    .invite
                    .as_mut()
                    .filter(|(command, _)| *command == sent.command)
                {
                    *transaction = Some(sent.transaction);
                }
            }
            Event::Response(response) if Some(response.transaction) == invite => {
                self.response(&response, actions)
            }
            Event::Response(response)
                if self.extra_transactions.contains(&response.transaction) => {}
            // The answer overtook the CANCEL: acknowledge it ourselves, the engine did not send a CANCEL.
            Event::Failed(failed) if Some(failed.command) == self.cancelled => {
                self.cancelled = None;
                if let Some(dialog) = self.party.dialog {
                    actions.ack(dialog);
                }
            }
            // A BYE or ACK for what the peer ended meanwhile.
            Event::Failed(_) if self.party.dialog.is_none() => {}
            other => self
                .party
                .fault(format!("the caller does not expect {other:?}")),
        }
    }

    fn wake(&mut self, actions: &mut Actions) {
        let Some((_, transaction)) = self.invite else {
            let command = match &self.by {
                Some(by) => actions.invite_by(&self.uri, by),
                None => actions.invite(&self.uri),
            };
            self.invite = Some((command, None));
            if let Some(after) = self.cancel {
                actions.wake_after(after);
            }
            return;
        };
        let open = self.party.seen.borrow().finals.is_empty();
        match transaction {
            Some(transaction) if open && self.cancelled.is_none() && self.cancel.is_some() => {
                self.cancelled = Some(actions.cancel(transaction));
            }
            _ => self.party.hang_up(actions),
        }
    }
}

/// What a callee does.
#[derive(Copy, Clone, Debug)]
pub struct Manner {
    /// Rings after so long.
    pub ring: Option<Duration>,
    /// Decides so long after the INVITE.
    pub decide: Duration,
    /// Answers with this.
    pub status: u16,
    /// Hangs up so long after its answer.
    pub hang_up: Option<Duration>,
}

/// Answers each call as it is told, cancelled or not: the engine must refuse a late answer.
pub struct Callee {
    party: Party,
    manner: Manner,
    invite: Option<TransactionId>,
    answer: Option<CommandId>,
    rang: bool,
}

impl Callee {
    pub fn new(manner: Manner) -> (Callee, Record) {
        let seen = Record::default();
        let party = Party::new(Rc::clone(&seen), manner.hang_up);
        (
            Callee {
                party,
                manner,
                invite: None,
                answer: None,
                rang: false,
            },
            seen,
        )
    }

    fn request(&mut self, request: &engine::event::Request, actions: &mut Actions) {
        match request.message.method() {
            Method::Invite => {
                self.party.seen.borrow_mut().invites += 1;
                self.invite = Some(request.transaction);
                actions.wake_after(self.manner.ring.unwrap_or(self.manner.decide));
            }
            Method::Ack => {
                self.party.seen.borrow_mut().acknowledged += 1;
                // Not before: RFC 3261 §15.
                if let Some(after) = self.manner.hang_up {
                    actions.wake_after(after);
                }
            }
            Method::Cancel => {
                self.party.seen.borrow_mut().cancelled = true;
                if !self.party.seen.borrow().answered {
                    self.party.seen.borrow_mut().finals.push(487);
                    self.party.end("CANCEL received");
                }
            }
            other => self
                .party
                .fault(format!("the callee does not expect {other}")),
        }
    }
}

impl Application for Callee {
    fn event(&mut self, event: Event, actions: &mut Actions) {
        let Some(event) = self.party.event(event, actions) else {
            return;
        };
        match event {
            Event::Request(request) => self.request(&request, actions),
            Event::Sent(sent) if Some(sent.command) == self.answer => {
                let status = self.manner.status;
                self.party.seen.borrow_mut().finals.push(status);
                if status >= 300 {
                    return self.party.end(format!("INVITE refused {status}"));
                }
                self.party.seen.borrow_mut().answered = true;
                self.party.dialog = sent.dialog;
            }
            Event::Sent(_) => {}
            // It answered what was cancelled, or hung up what was ended.
            Event::Failed(_)
                if self.party.dialog.is_none() || !self.party.seen.borrow().answered => {}
            other => self
                .party
                .fault(format!("the callee does not expect {other:?}")),
        }
    }

    fn wake(&mut self, actions: &mut Actions) {
        let Some(invite) = self.invite else { return };
        if let (Some(ring), false) = (self.manner.ring, self.rang) {
            self.rang = true;
            actions.respond(invite, 180, b"");
            actions.wake_after(self.manner.decide.saturating_sub(ring));
        } else if self.answer.is_none() {
            let body = if self.manner.status < 300 { SDP } else { b"" };
            self.answer = Some(actions.respond(invite, self.manner.status, body));
        } else {
            self.party.hang_up(actions);
        }
    }
}

/// Proxies every request to its targets, in the path of the dialog or not.
pub struct Forwarder {
    targets: Vec<String>,
    options: ProxyOptions,
    seen: Record,
    proxied: usize,
}

impl Forwarder {
    pub fn new(targets: Vec<String>, options: ProxyOptions) -> (Forwarder, Record) {
        let seen = Record::default();
        (
            Forwarder {
                targets,
                options,
                seen: Rc::clone(&seen),
                proxied: 0,
            },
            seen,
        )
    }
}

impl Application for Forwarder {
    fn event(&mut self, event: Event, actions: &mut Actions) {
        match event {
            Event::Request(request) => match request.message.method() {
                Method::Invite if request.message.to().is_ok_and(|to| to.tag().is_none()) => {
                    self.proxied += 1;
                    let targets: Vec<&str> = self.targets.iter().map(String::as_str).collect();
                    actions.proxy(request.transaction, &targets, self.options.clone());
                }
                Method::Cancel => {}
                _ => {
                    actions.proxy(request.transaction, &[], self.options.clone());
                }
            },
            Event::ProxyDone(done) => {
                if let Some(status) = done.status {
                    self.seen.borrow_mut().finals.push(status);
                }
            }
            Event::ProxyResponse(_) => {}
            other => self
                .seen
                .borrow_mut()
                .faults
                .push(format!("the proxy does not expect {other:?}")),
        }
    }
}
