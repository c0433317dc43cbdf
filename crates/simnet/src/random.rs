//! Seeded choices: the same seed gives the same run.
use engine::id::Generator;
use std::time::Duration;

/// A source of choices.
#[derive(Clone, Debug)]
pub struct Random(Generator);

impl Random {
    /// The choices of `seed`; `stream` tells several sources of one seed apart.
    #[must_use]
    pub fn new(seed: u64, stream: u64) -> Random {
        let mut random = Random(Generator::new(Random::key(seed, stream)));
        // Seeds that differ in a few bits are alike in the first numbers.
        for _ in 0..8 {
            random.0.next_u64();
        }
        random
    }

    /// A generator for an engine.
    #[must_use]
    pub fn generator(seed: u64, stream: u64) -> Generator {
        Generator::new(Random::key(seed, stream))
    }

    fn key(seed: u64, stream: u64) -> [u8; 32] {
        let mut key = [0x5a; 32];
        let words = [
            seed,
            stream.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ seed.rotate_left(32),
        ];
        for (place, byte) in key
            .iter_mut()
            .zip(words.iter().flat_map(|word| word.to_be_bytes()))
        {
            *place = byte;
        }
        key
    }

    /// A number below `end`; 0 when that is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.0.next_u64() % end }
    }

    /// Whether something of that probability, 0 to 1, happens.
    #[allow(clippy::cast_precision_loss)] // 53 bits are exact.
    pub fn chance(&mut self, probability: f64) -> bool {
        ((self.0.next_u64() >> 11) as f64) < probability * (1_u64 << 53) as f64
    }

    /// A time from `least` to `most`, in microseconds' steps.
    pub fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let span = u64::try_from(most.saturating_sub(least).as_micros()).unwrap_or(u64::MAX);
        least + Duration::from_micros(self.below(span.saturating_add(1)))
    }
}
