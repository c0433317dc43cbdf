//! The network driver: sockets, names and the clock around the engines, one thread and one engine per shard.
//!
//! The only crate, with `control`'s listener, that knows the runtime, and the only one that asks what time it is. Knows nothing of
//! transactions or dialogs: bytes become messages, messages go to the engine that owns their call, and what that engine wants is sent.
mod addresses;
pub mod admission;
mod applications;
mod bind;
pub mod config;
mod driver;
pub mod error;
mod handle;
mod inbox;
mod incoming;
pub mod listen;
mod memory;
mod outgoing;
mod readiness;
pub mod resolve;
mod server;
mod source;
mod stream;
mod time;
pub mod tls;
mod totals;
mod udp;
mod udp_batch;

pub use admission::AdmissionConfig;
pub use bind::plan;
pub use config::{Companion, ServerConfig, StreamConfig};
pub use error::StartError;
pub use listen::{ListenError, ListenSpec};
pub use memory::give_back as give_back_memory;
pub use resolve::DnsConfig;
pub use server::Server;
