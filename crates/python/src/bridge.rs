//! The queue between the engine's threads and the Python loop: events in from every shard, out in bounded batches, one
//! wake-up for as many as wait. Knows nothing of Python: the shards' threads never take the interpreter.
//!
//! # No wake-up is lost
//!
//! `armed` says that the loop has been, or is about to be, woken. The orders are:
//!
//! ```text
//! shard:  push (in the queue's lock)  →  armed.swap(true)  →  write, if it was false
//! loop:   clear the descriptor  →  armed.store(false)  →  take (in the queue's lock)
//! ```
//!
//! * A push that found `armed` true happened before the loop's store, or its swap would have read the store's `false`. Either its
//!   lock came before the loop's, and the loop takes the event; or it came after, and then the swap came after the store too
//!   and found `false`, or a `true` of another shard's swap, which writes.
//! * Were the descriptor cleared after the store, a write in between would be swallowed while `armed` stays true: asleep for ever.
//!
//! # Calls before new ones
//!
//! New requests wait in a lane of their own, behind everything that belongs to what the application has begun: under a flood of new calls
//! those that there are go on without waiting for it. Nothing overtakes what it depends on: what belongs to a request comes when the
//! application has answered it, so that it has taken it out of its lane; a CANCEL, which need not wait for that, goes with the new requests, and so does
//! the word that an answer came too late, which a CANCEL may be the cause of.
//!
//! `tests/bridge.rs` hammers both orders. Measured against other ways across in `bench/README.md`.
use crate::wakeup::Wakeup;
use engine::Event;
use engine::event::{CommandError, Request};
use engine::id::TransactionId;
use engine::seam::Events;
use sip::Method;
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A queue that grew past this in a burst gives its memory back when it is empty again.
const KEPT_CAPACITY: usize = 4096;

/// An event, and when it came, in nanoseconds since the bridge was made.
struct Waiting {
    since: u64,
    event: Event,
}

/// The events of calls, and of whatever else the application has begun; and new requests.
#[derive(Default)]
struct Lanes {
    calls: VecDeque<Waiting>,
    new: VecDeque<Waiting>,
}

impl Lanes {
    fn len(&self) -> usize {
        self.calls.len() + self.new.len()
    }

    /// When the oldest came; `u64::MAX` when there is none.
    fn oldest(&self) -> u64 {
        let fronts = [self.calls.front(), self.new.front()];
        let times = fronts.into_iter().flatten().map(|waiting| waiting.since);
        times.min().unwrap_or(u64::MAX)
    }
}

/// One shard's events. Shards do not meet: each has a lock of its own.
#[derive(Default)]
struct Queue {
    pushed: Mutex<Lanes>,
    /// When the oldest of `pushed` came; `u64::MAX` when it is empty. Written in its lock.
    oldest: AtomicU64,
}

/// The loop's side: what it took out of the queues and has not yet handed out.
struct Taken {
    /// One per shard; swapped with `Queue::pushed`, so that two buffers serve for ever.
    queues: Vec<Lanes>,
    /// How many there are in all of them.
    left: usize,
    /// The shard that is served first, in turn.
    first: usize,
}

/// Totals since the start.
#[derive(Default)]
pub struct Totals {
    /// Events taken.
    pub events: AtomicU64,
    /// Writes to the descriptor.
    pub wakes: AtomicU64,
    /// Calls of `take`.
    pub takes: AtomicU64,
    /// New requests refused because the bound was reached.
    pub dropped: AtomicU64,
}

/// See the module.
pub struct Bridge {
    queues: Vec<Queue>,
    taken: Mutex<Taken>,
    /// When the oldest of `taken` came; `u64::MAX` when there is none.
    taken_oldest: AtomicU64,
    /// New requests that found the queue full, for which the loop's side answers 503.
    shed: Mutex<Vec<TransactionId>>,
    armed: AtomicBool,
    wakeup: Wakeup,
    origin: Instant,
    bound: usize,
    totals: Totals,
}

impl Bridge {
    /// A bridge for so many shards, each of which may have `bound` events waiting before its new requests are refused.
    ///
    /// # Errors
    /// The operating system's: no descriptor left.
    pub fn new(shards: u8, bound: usize) -> io::Result<Bridge> {
        let shards = usize::from(shards.max(1));
        let queue = || Queue {
            pushed: Mutex::default(),
            oldest: AtomicU64::new(u64::MAX),
        };
        Ok(Bridge {
            queues: (0..shards).map(|_| queue()).collect(),
            taken: Mutex::new(Taken {
                queues: (0..shards).map(|_| Lanes::default()).collect(),
                left: 0,
                first: 0,
            }),
            taken_oldest: AtomicU64::new(u64::MAX),
            shed: Mutex::default(),
            armed: AtomicBool::new(false),
            wakeup: Wakeup::open()?,
            origin: Instant::now(),
            bound: bound.max(1),
            totals: Totals::default(),
        })
    }

    /// The descriptor and its state.
    pub fn wakeup(&self) -> &Wakeup {
        &self.wakeup
    }

