//! A running server: its shards' threads, and the handle through which applications and operators reach them.
use crate::addresses::Sources;
use crate::admission::{AdmissionConfig, Gate, Held};
use crate::applications::Applications;
use crate::bind::{self, Opened, Sockets};
use crate::config::{Companion, ServerConfig, StreamConfig};
use crate::driver::Driver;
use crate::error::StartError;
use crate::handle::{Handle, IS_SHARD};
use crate::inbox::{Inbox, Item};
use crate::memory::Memory;
use crate::resolve::{NamesThread, Resolver, Way};
use crate::stream::{self, Pool};
use crate::time::Clock;
use crate::tls;
use crate::totals::Totals;
use crate::udp::UdpListener;
use crate::udp_batch::{ReceiveBatch, SendBatch};
use engine::admit::{Ban, Prefix};
use engine::config::{Listener, RelayKey, Routing};
use engine::counts::Counts;
use engine::id::{ApplicationId, Generator};
use engine::log_limit::LogLimit;
use engine::reply::Replier;
use engine::seam::{Commands, Events};
use engine::transport::Origin;
use engine::{Command, Config, Engine, Time};
use sip::Message;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// A running server. Dropping it stops it.
pub struct Server {
    handle: Arc<Handle>,
    inboxes: Arc<[Inbox]>,
    listeners: Arc<[Listener]>,
    threads: Mutex<Vec<Thread>>,
}

struct Thread {
    ended: Receiver<()>,
    join: JoinHandle<()>,
}

/// What the thread of a shard takes along.
struct Shard {
    number: u8,
    seed: [u8; 32],
    sockets: Sockets,
    engine: Config,
    limits: sip::Limits,
    admission: Arc<AdmissionConfig>,
    held: Held,
    reuse: stream::Shared,
    stream: StreamConfig,
    tls: Option<Arc<tls::Store>>,
    resolver: Resolver,
    listeners: Arc<[Listener]>,
    inboxes: Arc<[Inbox]>,
    commands: Arc<Handle>,
    companions: Vec<Companion>,
}

impl Server {
    /// Opens the listeners and starts the shards. Everything is listening when this returns.
    ///
    /// # Errors
    /// [`StartError`] says what could not be had, and what to do. Nothing is left running then.
    pub fn start(mut config: ServerConfig) -> Result<Server, StartError> {
        if config.shards == 0 {
            return Err(StartError::Config(
                "shards must be 1 to 255, not 0".to_owned(),
            ));
        }
        if config.listen.is_empty() {
            return Err(StartError::Config(
                "there is nothing to listen on: give for example sip:*:5060".to_owned(),
            ));
        }
        let Opened { listeners, shards } = bind::open(&config)?;
        let inboxes: Arc<[Inbox]> = shards.iter().map(|_| Inbox::default()).collect();
        config.network.key = Some(relay_key(config.network.key.take())?);
        let sources = Sources::default();
        let routing = Routing::new(move |peer| sources.of(peer));
        config.network.routing.get_or_insert(routing);
        let replier = Replier::new(
            &listeners,
            &config.network,
            config.drachtio_compatible,
            config.session.clone(),
        );
        let hostports = bind::hostports(&listeners);
        let handle = Arc::new(Handle::new(inboxes.clone(), hostports, replier));
        let listeners: Arc<[Listener]> = listeners.into();
        let admission = Arc::new(config.admission.clone());
        let held = Held::default();
        let reuse = stream::Shared::default();
        let mut companions = std::mem::take(&mut config.companions);
        companions.extend(config.tls.clone().and_then(tls::watch));
        let server = Server {
            handle,
            inboxes,
            listeners,
            threads: Mutex::new(Vec::new()),
        };
        let names = server.start_names(&config)?;
        for (number, sockets) in (0_u8..).zip(shards) {
            let mut seed = [0; 32];
            getrandom::fill(&mut seed).map_err(|error| StartError::Runtime(error.into()))?;
            let shard = Shard {
                number,
                seed,
                sockets,
                engine: engine_config(number, &config, &server.listeners),
                limits: config.limits.clone(),
                admission: admission.clone(),
                held: held.clone(),
                reuse: reuse.clone(),
                stream: config.stream.clone(),
                tls: config.tls.clone(),
                resolver: names.resolver(number),
                listeners: server.listeners.clone(),
                inboxes: server.inboxes.clone(),
                commands: server.handle.clone(),
                companions: std::mem::take(&mut companions),
            };
            // When one shard cannot start, dropping `server` stops those that did.
            let thread = spawn(shard).map_err(StartError::Runtime)?;
            server
                .threads
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(thread);
        }
        Ok(server)
    }

