//! The messages of a flow, and what must hold of them in any flow (RFC 3261 §8.1.1, §8.2.6, §9.1, §12.2.1.1, §16.6, §16.7, §17.1.1.3).
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]
use simnet::HostId;
use simnet::ladder::Ladder;
use sip::{HeaderName, Limits, Message, Method};
use std::net::{IpAddr, SocketAddr};

/// One message that crossed the wire.
#[derive(Clone)]
pub struct Line {
    pub label: String,
    pub from: HostId,
    pub to: HostId,
    pub message: Message,
}

/// The compared part of a ladder.
pub struct Lines(pub Vec<Line>);

impl Lines {
    /// The message of this name.
    #[track_caller]
    pub fn at(&self, label: &str) -> &Line {
        let found = self.0.iter().find(|line| line.label == label);
        found.unwrap_or_else(|| panic!("no line {label}"))
    }

    /// That every one of these has one and the same value there; gives it.
    #[track_caller]
    pub fn same(&self, name: &str, labels: &[&str]) -> String {
        let first = self.at(labels[0]).field(name);
        for label in labels {
            assert_eq!(self.at(label).field(name), first, "{name} of {label}");
        }
        first
    }
}

impl Line {
    /// The method, or the status and the method it answers.
    pub fn what(&self) -> String {
        if self.message.is_request() {
            return self.message.method().to_string();
        }
        format!(
            "{} {}",
            self.message.status(),
            self.message.cseq().unwrap().method
        )
    }

    /// The first value of a header field; empty when there is none.
    pub fn field(&self, name: &str) -> String {
        self.fields(name).into_iter().next().unwrap_or_default()
    }

    /// Every value of a header field, those in one line too.
    pub fn fields(&self, name: &str) -> Vec<String> {
        let id = HeaderName::from_bytes(name.as_bytes());
        let many = [
            HeaderName::Via,
            HeaderName::Route,
            HeaderName::RecordRoute,
            HeaderName::Contact,
        ];
        if many.contains(&id) {
            return self
                .message
                .values(id)
                .map(|value| value.into_owned())
                .collect();
        }
        let fields = self.message.named(name);
        fields.map(|field| field.text().into_owned()).collect()
    }

    /// How many Via values there are.
    pub fn vias(&self) -> usize {
        self.fields("Via").len()
    }

    /// The hosts of the values of Route or Record-Route.
    pub fn hops(&self, name: &str) -> Vec<HostId> {
        let values = self.fields(name);
        values
            .iter()
            .map(|value| {
                let host = value.split("sip:").nth(1).unwrap();
                let end = host.find([':', ';', '>']).unwrap();
                host_of(host[..end].rsplit('@').next().unwrap().parse().unwrap())
            })
            .collect()
    }

    /// The tag of From or To; empty when there is none.
    pub fn tag(&self, name: &str) -> String {
        let address = if name == "From" {
            self.message.from()
        } else {
            self.message.to()
        };
        address.unwrap().tag().unwrap_or_default().to_owned()
    }

    pub fn number(&self) -> u32 {
        self.message.cseq().unwrap().number
    }

    pub fn call_id(&self) -> String {
        self.message.call_id().unwrap().to_owned()
    }

    pub fn uri(&self) -> String {
        self.message.request_uri().to_owned()
    }

    pub fn body(&self) -> String {
        String::from_utf8_lossy(self.message.body()).into_owned()
    }

    /// The branches, topmost first.
    fn branches(&self) -> Vec<String> {
        let vias = self.message.vias();
        vias.map(|via| via.unwrap().branch().unwrap().to_owned())
            .collect()
    }

    fn is(&self, method: &Method) -> bool {
        self.message.is_request() && self.message.method() == *method
    }

    fn hop(&self) -> (HostId, HostId) {
        (self.from, self.to)
    }
}

fn host_of(address: IpAddr) -> HostId {
    let IpAddr::V4(four) = address else {
        panic!("{address}")
    };
    HostId(usize::from(four.octets()[3]) - 1)
}

/// What a ladder holds, parsed.
pub fn lines(ladder: &Ladder) -> Vec<Line> {
    let host = |address: SocketAddr| host_of(address.ip());
    let steps = ladder.steps().iter();
    steps
        .map(|step| Line {
            label: String::new(),
            from: host(step.packet.from),
            to: host(step.packet.to),
            message: Message::parse(step.packet.bytes.clone(), &Limits::default()).unwrap(),
        })
        .collect()
}

/// Checks every message against those before it.
#[track_caller]
pub fn check(lines: &[Line]) {
    for (index, line) in lines.iter().enumerate() {
        let before = &lines[..index];
        assert_ne!(line.tag("From"), "", "a From tag: {}", line.what());
        if line.message.is_response() {
            response(line, before);
        } else if line.vias() > 1 {
            forwarded(line, before);
        } else {
            original(line, before);
        }
    }
}

