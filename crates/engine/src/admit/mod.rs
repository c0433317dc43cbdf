//! Who is let in, and how much of what there is one source may take: rates for the driver to ask before it parses, quotas of
//! transactions, half-open INVITEs and dialogs for the engine's own tables, and who is answered when a request is refused.
//!
//! It refuses to look into a message: `net`'s admission reads bytes, the engine's rooms say what a source has shown. Loss is the worst
//! that it does: a request that is passed over comes again (RFC 3261 §17.1), an answer that is not sent is one that no forged address gets.
pub(crate) mod bucket;
mod challenges;
pub mod config;
mod half_open;
pub mod source;
mod sources;
pub(crate) mod usage;

pub use config::{Admission, Rate};
pub use source::{Prefix, Source};

use crate::engine::Engine;
use crate::id::TransactionId;
use crate::time::Time;
use crate::totals::Total;
use crate::transaction::key::Digester;
use crate::transport::Origin;
use crate::uas::Arrival;
use bucket::Bucket;
use challenges::Challenges;
use half_open::HalfOpen;
use sip::Method;
use sources::Sources;
use std::net::IpAddr;
use std::time::Duration;
use usage::{Ticket, Usage};

/// How many sources may wait to be told to the other shards.
const LEARNED: usize = 4096;

/// What a source has shown.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Standing {
    /// Nothing.
    Stranger,
    /// That it gets what is sent to it.
    Known,
    /// It is of a trusted network.
    Trusted,
}

/// A network of which nothing is taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ban {
    /// The network.
    pub network: Prefix,
    /// For how much longer.
    pub remaining: Duration,
    /// Why: the name of a rule, or that it was asked for.
    pub reason: String,
}

/// Why a message is not taken.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Surplus {
    /// Its source sends more than a source may.
    Source,
    /// Its source sends more bytes than a source may.
    Bytes,
    /// All strangers together do.
    Strangers,
}

/// Why a new request finds no room.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Quota {
    /// Its source holds what one may.
    Source,
    /// All strangers together do.
    Strangers,
    /// All strangers together hold as many half-open INVITEs as they may; one of those may go.
    HalfOpen,
}

/// What an engine knows of those who send to it.
pub(crate) struct Admit {
    config: Admission,
    sources: Sources,
    pub(crate) usage: Usage,
    pub(crate) half_open: HalfOpen,
    /// Requests of all strangers together, their responses, and the refusals that are answered.
    requests: Bucket,
    responses: Bucket,
    refusals: Bucket,
    learned: Vec<Source>,
    challenges: Challenges,
    digester: Digester,
}

impl Admit {
    /// With nobody known.
    pub(crate) fn new(config: Admission, digester: Digester) -> Admit {
        Admit {
            config,
            sources: Sources::new(digester.clone()),
            usage: Usage::default(),
            half_open: HalfOpen::default(),
            requests: Bucket::default(),
            responses: Bucket::default(),
            refusals: Bucket::default(),
            learned: Vec::new(),
            challenges: Challenges::default(),
            digester,
        }
    }

    /// Forgets what need not be remembered, and gives back the room of it.
    pub(crate) fn forget(&mut self, now: Time) {
        self.sources.forget(now);
        self.usage.shrink();
        self.learned.shrink_to_fit();
        self.challenges.forget(now);
    }

    fn standing(&self, now: Time, address: IpAddr) -> Standing {
        if self.config.trusts(address) {
            return Standing::Trusted;
        }
        match self.sources.get(Source::of(address)) {
            Some(entry) if entry.is_known(now) => Standing::Known,
            _ => Standing::Stranger,
        }
    }

    fn take(
        &mut self,
        now: Time,
        address: IpAddr,
        is_connected: bool,
        is_response: bool,
        bytes: usize,
    ) -> Result<Standing, Surplus> {
        if self.config.trusts(address) {
            return Ok(Standing::Trusted);
        }
        let source = Source::of(address);
        let config = &self.config;
        let entry = self.sources.stranger(now, source);
        let is_known = entry.is_known(now);
        let (rate, byte_rate) = if is_known {
            (config.known_rate, config.known_byte_rate)
        } else {
            (config.rate, config.byte_rate)
        };
        if !entry.messages.take(now, rate) {
            return Err(Surplus::Source);
        }
        if !entry.bytes.take_many(now, byte_rate, bytes) {
            return Err(Surplus::Bytes);
        }
        if is_known {
            return Ok(Standing::Known);
        }
        // The address of a connection is not forged, and a flood of datagrams whose addresses are is not to be held against it.
        if is_connected {
            return Ok(Standing::Stranger);
        }
        // A flood of requests is not to keep out the answers to what is asked from here.
        let all = if is_response {
            &mut self.responses
        } else {
            &mut self.requests
        };
        if all.take(now, self.config.strangers_rate) {
            Ok(Standing::Stranger)
        } else {
            Err(Surplus::Strangers)
        }
    }

