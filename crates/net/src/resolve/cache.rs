//! What name servers said, for as long as it holds; and one question at a time for each name, however many wait for it.
//!
//! Bounded in number. An answer lives for its TTL, and longer while no server answers (RFC 8767): then what was right an hour ago is
//! better than nothing, as a target that is gone is noticed and left out (`engine`'s `uac/unavailable.rs`) and one that moved is found
//! again with the first server that answers.
use super::config::DnsConfig;
use super::record::{Kind, Outcome, Record};
use super::servers::{Answer, FAILURE, Servers};
use super::turns::Turns;
use engine::ResolveError;
use rustc_hash::FxHashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// How long those wait who could be given an answer past its TTL (RFC 8767 §5: 1.8 s).
const STALE_AFTER: Duration = Duration::from_millis(1800);

type Key = (Kind, Box<str>);

/// The answers of all names.
#[derive(Clone)]
pub(crate) struct Cache {
    shared: Arc<Shared>,
}

struct Shared {
    servers: Servers,
    stale: Duration,
    room: usize,
    asking: Turns,
    lookups: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Two generations, each of half the room: when the young one is full it is the old one, and the old one is gone.
    young: FxHashMap<Key, Entry>,
    old: FxHashMap<Key, Entry>,
    running: FxHashMap<Key, watch::Sender<Option<Outcome>>>,
}

#[derive(Clone)]
struct Entry {
    outcome: Outcome,
    fresh_until: Instant,
    /// When no server answers it is used until then.
    stale_until: Instant,
}

/// An answer that is there, or on its way.
pub(crate) enum Pending {
    Known(Outcome),
    Asked {
        receiver: watch::Receiver<Option<Outcome>>,
        stale: Option<Outcome>,
    },
}

impl Cache {
    pub(crate) fn new(config: &DnsConfig) -> Cache {
        let shared = Shared {
            servers: Servers::new(config.clone()),
            stale: config.stale,
            room: config.cache.max(2) / 2,
            asking: Turns::new(config.concurrent),
            lookups: AtomicU64::new(0),
            state: Mutex::default(),
        };
        Cache {
            shared: Arc::new(shared),
        }
    }

    /// The name servers and the hosts file.
    pub(crate) fn servers(&self) -> &Servers {
        &self.shared.servers
    }

    /// How many questions went to name servers since the start.
    pub(crate) fn lookups(&self) -> u64 {
        self.shared.lookups.load(Ordering::Relaxed)
    }

    /// The records of a name, from here or from a server: the question is on its way when this returns.
    pub(crate) fn begin(&self, host: &str, kind: Kind) -> Pending {
        let key = (kind, host.to_ascii_lowercase().into_boxed_str());
        let now = Instant::now();
        let mut state = self.shared.lock();
        let entry = state.get(&key, self.shared.room);
        let stale = match entry {
            Some(entry) if entry.fresh_until > now => return Pending::Known(entry.outcome),
            Some(entry) => {
                let usable = entry.stale_until > now && entry.outcome.is_ok();
                usable.then_some(entry.outcome)
            }
            None => None,
        };
        if let Some(running) = state.running.get(&key) {
            let receiver = running.subscribe();
            return Pending::Asked { receiver, stale };
        }
        if state.running.len() >= self.shared.room.saturating_mul(2) {
            return Pending::Known(stale.unwrap_or(Err(ResolveError::Failed)));
        }
        let (sender, receiver) = watch::channel(None);
        state.running.insert(key.clone(), sender.clone());
        drop(state);
        let running = Running {
            shared: self.shared.clone(),
            key,
            sender,
        };
        tokio::spawn(running.run());
        Pending::Asked { receiver, stale }
    }
}

/// A question that is being asked: whatever becomes of its task, nobody waits for it afterwards.
struct Running {
    shared: Arc<Shared>,
    key: Key,
    sender: watch::Sender<Option<Outcome>>,
}

impl Running {
    /// Asks when its turn comes, unless everybody who waited has gone by then. Once asked it goes on, unless it has to give way: the answer is
    /// worth keeping.
    async fn run(self) {
        let turn = tokio::select! {
            turn = self.shared.asking.take() => turn,
            () = self.abandoned() => return,
        };
        self.shared.lookups.fetch_add(1, Ordering::Relaxed);
        let answer = tokio::select! {
            biased;
            answer = self.shared.servers.ask(&self.key.1, self.key.0) => answer,
            () = self.shared.asking.is_over() => Answer::failed(ResolveError::Crowded),
        };
        drop(turn);
        let outcome = self.shared.keep(&self.key, answer);
        let sender = self.sender.clone();
        drop(self);
        sender.send_replace(Some(outcome));
    }

    async fn abandoned(&self) {
        loop {
            self.sender.closed().await;
            // Whoever comes finds the question under the lock, or asks anew.
            let mut state = self.shared.lock();
            if self.sender.receiver_count() == 0 {
                state.running.remove(&self.key);
                return;
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let is_ours = |running: &watch::Sender<_>| running.same_channel(&self.sender);
        if state.running.get(&self.key).is_some_and(is_ours) {
            state.running.remove(&self.key);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps an answer. When no server told, one that is past its TTL stands in for it.
    fn keep(&self, key: &Key, answer: Answer) -> Outcome {
        let now = Instant::now();
        let mut state = self.lock();
        let silent = matches!(
            answer.outcome,
            Err(ResolveError::Timeout | ResolveError::Failed | ResolveError::Crowded)
        );
        if silent
            && let Some(mut old) = state.get(key, self.room)
            && old.outcome.is_ok()
            && old.stale_until > now
        {
            old.fresh_until = now + FAILURE;
            let outcome = old.outcome.clone();
            state.put(key.clone(), old, self.room);
            return outcome;
        }
        let outcome: Outcome = answer.outcome.map(Arc::<[Record]>::from);
        // That it had to give way says nothing about the name.
        let says_nothing = matches!(outcome, Err(ResolveError::Crowded));
        if says_nothing || answer.ttl.is_zero() && self.stale.is_zero() {
            return outcome;
        }
        let fresh_until = now + answer.ttl;
        let entry = Entry {
            outcome: outcome.clone(),
            fresh_until,
            stale_until: fresh_until + self.stale,
        };
        state.put(key.clone(), entry, self.room);
        outcome
    }
}

impl State {
    fn get(&mut self, key: &Key, room: usize) -> Option<Entry> {
        if let Some(entry) = self.young.get(key) {
            return Some(entry.clone());
        }
        let entry = self.old.remove(key)?;
        self.put(key.clone(), entry.clone(), room);
        Some(entry)
    }

    fn put(&mut self, key: Key, entry: Entry, room: usize) {
        if self.young.len() >= room && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, entry);
    }
}

impl Pending {
    /// Whether a server has to be waited for.
    pub(crate) fn is_known(&self) -> bool {
        matches!(self, Pending::Known(_))
    }

    /// What the question led to.
    pub(crate) async fn outcome(self) -> Outcome {
        let (mut receiver, stale) = match self {
            Pending::Known(outcome) => return outcome,
            Pending::Asked { receiver, stale } => (receiver, stale),
        };
        let wait = async {
            let found = receiver.wait_for(Option::is_some).await;
            found
                .ok()
                .and_then(|outcome| outcome.clone())
                .unwrap_or(Err(ResolveError::Failed))
        };
        match stale {
            None => wait.await,
            Some(stale) => timeout(STALE_AFTER, wait).await.unwrap_or(stale),
        }
    }
}
