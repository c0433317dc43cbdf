//! Any bytes as what a control connection and the network bring, in pieces: frames are cut the same however they come, a client costs
//! its connection at most, every frame that is sent can be read, every command has its outcome, and nothing outlives the connection.
//!
//! The input is sections, parted by the byte 0x1E: `c` and bytes of the control connection, `n` and a message from the network, `t`
//! and a pause. The first byte says how the bytes of the connection are cut.
use bytes::Bytes;
use control::disconnect::Disconnect;
use control::frame::{Decoder, FrameError};
use control::link::Link;
use control::name::{MessageIds, TransactionNames};
use control::server::Server;
use control::session::Session;
use control::{ControlBounds, ControlConfig};
use engine::admit::{Ban, Prefix};
use engine::config::Config;
use engine::counts::Counts;
use engine::event::Event;
use engine::id::{ApplicationId, Generator};
use engine::seam::{Commands, Events};
use engine::transport::{ListenerId, Origin, Transport};
use engine::{Command, Engine, ResolveError, Time};
use sip::{Limits, Message};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What parts the sections of an input.
pub const SEPARATOR: u8 = 0x1e;
/// The secret of the connection.
pub const SECRET: &str = "cymru";
/// Frames of an input that are looked at.
const MOST_FRAMES: usize = 200;
const LIMIT: usize = 4096;

/// The names of transactions, always the same, so that an input can hold them.
#[must_use]
pub fn names() -> TransactionNames {
    TransactionNames::new(1, 2)
}

/// The engine behind the seam, on this thread.
struct Desk {
    inner: Mutex<Inner>,
}

struct Inner {
    engine: Engine,
    now: Time,
    application: Option<Arc<dyn Events>>,
    attached: u32,
}

const APPLICATION: ApplicationId = ApplicationId(1);

fn own() -> SocketAddr {
    "192.0.2.1:5060".parse().expect("an address")
}

impl Desk {
    fn new() -> Desk {
        let config = Config {
            drachtio_compatible: true,
            ..simnet::host::config(simnet::HostId(0))
        };
        let inner = Inner {
            engine: Engine::new(config, Generator::new([9; 32])),
            now: Time::START,
            application: None,
            attached: 0,
        };
        Desk {
            inner: Mutex::new(inner),
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let out = act(&mut inner);
        inner.settle();
        out
    }
}

impl Inner {
    fn settle(&mut self) {
        let mut events: Vec<Event> = Vec::new();
        loop {
            while let Some(transmit) = self.engine.poll_transmit() {
                Message::parse(transmit.bytes.clone(), &Limits::unlimited())
                    .unwrap_or_else(|error| panic!("{error}: {}", transmit.bytes.escape_ascii()));
            }
            while let Some(question) = self.engine.poll_resolve() {
                self.engine
                    .handle_resolved(self.now, question.id, Err(ResolveError::NotFound));
            }
            while let Some((_, event)) = self.engine.poll_event() {
                events.push(event);
            }
            if events.is_empty() {
                return;
            }
            if let Some(application) = &self.application {
                application.deliver(0, &mut events);
            }
            events.clear();
        }
    }

    fn advance(&mut self, by: Duration) {
        let end = self.now + by;
        while let Some(next) = self.engine.poll_timeout().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.engine.handle_timeout(self.now);
            self.settle();
        }
        self.now = end;
    }
}

impl Commands for Desk {
    fn attach(&self, events: Arc<dyn Events>) -> ApplicationId {
        self.with(|inner| {
            inner.application = Some(events);
            inner.attached += 1;
            inner.engine.handle_attach(inner.now, APPLICATION);
        });
        APPLICATION
    }

    fn detach(&self, application: ApplicationId) {
        self.with(|inner| {
            inner.attached -= 1;
            inner.application = None;
            inner.engine.handle_detach(inner.now, application);
        });
    }

    fn submit(&self, application: ApplicationId, commands: &mut Vec<Command>) {
        for command in commands.drain(..) {
            self.with(|inner| inner.engine.handle_command(inner.now, application, command));
        }
    }

    fn counts(&self) -> Vec<Counts> {
        Vec::new()
    }

    fn flow_token(&self, _origin: &Origin) -> Option<String> {
        None
    }

    fn is_behind_nat(&self, _message: &Message, _origin: &Origin) -> bool {
        false
    }

    fn ban(&self, _network: Prefix, _time: Option<Duration>) {}

    fn bans(&self) -> Vec<Ban> {
        Vec::new()
    }

    fn hostports(&self) -> (Vec<String>, Vec<String>) {
        (
            vec!["udp/192.0.2.1:5060".to_owned()],
            vec!["udp/192.0.2.1:5060".to_owned()],
        )
    }
}

