//! How many connections each source has, in all shards together. A lock for each connection that begins or ends, none for a message.
use engine::admit::Source;
use rustc_hash::FxHashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The count that the shards of a server share.
#[derive(Clone, Default)]
pub(crate) struct Held(Arc<Mutex<FxHashMap<Source, usize>>>);

impl Held {
    fn counts(&self) -> MutexGuard<'_, FxHashMap<Source, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many this source has.
    pub fn of(&self, source: Source) -> usize {
        self.counts().get(&source).copied().unwrap_or(0)
    }

    /// One more.
    pub fn add(&self, source: Source) {
        *self.counts().entry(source).or_default() += 1;
    }

    /// One less.
    pub fn remove(&self, source: Source) {
        let mut counts = self.counts();
        if let Some(count) = counts.get_mut(&source) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&source);
            }
        }
    }
}
