//! A confirmed dialog costs at most 2 KB of heap, a completed transaction at most 1 KB: messages like those of real devices, two
//! proxies in the route set, counted by the allocator itself (dhat).
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod network;

use engine::command::{Command, Proxy, ProxyOptions, Respond, SendRequest};
use engine::event::Event;
use engine::id::{CommandId, DialogId, Generator, TransactionId};
use engine::transport::{ListenerId, Origin, Transport};
use engine::{Engine, Time};
use network::{APPLICATION, address, config, draft};
use sip::{Limits, Message, Method};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const COUNT: u64 = 1_000;
const SDP: &[u8] = b"v=0\r\no=alice 2890844526 2890844526 IN IP4 192.0.2.2\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\n\
m=audio 49172 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
a=fmtp:101 0-15\r\na=sendrecv\r\n";
const ROUTES: &str =
    "<sip:p1.example.com;lr;ftag=9fxced76sl>,<sip:198.51.100.77:5061;transport=tcp;lr;r2=on>";

struct Bench {
    engine: Engine,
    now: Time,
    command: u64,
}

impl Bench {
    fn new() -> Bench {
        let mut engine = Engine::new(config(0), Generator::new([3; 32]));
        engine.handle_attach(Time::ZERO, APPLICATION);
        engine.handle_command(Time::ZERO, APPLICATION, Command::RouteAll);
        Bench {
            engine,
            now: Time::ZERO,
            command: 0,
        }
    }

    fn receive(&mut self, text: String) -> Vec<Event> {
        let size = text.len();
        let origin = Origin {
            listener: ListenerId(0),
            transport: Transport::Udp,
            peer: address(1),
            local: address(0),
            connection: None,
        };
        let message = Message::parse(text.into_bytes().into(), &Limits::default()).unwrap();
        self.engine.handle_message(self.now, origin, message, size);
        self.events()
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.engine.poll_event())
            .map(|(_, event)| event)
            .collect()
    }

    fn command(&mut self, command: impl FnOnce(CommandId) -> Command) -> Vec<Event> {
        self.command += 1;
        let command = command(CommandId(self.command));
        self.engine.handle_command(self.now, APPLICATION, command);
        self.events()
    }

    fn respond(&mut self, transaction: TransactionId, status: u16, body: &[u8]) {
        self.command(|id| {
            Command::Respond(Respond {
                id,
                transaction,
                status,
                reason: String::new(),
                draft: draft(&[], body),
            })
        });
    }

    fn sent(&mut self) -> Vec<String> {
        let transmits = std::iter::from_fn(|| self.engine.poll_transmit());
        transmits
            .map(|transmit| String::from_utf8(transmit.bytes.to_vec()).unwrap())
            .collect()
    }

    /// Lets so long pass, a millisecond less: what has that limit is still there.
    fn pass(&mut self, by: Duration) {
        self.now = self.now + by;
        self.engine.handle_timeout(self.now);
        self.sent();
        self.events();
    }
}

