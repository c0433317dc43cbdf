//! The driver of one shard: the loop that owns its engine, its sockets and its connections.
//!
//! A turn takes everything that waits (commands and messages of the inbox, datagrams of each socket, timers that are due), lets
//! the engine handle it (`incoming.rs`), then sends once, delivers once (`outgoing.rs`), and sleeps. Only here does a shard learn the time. What a message means
//! is the engine's business; what costs a panic is one message (invariant 4 of ARCHITECTURE.md).
use crate::admission::Gate;
use crate::applications::Applications;
use crate::inbox::{Inbox, Item};
use crate::memory::{self, Memory};
use crate::resolve::Resolver;
use crate::stream::{Fault, Pool};
use crate::time::Clock;
use crate::totals::Totals;
use crate::udp::UdpListener;
use crate::udp_batch::{ReceiveBatch, SendBatch};
use engine::admit::Source;
use engine::id::ConnectionId;
use engine::log_limit::LogLimit;
use engine::{Engine, Learnt, TargetNews, Time};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::time::Sleep;

/// How long after a panic in a timer the timers are left alone, so that one that panics again cannot fill the processor.
const AFTER_PANIC: Duration = Duration::from_millis(100);

/// Timers fire up to this late: those that are due within it fire together. The shortest that SIP has is 200 ms (RFC 3261 §17.2.1),
/// and each one that fires by itself wakes the shard, and costs as much as a message.
const TIMER_SLACK: Duration = Duration::from_millis(10);

/// Everything one shard has.
pub(crate) struct Driver {
    pub shard: u8,
    pub clock: Clock,
    pub engine: Engine,
    pub limits: sip::Limits,
    pub inboxes: Arc<[Inbox]>,
    pub udp: Vec<UdpListener>,
    pub pool: Pool,
    pub resolver: Resolver,
    pub applications: Applications,
    pub totals: Totals,
    pub log: LogLimit,
    pub gate: Gate,
    pub memory: Memory,
    pub batches: Option<(ReceiveBatch, SendBatch)>,
    /// Connections to close when the turn's answers are written.
    pub hang_ups: Vec<ConnectionId>,
    pub timers_from: Time,
    pub is_stopping: bool,
}

