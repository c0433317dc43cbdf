//! Tables keep the room that they once needed. A driver that sees a crowd leave has it given back.
use crate::engine::Engine;
use crate::time::Time;

impl Engine {
    /// How many transactions and dialogs there are.
    #[must_use]
    pub fn held(&self) -> usize {
        self.servers.len() + self.clients.len() + self.dialogs.len()
    }

    /// Gives back the room that the tables do not need any more, and forgets the sources of which nothing is to be remembered.
    pub fn shrink(&mut self, now: Time) {
        self.admit.forget(now);
        self.timers.shrink();
        self.shrink_queues();
        self.servers.shrink();
        self.clients.shrink();
        self.dialogs.shrink();
        self.resolves.shrink_to_fit();
        self.contexts.shrink_to_fit();
        self.ways.shrink_to_fit();
        self.flows.shrink();
        self.certificates.shrink_to_fit();
    }
}
