//! Sans-IO state machines of SIP: transactions, dialogs, the proxy core. Time is an argument, randomness a seed.
//!
//! The engine of one shard takes messages and commands and gives transmits and events. It never reads a clock, opens a socket
//! or asks the environment (invariant 1 of ARCHITECTURE.md).
pub mod admit;
mod application;
pub mod command;
pub mod config;
pub mod counts;
mod detach;
pub mod dialog;
mod dispatch;
mod draft;
pub mod engine;
pub mod event;
pub mod export;
pub mod flow;
pub mod flows;
pub mod id;
mod listener;
pub mod log_limit;
pub mod network;
mod plan;
pub mod proxy;
mod proxying;
mod relaying;
pub mod reply;
pub mod resolve;
pub mod seam;
mod shrink;
mod target;
pub mod time;
mod timer;
mod totals;
mod transaction;
pub mod transport;
mod uac;
mod uas;
mod ways;

pub use command::Command;
pub use config::Config;
pub use engine::Engine;
pub use event::Event;
pub use flows::{Claim, Learnt};
pub use resolve::{Resolve, ResolveError, Resolved};
pub use time::Time;
pub use transport::{Distrust, Transmit, TransmitError, TransmitToken};
pub use uac::target_news::{TargetNews, TargetState};
