//! What an engine is told at construction.
use crate::admit::Admission;
pub use crate::network::{NatRules, Network, Prefix, RelayKey, Routing, Unsigned};
use crate::transport::Transport;
pub use sip::header::Refresher;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// An engine's configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The shard this engine is, and how many there are (1 to 255). A call belongs to the shard `shard_of(call_id, shards)`.
    pub shard: u8,
    /// The number of shards.
    pub shards: u8,
    /// The listeners; `ListenerId` is the index.
    pub listeners: Vec<Listener>,
    /// Timer values.
    pub timers: Timers,
    /// Bounds.
    pub bounds: Bounds,
    /// A UDP request longer than this goes over TCP (RFC 3261 §18.1.1: 1300 bytes); none: never, as drachtio does.
    pub udp_request_limit: Option<usize>,
    /// Behave as drachtio-server where it differs from the default (for example what an unrouted method gets).
    pub drachtio_compatible: bool,
    /// Session timers.
    pub session: SessionTimers,
    /// The networks around, and how relaying is kept to the calls that passed here.
    pub network: Network,
    /// What becomes of targets that do not answer.
    pub failover: Failover,
    /// Whether our Via over TLS has `alias` (RFC 5923 §5): to be believed by a peer to whom our certificate proves our sent-by.
    pub alias: bool,
    /// What is taken from whom.
    pub admission: Admission,
}

/// An address on which messages are received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its transport.
    pub transport: Transport,
    /// The address it is bound to, port filled in; may be unspecified (`0.0.0.0`, `::`).
    pub bound: SocketAddr,
    /// The addresses that a wildcard listener has, the one for peers elsewhere first, loopback last; one entry otherwise.
    pub addresses: Vec<IpAddr>,
    /// The host and port to put into Via, Contact and Record-Route instead of the bound one.
    pub advertised: Option<(String, u16)>,
}

/// SIP timer values (RFC 3261 §17.1.1.2, table 4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timers {
    /// Round-trip estimate: 500 ms.
    pub t1: Duration,
    /// Longest retransmission interval: 4 s.
    pub t2: Duration,
    /// Longest time a message stays in the network: 5 s.
    pub t4: Duration,
    /// Timer C, the limit of a proxied INVITE without a final response: 185 s (RFC 3261 §16.6 item 11: more than 3 minutes).
    pub c: Duration,
    /// How long a request waits for the application's first answer before the engine answers 408 (INVITE: 500): 64 s.
    pub application: Duration,
    /// How long an INVITE waits for a better response before the engine sends 100 (RFC 3261 §17.2.1 allows 200 ms); zero: at once.
    pub trying: Duration,
    /// The limit of an INVITE that has had a provisional response but no final one, when the application sets none: 1 h.
    pub ringing: Duration,
}

impl Default for Timers {
    fn default() -> Timers {
        Timers {
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
            c: Duration::from_secs(185),
            application: Duration::from_secs(64),
            trying: Duration::ZERO,
            ringing: Duration::from_secs(3600),
        }
    }
}

impl Timers {
    /// When the peer's timer E has grown to T2: from then on a 100 to a request other than INVITE makes a difference (RFC 4320 §4.1).
    #[must_use]
    pub fn late_trying(&self) -> Duration {
        let (mut interval, mut sum) = (self.t1, Duration::ZERO);
        while interval < self.t2 && !interval.is_zero() {
            sum += interval;
            interval *= 2;
        }
        sum.max(self.t1)
    }

    /// 64*T1: how long a transaction tries (timers B, F, H, J, L and M).
    #[must_use]
    pub fn long(&self) -> Duration {
        self.t1.saturating_mul(64)
    }
}

/// What becomes of targets that do not answer, where a name leads to several (RFC 3263 §4.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failover {
    /// How long a target may be silent before the next is tried: 5 s. Over UDP that is four copies of the request and 1.5 s for an answer
    /// to the last, and later than the 100 that a slow answer is announced by (RFC 4320 §4.1: 3.5 s). The last target has the time that
    /// RFC 3261 gives; none: every one has (timers B and F, 32 s).
    pub target_timeout: Option<Duration>,
    /// How long a target that failed is left out: 30 s, doubled each time it fails again; zero: never.
    pub unavailable: Duration,
    /// The longest that becomes: 5 min.
    pub unavailable_longest: Duration,
}

impl Default for Failover {
    fn default() -> Failover {
        Failover {
            target_timeout: Some(Duration::from_secs(5)),
            unavailable: Duration::from_secs(30),
            unavailable_longest: Duration::from_secs(300),
        }
    }
}

/// Session timers (RFC 4028), of calls that end here; those that are proxied are passed as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionTimers {
    /// Whether the engine takes part in them; else it passes what applications write and does nothing about it.
    pub enabled: bool,
    /// The interval that we ask for where neither the peer nor the application asks for one, in seconds; none: we do not ask.
    pub expires: Option<u32>,
    /// The shortest interval that we accept (Min-SE), in seconds: 90 (RFC 4028 §4 allows no less).
    pub min_se: u32,
    /// Who refreshes where neither the peer nor the application says; none: the sender of the INVITE, if it can.
    pub refresher: Option<Refresher>,
    /// How much earlier than half the interval a refresh may go out, by chance, in percent: 10.
    pub jitter: u32,
}

impl Default for SessionTimers {
    fn default() -> SessionTimers {
        SessionTimers {
            enabled: true,
            expires: None,
            min_se: 90,
            refresher: None,
            jitter: 10,
        }
    }
}

/// Bounds on what an engine holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Transactions, server and client together. Past it new requests get 503; requests within dialogs, other than BYE, past a quarter more.
    pub transactions: usize,
    /// Dialogs.
    pub dialogs: usize,
    /// The age of the oldest undelivered event past which new requests get 503.
    pub event_age: Duration,
    /// The longest a confirmed dialog may live without a message: 0 for ever is not offered; 12 h.
    pub dialog_idle: Duration,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            transactions: 1_000_000,
            dialogs: 500_000,
            event_age: Duration::from_secs(1),
            dialog_idle: Duration::from_secs(12 * 3600),
        }
    }
}

/// The shard that owns the calls with this Call-ID: FNV-1a over its bytes, modulo the number of shards.
#[must_use]
pub fn shard_of(call_id: &[u8], shards: u8) -> u8 {
    if shards <= 1 {
        return 0;
    }
    let hash = call_id
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
    u8::try_from((hash ^ (hash >> 32)) % u64::from(shards)).unwrap_or(0)
}
