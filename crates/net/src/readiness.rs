//! When a UDP socket has something to receive, and, after it took no more, when it has room to send.
//!
//! It is watched for room only while something waits for it: a socket says that it has room after each datagram that it sent, which
//! would wake the shard once more for each of them.
#![allow(unsafe_code)]
use std::io;
use std::net::UdpSocket;
use std::task::{Context, Poll};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// What the runtime knows about one socket, which does not block.
pub(crate) struct Readiness {
    receiving: AsyncFd<UdpSocket>,
    /// While something waits for room.
    sending: Option<AsyncFd<UdpSocket>>,
}

impl Readiness {
    /// Registers the socket. Within a runtime only.
    pub fn of(socket: &UdpSocket) -> io::Result<Readiness> {
        Ok(Readiness {
            receiving: watch(socket, Interest::READABLE)?,
            sending: None,
        })
    }

    /// Runs `receive` if there may be something to receive, and takes note when it would block.
    pub fn try_receive<R>(&self, receive: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        self.receiving.try_io(Interest::READABLE, |_| receive())
    }

    /// The socket took no more: `poll` is ready when it has room again.
    pub fn wait_for_room(&mut self, socket: &UdpSocket) {
        if self.sending.is_none() {
            // Where it cannot be watched (no descriptor left), what waits goes with the next turn of the shard.
            self.sending = watch(socket, Interest::WRITABLE)
                .inspect_err(
                    |error| tracing::warn!(%error, "a UDP socket that is full cannot be watched"),
                )
                .ok();
        }
    }

    /// Ready when there is something to receive, or room to send what waits.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let Some(sending) = &self.sending
            && sending.poll_write_ready(context).is_ready()
        {
            self.sending = None;
            return Poll::Ready(());
        }
        self.receiving.poll_read_ready(context).map(|_| ())
    }
}

fn watch(socket: &UdpSocket, interest: Interest) -> io::Result<AsyncFd<UdpSocket>> {
    // SAFETY: the clone owns its descriptor and gives the same one until it is dropped, which is when the `AsyncFd` is.
    let watched = unsafe { AsyncFd::register_with_interest(socket.try_clone()?, interest) };
    watched.map_err(io::Error::from)
}
