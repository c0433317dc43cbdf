//! Max-Breadth (RFC 5393 §5): how many branches a request may have at one time, here and in every proxy behind.
use sip::Message;

/// What a request without Max-Breadth counts as (RFC 5393 §5.3.3 recommends 60).
pub const DEFAULT: u32 = 60;

/// Max-Breadth as received; none when there is none that can be read, which counts as the default: a bound that a peer misspells
/// is still a bound.
#[must_use]
pub fn received(request: &Message) -> Option<u32> {
    request.max_breadth().ok().flatten()
}

/// What each of `count` branches gets that start now, the first ones one more than the others: of `available`, all but one for each
/// of the `waiting`, which may have to start before these have ended. Each gets at least 1 where `available` is enough for that.
pub(super) fn shares(available: u32, count: u32, waiting: u32) -> impl Iterator<Item = u32> {
    let spare = available.saturating_sub(count);
    let given = available - waiting.min(spare);
    let (each, more) = (
        given.checked_div(count).unwrap_or(0),
        given.checked_rem(count).unwrap_or(0),
    );
    (0..count).map(move |index| each + u32::from(index < more))
}

#[cfg(test)]
mod tests {
    //! The shares of branches never add up to more than there is, and each is at least 1.
    use super::*;

    #[test]
    fn what_there_is_is_shared_and_one_is_kept_for_each_that_waits() {
        let list =
            |available, count, waiting| -> Vec<u32> { shares(available, count, waiting).collect() };
        assert_eq!(list(60, 1, 0), [60]);
        assert_eq!(list(60, 3, 0), [20, 20, 20]);
        assert_eq!(list(60, 1, 2), [58]);
        assert_eq!(list(5, 3, 0), [2, 2, 1]);
        assert_eq!(list(2, 2, 9), [1, 1]);
        for available in 1..20 {
            for count in 1..=available {
                for waiting in 0..20 {
                    let shares = list(available, count, waiting);
                    assert!(shares.iter().sum::<u32>() <= available);
                    assert!(shares.iter().all(|share| *share > 0));
                }
            }
        }
    }
}