fn request(method: &str, number: u64, sequence: u32, to_tag: &str, body: &[u8]) -> String {
    let body = String::from_utf8_lossy(body);
    let content = if body.is_empty() {
        ""
    } else {
        "Content-Type: application/sdp\r\n"
    };
    format!(
        "{method} sip:service@192.0.2.1:5060 SIP/2.0\r\n\
         Via: SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bK-{number}-{sequence}-{method};rport\r\n\
         Via: SIP/2.0/UDP 10.0.1.17:5062;received=203.0.113.9;rport=61234;branch=z9hG4bK74bf9f3e{number}\r\n\
         Record-Route: {ROUTES}\r\n\
         From: \"Alice Example\" <sip:alice@example.com>;tag=a73kszlfl{number}\r\n\
         To: <sip:service@192.0.2.1>{to_tag}\r\nCall-ID: 1j9FpLxk3uxtm8tn{number}@biloxi.example.com\r\n\
         CSeq: {sequence} {method}\r\nContact: <sip:alice@203.0.113.9:61234;transport=udp;ob>;+sip.instance=\"<urn:uuid:1>\"\r\n\
         Max-Forwards: 69\r\nAllow: INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, NOTIFY, MESSAGE, INFO, UPDATE, PRACK\r\n\
         Supported: replaces, 100rel, norefersub\r\nUser-Agent: Desk Phone 62 1.17.4 (0004f2abcdef)\r\n\
         {content}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn header<'a>(text: &'a str, name: &str) -> &'a str {
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.get(name.len() + 2..).unwrap()
}

fn response(request: &str, status: &str, body: &[u8]) -> String {
    let body = String::from_utf8_lossy(body);
    let mut text = format!("SIP/2.0 {status}\r\n");
    for line in request.lines().take_while(|line| !line.is_empty()) {
        let name = line.split(':').next().unwrap();
        if ["Via", "From", "Call-ID", "CSeq"].contains(&name) {
            text.push_str(&format!("{line}\r\n"));
        } else if name == "To" {
            let tag = if line.contains(";tag=") {
                ""
            } else {
                ";tag=314159265"
            };
            text.push_str(&format!("{line}{tag}\r\n"));
        }
    }
    text.push_str(&format!(
        "Record-Route: {ROUTES}\r\nContact: <sip:bob@203.0.113.9:61234;transport=udp;ob>\r\n\
         Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, UPDATE, PRACK\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    text
}

fn incoming(events: &[Event]) -> TransactionId {
    events
        .iter()
        .find_map(|event| match event {
            Event::Request(request) => Some(request.transaction),
            _ => None,
        })
        .unwrap()
}

/// A call that came in, answered and acknowledged.
fn answered(world: &mut Bench, number: u64) {
    let events = world.receive(request("INVITE", number, 1, "", SDP));
    world.respond(incoming(&events), 200, SDP);
    let sent = world.sent();
    let to = header(sent.last().unwrap(), "To");
    let tag = to.get(to.find(";tag").unwrap()..).unwrap().to_owned();
    world.receive(request("ACK", number, 1, &tag, b""));
}

/// A call that went out, answered and acknowledged.
fn called(world: &mut Bench, _number: u64) {
    world.command(|id| {
        Command::Send(SendRequest {
            id,
            method: Method::Invite,
            uri: "sip:bob@192.0.2.2".to_owned(),
            dialog: None,
            next_hop: None,
            draft: draft(
                &[("From", "\"Alice Example\" <sip:alice@example.com>")],
                SDP,
            ),
        })
    });
    let invite = world.sent().pop().unwrap();
    let events = world.receive(response(&invite, "200 OK", SDP));
    let dialog: DialogId = events
        .iter()
        .find_map(|event| match event {
            Event::Response(response) => response.dialog,
            _ => None,
        })
        .unwrap();
    world.command(|id| {
        Command::Send(SendRequest {
            id,
            method: Method::Ack,
            uri: String::new(),
            dialog: Some(engine::command::DialogReference::Id(dialog)),
            next_hop: None,
            draft: draft(&[], b""),
        })
    });
    world.sent();
}

/// A request of another method, answered.
fn options(world: &mut Bench, number: u64) {
    let events = world.receive(request("OPTIONS", number, 1, "", b""));
    world.respond(incoming(&events), 200, b"");
    world.sent();
}

/// A call that was refused, and the refusal acknowledged.
fn refused(world: &mut Bench, number: u64) {
    let events = world.receive(request("INVITE", number, 1, "", SDP));
    world.respond(incoming(&events), 486, b"");
    let sent = world.sent();
    let to = header(sent.last().unwrap(), "To");
    let tag = to.get(to.find(";tag").unwrap()..).unwrap().to_owned();
    let ack = request("ACK", number, 1, &tag, b"").replace("-ACK;rport", "-INVITE;rport");
    world.receive(ack);
}

/// A request of ours that was answered.
fn asked(world: &mut Bench, _number: u64) {
    world.command(|id| {
        Command::Send(SendRequest {
            id,
            method: Method::Options,
            uri: "sip:bob@192.0.2.2".to_owned(),
            dialog: None,
            next_hop: None,
            draft: draft(&[], b""),
        })
    });
    let sent = world.sent().pop().unwrap();
    world.receive(response(&sent, "200 OK", b""));
}

/// A call that was proxied and answered: a server and a client transaction.
fn proxied(world: &mut Bench, number: u64) {
    let events = world.receive(request("INVITE", number, 1, "", SDP));
    let transaction = incoming(&events);
    world.command(|id| {
        Command::Proxy(Proxy {
            id,
            transaction,
            targets: vec!["sip:bob@192.0.2.2".to_owned()],
            options: ProxyOptions {
                record_route: true,
                ..ProxyOptions::default()
            },
            headers: Vec::new(),
        })
    });
    let sent = world.sent().pop().unwrap();
    world.receive(response(&sent, "200 OK", SDP));
    world.sent();
}

/// Bytes that `COUNT` of these hold each, once `rest` has passed; and that they are as many as expected.
fn each(act: fn(&mut Bench, u64), rest: Duration, dialogs: u64, transactions: u64) -> u64 {
    let mut world = Bench::new();
    // Tables grow by doubling: half of what they grew to may be empty, which is counted.
    let before = dhat::HeapStats::get().curr_bytes;
    for number in 0..COUNT {
        act(&mut world, number);
    }
    world.pass(rest);
    let counts = world.engine.counts();
    let held = (counts.server_transactions + counts.client_transactions) as u64;
    assert_eq!(
        (counts.dialogs as u64, held),
        (dialogs * COUNT, transactions * COUNT)
    );
    let after = dhat::HeapStats::get().curr_bytes;
    (after - before) as u64 / COUNT
}

#[test]
fn what_a_dialog_and_a_transaction_cost() {
    let _profiler = dhat::Profiler::builder().testing().build();
    let none = Duration::ZERO;
    let all_over = Duration::from_secs(40);
    let cases = [
        (
            "confirmed dialog, called",
            each(answered, all_over, 1, 0),
            2048,
        ),
        (
            "confirmed dialog, calling",
            each(called, all_over, 1, 0),
            2048,
        ),
        ("completed OPTIONS, server", each(options, none, 0, 1), 1024),
        ("refused INVITE, server", each(refused, none, 0, 1), 1024),
        ("completed OPTIONS, client", each(asked, none, 0, 1), 1024),
        (
            "answered INVITE, proxied: two transactions",
            each(proxied, none, 0, 2),
            2048,
        ),
    ];
    for (what, bytes, limit) in cases {
        println!("{bytes:>6} bytes of {limit}: {what}");
    }
    for (what, bytes, limit) in cases {
        assert!(bytes <= limit, "{what}: {bytes} bytes, at most {limit}");
    }
}
