//! What a test expects of a host that it plays by hand.
use crate::host::HostId;
use crate::world::World;
use engine::Event;
use engine::event::{
    DialogEnded, Exported, Failed, Imported, ProxyDone, ProxyResponse, Request, Response, Sent,
    SubscriptionEnded,
};
use engine::id::DialogId;
use std::time::Duration;

/// Longer than any timer of a transaction, timer C included.
const REST: Duration = Duration::from_secs(600);

macro_rules! expected {
    ($($(#[$doc:meta])* $name:ident $variant:ident $kind:ident;)*) => {
        impl World {
            $(
                $(#[$doc])*
                ///
                /// # Panics
                /// When there is no event, or another one.
                #[track_caller]
                pub fn $name(&mut self, host: HostId) -> $kind {
                    match self.next_event(host) {
                        Some(Event::$variant(it)) => it,
                        other => panic!("{} is expected at {host:?}, not {other:?}", stringify!($variant)),
                    }
                }
            )*
        }
    };
}

expected! {
    /// The next event, which is a request.
    request Request Request;
    /// The next event, which is a response.
    response Response Response;
    /// The next event, which says that a command was carried out.
    sent Sent Sent;
    /// The next event, which says that a command failed.
    failed Failed Failed;
    /// The next event, which tells of a proxied request's response.
    proxy_response ProxyResponse ProxyResponse;
    /// The next event, which tells of a proxied request's end.
    proxy_done ProxyDone ProxyDone;
    /// The next event, which tells of a dialog that the engine ended.
    dialog_ended DialogEnded DialogEnded;
    /// The next event, which tells of a subscription that the engine ended.
    subscription_ended SubscriptionEnded SubscriptionEnded;
    /// The next event, which gives a dialog as a value.
    exported Exported Exported;
    /// The next event, which says that a dialog was taken over.
    imported Imported Imported;
}

impl World {
    /// The next event of a host that is played by hand. Lets the network bring it, for as long as nothing else would take
    /// (a second); it does not wait for timers longer than that.
    pub fn next_event(&mut self, host: HostId) -> Option<Event> {
        let end = self.now + Duration::from_secs(1);
        loop {
            self.settle();
            if let Some(event) = self.at(host).events.pop_front() {
                return Some(event);
            }
            if !self.step(end) {
                return None;
            }
        }
    }

    /// Every event that waits, without letting time pass.
    pub fn events(&mut self, host: HostId) -> Vec<Event> {
        self.settle();
        self.at(host).events.drain(..).collect()
    }

    /// Checks that nothing waits, and that nothing comes within a second.
    ///
    /// # Panics
    /// When there is an event.
    #[track_caller]
    pub fn no_event(&mut self, host: HostId) {
        let event = self.next_event(host);
        assert!(
            event.is_none(),
            "nothing is expected at {host:?}, not {event:?}"
        );
    }

    /// `caller` calls `callee`, which answers at once; gives both dialogs. Every event up to the ACK's is taken.
    pub fn call(&mut self, caller: HostId, callee: HostId) -> (DialogId, DialogId) {
        self.act(caller, |actions| actions.invite(&callee.uri("bob")));
        self.sent(caller);
        let invite = self.request(callee);
        self.act(callee, |actions| {
            actions.respond(invite.transaction, 200, crate::actions::SDP)
        });
        let there = self.sent(callee).dialog.expect("a 2xx has a dialog");
        let answer = self.response(caller);
        assert_eq!(answer.message.status(), 200);
        let here = answer.dialog.expect("a 2xx has a dialog");
        self.act(caller, |actions| actions.ack(here));
        self.sent(caller);
        assert_eq!(self.request(callee).message.method().as_str(), "ACK");
        (here, there)
    }

    /// `from` ends the dialog, `to` answers.
    pub fn hang_up(&mut self, from: HostId, dialog: DialogId, to: HostId) {
        self.act(from, |actions| actions.bye(dialog));
        self.sent(from);
        let bye = self.request(to);
        assert_eq!(bye.message.method().as_str(), "BYE");
        self.act(to, |actions| actions.respond(bye.transaction, 200, b""));
        self.sent(to);
        assert_eq!(self.response(from).message.status(), 200);
    }

    /// How many messages were sent that are chosen, lost ones included.
    pub fn count(&self, chosen: impl Fn(&crate::Packet) -> bool) -> usize {
        self.ladder
            .steps()
            .iter()
            .filter(|step| chosen(&step.packet))
            .count()
    }

    /// Lets ten minutes pass and checks that every table of every host is empty, timers included.
    ///
    /// # Panics
    /// When one is not.
    #[track_caller]
    pub fn rest(&mut self) {
        self.run(REST);
        for index in 0..self.hosts.len() {
            let counts = self.counts(HostId(index));
            let held = [
                ("server transactions", counts.server_transactions),
                ("client transactions", counts.client_transactions),
                ("dialogs", counts.dialogs),
                ("proxies", counts.proxies),
                ("timers", counts.timers),
                ("resolves", counts.resolves),
                ("sources", counts.sources),
            ];
            for (what, count) in held {
                assert_eq!(count, 0, "{what} of host {index} at rest");
            }
        }
    }
}
