//! How anything reaches a shard: one list under a lock that is held for moments, and one wake-up per batch.
//!
//! Commands of applications, messages of stream connections, messages that another shard received, answers of the resolver:
//! all come in here, in order. Datagrams of the shard's own sockets do not: the driver reads them itself.
use crate::admission::NewBan;
use crate::stream::{Accepted, Fault, Key};
use bytes::Bytes;
use engine::admit::{Ban, Source};
use engine::counts::Counts;
use engine::flows::Unanswered;
use engine::id::{ApplicationId, ConnectionId, ResolveId};
use engine::seam::Events;
use engine::transport::{Origin, PeerCertificate};
use engine::{
    Command, Learnt, ResolveError, Resolved, TargetNews, Transmit, TransmitError, TransmitToken,
};
use sip::{Message, ParseError};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::sync::Semaphore;

/// How many items may wait before datagrams handed over by other shards are refused: these can be lost as on their way.
const HANDED_OVER: usize = 65_536;

/// How many items may wait before connections are not read any more: a peer that sends faster than the shard works is slowed down by
/// its own connection, and a turn of the driver stays short.
const CROWDED: usize = 512;

/// What a shard is given.
pub(crate) enum Item {
    Attach(ApplicationId, Arc<dyn Events>),
    Detach(ApplicationId),
    Command(ApplicationId, Command),
    /// A message of a connection, or one that another shard received.
    Message(Origin, Message),
    /// A stream that cannot be read further, from the bytes given on.
    Malformed(Origin, Bytes, ParseError),
    /// Close this connection of ours once what waits for it is written.
    Hangup(ConnectionId),
    /// A connection was accepted.
    Accepted(Accepted),
    /// A connection of ours is closed: it is forgotten, and the other shards are told.
    Closed(ConnectionId),
    /// A connection of another shard is closed.
    Gone(ConnectionId),
    /// What another shard learnt about a connection of ours, for all shards while it is open.
    Learnt(Learnt),
    /// What is known of a connection of another shard, which is open.
    OpenElsewhere(Learnt),
    /// A request that another shard sent over a connection of ours was left without an answer.
    Unanswered(Unanswered),
    /// The peer of a connection, of this shard or another, proved to have this certificate.
    Certified(ConnectionId, Arc<PeerCertificate>),
    /// The peer of a connection of ours asks for requests to this name of its own to take it (RFC 5923).
    Alias(ConnectionId, Key),
    /// A connection of ours came to nothing: to be logged and counted.
    Fault(Box<Fault>),
    /// Another shard's message for a connection of ours.
    Outgoing(Outgoing),
    /// A message of ours could not be delivered.
    Undelivered(TransmitToken, TransmitError),
    Resolved(ResolveId, Result<Vec<Resolved>, ResolveError>),
    Counts(SyncSender<Counts>),
    /// A ban of another shard, an application or an operator.
    Ban(NewBan),
    /// A list of the bans is wanted.
    Bans(SyncSender<Vec<Ban>>),
    /// Another shard's engine knows this source.
    Known(Source),
    /// What another shard learnt about a target of a name.
    Target(TargetNews),
    /// Take no new work.
    Drain,
    Stop,
}

/// A message to send, and the shard that wants to know when that fails.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub transmit: Transmit,
    pub from: u8,
    /// The connection that is to take it, if there was one.
    pub connection: Option<ConnectionId>,
    /// It was given from the shard that was to have that connection to the one that has another.
    pub is_passed_on: bool,
}

/// How many connections are read once whenever a crowded shard has taken what waited.
const TURNS: usize = 8;

/// The list of one shard.
pub(crate) struct Inbox {
    state: Mutex<State>,
    /// Who waits to be read while it is crowded, in the order in which they came: one that sends without end would be first each time.
    turns: Semaphore,
    handed_over: AtomicU64,
    lost: AtomicU64,
}

impl Default for Inbox {
    fn default() -> Inbox {
        Inbox {
            state: Mutex::default(),
            turns: Semaphore::new(0),
            handed_over: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        }
    }
}

