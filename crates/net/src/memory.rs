//! Gives memory back to the system after a crowd has left: the C library keeps what was freed between what is still in use.
//!
//! Twice: at once, and when applications have let go of what was theirs and nothing of its sources need be remembered any longer.
#![allow(unsafe_code)]

use engine::Time;
use std::time::Duration;

/// How many transactions, dialogs and connections of a shard are a crowd.
const CROWD: usize = 4096;
/// The part of a crowd below which it has left.
const LEFT: usize = CROWD / 8;
/// When memory is given back for the second time, after the first.
const AGAIN: Duration = Duration::from_secs(10);

/// Whether there was a crowd since memory was given back last.
#[derive(Default)]
pub(crate) struct Memory {
    was_crowded: bool,
    again: Option<Time>,
}

impl Memory {
    /// Takes notice of how much a shard holds; says whether memory is to be given back now.
    pub fn is_due(&mut self, now: Time, held: usize) -> bool {
        if held >= CROWD {
            self.was_crowded = true;
        }
        if self.was_crowded && held < LEFT {
            self.was_crowded = false;
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
        for held in [0, CROWD - 1, 0, CROWD, LEFT] {
            assert!(!memory.is_due(now, held));
            assert_eq!(memory.next(), None);
        }
        assert!(memory.is_due(now, LEFT - 1));
        assert!(!memory.is_due(now, 0));
        assert_eq!(memory.next(), Some(now + AGAIN));
        assert!(memory.is_due(now + AGAIN, 0));
        assert!(!memory.is_due(now + AGAIN, 0));
        assert_eq!(memory.next(), None);
        give_back();
    }
}
