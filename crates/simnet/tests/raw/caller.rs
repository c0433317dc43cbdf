//! Callers that are no engines.
use super::{arrived, send};
use simnet::actions::SDP;
use simnet::{HostId, World};
use sip::Method;

/// A request of the party at `from`.
pub fn request(from: &str, method: &str, number: u32, call_id: &str, to_tag: &str) -> String {
    let to_tag = match to_tag {
        "" => String::new(),
        tag => format!(";tag={tag}"),
    };
    // The ACK of a refusal has the branch of its INVITE.
    let branch = if method == "ACK" { "INVITE" } else { method };
    format!(
        "{method} sip:bob@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{branch}{number}{call_id}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:a@example.com>;tag=f{call_id}\r\nTo: <sip:bob@example.com>{to_tag}\r\n\
         Call-ID: {call_id}\r\nCSeq: {number} {method}\r\nContact: <sip:a@{from}>\r\nContent-Length: 0\r\n\r\n"
    )
}

/// The party at `from` sends a request.
pub fn ask(world: &mut World, bob: HostId, from: &str, what: (&str, u32, &str, &str)) {
    let (method, number, call_id, to_tag) = what;
    let text = request(from, method, number, call_id, to_tag);
    send(world, from, bob, text);
}

/// An INVITE from `from` that gets this final response; its To tag.
pub fn invite(world: &mut World, bob: HostId, from: &str, call_id: &str, status: u16) -> String {
    ask(world, bob, from, ("INVITE", 1, call_id, ""));
    let mut invite = world.request(bob);
    while invite.message.method() == Method::Cancel {
        // Somebody else's, who made room.
        invite = world.request(bob);
    }
    let body = if status < 300 { SDP } else { b"" };
    world.act(bob, |actions| {
        actions.respond(invite.transaction, status, body)
    });
    let sent = world.sent(bob);
    sent.message.to().unwrap().tag().unwrap().to_owned()
}

/// A call from `from` that is answered and acknowledged; the To tag.
pub fn call(world: &mut World, bob: HostId, from: &str, call_id: &str) -> String {
    let tag = invite(world, bob, from, call_id, 200);
    ask(world, bob, from, ("ACK", 1, call_id, &tag));
    let ack = world.request(bob);
    assert_eq!(ack.message.method(), Method::Ack);
    tag
}

/// Ends it.
pub fn bye(world: &mut World, bob: HostId, from: &str, call_id: &str, tag: &str) {
    ask(world, bob, from, ("BYE", 2, call_id, tag));
    let bye = world.request(bob);
    assert_eq!(bye.message.method(), Method::Bye);
    world.act(bob, |actions| actions.respond(bye.transaction, 200, b""));
    world.sent(bob);
    assert!(
        arrived(world, from)
            .iter()
            .any(|packet| packet.answers(200, "BYE"))
    );
}
