//! A user agent as it should be, scripted: it calls and answers, changes the session, subscribes, refers, hangs up, and tries
//! again where an RFC says so. It keeps a record of all it believes, and of all that must not be, for `audit` to compare.
#![allow(dead_code)]
pub mod audit;
mod reactions;
mod subscribing;

use engine::command::{Command, DialogReference, Respond, SendRequest};
use engine::dialog::glare::back_off;
use engine::id::{CommandId, DialogId, TransactionId};
use engine::{Event, Time};
use simnet::actions::draft;
use simnet::{Actions, Application, Random};
use sip::{Message, Method};
use std::cell::{RefCell, RefMut};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// How far a dialog is, as its application believes.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Stage {
    Early,
    Confirmed,
    Ended,
}

/// A subscription, as its application believes.
#[derive(Clone, Debug)]
pub struct Watch {
    pub event: String,
    pub is_notifier: bool,
    /// How it ended; empty while it is open.
    pub ended: Vec<String>,
    /// The notifier gave its last NOTIFY.
    closing: bool,
}

/// A dialog, as its application believes.
#[derive(Clone, Debug)]
pub struct Leg {
    /// Call-ID and both tags, sorted: the same at both ends.
    pub key: [String; 3],
    pub is_caller: bool,
    /// It is a call's; else it is for subscriptions only.
    pub is_call: bool,
    pub stage: Stage,
    /// How the call ended, as told, in this order.
    pub ended: Vec<String>,
    /// The descriptions of both sides, as the last offer and its answer had them.
    pub session: Option<(String, String)>,
    /// The INVITE that made it.
    pub invite: Option<TransactionId>,
    /// Our BYE was given to the engine.
    pub hung_up: bool,
    pub watches: Vec<Watch>,
}

impl Leg {
    pub fn is_live(&self) -> bool {
        self.is_call && self.stage == Stage::Confirmed
    }
}

/// A request of ours that is on its way, or was.
#[derive(Clone, Debug)]
pub struct Client {
    pub method: Method,
    pub dialog: Option<DialogId>,
    /// The session description that it offered.
    offer: Option<String>,
    /// The peer's offer in a response of it.
    offered: Option<String>,
    tries: u32,
    /// Its final responses: status, dialog, and whether the engine made it.
    pub finals: Vec<(u16, Option<DialogId>, bool)>,
    cancelled: bool,
    rang: bool,
    /// The subscription that it asks for or notifies of.
    watch: Option<(String, bool)>,
}

/// A request of the peer's.
#[derive(Clone, Debug)]
struct Server {
    method: Method,
    dialog: Option<DialogId>,
    offer: Option<String>,
    /// Our description in a reliable provisional response.
    mine: Option<String>,
    /// A final response was given to the engine.
    answered: bool,
    /// The final status that went out.
    status: u16,
    acknowledged: bool,
    /// The engine answered it: a CANCEL or a BYE came.
    is_over: bool,
    /// A SUBSCRIBE or REFER, for what follows its answer.
    request: Option<Arc<Message>>,
}

/// What a command was for.
#[derive(Clone, Debug)]
enum What {
    Request(Client),
    Ack(DialogId, TransactionId, Option<String>),
    Answer(TransactionId, u16, Option<String>),
    Cancel(TransactionId),
    Export(DialogId),
    Import(DialogId),
}

/// What is to be done later.
#[derive(Clone, Debug)]
enum Task {
    Retry(DialogId, Method, u32),
    Answer(TransactionId, u16),
    Prack(DialogId, TransactionId),
    Notify(DialogId, String, bool),
    Step,
}

/// How a party behaves by itself.
#[derive(Clone, Debug)]
pub struct Manner {
    /// Rings and answers an INVITE outside a dialog so: after how long, with which status.
    pub answers: Vec<(Duration, u16)>,
    /// Its provisional responses are reliable, where the caller supports that, and carry a description.
    pub reliable: bool,
    pub describes_early: bool,
    /// Acknowledges a reliable provisional response by itself.
    pub pracks: bool,
    /// As a notifier, ends a subscription that a REFER made so long after its first NOTIFY.
    pub refer_takes: Duration,
    /// Refuses so many of a hundred changes of the session.
    pub refuses: u64,
    /// Walks: takes a step of `walk` at random times, so many.
    pub steps: u32,
}

