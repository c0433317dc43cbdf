//! Call flows as an RFC draws them: agents are played by hand, proxies follow a rule, and what crossed the wire is compared with
//! the ladder, line by line. What holds of every flow is checked in [`wire`].
#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)] // Each test file uses its part.
pub mod following;
pub mod references;
pub mod wire;

use engine::Resolved;
use engine::command::{Command, DialogReference, SendRequest};
use engine::event::{Request, Response, Sent};
use engine::id::DialogId;
use engine::transport::Transport;
pub use following::{Ends, Follower, challenge, credentials, guarded, record_route, respond, to};
pub use references::refer_to;
use simnet::actions::draft;
use simnet::host::config;
use simnet::{Actions, Faults, HostId, World};
use sip::Method;
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
        // The drawings have the RFC's own times.
        config.failover.target_timeout = None;
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
        let (follower, ends) = Follower::new(rule);
        self.proxies.push((id, ends));
        self.world.script(id, follower);
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
