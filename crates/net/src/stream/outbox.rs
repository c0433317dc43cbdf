//! What waits to be written to one connection. The driver writes right away; what the kernel does not take, the
//! connection's task writes when there is room. Bounded in bytes, and empty of everything once closed.
use crate::inbox::{Inbox, Item, Outgoing};
use bytes::Bytes;
use engine::{TransmitError, TransmitToken};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How many messages one system call takes.
const SLICES: usize = 32;

/// What a connection may have waiting however much waits for others, in bytes.
const SHARE: usize = 64 * 1024;

/// Where a connection is in its life.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    Opening,
    Open,
    /// Closed once what waits is written; takes nothing more.
    Ending,
    Closed,
}

/// The queue of one connection, shared by the driver and the connection's task.
pub(super) struct Outbox {
    stream: OnceLock<TcpStream>,
    state: Mutex<State>,
    limits: OutboxLimits,
    /// The task has to look again: something is blocked, ends or ended.
    pub changed: Notify,
}

/// Bounds of a queue.
#[derive(Clone)]
pub(super) struct OutboxLimits {
    /// What may wait for this peer, in bytes.
    pub own: usize,
    /// What may wait for all peers of the shard, in bytes.
    pub all: usize,
    /// What waits for them.
    pub waiting: Arc<AtomicUsize>,
}

struct State {
    waiting: Arc<AtomicUsize>,
    phase: Phase,
    queue: VecDeque<Queued>,
    bytes: usize,
    /// How much of the first message is written.
    written: usize,
    blocked_since: Option<Instant>,
    last_written: Instant,
}

struct Queued {
    bytes: Bytes,
    token: TransmitToken,
    from: u8,
}

/// What the task of a connection has to know.
#[derive(Copy, Clone, Debug)]
pub(super) struct Status {
    pub phase: Phase,
    pub is_empty: bool,
    pub blocked_since: Option<Instant>,
    pub last_written: Instant,
}

impl Outbox {
    pub fn new(limits: OutboxLimits) -> Outbox {
        let state = State {
            waiting: Arc::clone(&limits.waiting),
            phase: Phase::Opening,
            queue: VecDeque::new(),
            bytes: 0,
            written: 0,
            blocked_since: None,
            last_written: Instant::now(),
        };
        Outbox {
            stream: OnceLock::new(),
            state: Mutex::new(state),
            limits,
            changed: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection is open.
    pub fn open(&self, stream: TcpStream) -> Option<&TcpStream> {
        let mut state = self.lock();
        if state.phase == Phase::Opening {
            state.phase = Phase::Open;
        }
        drop(state);
        // A second stream cannot come: the task that opens is the only caller.
        let _ = self.stream.set(stream);
        self.stream.get()
    }

    pub fn status(&self) -> Status {
        let state = self.lock();
        Status {
            phase: state.phase,
            is_empty: state.queue.is_empty(),
            blocked_since: state.blocked_since,
            last_written: state.last_written,
        }
    }

    /// Whether messages are still taken.
    pub fn is_usable(&self) -> bool {
        matches!(self.lock().phase, Phase::Opening | Phase::Open)
    }

    /// Queues a message for `write`. When too much waits, the connection is closed: its peer does not read.
    pub fn push(&self, outgoing: Outgoing, inboxes: &[Inbox]) -> Result<(), TransmitError> {
        let mut state = self.lock();
        if !matches!(state.phase, Phase::Opening | Phase::Open) {
            return Err(TransmitError::Closed);
        }
        let bytes = outgoing.transmit.bytes;
        let all = self.limits.waiting.load(Ordering::Relaxed);
        let after = state.bytes + bytes.len();
        if after > self.limits.own || (after > SHARE && all + bytes.len() > self.limits.all) {
            drop(state);
            self.close(TransmitError::Congested, inboxes);
            return Err(TransmitError::Congested);
        }
        state.add(bytes.len());
        state.queue.push_back(Queued {
            bytes,
            token: outgoing.transmit.token,
            from: outgoing.from,
        });
        Ok(())
    }

    /// Queues the answer to a keep-alive (RFC 5626 §4.4.1), unless messages wait: they keep the connection alive too.
    pub fn push_keep_alive(&self) {
        let mut state = self.lock();
        if state.phase == Phase::Open && state.queue.is_empty() {
            state.add(2);
            state.queue.push_back(Queued {
                bytes: Bytes::from_static(b"\r\n"),
                token: TransmitToken::NONE,
                from: 0,
            });
        }
    }

    /// Writes what waits, as far as the kernel takes it. An error is the connection's end.
    pub fn write(&self) -> io::Result<()> {
        let mut state = self.lock();
        let Some(stream) = self
            .stream
            .get()
            .filter(|_| matches!(state.phase, Phase::Open | Phase::Ending))
        else {
            return Ok(());
        };
        let was_blocked = state.blocked_since.is_some();
        while !state.queue.is_empty() {
            match write_some(stream, &state) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => state.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    state.blocked_since.get_or_insert_with(Instant::now);
                    drop(state);
                    if !was_blocked {
                        self.changed.notify_one();
                    }
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if was_blocked || state.phase == Phase::Ending {
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Takes nothing more, and lets the task close the connection once what waits is written.
    pub fn end(&self) {
        let mut state = self.lock();
        if state.phase != Phase::Closed {
            state.phase = Phase::Ending;
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Takes nothing more and drops what waits; its senders are told.
    pub fn close(&self, error: TransmitError, inboxes: &[Inbox]) {
        let mut state = self.lock();
        state.phase = Phase::Closed;
        state.remove(usize::MAX);
        let unsent = std::mem::take(&mut state.queue);
        drop(state);
        for queued in unsent
            .into_iter()
            .filter(|queued| queued.token != TransmitToken::NONE)
        {
            if let Some(inbox) = inboxes.get(usize::from(queued.from)) {
                inbox.push(Item::Undelivered(queued.token, error));
            }
        }
        self.changed.notify_one();
    }
}

impl State {
    fn add(&mut self, count: usize) {
        self.bytes += count;
        self.waiting.fetch_add(count, Ordering::Relaxed);
    }

    fn remove(&mut self, count: usize) {
        let count = count.min(self.bytes);
        self.bytes -= count;
        self.waiting.fetch_sub(count, Ordering::Relaxed);
    }

    /// Takes `count` bytes off the front.
    fn advance(&mut self, mut count: usize) {
        let now = Instant::now();
        self.last_written = now;
        self.blocked_since = self.blocked_since.map(|_| now);
        self.remove(count);
        while let Some(first) = self.queue.front() {
            let rest = first.bytes.len().saturating_sub(self.written);
            if count < rest {
                self.written += count;
                return;
            }
            count -= rest;
            self.written = 0;
            self.queue.pop_front();
        }
        self.blocked_since = None;
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.remove(usize::MAX);
    }
}

fn write_some(stream: &TcpStream, state: &State) -> io::Result<usize> {
    let mut slices = [IoSlice::new(&[]); SLICES];
    let mut count = 0;
    for (slice, queued) in slices.iter_mut().zip(&state.queue) {
        let skip = if count == 0 { state.written } else { 0 };
        *slice = IoSlice::new(queued.bytes.get(skip..).unwrap_or_default());
        count += 1;
    }
    stream.try_write_vectored(slices.get(..count).unwrap_or_default())
}
