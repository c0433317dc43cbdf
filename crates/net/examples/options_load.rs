//! Answers OPTIONS over UDP in Rust and says what a request costs the shard's thread: `options_load [REQUESTS] [WINDOW]`.
//!
//! Sender and server share a process; the figure is the processor time of the thread `dracht-shard-0` alone, system calls included.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
use engine::command::{Command, Draft, Respond};
use engine::event::Event;
use engine::id::{ApplicationId, CommandId};
use engine::seam::{Commands, Events};
use net::{Server, ServerConfig, listen};
use std::net::UdpSocket;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

struct Answering {
    commands: Arc<dyn Commands>,
    id: OnceLock<ApplicationId>,
}

impl Events for Answering {
    fn deliver(&self, _shard: u8, events: &mut Vec<Event>) {
        let answer = |event| match event {
            Event::Request(request) => Some(Command::Respond(Respond {
                id: CommandId(1),
                transaction: request.transaction,
                status: 200,
                reason: String::new(),
                draft: Draft::default(),
            })),
            _ => None,
        };
        let mut answers: Vec<Command> = events.drain(..).filter_map(answer).collect();
        self.commands.submit(*self.id.get().unwrap(), &mut answers);
    }

    fn backlog(&self) -> Duration {
        Duration::ZERO
    }
}

/// Nanoseconds on the processor of the thread with that name.
fn processor_time(name: &str) -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let task = tasks.flatten().map(|task| task.path());
    let mut task = task.filter(|path| {
        std::fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim() == name)
    });
    let schedstat = std::fs::read_to_string(task.next().unwrap().join("schedstat")).unwrap();
    schedstat.split(' ').next().unwrap().parse().unwrap()
}

fn main() {
    let mut arguments = std::env::args()
        .skip(1)
        .map(|text| text.parse::<usize>().expect("a number"));
    let requests = arguments.next().unwrap_or(200_000);
    let window = arguments.next().unwrap_or(32);
    let config = ServerConfig {
        listen: listen::parse("sip:127.0.0.1:0;transport=udp").unwrap(),
        ..ServerConfig::default()
    };
    let server = Server::start(config).unwrap();
    let commands = server.commands();
    let application = Arc::new(Answering {
        commands: commands.clone(),
        id: OnceLock::new(),
    });
    let id = commands.attach(application.clone());
    application.id.set(id).unwrap();
    commands.submit(id, &mut vec![Command::RouteAll]);

    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(server.listeners()[0].bound).unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(2)))
        .unwrap();
    let local = client.local_addr().unwrap();
    let mut buffer = [0; 2048];
    let (mut sent, mut answered) = (0, 0);
    let (start, before) = (Instant::now(), processor_time("dracht-shard-0"));
    while answered < requests {
        while sent < requests && sent - answered < window {
            let request = format!(
                "OPTIONS sip:server@example.com SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK{sent};rport\r\n\
                 Max-Forwards: 70\r\nFrom: <sip:client@example.com>;tag=1\r\nTo: <sip:server@example.com>\r\n\
                 Call-ID: load-{sent}@example.com\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
            );
            client.send(request.as_bytes()).unwrap();
            sent += 1;
        }
        let length = client
            .recv(&mut buffer)
            .expect("an answer within two seconds");
        assert!(buffer[..length].starts_with(b"SIP/2.0 200 "));
        answered += 1;
    }
    let (elapsed, spent) = (start.elapsed(), processor_time("dracht-shard-0") - before);
    println!(
        "{requests} requests, {window} at a time, in {elapsed:.2?}: {:.0} per second",
        requests as f64 / elapsed.as_secs_f64()
    );
    println!(
        "{:.2} µs of the shard's processor time per request",
        spent as f64 / requests as f64 / 1000.0
    );
}
