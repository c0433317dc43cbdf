//! What the network does to datagrams. Streams are only delayed and cut into pieces; they lose nothing until they are cut.
use std::time::Duration;

/// What a test lets become of one datagram ([`crate::World::schedule`]).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Passage {
    /// What the [`Faults`] say.
    Usual,
    /// It is lost.
    Lost,
    /// It arrives after so long.
    After(Duration),
}

/// The network's faults.
#[derive(Clone, Debug, PartialEq)]
pub struct Faults {
    /// The probability that a datagram is lost, 0 to 1.
    pub loss: f64,
    /// The probability that a datagram comes twice, 0 to 1.
    pub duplication: f64,
    /// The shortest time on the way.
    pub delay: Duration,
    /// The longest time on the way; what is more than the shortest reorders datagrams.
    pub most_delay: Duration,
}

impl Faults {
    /// Nothing is lost, and everything takes a millisecond.
    #[must_use]
    pub fn none() -> Faults {
        Faults {
            loss: 0.0,
            duplication: 0.0,
            delay: Duration::from_millis(1),
            most_delay: Duration::from_millis(1),
        }
    }
}

impl Default for Faults {
    fn default() -> Faults {
        Faults::none()
    }
}
