//! A proxy's application that follows a rule, and the rules of the flows: forwarding, and asking for credentials.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)] // Each test file uses its part.
use super::Fields;
use engine::Event;
use engine::command::{Command, ProxyOptions, Respond};
use engine::event::Request;
use engine::id::{CommandId, TransactionId};
use simnet::actions::draft;
use simnet::{Actions, Application};
use sip::Method;
use std::cell::RefCell;
use std::rc::Rc;

/// What a proxy does with each request that is not relayed by the engine alone.
type Rule = Box<dyn FnMut(&Request, &mut Actions)>;

/// How each request ended that a proxy forwarded.
pub type Ends = Rc<RefCell<Vec<Option<u16>>>>;

pub struct Follower {
    rule: Rule,
    ends: Ends,
}

impl Follower {
    /// One that follows this rule, and what its requests came to.
    pub fn new(rule: impl FnMut(&Request, &mut Actions) + 'static) -> (Follower, Ends) {
        let ends = Ends::default();
        let follower = Follower {
            rule: Box::new(rule),
            ends: Rc::clone(&ends),
        };
        (follower, ends)
    }
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
