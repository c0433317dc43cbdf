//! What the connections of all shards are found by: whichever shard holds one, the requests of any take it. A phone behind a NAT has one
//! connection, and calls of it belong to every shard.
use super::reuse::Reuse;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One table for the pools of all shards.
#[derive(Clone, Default)]
pub(crate) struct Shared {
    reuse: Arc<Mutex<Reuse>>,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, Reuse> {
        // Nothing that can panic runs under the lock.
        self.reuse.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
