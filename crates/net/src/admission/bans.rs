//! Sources of which nothing is taken, each until a point in time. A shard's own list: what one shard bans it tells the others.
use engine::Time;
use engine::admit::{Ban, Prefix, Source};
use rustc_hash::FxHashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// How many single sources may be banned: 65,536. Past it rules ban nobody further, they only drop.
const SOURCES: usize = 65_536;
/// How many networks, which are looked through one after the other.
const NETWORKS: usize = 1024;
/// How often those whose time is up are thrown out, and how often at most: whoever makes rules ban many is not to make each ban costly.
const SWEEP: Duration = Duration::from_secs(60);
const AT_LEAST: Duration = Duration::from_secs(1);

#[derive(Clone)]
struct Banned {
    network: Prefix,
    until: Time,
    reason: Arc<str>,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Bans {
    sources: FxHashMap<Source, Banned>,
    networks: Vec<Banned>,
    swept: Time,
}

impl Bans {
    /// How many there are, those included whose time is up and which nobody has looked at since.
    pub fn len(&self) -> usize {
        self.sources.len() + self.networks.len()
    }

    /// Bans a network for so long, or for longer than before. Says whether there was room.
    pub fn add(&mut self, now: Time, network: Prefix, time: Duration, reason: Arc<str>) -> bool {
        let is_full = self.sources.len() >= SOURCES || self.networks.len() >= NETWORKS;
        let pause = if is_full { AT_LEAST } else { SWEEP };
        if now.since(self.swept) >= pause {
            self.sweep(now);
        }
        let banned = Banned {
            network,
            until: now + time,
            reason,
        };
        if let Some(source) = network.source() {
            if self.sources.len() >= SOURCES && !self.sources.contains_key(&source) {
                return false;
            }
            self.sources.insert(source, banned);
            return true;
        }
        self.networks.retain(|other| other.network != network);
        if self.networks.len() >= NETWORKS {
            return false;
        }
        self.networks.push(banned);
        true
    }

    /// Lifts the ban of exactly this network. Says whether there was one.
    pub fn lift(&mut self, network: Prefix) -> bool {
        match network.source() {
            Some(source) => self.sources.remove(&source).is_some(),
            None => {
                let before = self.len();
                self.networks.retain(|other| other.network != network);
                before > self.len()
            }
        }
    }

    /// Whether nothing is taken from this address.
    pub fn holds(&mut self, now: Time, address: IpAddr) -> bool {
        if self.len() == 0 {
            return false;
        }
        if now.since(self.swept) >= SWEEP {
            self.sweep(now);
        }
        let source = self.sources.get(&Source::of(address));
        source.is_some_and(|banned| banned.until > now)
            || self
                .networks
                .iter()
                .any(|banned| banned.until > now && banned.network.contains(address))
    }

    /// All of them.
    pub fn list(&mut self, now: Time) -> Vec<Ban> {
        self.sweep(now);
        let all = self.sources.values().chain(&self.networks);
        all.map(|banned| Ban {
            network: banned.network,
            remaining: banned.until.since(now),
            reason: banned.reason.to_string(),
        })
        .collect()
    }

    fn sweep(&mut self, now: Time) {
        self.swept = now;
        self.sources.retain(|_, banned| banned.until > now);
        self.networks.retain(|banned| banned.until > now);
        if self.sources.capacity() > 2 * self.sources.len() + 1024 {
            self.sources.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_ban_ends_when_its_time_is_up_and_leaves_nothing() {
        let mut bans = Bans::default();
        let now = Time::START;
        let minute = Duration::from_secs(60);
        assert!(!bans.holds(now, address("192.0.2.1")));
        bans.add(now, "192.0.2.1".parse().unwrap(), minute, "a rule".into());
        bans.add(
            now,
            "198.51.100.0/24".parse().unwrap(),
            2 * minute,
            "asked for".into(),
        );
        for (banned, is_banned) in [
            ("192.0.2.1", true),
            ("192.0.2.2", false),
            ("198.51.100.77", true),
            ("198.51.101.1", false),
        ] {
            assert_eq!(bans.holds(now, address(banned)), is_banned, "{banned}");
        }
        let list = bans.list(now);
        assert_eq!(list.len(), 2);
        assert_eq!(list[0].remaining, minute);
        assert!(!bans.holds(now + minute, address("192.0.2.1")));
        assert!(bans.holds(now + minute, address("198.51.100.77")));
        assert!(!bans.holds(now + 2 * minute, address("198.51.100.77")));
        assert_eq!(bans.len(), 0);
    }

    #[test]
    fn a_ban_is_lifted_and_an_ipv6_customer_is_banned_as_one() {
        let mut bans = Bans::default();
        let now = Time::START;
        let network = Prefix::of_source(address("2001:db8:0:1::5"));
        bans.add(now, network, Duration::from_secs(60), "a rule".into());
        assert!(bans.holds(now, address("2001:db8:0:1:ffff::1")));
        assert!(bans.lift(network));
        assert!(!bans.lift(network));
        assert!(!bans.holds(now, address("2001:db8:0:1::5")));
        // A single IPv6 address is less than a source.
        let one = "2001:db8::7".parse().unwrap();
        bans.add(now, one, Duration::from_secs(60), "asked for".into());
        assert!(bans.holds(now, address("2001:db8::7")));
        assert!(!bans.holds(now, address("2001:db8::8")));
    }

    #[test]
    fn their_number_is_bounded() {
        let mut bans = Bans::default();
        let now = Time::START;
        let hour = Duration::from_secs(3600);
        for number in 0..100_000_u32 {
            let network = Prefix::of_source(IpAddr::from(number.to_be_bytes()));
            assert_eq!(
                bans.add(now, network, hour, "".into()),
                (number as usize) < SOURCES
            );
        }
        assert!(!bans.add(now, "203.0.113.1".parse().unwrap(), hour, "".into()));
        assert!(bans.list(now + hour).is_empty());
        assert!(bans.add(now + hour, "203.0.113.1".parse().unwrap(), hour, "".into()));
    }
}