impl Default for Manner {
    fn default() -> Manner {
        Manner {
            answers: Vec::new(),
            reliable: false,
            describes_early: false,
            pracks: true,
            refer_takes: Duration::from_millis(300),
            refuses: 0,
            steps: 0,
        }
    }
}

/// What a party is asked to do at its next step; gives false when it has nothing more to do.
pub type Walk = fn(&mut State, &mut Actions) -> bool;

/// Everything a party knows.
pub struct State {
    pub name: &'static str,
    pub manner: Manner,
    pub random: Random,
    /// The peer's URI and, where there is one, the proxy's.
    pub peer: String,
    pub by: Option<String>,
    pub legs: BTreeMap<DialogId, Leg>,
    pub clients: HashMap<TransactionId, Client>,
    servers: HashMap<TransactionId, Server>,
    commands: HashMap<CommandId, (What, usize)>,
    /// Requests that came: method, Call-ID, From tag, number.
    came: HashSet<(String, String, String, u32)>,
    tasks: Vec<(Time, Task)>,
    /// Commands that failed because the dialog was gone: it must be, in our belief, at the end.
    gone: Vec<(DialogId, String)>,
    versions: u32,
    /// Changes of the session that came about, by our INVITEs and UPDATEs.
    pub changed: u32,
    pub glared: u32,
    /// How often each thing was done or met: a test that proves nothing is noticed.
    pub tally: BTreeMap<String, u32>,
    pub faults: Vec<String>,
    pub walk: Option<Walk>,
}

/// A party: the application of a host, and the test's view of it.
#[derive(Clone)]
pub struct Party(Rc<RefCell<State>>);

impl Party {
    pub fn new(name: &'static str, seed: u64, peer: String, manner: Manner) -> Party {
        let stream = 900 + u64::from(name.as_bytes().first().copied().unwrap_or_default());
        Party(Rc::new(RefCell::new(State {
            name,
            manner,
            random: Random::new(seed, stream),
            peer,
            by: None,
            legs: BTreeMap::new(),
            clients: HashMap::new(),
            servers: HashMap::new(),
            commands: HashMap::new(),
            came: HashSet::new(),
            tasks: Vec::new(),
            gone: Vec::new(),
            versions: 0,
            changed: 0,
            glared: 0,
            tally: BTreeMap::new(),
            faults: Vec::new(),
            walk: None,
        })))
    }

    pub fn state(&self) -> RefMut<'_, State> {
        self.0.borrow_mut()
    }
}

impl Application for Party {
    fn event(&mut self, event: Event, actions: &mut Actions) {
        let mut state = self.state();
        state.react(event, actions);
        state.set_wake(actions);
    }

    fn wake(&mut self, actions: &mut Actions) {
        let mut state = self.state();
        state.woken(actions);
        state.set_wake(actions);
    }
}

/// What a session description of a party says of itself: its first origin line.
pub fn description(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let line = text.lines().find(|line| line.starts_with("o="))?;
    Some(line.to_owned())
}

/// The session description with this origin line.
fn describe_as(origin: &str) -> Vec<u8> {
    format!("v=0\r\n{origin}\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n")
        .into_bytes()
}

/// The dialog of a message: Call-ID and both tags, sorted.
pub fn key(message: &Message) -> [String; 3] {
    let tag = |address: Result<sip::Address<'_>, sip::HeaderError>| {
        let address = address.ok();
        address
            .and_then(|address| address.tag().map(str::to_owned))
            .unwrap_or_default()
    };
    let mut tags = [tag(message.from()), tag(message.to())];
    tags.sort();
    let [one, other] = tags;
    [message.call_id().unwrap_or_default().to_owned(), one, other]
}

impl State {
    pub fn fault(&mut self, text: impl Into<String>) {
        let text = format!("{}: {}", self.name, text.into());
        self.faults.push(text);
    }

    pub fn count(&mut self, what: &str) {
        *self.tally.entry(what.to_owned()).or_default() += 1;
    }

    /// A new session description of ours: its name, and its text.
    fn describe(&mut self) -> (String, Vec<u8>) {
        self.versions += 1;
        let origin = format!("o={} 1 {} IN IP4 192.0.2.1", self.name, self.versions);
        let text = describe_as(&origin);
        (origin, text)
    }

