//! What the engine wants done on its way out: messages to sockets and connections, names to the resolver, events to applications.
use crate::driver::{Driver, guarded};
use crate::inbox::{Item, Outgoing};
use crate::stream;
use crate::udp_batch::SendBatch;
use engine::counts::Counts;
use engine::transport::{ListenerId, Transport};
use engine::{Transmit, TransmitError};

impl Driver {
    /// Carries out what the engine wants: sends, asks names, delivers events.
    pub(crate) fn drain(&mut self, send: &mut SendBatch) {
        while let Some(Some(transmit)) =
            guarded(&mut self.totals, "sending", || self.engine.poll_transmit())
        {
            self.send(transmit);
        }
        let inbox = self.inboxes.get(usize::from(self.shard));
        for listener in &mut self.udp {
            listener.flush(send, &mut self.totals, |token, error| {
                if let Some(inbox) = inbox {
                    inbox.push(Item::Undelivered(token, error));
                }
            });
        }
        self.pool.flush();
        for connection in self.hang_ups.drain(..) {
            self.pool.hang_up(connection);
        }
        self.spread();
        self.tell_known();
        while let Some(question) = self.engine.poll_resolve() {
            self.resolver.ask(question);
        }
        while let Some(Some((application, event))) =
            guarded(&mut self.totals, "an event", || self.engine.poll_event())
        {
            self.applications.push(application, event);
        }
        let applications = &mut self.applications;
        guarded(&mut self.totals, "delivering events", || {
            applications.deliver()
        });
    }

    /// Passes on what the engine learnt about targets, to all shards; and about connections, and which of them gave no answer, to the
    /// shards that hold them.
    fn spread(&mut self) {
        while let Some(news) = self.engine.poll_target_news() {
            self.tell_shards(|| Item::Target(news.clone()));
        }
        while let Some(learnt) = self.engine.poll_learnt() {
            let owner = learnt.origin.connection.map_or(self.shard, stream::shard);
            if owner == self.shard {
                self.learnt(self.clock.now(), learnt);
            } else if let Some(inbox) = self.inboxes.get(usize::from(owner)) {
                inbox.push(Item::Learnt(learnt));
            }
        }
        while let Some(unanswered) = self.engine.poll_unanswered() {
            let connection = self.pool.connection_of_unanswered(&unanswered);
            let owner = connection.map_or(self.shard, stream::shard);
            if owner == self.shard {
                self.pool.unanswered(&unanswered, &mut self.totals);
            } else if let Some(inbox) = self.inboxes.get(usize::from(owner)) {
                inbox.push(Item::Unanswered(unanswered));
            }
        }
    }

    pub(crate) fn send(&mut self, transmit: Transmit) {
        let (destination, token) = (transmit.destination, transmit.token);
        let result = match destination.transport {
            Transport::Udp => match self.udp_listener(destination.listener) {
                Some(index) => match self.udp.get_mut(index) {
                    Some(listener) => {
                        listener.queue(destination.peer, transmit.bytes, token, &mut self.totals)
                    }
                    None => Err(TransmitError::Unreachable),
                },
                None => Err(TransmitError::Unreachable),
            },
            Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => {
                let connection = self.pool.connection_of(&transmit);
                let owner = connection.map_or(self.shard, stream::shard);
                let outgoing = Outgoing {
                    transmit,
                    from: self.shard,
                    connection,
                    is_passed_on: false,
                };
                match self.inboxes.get(usize::from(owner)) {
                    Some(inbox) if owner != self.shard => {
                        inbox.push(Item::Outgoing(outgoing));
                    }
                    _ => self.pool.send(outgoing, &mut self.totals),
                }
                Ok(())
            }
        };
        if let Err(error) = result
            && let Some(inbox) = self.inboxes.get(usize::from(self.shard))
        {
            inbox.push(Item::Undelivered(token, error));
        }
    }

    pub(crate) fn udp_listener(&self, id: ListenerId) -> Option<usize> {
        self.udp.iter().position(|listener| listener.id == id)
    }

    pub(crate) fn counts(&self) -> Counts {
        let mut counts = self.engine.counts();
        counts.shard = self.shard;
        counts.connections = self.pool.len();
        counts.bans = self.gate.bans();
        let mut totals = self.totals.clone();
        if let Some(inbox) = self.inboxes.get(usize::from(self.shard)) {
            (totals.handed_over, totals.hand_over_dropped) = inbox.handed_over();
        }
        self.resolver.count(&mut totals);
        counts.totals.extend(totals.list());
        counts
    }
}
