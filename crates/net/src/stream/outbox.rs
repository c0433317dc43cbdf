//! What waits to be written to one connection. The driver writes right away; what the kernel does not take, the
//! connection's task writes when there is room. Bounded in bytes, and empty of everything once closed.
//!
//! The queue holds bytes of the wire: a message is encoded (`layer`) when it is queued. One that comes while TLS or WebSocket are still
//! being agreed upon waits beside it until they are.
use super::layer::{Failure, Layer, Received};
use crate::inbox::{Inbox, Item, Outgoing};
use bytes::Bytes;
use engine::transport::PeerCertificate;
use engine::{TransmitError, TransmitToken};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How many messages one system call takes.
const SLICES: usize = 32;

/// What a connection may have waiting however much waits for others, in bytes.
const SHARE: usize = 64 * 1024;

/// Up to where what the layers want written is added to what they wanted before, in bytes.
const MERGED: usize = 4096;

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
    /// How many requests in a row went unanswered since something came from the peer.
    unanswered: AtomicU32,
    /// Whether the peer ever sent a whole message or a keep-alive.
    has_spoken: AtomicBool,
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
    layer: Layer,
    /// Bytes of the wire.
    queue: VecDeque<Queued>,
    /// Messages that wait for the handshake to end.
    unencoded: VecDeque<Queued>,
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
    /// Whether messages can be exchanged: every handshake is over.
    pub is_ready: bool,
}

/// How a connection came on by what it received.
#[derive(Default)]
pub(super) struct Progress {
    /// The last handshake ended just now.
    pub became_ready: bool,
    /// The certificate that the peer proved to have, said when it became ready.
    pub certificate: Option<PeerCertificate>,
    /// The peer began something that is not complete.
    pub is_within: bool,
}

