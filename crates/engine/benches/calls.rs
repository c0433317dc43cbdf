//! CPU time of the engine alone per call: `cargo bench -p engine`. Parsing is included, the network is not.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods
)]
#[path = "../tests/network/mod.rs"]
mod network;

use engine::command::{Command, Proxy, ProxyOptions, Respond};
use engine::event::Event;
use engine::id::{CommandId, Generator, TransactionId};
use engine::transport::{ListenerId, Origin, Transport};
use engine::{Engine, Time};
use network::{APPLICATION, SDP, address, config, draft};
use sip::{Limits, Message};
use std::time::{Duration, Instant};

const CALLS: u64 = 20_000;

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

    /// Hands a datagram in, as the driver does; gives the transaction of the request event, if one came.
    fn receive(&mut self, from: usize, text: String) -> Option<TransactionId> {
        let size = text.len();
        let origin = Origin {
            listener: ListenerId(0),
            transport: Transport::Udp,
            peer: address(from),
            local: address(0),
            connection: None,
        };
        let message = Message::parse(text.into_bytes().into(), &Limits::default()).unwrap();
        self.engine.handle_message(self.now, origin, message, size);
        let mut transaction = None;
        while let Some((_, event)) = self.engine.poll_event() {
            if let Event::Request(request) = event {
                transaction = Some(request.transaction);
            }
        }
        transaction
    }

    fn respond(&mut self, transaction: TransactionId, status: u16, body: &[u8]) {
        self.command += 1;
        let respond = Respond {
            id: CommandId(self.command),
            transaction,
            status,
            reason: String::new(),
            draft: draft(&[], body),
        };
        self.engine
            .handle_command(self.now, APPLICATION, Command::Respond(respond));
        while self.engine.poll_event().is_some() {}
    }

    fn proxy(&mut self, transaction: TransactionId) {
        self.command += 1;
        let proxy = Proxy {
            id: CommandId(self.command),
            transaction,
            targets: vec!["sip:callee@192.0.2.3".to_owned()],
            options: ProxyOptions {
                record_route: true,
                ..ProxyOptions::default()
            },
            headers: Vec::new(),
        };
        self.engine
            .handle_command(self.now, APPLICATION, Command::Proxy(proxy));
    }

    fn sent(&mut self) -> Vec<String> {
        let mut sent = Vec::new();
        while let Some(transmit) = self.engine.poll_transmit() {
            sent.push(String::from_utf8(transmit.bytes.to_vec()).unwrap());
        }
        sent
    }

    fn tick(&mut self) {
        self.now = self.now + Duration::from_millis(2);
        self.engine.handle_timeout(self.now);
    }
}

fn request(method: &str, number: u64, step: u32, to_tag: &str, route: &str, body: &str) -> String {
    format!(
        "{method} sip:service@192.0.2.1:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bK-{number}-{step}\r\n\
         {route}From: sipp <sip:sipp@192.0.2.2:5060>;tag=call{number}\r\nTo: sut <sip:service@192.0.2.1:5060>{to_tag}\r\n\
         Call-ID: {number}-1234@192.0.2.2\r\nCSeq: {step} {method}\r\nContact: <sip:sipp@192.0.2.2:5060>\r\nMax-Forwards: 70\r\n\
         Subject: Performance Test\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn header<'a>(text: &'a str, name: &str) -> &'a str {
    text.lines().find(|line| line.starts_with(name)).unwrap()
}

fn answered(bench: &mut Bench, number: u64, body: &str) {
    let invite = bench
        .receive(1, request("INVITE", number, 1, "", "", body))
        .unwrap();
    bench.respond(invite, 180, b"");
    bench.respond(invite, 200, SDP);
    let sent = bench.sent();
    let to = header(sent.last().unwrap(), "To:");
    let tag = to.get(to.find(";tag").unwrap()..).unwrap().to_owned();
    bench.receive(
        1,
        request("ACK", number, 1, &tag, "", "").replace("-1\r\n", "-9\r\n"),
    );
    let bye = bench
        .receive(1, request("BYE", number, 2, &tag, "", ""))
        .unwrap();
    bench.respond(bye, 200, b"");
    bench.sent();
    bench.tick();
}

fn response(request: &str, status: &str, body: &str) -> String {
    let mut text = format!("SIP/2.0 {status}\r\n");
    for line in request.lines().take_while(|line| !line.is_empty()) {
        if ["Via:", "From:", "Call-ID:", "CSeq:", "Record-Route:"]
            .iter()
            .any(|name| line.starts_with(name))
        {
            text.push_str(line);
            text.push_str("\r\n");
        } else if line.starts_with("To:") {
            text.push_str(line);
            text.push_str(if line.contains(";tag") {
                "\r\n"
            } else {
                ";tag=callee\r\n"
            });
        }
    }
    text.push_str(&format!(
        "Contact: <sip:callee@192.0.2.3>\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    text
}

fn proxied(bench: &mut Bench, number: u64, body: &str) {
    let invite = bench
        .receive(1, request("INVITE", number, 1, "", "", body))
        .unwrap();
    bench.proxy(invite);
    let sent = bench.sent();
    let forwarded = sent.last().unwrap();
    bench.receive(2, response(forwarded, "100 Trying", ""));
    bench.receive(2, response(forwarded, "180 Ringing", ""));
    bench.receive(2, response(forwarded, "200 OK", body));
    bench.sent();
    let in_dialog = |method: &str, step: u32| {
        request(
            method,
            number,
            step,
            ";tag=callee",
            "Route: <sip:192.0.2.1:5060;lr>\r\n",
            "",
        )
        .replacen("sip:service@192.0.2.1:5060", "sip:callee@192.0.2.3", 1)
    };
    bench.receive(1, in_dialog("ACK", 1).replace("-1\r\nRoute", "-9\r\nRoute"));
    bench.receive(1, in_dialog("BYE", 2));
    let sent = bench.sent();
    assert!(sent.len() == 2, "{sent:?}");
    bench.receive(2, response(sent.last().unwrap(), "200 OK", ""));
    assert_eq!(bench.sent().len(), 1);
    bench.tick();
}

fn main() {
    let body = String::from_utf8_lossy(SDP).into_owned();
    for (name, call) in [
        ("answered", answered as fn(&mut Bench, u64, &str)),
        ("proxied", proxied),
    ] {
        let mut bench = Bench::new();
        for number in 0..2_000 {
            call(&mut bench, number, &body);
        }
        let start = Instant::now();
        for number in 2_000..2_000 + CALLS {
            call(&mut bench, number, &body);
        }
        let each = start.elapsed().as_nanos() / u128::from(CALLS);
        let counts = bench.engine.counts();
        println!(
            "{name}: {:.1} us per call; held: {} server, {} client transactions, {} dialogs, {} timers",
            each as f64 / 1000.0,
            counts.server_transactions,
            counts.client_transactions,
            counts.dialogs,
            counts.timers
        );
    }
}
