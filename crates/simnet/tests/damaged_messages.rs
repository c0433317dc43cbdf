//! No truncated prefix and no damaged byte of any message in the corpus upsets an engine: it answers what can be answered, and at
//! rest nothing is left.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use simnet::{Faults, HostId, World, corpus};
use std::net::SocketAddr;
use std::time::Duration;

fn peer() -> SocketAddr {
    "198.51.100.9:5060".parse().unwrap()
}

/// Gives a host these datagrams; its application refuses every request that it is told of. Gives
/// how many responses came.
fn throw(world: &mut World, host: HostId, messages: impl Iterator<Item = Vec<u8>>) -> usize {
    let mut answers = 0;
    for (index, message) in messages.enumerate() {
        world.inject(peer(), host, message);
        if index % 64 == 63 {
            answers += refuse(world, host);
        }
    }
    answers + refuse(world, host)
}

fn refuse(world: &mut World, host: HostId) -> usize {
    world.run(Duration::from_millis(5));
    for event in world.events(host) {
        if let engine::Event::Request(request) = event {
            world.act(host, |actions| {
                actions.respond(request.transaction, 404, b"")
            });
        }
    }
    world.events(host);
    world.run(Duration::from_millis(5));
    world.strays().len()
}

#[test]
fn prefixes_and_damaged_bytes_leave_nothing_behind() {
    let mut answers = 0;
    for (seed, vector) in (70..).zip(corpus::load("devices")) {
        let mut world = World::new(seed, Faults::none());
        let host = world.host("server");
        let bytes = vector.bytes;
        answers += throw(
            &mut world,
            host,
            (0..bytes.len()).map(|end| bytes[..end].to_vec()),
        );
        let damaged = |at: usize, value: u8| {
            let mut damaged = bytes.clone();
            damaged[at] = value;
            damaged
        };
        let values = [0, b'\n', b' ', b';', b',', b'<', b'"', b':', b'9', 0xff];
        // One value at each place in turn; the reader's own tests try all of them.
        answers += throw(
            &mut world,
            host,
            (0..bytes.len()).map(|at| damaged(at, values[at % values.len()])),
        );
        world.rest();
        world.events(host);
    }
    assert!(answers > 2000, "only {answers} were answered");
}