#[derive(Default)]
struct State {
    items: Vec<Item>,
    waker: Option<Waker>,
    closed: bool,
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs under the lock, so that a poisoned list is still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends one item. Says whether the shard still runs; otherwise the item is dropped.
    pub fn push(&self, item: Item) -> bool {
        self.extend(std::iter::once(item))
    }

    /// Appends items and wakes the shard once. Says whether the shard still runs.
    pub fn extend(&self, items: impl Iterator<Item = Item>) -> bool {
        let mut state = self.lock();
        if state.closed {
            return false;
        }
        state.items.extend(items);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    /// Appends a datagram's message that another shard received, unless too much waits.
    pub fn hand_over(&self, origin: Origin, message: Message) -> bool {
        if self.lock().items.len() >= HANDED_OVER {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        self.handed_over.fetch_add(1, Ordering::Relaxed);
        self.push(Item::Message(origin, message))
    }

    /// Appends a message that came over a connection of another shard: it is not lost, as nobody repeats it (RFC 3261 §17.1). Says
    /// whether so much waits that the connection is not to be read for now.
    pub fn hand_in(&self, origin: Origin, message: Message) -> bool {
        self.handed_over.fetch_add(1, Ordering::Relaxed);
        self.push(Item::Message(origin, message));
        self.is_crowded()
    }

    /// How many messages other shards handed over, and how many of them were refused.
    pub fn handed_over(&self) -> (u64, u64) {
        (
            self.handed_over.load(Ordering::Relaxed),
            self.lost.load(Ordering::Relaxed),
        )
    }

    /// Moves everything that waits into `into`, which is empty.
    pub fn take(&self, into: &mut Vec<Item>) {
        let mut state = self.lock();
        std::mem::swap(&mut state.items, into);
        // The shard is awake, and looks here again before it sleeps: what comes meanwhile need not wake it.
        state.waker = None;
        drop(state);
        let left = self.turns.available_permits();
        self.turns.add_permits(TURNS.saturating_sub(left));
    }

    /// Whether so much waits that connections are not to be read.
    pub fn is_crowded(&self) -> bool {
        self.lock().items.len() >= CROWDED
    }

    /// Waits until a connection may be read: it is not crowded any more, or it is that connection's turn.
    pub async fn has_room(&self) {
        if self.is_crowded()
            && let Ok(turn) = self.turns.acquire().await
        {
            turn.forget();
        }
    }

    /// Ready when something waits; otherwise the task of `context` is woken when it does.
    pub fn poll_waiting(&self, context: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if !state.items.is_empty() {
            return Poll::Ready(());
        }
        match &mut state.waker {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    /// The shard ended: what waits is dropped, and nothing is taken any more.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.waker = None;
        let items = std::mem::take(&mut state.items);
        drop(state);
        drop(items);
        self.turns.close();
    }
}

#[cfg(test)]
mod tests {
    //! A datagram may be lost where a shard is far behind, what came over a connection may not: its reading waits.
    use super::*;
    use engine::transport::{ListenerId, Transport};

    fn message() -> (Origin, Message) {
        let text = "OPTIONS sip:a@example.com SIP/2.0\r\nCall-ID: a\r\n\r\n";
        let message = Message::parse(Bytes::from(text), &sip::Limits::default()).unwrap();
        let peer = "192.0.2.1:5060".parse().unwrap();
        let origin = Origin {
            listener: ListenerId(0),
            transport: Transport::Tcp,
            peer,
            local: peer,
            connection: None,
        };
        (origin, message)
    }

    #[test]
    fn a_crowded_shard_loses_datagrams_and_nothing_of_connections() {
        let inbox = Inbox::default();
        let (origin, message) = message();
        assert!(!inbox.hand_in(origin, message.clone()));
        while inbox.hand_over(origin, message.clone()) {}
        assert!(inbox.hand_in(origin, message), "it is not to be read on");
        let mut items = Vec::new();
        inbox.take(&mut items);
        assert_eq!(items.len(), HANDED_OVER + 1);
        assert_eq!(inbox.handed_over(), (HANDED_OVER as u64 + 1, 1));
    }
}
