//! The log of what is not taken: one line per source and reason in a minute, with how many were left out since the last one.
//!
//! A fixed number of places, each overwritten by the next that falls on it: what is forgotten may be said again. All lines together
//! are limited too.
use engine::Time;
use engine::admit::Source;
use engine::log_limit::LogLimit;
use rustc_hash::FxHasher;
use std::hash::{Hash, Hasher};
use std::time::Duration;

const PLACES: usize = 1024;
const INTERVAL: Duration = Duration::from_secs(60);

#[derive(Copy, Clone)]
struct Place {
    source: Source,
    reason: &'static str,
    said: Time,
    suppressed: u64,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Drops {
    places: Vec<Option<Place>>,
    limit: LogLimit,
}

impl Drops {
    /// Whether a line is to be written about this; then how many were left out since the last one about the same.
    pub fn note(&mut self, now: Time, source: Source, reason: &'static str) -> Option<u64> {
        if self.places.is_empty() {
            self.places.resize(PLACES, None);
        }
        let mut hasher = FxHasher::default();
        (source, reason).hash(&mut hasher);
        let index = usize::try_from(hasher.finish() % PLACES as u64).unwrap_or(0);
        let place = self.places.get_mut(index)?;
        let same = place
            .as_mut()
            .filter(|place| place.source == source && place.reason == reason);
        if let Some(same) = same {
            if now.since(same.said) < INTERVAL {
                same.suppressed += 1;
                return None;
            }
        }
        let suppressed = match place {
            Some(same) if same.source == source && same.reason == reason => same.suppressed,
            _ => 0,
        };
        let others = self.limit.allow(now);
        *place = Some(Place {
            source,
            reason,
            said: now,
            suppressed: if others.is_some() { 0 } else { suppressed + 1 },
        });
        others.map(|_| suppressed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_minute_for_each_source_and_reason() {
        let mut drops = Drops::default();
        let source = |text: &str| Source::of(text.parse().unwrap());
        let (one, other) = (source("192.0.2.1"), source("192.0.2.2"));
        let now = Time::START;
        assert_eq!(drops.note(now, one, "rate"), Some(0));
        for _ in 0..41 {
            assert_eq!(drops.note(now, one, "rate"), None);
        }
        assert_eq!(drops.note(now, other, "rate"), Some(0));
        assert_eq!(drops.note(now, one, "garbage"), Some(0));
        assert_eq!(drops.note(now + INTERVAL, one, "rate"), Some(41));
    }

    #[test]
    fn many_sources_do_not_fill_the_log() {
        let mut drops = Drops::default();
        let sources = (0..10_000_u32).map(|number| Source::of(number.to_be_bytes().into()));
        let lines = sources.filter(|source| drops.note(Time::START, *source, "rate").is_some());
        assert_eq!(lines.count(), 10);
    }
}
