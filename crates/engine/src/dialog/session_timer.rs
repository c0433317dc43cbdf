//! The session timer of a dialog (RFC 4028): when to refresh, when to give up. A pure machine over plain data.
//!
//! It refuses to know how a refresh is written or sent: `session_refresh` does what its steps say.
use crate::time::Time;
use std::time::Duration;

/// The smallest interval that is followed, in seconds. RFC 4028 §4 allows none below 90; a peer that answers with less is to
/// be served as long as it costs no more than a message or two a minute.
const FLOOR: u32 = 30;
/// How long before its end a session is given up at most, in seconds (RFC 4028 §10).
const MARGIN: u32 = 32;

/// What is to be done next. The timer that was set before is over.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// Send a refresh now, and be back at the session's end if nothing is heard of it.
    Refresh(Duration),
    /// Ask again after so long whether to refresh.
    RefreshAfter(Duration),
    /// The session ends after so long, unless it is refreshed.
    EndAfter(Duration),
    /// End the session.
    End,
}

/// What both ends agreed on in a 2xx.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Terms {
    /// The session interval, in seconds.
    pub(crate) interval: u32,
    /// Whether we refresh.
    pub(crate) ours: bool,
}

/// The timer: what was agreed, and when the session ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SessionTimer {
    pub(crate) terms: Terms,
    /// The largest Min-SE that anybody named in this dialog, in seconds.
    pub(crate) min_se: u32,
    /// When the session ends unless it is refreshed.
    pub(crate) end: Time,
}

/// A part of `whole` below `thousandths`/1000 of it, chosen by `random`.
fn part(whole: Duration, thousandths: u32, random: u64) -> Duration {
    let most = u64::try_from(whole.as_millis())
        .unwrap_or(u64::MAX)
        .saturating_mul(u64::from(thousandths))
        / 1000;
    Duration::from_millis(random % most.saturating_add(1))
}

impl SessionTimer {
    /// A 2xx set these terms. We refresh at half the interval, up to `jitter` percent of it earlier, so that the calls of one
    /// minute do not refresh in one second; whoever refreshes, the session ends a little before the interval does (§10).
    pub(crate) fn agree(
        terms: Terms,
        min_se: u32,
        now: Time,
        jitter: u32,
        random: u64,
    ) -> (SessionTimer, Step) {
        let interval = terms.interval.max(FLOOR);
        let last = Duration::from_secs(u64::from(interval - MARGIN.min(interval / 3)));
        let timer = SessionTimer {
            terms,
            min_se,
            end: now + last,
        };
        let half = Duration::from_millis(u64::from(interval) * 500);
        let step = if terms.ours {
            let early = part(half, jitter.min(100).saturating_mul(10), random);
            Step::RefreshAfter(half.saturating_sub(early))
        } else {
            Step::EndAfter(last)
        };
        (timer, step)
    }

    /// Another engine agreed on it, and this one goes on: it refreshes when the other would have, or at once if that has passed.
    pub(crate) fn resume(&self, now: Time) -> Step {
        if !self.terms.ours {
            return Step::EndAfter(self.rest(now));
        }
        let interval = self.terms.interval.max(FLOOR);
        let last = Duration::from_secs(u64::from(interval - MARGIN.min(interval / 3)));
        let half = Duration::from_millis(u64::from(interval) * 500);
        let rest_then = last.saturating_sub(half);
        Step::RefreshAfter(self.rest(now).saturating_sub(rest_then))
    }

    /// Time to refresh. `busy`: another request of the session is on its way, either way.
    pub(crate) fn on_due(&self, now: Time, busy: bool, random: u64) -> Step {
        if busy {
            return self.later(now, Duration::from_millis(1000 + random % 1000));
        }
        Step::Refresh(self.rest(now))
    }

    /// Our refresh was refused with this status; `min_se` is what a 422 asked for.
    pub(crate) fn on_refusal(
        &mut self,
        now: Time,
        status: u16,
        min_se: Option<u32>,
        glare: Duration,
    ) -> Step {
        match (status, min_se) {
            (491, _) => self.later(now, glare),
            // One that asks for no more than it got would do so again.
            (422, Some(asked)) if asked > self.asks() => {
                self.learn(asked);
                Step::Refresh(self.rest(now))
            }
            // RFC 4028 §10, RFC 3261 §12.2.1.2: the peer knows no such dialog, or is not there.
            (408 | 481, _) => Step::End,
            _ => Step::EndAfter(self.rest(now)),
        }
    }