    /// An offer has its answer.
    fn agreed(&mut self, dialog: DialogId, one: String, other: String) {
        if let Some(leg) = self.legs.get_mut(&dialog) {
            leg.session = Some(if one <= other {
                (one, other)
            } else {
                (other, one)
            });
        }
    }

    fn later(&mut self, now: Time, after: Duration, task: Task) {
        self.tasks.push((now + after, task));
    }

    fn set_wake(&self, actions: &mut Actions) {
        if let Some(next) = self.tasks.iter().map(|(at, _)| *at).min() {
            actions.wake_after(next.since(actions.now));
        }
    }

    fn woken(&mut self, actions: &mut Actions) {
        let now = actions.now;
        let (due, later) = std::mem::take(&mut self.tasks)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        self.tasks = later;
        let due: Vec<(Time, Task)> = due;
        for (_, task) in due {
            match task {
                Task::Retry(dialog, method, tries) => {
                    self.change(actions, dialog, method, tries);
                }
                Task::Answer(transaction, status) => {
                    self.answer_invite(actions, transaction, status)
                }
                Task::Prack(dialog, invite) => self.prack(actions, dialog, invite),
                Task::Notify(dialog, event, over) => self.notify(actions, dialog, &event, over),
                Task::Step => self.step(actions),
            }
        }
    }

    /// Begins to walk.
    pub fn start_walk(&mut self, actions: &mut Actions, walk: Walk) {
        self.walk = Some(walk);
        self.step(actions);
        self.set_wake(actions);
    }

    fn step(&mut self, actions: &mut Actions) {
        if self.manner.steps == 0 {
            return;
        }
        self.manner.steps -= 1;
        let goes_on = self.walk.is_some_and(|walk| walk(self, actions));
        if goes_on {
            let after = Duration::from_millis(self.random.below(700));
            self.later(actions.now, after, Task::Step);
        }
    }

    /// The live call, if there is one.
    pub fn call(&self) -> Option<DialogId> {
        let live = self
            .legs
            .iter()
            .find(|(_, leg)| leg.is_live() && !leg.hung_up);
        live.map(|(dialog, _)| *dialog)
    }

    /// The dialog that has no final answer yet.
    pub fn early(&self) -> Option<DialogId> {
        let mut legs = self.legs.iter();
        let early = legs.find(|(_, leg)| leg.stage == Stage::Early && !leg.hung_up);
        early.map(|(dialog, _)| *dialog)
    }

    /// Whether nothing is under way in a dialog: what is does not move with it.
    fn is_quiet(&self, id: DialogId, leg: &Leg) -> bool {
        let asked = self.clients.iter().any(|(transaction, client)| {
            (client.dialog == Some(id) || leg.invite == Some(*transaction))
                && client.finals.is_empty()
        });
        let given = self.commands.values().any(|(what, outcomes)| {
            let of = match what {
                What::Request(client) => client.dialog,
                What::Ack(dialog, ..) | What::Export(dialog) | What::Import(dialog) => {
                    Some(*dialog)
                }
                What::Answer(..) | What::Cancel(_) => None,
            };
            *outcomes == 0 && of == Some(id)
        });
        let waits = self.servers.iter().any(|(transaction, server)| {
            let of = server.dialog == Some(id) || leg.invite == Some(*transaction);
            let accepted = server.method == Method::Invite && server.status < 300;
            of && !server.is_over && (server.status < 200 || (accepted && !server.acknowledged))
        });
        let watched = leg.watches.iter().any(|watch| watch.ended.is_empty());
        !asked && !given && !waits && !watched
    }

    /// Lets the engine give the call away, and takes it over again.
    pub fn relocate(&mut self, actions: &mut Actions) -> bool {
        let quiet = self.call().filter(|call| {
            let leg = self.legs.get(call);
            leg.is_some_and(|leg| self.is_quiet(*call, leg))
        });
        let Some(dialog) = quiet else {
            return false;
        };
        let id = actions.export(dialog, true);
        self.commands.insert(id, (What::Export(dialog), 0));
        true
    }

    /// The dialog with an open subscription of that role.
    pub fn watched(&self, is_notifier: bool) -> Option<(DialogId, String)> {
        let mut all = self
            .legs
            .iter()
            .flat_map(|(dialog, leg)| leg.watches.iter().map(move |watch| (*dialog, watch)));
        let open = all.find(|(_, watch)| {
            watch.is_notifier == is_notifier
                && watch.ended.is_empty()
                && !watch.closing
                && !watch.event.starts_with("refer")
        });
        open.map(|(dialog, watch)| (dialog, watch.event.clone()))
    }

