//! Admission before a message is parsed: bans, what is no SIP message, rates, rules. Cheap, as whoever floods pays nothing either.
//!
//! What a source has shown, and how much of it is taken, the engine knows (`engine::admit`); what a message means is nobody's business here.
mod bans;
mod drops;
mod filter;
mod held;
mod scan;

pub use filter::{Action, Filter, Pattern};
pub(crate) use held::Held;

use crate::driver::{Driver, guarded};
use crate::inbox::Item;
use crate::incoming::first_line;
use bans::Bans;
use drops::Drops;
use engine::Time;
use engine::admit::{Admission, Ban, Prefix, Source, Standing, Surplus};
use engine::id::ConnectionId;
use engine::transport::Origin;
use rustc_hash::FxHashMap;
use scan::Start;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// What is taken from whom. The defaults are for a server on the open Internet; everything is taken from loopback.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AdmissionConfig {
    /// How much of each source.
    pub limits: Admission,
    /// Rules about requests of sources that are not trusted; the first that fits decides.
    pub filters: Vec<Filter>,
    /// Stream connections that one source, which is not trusted, may have at a time, in all shards together: 1,000.
    pub connections: usize,
}

impl Default for AdmissionConfig {
    fn default() -> AdmissionConfig {
        AdmissionConfig {
            limits: Admission::default(),
            // Dropped, not banned: whoever knows the address of a peer over UDP could have it banned.
            filters: Filter::scanners(Action::Drop),
            connections: 1_000,
        }
    }
}

/// What a shard holds for it.
pub(crate) struct Gate {
    config: Arc<AdmissionConfig>,
    bans: Bans,
    drops: Drops,
    /// The accepted connections of sources that are not trusted.
    connections: FxHashMap<ConnectionId, IpAddr>,
    held: Held,
}

/// A ban, as shards tell it one another.
#[derive(Clone, Debug)]
pub(crate) struct NewBan {
    pub network: Prefix,
    /// None lifts it.
    pub time: Option<Duration>,
    pub reason: Arc<str>,
}

impl Gate {
    pub fn new(config: Arc<AdmissionConfig>, held: Held) -> Gate {
        Gate {
            config,
            bans: Bans::default(),
            drops: Drops::default(),
            connections: FxHashMap::default(),
            held,
        }
    }

    /// How many bans there are.
    pub fn bans(&self) -> usize {
        self.bans.len()
    }

    /// The bans.
    pub fn list(&mut self, now: Time) -> Vec<Ban> {
        self.bans.list(now)
    }

    /// Bans, or lifts a ban.
    pub fn apply(&mut self, now: Time, ban: NewBan) -> bool {
        match ban.time {
            Some(time) => self.bans.add(now, ban.network, time, ban.reason),
            None => self.bans.lift(ban.network),
        }
    }

    /// Whether one more connection from there is to be accepted; otherwise why not.
    pub fn accepts(&mut self, now: Time, peer: IpAddr) -> Result<(), &'static str> {
        if self.bans.holds(now, peer) {
            return Err("its source is banned");
        }
        if self.config.limits.trusts(peer) {
            return Ok(());
        }
        if self.held.of(Source::of(peer)) >= self.config.connections {
            return Err("its source has as many as one may");
        }
        Ok(())
    }

    /// A connection was accepted.
    pub fn opened(&mut self, connection: ConnectionId, peer: IpAddr) {
        if !self.config.limits.trusts(peer) {
            if self.connections.insert(connection, peer).is_none() {
                self.held.add(Source::of(peer));
            }
        }
    }

    /// Gives back the room of connections that are gone.
    pub fn shrink(&mut self) {
        self.connections.shrink_to_fit();
    }

    /// A connection is closed.
    pub fn closed(&mut self, connection: ConnectionId) {
        if let Some(peer) = self.connections.remove(&connection) {
            self.held.remove(Source::of(peer));
        }
    }
}

/// Whether a message over a connection is taken past the rate of its source, if the rules let it: what cannot be answered, and what ends
/// calls, which nobody sends again for a 503.
fn is_taken(origin: &Origin, start: &Start<'_>) -> bool {
    let ends = matches!(start.method, None | Some(b"ACK" | b"BYE" | b"CANCEL"));
    ends && origin.transport.is_reliable()
}

impl Driver {
    /// Whether a message is worth parsing, or, from a stream, handing to the engine. Counts and logs what is not.
    pub(crate) fn admits(&mut self, now: Time, origin: &Origin, bytes: &[u8]) -> bool {
        let address = origin.peer.ip();
        if self.gate.bans.holds(now, address) {
            self.totals.dropped_banned += 1;
            self.hang_up(origin);
            return false;
        }
        if self.gate.config.limits.trusts(address) {
            return true;
        }
        let Some(start) = Start::read(bytes, self.limits.start_line_bytes) else {
            self.totals.dropped_garbage += 1;
            self.note_dropped(now, origin, bytes, "no SIP message", "");
            return false;
        };
        let is_response = start.method.is_none();
        let admitted = self.engine.admit(now, origin, is_response, bytes.len());
        let standing = match admitted {
            Ok(standing) => standing,
            Err(Surplus::Source | Surplus::Bytes) if is_taken(origin, &start) => Standing::Stranger,
            Err(Surplus::Source) => {
                self.totals.dropped_rate += 1;
                return self.surplus(now, origin, bytes, "its source sends too much");
            }
            Err(Surplus::Bytes) => {
                self.totals.dropped_bytes += 1;
                return self.surplus(now, origin, bytes, "its source sends too many bytes");
            }
            Err(Surplus::Strangers) => {
                self.totals.dropped_strangers += 1;
                self.note_dropped(now, origin, bytes, "unknown sources send too much", "");
                return false;
            }
        };
        let config = Arc::clone(&self.gate.config);
        match filter::first(&config.filters, bytes, &start) {
            None => true,
            Some(filter) => self.filtered(now, origin, bytes, filter, standing),
        }
    }

