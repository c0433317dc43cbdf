//! Call flows as an RFC draws them: agents are played by hand, proxies follow a rule, and what crossed the wire is compared with
//! the ladder, line by line. What holds of every flow is checked in [`wire`].
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)] // Each test file uses its part.
pub mod wire;

use engine::command::{Command, DialogReference, ProxyOptions, Respond, SendRequest};
use engine::event::{Request, Response, Sent};
use engine::id::{CommandId, DialogId, TransactionId};
use engine::transport::Transport;
use engine::{Event, Resolved};
use simnet::actions::draft;
use simnet::host::config;
use simnet::{Actions, Application, Faults, HostId, World};
use sip::header::{Address, Replaces};
use sip::{Method, Uri};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
pub use wire::Lines;

/// A line of a ladder: its name, who sends it, what (a method, or a status and the method it answers), to whom.
pub type Row<'a> = (&'a str, HostId, &'a str, HostId);

/// Header fields as a test writes them.
pub type Fields<'a> = &'a [(&'a str, &'a str)];

/// The two parties of nearly every flow.
pub const ALICE: (&str, &str) = ("From", "Alice <sip:alice@atlanta.example.com>");
pub const BOB: (&str, &str) = ("To", "Bob <sip:bob@biloxi.example.com>");
/// Where Bob is asked for.
pub const BOB_URI: &str = "sip:bob@biloxi.example.com";

/// A session description: its version, and the direction of its one stream.
pub fn sdp(version: u32, direction: &str) -> Vec<u8> {
    format!(
        "v=0\r\no=- 2890844526 {version} IN IP4 192.0.2.101\r\ns=-\r\nc=IN IP4 192.0.2.101\r\nt=0 0\r\n\
         m=audio 49172 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na={direction}\r\n"
    )
    .into_bytes()
}

/// The usual offer and answer.
pub fn talk() -> Vec<u8> {
    sdp(1, "sendrecv")
}

/// A Refer-To with a Replaces in it, and what it says once it is read.
pub fn refer_to(uri: &str, replaces: &str) -> String {
    let escaped = replaces
        .replace(';', "%3B")
        .replace('=', "%3D")
        .replace('@', "%40");
    let value = format!("<{uri}?Replaces={escaped}>");
    let address = Address::parse(&value).unwrap();
    let uri = Uri::parse(address.uri_text).unwrap();
    let read = Replaces::from_uri(&uri).unwrap().unwrap();
    assert_eq!(read.to_string(), replaces);
    value
}

/// What a proxy does with each request that is not relayed by the engine alone.
type Rule = Box<dyn FnMut(&Request, &mut Actions)>;

/// How each request ended that a proxy forwarded.
type Ends = Rc<RefCell<Vec<Option<u16>>>>;

struct Follower {
    rule: Rule,
    ends: Ends,
}

impl Application for Follower {
    fn event(&mut self, event: Event, actions: &mut Actions) {
        match event {
            // The engine cancels what it forwarded.
            Event::Request(request) if request.message.method() == Method::Cancel => {}
            Event::Request(request) => (self.rule)(&request, actions),
            Event::ProxyDone(done) => self.ends.borrow_mut().push(done.status),
            Event::Sent(_) | Event::ProxyResponse(_) => {}
            other => panic!("the proxy does not expect {other:?}"),
        }
    }
}

/// In the path of the dialog.
pub fn record_route() -> ProxyOptions {
    ProxyOptions {
        record_route: true,
        ..ProxyOptions::default()
    }
}

/// Forwards to these targets; to the request-URI when there are none.
pub fn to(
    targets: &[String],
    options: ProxyOptions,
) -> impl FnMut(&Request, &mut Actions) + 'static {
    let targets = targets.to_vec();
    move |request, actions| {
        let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
        actions.proxy(request.transaction, &targets, options.clone());
    }
}

/// Asks for credentials of this realm, and does the rest once they are there.
pub fn guarded(
    realm: &'static str,
    mut rest: impl FnMut(&Request, &mut Actions) + 'static,
) -> impl FnMut(&Request, &mut Actions) + 'static {
    move |request, actions| {
        let sought = format!("realm=\"{realm}\"");
        let mut given = request.message.named("Proxy-Authorization");
        if given.any(|field| field.text().contains(&sought)) {
            return rest(request, actions);
        }
        let fields = [("Proxy-Authenticate", &*challenge(realm))];
        respond(actions, request.transaction, 407, &fields, b"");
    }
}

