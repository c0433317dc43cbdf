//! Gives memory back to the system after a crowd has left: the C library keeps what was freed between what is still in use.
//!
//! Twice: at once, and when applications have let go of what was theirs and nothing of its sources need be remembered any longer.
#![allow(unsafe_code)]

use engine::Time;
use std::time::Duration;

/// How many transactions, dialogs and connections of a shard are a crowd.
const CROWD: usize = 4096;
/// How many connections alone are one: what came over each may be a hundred times what a transaction holds.
const CONNECTED: usize = 512;
/// The part of a crowd below which it has left: an eighth.
const LEFT: usize = 8;
/// When memory is given back for the second time, after the first.
const AGAIN: Duration = Duration::from_secs(10);

/// Whether there was a crowd since memory was given back last.
#[derive(Default)]
pub(crate) struct Memory {
    was_crowded: bool,
    was_connected: bool,
    again: Option<Time>,
}

impl Memory {
    /// Takes notice of how much a shard holds, and how many connections among it; says whether memory is to be given back now.
    pub fn is_due(&mut self, now: Time, held: usize, connections: usize) -> bool {
        let has_left = has_left(&mut self.was_crowded, held, CROWD)
            | has_left(&mut self.was_connected, connections, CONNECTED);
        if has_left {
            self.again = Some(now + AGAIN);
            return true;
        }
        self.again.take_if(|again| *again <= now).is_some()
    }

    /// When it is to be asked again, whatever else happens.
    pub fn next(&self) -> Option<Time> {
        self.again
    }
}

fn has_left(was_here: &mut bool, count: usize, crowd: usize) -> bool {
    if count >= crowd {
        *was_here = true;
    }
    *was_here && count < crowd / LEFT && std::mem::take(was_here)
}

/// Gives back what is free. It takes some milliseconds, so that it is done twice for a crowd.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim changes nothing that a program can see; it may be called at any time, from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_back_twice_for_a_crowd() {
        let mut memory = Memory::default();
        let now = Time::START;
        for held in [0, CROWD - 1, 0, CROWD, CROWD / LEFT] {
            assert!(!memory.is_due(now, held, 0));
            assert_eq!(memory.next(), None);
        }
        assert!(memory.is_due(now, CROWD / LEFT - 1, 0));
        assert!(!memory.is_due(now, 0, 0));
        assert_eq!(memory.next(), Some(now + AGAIN));
        assert!(memory.is_due(now + AGAIN, 0, 0));
        assert!(!memory.is_due(now + AGAIN, 0, 0));
        assert_eq!(memory.next(), None);
        // Connections are one by themselves, whatever else is there.
        for connections in [CONNECTED - 1, 0, CONNECTED, CONNECTED / LEFT] {
            assert!(!memory.is_due(now, CROWD / 2, connections));
        }
        assert!(memory.is_due(now, CROWD / 2, CONNECTED / LEFT - 1));
        give_back();
    }
}
