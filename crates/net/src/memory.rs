//! Gives memory back to the system after a crowd has left: the C library keeps what was freed between what is still in use.
#![allow(unsafe_code)]

/// How many transactions and dialogs of a shard are a crowd.
const CROWD: usize = 4096;
/// The part of a crowd below which it has left.
const LEFT: usize = CROWD / 8;

/// Whether there was a crowd since memory was given back last.
#[derive(Default)]
pub(crate) struct Memory {
    was_crowded: bool,
}

impl Memory {
    /// Takes notice of how much a shard holds; says whether a crowd has just left.
    pub fn has_left(&mut self, held: usize) -> bool {
        if held >= CROWD {
            self.was_crowded = true;
        }
        self.was_crowded && held < LEFT && {
            self.was_crowded = false;
            true
        }
    }
}

/// Gives back what is free. It takes some milliseconds, so that it is done once for a crowd.
pub(crate) fn give_back() {
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
    fn memory_is_given_back_once_for_a_crowd() {
        let mut memory = Memory::default();
        assert!(!memory.has_left(0));
        assert!(!memory.has_left(CROWD - 1));
        assert!(!memory.has_left(0));
        assert!(!memory.has_left(CROWD));
        assert!(!memory.has_left(LEFT));
        assert!(memory.has_left(LEFT - 1));
        assert!(!memory.has_left(0));
        give_back();
    }
}
