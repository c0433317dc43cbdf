//! The world: hosts, clock, network. It goes on by what happens next: an arrival, an engine's timer, an application's wake-up.
use crate::actions::{Actions, Application};
use crate::faults::Faults;
use crate::host::{APPLICATION, Host, HostId, config};
use crate::ladder::{Fate, Ladder};
use crate::packet::Packet;
use crate::random::Random;
use crate::stream::Connection;
use engine::config::Config;
use engine::counts::Counts;
use engine::transport::{ListenerId, Origin, Transmit, Transport};
use engine::{Command, Engine, Event, ResolveError, Resolved, Time, TransmitError};
use sip::{Frame, Limits, Message};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

type Chosen = Box<dyn Fn(&Packet) -> bool>;

/// What arrives.
enum Arrival {
    Datagram(Packet),
    /// A piece for that side of that connection.
    Piece(usize, usize, Vec<u8>),
}

/// Hosts joined by a network.
pub struct World {
    /// What the network does to datagrams from now on.
    pub faults: Faults,
    /// Nobody takes connections.
    pub refuse_connections: bool,
    pub(crate) now: Time,
    pub(crate) hosts: Vec<Host>,
    pub(crate) ladder: Ladder,
    seed: u64,
    random: Random,
    arriving: BTreeMap<(Time, u64), Arrival>,
    sequence: u64,
    connections: Vec<Connection>,
    losses: Vec<(usize, Chosen)>,
    holds: Vec<Chosen>,
    held: Vec<Packet>,
    strays: Vec<Packet>,
    names: HashMap<String, Vec<Resolved>>,
}

impl World {
    /// A world without hosts. `seed` decides every choice of the network and of the engines.
    #[must_use]
    pub fn new(seed: u64, faults: Faults) -> World {
        World {
            faults,
            refuse_connections: false,
            now: Time::ZERO,
            hosts: Vec::new(),
            ladder: Ladder::default(),
            seed,
            random: Random::new(seed, 0),
            arriving: BTreeMap::new(),
            sequence: 0,
            connections: Vec::new(),
            losses: Vec::new(),
            holds: Vec::new(),
            held: Vec::new(),
            strays: Vec::new(),
            names: HashMap::new(),
        }
    }

    /// Adds a host with the usual configuration, whose application is played by hand.
    pub fn host(&mut self, name: &str) -> HostId {
        let id = HostId(self.hosts.len());
        self.host_with(name, config(id))
    }

    /// Adds a host; its listeners must be on [`HostId::address`].
    pub fn host_with(&mut self, name: &str, config: Config) -> HostId {
        let id = HostId(self.hosts.len());
        let stream = u64::try_from(id.0 + 1).unwrap_or(u64::MAX);
        let mut engine = Engine::new(config, Random::generator(self.seed, stream));
        engine.handle_attach(self.now, APPLICATION);
        engine.handle_command(self.now, APPLICATION, Command::RouteAll);
        self.hosts.push(Host {
            name: name.to_owned(),
            address: id.address(),
            engine,
            script: None,
            events: VecDeque::new(),
            wake: None,
            commands: 0,
            next_port: 49_152,
        });
        id
    }

    /// Gives a host a scripted application; [`Application::wake`] is called at once.
    pub fn script(&mut self, host: HostId, script: impl Application + 'static) {
        self.at(host).script = Some(Box::new(script));
        self.at(host).wake = Some(self.now);
    }

