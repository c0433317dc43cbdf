//! What the tests of this crate share: a server on a free port, an application that answers, peers made of plain sockets.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
pub mod log;

use engine::command::{Command, Draft, Respond, SendRequest};
use engine::counts::Counts;
use engine::event::Event;
use engine::id::{ApplicationId, CommandId};
use engine::seam::{Commands, Events};
use engine::transport::Transport;
use net::{Server, ServerConfig, listen};
use sip::Method;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// How long anything may take before a test fails.
pub const LONG: Duration = Duration::from_secs(10);

/// An application that answers every request with 200, and shows the test what it was told.
pub struct Application {
    commands: Arc<dyn Commands>,
    id: OnceLock<ApplicationId>,
    seen: Mutex<Sender<(u8, Event)>>,
}

impl Application {
    /// Attaches it, for requests of every method.
    pub fn attach(commands: Arc<dyn Commands>) -> (Arc<Application>, Receiver<(u8, Event)>) {
        let (sender, receiver) = channel();
        let application = Arc::new(Application {
            commands: commands.clone(),
            id: OnceLock::new(),
            seen: Mutex::new(sender),
        });
        let id = commands.attach(application.clone());
        application.id.set(id).unwrap();
        commands.submit(id, &mut vec![Command::RouteAll]);
        (application, receiver)
    }

    pub fn id(&self) -> ApplicationId {
        *self.id.get().unwrap()
    }

    /// Sends a request without a body out of any dialog.
    pub fn ask(&self, uri: &str) {
        self.send(Method::Options, uri, b"");
    }

    /// Sends a request out of any dialog.
    pub fn send(&self, method: Method, uri: &str, body: &[u8]) {
        let headers = vec![("Content-Type".into(), "text/plain".into())];
        let draft = Draft {
            headers,
            body: body.to_vec().into(),
            ..Draft::default()
        };
        let send = SendRequest {
            id: CommandId(7),
            method,
            uri: uri.to_owned(),
            dialog: None,
            next_hop: None,
            draft,
        };
        self.commands
            .submit(self.id(), &mut vec![Command::Send(send)]);
    }
}

impl Events for Application {
    fn deliver(&self, shard: u8, events: &mut Vec<Event>) {
        let mut answers = Vec::new();
        for event in events.drain(..) {
            if let Event::Request(request) = &event
                && request.message.method() != Method::Ack
            {
                answers.push(Command::Respond(Respond {
                    id: CommandId(1),
                    transaction: request.transaction,
                    status: 200,
                    reason: String::new(),
                    draft: Draft::default(),
                }));
            }
            // The test may have seen enough.
            let _ = self.seen.lock().unwrap().send((shard, event));
        }
        self.commands.submit(self.id(), &mut answers);
    }

    fn backlog(&self) -> Duration {
        Duration::ZERO
    }
}

/// How many shards the servers of the tests have that do not say: `DRACHT_TEST_SHARDS`. What one does, several have to do as well.
pub fn shards() -> u8 {
    std::env::var("DRACHT_TEST_SHARDS").map_or(1, |number| number.parse().unwrap())
}

/// A configuration that listens on `text`.
pub fn listening(text: &str) -> ServerConfig {
    ServerConfig {
        listen: listen::parse(text).unwrap(),
        shards: shards(),
        ..ServerConfig::default()
    }
}

/// Starts a server with an application that answers.
pub fn start(config: ServerConfig) -> (Server, Arc<Application>, Receiver<(u8, Event)>) {
    let server = Server::start(config).unwrap_or_else(|error| panic!("{error}"));
    let (application, events) = Application::attach(server.commands());
    (server, application, events)
}

/// Where the server listens for that transport.
pub fn address(server: &Server, transport: Transport) -> SocketAddr {
    server
        .listeners()
        .iter()
        .find(|listener| listener.transport == transport)
        .unwrap()
        .bound
}

