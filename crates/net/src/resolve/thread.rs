//! The thread that resolves names, and a shard's end of the way to it.
use super::{DnsConfig, Names, Way};
use crate::inbox::{Inbox, Item};
use crate::totals::Totals;
use engine::id::ResolveId;
use engine::{Resolve, ResolveError, Resolved};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// A shard's questions, counted.
#[derive(Default, Debug)]
struct Counters {
    cached: AtomicU64,
    failed: AtomicU64,
    unusable: AtomicU64,
}

/// What the thread is given: the shard that asks, its counters, and what it asks.
type Asked = (u8, Arc<Counters>, Resolve);

/// A shard's way to the thread. When all are dropped the thread ends.
pub(crate) struct Resolver {
    thread: UnboundedSender<Asked>,
    inbox: Arc<[Inbox]>,
    shard: u8,
    counters: Arc<Counters>,
    waiting: usize,
    room: usize,
    questions: u64,
}

/// The thread, and how the shards reach it.
pub(crate) struct NamesThread {
    sender: UnboundedSender<Asked>,
    room: usize,
    inboxes: Arc<[Inbox]>,
}

impl NamesThread {
    /// Starts the thread. `end` is dropped when it ends.
    pub(crate) fn start(
        config: DnsConfig,
        ways: Vec<Way>,
        inboxes: Arc<[Inbox]>,
        end: SyncSender<()>,
    ) -> io::Result<(NamesThread, JoinHandle<()>)> {
        let (sender, receiver) = unbounded_channel();
        let room = config.waiting;
        let to = inboxes.clone();
        let (ready, is_ready) = sync_channel(1);
        let join = Builder::new()
            .name("dracht-names".to_owned())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build();
                match runtime {
                    Ok(runtime) => {
                        drop(ready.send(Ok(())));
                        runtime.block_on(answer(config, ways, to, receiver));
                        runtime.shutdown_background();
                    }
                    Err(error) => drop(ready.send(Err(error))),
                }
                drop(end);
            })?;
        is_ready
            .recv()
            .unwrap_or_else(|_| Err(io::Error::other("the thread for names ended at once")))?;
        let thread = NamesThread {
            sender,
            room,
            inboxes,
        };
        Ok((thread, join))
    }

    /// The end for this shard.
    pub(crate) fn resolver(&self, shard: u8) -> Resolver {
        Resolver {
            thread: self.sender.clone(),
            inbox: self.inboxes.clone(),
            shard,
            counters: Arc::default(),
            waiting: 0,
            room: self.room,
            questions: 0,
        }
    }
}

impl Resolver {
    /// Takes a question. The answer comes as `Item::Resolved`.
    pub(crate) fn ask(&mut self, question: Resolve) {
        self.questions += 1;
        self.waiting += 1;
        let id = question.id;
        let is_sent = self.waiting <= self.room
            && self
                .thread
                .send((self.shard, self.counters.clone(), question))
                .is_ok();
        if !is_sent {
            self.counters.failed.fetch_add(1, Ordering::Relaxed);
            if let Some(inbox) = self.inbox.get(usize::from(self.shard)) {
                inbox.push(Item::Resolved(id, Err(ResolveError::Failed)));
            }
        }
    }

    /// An answer came.
    pub(crate) fn ended(&mut self) {
        self.waiting = self.waiting.saturating_sub(1);
    }

    /// Writes what was counted into the shard's totals.
    pub(crate) fn count(&self, totals: &mut Totals) {
        totals.dns_questions = self.questions;
        totals.dns_cached = self.counters.cached.load(Ordering::Relaxed);
        totals.dns_failed = self.counters.failed.load(Ordering::Relaxed);
        totals.dns_unusable = self.counters.unusable.load(Ordering::Relaxed);
    }
}

/// Answers until nobody can ask any more.
async fn answer(
    config: DnsConfig,
    ways: Vec<Way>,
    inboxes: Arc<[Inbox]>,
    mut questions: UnboundedReceiver<Asked>,
) {
    let names = Names::new(&config, ways);
    while let Some((shard, counters, question)) = questions.recv().await {
        let (names, inboxes) = (names.clone(), inboxes.clone());
        let reply = Reply {
            inboxes,
            shard,
            counters,
            id: question.id,
            targets: Err(ResolveError::Failed),
        };
        tokio::spawn(async move {
            let located = names.locate(&question).await;
            if !located.asked {
                reply.counters.cached.fetch_add(1, Ordering::Relaxed);
            }
            let unusable = located.unusable;
            reply
                .counters
                .unusable
                .fetch_add(unusable, Ordering::Relaxed);
            if let Err(error) = &located.targets {
                tracing::debug!(host = question.host, %error, "a name leads nowhere");
            }
            reply.send(located.targets);
        });
    }
}

/// The answer to a question: it goes to the shard when it is dropped, whatever becomes of the task that looks for it.
struct Reply {
    inboxes: Arc<[Inbox]>,
    shard: u8,
    counters: Arc<Counters>,
    id: ResolveId,
    targets: Result<Vec<Resolved>, ResolveError>,
}

impl Reply {
    fn send(mut self, targets: Result<Vec<Resolved>, ResolveError>) {
        self.targets = targets;
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if self.targets.is_err() {
            self.counters.failed.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(inbox) = self.inboxes.get(usize::from(self.shard)) {
            let targets = std::mem::replace(&mut self.targets, Err(ResolveError::Failed));
            inbox.push(Item::Resolved(self.id, targets));
        }
    }
}