impl Driver {
    /// Runs the shard until it is told to stop.
    pub async fn run(mut self) {
        let inboxes = self.inboxes.clone();
        let Some(inbox) = inboxes.get(usize::from(self.shard)) else {
            return;
        };
        let mut items = Vec::new();
        let mut armed = None;
        let mut sleep = Box::pin(tokio::time::sleep(Duration::ZERO));
        loop {
            inbox.take(&mut items);
            self.turn(&mut items);
            if self.is_stopping {
                break;
            }
            self.arm(&mut armed, sleep.as_mut());
            let mut is_first = true;
            let mut is_busy = false;
            poll_fn(|context| {
                let is_due = armed.is_some() && sleep.as_mut().poll(context).is_ready();
                if is_due {
                    armed = None;
                }
                let mut is_ready = inbox.poll_waiting(context).is_ready() || is_due;
                for listener in &mut self.udp {
                    is_ready |= listener.poll_ready(context).is_ready();
                }
                is_busy = is_ready && is_first;
                is_first = false;
                if is_ready {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })
            .await;
            if is_busy {
                // More was there already: let the connections' tasks run, and look for what the sockets have.
                tokio::task::yield_now().await;
            }
        }
        inbox.close();
    }

    /// Sets the sleep when the next timer comes before what it is set for. One that moved away is found when it ends.
    fn arm(&self, armed: &mut Option<Time>, sleep: Pin<&mut Sleep>) {
        let timeouts = [self.engine.poll_timeout(), self.memory.next()];
        let Some(next) = timeouts.into_iter().flatten().min() else {
            return;
        };
        let next = slackened(next.max(self.timers_from));
        if armed.is_none_or(|armed| next < armed) {
            *armed = Some(next);
            sleep.reset(self.clock.instant(next));
        }
    }

    fn turn(&mut self, items: &mut Vec<Item>) {
        let mut now = self.clock.now();
        self.ask_backlogs(now);
        for item in items.drain(..) {
            self.handle(now, item);
        }
        if let Some((mut receive, mut send)) = self.batches.take() {
            now = self.receive(now, &mut receive);
            self.handle_timers(now);
            self.drain(&mut send);
            let held = self.engine.held() + self.pool.len();
            if self.memory.is_due(now, held, self.pool.len()) {
                self.engine.shrink(now);
                self.pool.shrink();
                self.gate.shrink();
                items.shrink_to_fit();
                memory::give_back();
            }
            self.batches = Some((receive, send));
        }
    }

    fn ask_backlogs(&mut self, now: Time) {
        let Driver {
            applications,
            engine,
            ..
        } = self;
        guarded(
            &mut self.totals,
            "asking applications for their backlog",
            || {
                applications.backlogs(|application, oldest| {
                    engine.handle_backlog(now, application, oldest)
                });
            },
        );
    }

    fn handle(&mut self, now: Time, item: Item) {
        let engine = &mut self.engine;
        match item {
            Item::Attach(application, link) => {
                self.applications.attach(application, link);
                guarded(&mut self.totals, "attaching an application", || {
                    engine.handle_attach(now, application)
                });
            }
            Item::Detach(application) => {
                guarded(&mut self.totals, "detaching an application", || {
                    engine.handle_detach(now, application)
                });
                self.applications.detach(application);
            }
            Item::Command(application, command) => {
                guarded(&mut self.totals, "a command", || {
                    engine.handle_command(now, application, command)
                });
            }
            Item::Message(origin, message) => {
                if self.takes(now, &origin, &message) {
                    self.handle_message(now, origin, message);
                }
            }
            Item::Malformed(origin, bytes, error) => {
                if self.admits_unreadable(now, &origin, &bytes) {
                    self.handle_malformed(now, origin, &bytes, &error);
                }
            }
            Item::Hangup(connection) => self.hang_ups.push(connection),
            Item::Accepted(accepted) => {
                let peer = accepted.peer;
                if !self.may_connect(now, peer) {
                    return;
                }
                let newest = self.pool.newest();
                let is_accepted = self.pool.accept(accepted, &mut self.totals);
                if self.pool.newest() != newest {
                    self.gate.opened(self.pool.newest(), peer.ip());
                }
                if !is_accepted && let Some(suppressed) = self.log.allow(now) {
                    tracing::warn!(%peer, suppressed, "refused a connection: there are as many as the configuration allows");
                }
            }
            item @ (Item::Closed(_)
            | Item::Gone(_)
            | Item::Learnt(_)
            | Item::OpenElsewhere(_)
            | Item::Certified(..)
            | Item::Unanswered(_)) => self.about_connection(now, item),
            Item::Alias(connection, key) => self.pool.alias(connection, key),
            Item::Fault(fault) => self.note_fault(now, &fault),
            Item::Outgoing(outgoing) => self.pool.send(outgoing, &mut self.totals),
            Item::Undelivered(token, error) => {
                guarded(&mut self.totals, "an undelivered message", || {
                    engine.handle_transmit_failed(now, token, error)
                });
            }
            Item::Resolved(id, answer) => {
                self.resolver.ended();
                guarded(&mut self.totals, "a resolved name", || {
                    engine.handle_resolved(now, id, answer)
                });
            }
            Item::Ban(ban) => drop(self.apply_ban(now, ban)),
            Item::Known(source) => self.known(now, source),
            Item::Target(news) => self.target_news(now, &news),
            // The one who asked may have stopped waiting.
            Item::Bans(sender) => drop(sender.try_send(self.gate.list(now))),
            Item::Counts(sender) => drop(sender.try_send(self.counts())),
            Item::Drain => {
                guarded(&mut self.totals, "draining", || engine.handle_drain(now));
            }
            Item::Stop => self.is_stopping = true,
        }
    }

    /// What became of a connection, of this shard or another.
    fn about_connection(&mut self, now: Time, item: Item) {
        match item {
            Item::Closed(connection) => {
                self.gate.closed(connection);
                self.pool.forget(connection);
                self.connection_closed(now, connection);
                // By way of this shard, so that none hears of it before what was learnt about it.
                self.tell_shards(|| Item::Gone(connection));
            }
            Item::Gone(connection) => self.connection_closed(now, connection),
            Item::Learnt(learnt) => self.learnt(now, learnt),
            Item::OpenElsewhere(learnt) => {
                let engine = &mut self.engine;
                guarded(&mut self.totals, "news of a connection", || {
                    engine.handle_learnt(now, &learnt)
                });
            }
            Item::Certified(connection, certificate) => {
                let engine = &mut self.engine;
                guarded(&mut self.totals, "a certificate", || {
                    engine.handle_connection_certified(now, connection, certificate)
                });
            }
            Item::Unanswered(unanswered) => self.pool.unanswered(&unanswered, &mut self.totals),
            _ => {}
        }
    }

    fn connection_closed(&mut self, now: Time, connection: ConnectionId) {
        let engine = &mut self.engine;
        guarded(&mut self.totals, "the end of a connection", || {
            engine.handle_connection_closed(now, connection)
        });
    }

    /// What some shard learnt about a connection of ours: known to all, while it is open.
    pub(crate) fn learnt(&mut self, now: Time, learnt: Learnt) {
        let is_open = learnt
            .origin
            .connection
            .is_some_and(|connection| self.pool.has(connection));
        if !is_open {
            return;
        }
        let engine = &mut self.engine;
        guarded(&mut self.totals, "news of a connection", || {
            engine.handle_learnt(now, &learnt)
        });
        self.tell_shards(|| Item::OpenElsewhere(learnt.clone()));
    }

    /// What another shard learnt about a source.
    fn known(&mut self, now: Time, source: Source) {
        let engine = &mut self.engine;
        guarded(&mut self.totals, "a source that is known", || {
            engine.handle_known(now, source)
        });
    }

    /// What another shard learnt about a target.
    fn target_news(&mut self, now: Time, news: &TargetNews) {
        let engine = &mut self.engine;
        guarded(&mut self.totals, "news of a target", || {
            engine.handle_target_news(now, news)
        });
    }

    pub(crate) fn tell_shards(&self, item: impl Fn() -> Item) {
        for (shard, inbox) in self.inboxes.iter().enumerate() {
            if shard != usize::from(self.shard) {
                inbox.push(item());
            }
        }
    }

    fn note_fault(&mut self, now: Time, fault: &Fault) {
        let total = if fault.is_handshake {
            &mut self.totals.handshakes_failed
        } else {
            &mut self.totals.closed
        };
        *total += 1;
        if let Some(suppressed) = self.log.allow(now) {
            let (peer, transport, why) = (fault.peer, fault.transport, &fault.why);
            match &fault.server_name {
                Some(name) => {
                    tracing::warn!(%peer, %transport, %name, why, suppressed, "{}", fault.what)
                }
                None => tracing::info!(%peer, %transport, why, suppressed, "{}", fault.what),
            }
        }
    }

    fn handle_timers(&mut self, now: Time) {
        if now < self.timers_from || self.engine.poll_timeout().is_none_or(|due| due > now) {
            return;
        }
        let engine = &mut self.engine;
        if guarded(&mut self.totals, "a timer", || engine.handle_timeout(now)).is_none() {
            self.timers_from = now + AFTER_PANIC;
        }
    }
}

/// The next of the points in time, a slack apart, at which timers fire.
fn slackened(time: Time) -> Time {
    let slacks = time
        .since(Time::START)
        .as_nanos()
        .div_ceil(TIMER_SLACK.as_nanos());
    u32::try_from(slacks).map_or(time, |slacks| Time::START + TIMER_SLACK * slacks)
}

/// Runs what may meet a bug of ours: a panic is counted and logged, and gives none.
pub(crate) fn guarded<R>(totals: &mut Totals, what: &str, call: impl FnOnce() -> R) -> Option<R> {
    let result = catch_unwind(AssertUnwindSafe(call)).ok();
    if result.is_none() {
        totals.panics += 1;
        tracing::error!("{what} caused a panic: this is a bug");
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_counted_and_costs_what_was_at_hand() {
        let mut totals = Totals::default();
        assert_eq!(guarded(&mut totals, "this test", || 1), Some(1));
        assert_eq!(
            guarded::<u8>(&mut totals, "this test", || panic!("on purpose")),
            None
        );
        assert_eq!(guarded(&mut totals, "this test", || 2), Some(2));
        assert_eq!(totals.panics, 1);
    }
}
