//! The accepted connections whose peers never sent anything whole, the oldest first: when there is no room, these give way.
use engine::id::ConnectionId;
use std::collections::VecDeque;

/// How many may stand here that are silent no longer before they are looked for.
const STALE: usize = 64;

/// The queue. Those that spoke or ended stay in it until it is looked through.
#[derive(Default)]
pub(super) struct Silent {
    queue: VecDeque<ConnectionId>,
    /// How long the queue was when it was last looked through.
    looked: usize,
}

impl Silent {
    /// A connection was accepted.
    pub fn add(&mut self, id: ConnectionId, is_silent: impl Fn(ConnectionId) -> bool) {
        self.queue.push_back(id);
        // Twice as long as what was left last time: each is looked at as often as it is added.
        if self.queue.len() > 2 * self.looked + STALE {
            self.queue.retain(|id| is_silent(*id));
            self.looked = self.queue.len();
        }
    }

    /// Takes the oldest that is silent still.
    pub fn take_oldest(
        &mut self,
        is_silent: impl Fn(ConnectionId) -> bool,
    ) -> Option<ConnectionId> {
        while let Some(id) = self.queue.pop_front() {
            if is_silent(id) {
                return Some(id);
            }
        }
        None
    }

    /// Gives back the room of those that are gone.
    pub fn shrink(&mut self, is_silent: impl Fn(ConnectionId) -> bool) {
        self.queue.retain(|id| is_silent(*id));
        self.looked = self.queue.len();
        self.queue.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    //! However many come and go, the queue is no longer than what is silent asks for, and the oldest of that is found.
    use super::*;

    #[test]
    fn those_that_spoke_or_ended_neither_stay_nor_give_way() {
        let mut silent = Silent::default();
        let is_silent = |id: ConnectionId| id.0 % 1000 == 0;
        for number in 1..100_000 {
            silent.add(ConnectionId(number), is_silent);
            assert!(silent.queue.len() <= 300);
        }
        assert_eq!(silent.take_oldest(is_silent), Some(ConnectionId(1000)));
        assert_eq!(silent.take_oldest(is_silent), Some(ConnectionId(2000)));
        silent.shrink(|_| false);
        assert_eq!(silent.take_oldest(is_silent), None);
        assert_eq!(silent.queue.capacity(), 0);
    }
}
