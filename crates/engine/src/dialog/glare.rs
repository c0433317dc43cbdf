//! How long to wait after a 491 (RFC 3261 §14.1): the two sides by different rules, so that they do not meet again.
use std::time::Duration;

/// The step of both ranges.
const UNIT: u64 = 10;

/// The time until an INVITE that got 491 may be sent again: 2.1 to 4 s for the side that made the Call-ID, 0 to 2 s for the
/// other, in steps of 10 ms. `random` is any number.
#[must_use]
pub fn back_off(is_call_id_owner: bool, random: u64) -> Duration {
    let units = if is_call_id_owner {
        210 + random % 191
    } else {
        random % 201
    };
    Duration::from_millis(units * UNIT)
}

#[cfg(test)]
mod tests {
    //! The ranges of RFC 3261 §14.1 do not overlap, and both ends of each are reached.
    use super::*;

    #[test]
    fn the_owner_of_the_call_id_waits_longer_than_the_other() {
        let all = |owner| (0..10_000).map(move |random| back_off(owner, random).as_millis());
        assert_eq!((all(true).min(), all(true).max()), (Some(2100), Some(4000)));
        assert_eq!((all(false).min(), all(false).max()), (Some(0), Some(2000)));
        assert!(all(true).chain(all(false)).all(|wait| wait % 10 == 0));
    }
}
