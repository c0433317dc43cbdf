//! Sans-IO state machines of SIP: transactions, dialogs, the proxy core. Time is an argument, randomness a seed.
//!
//! The engine of one shard takes messages and commands and gives transmits and events. It never reads a clock, opens a socket
//! or asks the environment (invariant 1 of ARCHITECTURE.md).
pub mod command;
pub mod config;
pub mod counts;
pub mod engine;
pub mod event;
pub mod id;
pub mod proxy;
pub mod seam;
pub mod time;
pub mod transport;

pub use command::Command;
pub use config::Config;
pub use event::Event;
pub use time::Time;
