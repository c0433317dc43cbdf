//! Which nonces were told to which source: credentials that an application accepts show that their source gets what is sent to it only
//! where they repeat one that was sent there. That somebody was challenged is the application's doing; here it is remembered for
//! as long as an answer to it takes.
use super::Source;
use crate::engine::Engine;
use crate::id::TransactionId;
use crate::time::Time;
use rustc_hash::FxHashMap;
use sip::header::Challenge;
use sip::{HeaderName, Message};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

/// How many are remembered: past that the oldest go. A phone answers within a second.
const MOST: usize = 4096;
/// How long: as long as the transaction that follows may take (RFC 3261 §17.1.2.2, timer F).
const KEPT: Duration = Duration::from_secs(32);

/// The nonces of late, by a keyed number for each and its source.
#[derive(Default)]
pub(super) struct Challenges {
    told: FxHashMap<u64, Time>,
    order: VecDeque<(Time, u64)>,
}

impl Challenges {
    fn note(&mut self, now: Time, key: u64) {
        self.forget(now);
        if self.order.len() >= MOST
            && let Some((_, oldest)) = self.order.pop_front()
        {
            self.told.remove(&oldest);
        }
        if self.told.insert(key, now).is_none() {
            self.order.push_back((now, key));
        }
    }

    fn has(&self, now: Time, key: u64) -> bool {
        self.told
            .get(&key)
            .is_some_and(|told| now.since(*told) < KEPT)
    }

    /// Forgets what is too old.
    pub(super) fn forget(&mut self, now: Time) {
        while let Some((told, key)) = self
            .order
            .front()
            .copied()
            .filter(|(told, _)| now.since(*told) >= KEPT)
        {
            self.order.pop_front();
            if self.told.get(&key) == Some(&told) {
                self.told.remove(&key);
            }
        }
        if self.order.is_empty() && self.order.capacity() > 0 {
            *self = Challenges::default();
        }
    }
}

/// The nonces in the header fields of these names.
fn nonces<'a>(
    message: &'a Message,
    names: [HeaderName; 2],
) -> impl Iterator<Item = String> + use<'a> {
    names
        .into_iter()
        .flat_map(|name| message.headers(name))
        .filter_map(|field| {
            let text = field.text();
            let challenge = Challenge::parse(&text).ok()?;
            challenge.get("nonce").map(|nonce| nonce.into_owned())
        })
}

impl Engine {
    fn nonce_key(&self, source: IpAddr, nonce: &str) -> u64 {
        let parts = [&Source::of(source).bytes()[..], nonce.as_bytes()].concat();
        self.admit.digester.number(&parts)
    }

    /// A challenge went to this address.
    pub(crate) fn note_challenged(&mut self, told: IpAddr, response: &Message) {
        if self.admit.config.trusts(told) {
            return;
        }
        let names = [HeaderName::WwwAuthenticate, HeaderName::ProxyAuthenticate];
        for nonce in nonces(response, names).take(4) {
            let key = self.nonce_key(told, &nonce);
            self.admit.challenges.note(self.now, key);
        }
    }

    /// The application accepted a request: its source is known if it repeats a nonce that went there, or came over a connection with
    /// credentials, as the address of one is nobody else's.
    pub(crate) fn note_accepted(&mut self, id: TransactionId, request: &Message) {
        let Some(origin) = self.servers.get(id).map(|server| server.origin) else {
            return;
        };
        let names = [HeaderName::Authorization, HeaderName::ProxyAuthorization];
        let is_shown = nonces(request, names).take(4).any(|nonce| {
            let key = self.nonce_key(origin.peer.ip(), &nonce);
            origin.transport.is_reliable() || self.admit.challenges.has(self.now, key)
        });
        if is_shown {
            self.note_known(&origin);
        }
    }
}
