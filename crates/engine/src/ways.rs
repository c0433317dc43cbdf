//! The ways of INVITEs that were forwarded without state: their CANCEL and the ACK of their refusal follow them (RFC 3261 §16.10,
//! §16.11), although only the application knew the target.
//!
//! A way is a URI and what becomes of Route, and is forgotten after timer C. It holds no transaction: a proxy that starts anew
//! loses nothing but the CANCELs of what was ringing.
use crate::engine::{Engine, Timer};
use crate::proxy::loops::{key_of, stateless_key};
use crate::proxy::relay::Forwarding;
use crate::proxy::route::Path;
use crate::timer::TimerToken;
use crate::uas::Arrival;
use rustc_hash::FxHashMap;
use sip::Method;
use std::sync::Arc;

/// The way of one INVITE.
pub(crate) struct Way {
    path: Path,
    timer: TimerToken,
}

/// The ways that are remembered, by the key of the branch (`loops::stateless_key`).
pub(crate) type Ways = FxHashMap<u64, Box<Way>>;

impl Engine {
    /// Remembers the way of an INVITE; with a full table it is forgotten at once, and its CANCEL gets 481.
    pub(crate) fn remember_way(&mut self, forwarding: &Forwarding) {
        let request = forwarding.request();
        if request.method() != Method::Invite || self.ways.len() >= self.config.bounds.transactions
        {
            return;
        }
        let key = stateless_key(request);
        let timer = self
            .timers
            .set(self.now, self.config.timers.c, Timer::Way(key));
        let way = Way {
            path: forwarding.path().clone(),
            timer,
        };
        if let Some(old) = self.ways.insert(key, Box::new(way)) {
            self.timers.cancel(old.timer);
        }
    }

    /// A CANCEL or ACK for which there is no transaction: forwarded when its INVITE was forwarded without state. False when not.
    pub(crate) fn follow_way(&mut self, arrival: &Arrival<'_>) -> bool {
        if self.ways.is_empty() {
            return false;
        }
        let Some(way) = self.ways.get(&stateless_key(&arrival.message)) else {
            return false;
        };
        let forwarding = Forwarding::following(Arc::clone(&arrival.message), way.path.clone());
        if let Err(error) = self.forward_stateless(forwarding, arrival.origin) {
            tracing::debug!(?error, "it cannot follow its INVITE");
        }
        true
    }

    /// A 2xx with this branch passed: no CANCEL has an effect any more, and its ACK goes by its own route.
    pub(crate) fn way_answered(&mut self, branch: &str) {
        if let Some(way) = key_of(branch).and_then(|key| self.ways.remove(&key)) {
            self.timers.cancel(way.timer);
        }
    }

    /// Timer C passed.
    pub(crate) fn forget_way(&mut self, key: u64) {
        self.ways.remove(&key);
    }
}