    fn client(&self, method: Method, dialog: Option<DialogId>) -> Client {
        Client {
            method,
            dialog,
            offer: None,
            offered: None,
            tries: 0,
            finals: Vec::new(),
            cancelled: false,
            rang: false,
            watch: None,
        }
    }

    /// Gives a request to the engine.
    fn request(
        &mut self,
        actions: &mut Actions,
        client: Client,
        fields: &[(&str, &str)],
        body: &[u8],
    ) -> CommandId {
        self.count(client.method.as_str());
        let (method, dialog) = (
            client.method.clone(),
            client.dialog.map(DialogReference::Id),
        );
        let is_new = dialog.is_none();
        let uri = if is_new {
            self.peer.clone()
        } else {
            String::new()
        };
        let next_hop = self.by.clone().filter(|_| is_new);
        let draft = draft(fields, body);
        let id = actions.command(|id| {
            Command::Send(SendRequest {
                id,
                method,
                uri,
                dialog,
                next_hop,
                draft,
            })
        });
        self.commands.insert(id, (What::Request(client), 0));
        id
    }

    fn respond(
        &mut self,
        actions: &mut Actions,
        transaction: TransactionId,
        status: u16,
        fields: &[(&str, &str)],
        body: &[u8],
    ) {
        let draft = draft(fields, body);
        let id = actions.command(|id| {
            Command::Respond(Respond {
                id,
                transaction,
                status,
                reason: String::new(),
                draft,
            })
        });
        let what = What::Answer(transaction, status, description(body));
        self.commands.insert(id, (what, 0));
        if let Some(server) = self.servers.get_mut(&transaction) {
            server.answered |= status >= 200;
        }
    }

    /// Calls the peer, with an offer or without.
    pub fn invite(&mut self, actions: &mut Actions, offers: bool) {
        let mut client = self.client(Method::Invite, None);
        let mut body = Vec::new();
        if offers {
            let (name, text) = self.describe();
            (client.offer, body) = (Some(name), text);
        }
        self.request(actions, client, &[("Supported", "100rel")], &body);
    }

    /// Cancels the INVITE that has no final response; gives false when there is none.
    pub fn cancel(&mut self, actions: &mut Actions) -> bool {
        let open = self.clients.iter_mut().find(|(_, client)| {
            client.method == Method::Invite
                && client.dialog.is_none()
                && client.finals.is_empty()
                && !client.cancelled
        });
        let Some((transaction, client)) = open else {
            return false;
        };
        client.cancelled = true;
        let transaction = *transaction;
        let id = actions.cancel(transaction);
        self.commands.insert(id, (What::Cancel(transaction), 0));
        self.count("CANCEL");
        true
    }

    /// Answers an INVITE outside a dialog that waits, if there is one.
    pub fn answer(&mut self, actions: &mut Actions, status: u16) -> bool {
        let open = self.servers.iter().find(|(_, server)| {
            server.method == Method::Invite && !server.answered && !server.is_over
        });
        let Some(transaction) = open.map(|(transaction, _)| *transaction) else {
            return false;
        };
        self.answer_invite(actions, transaction, status);
        true
    }

    fn answer_invite(&mut self, actions: &mut Actions, transaction: TransactionId, status: u16) {
        let Some(server) = self.servers.get(&transaction).cloned() else {
            return;
        };
        if server.answered || server.is_over {
            return;
        }
        let reliable = self.manner.reliable && status < 200;
        let first = server.mine.is_none();
        let describes = match status {
            ..=199 => reliable && self.manner.describes_early,
            200..=299 => true,
            _ => false,
        };
        let mut body = Vec::new();
        if describes && first {
            let (name, text) = self.describe();
            body = text;
            if let Some(server) = self.servers.get_mut(&transaction) {
                server.mine = Some(name);
            }
        }
        let fields: &[(&str, &str)] = if reliable {
            &[("Require", "100rel")]
        } else {
            &[]
        };
        self.respond(actions, transaction, status, fields, &body);
    }

