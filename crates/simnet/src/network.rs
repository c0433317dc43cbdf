//! The network: datagrams that meet the faults, streams that keep their order, connections that can be cut.
use crate::faults::Passage;
use crate::host::HostId;
use crate::ladder::Fate;
use crate::packet::Packet;
use crate::stream::Connection;
use crate::world::World;
use engine::TransmitError;
use engine::transport::{ListenerId, Origin, Transmit, Transport};
use sip::{Frame, Limits, Message};
use std::net::SocketAddr;
use std::time::Duration;

/// What arrives.
pub(crate) enum Arrival {
    Datagram(Packet),
    /// A piece for that side of that connection.
    Piece(usize, usize, Vec<u8>),
}

impl World {
    /// Cuts every connection between two hosts: what is on its way is lost, both ends are told.
    pub fn cut(&mut self, one: HostId, two: HostId) {
        self.note(format!(
            "connections between {} and {} are cut",
            one.0, two.0
        ));
        let mut closed = Vec::new();
        for (number, connection) in self.connections.iter_mut().enumerate() {
            let [first, second] = &connection.ends;
            let between = (first.host == one && second.host == two)
                || (first.host == two && second.host == one);
            if connection.open && between {
                connection.open = false;
                closed.push((number, first.host, first.id, second.host, second.id));
            }
        }
        self.arriving.retain(|_, arrival| !matches!(arrival, Arrival::Piece(number, ..) if closed.iter().any(|one| one.0 == *number)));
        let now = self.now;
        for (_, first, first_id, second, second_id) in closed {
            self.at(first)
                .engine
                .handle_connection_closed(now, first_id);
            self.at(second)
                .engine
                .handle_connection_closed(now, second_id);
        }
        self.settle();
    }