    /// Totals since the start.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Takes the oldest events, at most `limit`, in order within a lane of a shard. For one thread at a time: two would share them out.
    ///
    /// With `arm`, the descriptor is readable afterwards if there are more, and becomes so with the next event. Without, nothing
    /// wakes the loop until a later call has it: for a loop that comes again by itself.
    pub fn take(&self, limit: usize, arm: bool) -> Vec<Event> {
        let mut taken = lock(&self.taken);
        if taken.left == 0 {
            // The order matters: see the module.
            self.wakeup.clear();
            if arm {
                self.armed.store(false, Ordering::SeqCst);
            }
        }
        let shards = taken.queues.len();
        let mut events = Vec::new();
        for step in 0..shards {
            let shard = (taken.first + step) % shards;
            self.take_shard(&mut taken, shard, limit, &mut events);
        }
        taken.first = (taken.first + 1) % shards;
        let oldest = taken.queues.iter().map(Lanes::oldest).min();
        self.taken_oldest
            .store(oldest.unwrap_or(u64::MAX), Ordering::Relaxed);
        self.totals.takes.fetch_add(1, Ordering::Relaxed);
        self.totals
            .events
            .fetch_add(events.len() as u64, Ordering::Relaxed);
        if taken.left > 0 && arm {
            self.wake();
        }
        events
    }

    fn take_shard(&self, taken: &mut Taken, shard: usize, limit: usize, events: &mut Vec<Event>) {
        let (Some(mine), Some(queue)) = (taken.queues.get_mut(shard), self.queues.get(shard))
        else {
            return;
        };
        if mine.calls.is_empty() || mine.new.is_empty() {
            let before = mine.len();
            for lane in [&mut mine.calls, &mut mine.new] {
                if lane.is_empty() && lane.capacity() > KEPT_CAPACITY {
                    *lane = VecDeque::new();
                }
            }
            let mut pushed = lock(&queue.pushed);
            if mine.calls.is_empty() {
                std::mem::swap(&mut pushed.calls, &mut mine.calls);
            }
            if mine.new.is_empty() {
                std::mem::swap(&mut pushed.new, &mut mine.new);
            }
            queue.oldest.store(pushed.oldest(), Ordering::Relaxed);
            drop(pushed);
            taken.left += mine.len() - before;
        }
        for lane in [&mut mine.calls, &mut mine.new] {
            let count = limit.saturating_sub(events.len()).min(lane.len());
            taken.left -= count;
            events.extend(lane.drain(..count).map(|waiting| waiting.event));
        }
    }

    /// The server transactions of new requests that found the queue full, since the last call.
    pub fn take_shed(&self) -> Vec<TransactionId> {
        std::mem::take(&mut *lock(&self.shed))
    }

    /// How many events wait.
    pub fn waiting(&self) -> usize {
        lock(&self.taken).left
            + self
                .queues
                .iter()
                .map(|queue| lock(&queue.pushed).len())
                .sum::<usize>()
    }

    /// Nanoseconds since the bridge was made.
    fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX - 1)
    }

    fn wake(&self) {
        if !self.armed.swap(true, Ordering::SeqCst) {
            self.totals.wakes.fetch_add(1, Ordering::Relaxed);
            self.wakeup.set();
        }
    }
}

impl Events for Bridge {
    fn deliver(&self, shard: u8, events: &mut Vec<Event>) {
        let Some(queue) = self.queues.get(usize::from(shard)).or(self.queues.first()) else {
            return;
        };
        if events.is_empty() {
            return;
        }
        let since = self.now();
        let mut pushed = lock(&queue.pushed);
        for event in events.drain(..) {
            if pushed.len() >= self.bound {
                if let Some(transaction) = new_request(&event) {
                    lock(&self.shed).push(transaction);
                    self.totals.dropped.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
            }
            let lane = if is_new(&event) {
                &mut pushed.new
            } else {
                &mut pushed.calls
            };
            lane.push_back(Waiting { since, event });
        }
        queue.oldest.store(pushed.oldest(), Ordering::Relaxed);
        drop(pushed);
        self.wake();
    }

    fn backlog(&self) -> Duration {
        let pushed = self
            .queues
            .iter()
            .map(|queue| queue.oldest.load(Ordering::Relaxed));
        let oldest = pushed.fold(self.taken_oldest.load(Ordering::Relaxed), u64::min);
        if oldest == u64::MAX {
            Duration::ZERO
        } else {
            Duration::from_nanos(self.now().saturating_sub(oldest))
        }
    }
}

/// Whether it goes into the lane of new requests: one of those, the CANCEL of one, or what a CANCEL may be the cause of.
fn is_new(event: &Event) -> bool {
    match event {
        Event::Request(request) if request.message.method() == Method::Cancel => true,
        Event::Failed(failed) => matches!(
            failed.error,
            CommandError::AlreadyAnswered | CommandError::UnknownTransaction
        ),
        _ => new_request(event).is_some(),
    }
}

/// The server transaction of a request that a full queue may refuse: one that creates something new. Traffic of calls that exist
/// passes, or they would fail for the sake of calls that would fail too.
fn new_request(event: &Event) -> Option<TransactionId> {
    match event {
        Event::Request(Request {
            dialog: None,
            invite: None,
            transaction,
            message,
            ..
        }) => {
            let refusable = !matches!(
                message.method(),
                Method::Ack | Method::Cancel | Method::Bye | Method::Prack
            );
            refusable.then_some(*transaction)
        }
        Event::Request(_)
        | Event::Response(_)
        | Event::Sent(_)
        | Event::Failed(_)
        | Event::ProxyResponse(_)
        | Event::ProxyDone(_)
        | Event::DialogEnded(_)
        | Event::Exported(_)
        | Event::Imported(_)
        | Event::SubscriptionEnded(_) => None,
    }
}

/// A lock whose holder panicked still holds plain data: go on with it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