    /// Acknowledges the reliable provisional response that waits for it.
    pub fn acknowledge_progress(&mut self, actions: &mut Actions) {
        let early = self
            .legs
            .iter()
            .find(|(_, leg)| leg.stage == Stage::Early && leg.is_caller);
        let found = early.and_then(|(dialog, leg)| Some((*dialog, leg.invite?)));
        if let Some((dialog, invite)) = found {
            self.prack(actions, dialog, invite);
        }
    }

    fn prack(&mut self, actions: &mut Actions, dialog: DialogId, invite: TransactionId) {
        if self
            .legs
            .get(&dialog)
            .is_none_or(|leg| leg.stage == Stage::Ended)
        {
            return;
        }
        let mut client = self.client(Method::Prack, Some(dialog));
        let mut body = Vec::new();
        // The peer's offer in a reliable provisional response is answered here.
        let offered = self
            .clients
            .get_mut(&invite)
            .and_then(|invite| invite.offered.take());
        if let Some(offered) = offered {
            let (name, text) = self.describe();
            (client.offer, client.offered, body) = (Some(name), Some(offered), text);
        }
        self.request(actions, client, &[], &body);
    }

    /// Changes the session by INVITE or UPDATE, with an offer.
    pub fn change(
        &mut self,
        actions: &mut Actions,
        dialog: DialogId,
        method: Method,
        tries: u32,
    ) -> bool {
        let may = |leg: &Leg| {
            leg.is_call
                && !leg.hung_up
                && (leg.stage == Stage::Confirmed
                    || (leg.stage == Stage::Early && method == Method::Update))
        };
        if !self.legs.get(&dialog).is_some_and(may) {
            return false;
        }
        let mut client = self.client(method, Some(dialog));
        let (name, text) = self.describe();
        client.tries = tries;
        client.offer = Some(name);
        self.request(actions, client, &[], &text);
        true
    }

    /// A re-INVITE without an offer.
    pub fn ask_for_offer(&mut self, actions: &mut Actions, dialog: DialogId) {
        let client = self.client(Method::Invite, Some(dialog));
        self.request(actions, client, &[], b"");
    }

    /// After 491: RFC 3261 §14.1. Six times, then it is left.
    fn try_again(&mut self, now: Time, dialog: DialogId, method: &Method, tries: u32) {
        self.glared += 1;
        self.count("tried again");
        if tries >= 6 {
            return self.count("gave up");
        }
        let owner = self.legs.get(&dialog).is_some_and(|leg| leg.is_caller);
        let wait = back_off(owner, self.random.below(u64::MAX));
        self.later(now, wait, Task::Retry(dialog, method.clone(), tries + 1));
    }

    /// A request in a dialog that changes nothing: INFO, MESSAGE, OPTIONS.
    pub fn say(&mut self, actions: &mut Actions, dialog: DialogId, method: Method) {
        let client = self.client(method, Some(dialog));
        self.request(actions, client, &[], b"");
    }

    /// The same outside a dialog.
    pub fn say_outside(&mut self, actions: &mut Actions, method: Method) {
        let client = self.client(method, None);
        self.request(actions, client, &[], b"");
    }

    /// Hangs up.
    pub fn bye(&mut self, actions: &mut Actions, dialog: DialogId) -> bool {
        let may = |leg: &&mut Leg| {
            leg.is_call && !leg.hung_up && (leg.is_caller || leg.stage == Stage::Confirmed)
        };
        let leg = self.legs.get_mut(&dialog).filter(may);
        let Some(leg) = leg.filter(|leg| leg.stage != Stage::Ended) else {
            return false;
        };
        leg.hung_up = true;
        let client = self.client(Method::Bye, Some(dialog));
        self.request(actions, client, &[], b"");
        true
    }

    fn acknowledge(&mut self, actions: &mut Actions, dialog: DialogId, invite: TransactionId) {
        let offered = self
            .clients
            .get_mut(&invite)
            .and_then(|invite| invite.offered.take());
        let (mut name, mut body) = (None, Vec::new());
        if let Some(offered) = offered {
            let (mine, text) = self.describe();
            body = text;
            name = Some(mine.clone());
            self.agreed(dialog, offered, mine);
        }
        let draft = draft(&[], &body);
        let id = actions.command(|id| {
            Command::Send(SendRequest {
                id,
                method: Method::Ack,
                uri: String::new(),
                dialog: Some(DialogReference::Id(dialog)),
                next_hop: None,
                draft,
            })
        });
        self.commands
            .insert(id, (What::Ack(dialog, invite, name), 0));
    }
}
