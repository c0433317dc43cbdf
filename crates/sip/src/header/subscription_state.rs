//! Subscription-State (RFC 6665 §4.1.3, §8.2.3): whether a subscription lives, for how long, and why it ended.
use crate::error::HeaderError;
use crate::grammar::{is_token, number};
use crate::header::params::Params;
use crate::header::value_text;
use crate::message::Message;
use crate::name::HeaderName;
use std::fmt;

/// The state of a subscription (`substate-value`).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Substate<'a> {
    /// Accepted; notifications are to come.
    Active,
    /// Received, and not decided on.
    Pending,
    /// Ended.
    Terminated,
    /// One that an extension defines.
    Other(&'a str),
}

impl<'a> Substate<'a> {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(&self) -> &'a str {
        match self {
            Substate::Active => "active",
            Substate::Pending => "pending",
            Substate::Terminated => "terminated",
            Substate::Other(text) => text,
        }
    }
}

/// Why a subscription ended (`event-reason-value`).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum TerminationReason<'a> {
    /// Moved or taken down: subscribe again at once.
    Deactivated,
    /// Ended for now: subscribe again later.
    Probation,
    /// The policy changed: do not subscribe again.
    Rejected,
    /// It was not refreshed in time.
    Timeout,
    /// The notifier could not get an authorization in time: try later.
    GiveUp,
    /// The resource is gone: do not subscribe again.
    NoResource,
    /// The state will not change any more: do not subscribe again.
    Invariant,
    /// One that an extension defines.
    Other(&'a str),
}

/// Whether and when a subscriber may subscribe again (RFC 6665 §4.1.3).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Resubscribe {
    /// At once.
    Now,
    /// Not before that many seconds.
    After(u32),
    /// Later, when it likes.
    Later,
    /// Not again.
    Never,
}

impl<'a> TerminationReason<'a> {
    /// The reason that a word names, in any case.
    #[must_use]
    pub fn parse(text: &'a str) -> TerminationReason<'a> {
        const KNOWN: [TerminationReason<'static>; 7] = [
            TerminationReason::Deactivated,
            TerminationReason::Probation,
            TerminationReason::Rejected,
            TerminationReason::Timeout,
            TerminationReason::GiveUp,
            TerminationReason::NoResource,
            TerminationReason::Invariant,
        ];
        let known = |it: &TerminationReason<'static>| it.as_str().eq_ignore_ascii_case(text);
        KNOWN
            .into_iter()
            .find(known)
            .unwrap_or(TerminationReason::Other(text))
    }

    /// The word on the wire.
    #[must_use]
    pub fn as_str(&self) -> &'a str {
        match self {
            TerminationReason::Deactivated => "deactivated",
            TerminationReason::Probation => "probation",
            TerminationReason::Rejected => "rejected",
            TerminationReason::Timeout => "timeout",
            TerminationReason::GiveUp => "giveup",
            TerminationReason::NoResource => "noresource",
            TerminationReason::Invariant => "invariant",
            TerminationReason::Other(text) => text,
        }
    }
}

/// A subscription's state and its parameters.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct SubscriptionState<'a> {
    /// The state.
    pub state: Substate<'a>,
    /// Why it ended; of a state that is not `Terminated` it says nothing.
    pub reason: Option<TerminationReason<'a>>,
    /// How long it lives yet, in seconds.
    pub expires: Option<u32>,
    /// How long to wait before subscribing again, in seconds.
    pub retry_after: Option<u32>,
}

