//! Engines in a box: a development and test kit. Hosts with engines are joined by a network that loses, repeats, reorders and
//! delays messages from a seed, under a virtual clock that jumps to the next thing to happen. Nothing sleeps, nothing is random.
//!
//! A [`World`] holds the hosts, the clock and the network. A host's application is either played by hand (its events wait in
//! [`World::next_event`], commands go in by [`World::act`]) or a scripted [`Application`]. When a test panics, the ladder of
//! everything that crossed the wire is printed.
//!
//! It is no part of a server: it refuses nothing that a network may do, and panics when a test expects what is not so.
#![allow(clippy::panic, clippy::expect_used, clippy::indexing_slicing)] // A test kit says what it did not find by a panic.

pub mod actions;
pub mod corpus;
mod expect;
pub mod faults;
pub mod host;
pub mod ladder;
mod network;
mod packet;
pub mod random;
mod stream;
pub mod world;

pub use actions::{Actions, Application};
pub use faults::{Faults, Passage};
pub use host::HostId;
pub use packet::Packet;
pub use random::Random;
pub use world::World;