/// Holds the properties for one input.
pub fn run(data: &[u8]) {
    let Some((manner, rest)) = data.split_first() else {
        return;
    };
    let sections: Vec<&[u8]> = rest.split(|byte| *byte == SEPARATOR).collect();
    framing(&sections, usize::from(*manner));
    let desk = Arc::new(Desk::new());
    let commands: Arc<dyn Commands> = Arc::clone(&desk) as Arc<dyn Commands>;
    let bounds = ControlBounds {
        payload: LIMIT,
        commands: 16,
        ..ControlBounds::default()
    };
    let mut config = ControlConfig::new(SECRET);
    config.bounds = bounds;
    let mut server = Server::new(config, commands);
    server.names = names();
    let server = Arc::new(server);
    let link = Arc::new(Link::new(
        &server.config.bounds,
        MessageIds::new(3),
        server.names,
    ));
    let peer = "192.0.2.200:9".parse().expect("an address");
    let mut session = Session::new(Arc::clone(&server), Arc::clone(&link), peer);
    let ended = converse(&sections, usize::from(*manner), &desk, &mut session, &link);
    if ended.is_none() {
        // Whatever was asked for comes to its end.
        desk.with(|inner| inner.advance(Duration::from_secs(9 * 86_400)));
        readable(&link);
        let waiting = link.with(|state| state.answers.len());
        assert_eq!(waiting, 0, "commands without an outcome");
    }
    drop(session);
    link.close();
    assert_eq!(link.queued_bytes(), 0);
    desk.with(|inner| {
        assert_eq!(inner.attached, 0, "an application stayed attached");
        inner.advance(Duration::from_secs(9 * 86_400));
        let counts = inner.engine.counts();
        assert_eq!(
            counts.server_transactions
                + counts.client_transactions
                + counts.dialogs
                + counts.timers,
            0,
            "{counts:?}"
        );
    });
    let weak = Arc::downgrade(&link);
    drop(link);
    assert!(weak.upgrade().is_none(), "the link outlives its connection");
}

/// Plays the sections, as the tasks of a connection do; gives why it ended, if it did.
fn converse(
    sections: &[&[u8]],
    manner: usize,
    desk: &Desk,
    session: &mut Session,
    link: &Link,
) -> Option<Disconnect> {
    let mut decoder = Decoder::new(LIMIT);
    let mut frames = 0;
    for section in sections {
        let Some((kind, bytes)) = section.split_first() else {
            continue;
        };
        match kind {
            b'n' => network(desk, bytes),
            b't' => desk.with(|inner| {
                let seconds = u64::from(bytes.first().copied().unwrap_or(0));
                inner.advance(Duration::from_secs(seconds * seconds));
            }),
            _ => {
                for piece in bytes.chunks(manner + 1) {
                    decoder.push(piece);
                    loop {
                        match decoder.next_payload() {
                            Ok(Some(payload)) => {
                                frames += 1;
                                if let Err(disconnect) = session.handle_payload(&payload) {
                                    return Some(disconnect);
                                }
                            }
                            Ok(None) => break,
                            Err(error) => return Some(Disconnect::Frame(error)),
                        }
                    }
                    session.submit();
                }
            }
        }
        readable(link);
        if let Some(disconnect) = link.closed() {
            return Some(disconnect);
        }
        if frames > MOST_FRAMES {
            return Some(Disconnect::Closed);
        }
    }
    None
}

fn network(desk: &Desk, bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    let origin = Origin {
        listener: ListenerId(0),
        transport: Transport::Udp,
        peer: "192.0.2.101:5060".parse().expect("an address"),
        local: own(),
        connection: None,
    };
    desk.with(
        |inner| match Message::parse(bytes.clone(), &Limits::default()) {
            Ok(message) => inner
                .engine
                .handle_message(inner.now, origin, message, bytes.len()),
            Err(error) => inner
                .engine
                .handle_malformed(inner.now, origin, &bytes, &error),
        },
    );
}

/// What waits to be written is whole frames, each with an identifier and a type.
fn readable(link: &Link) {
    let bytes = link.with(|state| state.frames.take(Vec::new()));
    let mut decoder = Decoder::new(usize::MAX >> 8);
    decoder.push(&bytes);
    while let Some(payload) = decoder.next_payload().expect("our frames can be cut") {
        let line = payload
            .split(|byte| *byte == b'\n')
            .next()
            .unwrap_or_default();
        let tokens: Vec<&[u8]> = line.split(|byte| *byte == b'|').collect();
        assert!(
            tokens.len() > 1 && !tokens[0].is_empty() && !tokens[1].is_empty(),
            "{}",
            line.escape_ascii()
        );
        assert!(!line.contains(&0), "{}", line.escape_ascii());
    }
    assert_eq!(decoder.pending(), 0, "half a frame");
}

/// However the bytes of the connection are cut, the frames are the same.
fn framing(sections: &[&[u8]], manner: usize) {
    let of_connection = sections
        .iter()
        .filter_map(|section| section.strip_prefix(b"c"));
    let stream: Vec<u8> = of_connection.flatten().copied().collect();
    let whole = payloads(&stream, stream.len().max(1));
    assert_eq!(payloads(&stream, 1), whole);
    assert_eq!(payloads(&stream, manner + 2), whole);
}

fn payloads(stream: &[u8], length: usize) -> (Vec<Bytes>, bool) {
    let mut decoder = Decoder::new(LIMIT);
    let mut out = Vec::new();
    for piece in stream.chunks(length) {
        decoder.push(piece);
        loop {
            match decoder.next_payload() {
                Ok(Some(payload)) => out.push(payload),
                Ok(None) => break,
                Err(
                    FrameError::NotALength { .. }
                    | FrameError::TooLong { .. }
                    | FrameError::Empty
                    | FrameError::MessageId,
                ) => {
                    return (out, true);
                }
            }
        }
        assert!(
            decoder.pending() <= LIMIT + 16 + length,
            "{} bytes are held",
            decoder.pending()
        );
    }
    (out, false)
}