    /// Starts the thread that resolves names. It ends after the shards, which hold the ways to it.
    fn start_names(&self, config: &ServerConfig) -> Result<NamesThread, StartError> {
        let (end, ended) = sync_channel(1);
        let ways = Way::of(&self.listeners);
        let (names, join) = NamesThread::start(config.dns.clone(), ways, self.inboxes.clone(), end)
            .map_err(StartError::Runtime)?;
        self.threads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Thread { ended, join });
        Ok(names)
    }

    /// The handle for links that outlive a borrow: the same commands as the server's own.
    #[must_use]
    pub fn commands(&self) -> Arc<dyn Commands> {
        self.handle.clone()
    }

    /// Writes responses as its engines do, and tells flows and NATs as they do.
    #[must_use]
    pub fn replier(&self) -> Arc<Replier> {
        self.handle.replier()
    }

    /// The listeners, with the ports they have.
    #[must_use]
    pub fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    /// From now on new requests get 503; what there is goes on. The way to an end without lost calls: then wait, then `stop`.
    pub fn drain(&self) {
        for inbox in self.inboxes.iter() {
            inbox.push(Item::Drain);
        }
    }

    /// Closes every socket and connection, and ends the threads, companions included. Says whether all ended within `timeout`; one
    /// that did not ends by itself later. Calls are not ended: drain the applications first. May be called again.
    pub fn stop(&self, timeout: Duration) -> bool {
        for inbox in self.inboxes.iter() {
            inbox.push(Item::Stop);
        }
        let deadline = Instant::now() + timeout;
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let mut all = true;
        // The first is the one for names, which ends when the shards have.
        for thread in threads.into_iter().rev() {
            let remaining = deadline.saturating_duration_since(Instant::now());
            // The sender is dropped by the thread, whichever way it ends.
            match thread.ended.recv_timeout(remaining) {
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => all = false,
                Ok(()) | Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => {
                    all &= thread.join.join().is_ok()
                }
            }
        }
        all
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop(Duration::from_secs(1));
    }
}

impl Commands for Server {
    fn attach(&self, events: Arc<dyn Events>) -> ApplicationId {
        self.handle.attach(events)
    }

    fn detach(&self, application: ApplicationId) {
        self.handle.detach(application);
    }

    fn submit(&self, application: ApplicationId, commands: &mut Vec<Command>) {
        self.handle.submit(application, commands);
    }

    fn counts(&self) -> Vec<Counts> {
        self.handle.counts()
    }

    fn ban(&self, network: Prefix, time: Option<Duration>) {
        self.handle.ban(network, time);
    }

    fn bans(&self) -> Vec<Ban> {
        self.handle.bans()
    }

    fn hostports(&self) -> (Vec<String>, Vec<String>) {
        self.handle.hostports()
    }

    fn flow_token(&self, origin: &Origin) -> Option<String> {
        self.handle.flow_token(origin)
    }

    fn is_behind_nat(&self, request: &Message, origin: &Origin) -> bool {
        self.handle.is_behind_nat(request, origin)
    }
}

