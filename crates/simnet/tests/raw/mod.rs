//! Parties that are no engines: a test writes their messages by hand, and reads what came to their addresses.
#![allow(dead_code)] // Each test file uses its part.
pub mod caller;

use simnet::{HostId, Packet, World};
use std::net::SocketAddr;
use std::time::Duration;

/// What came to this address, in order; everything that came elsewhere is dropped.
pub fn arrived(world: &mut World, at: &str) -> Vec<Packet> {
    world.run(Duration::from_millis(20));
    let at: SocketAddr = at.parse().unwrap();
    let mut strays = world.strays();
    strays.retain(|packet| packet.to == at);
    strays
}

/// The one message that came to this address.
pub fn one(world: &mut World, at: &str) -> Packet {
    let mut arrived = arrived(world, at);
    assert_eq!(arrived.len(), 1, "{arrived:?}");
    arrived.remove(0)
}

/// Sends a message from this address.
pub fn send(world: &mut World, from: &str, to: HostId, text: String) {
    world.inject(from.parse().unwrap(), to, text);
}

/// The values of a header field, one for each line.
pub fn values(packet: &Packet, name: &str) -> Vec<String> {
    let text = String::from_utf8(packet.bytes.to_vec()).unwrap();
    let lines = text.lines().filter_map(|line| {
        line.strip_prefix(name)
            .and_then(|rest| rest.strip_prefix(": "))
            .map(str::to_owned)
    });
    lines.collect()
}

/// The branch of the top Via.
pub fn branch(packet: &Packet) -> String {
    let via = values(packet, "Via").remove(0);
    let branch = via.split("branch=").nth(1).unwrap();
    branch.split([';', ',']).next().unwrap().to_owned()
}

/// A response to a request that came: its Via, From, Call-ID, CSeq and Record-Route copied, a To tag and more header lines added.
pub fn reply(request: &Packet, status: &str, tag: &str, more: &str) -> String {
    let mut lines = String::new();
    for name in ["Via", "From", "Call-ID", "CSeq", "Record-Route"] {
        for value in values(request, name) {
            lines.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    let to = values(request, "To").remove(0);
    let to = if to.contains(";tag=") {
        to
    } else {
        format!("{to};tag={tag}")
    };
    format!("SIP/2.0 {status}\r\n{lines}To: {to}\r\n{more}Content-Length: 0\r\n\r\n")
}
