//! A point in time, as the driver gives it: a duration since an origin of the driver's choosing.
//!
//! The engine compares and adds; it never asks what time it is (invariant 1 of ARCHITECTURE.md).
use std::ops::{Add, Sub};
use std::time::Duration;

/// A monotonic point in time, in nanoseconds since the driver's origin.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Time(u64);

impl Time {
    /// The driver's origin.
    pub const ZERO: Time = Time(0);

    /// Where a driver's clock starts: a year after its origin, so that what was before can be told as well (for how long a dialog
    /// was silent in another process).
    pub const START: Time = Time(365 * 86_400 * 1_000_000_000);

    /// The point `since_origin` after the origin.
    #[must_use]
    pub fn from_origin(since_origin: Duration) -> Time {
        Time(u64::try_from(since_origin.as_nanos()).unwrap_or(u64::MAX))
    }

    /// How long after the origin this point lies.
    #[must_use]
    pub fn since_origin(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    /// How long after `earlier` this point lies; zero when it lies before it.
    #[must_use]
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The point `by` before this one; the origin when that lies after it.
    #[must_use]
    pub fn before(self, by: Duration) -> Time {
        Time(
            self.0
                .saturating_sub(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)),
        )
    }
}

impl Add<Duration> for Time {
    type Output = Time;
    fn add(self, by: Duration) -> Time {
        Time(
            self.0
                .saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)),
        )
    }
}

impl Sub for Time {
    type Output = Duration;
    fn sub(self, earlier: Time) -> Duration {
        self.since(earlier)
    }
}