/// A challenge of this realm.
pub fn challenge(realm: &str) -> String {
    format!(
        "Digest realm=\"{realm}\", qop=\"auth\", nonce=\"f84f1cec41e6cbe5aea9c8e88d359\", opaque=\"\", stale=FALSE, algorithm=MD5"
    )
}

/// Credentials of this realm, as fixed text: computing them is the application's.
pub fn credentials(user: &str, realm: &str, uri: &str) -> String {
    format!(
        "Digest username=\"{user}\", realm=\"{realm}\", nonce=\"f84f1cec41e6cbe5aea9c8e88d359\", opaque=\"\", uri=\"{uri}\", \
         response=\"42ce3cef44b22f50c6a6071bc8\""
    )
}

/// A response with header fields and a body.
pub fn respond(
    actions: &mut Actions,
    transaction: TransactionId,
    status: u16,
    fields: Fields<'_>,
    body: &[u8],
) -> CommandId {
    let draft = draft(fields, body);
    actions.command(|id| {
        Command::Respond(Respond {
            id,
            transaction,
            status,
            reason: String::new(),
            draft,
        })
    })
}

/// A flow: a world, its agents, and how far its ladder has been compared.
pub struct Flow {
    pub world: World,
    names: Vec<String>,
    agents: Vec<HostId>,
    proxies: Vec<(HostId, Ends)>,
    seen: usize,
}

impl Flow {
    pub fn new(seed: u64) -> Flow {
        Flow {
            world: World::new(seed, Faults::none()),
            names: Vec::new(),
            agents: Vec::new(),
            proxies: Vec::new(),
            seen: 0,
        }
    }

    fn host(&mut self, name: &str, trying: Duration) -> HostId {
        let id = HostId(self.names.len());
        self.names.push(name.to_owned());
        let mut config = config(id);
        config.timers.trying = trying;
        self.world.host_with(name, config)
    }

    /// An agent, which answers before a 100 is due (as in the drawings).
    pub fn agent(&mut self, name: &str) -> HostId {
        let id = self.host(name, Duration::from_millis(200));
        self.agents.push(id);
        id
    }

    /// A proxy that follows this rule, and sends 100 once it has forwarded (as in the drawings), not before a refusal.
    pub fn proxy(
        &mut self,
        name: &str,
        rule: impl FnMut(&Request, &mut Actions) + 'static,
    ) -> HostId {
        let id = self.host(name, Duration::from_micros(500));
        let ends = Ends::default();
        self.proxies.push((id, Rc::clone(&ends)));
        let rule = Box::new(rule);
        self.world.script(id, Follower { rule, ends });
        id
    }

    /// The finals of what this proxy forwarded.
    pub fn ends(&self, proxy: HostId) -> Vec<Option<u16>> {
        let (_, ends) = self.proxies.iter().find(|(id, _)| *id == proxy).unwrap();
        ends.borrow().clone()
    }

    /// A name of the domain name system, and whom it leads to.
    pub fn name(&mut self, name: &str, hosts: &[HostId]) {
        let resolved = |host: &HostId| Resolved {
            transport: Transport::Udp,
            address: host.address(),
        };
        self.world.name(name, hosts.iter().map(resolved).collect());
    }

    /// Sends a request outside of a dialog.
    #[track_caller]
    pub fn ask(
        &mut self,
        from: HostId,
        method: Method,
        uri: &str,
        fields: Fields<'_>,
        body: &[u8],
    ) -> Sent {
        self.world
            .act(from, |actions| actions.send(method, uri, fields, body));
        self.world.sent(from)
    }

    /// Sends such a request once more, with further fields: the same but for CSeq.
    #[track_caller]
    pub fn again(&mut self, from: HostId, sent: &Sent, more: Fields<'_>) -> Sent {
        let uri = sent.message.request_uri().to_owned();
        let before = sent.message.named("Route");
        let routes: Vec<String> = before.map(|field| field.text().into_owned()).collect();
        let routes = routes.iter().map(|route| ("Route", &**route));
        let given = more.iter().any(|(name, _)| *name == "Route");
        let kept = routes.filter(|_| !given);
        let more: Vec<(&str, &str)> = kept.chain(more.iter().copied()).collect();
        self.again_to(from, sent, &uri, &more)
    }

