//! Over TCP: a client gets in with the secret only, is bounded in all it may take, and leaves nothing behind.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that goes wrong is to stop"
)]
mod client;
mod corpus;
mod recorder;

use client::Client;
use control::{ControlBounds, ControlConfig, Listener, VERSION, serve};
use engine::command::Command;
use engine::event::{Event, Request};
use engine::id::{ApplicationId, TransactionId};
use engine::seam::Commands;
use engine::transport::{ListenerId, Origin, Transport};
use recorder::Recorder;
use sip::{Limits, Message, Method};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A listener on a thread of its own, as a shard has it: one current-thread runtime.
struct Server {
    address: SocketAddr,
    recorder: Arc<Recorder>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(bounds: ControlBounds) -> Server {
        let recorder = Arc::new(Recorder::default());
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.address().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let commands: Arc<dyn Commands> = Arc::clone(&recorder) as Arc<dyn Commands>;
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let config = ControlConfig {
                    tls: None,
                    secret: "cymru".to_owned(),
                    bounds,
                };
                tokio::select! {
                    result = serve(listener, config, commands) => result.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        Server {
            address,
            recorder,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    fn client(&self) -> Client {
        let mut client = self.connect();
        client.send("m0|authenticate|cymru|");
        assert!(client.next().contains("|response|m0|OK|"));
        client
    }

    /// Stops the listener and waits until its thread is gone.
    fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn request() -> Event {
    let text = corpus::one("examples/03-invite-received.txt")[0].text();
    let peer: SocketAddr = "192.0.2.1:5060".parse().unwrap();
    Event::Request(Request {
        transaction: TransactionId::new(0, 1),
        dialog: None,
        invite: None,
        message: Arc::new(Message::parse(text, &Limits::default()).unwrap()),
        origin: Origin {
            listener: ListenerId(0),
            transport: Transport::Udp,
            peer,
            local: peer,
            connection: None,
        },
        peer_certificate: None,
        wire_bytes: 411,
    })
}

#[test]
fn a_client_that_knows_the_secret_is_welcomed_and_served() {
    let server = Server::start(ControlBounds::default());
    let mut client = server.connect();
    client.send("m0|authenticate|cymru|red,blue");
    let welcome = client.next();
    let expected = format!(
        "OK|udp/203.0.113.9:5060,tcp/203.0.113.9:5060|{VERSION}|udp/10.0.0.5:5060,tcp/10.0.0.5:5060"
    );
    assert_eq!(
        welcome.splitn(4, '|').collect::<Vec<_>>()[1..],
        ["response", "m0", expected.as_str()]
    );
    for (payload, reply) in [
        ("m1|route|invite", "OK"),
        ("m2|ping", "OK|pong"),
        ("m3|route|invite", "OK"),
        ("m4|remove_route|bye", "OK"),
    ] {
        client.send(payload);
        let id = payload.split('|').next().unwrap();
        assert!(client.next().ends_with(&format!("|response|{id}|{reply}")));
    }
    client.send("m5|remove_route|invite");
    assert!(client.next().ends_with("|response|m5|OK"));
    server
        .recorder
        .wait("the routes", |record| record.commands(0).len() == 2);
    let commands = server.recorder.look(|record| record.commands(0));
    assert!(
        matches!(
            commands.as_slice(),
            [
                Command::Route(Method::Invite),
                Command::Unroute(Method::Invite)
            ]
        ),
        "{commands:?}"
    );
}

#[test]
fn drachtio_srf_recognises_the_version() {
    let numbers = VERSION
        .strip_prefix('v')
        .unwrap()
        .split('-')
        .next()
        .unwrap();
    let numbers: Vec<u32> = numbers
        .split('.')
        .map(|number| number.parse().unwrap())
        .collect();
    assert!(numbers.len() == 3 && numbers >= vec![0, 9, 0], "{VERSION}");
}

#[test]
fn a_wrong_secret_is_told_so_and_closed() {
    let server = Server::start(ControlBounds::default());
    for secret in ["wrong", "", "cymr", "cymru2", "CYMRU"] {
        let mut client = server.connect();
        client.send(&format!("m0|authenticate|{secret}|"));
        assert!(
            client.next().ends_with("|response|m0|NO|incorrect secret"),
            "{secret}"
        );
        assert!(client.is_closed());
    }
    server
        .recorder
        .look(|record| assert!(record.attached.is_empty()));
}

#[test]
fn whatever_comes_before_authenticate_is_refused_and_closed() {
    let server = Server::start(ControlBounds::default());
    for payload in [
        "m0|ping",
        "m0|route|invite",
        "m0|status",
        "m0|sip||\r\nOPTIONS sip:a SIP/2.0\r\n\r\n",
        "m0|nonsense",
    ] {
        let mut client = server.connect();
        client.send(payload);
        client.send("m1|authenticate|cymru|");
        assert!(client.next().contains("|response|m0|NO|"), "{payload}");
        assert!(client.is_closed());
    }
    server
        .recorder
        .look(|record| assert!(record.attached.is_empty()));
}

#[test]
fn a_frame_of_ten_megabytes_closes_the_connection_and_detaches() {
    let server = Server::start(ControlBounds::default());
    let mut client = server.client();
    client.stream.write_all(b"10000000#m1|sip||").unwrap();
    let _ = client.stream.write_all(&vec![b'x'; 10_000_000]);
    assert!(client.is_closed());
    server.recorder.wait("the application's end", |record| {
        record.detached == [ApplicationId(0)]
    });
}

#[test]
fn an_unknown_type_is_refused_and_closed() {
    let server = Server::start(ControlBounds::default());
    let mut client = server.client();
    client.send("m1|dance");
    assert!(
        client
            .next()
            .ends_with("|response|m1|NO|Unknown message type")
    );
    assert!(client.is_closed());
    server
        .recorder
        .wait("the application's end", |record| record.detached.len() == 1);
}

#[test]
fn commands_that_arrive_together_are_submitted_together() {
    let server = Server::start(ControlBounds::default());
    let mut client = server.client();
    let payload = "m1|sip||\r\nOPTIONS sip:a@b SIP/2.0\r\n\r\n";
    let frames = format!("{}#{payload}", payload.len()).repeat(50);
    client.stream.write_all(frames.as_bytes()).unwrap();
    server
        .recorder
        .wait("50 commands", |record| record.commands(0).len() == 50);
    server.recorder.look(|record| {
        assert!(
            record.batches.len() < 10,
            "{} batches",
            record.batches.len()
        )
    });
}

#[test]
fn events_reach_the_client_they_are_for() {
    let server = Server::start(ControlBounds::default());
    let (mut first, mut second) = (server.client(), server.client());
    server
        .recorder
        .wait("two applications", |record| record.attached.len() == 2);
    let links = server.recorder.look(|record| record.attached.clone());
    links[1].deliver(0, &mut vec![request(), request()]);
    for _ in 0..2 {
        let frame = second.next();
        assert!(
            frame.contains("|sip|network|411|udp|192.0.2.1|5060|"),
            "{frame}"
        );
        assert!(frame.contains("\r\nINVITE sip:bob@10.0.0.5 SIP/2.0\r\n"));
    }
    first.send("m1|ping");
    assert!(
        first.next().ends_with("|pong"),
        "the first got nothing else"
    );
    drop(first);
    server.recorder.wait("the first to be gone", |record| {
        record.detached == [ApplicationId(0)]
    });
    second.send("m2|ping");
    assert!(second.next().ends_with("|pong"));
}

#[test]
fn a_client_that_never_reads_is_bounded_and_disconnected() {
    let bounds = ControlBounds {
        queue_bytes: 1024 * 1024,
        ..ControlBounds::default()
    };
    let server = Server::start(bounds);
    let client = server.client();
    server
        .recorder
        .wait("the application", |record| record.attached.len() == 1);
    let link = server
        .recorder
        .look(|record| Arc::clone(&record.attached[0]));
    // The kernel's buffers take some megabytes first. What is delivered in all is far more than that and the queue.
    let mut delivered = 0;
    while server.recorder.look(|record| record.detached.is_empty()) {
        link.deliver(0, &mut vec![request(); 64]);
        delivered += 64;
        assert!(delivered < 1_000_000, "it was never disconnected");
    }
    link.deliver(0, &mut vec![request()]);
    assert_eq!(
        link.backlog(),
        Duration::ZERO,
        "nothing is kept for a client that is gone"
    );
    drop(client);
}

#[test]
fn a_client_that_reads_too_late_is_disconnected_by_age() {
    let bounds = ControlBounds {
        queue_bytes: 256 * 1024 * 1024,
        queue_age: Duration::from_millis(300),
        ..ControlBounds::default()
    };
    let server = Server::start(bounds);
    let client = server.client();
    server
        .recorder
        .wait("the application", |record| record.attached.len() == 1);
    let link = server
        .recorder
        .look(|record| Arc::clone(&record.attached[0]));
    let started = Instant::now();
    for _ in 0..400 {
        link.deliver(0, &mut vec![request(); 64]);
    }
    assert!(link.backlog() > Duration::ZERO);
    server
        .recorder
        .wait("the application's end", |record| record.detached.len() == 1);
    assert!(started.elapsed() >= Duration::from_millis(250));
    drop(client);
}

#[test]
fn a_stranger_that_says_nothing_is_disconnected() {
    let server = Server::start(ControlBounds {
        authentication: Duration::from_millis(100),
        ..ControlBounds::default()
    });
    let mut silent = server.connect();
    let mut slow = server.connect();
    slow.stream.write_all(b"22#m0|auth").unwrap();
    assert!(silent.is_closed() && slow.is_closed());
    let mut client = server.client();
    server
        .recorder
        .wait("the client", |record| record.attached.len() == 1);
    assert!(
        client
            .stream
            .set_read_timeout(Some(Duration::from_millis(300)))
            .is_ok()
    );
    assert!(
        client.stream.read(&mut [0; 1]).is_err(),
        "an authenticated client may be silent"
    );
}

#[test]
fn strangers_and_clients_are_bounded_in_number() {
    let server = Server::start(ControlBounds {
        clients: 3,
        unauthenticated: 2,
        ..ControlBounds::default()
    });
    let [mut first, second, third] = std::array::from_fn(|_| server.connect());
    assert!(first.is_closed(), "the oldest of three strangers");
    let _clients = [second, third].map(|mut client| {
        client.send("m0|authenticate|cymru|");
        assert!(client.next().contains("|response|m0|OK|"));
        client
    });
    // Who is silent keeps nobody out.
    let _silent = server.connect();
    assert!(server.connect().is_closed(), "a fourth client");
}

#[test]
fn status_is_json_on_one_line() {
    let server = Server::start(ControlBounds::default());
    let mut client = server.client();
    client.send("m1|status");
    let reply = client.next();
    let tokens: Vec<&str> = reply.splitn(5, '|').collect();
    assert_eq!(tokens[3], "OK");
    let json = tokens[4];
    assert!(!json.contains(['|', '\n', '\r']), "{json}");
    assert!(json.starts_with('{') && json.ends_with('}'));
    assert!(
        json.contains("\"shards\":[{\"shard\":0,\"server_transactions\":0,"),
        "{json}"
    );
    assert!(
        json.contains("\"dialogs\":3,") && json.contains("\"totals\":{\"messages_received\":12}"),
        "{json}"
    );
    assert!(
        json.contains(&format!(
            "\"address\":\"{}\"",
            client.stream.local_addr().unwrap()
        )),
        "{json}"
    );
}

#[test]
fn stopping_the_listener_detaches_every_client() {
    let mut server = Server::start(ControlBounds::default());
    let mut clients: Vec<Client> = (0..3).map(|_| server.client()).collect();
    server.stop();
    server
        .recorder
        .look(|record| assert_eq!(record.detached.len(), 3));
    assert!(clients.iter_mut().all(Client::is_closed));
}
