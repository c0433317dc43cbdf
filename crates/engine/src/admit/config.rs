//! How much is taken from whom: the limits of admission. Plain data; the defaults are for a server on the open Internet.
use super::source::Prefix;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// So many a second, and how many at once after a silence.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Rate {
    /// Each second, on average. At least one.
    pub per_second: u32,
    /// At once.
    pub burst: u32,
}

impl Rate {
    /// A rate.
    #[must_use]
    pub const fn new(per_second: u32, burst: u32) -> Rate {
        Rate { per_second, burst }
    }

    /// How long it takes for so many to come.
    pub(crate) fn time_of(self, amount: u32) -> Duration {
        let each = u64::from(self.per_second.max(1));
        Duration::from_nanos(u64::from(amount) * 1_000_000_000 / each)
    }
}

/// What a source may cost, by its standing. All of it is counted in each shard for itself; none of it holds for trusted sources.
///
/// A *stranger* has shown nothing yet: over UDP its address may be forged. A *known* source has shown, within `known_for`, that it gets
/// what is sent to its address (RFC 9000 §8.1 calls that address validation): it repeated a tag, a branch or credentials of ours.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Admission {
    /// Networks of which everything is taken: carriers, load tests. Loopback is one by default.
    pub trusted: Vec<Prefix>,
    /// Messages of a stranger; none is no limit, here and below. 1,000/s, 2,000 at once.
    pub rate: Option<Rate>,
    /// Messages of a known source: 10,000/s, 20,000 at once.
    pub known_rate: Option<Rate>,
    /// Bytes of a stranger's messages: 2,000,000/s, 4,000,000 at once, which is 2,000 for each message of `rate`.
    pub byte_rate: Option<Rate>,
    /// Bytes of a known source's messages: 20,000,000/s, 40,000,000 at once.
    pub known_byte_rate: Option<Rate>,
    /// Requests of all strangers together, and again so many responses: 5,000/s, 5,000 at once.
    pub strangers_rate: Option<Rate>,
    /// Answers that the engine itself gives to a stranger whose requests it refuses or cannot read: 10/s, 20 at once; then silence.
    pub refused_rate: Option<Rate>,
    /// Connections over TCP, TLS and WebSocket that a source opens, whatever it has shown: 100/s, 1,000 at once. A TLS handshake costs as
    /// much as hundreds of messages.
    pub connection_rate: Option<Rate>,
    /// How long a source stays known after it has shown it: 1 h.
    pub known_for: Duration,
    /// Server transactions of one stranger, and of one known source: 10,000 and 250,000.
    pub transactions: usize,
    /// Those of one known source.
    pub known_transactions: usize,
    /// Server transactions of all strangers together: 250,000.
    pub strangers_transactions: usize,
    /// INVITEs of one stranger that are not answered or not acknowledged: 200.
    pub half_open: usize,
    /// Those of one known source: 10,000.
    pub known_half_open: usize,
    /// Those of all strangers together: 5,000.
    pub strangers_half_open: usize,
    /// Dialogs that one source has opened: 100,000.
    pub dialogs: usize,
    /// How old the oldest event may be that an application has not taken, for a stranger's new request over UDP to be let in: 50 ms. Past
    /// it the request is passed over in silence, and its repetition (RFC 3261 §17.1.1.2: 500 ms later) tries again.
    pub event_age: Duration,
    /// Repeat final responses to strangers over UDP for as long as RFC 3261 §17.2.1 and §13.3.1.4 say, 11 times; otherwise until the
    /// interval has grown to T2: 3 times.
    pub full_repeats: bool,
}

impl Admission {
    /// No limits at all: everybody is trusted.
    #[must_use]
    pub fn everybody() -> Admission {
        let all = [
            Prefix::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
            Prefix::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0),
        ];
        Admission {
            trusted: all.into_iter().flatten().collect(),
            ..Admission::default()
        }
    }

    /// Whether everything is taken from this address.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|prefix| prefix.contains(address))
    }
}

impl Default for Admission {
    fn default() -> Admission {
        let loopback = [
            Prefix::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8),
            Prefix::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
        ];
        Admission {
            trusted: loopback.into_iter().flatten().collect(),
            rate: Some(Rate::new(1_000, 2_000)),
            known_rate: Some(Rate::new(10_000, 20_000)),
            byte_rate: Some(Rate::new(2_000_000, 4_000_000)),
            known_byte_rate: Some(Rate::new(20_000_000, 40_000_000)),
            strangers_rate: Some(Rate::new(5_000, 5_000)),
            refused_rate: Some(Rate::new(10, 20)),
            connection_rate: Some(Rate::new(100, 1_000)),
            known_for: Duration::from_secs(3600),
            transactions: 10_000,
            known_transactions: 250_000,
            strangers_transactions: 250_000,
            half_open: 200,
            known_half_open: 10_000,
            strangers_half_open: 5_000,
            dialogs: 100_000,
            event_age: Duration::from_millis(50),
            full_repeats: false,
        }
    }
}
