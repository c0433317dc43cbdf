//! The clock: the only place from which a shard learns what time it is (invariant 2 of ARCHITECTURE.md).
use engine::Time;
use std::time::{Duration, Instant};

/// Counts from the moment it was made.
#[derive(Copy, Clone, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Clock {
        Clock {
            origin: Instant::now(),
        }
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Time {
        Time::START + self.origin.elapsed()
    }

    /// The runtime's notion of `time`, for a sleep that ends then.
    #[must_use]
    pub fn instant(&self, time: Time) -> tokio::time::Instant {
        // A time past the end of the clock is one that never comes: thirty years are enough.
        let since = time
            .since(Time::START)
            .min(Duration::from_secs(30 * 365 * 86_400));
        tokio::time::Instant::from_std(self.origin + since)
    }
}
