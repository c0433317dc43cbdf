//! The proxy core does what RFC 3261 §16 says, seen from both sides: what each branch is sent, and what goes upstream.
//!
//! The bench drives the machine with parsed messages and a clock of its own; timers fire when the test advances it.
mod any_order;
mod bounds;
mod breadth;
mod cancel;
mod forking;
mod groups;
mod redirect;
mod relay;
mod request;
mod responses;
mod series;
mod timeouts;

use super::*;
pub(super) use crate::command::Forking;
use crate::transport::ListenerId;
use sip::{Build, HeaderName, Limits};
use std::collections::BTreeMap;

pub(super) const OWN_HOST: &str = "192.0.2.1";

/// This server: 192.0.2.1 with any port it listens on.
pub(super) fn own(host: Host<'_>, port: Option<u16>) -> bool {
    matches!(host, Host::V4(address) if address.to_string() == OWN_HOST)
        && matches!(port, None | Some(5060 | 5061))
        || matches!(host, Host::Name("proxy.example"))
}

pub(super) fn parse(text: &str) -> Arc<Message> {
    let text = text.replace('\n', "\r\n");
    Arc::new(
        Message::parse(Bytes::from(text), &Limits::default())
            .expect("the test's message is well-formed"),
    )
}

/// A request as alice sends it. `extra` are header lines, each ended by a line feed.
pub(super) fn request(method: &str, uri: &str, extra: &str) -> Arc<Message> {
    let body = if method == "INVITE" { "v=0\n" } else { "" };
    let length = if body.is_empty() { 0 } else { body.len() + 1 };
    parse(&format!(
        "{method} {uri} SIP/2.0\nVia: SIP/2.0/UDP 198.51.100.7:5062;branch=z9hG4bKalice;received=198.51.100.7;rport=5062\n\
         From: <sip:alice@a.example>;tag=1\nTo: <sip:bob@b.example>\nCall-ID: c1\nCSeq: 7 {method}\nMax-Forwards: 11\n\
         {extra}Content-Length: {length}\n\n{body}"
    ))
}

pub(super) fn invite() -> Arc<Message> {
    request(
        "INVITE",
        "sip:bob@proxy.example",
        "Contact: <sip:alice@198.51.100.7:5062>\n",
    )
}

pub(super) fn order(request: Arc<Message>, targets: &[&str]) -> ProxyOrder {
    ProxyOrder {
        request,
        command: Some(CommandId(5)),
        targets: targets.iter().map(|target| (*target).to_owned()).collect(),
        options: ProxyOptions::default(),
        headers: Vec::new(),
        timers: ProxyTimers {
            c: Duration::from_secs(185),
            cancelled: Duration::from_secs(32),
            crossing: Duration::from_secs(5),
            search: Duration::from_secs(3600),
        },
        drachtio_compatible: false,
    }
}

pub(super) fn hop<'a>(branch: &'a str, record_route: &'a str) -> Hop<'a> {
    Hop {
        transport: Transport::Udp,
        sent_by: "192.0.2.1:5060",
        branch,
        alias: false,
        record_route,
        record_route_received: None,
    }
}

/// The machine, what it has sent, and the timers it set.
pub(super) struct Bench {
    pub(super) context: ProxyContext,
    pub(super) now: Time,
    effects: Effects,
    timers: BTreeMap<(Time, u32), Vec<TimerKind>>,
    /// What was written for the wire, by branch: the last one.
    pub(super) sent: BTreeMap<u32, Message>,
    /// What went upstream.
    pub(super) upstream: Vec<Message>,
    /// Whether next hops are resolved at once.
    pub(super) resolves: bool,
}

impl Bench {
    pub(super) fn new(order: ProxyOrder) -> Bench {
        let context = ProxyContext::new(order, &own).expect("the request may be proxied");
        Bench {
            context,
            now: Time::ZERO,
            effects: Effects::new(),
            timers: BTreeMap::new(),
            sent: BTreeMap::new(),
            upstream: Vec::new(),
            resolves: true,
        }
    }

    /// Starts the search; returns what happened.
    pub(super) fn start(&mut self) -> Vec<String> {
        self.context.start(self.now, &mut self.effects);
        self.carry_out()
    }

    /// The target of a branch answers with a status.
    pub(super) fn answer(&mut self, branch: u32, status: u16) -> Vec<String> {
        self.answer_with(branch, status, &[])
    }

    /// The same with header fields.
    pub(super) fn answer_with(
        &mut self,
        branch: u32,
        status: u16,
        headers: &[(&str, &str)],
    ) -> Vec<String> {
        let sent = self.sent.get(&branch).expect("the branch was sent");
        let tag = format!("bob{branch}");
        let mut build = Build::reply(sent, status, sip::status::reason_phrase(status), Some(&tag));
        for (name, value) in headers {
            build = build.named(name, *value);
        }
        let message = Message::parse(build.finish(&[]), &Limits::default()).expect("a response");
        self.respond(branch, message)
    }