    /// Whether a connection that this address opens is taken.
    fn connects(&mut self, now: Time, address: IpAddr) -> bool {
        if self.config.trusts(address) {
            return true;
        }
        let rate = self.config.connection_rate;
        let entry = self.sources.stranger(now, Source::of(address));
        entry.connections.take(now, rate)
    }

    /// The source is known from now on. Says whether that is news, also where it was known for long.
    fn learn(&mut self, now: Time, source: Source) -> bool {
        let known_for = self.config.known_for;
        let Some(entry) = self.sources.known(now, source) else {
            return false;
        };
        let is_news = entry.known_until.since(now) < known_for / 2;
        if is_news {
            entry.known_until = now + known_for;
        }
        is_news
    }

    /// Whether a refusal is answered. A stranger over UDP may be somebody else's address: past a few it gets silence.
    fn answers(&mut self, now: Time, address: IpAddr) -> bool {
        if self.standing(now, address) != Standing::Stranger {
            return true;
        }
        let Some(rate) = self.config.refused_rate else {
            return true;
        };
        let all = Rate::new(
            rate.per_second.saturating_mul(50),
            rate.burst.saturating_mul(50),
        );
        let entry = self.sources.stranger(now, Source::of(address));
        entry.refused.take(now, Some(rate)) && self.refusals.take(now, Some(all))
    }

    /// What something that this address begins is counted under; none for a trusted one.
    fn ticket(&self, now: Time, address: IpAddr, is_half_open: bool) -> Option<Ticket> {
        let standing = self.standing(now, address);
        (standing != Standing::Trusted).then(|| Ticket {
            source: self.digester.number(&Source::of(address).bytes()),
            is_strangers: standing == Standing::Stranger,
            is_half_open,
        })
    }

    /// Which quota another request of this method would exceed.
    fn exceeded(&self, now: Time, address: IpAddr, method: &Method) -> Option<Quota> {
        let invite = *method == Method::Invite;
        let ticket = self.ticket(now, address, invite)?;
        let config = &self.config;
        let own = self.usage.of(ticket.source);
        let reached = |held: u32, most: usize| held as usize >= most;
        let (transactions, half_open) = if ticket.is_strangers {
            (config.transactions, config.half_open)
        } else {
            (config.known_transactions, config.known_half_open)
        };
        if reached(own.transactions, transactions)
            || invite && reached(own.half_open, half_open)
            || crate::reply::creates_dialog(method) && reached(own.dialogs, config.dialogs)
        {
            return Some(Quota::Source);
        }
        let all = self.usage.strangers();
        if !ticket.is_strangers {
            return None;
        }
        if reached(all.transactions, config.strangers_transactions) {
            return Some(Quota::Strangers);
        }
        let is_full = invite && reached(all.half_open, config.strangers_half_open);
        is_full.then_some(Quota::HalfOpen)
    }

    /// A transaction ends.
    pub(crate) fn close(&mut self, id: TransactionId, ticket: Ticket) {
        self.half_open.close(id);
        self.usage.close(ticket);
    }
}

impl Engine {
    /// What the sender at `address` has shown.
    #[must_use]
    pub fn standing(&self, now: Time, address: IpAddr) -> Standing {
        self.admit.standing(now, address)
    }

    /// Whether a message of so many bytes that came so is to be taken at all, before anything is read of it but its start. Each call
    /// counts as one.
    ///
    /// # Errors
    /// [`Surplus`]: it is to be dropped.
    pub fn admit(
        &mut self,
        now: Time,
        origin: &Origin,
        is_response: bool,
        bytes: usize,
    ) -> Result<Standing, Surplus> {
        let is_connected = origin.transport.is_reliable();
        let address = origin.peer.ip();
        self.admit
            .take(now, address, is_connected, is_response, bytes)
    }

    /// Whether a connection that `address` opens is to be taken, before anything is read from it. Each call counts as one.
    pub fn admit_connection(&mut self, now: Time, address: IpAddr) -> bool {
        self.admit.connects(now, address)
    }

