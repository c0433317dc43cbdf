//! Streams (TCP, TLS, WebSocket): accepting, opening and keeping connections, one task each. Messages go to the shard that owns their call.
mod connection;
mod keep_alive;
mod layer;
mod listener;
mod outbox;
mod pool;
mod receiving;
mod returning;
mod reuse;
mod shared;
mod silent;
mod waiting;

pub(crate) use listener::{Accepted, accept};
pub(crate) use pool::{Pool, shard};
pub(crate) use receiving::Fault;
pub(crate) use reuse::Key;
pub(crate) use shared::Shared;
