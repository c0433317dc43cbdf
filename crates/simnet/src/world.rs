//! The world: hosts, clock, network. It goes on by what happens next: an arrival, an engine's timer, an application's wake-up.
use crate::actions::{Actions, Application};
use crate::faults::{Faults, Passage};
use crate::host::{APPLICATION, Host, HostId, config};
use crate::ladder::{Fate, Ladder};
use crate::network::Arrival;
use crate::packet::Packet;
use crate::random::Random;
use crate::stream::Connection;
use engine::config::Config;
use engine::counts::Counts;
use engine::transport::Transport;
use engine::{Command, Engine, Event, ResolveError, Resolved, Time};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

pub(crate) type Chosen = Box<dyn Fn(&Packet) -> bool>;
pub(crate) type Schedule = Box<dyn FnMut(&Packet) -> Passage>;

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
    random_streams: u64,
    pub(crate) random: Random,
    pub(crate) arriving: BTreeMap<(Time, u64), Arrival>,
    pub(crate) sequence: u64,
    pub(crate) connections: Vec<Connection>,
    pub(crate) losses: Vec<(usize, Chosen)>,
    pub(crate) holds: Vec<Chosen>,
    pub(crate) held: Vec<Packet>,
    pub(crate) schedule: Option<Schedule>,
    pub(crate) strays: Vec<Packet>,
    names: HashMap<String, Vec<Resolved>>,
}

impl World {
    /// A world without hosts. `seed` decides every choice of the network and of the engines.
    #[must_use]
    pub fn new(seed: u64, faults: Faults) -> World {
        World {
            faults,
            refuse_connections: false,
            now: Time::START,
            hosts: Vec::new(),
            ladder: Ladder::default(),
            seed,
            random_streams: 0,
            random: Random::new(seed, 0),
            arriving: BTreeMap::new(),
            sequence: 0,
            connections: Vec::new(),
            losses: Vec::new(),
            holds: Vec::new(),
            held: Vec::new(),
            schedule: None,
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
        let mut engine = Engine::new(config.clone(), Random::generator(self.seed, stream));
        engine.handle_attach(self.now, APPLICATION);
        engine.handle_command(self.now, APPLICATION, Command::RouteAll);
        self.hosts.push(Host {
            name: name.to_owned(),
            address: id.address(),
            config,
            engine,
            script: None,
            events: VecDeque::new(),
            wake: None,
            commands: 0,
            next_port: 49_152,
        });
        id
    }

    /// The host's process dies and another one starts at the same address, knowing nothing: no calls, no timers, no connections.
    pub fn restart(&mut self, host: HostId) {
        self.note(format!("{} is restarted", self.hosts[host.0].name));
        self.random_streams += 1;
        let stream = u64::MAX - self.random_streams;
        let mut engine = Engine::new(
            self.hosts[host.0].config.clone(),
            Random::generator(self.seed, stream),
        );
        engine.handle_attach(self.now, APPLICATION);
        engine.handle_command(self.now, APPLICATION, Command::RouteAll);
        let restarted = self.at(host);
        restarted.engine = engine;
        restarted.events.clear();
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

    /// How often a host's engine has looked at a dialog.
    #[cfg(debug_assertions)]
    #[must_use]
    pub fn dialogs_looked_at(&self, host: HostId) -> u64 {
        let host = self.hosts.get(host.0);
        host.map_or(0, |host| host.engine.dialogs_looked_at())
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

    /// Lets a test decide what becomes of each datagram from now on, in the order in which they are sent.
    pub fn schedule(&mut self, schedule: impl FnMut(&Packet) -> Passage + 'static) {
        self.schedule = Some(Box::new(schedule));
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
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {}\n{}", self.seed, self.draw());
        }
    }
}
