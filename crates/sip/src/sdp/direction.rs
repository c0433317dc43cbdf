//! Directions of media (RFC 8866 §6.7, RFC 3264 §5.1), and hold (RFC 3264 §8.4), which is told from them.
use super::Sdp;

/// Which way media flow, seen from who wrote the description.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub enum Direction {
    /// Both ways.
    #[default]
    SendRecv,
    /// From it only: it holds the other side.
    SendOnly,
    /// To it only.
    RecvOnly,
    /// Neither way.
    Inactive,
}

impl Direction {
    /// Every direction.
    pub const ALL: [Direction; 4] = [
        Direction::SendRecv,
        Direction::SendOnly,
        Direction::RecvOnly,
        Direction::Inactive,
    ];

    /// The attribute's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Direction::SendRecv => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::RecvOnly => "recvonly",
            Direction::Inactive => "inactive",
        }
    }

    /// The direction that an attribute's name means, in any case.
    #[must_use]
    pub fn parse(name: &str) -> Option<Direction> {
        let is = |it: &Direction| it.as_str().eq_ignore_ascii_case(name);
        Direction::ALL.into_iter().find(is)
    }

    /// The direction with these ways open.
    #[must_use]
    pub fn of(sends: bool, receives: bool) -> Direction {
        match (sends, receives) {
            (true, true) => Direction::SendRecv,
            (true, false) => Direction::SendOnly,
            (false, true) => Direction::RecvOnly,
            (false, false) => Direction::Inactive,
        }
    }

    /// Whether its writer sends.
    #[must_use]
    pub fn sends(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::SendOnly)
    }

    /// Whether its writer receives.
    #[must_use]
    pub fn receives(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::RecvOnly)
    }

    /// The same stream seen from the other side.
    #[must_use]
    pub fn reversed(self) -> Direction {
        Direction::of(self.receives(), self.sends())
    }
}

/// What became of hold between two descriptions of one side.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum HoldState {
    /// No hold, before or now.
    Active,
    /// Put on hold now.
    Hold,
    /// On hold, as before.
    Held,
    /// Taken off hold now.
    Resume,
}

impl HoldState {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            HoldState::Active => "active",
            HoldState::Hold => "hold",
            HoldState::Held => "held",
            HoldState::Resume => "resume",
        }
    }
}

/// What became of hold from the description `before` of one side, none where there was none yet, to its new one.
#[must_use]
pub fn hold_state(before: Option<&Sdp<'_>>, after: &Sdp<'_>) -> HoldState {
    match (before.is_some_and(Sdp::is_hold), after.is_hold()) {
        (false, false) => HoldState::Active,
        (false, true) => HoldState::Hold,
        (true, true) => HoldState::Held,
        (true, false) => HoldState::Resume,
    }
}