    /// How many connections are open.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.connections
            .iter()
            .filter(|connection| connection.open)
            .count()
    }

    pub(crate) fn arrive_in(&mut self, delay: Duration, arrival: Arrival) {
        self.sequence += 1;
        self.arriving
            .insert((self.now + delay, self.sequence), arrival);
    }

    pub(crate) fn transmit(&mut self, host: HostId, transmit: Transmit) {
        let destination = transmit.destination;
        if destination.transport.is_reliable() {
            return self.transmit_stream(host, &transmit);
        }
        let from = host.address();
        let packet = Packet {
            from,
            to: destination.peer,
            transport: destination.transport,
            bytes: transmit.bytes,
        };
        if let Some((count, _)) = self
            .losses
            .iter_mut()
            .find(|(count, chosen)| *count > 0 && chosen(&packet))
        {
            *count -= 1;
            return self.ladder.push(self.now, packet, Fate::Lost);
        }
        if self.holds.iter().any(|chosen| chosen(&packet)) {
            self.ladder.push(self.now, packet.clone(), Fate::Held);
            return self.held.push(packet);
        }
        match self.schedule.as_mut().map(|schedule| schedule(&packet)) {
            Some(Passage::Lost) => return self.ladder.push(self.now, packet, Fate::Lost),
            Some(Passage::After(delay)) => {
                self.ladder.push(self.now, packet.clone(), Fate::Sent);
                return self.arrive_in(delay, Arrival::Datagram(packet));
            }
            Some(Passage::Usual) | None => {}
        }
        if self.random.chance(self.faults.loss) {
            return self.ladder.push(self.now, packet, Fate::Lost);
        }
        let twice = self.random.chance(self.faults.duplication);
        self.ladder.push(
            self.now,
            packet.clone(),
            if twice { Fate::Doubled } else { Fate::Sent },
        );
        for packet in std::iter::repeat_n(packet, 1 + usize::from(twice)) {
            let delay = self
                .random
                .between(self.faults.delay, self.faults.most_delay);
            self.arrive_in(delay, Arrival::Datagram(packet));
        }
    }

    fn transmit_stream(&mut self, host: HostId, transmit: &Transmit) {
        let destination = transmit.destination;
        let (transport, peer) = (destination.transport, destination.peer);
        let find = |connections: &[Connection], id| {
            let sides = connections.iter().enumerate();
            sides
                .filter_map(|(number, one)| {
                    one.side(host, transport, peer, id)
                        .map(|side| (number, side))
                })
                .next()
        };
        let named = destination
            .connection
            .and_then(|id| find(&self.connections, Some(id)));
        let found = named
            .or_else(|| find(&self.connections, None))
            .or_else(|| self.connect(host, transport, peer));
        let from = host.address();
        let packet = Packet {
            from,
            to: peer,
            transport,
            bytes: transmit.bytes.clone(),
        };
        let Some((number, side)) = found else {
            self.ladder.push(self.now, packet, Fate::Nowhere);
            let now = self.now;
            return self.at(host).engine.handle_transmit_failed(
                now,
                transmit.token,
                TransmitError::Refused,
            );
        };
        self.ladder.push(self.now, packet, Fate::Sent);
        let mut rest = &transmit.bytes[..];
        while !rest.is_empty() {
            let most = u64::try_from(rest.len()).unwrap_or(1);
            let length = usize::try_from(self.random.below(most) + 1).unwrap_or(1);
            let (piece, behind) = rest.split_at(length);
            rest = behind;
            let delay = self
                .random
                .between(self.faults.delay, self.faults.most_delay);
            let to = 1 - side;
            let end = &mut self.connections[number].ends[to];
            end.not_before = end.not_before.max(self.now + delay);
            let delay = end.not_before.since(self.now);
            self.arrive_in(delay, Arrival::Piece(number, to, piece.to_vec()));
        }
    }

    fn connect(
        &mut self,
        host: HostId,
        transport: Transport,
        peer: SocketAddr,
    ) -> Option<(usize, usize)> {
        let to = (0..self.hosts.len())
            .map(HostId)
            .find(|id| id.address() == peer)?;
        if self.refuse_connections {
            return None;
        }
        let port = &mut self.at(host).next_port;
        *port += 1;
        let local = SocketAddr::new(host.address().ip(), *port);
        let number = self.connections.len();
        self.connections.push(Connection::new(
            number,
            transport,
            (host, local),
            (to, peer),
        ));
        Some((number, 0))
    }

    pub(crate) fn datagram(&mut self, packet: Packet) {
        let Some(to) = (0..self.hosts.len())
            .map(HostId)
            .find(|id| id.address() == packet.to)
        else {
            return self.strays.push(packet);
        };
        let origin = Origin {
            listener: ListenerId(0),
            transport: packet.transport,
            peer: packet.from,
            local: packet.to,
            connection: None,
        };
        let size = packet.bytes.len();
        let now = self.now;
        let engine = &mut self.at(to).engine;
        match Message::parse(packet.bytes.clone(), &Limits::default()) {
            Ok(message) => engine.handle_message(now, origin, message, size),
            Err(error) => engine.handle_malformed(now, origin, &packet.bytes, &error),
        }
    }

    pub(crate) fn piece(&mut self, number: usize, side: usize, bytes: &[u8]) {
        let now = self.now;
        let connection = &mut self.connections[number];
        let transport = connection.transport;
        let peer = connection.ends[1 - side].local;
        let end = &mut connection.ends[side];
        let (host, id, local) = (end.host, end.id, end.local);
        let origin = Origin {
            listener: ListenerId(1),
            transport,
            peer,
            local,
            connection: Some(id),
        };
        end.framer.push(bytes);
        let mut messages = Vec::new();
        while let Some(frame) = end.framer.next() {
            match frame.expect("an engine writes what can be read") {
                Frame::Message(message) => messages.push(message),
                Frame::Ping | Frame::Pong => {}
            }
        }
        for message in messages {
            let size = message.as_bytes().len();
            self.at(host)
                .engine
                .handle_message(now, origin, message, size);
        }
    }
}