    pub(crate) fn at(&mut self, host: HostId) -> &mut Host {
        self.hosts.get_mut(host.0).expect("a host of this world")
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Time {
        self.now
    }

    /// What crossed the wire.
    #[must_use]
    pub fn ladder(&self) -> &Ladder {
        &self.ladder
    }

    /// The ladder as text.
    #[must_use]
    pub fn draw(&self) -> String {
        let hosts: Vec<_> = self
            .hosts
            .iter()
            .map(|host| (host.name.clone(), host.address))
            .collect();
        self.ladder.draw(&hosts)
    }

    /// Writes a line into the ladder.
    pub fn note(&mut self, text: impl Into<String>) {
        self.ladder.note(self.now, text.into());
    }

    /// What a host's engine holds.
    #[must_use]
    pub fn counts(&self, host: HostId) -> Counts {
        self.hosts
            .get(host.0)
            .map(|host| host.engine.counts())
            .unwrap_or_default()
    }

    /// Where a host name leads.
    pub fn name(&mut self, name: &str, leads_to: Vec<Resolved>) {
        self.names.insert(name.to_owned(), leads_to);
    }

    /// Loses the next `count` messages that are chosen.
    pub fn lose(&mut self, count: usize, chosen: impl Fn(&Packet) -> bool + 'static) {
        self.losses.push((count, Box::new(chosen)));
    }

    /// Holds back every datagram that is chosen, until [`World::release`].
    pub fn hold(&mut self, chosen: impl Fn(&Packet) -> bool + 'static) {
        self.holds.push(Box::new(chosen));
    }

    /// Sends what was held back, in the order it was sent, and holds nothing any more.
    pub fn release(&mut self) {
        self.holds.clear();
        for packet in std::mem::take(&mut self.held) {
            self.ladder.push(self.now, packet.clone(), Fate::Sent);
            self.arrive_in(self.faults.delay, Arrival::Datagram(packet));
        }
    }

    /// A datagram from an address that is no host's, whose messages a test plays by hand. Nothing happens to it on the way.
    pub fn inject(&mut self, from: SocketAddr, to: HostId, bytes: impl Into<bytes::Bytes>) {
        let packet = Packet {
            from,
            to: to.address(),
            transport: Transport::Udp,
            bytes: bytes.into(),
        };
        self.ladder.push(self.now, packet.clone(), Fate::Sent);
        self.arrive_in(self.faults.delay, Arrival::Datagram(packet));
    }

    /// What came to addresses that are no host's, since the last call.
    pub fn strays(&mut self) -> Vec<Packet> {
        std::mem::take(&mut self.strays)
    }

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

    /// Lets a host's application act. Gives what the closure gives.
    pub fn act<T>(&mut self, host: HostId, act: impl FnOnce(&mut Actions) -> T) -> T {
        let now = self.now;
        let mut actions = Actions::new(now, self.at(host).commands);
        let out = act(&mut actions);
        self.carry_out(host, actions);
        self.settle();
        out
    }

    fn carry_out(&mut self, host: HostId, actions: Actions) {
        let now = self.now;
        let host = self.at(host);
        host.commands = actions.next;
        if let Some(wake) = actions.wake {
            host.wake = Some(host.wake.map_or(wake, |old| old.min(wake)));
        }
        for command in actions.commands {
            host.engine.handle_command(now, APPLICATION, command);
        }
    }

    /// Carries out what the engines and applications ask for, until nothing is left to do at this time.
    pub fn settle(&mut self) {
        loop {
            let mut moved = false;
            for host in (0..self.hosts.len()).map(HostId) {
                while let Some(transmit) = self.at(host).engine.poll_transmit() {
                    moved = true;
                    self.transmit(host, transmit);
                }
                while let Some((_, event)) = self.at(host).engine.poll_event() {
                    moved = true;
                    self.deliver_event(host, event);
                }
                while let Some(question) = self.at(host).engine.poll_resolve() {
                    moved = true;
                    let answer = self
                        .names
                        .get(&question.host)
                        .cloned()
                        .ok_or(ResolveError::NotFound);
                    let now = self.now;
                    self.at(host)
                        .engine
                        .handle_resolved(now, question.id, answer);
                }
            }
            if !moved {
                return;
            }
        }
    }

    fn deliver_event(&mut self, host: HostId, event: Event) {
        let now = self.now;
        let mut actions = Actions::new(now, self.at(host).commands);
        match self.at(host).script.take() {
            Some(mut script) => {
                script.event(event, &mut actions);
                self.at(host).script = Some(script);
                self.carry_out(host, actions);
            }
            None => self.at(host).events.push_back(event),
        }
    }

    /// When something happens next.
    fn next(&self) -> Option<Time> {
        let timers = self
            .hosts
            .iter()
            .filter_map(|host| host.engine.poll_timeout());
        let wakes = self.hosts.iter().filter_map(|host| host.wake);
        let arrival = self.arriving.first_key_value().map(|((at, _), _)| *at);
        timers.chain(wakes).chain(arrival).min()
    }

    /// Goes on to the next thing that happens before `end`; whether there was one.
    pub fn step(&mut self, end: Time) -> bool {
        self.settle();
        let Some(next) = self.next().filter(|next| *next <= end) else {
            self.now = self.now.max(end);
            return false;
        };
        self.now = self.now.max(next);
        while let Some(entry) = self
            .arriving
            .first_entry()
            .filter(|entry| entry.key().0 <= self.now)
        {
            match entry.remove() {
                Arrival::Datagram(packet) => self.datagram(packet),
                Arrival::Piece(number, side, bytes) => self.piece(number, side, &bytes),
            }
            self.settle();
        }
        let now = self.now;
        for id in (0..self.hosts.len()).map(HostId) {
            let host = self.at(id);
            if host.engine.poll_timeout().is_some_and(|at| at <= now) {
                host.engine.handle_timeout(now);
                self.settle();
            }
            if self.at(id).wake.is_some_and(|at| at <= now) {
                self.at(id).wake = None;
                let mut actions = Actions::new(now, self.at(id).commands);
                if let Some(mut script) = self.at(id).script.take() {
                    script.wake(&mut actions);
                    self.at(id).script = Some(script);
                }
                self.carry_out(id, actions);
                self.settle();
            }
        }
        true
    }

    /// Lets time pass.
    pub fn run(&mut self, by: Duration) {
        let end = self.now + by;
        while self.step(end) {}
    }

    fn arrive_in(&mut self, delay: Duration, arrival: Arrival) {
        self.sequence += 1;
        self.arriving
            .insert((self.now + delay, self.sequence), arrival);
    }

    fn transmit(&mut self, host: HostId, transmit: Transmit) {
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

    fn datagram(&mut self, packet: Packet) {
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

    fn piece(&mut self, number: usize, side: usize, bytes: &[u8]) {
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

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {}\n{}", self.seed, self.draw());
        }
    }
}
