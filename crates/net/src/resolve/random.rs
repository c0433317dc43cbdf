//! Numbers for the order of targets, made of the one that a question brings along (`Resolve::draw`): the same question with the same
//! records gives the same order, which a stateless proxy's retransmissions need (RFC 3263 §4.3).

/// SplitMix64.
#[derive(Clone, Debug)]
pub struct Draw(u64);

impl Draw {
    /// A sequence that this number decides.
    #[must_use]
    pub fn new(seed: u64) -> Draw {
        Draw(seed)
    }

    /// A number from 0 to `limit`, both included.
    pub fn up_to(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        // The bias is below 2^-40 for the sums of weights.
        limit
            .checked_add(1)
            .map_or(mixed, |numbers| mixed % numbers)
    }

    /// Shuffles.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = usize::try_from(self.up_to(last as u64)).unwrap_or(last);
            items.swap(last, other);
        }
    }
}