/// The request on that hop that has this branch.
#[track_caller]
fn asked<'a>(line: &Line, before: &'a [Line]) -> &'a Line {
    let found = before.iter().find(|earlier| {
        earlier.message.is_request()
            && earlier.hop() == (line.to, line.from)
            && earlier.branches() == line.branches()
            && earlier.message.method() == line.message.cseq().unwrap().method
    });
    found.unwrap_or_else(|| panic!("no request for {}", line.what()))
}

/// A response goes back where its request came from, with the same Via, From, Call-ID and CSeq, and a To tag.
fn response(line: &Line, before: &[Line]) {
    let request = asked(line, before);
    for name in ["From", "Call-ID", "CSeq"] {
        assert_eq!(line.field(name), request.field(name), "{}", line.what());
    }
    let status = line.message.status();
    if request.tag("To").is_empty() {
        assert_eq!(line.tag("To").is_empty(), status == 100, "{}", line.what());
    } else {
        assert_eq!(line.tag("To"), request.tag("To"), "{}", line.what());
    }
    let method = request.message.method();
    if method == Method::Invite && (101..300).contains(&status) {
        // All that the callee's agent got, at each hop on the way back (RFC 3261 §12.1.1).
        let [came, back] = [request, line].map(|line| line.fields("Record-Route"));
        let passed_on = before.iter().any(|later| {
            later.message.is_request()
                && later.from == line.from
                && later.branches().get(1..) == Some(&line.branches())
        });
        assert!(back.ends_with(&came), "{}", line.what());
        assert!(passed_on || back == came, "{}", line.what());
        assert_eq!(line.fields("Contact").len(), 1, "{}", line.what());
    }
}

/// A proxy adds a Via and takes one from Max-Forwards; the rest of what names the call stays.
fn forwarded(line: &Line, before: &[Line]) {
    let found = before.iter().find(|earlier| {
        earlier.message.is_request()
            && earlier.to == line.from
            && earlier.branches() == line.branches()[1..]
            && earlier.message.method() == line.message.method()
    });
    let came = found.unwrap_or_else(|| panic!("{} came from nowhere", line.what()));
    for name in ["From", "To", "Call-ID", "CSeq", "Contact"] {
        assert_eq!(line.field(name), came.field(name), "{}", line.what());
    }
    assert_eq!(line.message.body(), came.message.body());
    let hops = |line: &Line| line.field("Max-Forwards").parse::<u32>().unwrap();
    assert_eq!(hops(line) + 1, hops(came), "{}", line.what());
}

/// A request of a party, or a CANCEL or ACK of a hop.
fn original(line: &Line, before: &[Line]) {
    let mut same = before.iter().filter(|earlier| {
        earlier.message.is_request() && earlier.branches()[0] == line.branches()[0]
    });
    if line.is(&Method::Cancel) {
        let invite = same.find(|earlier| earlier.is(&Method::Invite)).unwrap();
        assert_eq!(invite.hop(), line.hop());
        assert_eq!(
            (invite.uri(), invite.number()),
            (line.uri(), line.number()),
            "CANCEL"
        );
        for name in ["From", "To", "Call-ID", "Route"] {
            assert_eq!(line.field(name), invite.field(name), "CANCEL: {name}");
        }
        return;
    }
    if line.is(&Method::Ack) {
        return acknowledgement(line, before);
    }
    if let Some(first) = same.next() {
        assert_eq!(first.message.bytes(), line.message.bytes(), "a repetition");
        return;
    }
    assert_eq!(line.field("Max-Forwards"), "70", "{}", line.what());
    // The numbers of a party rise within a call.
    let last = before.iter().rev().find(|earlier| {
        earlier.message.is_request()
            && earlier.call_id() == line.call_id()
            && earlier.tag("From") == line.tag("From")
    });
    if let Some(last) = last {
        // The next address of the same name is asked with the same number (RFC 3263 §4.3).
        let elsewhere = last.to != line.to && last.is(&line.message.method());
        let rises = line.number() > last.number();
        assert!(
            rises || elsewhere && line.number() == last.number(),
            "CSeq of {}",
            line.what()
        );
    }
}

/// The ACK of a 2xx is a transaction of its own; that of another final response belongs to the INVITE's (RFC 3261 §17.1.1.3).
fn acknowledgement(line: &Line, before: &[Line]) {
    let answer = before.iter().rev().find(|earlier| {
        earlier.message.is_response()
            && earlier.message.status() >= 200
            && earlier.message.cseq().unwrap().method == Method::Invite
            && earlier.to == line.from
            && earlier.call_id() == line.call_id()
            && earlier.number() == line.number()
            && earlier.tag("To") == line.tag("To")
    });
    let answer = answer.unwrap_or_else(|| panic!("nothing to acknowledge"));
    assert_eq!(answer.field("From"), line.field("From"));
    let branches = (&answer.branches()[0], &line.branches()[0]);
    let same = branches.0 == branches.1;
    assert_eq!(same, answer.message.status() >= 300, "the branch of an ACK");
    if same {
        let invite = asked(answer, before);
        assert_eq!(invite.hop(), line.hop());
        for name in ["Route", "From"] {
            assert_eq!(line.field(name), invite.field(name), "ACK: {name}");
        }
        assert_eq!(line.uri(), invite.uri(), "ACK");
    }
}