    pub(super) fn respond(&mut self, branch: u32, message: Message) -> Vec<String> {
        let origin = Origin {
            listener: ListenerId(0),
            transport: Transport::Udp,
            peer: "203.0.113.10:5060".parse().expect("an address"),
            local: "192.0.2.1:5060".parse().expect("an address"),
            connection: None,
        };
        let wire_bytes = message.as_bytes().len();
        let response = BranchResponse {
            message: Arc::new(message),
            origin,
            wire_bytes,
        };
        self.context
            .on_response(self.now, branch, response, &mut self.effects);
        self.carry_out()
    }

    pub(super) fn fail(&mut self, branch: u32, failure: BranchFailure) -> Vec<String> {
        self.context
            .on_branch_failed(self.now, branch, failure, &mut self.effects);
        self.carry_out()
    }

    pub(super) fn cancel(&mut self) -> Vec<String> {
        self.context.on_cancelled(self.now, None, &mut self.effects);
        self.carry_out()
    }

    /// The application gives the request up.
    pub(super) fn abandon(&mut self, status: u16) -> Vec<String> {
        self.context
            .on_abandoned(self.now, status, None, &mut self.effects);
        self.carry_out()
    }

    /// Lets time pass; timers fire when they are due.
    pub(super) fn pass(&mut self, seconds: f64) -> Vec<String> {
        let until = self.now + Duration::from_secs_f64(seconds);
        let mut seen = Vec::new();
        while let Some(entry) = self
            .timers
            .first_entry()
            .filter(|entry| entry.key().0 <= until)
        {
            let ((at, branch), kinds) = entry.remove_entry();
            self.now = at;
            for kind in kinds {
                self.context.on_timer(at, kind, branch, &mut self.effects);
                seen.extend(self.carry_out());
            }
        }
        self.now = until;
        seen
    }

    /// Whether a timer runs.
    pub(super) fn has_timers(&self) -> bool {
        !self.timers.is_empty()
    }

    /// The resolver answers for a branch: the request goes out. False when the branch is no more.
    pub(super) fn resolved(&mut self, branch: u32) -> bool {
        let via_branch = format!("z9hG4bKtest{branch}");
        let Some(bytes) = self
            .context
            .write_request(branch, &hop(&via_branch, "sip:192.0.2.1:5060;lr"))
        else {
            return false;
        };
        self.sent.insert(
            branch,
            Message::parse(bytes, &Limits::default()).expect("a forwarded request is well-formed"),
        );
        true
    }

    fn clear_timer(&mut self, kind: TimerKind, branch: u32) {
        self.timers.retain(|(_, of), kinds| {
            kinds.retain(|set| *of != branch || *set != kind);
            !kinds.is_empty()
        });
    }

    fn carry_out(&mut self) -> Vec<String> {
        let mut seen = Vec::new();
        for effect in std::mem::take(&mut self.effects) {
            match effect {
                Effect::Forward { branch, next_hop } => {
                    seen.push(format!("forward {branch} to {next_hop}"));
                    if self.resolves {
                        assert!(self.resolved(branch));
                    }
                }
                Effect::CancelBranch { branch, reason } => {
                    let value = reason.header_value().unwrap_or_default();
                    seen.push(
                        format!(
                            "cancel {branch} {}",
                            value.split("\"").nth(1).unwrap_or_default()
                        )
                        .trim()
                        .to_owned(),
                    );
                }
                Effect::EndBranch { branch } => seen.push(format!("end {branch}")),
                Effect::Upstream(Upstream::Forwarded {
                    status,
                    branch,
                    response,
                }) => {
                    let message = Message::parse(response, &Limits::default())
                        .expect("a forwarded response is well-formed");
                    assert_eq!(message.status(), status);
                    self.upstream.push(message);
                    seen.push(format!("up {status} of {branch}"));
                }
                Effect::Upstream(Upstream::Made { status }) => seen.push(format!("make {status}")),
                Effect::Upstream(Upstream::Nothing) => seen.push("silence".to_owned()),
                Effect::SetTimer { kind, branch, at } => {
                    self.clear_timer(kind, branch);
                    self.timers.entry((at, branch)).or_default().push(kind);
                }
                Effect::ClearTimer { kind, branch } => self.clear_timer(kind, branch),
                Effect::Report(ProxyResponse {
                    command,
                    branch,
                    message,
                    origin,
                    ..
                }) => {
                    assert_eq!(command, CommandId(5));
                    let made = if origin.is_none() { " (made)" } else { "" };
                    seen.push(format!("report {} of {branch}{made}", message.status()));
                }
                Effect::Done(ProxyDone {
                    command,
                    status,
                    winner,
                }) => {
                    assert_eq!(command, CommandId(5));
                    let status = status.map_or("-".to_owned(), |status| status.to_string());
                    let winner = winner.map_or("us".to_owned(), |winner| winner.to_string());
                    seen.push(format!("done {status} by {winner}"));
                }
            }
        }
        seen
    }
}

/// The value of a header field, as text.
pub(super) fn value(message: &Message, name: HeaderName) -> String {
    message
        .headers(name)
        .map(|field| field.text().into_owned())
        .collect::<Vec<_>>()
        .join(" | ")
}
