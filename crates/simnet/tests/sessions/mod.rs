//! Parties of a call with a session timer: each answers whatever comes, at once or late, and writes down what it saw.
use engine::config::SessionTimers;
use engine::id::{DialogId, TransactionId};
use engine::{Command, Event, Time};
use simnet::actions::{SDP, draft};
use simnet::host::config;
use simnet::{Actions, Application, HostId, Packet, World};
use sip::Method;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

type Fields = Vec<(&'static str, &'static str)>;

/// What a party saw, and what it is to do next.
#[derive(Default)]
pub struct Seen {
    pub dialog: Option<DialogId>,
    /// Final responses that it was told of, but to its BYE.
    pub responses: Vec<u16>,
    /// When and how its call ended.
    pub ended: Vec<(Time, String)>,
    /// Things that must not be.
    pub faults: Vec<String>,
    /// Takes so long to answer an INVITE.
    pub delay: Option<Duration>,
    /// Answers refreshes so.
    pub refuse: Option<u16>,
    /// Answers without a session timer.
    pub without: bool,
    /// Challenges a BYE.
    pub challenge: bool,
}

pub type Record = Rc<RefCell<Seen>>;

/// One end.
pub struct Party {
    call: Option<String>,
    request: Fields,
    answer: Fields,
    seen: Record,
    late: Option<TransactionId>,
}

impl Party {
    fn end(&self, now: Time, how: &str) {
        let mut seen = self.seen.borrow_mut();
        if seen.dialog.take().is_some() {
            seen.ended.push((now, how.to_owned()));
        }
    }

    fn respond(&self, actions: &mut Actions, transaction: TransactionId, status: u16, body: &[u8]) {
        let fields = if status < 300 { &self.answer[..] } else { &[] };
        let mut draft = draft(fields, body);
        draft.without_session_timer = self.seen.borrow().without;
        actions.command(|id| {
            Command::Respond(engine::command::Respond {
                id,
                transaction,
                status,
                reason: String::new(),
                draft,
            })
        });
    }

    fn request(&mut self, request: &engine::event::Request, actions: &mut Actions) {
        let (delay, refuse) = (self.seen.borrow().delay, self.seen.borrow().refuse);
        match request.message.method() {
            Method::Invite if delay.is_some() => {
                self.late = Some(request.transaction);
                actions.wake_after(delay.unwrap());
            }
            Method::Invite => {
                self.respond(actions, request.transaction, refuse.unwrap_or(200), SDP)
            }
            Method::Update => {
                self.respond(actions, request.transaction, refuse.unwrap_or(200), b"")
            }
            Method::Bye if self.seen.borrow().challenge => {
                actions.respond(request.transaction, 401, b"");
            }
            Method::Bye => {
                actions.respond(request.transaction, 200, b"");
                self.end(actions.now, "BYE received");
            }
            Method::Ack => {}
            other => self.seen.borrow_mut().faults.push(other.to_string()),
        }
    }
}

impl Application for Party {
    fn event(&mut self, event: Event, actions: &mut Actions) {
        match event {
            Event::Request(request) => self.request(&request, actions),
            Event::Response(response) => {
                let status = response.message.status();
                let method = response.message.method();
                if method == Method::Bye && status == 401 {
                    return;
                }
                if method == Method::Bye {
                    return self.end(actions.now, "BYE answered");
                }
                self.seen.borrow_mut().responses.push(status);
                if let (Method::Invite, 200, Some(dialog)) = (method, status, response.dialog) {
                    self.seen.borrow_mut().dialog = Some(dialog);
                    actions.ack(dialog);
                }
            }
            Event::Sent(sent) => {
                // The callee's 2xx, once.
                let opened =
                    sent.message.status() == 200 && sent.message.method() == Method::Invite;
                let mut seen = self.seen.borrow_mut();
                if opened && seen.ended.is_empty() {
                    seen.dialog = sent.dialog;
                }
            }
            Event::DialogEnded(ended) => self.end(actions.now, &format!("{:?}", ended.reason)),
            // An answer that crossed the end.
            Event::Failed(_) if !self.seen.borrow().ended.is_empty() => {}
            other => self.seen.borrow_mut().faults.push(format!("{other:?}")),
        }
    }

    fn wake(&mut self, actions: &mut Actions) {
        if let Some(uri) = self.call.take() {
            actions.send(Method::Invite, &uri, &self.request, SDP);
        } else if let Some(late) = self.late.take() {
            self.seen.borrow_mut().delay = None;
            self.respond(actions, late, 200, SDP);
        }
    }
}

