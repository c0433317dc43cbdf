//! The times in frames: a UTC time of day without a date, as drachtio's clients expect it.
use std::time::{SystemTime, UNIX_EPOCH};

/// A UTC time of day, `HH:MM:SS.uuuuuu`.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct TimeOfDay([u8; 15]);

impl TimeOfDay {
    /// The text.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.0
    }

    /// The time of day at `time`.
    #[must_use]
    pub fn at(time: SystemTime) -> TimeOfDay {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let seconds = since.as_secs() % 86_400;
        let mut text = *b"00:00:00.000000";
        let [h1, h0, _, m1, m0, _, s1, s0, _, fraction @ ..] = &mut text;
        for (slot, number) in [
            (h1, seconds / 36_000),
            (h0, seconds / 3600 % 10),
            (m1, seconds / 600 % 6),
            (m0, seconds / 60 % 10),
            (s1, seconds / 10 % 6),
            (s0, seconds % 10),
        ] {
            // A single decimal digit, so the cast is exact.
            *slot = b'0' + number as u8;
        }
        let mut micros = since.subsec_micros();
        for slot in fraction.iter_mut().rev() {
            *slot = b'0' + (micros % 10) as u8;
            micros /= 10;
        }
        TimeOfDay(text)
    }
}
