//! Subscriptions played by hand: what tests of SUBSCRIBE, NOTIFY and REFER say often.
#![allow(dead_code)]
use engine::Command;
use engine::command::{DialogReference, Draft, Respond, SendRequest};
use engine::event::{Request, Response, Sent};
use engine::id::{DialogId, TransactionId};
use simnet::{Actions, HostId, Packet, World};
use sip::Method;

/// Header fields as a test writes them.
pub type Fields<'a> = &'a [(&'a str, &'a str)];

fn draft(fields: Fields<'_>) -> Draft {
    let field = |(name, value): &(&str, &str)| (name.to_string().into(), value.to_string().into());
    Draft {
        headers: fields.iter().map(field).collect(),
        body: bytes::Bytes::new(),
        ..Draft::default()
    }
}

/// A request in a dialog, with header fields.
pub fn send_in(
    actions: &mut Actions,
    dialog: DialogId,
    method: Method,
    fields: Fields<'_>,
) -> engine::id::CommandId {
    let draft = draft(fields);
    actions.command(|id| {
        Command::Send(SendRequest {
            id,
            method,
            uri: String::new(),
            dialog: Some(DialogReference::Id(dialog)),
            next_hop: None,
            draft,
        })
    })
}

/// A response with header fields.
pub fn respond(
    actions: &mut Actions,
    transaction: TransactionId,
    status: u16,
    fields: Fields<'_>,
) -> engine::id::CommandId {
    let draft = draft(fields);
    actions.command(|id| {
        Command::Respond(Respond {
            id,
            transaction,
            status,
            reason: String::new(),
            draft,
        })
    })
}

/// Sends a request in a dialog, and gives what went out.
#[track_caller]
pub fn send(
    world: &mut World,
    host: HostId,
    dialog: DialogId,
    method: Method,
    fields: Fields<'_>,
) -> Sent {
    world.act(host, |actions| send_in(actions, dialog, method, fields));
    world.sent(host)
}

/// Answers a request, and gives what went out.
#[track_caller]
pub fn answer(
    world: &mut World,
    host: HostId,
    request: &Request,
    status: u16,
    fields: Fields<'_>,
) -> Sent {
    world.act(host, |actions| {
        respond(actions, request.transaction, status, fields)
    });
    world.sent(host)
}

/// The next request of a host, which is of this method.
#[track_caller]
pub fn request(world: &mut World, host: HostId, method: &str) -> Request {
    let request = world.request(host);
    assert_eq!(request.message.method().as_str(), method);
    request
}

/// The next response of a host, which has this status.
#[track_caller]
pub fn response(world: &mut World, host: HostId, status: u16) -> Response {
    let response = world.response(host);
    assert_eq!(response.message.status(), status);
    response
}

/// A NOTIFY of this state goes one way, its 200 the other.
#[track_caller]
pub fn notify(
    world: &mut World,
    from: HostId,
    dialog: DialogId,
    to: HostId,
    event: &str,
    state: &str,
) -> Request {
    let fields = [("Event", event), ("Subscription-State", state)];
    send(world, from, dialog, Method::Notify, &fields);
    let got = request(world, to, "NOTIFY");
    assert_eq!(header(&got.message, "Subscription-State"), state);
    answer(world, to, &got, 200, &[]);
    response(world, from, 200);
    got
}

/// `subscriber` subscribes to `presence` at `notifier` for so many seconds, which are granted. Gives both dialogs.
#[track_caller]
pub fn subscribe(
    world: &mut World,
    subscriber: HostId,
    notifier: HostId,
    seconds: &str,
) -> (DialogId, DialogId) {
    let fields = [("Event", "presence"), ("Expires", seconds)];
    let uri = notifier.uri("bob");
    world.act(subscriber, |actions| {
        actions.send(Method::Subscribe, &uri, &fields, b"")
    });
    world.sent(subscriber);
    let got = request(world, notifier, "SUBSCRIBE");
    let there = answer(world, notifier, &got, 200, &[("Expires", seconds)])
        .dialog
        .unwrap();
    let here = response(world, subscriber, 200).dialog.unwrap();
    (here, there)
}

/// `from` refreshes `presence` for so many seconds, which `to` grants.
#[track_caller]
pub fn refresh(world: &mut World, from: HostId, dialog: DialogId, to: HostId, seconds: &str) {
    let fields = [("Event", "presence"), ("Expires", seconds)];
    send(world, from, dialog, Method::Subscribe, &fields);
    let got = request(world, to, "SUBSCRIBE");
    answer(world, to, &got, 200, &[("Expires", seconds)]);
    response(world, from, 200);
}

/// The value of a header field; empty when there is none.
pub fn header(message: &sip::Message, name: &str) -> String {
    message
        .named(name)
        .next()
        .map(|field| field.text().into_owned())
        .unwrap_or_default()
}

/// Whether a packet is a NOTIFY whose Subscription-State begins so.
pub fn is_notify(packet: &Packet, state: &str) -> bool {
    packet.is("NOTIFY")
        && String::from_utf8_lossy(&packet.bytes).contains(&format!("Subscription-State: {state}"))
}

/// How many dialogs each host has.
pub fn dialogs(world: &World, hosts: [HostId; 2]) -> [usize; 2] {
    hosts.map(|host| world.counts(host).dialogs)
}
