//! What a connection shares with the shards: events become frames here, on the shard's thread, and wait to be written.
//!
//! One short lock per batch of events. Nothing waits here: a client that does not read is given up, not waited for.
use crate::answers::Answers;
use crate::config::ControlBounds;
use crate::disconnect::Disconnect;
use crate::name::{MessageIds, TransactionNames};
use crate::time_of_day::TimeOfDay;
use crate::write::FrameWriter;
use engine::event::Event;
use engine::seam::Events;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::Notify;

/// A buffer that grew past this many bytes is not kept.
const KEPT_BYTES: usize = 256 * 1024;

/// The shared half of one client's connection.
#[derive(Debug)]
pub struct Link {
    state: Mutex<State>,
    /// Wakes the writer: there is something to write, or to give up.
    pub(crate) wake: Notify,
    origin: Instant,
    /// When the oldest frame of the batch being written was made, in nanoseconds since `origin`; 0: nothing is being written.
    writing_since: AtomicU64,
    /// The same for the frames that wait behind that batch.
    waiting_since: AtomicU64,
    queue_bytes: usize,
}

/// What the lock guards.
#[derive(Debug)]
pub struct State {
    /// The frames that wait to be written.
    pub frames: FrameWriter,
    /// The commands without an outcome.
    pub answers: Answers,
    /// Bytes of the batch that is being written.
    writing: usize,
    /// Set once nothing more is to be taken from or given to the client.
    closed: Option<Disconnect>,
    /// Set once the frames that wait are the last ones.
    last: Option<Disconnect>,
}

impl Link {
    /// The link of a new connection.
    #[must_use]
    pub fn new(bounds: &ControlBounds, ids: MessageIds, names: TransactionNames) -> Link {
        let frames = FrameWriter::new(ids, names);
        let state = State {
            frames,
            answers: Answers::new(bounds.commands),
            writing: 0,
            closed: None,
            last: None,
        };
        Link {
            state: Mutex::new(state),
            wake: Notify::new(),
            origin: Instant::now(),
            writing_since: AtomicU64::new(0),
            waiting_since: AtomicU64::new(0),
            queue_bytes: bounds.queue_bytes,
        }
    }

    /// Writes frames: `write` is given the state, and the writer is woken if something waits now.
    pub fn with<T>(&self, write: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let was_empty = state.frames.frames().is_empty();
        let result = write(&mut state);
        let waiting = state.frames.frames().len();
        if waiting + state.writing > self.queue_bytes && state.closed.is_none() {
            state.closed = Some(Disconnect::QueueBytes {
                limit: self.queue_bytes,
            });
            state.frames.take(Vec::new());
            self.waiting_since.store(0, Ordering::Relaxed);
            self.wake.notify_one();
        } else if was_empty && waiting > 0 {
            self.waiting_since.store(self.elapsed(), Ordering::Relaxed);
            self.wake.notify_one();
        }
        result
    }

    /// Swaps the frames that wait into `buffer`, whose content was written; gives when the oldest of them was made, or none when
    /// nothing waits.
    ///
    /// # Errors
    /// Why the connection is to be closed.
    pub fn next_batch(&self, buffer: &mut Vec<u8>) -> Result<Option<Instant>, Disconnect> {
        if buffer.capacity() > KEPT_BYTES {
            *buffer = Vec::new();
        }
        buffer.clear();
        let mut state = self.lock();
        state.writing = 0;
        self.writing_since.store(0, Ordering::Relaxed);
        if let Some(disconnect) = &state.closed {
            return Err(disconnect.clone());
        }
        if state.frames.frames().is_empty() {
            return state.last.clone().map_or(Ok(None), Err);
        }
        *buffer = state.frames.take(std::mem::take(buffer));
        state.writing = buffer.len();
        let since = self.waiting_since.swap(0, Ordering::Relaxed);
        self.writing_since.store(since, Ordering::Relaxed);
        Ok(Some(self.origin + Duration::from_nanos(since)))
    }

    /// Why the connection is to be closed at once, if it is.
    #[must_use]
    pub fn closed(&self) -> Option<Disconnect> {
        self.lock().closed.clone()
    }

    /// Ends the connection once the frames that wait are written.
    pub fn finish(&self, disconnect: Disconnect) {
        self.lock().last.get_or_insert(disconnect);
        self.wake.notify_one();
    }

    /// Takes and gives no more: the connection is gone. Frees what waits.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed.get_or_insert(Disconnect::Closed);
        state.frames.take(Vec::new());
        state.writing = 0;
        self.waiting_since.store(0, Ordering::Relaxed);
        self.writing_since.store(0, Ordering::Relaxed);
    }

    /// The bytes that wait to be read by the client, those being written among them.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        let state = self.lock();
        state.frames.frames().len() + state.writing
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while formatting loses at most a frame; the state is consistent between frames.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nanoseconds since the origin, never 0.
    fn elapsed(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos())
            .unwrap_or(u64::MAX)
            .max(1)
    }
}

impl Events for Link {
    fn deliver(&self, _shard: u8, events: &mut Vec<Event>) {
        let time = TimeOfDay::at(SystemTime::now());
        self.with(|state| {
            for event in events.drain(..) {
                if state.closed.is_some() {
                    break;
                }
                state.frames.event(&event, time, &mut state.answers);
                if state.frames.frames().len() > self.queue_bytes {
                    break;
                }
            }
        });
        events.clear();
    }

    fn backlog(&self) -> Duration {
        let oldest = [&self.writing_since, &self.waiting_since]
            .into_iter()
            .map(|since| since.load(Ordering::Relaxed))
            .filter(|since| *since != 0)
            .min();
        oldest.map_or(Duration::ZERO, |since| {
            Duration::from_nanos(self.elapsed().saturating_sub(since))
        })
    }
}
