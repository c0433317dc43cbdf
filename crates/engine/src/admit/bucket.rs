//! A token bucket in one number: when it will be full again (the generic cell rate algorithm, ITU-T I.371).
use super::config::Rate;
use crate::time::Time;
use std::time::Duration;

/// A bucket. One that is full says nothing: it may be forgotten without loss.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub(crate) struct Bucket(Time);

impl Bucket {
    /// Takes one out, if there is one. No rate is no limit.
    pub(crate) fn take(&mut self, now: Time, rate: Option<Rate>) -> bool {
        let Some(rate) = rate else {
            return true;
        };
        let each = Duration::from_secs(1) / rate.per_second.max(1);
        let full = self.0.max(now);
        if full.since(now) > each.saturating_mul(rate.burst.max(1) - 1) {
            return false;
        }
        self.0 = full + each;
        true
    }

    /// Whether nothing is missing from it.
    pub(crate) fn is_full(self, now: Time) -> bool {
        self.0 <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_at_once_then_the_rate() {
        let mut bucket = Bucket::default();
        let rate = Some(Rate::new(10, 5));
        let mut now = Time::START;
        let mut taken = |now, tries: u32| (0..tries).filter(|_| bucket.take(now, rate)).count();
        assert_eq!(taken(now, 100), 5);
        assert_eq!(taken(now + Duration::from_millis(99), 100), 0);
        assert_eq!(taken(now + Duration::from_millis(100), 100), 1);
        now = now + Duration::from_secs(60);
        assert_eq!(taken(now, 100), 5, "it does not save more than the burst");
        assert!(Bucket::default().take(now, None));
        assert!(!bucket.is_full(now));
        assert!(bucket.is_full(now + Duration::from_millis(500)));
    }
}