    /// Sends it once more, but there, and by no Route of before.
    #[track_caller]
    pub fn again_to(&mut self, from: HostId, sent: &Sent, uri: &str, more: Fields<'_>) -> Sent {
        let message = &sent.message;
        let cseq = message.cseq().unwrap();
        let cseq = format!("{} {}", cseq.number + 1, message.method());
        let mut fields: Vec<(String, String)> = vec![("CSeq".to_owned(), cseq)];
        for name in ["From", "To", "Call-ID", "Contact"] {
            let rest = message
                .named(name)
                .map(|field| (name.to_owned(), field.text().into_owned()));
            fields.extend(rest);
        }
        let own = fields.iter().map(|(name, value)| (&**name, &**value));
        let fields: Vec<(&str, &str)> = own.chain(more.iter().copied()).collect();
        self.ask(from, message.method(), uri, &fields, message.body())
    }

    /// Sends a request in a dialog.
    #[track_caller]
    pub fn say(
        &mut self,
        from: HostId,
        dialog: DialogId,
        method: Method,
        fields: Fields<'_>,
        body: &[u8],
    ) -> Sent {
        let draft = draft(fields, body);
        self.world.act(from, |actions| {
            actions.command(|id| {
                Command::Send(SendRequest {
                    id,
                    method,
                    uri: String::new(),
                    dialog: Some(DialogReference::Id(dialog)),
                    next_hop: None,
                    draft,
                })
            })
        });
        self.world.sent(from)
    }

    /// The next event of this host is a request of this method.
    #[track_caller]
    pub fn hears(&mut self, host: HostId, method: &str) -> Request {
        let request = self.world.request(host);
        assert_eq!(request.message.method().as_str(), method);
        request
    }

    /// The next event of this host is a response of this status.
    #[track_caller]
    pub fn gets(&mut self, host: HostId, status: u16) -> Response {
        let response = self.world.response(host);
        assert_eq!(response.message.status(), status);
        response
    }

    /// Answers a request.
    #[track_caller]
    pub fn answer(
        &mut self,
        host: HostId,
        request: &Request,
        status: u16,
        fields: Fields<'_>,
        body: &[u8],
    ) -> Sent {
        let transaction = request.transaction;
        self.world.act(host, |actions| {
            respond(actions, transaction, status, fields, body)
        });
        self.world.sent(host)
    }

    /// `callee` rings, and `caller` hears of it.
    #[track_caller]
    pub fn ring(&mut self, callee: HostId, invite: &Request, caller: HostId) {
        self.answer(callee, invite, 180, &[], b"");
        self.gets(caller, 180);
    }

    /// `callee` answers with a session description, `caller` acknowledges: both dialogs.
    #[track_caller]
    pub fn accept(
        &mut self,
        callee: HostId,
        invite: &Request,
        caller: HostId,
        body: &[u8],
    ) -> (DialogId, DialogId) {
        let there = self.answer(callee, invite, 200, &[], body).dialog.unwrap();
        let here = self.gets(caller, 200).dialog.unwrap();
        self.say(caller, here, Method::Ack, &[], b"");
        assert_eq!(self.hears(callee, "ACK").dialog, Some(there));
        (here, there)
    }

    /// An INVITE with a description is answered after 180: both dialogs.
    #[track_caller]
    pub fn call(
        &mut self,
        caller: HostId,
        uri: &str,
        fields: Fields<'_>,
        callee: HostId,
    ) -> (DialogId, DialogId) {
        self.ask(caller, Method::Invite, uri, fields, &talk());
        let invite = self.hears(callee, "INVITE");
        self.ring(callee, &invite, caller);
        self.accept(callee, &invite, caller, &talk())
    }

    /// `from` changes the session with a re-INVITE.
    #[track_caller]
    pub fn reinvite(
        &mut self,
        from: HostId,
        dialog: DialogId,
        to: HostId,
        fields: Fields<'_>,
        [offer, answer]: [&[u8]; 2],
    ) {
        self.say(from, dialog, Method::Invite, fields, offer);
        let invite = self.hears(to, "INVITE");
        assert_eq!(invite.message.body(), offer);
        self.answer(to, &invite, 200, &[], answer);
        let answered = self.gets(from, 200);
        assert_eq!(answered.message.body(), answer);
        assert_eq!(answered.dialog, Some(dialog));
        self.say(from, dialog, Method::Ack, &[], b"");
        self.hears(to, "ACK");
    }

    /// The latest answered INVITE, named as Replaces and Join name its dialog to its caller or its callee (RFC 3891 §3).
    #[track_caller]
    pub fn named_to(&self, caller: bool) -> String {
        let lines = wire::lines(self.world.ladder());
        let answered = lines.iter().rfind(|line| {
            line.message.is_response()
                && line.message.cseq().unwrap().method == Method::Invite
                && !line.tag("To").is_empty()
        });
        let line = answered.unwrap();
        let tags = [line.tag("From"), line.tag("To")];
        let [own, peers] = if caller {
            tags
        } else {
            let [from, to] = tags;
            [to, from]
        };
        format!("{};to-tag={own};from-tag={peers}", line.call_id())
    }