/// An OPTIONS request as a client at `local` sends it.
pub fn options(transport: &str, local: SocketAddr, call_id: &str, body: &str) -> String {
    format!(
        "OPTIONS sip:server@example.com SIP/2.0\r\nVia: SIP/2.0/{transport} {local};branch=z9hG4bK{call_id};rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:client@example.com>;tag=1\r\nTo: <sip:server@example.com>\r\nCall-ID: {call_id}\r\n\
         CSeq: 1 OPTIONS\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A UDP peer that waits for `LONG` at most.
pub fn udp_peer(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    socket
}

/// Receives one datagram as text.
pub fn receive(socket: &UdpSocket) -> (String, SocketAddr) {
    let mut buffer = vec![0; 65_535];
    let (length, from) = socket.recv_from(&mut buffer).expect("a datagram");
    (
        String::from_utf8_lossy(&buffer[..length]).into_owned(),
        from,
    )
}

/// A peer at the other end of a stream.
pub struct Peer<S> {
    pub stream: S,
    pending: Vec<u8>,
}

/// A TCP peer that waits for `LONG` at most.
pub type TcpPeer = Peer<TcpStream>;

/// Connects; reading and writing wait for `LONG` at most.
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, LONG).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.set_write_timeout(Some(LONG)).unwrap();
    stream
}

impl TcpPeer {
    pub fn new(stream: TcpStream) -> TcpPeer {
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.set_write_timeout(Some(LONG)).unwrap();
        Peer::over(stream)
    }

    pub fn connect(address: SocketAddr) -> TcpPeer {
        Peer::over(connect(address))
    }
}

impl<S: Read + Write> Peer<S> {
    pub fn over(stream: S) -> Peer<S> {
        Peer {
            stream,
            pending: Vec::new(),
        }
    }

    pub fn write(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    /// Reads one message: its head and the body that Content-Length names.
    pub fn read(&mut self) -> String {
        loop {
            if let Some(end) = self
                .pending
                .windows(4)
                .position(|window| window == b"\r\n\r\n")
            {
                let head = String::from_utf8_lossy(&self.pending[..end]).into_owned();
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("Content-Length:"));
                let total =
                    end + 4 + length.map_or(0, |length| length.trim().parse::<usize>().unwrap());
                if self.pending.len() >= total {
                    let rest = self.pending.split_off(total);
                    let message = std::mem::replace(&mut self.pending, rest);
                    return String::from_utf8(message).unwrap();
                }
            }
            let mut buffer = [0; 4096];
            let count = self.stream.read(&mut buffer).expect("a message");
            assert_ne!(count, 0, "closed before a message was complete");
            self.pending.extend_from_slice(&buffer[..count]);
        }
    }

    /// Reads to the end of the connection: what came before it. A reset is an end too.
    pub fn read_to_end(&mut self) -> String {
        let mut bytes = std::mem::take(&mut self.pending);
        match self.stream.read_to_end(&mut bytes) {
            Ok(_) => {}
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::UnexpectedEof
                ) => {}
            Err(error) => panic!("the connection was not closed: {error}"),
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Asks for the counts until they are as wanted.
pub fn wait_for(server: &Server, what: &str, is_wanted: impl Fn(&[Counts]) -> bool) -> Vec<Counts> {
    let deadline = Instant::now() + LONG;
    loop {
        let counts = server.counts();
        if is_wanted(&counts) {
            return counts;
        }
        assert!(Instant::now() < deadline, "{what}: {counts:?}");
        std::thread::yield_now();
    }
}

/// The sum of a total over the shards.
pub fn total(counts: &[Counts], name: &str) -> u64 {
    counts.iter().filter_map(|shard| shard.total(name)).sum()
}

/// Open connections of all shards.
pub fn connections(counts: &[Counts]) -> usize {
    counts.iter().map(|shard| shard.connections).sum()
}

/// The final response that the application is told.
pub fn response(events: &Receiver<(u8, Event)>) -> std::sync::Arc<sip::Message> {
    loop {
        match events.recv_timeout(LONG).expect("a response").1 {
            Event::Response(response) if response.message.status() >= 200 => {
                return response.message;
            }
            _ => {}
        }
    }
}

/// The request that the application is told.
pub fn request(events: &Receiver<(u8, Event)>) -> engine::event::Request {
    loop {
        if let Event::Request(request) = events.recv_timeout(LONG).expect("a request").1 {
            return request;
        }
    }
}
