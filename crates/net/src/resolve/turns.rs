//! Who may ask name servers now: so many at a time, and of those who wait the latest first.
//!
//! Names that nobody answers for take seconds each, and whoever chooses the domains of requests can name thousands. In the order of their
//! coming they would keep everybody who comes after them waiting until their requests, too, had failed. And while somebody waits, who has
//! had no answer for a while gives way, the oldest first: most names are answered at once, and these are not to wait for those that are not.
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio::time::sleep;

/// Those who wait may go without a word: from this many on they are counted again before another is added.
const COUNTED: usize = 1024;

/// How long nobody has to give way: name servers that know an answer have given it by then.
const PROMPT: Duration = Duration::from_millis(300);

/// The turns.
#[derive(Clone)]
pub(crate) struct Turns {
    state: Arc<Mutex<State>>,
    /// Told when somebody comes who has to wait. Who has listened longest hears it first.
    crowded: Arc<Notify>,
}

struct State {
    free: usize,
    waiting: Vec<oneshot::Sender<Turn>>,
    counted: usize,
}

/// One turn, which ends when it is dropped.
pub(crate) struct Turn {
    turns: Option<Turns>,
}

impl Turns {
    pub(crate) fn new(count: usize) -> Turns {
        Turns {
            state: Arc::new(Mutex::new(State {
                free: count.max(1),
                waiting: Vec::new(),
                counted: COUNTED,
            })),
            crowded: Arc::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self) -> Turn {
        Turn {
            turns: Some(self.clone()),
        }
    }

    /// Waits for a turn.
    pub(crate) async fn take(&self) -> Turn {
        let receiver = {
            let mut state = self.lock();
            if state.free > 0 {
                state.free -= 1;
                return self.turn();
            }
            if state.waiting.len() >= state.counted {
                state.waiting.retain(|waiting| !waiting.is_closed());
                state.counted = COUNTED.max(state.waiting.len() * 2);
            }
            let (sender, receiver) = oneshot::channel();
            state.waiting.push(sender);
            receiver
        };
        self.crowded.notify_one();
        // The sender is kept until it is sent to.
        receiver.await.unwrap_or(Turn { turns: None })
    }

    /// Ends when who took a turn now has to give way.
    pub(crate) async fn is_over(&self) {
        sleep(PROMPT).await;
        while !self.is_waited_for() {
            self.crowded.notified().await;
        }
    }

    fn is_waited_for(&self) -> bool {
        let mut state = self.lock();
        while state
            .waiting
            .pop_if(|waiting| waiting.is_closed())
            .is_some()
        {}
        !state.waiting.is_empty()
    }

    fn give_back(&self) {
        let mut turn = self.turn();
        loop {
            let mut state = self.lock();
            let Some(next) = state.waiting.pop() else {
                state.free += 1;
                turn.turns = None;
                return;
            };
            drop(state);
            // Who went meanwhile leaves the turn to the next.
            match next.send(turn) {
                Ok(()) => return,
                Err(back) => turn = back,
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turns) = self.turns.take() {
            turns.give_back();
        }
    }
}

#[cfg(test)]
mod tests {
    //! The latest comes first, and nobody's turn is lost.
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    fn poll<F: Future<Output = Turn>>(future: std::pin::Pin<&mut F>) -> Option<Turn> {
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(turn) => Some(turn),
            Poll::Pending => None,
        }
    }

    #[test]
    fn the_latest_is_first_and_who_went_is_passed_over() {
        let turns = Turns::new(1);
        let first = poll(pin!(turns.take())).unwrap();
        let mut second = pin!(turns.take());
        let mut third = pin!(turns.take());
        assert!(poll(second.as_mut()).is_none() && poll(third.as_mut()).is_none());
        {
            let mut gone = pin!(turns.take());
            assert!(poll(gone.as_mut()).is_none());
        }
        drop(first);
        assert!(poll(second.as_mut()).is_none());
        drop(poll(third.as_mut()).unwrap());
        drop(poll(second.as_mut()).unwrap());
        assert!(poll(pin!(turns.take())).is_some());
    }

    #[test]
    fn a_turn_that_was_given_to_who_went_is_the_next_ones() {
        let turns = Turns::new(1);
        let first = poll(pin!(turns.take())).unwrap();
        {
            let mut gone = pin!(turns.take());
            assert!(poll(gone.as_mut()).is_none());
            drop(first);
            // It has its turn, and goes without having looked.
        }
        assert!(poll(pin!(turns.take())).is_some());
        for _ in 0..COUNTED * 3 {
            let held = poll(pin!(turns.take())).unwrap();
            assert!(poll(pin!(turns.take())).is_none());
            drop(held);
        }
        assert_eq!(turns.lock().free, 1);
    }
}
