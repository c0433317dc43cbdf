//! Bounds the log lines that strangers can cause: some per second, and a count of those left out.
use crate::time::Time;
use std::time::Duration;

const PER_SECOND: u32 = 10;

/// Allows ten lines a second.
#[derive(Debug, Default)]
pub struct LogLimit {
    second: Time,
    lines: u32,
    suppressed: u64,
}

impl LogLimit {
    /// Whether a line may be written at `now`; then how many were left out since the last one.
    pub fn allow(&mut self, now: Time) -> Option<u64> {
        if now.since(self.second) >= Duration::from_secs(1) {
            self.second = now;
            self.lines = 0;
        }
        if self.lines >= PER_SECOND {
            self.suppressed += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_past_the_tenth_of_a_second_are_counted_instead() {
        let mut limit = LogLimit::default();
        let now = Time::ZERO + Duration::from_secs(5);
        assert_eq!((0..25).filter(|_| limit.allow(now).is_some()).count(), 10);
        assert_eq!(limit.allow(now + Duration::from_secs(1)), Some(15));
        assert_eq!(limit.allow(now + Duration::from_secs(1)), Some(0));
    }
}
