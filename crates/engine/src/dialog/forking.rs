//! SUBSCRIBEs and REFERs outside a dialog, and the NOTIFYs that find them: one that overtakes the response, and those of the
//! other places to which a proxy forked the request, each of which makes a dialog (RFC 6665 §4.4.1, §4.1.2.4).
//!
//! It refuses to know what a subscription is; it says whose NOTIFY it may be.
use super::subscription::{DEFAULT_LIFE, EventName, seconds};
use crate::engine::{Engine, Timer};
use crate::id::{ApplicationId, TransactionId};
use crate::plan::Plan;
use crate::timer::TimerToken;
use crate::transaction::client::{ClientTransaction, User};
use crate::transaction::key::Digest;
use rustc_hash::FxHashMap;
use sip::header::Address;
use sip::{HeaderName, Method};
use std::time::Duration;

/// How many dialogs one request may make.
const MOST: usize = 32;

/// A request whose NOTIFYs may come.
pub(crate) struct Asked {
    key: Digest,
    pub(crate) application: ApplicationId,
    pub(crate) event: EventName,
    /// What it asked for.
    pub(crate) life: Duration,
    /// Its CSeq number.
    pub(crate) sequence: u32,
    /// A 2xx came.
    accepted: bool,
    /// The tags of the peers with which it made a dialog, those that ended since included.
    peers: Vec<Box<str>>,
    timer: TimerToken,
}

impl Asked {
    /// Whether this peer's NOTIFY or 2xx may make a dialog; it may once.
    pub(crate) fn admits(&self, peer: &str) -> bool {
        self.peers.len() < MOST && !self.peers.iter().any(|known| **known == *peer)
    }

    /// This peer's has made one.
    pub(crate) fn admit(&mut self, peer: &str) {
        self.peers.push(peer.into());
    }
}

/// The requests of a shard that may be forked, each for as long as Timer N lets a NOTIFY come.
#[derive(Default)]
pub(crate) struct AskedTable {
    by_key: FxHashMap<Digest, TransactionId>,
    by_id: FxHashMap<TransactionId, Box<Asked>>,
}

impl AskedTable {
    pub(crate) fn get_mut(&mut self, id: TransactionId) -> Option<&mut Asked> {
        self.by_id.get_mut(&id).map(AsMut::as_mut)
    }

    pub(crate) fn find(&self, key: Digest) -> Option<(TransactionId, &Asked)> {
        let id = *self.by_key.get(&key)?;
        self.by_id.get(&id).map(|asked| (id, asked.as_ref()))
    }

    fn insert(&mut self, id: TransactionId, asked: Asked) {
        self.by_key.insert(asked.key, id);
        self.by_id.insert(id, Box::new(asked));
    }

    fn remove(&mut self, id: TransactionId) -> Option<Box<Asked>> {
        let asked = self.by_id.remove(&id)?;
        // The same request again, with credentials, has taken its place.
        if self.by_key.get(&asked.key) == Some(&id) {
            self.by_key.remove(&asked.key);
        }
        Some(asked)
    }
}

/// What a request outside a dialog that creates a subscription says: its Call-ID, From tag, event, life and CSeq number.
fn read(transaction: &ClientTransaction) -> Option<(String, String, EventName, Duration, u32)> {
    let Some(Plan::Own(plan)) = &transaction.plan else {
        return None;
    };
    let header = |name: HeaderName| {
        let of = |(raw, _): &&(bytes::Bytes, bytes::Bytes)| HeaderName::from_bytes(raw) == name;
        let found = plan.headers.iter().find(of);
        found.and_then(|(_, value)| std::str::from_utf8(value).ok())
    };
    let (event, life) = if plan.method == Method::Refer {
        (EventName::of_refer(plan.sequence), None)
    } else {
        let life = header(HeaderName::Expires).and_then(|value| value.trim().parse::<u32>().ok());
        (
            EventName::parse(header(HeaderName::Event).unwrap_or_default().as_bytes()),
            life,
        )
    };
    let tag = match (&plan.from_tag, &plan.from) {
        (Some(tag), _) => tag.clone(),
        (None, Some(from)) => {
            let address = Address::parse(std::str::from_utf8(from).ok()?).ok()?;
            address.tag()?.to_owned()
        }
        (None, None) => return None,
    };
    let call_id = String::from_utf8_lossy(&plan.call_id).into_owned();
    Some((
        call_id,
        tag,
        event,
        life.map_or(DEFAULT_LIFE, seconds),
        plan.sequence,
    ))
}

impl Engine {
    /// What a NOTIFY finds the request by that it answers to.
    pub(crate) fn asked_key(&self, call_id: &str, tag: &str) -> Digest {
        self.digester
            .digest(&[b"subscription", call_id.as_bytes(), tag.as_bytes()])
    }

    /// A SUBSCRIBE or REFER outside a dialog is being sent: NOTIFYs may come.
    pub(crate) fn note_asked(&mut self, id: TransactionId) {
        let Some(transaction) = self.clients.get(id) else {
            return;
        };
        let asks = matches!(transaction.method, Method::Subscribe | Method::Refer);
        let User::Application(application) = transaction.user else {
            return;
        };
        if !asks || transaction.dialog.is_some() {
            return;
        }
        let Some((call_id, tag, event, life, sequence)) = read(transaction) else {
            return;
        };
        // The response may take Timer F, and a NOTIFY of another fork Timer N after that.
        let limit = self.config.timers.long().saturating_mul(2);
        let asked = Asked {
            key: self.asked_key(&call_id, &tag),
            application,
            event,
            life,
            sequence,
            accepted: false,
            peers: Vec::new(),
            timer: self.timers.set(self.now, limit, Timer::Asked(id)),
        };
        self.asked.insert(id, asked);
    }

    /// It got a final response, and nobody else's NOTIFY comes if that refused it.
    pub(crate) fn asked_answered(&mut self, id: TransactionId, status: u16) {
        if status >= 300 {
            return self.forget_asked(id);
        }
        let long = self.config.timers.long();
        if let Some(asked) = self.asked.get_mut(id) {
            asked.accepted = true;
            self.timers.cancel(asked.timer);
            asked.timer = self.timers.set(self.now, long, Timer::Asked(id));
        }
    }

    /// Its transaction is gone; NOTIFYs of others may come until Timer N fires, if anybody accepted it.
    pub(crate) fn asked_removed(&mut self, id: TransactionId) {
        if self.asked.get_mut(id).is_some_and(|asked| !asked.accepted) {
            self.forget_asked(id);
        }
    }

    /// Timer N, or the end before.
    pub(crate) fn forget_asked(&mut self, id: TransactionId) {
        if let Some(asked) = self.asked.remove(id) {
            self.timers.cancel(asked.timer);
        }
    }
}
