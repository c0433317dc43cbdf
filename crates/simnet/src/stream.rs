//! Connections of stream transports: in order, in pieces, lost only when they are cut.
use crate::host::HostId;
use engine::Time;
use engine::id::ConnectionId;
use engine::transport::Transport;
use sip::{Framer, Limits};
use std::net::SocketAddr;

/// One end of a connection.
pub(crate) struct End {
    pub(crate) host: HostId,
    pub(crate) id: ConnectionId,
    pub(crate) local: SocketAddr,
    pub(crate) framer: Framer,
    /// Nothing arrives here before this: a stream keeps its order.
    pub(crate) not_before: Time,
}

/// A connection between two hosts: the one that opened it, and the other.
pub(crate) struct Connection {
    pub(crate) transport: Transport,
    pub(crate) ends: [End; 2],
    pub(crate) open: bool,
}

impl Connection {
    pub(crate) fn new(
        number: usize,
        transport: Transport,
        from: (HostId, SocketAddr),
        to: (HostId, SocketAddr),
    ) -> Connection {
        let end = |(host, local): (HostId, SocketAddr), side: usize| End {
            host,
            id: ConnectionId(u64::try_from(number * 2 + side + 1).unwrap_or(u64::MAX)),
            local,
            framer: Framer::new(Limits::default()),
            not_before: Time::ZERO,
        };
        Connection {
            transport,
            ends: [end(from, 0), end(to, 1)],
            open: true,
        }
    }

    /// The side that `host` uses for a message to `peer`, or on the connection of that number.
    pub(crate) fn side(
        &self,
        host: HostId,
        transport: Transport,
        peer: SocketAddr,
        id: Option<ConnectionId>,
    ) -> Option<usize> {
        if !self.open || self.transport != transport {
            return None;
        }
        let mine = |side: &usize| {
            let (this, other) = if *side == 0 {
                (&self.ends[0], &self.ends[1])
            } else {
                (&self.ends[1], &self.ends[0])
            };
            this.host == host && id.map_or(other.local == peer, |id| this.id == id)
        };
        [0, 1].into_iter().find(mine)
    }
}
