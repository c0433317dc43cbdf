//! This interpreter as an application of its engine: the events that wait for it, and the commands it has not handed in.
use crate::bridge::Bridge;
use bytes::Bytes;
use engine::command::{Draft, Respond};
use engine::event::{Exported, Failed, Imported, Sent};
use engine::id::{ApplicationId, CommandId};
use engine::seam::{Commands, Events};
use engine::{Command, Event};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a caller is told who found the queue of events full.
const RETRY_AFTER: &[u8] = b"5";
/// The number of commands whose outcome nobody waits for: `take` leaves those events out.
const NOBODYS: CommandId = CommandId(0);

/// See the module.
pub struct Application {
    id: ApplicationId,
    engine: Arc<dyn Commands>,
    bridge: Arc<Bridge>,
    commands: Mutex<Vec<Command>>,
    next_command: AtomicU64,
    submitted: AtomicU64,
    flushes: AtomicU64,
}

impl Application {
    /// Attaches to an engine of so many shards; `max_events` may wait per shard.
    ///
    /// # Errors
    /// The operating system's: no descriptor left.
    pub fn attach(
        engine: &Arc<dyn Commands>,
        shards: u8,
        max_events: usize,
    ) -> io::Result<Application> {
        let bridge = Arc::new(Bridge::new(shards, max_events)?);
        Ok(Application {
            id: engine.attach(Arc::clone(&bridge) as _),
            engine: Arc::clone(engine),
            bridge,
            commands: Mutex::default(),
            next_command: AtomicU64::new(NOBODYS.0 + 1),
            submitted: AtomicU64::new(0),
            flushes: AtomicU64::new(0),
        })
    }

    /// The events' queue.
    pub fn bridge(&self) -> &Bridge {
        &self.bridge
    }

    /// A number for the next command.
    pub fn command_id(&self) -> CommandId {
        CommandId(self.next_command.fetch_add(1, Ordering::Relaxed))
    }

    /// Queues a command.
    pub fn push(&self, command: Command) {
        self.queue().push(command);
    }

    /// Hands the queued commands in; how many there were.
    pub fn flush(&self) -> usize {
        let mut commands = self.queue();
        let count = commands.len();
        if count > 0 {
            // In the lock, so that two threads that flush keep the order.
            self.engine.submit(self.id, &mut commands);
            self.submitted.fetch_add(count as u64, Ordering::Relaxed);
            self.flushes.fetch_add(1, Ordering::Relaxed);
        }
        count
    }

    /// The oldest events, at most `limit`. Queues the answers to new requests that found the queue full.
    pub fn take(&self, limit: usize, arm: bool) -> impl Iterator<Item = Event> + use<> {
        let events = self.bridge.take(limit, arm);
        for transaction in self.bridge.take_shed() {
            let retry_after = (
                Bytes::from_static(b"Retry-After"),
                Bytes::from_static(RETRY_AFTER),
            );
            let draft = Draft {
                headers: vec![retry_after],
                ..Draft::default()
            };
            self.push(Command::Respond(Respond {
                id: NOBODYS,
                transaction,
                status: 503,
                reason: String::new(),
                draft,
            }));
        }
        events.into_iter().filter(|event| !is_nobodys(event))
    }

    /// The state of the queues, by name.
    pub fn counts(&self) -> [(&'static str, u64); 8] {
        let totals = self.bridge.totals();
        let total = |total: &AtomicU64| total.load(Ordering::Relaxed);
        let oldest = u64::try_from(self.bridge.backlog().as_micros()).unwrap_or(u64::MAX);
        [
            ("waiting", self.bridge.waiting() as u64),
            ("oldest_microseconds", oldest),
            ("events", total(&totals.events)),
            ("wakes", total(&totals.wakes)),
            ("takes", total(&totals.takes)),
            ("dropped", total(&totals.dropped)),
            ("commands", total(&self.submitted)),
            ("flushes", total(&self.flushes)),
        ]
    }

    fn queue(&self) -> MutexGuard<'_, Vec<Command>> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether this is the outcome of a command that nobody waits for.
fn is_nobodys(event: &Event) -> bool {
    match event {
        Event::Sent(Sent { command, .. })
        | Event::Failed(Failed { command, .. })
        | Event::Exported(Exported { command, .. })
        | Event::Imported(Imported { command, .. }) => *command == NOBODYS,
        Event::Request(_)
        | Event::Response(_)
        | Event::ProxyResponse(_)
        | Event::ProxyDone(_)
        | Event::DialogEnded(_)
        | Event::SubscriptionEnded(_) => false,
    }
}
