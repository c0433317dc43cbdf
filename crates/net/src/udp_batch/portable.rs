//! The same with one datagram per call, for systems without `recvmmsg`. The source address is left to the routing table.
use super::{BATCH, DATAGRAM_BYTES, Received, ToSend};
use std::io;
use std::net::{SocketAddr, UdpSocket};

/// Receives up to [`BATCH`] datagrams.
pub(crate) struct ReceiveBatch {
    bytes: Vec<u8>,
    received: Vec<(usize, SocketAddr)>,
}

impl ReceiveBatch {
    pub fn new() -> ReceiveBatch {
        ReceiveBatch {
            bytes: vec![0; BATCH * DATAGRAM_BYTES],
            received: Vec::with_capacity(BATCH),
        }
    }

    /// Whether the last call found fewer datagrams than it had room for: the socket was empty then.
    pub fn drained(&self) -> bool {
        self.received.len() < BATCH
    }

    /// Receives what waits, without waiting. An error leaves the batch empty.
    pub fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        self.received.clear();
        for buffer in self.bytes.chunks_exact_mut(DATAGRAM_BYTES) {
            match socket.recv_from(buffer) {
                Ok(received) => self.received.push(received),
                Err(error) if self.received.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        Ok(self.received.len())
    }

    /// The datagrams of the last call.
    pub fn datagrams(&self) -> impl Iterator<Item = Received<'_>> {
        let slots = self
            .received
            .iter()
            .zip(self.bytes.chunks_exact(DATAGRAM_BYTES));
        slots.filter_map(|((length, peer), buffer)| {
            Some(Received {
                bytes: buffer.get(..*length)?,
                peer: *peer,
                local: None,
                dropped: None,
            })
        })
    }
}

/// Sends up to [`BATCH`] datagrams.
pub(crate) struct SendBatch;

impl SendBatch {
    pub fn new() -> SendBatch {
        SendBatch
    }

    /// Sends the first datagrams, without waiting; says how many. An error is about the first one.
    pub fn send<'a>(
        &mut self,
        socket: &UdpSocket,
        datagrams: impl Iterator<Item = ToSend<'a>>,
    ) -> io::Result<usize> {
        let mut sent = 0;
        for datagram in datagrams.take(BATCH) {
            match socket.send_to(datagram.bytes, datagram.peer) {
                Ok(_) => sent += 1,
                Err(error) if sent == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(sent)
    }
}

/// Sets the receive buffer.
pub(crate) fn prepare(
    socket: &UdpSocket,
    _wildcard: bool,
    receive_buffer: usize,
) -> io::Result<()> {
    socket2::SockRef::from(socket).set_recv_buffer_size(receive_buffer)
}

/// The receive buffer that the socket has, in bytes.
pub(crate) fn receive_buffer(socket: &UdpSocket) -> io::Result<usize> {
    socket2::SockRef::from(socket).recv_buffer_size()
}
