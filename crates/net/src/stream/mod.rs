//! Streams: accepting, opening and keeping connections, one task each. Messages go to the shard that owns their call.
mod connection;
mod listener;
mod outbox;
mod pool;

pub(crate) use listener::{Accepted, accept};
pub(crate) use pool::{Pool, shard};