    /// A REFER outside of a dialog is accepted, and told of at once: the dialogs of the subscription.
    #[track_caller]
    pub fn refer(
        &mut self,
        from: HostId,
        to: HostId,
        fields: Fields<'_>,
    ) -> (DialogId, DialogId, Request) {
        self.ask(from, Method::Refer, &to.uri("service"), fields, b"");
        let refer = self.hears(to, "REFER");
        let there = self.answer(to, &refer, 202, &[], b"").dialog.unwrap();
        let here = self.gets(from, 202).dialog.unwrap();
        self.report(to, there, from, "active;expires=60", "SIP/2.0 100 Trying");
        (here, there, refer)
    }

    /// `from` takes the place of a party in the call that `named` names: both dialogs.
    #[track_caller]
    pub fn replace(
        &mut self,
        from: HostId,
        to: HostId,
        named: &str,
        more: Fields<'_>,
    ) -> (DialogId, DialogId) {
        let own = [("Require", "replaces"), ("Replaces", named)];
        let fields = [&own, more].concat();
        self.ask(from, Method::Invite, &to.uri("alice"), &fields, &talk());
        let invite = self.hears(to, "INVITE");
        let given = invite.message.named("Replaces").next().unwrap();
        assert_eq!(given.text(), named);
        self.accept(to, &invite, from, &talk())
    }

    /// A request in a dialog, and its 200.
    #[track_caller]
    pub fn exchange(
        &mut self,
        from: HostId,
        dialog: DialogId,
        to: HostId,
        method: Method,
        fields: Fields<'_>,
        body: &[u8],
    ) -> Request {
        self.say(from, dialog, method.clone(), fields, body);
        let got = self.hears(to, method.as_str());
        assert_eq!(got.message.body(), body);
        self.answer(to, &got, 200, &[], b"");
        self.gets(from, 200);
        got
    }

    /// A NOTIFY that tells of a reference's state (RFC 3515 §2.4.5), and its 200.
    #[track_caller]
    pub fn report(
        &mut self,
        from: HostId,
        dialog: DialogId,
        to: HostId,
        state: &str,
        fragment: &str,
    ) {
        let fields = [
            ("Event", "refer"),
            ("Subscription-State", state),
            ("Content-Type", "message/sipfrag"),
        ];
        let body = format!("{fragment}\r\n");
        self.exchange(from, dialog, to, Method::Notify, &fields, body.as_bytes());
    }

    /// `from` hangs up, `to` answers.
    #[track_caller]
    pub fn bye(&mut self, from: HostId, dialog: DialogId, to: HostId) {
        self.exchange(from, dialog, to, Method::Bye, &[], b"");
    }

    /// Compares what crossed the wire since the last time with these rows, and gives the messages.
    #[track_caller]
    pub fn ladder(&mut self, rows: &[Row<'_>]) -> Lines {
        self.world.run(Duration::from_millis(20));
        let name = |host: HostId| self.names[host.0].clone();
        let expected: Vec<String> = rows
            .iter()
            .map(|(_, from, what, to)| format!("{} -> {}: {what}", name(*from), name(*to)))
            .collect();
        let mut lines = wire::lines(self.world.ladder()).split_off(self.seen);
        self.seen += lines.len();
        let seen: Vec<String> = lines
            .iter()
            .map(|line| format!("{} -> {}: {}", name(line.from), name(line.to), line.what()))
            .collect();
        assert!(
            seen == expected,
            "expected:\n{}\nseen:\n{}",
            expected.join("\n"),
            seen.join("\n")
        );
        for (line, row) in lines.iter_mut().zip(rows) {
            line.label = row.0.to_owned();
        }
        Lines(lines)
    }

    /// How many dialogs these hosts have.
    pub fn dialogs<const N: usize>(&self, hosts: [HostId; N]) -> [usize; N] {
        hosts.map(|host| self.world.counts(host).dialogs)
    }

    /// The flow is over: every line was compared, nobody has heard more than was expected, every message fits those before it,
    /// and nothing is left at any host.
    #[track_caller]
    pub fn finish(mut self) {
        self.ladder(&[]);
        for agent in self.agents.clone() {
            self.world.no_event(agent);
        }
        self.world.rest();
        self.ladder(&[]);
        wire::check(&wire::lines(self.world.ladder()));
    }
}