    /// Drops what is past the rate of its source. Over UDP it comes again; over a connection nobody repeats it (RFC 3261 §17.1), so that its
    /// sender is told to come later.
    fn surplus(&mut self, now: Time, origin: &Origin, bytes: &[u8], reason: &'static str) -> bool {
        if origin.transport.is_reliable() {
            let (engine, origin) = (&mut self.engine, *origin);
            guarded(&mut self.totals, "a message past a rate", || {
                engine.handle_unwanted(now, origin, bytes, 503);
            });
        }
        self.note_dropped(now, origin, bytes, reason, "");
        false
    }

    /// Whether what came over a connection and cannot be read is looked at: it is banned and counted as what can be.
    pub(crate) fn admits_unreadable(&mut self, now: Time, origin: &Origin, bytes: &[u8]) -> bool {
        if self.gate.bans.holds(now, origin.peer.ip()) {
            self.totals.dropped_banned += 1;
            self.hang_up(origin);
            return false;
        }
        match self.engine.admit(now, origin, false, bytes.len()) {
            Ok(_) => true,
            Err(_) => {
                self.totals.dropped_rate += 1;
                self.note_dropped(now, origin, bytes, "its source sends too much", "");
                false
            }
        }
    }

    /// Bans, or lifts a ban; whoever is banned loses its connections. Gives whether it is news.
    pub(crate) fn apply_ban(&mut self, now: Time, ban: NewBan) -> bool {
        if ban.time.is_some() {
            self.hang_ups.extend(self.pool.of(ban.network));
        }
        self.gate.apply(now, ban)
    }

    /// Whether a connection from there is to be accepted. Counts and logs when not.
    pub(crate) fn may_connect(&mut self, now: Time, peer: SocketAddr) -> bool {
        let reason = match self.gate.accepts(now, peer.ip()) {
            Err(reason) => reason,
            Ok(()) if self.engine.admit_connection(now, peer.ip()) => return true,
            Ok(()) => "its source opens too many at a time",
        };
        self.totals.refused_source += 1;
        if let Some(suppressed) = self.gate.drops.note(now, Source::of(peer.ip()), reason) {
            tracing::warn!(%peer, reason, suppressed, "refused a connection");
        }
        false
    }

    /// A rule fits.
    fn filtered(
        &mut self,
        now: Time,
        origin: &Origin,
        bytes: &[u8],
        filter: &Filter,
        standing: Standing,
    ) -> bool {
        if filter.action == Action::Admit {
            return true;
        }
        self.totals.dropped_filter += 1;
        self.note_dropped(now, origin, bytes, "a filter fits", &filter.name);
        match filter.action {
            Action::Admit | Action::Drop => {}
            Action::Answer(status) => {
                let (engine, origin) = (&mut self.engine, *origin);
                guarded(&mut self.totals, "an unwanted message", || {
                    engine.handle_unwanted(now, origin, bytes, status);
                });
            }
            // Whoever is known over UDP may have been forged to be banned. A connection cannot be forged.
            Action::Ban(_) if standing == Standing::Known && !origin.transport.is_reliable() => {}
            Action::Ban(time) => {
                let ban = NewBan {
                    network: Prefix::of_source(origin.peer.ip()),
                    time: Some(time),
                    reason: filter.name.as_str().into(),
                };
                self.tell_others(&Item::Ban(ban.clone()));
                if self.apply_ban(now, ban) {
                    self.totals.bans += 1;
                    let (peer, rule) = (origin.peer.ip(), &filter.name);
                    if let Some(suppressed) = self.log.allow(now) {
                        tracing::warn!(%peer, rule, seconds = time.as_secs(), suppressed, "banned a source");
                    }
                }
                self.hang_up(origin);
            }
        }
        false
    }

    /// One line per source and reason in a minute.
    fn note_dropped(
        &mut self,
        now: Time,
        origin: &Origin,
        bytes: &[u8],
        reason: &'static str,
        rule: &str,
    ) {
        let (peer, transport) = (origin.peer, origin.transport);
        if let Some(suppressed) = self.gate.drops.note(now, Source::of(peer.ip()), reason) {
            tracing::warn!(%peer, %transport, reason, rule, line = %first_line(bytes), suppressed, "dropped a message unread");
        }
    }

    /// Closes the connection of an origin that is not to be heard any more.
    fn hang_up(&mut self, origin: &Origin) {
        let Some(connection) = origin.connection else {
            return;
        };
        let owner = crate::stream::shard(connection);
        if owner == self.shard {
            self.hang_ups.push(connection);
        } else if let Some(inbox) = self.inboxes.get(usize::from(owner)) {
            inbox.push(Item::Hangup(connection));
        }
    }

    /// What the engine has learnt of sources, the engines of the other shards are to know.
    pub(crate) fn tell_known(&mut self) {
        while let Some(source) = self.engine.poll_known() {
            self.tell_others(&Item::Known(source));
        }
    }

    fn tell_others(&self, item: &Item) {
        for (shard, inbox) in (0_u8..).zip(self.inboxes.iter()) {
            if shard != self.shard {
                match item {
                    Item::Ban(ban) => inbox.push(Item::Ban(ban.clone())),
                    Item::Known(source) => inbox.push(Item::Known(*source)),
                    _ => return,
                };
            }
        }
    }
}
