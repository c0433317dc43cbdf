//! What strangers may cost: places for those who have not authenticated, of whom the oldest gives way, and lines in the log.
use crate::disconnect::Disconnect;
use engine::Time;
use engine::log_limit::LogLimit;
use std::collections::{HashMap, VecDeque};
use std::mem::{Discriminant, discriminant};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;

/// The place of a client that has not authenticated, until it is dropped.
#[derive(Debug)]
pub(crate) struct Stranger {
    _place: OwnedSemaphorePermit,
    here: Arc<()>,
}

/// The places.
pub(crate) struct Strangers {
    count: usize,
    places: Arc<Semaphore>,
    /// Those who took one, the oldest first; some have left theirs since.
    taken: VecDeque<(Weak<()>, AbortHandle)>,
}

impl Strangers {
    pub(crate) fn new(count: usize) -> Strangers {
        Strangers {
            count,
            places: Arc::new(Semaphore::new(count)),
            taken: VecDeque::new(),
        }
    }

    /// A place for one who comes, and whether somebody had to go for it; none where there are no places at all. Whoever only wants to keep
    /// others out would otherwise have to do no more than be there first.
    pub(crate) async fn admit(&mut self) -> Option<(Stranger, bool)> {
        let mut displaced = false;
        let place = match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => place,
            Err(_) => {
                let (_, task) = self.oldest()?;
                task.abort();
                displaced = true;
                Arc::clone(&self.places).acquire_owned().await.ok()?
            }
        };
        let here = Arc::new(());
        let stranger = Stranger {
            _place: place,
            here,
        };
        Some((stranger, displaced))
    }

    fn oldest(&mut self) -> Option<(Weak<()>, AbortHandle)> {
        while let Some(first) = self.taken.pop_front() {
            if first.0.strong_count() > 0 {
                return Some(first);
            }
        }
        None
    }

    /// The token by which `note` tells whether the stranger is still one.
    pub(crate) fn token(stranger: &Stranger) -> Weak<()> {
        Arc::downgrade(&stranger.here)
    }

    /// The task that serves who has this place.
    pub(crate) fn note(&mut self, token: Weak<()>, task: AbortHandle) {
        if self.taken.len() >= self.count.saturating_mul(2) {
            self.taken.retain(|(token, _)| token.strong_count() > 0);
        }
        self.taken.push_back((token, task));
    }
}

/// Lines in the log that strangers cause: some per second of each kind, so that none hides another.
pub(crate) struct Lines {
    begun: Instant,
    limits: Mutex<HashMap<Kind, LogLimit>>,
}

/// Why a client was disconnected, without the particulars; none for a line about something else.
type Kind = Option<Discriminant<Disconnect>>;

impl Lines {
    pub(crate) fn new() -> Lines {
        Lines {
            begun: Instant::now(),
            limits: Mutex::default(),
        }
    }

    /// Whether a line may be written; then how many were left out since the last one.
    pub(crate) fn allow(&self) -> Option<u64> {
        self.allow_kind(None)
    }

    /// The same for a line about why a client is disconnected.
    pub(crate) fn allow_for(&self, disconnect: &Disconnect) -> Option<u64> {
        self.allow_kind(Some(discriminant(disconnect)))
    }

    fn allow_kind(&self, kind: Kind) -> Option<u64> {
        let now = Time::ZERO + self.begun.elapsed();
        let mut limits = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        limits.entry(kind).or_default().allow(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::FrameError;

    #[test]
    fn lines_of_one_kind_hide_none_of_another() {
        let lines = Lines::new();
        let refused = |text| lines.allow_for(&Disconnect::Refused(text));
        let written = (0..100).filter(|_| refused("Unknown message type").is_some());
        assert!(written.count() < 100);
        let framing = Disconnect::Frame(FrameError::Empty);
        assert_eq!(lines.allow_for(&framing), Some(0));
        assert_eq!(lines.allow_for(&Disconnect::WrongSecret), Some(0));
        assert_eq!(lines.allow(), Some(0));
    }
}
