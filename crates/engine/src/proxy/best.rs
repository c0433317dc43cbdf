//! Which of the collected final responses goes upstream (RFC 3261 §16.7 item 6).

/// A final response that a branch ended with.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Rank {
    /// Its status, 300 to 699.
    pub status: u16,
    /// Whether it came from the network; those we made stand behind those.
    pub received: bool,
}

/// The index of the best response; none when there are none.
///
/// A 6xx wins (RFC 3261 §16.7 item 6: "if any"), then the lowest class. Within 4xx those go first that tell the caller how to
/// try again: 401, 407, 415, 420, 484. Within 5xx a 503 goes last, since it speaks of one server and not of the request. Then
/// one that was received before one we made, then the earliest. With `drachtio_compatible` a 3xx is the last choice, as in
/// drachtio-server.
#[must_use]
pub fn best(responses: impl Iterator<Item = Rank>, drachtio_compatible: bool) -> Option<usize> {
    responses
        .enumerate()
        .min_by_key(|(index, rank)| {
            (
                class(rank.status, drachtio_compatible),
                preference(rank.status),
                !rank.received,
                *index,
            )
        })
        .map(|(index, _)| index)
}

fn class(status: u16, drachtio_compatible: bool) -> u16 {
    match status / 100 {
        6 => 0,
        3 if drachtio_compatible => 9,
        class => class,
    }
}

fn preference(status: u16) -> u8 {
    match status {
        401 => 0,
        407 => 1,
        415 => 2,
        420 => 3,
        484 => 4,
        503 => 6,
        _ => 5,
    }
}

#[cfg(test)]
mod tests {
    //! Of any set of final responses the one that RFC 3261 §16.7 item 6 names is chosen.
    use super::*;

    fn chosen(statuses: &[u16], compatible: bool) -> Option<u16> {
        let ranks = statuses.iter().map(|status| Rank {
            status: *status,
            received: true,
        });
        best(ranks, compatible).map(|index| statuses[index])
    }

    #[test]
    fn a_6xx_wins_then_the_lowest_class() {
        assert_eq!(chosen(&[], false), None);
        assert_eq!(chosen(&[500, 404, 302, 603], false), Some(603));
        assert_eq!(chosen(&[500, 404, 302], false), Some(302));
        assert_eq!(chosen(&[500, 404], false), Some(404));
    }

    #[test]
    fn within_4xx_what_helps_the_caller_try_again_wins_and_otherwise_the_earliest() {
        assert_eq!(chosen(&[486, 404], false), Some(486));
        assert_eq!(
            chosen(&[404, 486, 484, 420, 415, 407, 401], false),
            Some(401)
        );
        assert_eq!(chosen(&[404, 486, 484, 420, 415, 407], false), Some(407));
        assert_eq!(chosen(&[404, 486, 484, 420, 415], false), Some(415));
        assert_eq!(chosen(&[404, 486, 484, 420], false), Some(420));
        assert_eq!(chosen(&[404, 486, 484], false), Some(484));
    }

    #[test]
    fn a_503_is_the_last_choice_of_its_class() {
        assert_eq!(chosen(&[503, 500], false), Some(500));
        assert_eq!(chosen(&[503, 580], false), Some(580));
        assert_eq!(chosen(&[503], false), Some(503));
    }

    #[test]
    fn a_response_we_made_stands_behind_a_received_one() {
        let ranks = [
            Rank {
                status: 408,
                received: false,
            },
            Rank {
                status: 480,
                received: true,
            },
        ];
        assert_eq!(best(ranks.into_iter(), false), Some(1));
    }

    #[test]
    fn drachtio_prefers_every_other_class_to_a_redirection() {
        assert_eq!(chosen(&[302, 404, 500], true), Some(404));
        assert_eq!(chosen(&[302, 500], true), Some(500));
        assert_eq!(chosen(&[302], true), Some(302));
    }
}
