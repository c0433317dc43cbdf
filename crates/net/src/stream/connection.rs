//! The task of one connection: opens it, reads it, writes what the driver could not, and closes it when it is idle, stuck or broken.
//!
//! What the bytes come to is `receiving.rs`'s; what a message means is the engine's. A stream that cannot be read costs this connection
//! only.
use super::keep_alive::KeepsAlive;
use super::outbox::{Outbox, Phase};
use super::reuse::Key;
use crate::config::StreamConfig;
use crate::inbox::{Inbox, Item};
use engine::TransmitError;
use engine::transport::{Origin, PeerCertificate, Transport};
use sip::Framer;
use std::cell::RefCell;
use std::io::{self, Read};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout_at};

/// How much one system call reads, and how many of them in a row before others have their turn.
const READ_BYTES: usize = 64 * 1024;
const READS: usize = 4;
/// How long, and how much, is read and dropped after the last write, so that the peer sees the answer before the reset.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_READS: usize = 64;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// A connection, as its task holds it.
pub(super) struct Connection {
    pub origin: Origin,
    pub outbox: Arc<Outbox>,
    pub inboxes: Arc<[Inbox]>,
    pub shard: u8,
    pub config: Arc<StreamConfig>,
    pub framer: Framer,
    pub limits: sip::Limits,
    /// The name that the server has to prove, where we opened the connection over TLS.
    pub server_name: Option<Arc<str>>,
    /// Whether nothing lies between the wire and the messages.
    pub is_plain: bool,
    pub is_reading: bool,
    pub last_read: Instant,
    /// Since when a message is incomplete.
    pub partial_since: Option<Instant>,
    /// Whether the peer sent a whole message or a keep-alive.
    pub has_spoken: bool,
    /// How many bytes came since something was whole, over TLS or WebSocket.
    pub in_vain: usize,
    /// How many line ends came in the second that began then.
    pub line_ends: (Instant, u32),
    /// Until when the peer that connected to us has to send something.
    pub first_by: Option<Instant>,
    /// Until when TLS and WebSocket have to be agreed upon.
    pub handshake_until: Option<Instant>,
    /// When we asked the peer of a WebSocket whether it lives.
    pub ping_sent: Option<Instant>,
    pub keeps_alive: KeepsAlive,
    /// What the peer proved to be.
    pub certificate: Option<Arc<PeerCertificate>>,
    /// The name that it asked for last by an `alias` (RFC 5923).
    pub alias: Option<Key>,
    /// The shard that a message was given to and that is behind: nothing is read until it has caught up.
    pub crowded: Option<u8>,
    /// Why the connection ended, when it was not lost.
    pub failure: Option<TransmitError>,
}

impl Connection {
    /// Serves a connection that was accepted, to its end.
    pub async fn serve(mut self, stream: TcpStream) {
        // A browser connects when its page is loaded, and may call much later: the answers to our pings are its sign of life.
        if matches!(self.origin.transport, Transport::Tcp | Transport::Tls) {
            self.first_by = Some(Instant::now() + self.config.first_message_timeout);
        }
        self.run(stream).await;
        self.ended(self.failure.unwrap_or(TransmitError::Closed));
    }

    /// Opens a connection from `source` (any address of ours when it is unspecified) and serves it to its end.
    pub async fn open(mut self, source: IpAddr) {
        let deadline = Instant::now() + self.config.connect_timeout;
        match timeout_at(deadline, connect(source, self.origin.peer)).await {
            Ok(Ok(stream)) => {
                self.origin.local = stream.local_addr().unwrap_or(self.origin.local);
                self.keeps_alive.opened(Instant::now());
                self.run(stream).await;
                self.ended(self.failure.unwrap_or(TransmitError::Closed));
            }
            Ok(Err(error)) => {
                tracing::debug!(peer = %self.origin.peer, %error, "cannot open a connection");
                self.ended(match error.kind() {
                    io::ErrorKind::ConnectionRefused => TransmitError::Refused,
                    io::ErrorKind::TimedOut => TransmitError::TimedOut,
                    _ => TransmitError::Unreachable,
                });
            }
            Err(_) => self.ended(TransmitError::TimedOut),
        }
    }

    /// Tells the senders of what was not sent, then its shard, which tells the others: their engines may know the connection too.
    fn ended(&self, error: TransmitError) {
        self.outbox.close(error, &self.inboxes);
        if let (Some(id), Some(inbox)) = (
            self.origin.connection,
            self.inboxes.get(usize::from(self.shard)),
        ) {
            inbox.push(Item::Closed(id));
        }
    }