    /// A 422 or a request of the peer named this Min-SE: no later request of the dialog asks for less (RFC 4028 §7.4).
    pub(crate) fn learn(&mut self, min_se: u32) {
        self.min_se = self.min_se.max(min_se);
    }

    /// The interval to ask for next, in seconds.
    pub(crate) fn asks(&self) -> u32 {
        self.terms.interval.max(self.min_se)
    }

    /// What is left of the session.
    pub(crate) fn rest(&self, now: Time) -> Duration {
        self.end.since(now)
    }

    fn later(&self, now: Time, delay: Duration) -> Step {
        if now + delay < self.end {
            Step::RefreshAfter(delay)
        } else {
            Step::EndAfter(self.rest(now))
        }
    }
}

#[cfg(test)]
mod tests {
    //! Who refreshes does so at half the interval; who waits gives up before the end; what cannot be refreshed ends.
    use super::*;

    const START: Time = Time::ZERO;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn agreed(interval: u32, ours: bool) -> (SessionTimer, Step) {
        SessionTimer::agree(Terms { interval, ours }, 90, START, 0, 0)
    }

    #[test]
    fn the_refresher_refreshes_at_half_the_interval() {
        assert_eq!(agreed(1800, true).1, Step::RefreshAfter(seconds(900)));
        assert_eq!(
            agreed(91, true).1,
            Step::RefreshAfter(Duration::from_millis(45_500))
        );
    }

    #[test]
    fn jitter_only_makes_it_earlier_and_by_no_more_than_its_share() {
        let terms = Terms {
            interval: 1800,
            ours: true,
        };
        let mut times = Vec::new();
        for random in (0..u64::MAX).step_by(usize::MAX / 1000) {
            let (_, step) = SessionTimer::agree(terms, 90, START, 10, random);
            let Step::RefreshAfter(after) = step else {
                panic!("{step:?}")
            };
            assert!(after <= seconds(900) && after >= seconds(810), "{after:?}");
            times.push(after);
        }
        times.sort_unstable();
        times.dedup();
        assert!(times.len() > 900, "spread over {} moments", times.len());
    }

    #[test]
    fn the_other_side_gives_up_a_third_or_half_a_minute_before_the_end() {
        assert_eq!(agreed(1800, false).1, Step::EndAfter(seconds(1768)));
        assert_eq!(agreed(90, false).1, Step::EndAfter(seconds(60)));
        assert_eq!(
            agreed(1, false).1,
            Step::EndAfter(seconds(20)),
            "an absurd interval is not followed"
        );
        assert_eq!(
            agreed(u32::MAX, false).1,
            Step::EndAfter(seconds(u64::from(u32::MAX) - 32))
        );
    }

    #[test]
    fn a_refresh_that_meets_another_request_waits_but_not_past_the_end() {
        let (timer, _) = agreed(90, true);
        assert_eq!(
            timer.on_due(START + seconds(45), true, 500),
            Step::RefreshAfter(Duration::from_millis(1500))
        );
        assert_eq!(
            timer.on_due(START + seconds(59), true, 500),
            Step::EndAfter(seconds(1))
        );
        assert_eq!(
            timer.on_due(START + seconds(45), false, 0),
            Step::Refresh(seconds(15))
        );
    }

    #[test]
    fn what_a_refusal_leads_to() {
        let now = START + seconds(900);
        let refused = |status, min_se| {
            agreed(1800, true)
                .0
                .on_refusal(now, status, min_se, seconds(3))
        };
        assert_eq!(refused(491, None), Step::RefreshAfter(seconds(3)));
        assert_eq!(refused(422, Some(3600)), Step::Refresh(seconds(868)));
        for (status, min_se) in [
            (422, Some(90)),
            (422, None),
            (401, None),
            (407, None),
            (500, None),
            (603, None),
        ] {
            assert_eq!(
                refused(status, min_se),
                Step::EndAfter(seconds(868)),
                "{status}"
            );
        }
        for status in [408, 481] {
            assert_eq!(refused(status, None), Step::End);
        }
    }

    #[test]
    fn a_larger_minimum_is_kept() {
        let (mut timer, _) = agreed(100, true);
        timer.learn(120);
        timer.learn(95);
        assert_eq!((timer.min_se, timer.asks()), (120, 120));
    }
}