/// The key of marks and tokens: the one given, or one that ends with this process; and the number of this process.
fn relay_key(given: Option<RelayKey>) -> Result<RelayKey, StartError> {
    let mut random = [0; 20];
    getrandom::fill(&mut random).map_err(|error| StartError::Runtime(error.into()))?;
    let mut words = random.chunks(8).map(|chunk| {
        let bytes = chunk.iter().rev();
        bytes.fold(0_u64, |word, byte| (word << 8) | u64::from(*byte))
    });
    let mut next = || words.next().unwrap_or_default();
    let secret = [next(), next()];
    Ok(RelayKey {
        secret: given.map_or(secret, |key| key.secret),
        epoch: u32::try_from(next()).unwrap_or_default(),
    })
}

fn engine_config(shard: u8, config: &ServerConfig, listeners: &[Listener]) -> Config {
    Config {
        shard,
        shards: config.shards,
        listeners: listeners.to_vec(),
        timers: config.timers.clone(),
        bounds: config.bounds.clone(),
        udp_request_limit: config.udp_request_limit,
        drachtio_compatible: config.drachtio_compatible,
        session: config.session.clone(),
        network: config.network.clone(),
        failover: config.failover.clone(),
        // Whoever has nothing to prove its name by asks in vain.
        alias: config.stream.alias
            && config
                .tls
                .as_ref()
                .is_some_and(|store| store.server().is_some()),
        admission: config.admission.limits.clone(),
    }
}

/// Starts the thread of a shard; returns when the shard listens.
fn spawn(shard: Shard) -> io::Result<Thread> {
    let (ready, is_ready) = sync_channel(1);
    let (end, ended) = sync_channel(1);
    let name = format!("dracht-shard-{}", shard.number);
    let join = Builder::new().name(name).spawn(move || {
        run(shard, &ready);
        drop(end);
    })?;
    match is_ready.recv() {
        Ok(Ok(())) => Ok(Thread { ended, join }),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(io::Error::other(
            "the thread of a shard ended before it began",
        )),
    }
}

/// The thread of a shard.
fn run(shard: Shard, ready: &SyncSender<io::Result<()>>) {
    IS_SHARD.set(true);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return drop(ready.send(Err(error))),
    };
    let (inboxes, number) = (shard.inboxes.clone(), shard.number);
    runtime.block_on(async {
        match shard.set_up() {
            Ok(driver) => {
                drop(ready.send(Ok(())));
                driver.run().await;
            }
            Err(error) => drop(ready.send(Err(error))),
        }
    });
    if let Some(inbox) = inboxes.get(usize::from(number)) {
        inbox.close();
    }
    // Tasks of connections, listeners and companions end here.
    runtime.shutdown_background();
}

impl Shard {
    /// Registers the sockets with the runtime and starts what runs beside the driver.
    fn set_up(self) -> io::Result<Driver> {
        let Shard {
            number,
            limits,
            listeners,
            inboxes,
            ..
        } = self;
        let mut udp = Vec::new();
        for (id, socket) in self.sockets.udp {
            let listener = listeners
                .get(usize::from(id.0))
                .ok_or(io::ErrorKind::NotFound)?;
            udp.push(UdpListener::new(id, socket, listener)?);
        }
        for (id, socket) in self.sockets.streams {
            let listener = tokio::net::TcpListener::from_std(socket)?;
            tokio::spawn(stream::accept(id, listener, inboxes.clone(), number));
        }
        for companion in self.companions {
            tokio::spawn(companion(self.commands.clone()));
        }
        Ok(Driver {
            shard: number,
            clock: Clock::start(),
            engine: Engine::new(self.engine, Generator::new(self.seed)),
            limits: limits.clone(),
            udp,
            pool: Pool::new(
                number,
                self.stream,
                self.tls,
                limits,
                listeners.clone(),
                inboxes.clone(),
                self.reuse,
            ),
            resolver: self.resolver,
            inboxes,
            applications: Applications::new(number),
            totals: Totals::default(),
            log: LogLimit::default(),
            gate: Gate::new(self.admission, self.held),
            memory: Memory::default(),
            batches: Some((ReceiveBatch::new(), SendBatch::new())),
            hang_ups: Vec::new(),
            timers_from: Time::ZERO,
            is_stopping: false,
        })
    }
}
