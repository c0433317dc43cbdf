//! A token bucket in one number: when it will be full again (the generic cell rate algorithm, ITU-T I.371).
use super::config::Rate;
use crate::time::Time;

/// A bucket. One that is full says nothing: it may be forgotten without loss.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub(crate) struct Bucket(Time);

impl Bucket {
    /// Takes one out, if there is one. No rate is no limit.
    pub(crate) fn take(&mut self, now: Time, rate: Option<Rate>) -> bool {
        self.take_many(now, rate, 1)
    }

    /// Takes so many out, if there are; more than fit into it, where it is full.
    pub(crate) fn take_many(&mut self, now: Time, rate: Option<Rate>, amount: usize) -> bool {
        let Some(rate) = rate else {
            return true;
        };
        let burst = rate.burst.max(1);
        let amount = u32::try_from(amount).unwrap_or(u32::MAX).min(burst);
        let full = self.0.max(now);
        if full.since(now) > rate.time_of(burst - amount) {
            return false;
        }
        self.0 = full + rate.time_of(amount);
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
    use std::time::Duration;

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

    #[test]
    fn many_at_once_are_as_many_one_by_one_and_none_is_too_many_for_ever() {
        let mut bucket = Bucket::default();
        // So fast that each alone takes less than a nanosecond.
        let rate = Some(Rate::new(3_000_000_000, 3_000_000));
        let now = Time::START;
        assert!(bucket.take_many(now, rate, 2_000_000));
        assert!(!bucket.take_many(now, rate, 1_000_010));
        assert!(bucket.take_many(now, rate, 1_000_000));
        assert!(!bucket.take_many(now, rate, 10));
        let later = now + Duration::from_millis(1);
        assert!(bucket.take_many(later, rate, 10_000_000), "it is full");
        assert!(!bucket.take_many(later, rate, 10));
    }
}
