//! One UDP listener of a shard: what waits to be sent, and what the kernel says about it.
//!
//! Receives and sends batches; looks into no message. No error ends a UDP socket: an ICMP message about one peer is not about
//! the others.
use crate::readiness::Readiness;
use crate::source::Sources;
use crate::totals::Totals;
use crate::udp_batch::{ReceiveBatch, SendBatch, ToSend};
use bytes::Bytes;
use engine::config::Listener;
use engine::transport::ListenerId;
use engine::{TransmitError, TransmitToken};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};

/// How many datagrams may wait for the kernel to take them; past it the new ones are lost, as a network would lose them.
const WAITING: usize = 4096;

struct Queued {
    bytes: Bytes,
    peer: SocketAddr,
    source: Option<IpAddr>,
    token: TransmitToken,
}

/// A UDP listener.
pub(crate) struct UdpListener {
    pub id: ListenerId,
    socket: std::net::UdpSocket,
    readiness: Readiness,
    bound: SocketAddr,
    /// What a message's `Origin::local` is when the kernel does not say.
    usual: SocketAddr,
    sources: Option<Sources>,
    queue: VecDeque<Queued>,
    kernel_dropped: u32,
}

impl UdpListener {
    /// Takes a socket, which does not block. Within a runtime only.
    pub fn new(
        id: ListenerId,
        socket: std::net::UdpSocket,
        listener: &Listener,
    ) -> io::Result<UdpListener> {
        let usual = listener
            .addresses
            .first()
            .copied()
            .unwrap_or(listener.bound.ip());
        let is_wildcard = listener.bound.ip().is_unspecified();
        Ok(UdpListener {
            id,
            readiness: Readiness::of(&socket)?,
            socket,
            bound: listener.bound,
            usual: SocketAddr::new(usual, listener.bound.port()),
            sources: is_wildcard.then(|| Sources::new(Some(usual))),
            queue: VecDeque::new(),
            kernel_dropped: 0,
        })
    }

    /// Fills the batch with what waits, without waiting. Says how many datagrams that were.
    pub fn receive(&mut self, batch: &mut ReceiveBatch, totals: &mut Totals) -> usize {
        let mut received = 0;
        // WouldBlock makes the runtime wait for the next datagram: it is told so also when the batch was not filled, which spares a
        // call that would find nothing. The runtime is edge-triggered: a datagram that comes in between is reported.
        let socket = &self.socket;
        let result = self.readiness.try_receive(|| {
            received = batch.receive(socket)?;
            if batch.drained() {
                Err(io::ErrorKind::WouldBlock.into())
            } else {
                Ok(())
            }
        });
        if let Err(error) = result
            && error.kind() != io::ErrorKind::WouldBlock
        {
            totals.udp_errors += 1;
        }
        totals.udp_received += received as u64;
        received
    }

    /// Takes notice of where `peer` sent to; gives our address for the message's origin.
    pub fn local(&mut self, peer: SocketAddr, local: Option<IpAddr>) -> SocketAddr {
        match (&mut self.sources, local) {
            (Some(sources), Some(local)) => {
                sources.remember(peer, local);
                SocketAddr::new(local, self.bound.port())
            }
            _ => self.usual,
        }
    }

    /// Takes notice of the kernel's drop counter.
    pub fn dropped(&mut self, counter: u32, totals: &mut Totals) {
        totals.udp_kernel_dropped += u64::from(counter.wrapping_sub(self.kernel_dropped));
        self.kernel_dropped = counter;
    }

    /// Queues a datagram for `flush`.
    pub fn queue(
        &mut self,
        peer: SocketAddr,
        bytes: Bytes,
        token: TransmitToken,
        totals: &mut Totals,
    ) -> Result<(), TransmitError> {
        if peer.is_ipv4() != self.bound.is_ipv4() || peer.port() == 0 {
            return Err(TransmitError::Unreachable);
        }
        if self.queue.len() >= WAITING {
            totals.udp_send_dropped += 1;
            return Ok(());
        }
        let source = self
            .sources
            .as_ref()
            .and_then(|sources| sources.for_peer(peer));
        self.queue.push_back(Queued {
            bytes,
            peer,
            source,
            token,
        });
        Ok(())
    }

    /// Sends what is queued, as far as the kernel takes it. Those it refuses are reported to `failed`.
    pub fn flush(
        &mut self,
        batch: &mut SendBatch,
        totals: &mut Totals,
        mut failed: impl FnMut(TransmitToken, TransmitError),
    ) {
        while !self.queue.is_empty() {
            let waiting = self.queue.iter();
            let waiting = waiting.map(|queued| ToSend {
                bytes: &queued.bytes,
                peer: queued.peer,
                source: queued.source,
            });
            match batch.send(&self.socket, waiting) {
                Ok(0) => return self.readiness.wait_for_room(&self.socket),
                Ok(sent) => {
                    totals.udp_sent += sent as u64;
                    self.queue.drain(..sent.min(self.queue.len()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return self.readiness.wait_for_room(&self.socket);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let Some(refused) = self.queue.pop_front() else {
                        return;
                    };
                    match failure(&error) {
                        Some(reason) => {
                            totals.udp_errors += 1;
                            failed(refused.token, reason);
                        }
                        // No buffer for it: lost, as on any network, and sent again by whoever waits for the answer.
                        None => totals.udp_send_dropped += 1,
                    }
                }
            }
        }
    }

    /// Ready when there is something to receive, or room to send what waits.
    pub fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.readiness.poll(context)
    }
}

/// Whether the kernel's refusal says something about this message's way; none when it merely had no room.
fn failure(error: &io::Error) -> Option<TransmitError> {
    if error.raw_os_error() == Some(libc::EMSGSIZE) {
        return Some(TransmitError::TooLarge);
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Some(TransmitError::Refused),
        io::ErrorKind::OutOfMemory => None,
        _ if error.raw_os_error() == Some(libc::ENOBUFS) => None,
        _ => Some(TransmitError::Unreachable),
    }
}