    /// A source that has shown to this engine that it gets what is sent to it: the engines of the other shards are to be told.
    pub fn poll_known(&mut self) -> Option<Source> {
        self.admit.learned.pop()
    }

    /// Another shard's engine knows this source.
    pub fn handle_known(&mut self, now: Time, source: Source) {
        self.advance(now);
        self.admit.learn(self.now, source);
    }

    /// A message repeats what we told `told`. Where it comes from there, its source gets what is sent to it; from elsewhere it may
    /// come with a forged address, from somebody whom we told.
    pub(crate) fn note_shown(&mut self, origin: &Origin, told: IpAddr) {
        if Source::of(origin.peer.ip()) == Source::of(told) {
            self.note_known(origin);
        }
    }

    /// The source of a message gets what is sent to it.
    fn note_known(&mut self, origin: &Origin) {
        let address = origin.peer.ip();
        if self.admit.config.trusts(address) {
            return;
        }
        let source = Source::of(address);
        if self.admit.learn(self.now, source)
            && self.config.shards > 1
            && self.admit.learned.len() < LEARNED
        {
            self.admit.learned.push(source);
        }
    }

    /// Whether this may be somebody else's address.
    pub(crate) fn may_be_forged(&self, origin: &Origin) -> bool {
        !origin.transport.is_reliable()
            && self.admit.standing(self.now, origin.peer.ip()) == Standing::Stranger
    }

    /// Whether what the engine refuses by itself is answered; counted when not.
    pub(crate) fn answers_refused(&mut self, origin: &Origin) -> bool {
        // Who has a connection is not somebody else's address.
        let answers =
            origin.transport.is_reliable() || self.admit.answers(self.now, origin.peer.ip());
        if !answers {
            self.totals.add(Total::RefusedSilently);
        }
        answers
    }

    /// Which quota another request of this method from this origin would exceed.
    pub(crate) fn exceeded_quota(&self, origin: &Origin, method: &Method) -> Option<Quota> {
        self.admit.exceeded(self.now, origin.peer.ip(), method)
    }

    /// Counts a transaction that opens.
    pub(crate) fn open_ticket(
        &mut self,
        id: TransactionId,
        arrival: &Arrival<'_>,
    ) -> Option<Ticket> {
        let is_half_open = arrival.head.method == Method::Invite;
        let ticket = self
            .admit
            .ticket(self.now, arrival.origin.peer.ip(), is_half_open)?;
        self.admit.usage.open(ticket);
        // Those within a call are no new callers' to push out.
        if ticket.is_strangers && is_half_open && arrival.head.to_tag.is_empty() {
            self.admit.half_open.open(id, self.now);
        }
        Some(ticket)
    }

    /// The half-open INVITE that is missed least. One that has waited for less than T1, which is what a round trip takes (RFC 3261
    /// §17.1.1.1), is missed: its sender had no time to show himself yet.
    pub(crate) fn oldest_half_open(&self) -> Option<TransactionId> {
        self.admit.half_open.least(self.now, self.config.timers.t1)
    }

    /// Whether the source of this transaction has shown itself since it sent it: then it is not a stranger's any more.
    pub(crate) fn recognise(&mut self, id: TransactionId) -> bool {
        let Some(server) = self.servers.get_mut(id) else {
            return false;
        };
        let address = server.origin.peer.ip();
        if self.admit.standing(self.now, address) == Standing::Stranger {
            return false;
        }
        self.admit.half_open.close(id);
        let Some(ticket) = server.ticket.as_mut() else {
            return false;
        };
        self.admit.usage.recognise(ticket);
        true
    }

    /// The INVITE of this transaction is acknowledged, or somebody else's to acknowledge.
    pub(crate) fn close_half_open(&mut self, id: TransactionId) {
        self.admit.half_open.close(id);
        let server = self.servers.get_mut(id);
        if let Some(ticket) = server.and_then(|server| server.ticket.as_mut()) {
            self.admit.usage.acknowledge(ticket);
        }
    }

    /// How patient a new request of this origin finds applications that are behind.
    pub(crate) fn patience(&self, origin: &Origin) -> Duration {
        let most = self.config.bounds.event_age;
        if self.may_be_forged(origin) {
            most.min(self.admit.config.event_age)
        } else {
            most
        }
    }

    /// Whether a final response to this origin is repeated for as long as the RFC says.
    pub(crate) fn repeats_fully(&self, origin: &Origin) -> bool {
        self.admit.config.full_repeats || !self.may_be_forged(origin)
    }
}