/// The two ends of a call that stands.
pub struct Ends {
    pub caller: HostId,
    pub callee: HostId,
    pub caller_seen: Record,
    pub callee_seen: Record,
}

impl Ends {
    /// When and how it ended, at each end that saw an end.
    pub fn ended(&self) -> Vec<(Time, String)> {
        let all = [&self.caller_seen, &self.callee_seen];
        all.iter()
            .flat_map(|seen| seen.borrow().ended.clone())
            .collect()
    }

    pub fn faults(&self) -> Vec<String> {
        let all = [&self.caller_seen, &self.callee_seen];
        all.iter()
            .flat_map(|seen| seen.borrow().faults.clone())
            .collect()
    }

    /// The caller hangs up.
    pub fn hang_up(&self, world: &mut World) {
        let dialog = self.caller_seen.borrow().dialog.unwrap();
        world.act(self.caller, |actions| actions.bye(dialog));
        world.run(seconds(40));
        assert_eq!(self.ended().len(), 2, "{:?}", self.ended());
    }

    /// An end sends an UPDATE with these header fields.
    pub fn send(
        &self,
        world: &mut World,
        from: HostId,
        dialog: DialogId,
        headers: &[(&str, &str)],
    ) {
        let draft = draft(headers, b"");
        world.act(from, |actions| {
            actions.command(|id| {
                Command::Send(engine::command::SendRequest {
                    id,
                    method: Method::Update,
                    uri: String::new(),
                    dialog: Some(engine::command::DialogReference::Id(dialog)),
                    next_hop: None,
                    draft,
                })
            })
        });
    }
}

pub fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What an engine does unless told otherwise.
pub fn timers() -> SessionTimers {
    SessionTimers::default()
}

/// A host whose engine takes session timers so.
pub fn host(world: &mut World, name: &str, session: SessionTimers) -> HostId {
    // A host is numbered by the order in which it is added; its name says which it is.
    let number = usize::from(name == "bob");
    let mut config = config(HostId(number));
    config.session = session;
    world.host_with(name, config)
}

/// Alice calls Bob with these header fields, Bob answers with those; both take UPDATE, or neither.
pub fn call(
    world: &mut World,
    request: &[(&'static str, &'static str)],
    answer: &[(&'static str, &'static str)],
    update: bool,
) -> Ends {
    call_with(world, [timers(), timers()], request, answer, update)
}

/// The same, with engines that are told how to take session timers.
pub fn call_with(
    world: &mut World,
    [first, second]: [SessionTimers; 2],
    request: &[(&'static str, &'static str)],
    answer: &[(&'static str, &'static str)],
    update: bool,
) -> Ends {
    let (caller, callee) = (host(world, "alice", first), host(world, "bob", second));
    let allow = if update {
        "INVITE, ACK, BYE, UPDATE"
    } else {
        "INVITE, ACK, BYE"
    };
    let with = |fields: &[(&'static str, &'static str)]| {
        let mut fields = fields.to_vec();
        fields.push(("Allow", allow));
        fields
    };
    let seen: [Record; 2] = Default::default();
    let party = |call, request: &[_], answer: &[_], seen: &Record| Party {
        call,
        request: with(request),
        answer: with(answer),
        seen: Rc::clone(seen),
        late: None,
    };
    world.script(callee, party(None, &[], answer, &seen[1]));
    world.script(
        caller,
        party(Some(callee.uri("bob")), request, &[], &seen[0]),
    );
    world.run(seconds(1));
    let [caller_seen, callee_seen] = seen;
    assert!(caller_seen.borrow().dialog.is_some() && callee_seen.borrow().dialog.is_some());
    Ends {
        caller,
        callee,
        caller_seen,
        callee_seen,
    }
}

/// INVITEs and UPDATEs that were sent since, but not again: when, and what.
pub fn refreshes(world: &World, since: Time) -> Vec<(Time, Packet)> {
    let mut branches = std::collections::HashSet::new();
    let steps = world.ladder().steps().iter();
    let requests = steps
        .filter(|step| step.at >= since && (step.packet.is("INVITE") || step.packet.is("UPDATE")));
    let first = requests.filter(|step| branches.insert(header(&step.packet, "via")));
    first.map(|step| (step.at, step.packet.clone())).collect()
}

/// The value of a header field; empty when there is none.
pub fn header(packet: &Packet, name: &str) -> String {
    let text = String::from_utf8_lossy(&packet.bytes);
    let mut lines = text.lines().take_while(|line| !line.is_empty());
    let found = lines.find_map(|line| {
        let (field, value) = line.split_once(':')?;
        field
            .eq_ignore_ascii_case(name)
            .then(|| value.trim().to_owned())
    });
    found.unwrap_or_default()
}