impl Outbox {
    pub fn new(limits: OutboxLimits, layer: Layer) -> Outbox {
        let mut state = State {
            waiting: Arc::clone(&limits.waiting),
            phase: Phase::Opening,
            layer,
            queue: VecDeque::new(),
            unencoded: VecDeque::new(),
            bytes: 0,
            written: 0,
            blocked_since: None,
            last_written: Instant::now(),
        };
        state.queue_out();
        Outbox {
            stream: OnceLock::new(),
            state: Mutex::new(state),
            limits,
            unanswered: AtomicU32::new(0),
            has_spoken: AtomicBool::new(false),
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

    /// Something came from the peer.
    pub fn heard(&self) {
        if self.unanswered.load(Ordering::Relaxed) != 0 {
            self.unanswered.store(0, Ordering::Relaxed);
        }
    }

    /// The peer sent a whole message, or a keep-alive.
    pub fn spoke(&self) {
        self.has_spoken.store(true, Ordering::Relaxed);
    }

    /// Whether the peer never did.
    pub fn is_silent(&self) -> bool {
        !self.has_spoken.load(Ordering::Relaxed)
    }

    /// A request got no answer; gives how many in a row that makes.
    pub fn unanswered(&self) -> u32 {
        self.unanswered.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub fn status(&self) -> Status {
        let state = self.lock();
        Status {
            phase: state.phase,
            is_empty: state.queue.is_empty(),
            blocked_since: state.blocked_since,
            last_written: state.last_written,
            is_ready: state.layer.is_ready(),
        }
    }

    /// Takes bytes that the peer sent, and queues what it is owed in return. After a failure the connection ends once that is written.
    pub fn receive(&self, wire: &[u8], received: &mut Received) -> (Progress, Result<(), Failure>) {
        let mut state = self.lock();
        let was_ready = state.layer.is_ready();
        let result = state.layer.receive(wire, received);
        state.queue_out();
        let mut progress = Progress {
            is_within: state.layer.is_within(),
            ..Progress::default()
        };
        if !was_ready && state.layer.is_ready() {
            progress.became_ready = true;
            progress.certificate = state.layer.peer_certificate();
            state.encode_waiting();
        }
        if result.is_err() {
            state.begin_end();
        }
        (progress, result)
    }

    /// Asks the peer whether it lives, where the protocol has a word for it.
    pub fn ping(&self) {
        let mut state = self.lock();
        if state.phase == Phase::Open && state.layer.is_ready() && state.layer.ping().is_ok() {
            state.queue_out();
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
        if !self.has_room(&state, bytes.len()) {
            drop(state);
            self.close(TransmitError::Congested, inboxes);
            return Err(TransmitError::Congested);
        }
        let queued = Queued {
            bytes,
            token: outgoing.transmit.token,
            from: outgoing.from,
        };
        if state.layer.is_ready() {
            state.encode(queued)
        } else {
            state.add(queued.bytes.len());
            state.unencoded.push_back(queued);
            Ok(())
        }
    }

    /// Whether so many bytes more may wait.
    fn has_room(&self, state: &State, more: usize) -> bool {
        let all = self.limits.waiting.load(Ordering::Relaxed);
        let after = state.bytes + more;
        after <= self.limits.own && (after <= SHARE || all + more <= self.limits.all)
    }

    /// Whether more waits than may: what `receive` queued, the peer alone asked for.
    pub fn is_congested(&self) -> bool {
        !self.has_room(&self.lock(), 0)
    }

    /// Queues a keep-alive or the answer to one (RFC 5626 §4.4.1), unless messages wait: they keep the connection alive too. Says
    /// whether it did.
    pub fn push_keep_alive(&self, line_ends: &'static [u8]) -> bool {
        let mut state = self.lock();
        // One that cannot be encoded any more is not needed.
        state.phase == Phase::Open
            && state.queue.is_empty()
            && state.layer.is_ready()
            && state
                .encode(Queued::own(Bytes::from_static(line_ends)))
                .is_ok()
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
        state.layer.close();
        state.queue_out();
        state.begin_end();
        drop(state);
        self.changed.notify_one();
    }

    /// Takes nothing more and drops what waits; its senders are told.
    pub fn close(&self, error: TransmitError, inboxes: &[Inbox]) {
        let mut state = self.lock();
        state.phase = Phase::Closed;
        state.remove(usize::MAX);
        let unsent = std::mem::take(&mut state.queue);
        let unencoded = std::mem::take(&mut state.unencoded);
        drop(state);
        for queued in unsent
            .into_iter()
            .chain(unencoded)
            .filter(|queued| !queued.is_own())
        {
            if let Some(inbox) = inboxes.get(usize::from(queued.from)) {
                inbox.push(Item::Undelivered(queued.token, error));
            }
        }
        self.changed.notify_one();
    }
}

impl Queued {
    /// Bytes that no message of the engine is told about.
    fn own(bytes: Bytes) -> Queued {
        Queued {
            bytes,
            token: TransmitToken::NONE,
            from: 0,
        }
    }

    /// Whether nobody is told what becomes of it.
    fn is_own(&self) -> bool {
        self.token == TransmitToken::NONE
    }
}

impl State {
    fn begin_end(&mut self) {
        if self.phase != Phase::Closed {
            self.phase = Phase::Ending;
        }
    }

    fn queue(&mut self, queued: Queued) {
        self.add(queued.bytes.len());
        self.queue.push_back(queued);
    }

    /// Queues what the layers want written. Records and frames must go in the order in which they were made.
    fn queue_out(&mut self) {
        let out = self.layer.take_out();
        if out.is_empty() {
            return;
        }
        // Behind what is being written small pieces become one: a pong of two bytes is not to cost what an entry does.
        let is_behind = self.queue.len() > 1;
        match self.queue.back_mut() {
            Some(last) if is_behind && last.is_own() && last.bytes.len() < MERGED => {
                last.bytes = [last.bytes.as_ref(), &out].concat().into();
                self.add(out.len());
            }
            _ => self.queue(Queued::own(Bytes::from(out))),
        }
    }

    fn encode(&mut self, queued: Queued) -> Result<(), TransmitError> {
        let bytes = self
            .layer
            .encode(queued.bytes)
            .map_err(|_| TransmitError::Closed)?;
        self.queue(Queued { bytes, ..queued });
        Ok(())
    }

    /// The handshake is over: what waited for it goes.
    fn encode_waiting(&mut self) {
        for queued in std::mem::take(&mut self.unencoded) {
            match self.layer.encode(queued.bytes.clone()) {
                Ok(bytes) => {
                    self.remove(queued.bytes.len());
                    self.queue(Queued { bytes, ..queued });
                }
                // Its sender is told when the connection ends, which it does for the same reason.
                Err(_) => self.unencoded.push_back(queued),
            }
        }
    }

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