    async fn run(&mut self, stream: TcpStream) {
        let (outbox, inboxes) = (self.outbox.clone(), self.inboxes.clone());
        let Some(stream) = outbox.open(stream) else {
            return;
        };
        set_options(stream, &self.config);
        if !outbox.status().is_ready {
            self.handshake_until = Some(Instant::now() + self.config.handshake_timeout);
        }
        if outbox.write().is_err() {
            return;
        }
        let mut armed = self.deadline().0;
        let sleep = tokio::time::sleep_until(armed);
        tokio::pin!(sleep);
        let mut has_turn = false;
        loop {
            let status = outbox.status();
            match status.phase {
                Phase::Closed => return,
                Phase::Ending if status.is_empty => return linger(stream).await,
                Phase::Opening | Phase::Open | Phase::Ending => {}
            }
            let crowded = if self.is_reading && !has_turn {
                self.crowded(&inboxes)
            } else {
                None
            };
            let is_held = crowded.is_some();
            let interest = match (self.is_reading && !is_held, status.blocked_since.is_some()) {
                (true, true) => Some(Interest::READABLE | Interest::WRITABLE),
                (true, false) => Some(Interest::READABLE),
                (false, true) => Some(Interest::WRITABLE),
                (false, false) => None,
            };
            tokio::select! {
                biased;
                () = outbox.changed.notified() => {}
                () = has_room(crowded), if is_held => has_turn = true,
                ready = stream.ready(interest.unwrap_or(Interest::READABLE)), if interest.is_some() => {
                    let Ok(ready) = ready else { return };
                    let mut is_more = false;
                    if self.is_reading && (ready.is_readable() || ready.is_read_closed()) {
                        let Ok(more) = self.read(stream, if has_turn { 1 } else { READS }) else { return };
                        (is_more, has_turn) = (more, false);
                    }
                    if status.blocked_since.is_some() && outbox.write().is_err() {
                        return;
                    }
                    if is_more {
                        // Who sends as fast as it is read would never let anybody else, or its own deadlines, have a turn.
                        tokio::task::yield_now().await;
                        let (deadline, awaited) = self.deadline();
                        if Instant::now() >= deadline && !self.waited_in_vain(awaited) {
                            return;
                        }
                    }
                }
                () = sleep.as_mut() => {
                    let (deadline, awaited) = self.deadline();
                    if Instant::now() >= deadline && !self.waited_in_vain(awaited) {
                        return;
                    }
                    armed = self.deadline().0;
                    sleep.as_mut().reset(armed);
                }
            }
            // A deadline that moved away is found when the sleep ends; only one that came nearer needs it reset.
            let (deadline, _) = self.deadline();
            if deadline < armed {
                armed = deadline;
                sleep.as_mut().reset(armed);
            }
        }
    }

    /// The inbox for which nothing more is read for now, as it is too far behind: that of our own shard, or of the one that was given a
    /// message last.
    fn crowded<'a>(&mut self, inboxes: &'a [Inbox]) -> Option<&'a Inbox> {
        let inbox = |shard: u8| {
            let inbox = inboxes.get(usize::from(shard));
            inbox.filter(|inbox| inbox.is_crowded())
        };
        inbox(self.shard).or_else(|| {
            let other = inbox(self.crowded?);
            if other.is_none() {
                self.crowded = None;
            }
            other
        })
    }

    /// Reads what is there, within bounds; says whether there may be more. An error is the connection's end.
    fn read(&mut self, stream: &TcpStream, reads: usize) -> io::Result<bool> {
        BUFFER.with_borrow_mut(|buffer| {
            for _ in 0..reads {
                let mut count = None;
                // As in `udp.rs`: a read that did not fill the buffer found all there is, and waits for the next edge.
                let result = stream.try_io(Interest::READABLE, || {
                    let read = (&*socket2::SockRef::from(stream)).read(buffer)?;
                    count = Some(read);
                    if read < buffer.len() {
                        Err(io::ErrorKind::WouldBlock.into())
                    } else {
                        Ok(())
                    }
                });
                match (count, result) {
                    (Some(0), _) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    (Some(count), _) => self.received(buffer.get(..count).unwrap_or_default()),
                    (None, Err(error)) if error.kind() != io::ErrorKind::WouldBlock => {
                        return Err(error);
                    }
                    (None, _) => return Ok(false),
                }
                if !self.is_reading || count.is_none_or(|count| count < buffer.len()) {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }
}

async fn has_room(inbox: Option<&Inbox>) {
    if let Some(inbox) = inbox {
        inbox.has_room().await;
    }
}

async fn connect(source: IpAddr, peer: SocketAddr) -> io::Result<TcpStream> {
    let socket = if peer.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    if !source.is_unspecified() {
        if source.is_ipv4() != peer.is_ipv4() {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        socket.bind(SocketAddr::new(source, 0))?;
    }
    socket.connect(peer).await
}

/// Options that make a dead peer known. A system that lacks one still works: `idle_timeout` ends the connection later.
fn set_options(stream: &TcpStream, config: &StreamConfig) {
    let socket = socket2::SockRef::from(stream);
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(15))
        .with_retries(4);
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_tcp_keepalive(&keepalive);
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_user_timeout(Some(config.write_timeout));
}

/// Says that nothing more will be written, then drops what still comes in for a moment: closing a socket with unread bytes resets the
/// connection, which could take the last answer away from the peer.
async fn linger(stream: &TcpStream) {
    let _ = socket2::SockRef::from(stream).shutdown(Shutdown::Write);
    let deadline = Instant::now() + LINGER;
    for _ in 0..LINGER_READS {
        if !matches!(timeout_at(deadline, stream.readable()).await, Ok(Ok(()))) {
            return;
        }
        let read = BUFFER.with_borrow_mut(|buffer| stream.try_read(buffer));
        match read {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}