impl<'a> SubscriptionState<'a> {
    /// Reads a value such as `terminated;reason=giveup;retry-after=30`.
    ///
    /// # Errors
    /// The state is missing or no token.
    pub fn parse(value: &'a [u8]) -> Result<SubscriptionState<'a>, HeaderError> {
        let fail = |what| HeaderError::new(HeaderName::SubscriptionState, what);
        let (state, params) = Params::split(value_text(HeaderName::SubscriptionState, value)?);
        if !is_token(state.as_bytes()) {
            return Err(fail(
                "the state is missing or no token; write `active;expires=3600`",
            ));
        }
        let is = |name: &str| state.eq_ignore_ascii_case(name);
        // That a subscription is over counts, whatever else is wrong with the value: a time that cannot be read says nothing.
        let seconds = |name| number(params.get_raw(name)?.unwrap_or("").as_bytes(), u32::MAX);
        Ok(SubscriptionState {
            state: if is("active") {
                Substate::Active
            } else if is("pending") {
                Substate::Pending
            } else if is("terminated") {
                Substate::Terminated
            } else {
                Substate::Other(state)
            },
            reason: params
                .get_raw("reason")
                .flatten()
                .filter(|text| is_token(text.as_bytes()))
                .map(TerminationReason::parse),
            expires: seconds("expires"),
            retry_after: seconds("retry-after"),
        })
    }

    /// Whether it ended.
    #[must_use]
    pub fn is_terminated(&self) -> bool {
        self.state == Substate::Terminated
    }

    /// Whether and when to subscribe again after it ended (RFC 6665 §4.1.3). Without a reason, or with an unknown one, at
    /// once or after the time that is given.
    #[must_use]
    pub fn resubscribe(&self) -> Resubscribe {
        let given = self.retry_after.map(Resubscribe::After);
        match self.reason {
            Some(TerminationReason::Deactivated | TerminationReason::Timeout) => Resubscribe::Now,
            Some(TerminationReason::Probation | TerminationReason::GiveUp) => {
                given.unwrap_or(Resubscribe::Later)
            }
            Some(
                TerminationReason::Rejected
                | TerminationReason::NoResource
                | TerminationReason::Invariant,
            ) => Resubscribe::Never,
            Some(TerminationReason::Other(_)) | None => given.unwrap_or(Resubscribe::Now),
        }
    }
}

impl fmt::Display for SubscriptionState<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.state.as_str())?;
        if let Some(reason) = &self.reason {
            write!(f, ";reason={}", reason.as_str())?;
        }
        if let Some(seconds) = self.expires {
            write!(f, ";expires={seconds}")?;
        }
        match self.retry_after {
            Some(seconds) => write!(f, ";retry-after={seconds}"),
            None => Ok(()),
        }
    }
}

impl Message {
    /// The Subscription-State.
    ///
    /// # Errors
    /// More than one, or unreadable.
    pub fn subscription_state(&self) -> Result<Option<SubscriptionState<'_>>, HeaderError> {
        self.single(HeaderName::SubscriptionState)?
            .map(|field| SubscriptionState::parse(field.raw_value()))
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::{Resubscribe, SubscriptionState, Substate, TerminationReason};

    fn read(text: &str) -> SubscriptionState<'_> {
        SubscriptionState::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn states_are_read_in_any_case() {
        let active = read("Active ; expires=3599");
        assert_eq!(
            (active.state, active.expires),
            (Substate::Active, Some(3599))
        );
        assert_eq!(read("waiting").state, Substate::Other("waiting"));
        let ended = read("terminated;reason=NoResource");
        assert_eq!(ended.reason, Some(TerminationReason::NoResource));
        assert_eq!(ended.to_string(), "terminated;reason=noresource");
        for bad in ["", ";reason=x", "a b"] {
            assert!(SubscriptionState::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn that_it_is_over_counts_whatever_its_times_say() {
        for text in [
            "terminated;retry-after=x",
            "terminated;expires",
            "Terminated;retry-after=-1",
        ] {
            let ended = read(text);
            assert!(
                ended.is_terminated() && ended.retry_after.is_none() && ended.expires.is_none()
            );
        }
    }

    #[test]
    fn the_reason_says_whether_to_subscribe_again() {
        let again = |text: &str| read(&format!("terminated{text}")).resubscribe();
        assert_eq!(again(";reason=deactivated;retry-after=9"), Resubscribe::Now);
        assert_eq!(again(";reason=timeout"), Resubscribe::Now);
        assert_eq!(again(";reason=probation"), Resubscribe::Later);
        assert_eq!(
            again(";reason=giveup;retry-after=30"),
            Resubscribe::After(30)
        );
        assert_eq!(
            again(";reason=rejected;retry-after=1"),
            Resubscribe::Never,
            "the time has no meaning there"
        );
        assert_eq!(again(";reason=noresource"), Resubscribe::Never);
        assert_eq!(again(";reason=invariant"), Resubscribe::Never);
        assert_eq!(again(";reason=new;retry-after=5"), Resubscribe::After(5));
        assert_eq!(again(""), Resubscribe::Now);
    }
}
