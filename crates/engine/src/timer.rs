//! The timer queue of one shard: exact deadlines, fired in order, set and cancelled in constant time.
//!
//! SIP arms few distinct durations (T1 and its doublings, T4, 64*T1, ...), and time only moves forward. So all timers of one duration
//! form a lane that is sorted by construction; the next deadline is the least of the lanes' heads. Durations beyond
//! [`LANES`], and a clock that stepped back, go to a binary heap. Cancelled timers are skipped, and swept out when they outnumber
//! the live ones. This module refuses to know what a timer is for.
use crate::time::Time;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::num::NonZeroU32;
use std::time::Duration;

/// How many distinct durations have a lane of their own.
const LANES: usize = 16;
/// The number of the heap, as a lane.
const HEAP: u8 = u8::MAX;
/// Cancelled entries that a lane may hold whatever its length.
const SLACK: usize = 64;

/// Names a timer that was set. It is good for one `cancel`; a stale one does nothing.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct TimerToken {
    slot: u32,
    generation: NonZeroU32,
}

#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    deadline: Time,
    /// Order among equal deadlines: as set.
    sequence: u64,
    slot: u32,
    generation: NonZeroU32,
}

struct Slot<K> {
    generation: NonZeroU32,
    lane: u8,
    key: Option<K>,
}

#[derive(Default)]
struct Lane {
    duration: Duration,
    entries: VecDeque<Entry>,
    dead: usize,
}

/// A queue of timers that carry a key each.
pub(crate) struct TimerQueue<K> {
    slots: Vec<Slot<K>>,
    free: Vec<u32>,
    lanes: Vec<Lane>,
    heap: BinaryHeap<Reverse<Entry>>,
    heap_dead: usize,
    sequence: u64,
    live: usize,
    /// The generation of a new slot: past those of the slots that were given back.
    first: NonZeroU32,
}

impl<K: Copy> TimerQueue<K> {
    /// An empty queue.
    pub(crate) fn new() -> TimerQueue<K> {
        TimerQueue {
            slots: Vec::new(),
            free: Vec::new(),
            lanes: Vec::new(),
            heap: BinaryHeap::new(),
            heap_dead: 0,
            sequence: 0,
            live: 0,
            first: NonZeroU32::MIN,
        }
    }

    /// Gives back the room that is not needed.
    pub(crate) fn shrink(&mut self) {
        while let Some(slot) = self.slots.pop_if(|slot| slot.key.is_none()) {
            // A token of it that somebody still holds names no timer that is set later.
            self.first = self.first.max(slot.generation);
        }
        let slots = self.slots.len();
        self.free.retain(|slot| (*slot as usize) < slots);
        self.slots.shrink_to_fit();
        self.free.shrink_to_fit();
        self.heap.shrink_to_fit();
        for lane in &mut self.lanes {
            lane.entries.shrink_to_fit();
        }
    }

    /// How many timers are set.
    pub(crate) fn len(&self) -> usize {
        self.live
    }

    /// Sets a timer that fires `after` from `now` and gives `key`.
    pub(crate) fn set(&mut self, now: Time, after: Duration, key: K) -> TimerToken {
        let deadline = now + after;
        let lane = self.lane_for(after, deadline);
        let (slot, generation) = self.occupy(key, lane);
        self.sequence += 1;
        let entry = Entry {
            deadline,
            sequence: self.sequence,
            slot,
            generation,
        };
        match self.lanes.get_mut(usize::from(lane)) {
            Some(lane) => lane.entries.push_back(entry),
            None => self.heap.push(Reverse(entry)),
        }
        self.live += 1;
        TimerToken { slot, generation }
    }

    /// Sets a timer of a duration that hardly any other will have: it takes no lane from those that many share.
    pub(crate) fn set_irregular(&mut self, now: Time, after: Duration, key: K) -> TimerToken {
        let (slot, generation) = self.occupy(key, HEAP);
        self.sequence += 1;
        self.heap.push(Reverse(Entry {
            deadline: now + after,
            sequence: self.sequence,
            slot,
            generation,
        }));
        self.live += 1;
        TimerToken { slot, generation }
    }

    /// Cancels a timer; does nothing when it fired or was cancelled already.
    pub(crate) fn cancel(&mut self, token: TimerToken) {
        if let Some(lane) = self
            .vacate(token.slot, token.generation)
            .map(|(lane, _)| lane)
        {
            self.live -= 1;
            self.bury(lane);
        }
    }

    /// When the next timer fires.
    pub(crate) fn next_deadline(&self) -> Option<Time> {
        self.head().map(|(entry, _)| entry.deadline)
    }

    /// Takes the next timer that is due at `now`: the earliest, and among equals the one that was set first.
    pub(crate) fn pop_due(&mut self, now: Time) -> Option<K> {
        let (entry, lane) = self.head()?;
        if entry.deadline > now {
            return None;
        }
        match self.lanes.get_mut(usize::from(lane)) {
            Some(lane) => drop(lane.entries.pop_front()),
            None => drop(self.heap.pop()),
        }
        let key = self
            .vacate(entry.slot, entry.generation)
            .and_then(|(_, key)| key);
        self.live -= 1;
        self.clear_head(lane);
        key
    }

    fn head(&self) -> Option<(Entry, u8)> {
        let mut first: Option<(Entry, u8)> = self.heap.peek().map(|entry| (entry.0, HEAP));
        for (index, lane) in (0..HEAP).zip(&self.lanes) {
            if let Some(entry) = lane.entries.front() {
                if first.is_none_or(|(best, _)| *entry < best) {
                    first = Some((*entry, index));
                }
            }
        }
        first
    }

    fn lane_for(&mut self, after: Duration, deadline: Time) -> u8 {
        let mut empty = None;
        for (index, lane) in (0..HEAP).zip(&self.lanes) {
            if lane.duration == after {
                let sorted = lane
                    .entries
                    .back()
                    .is_none_or(|last| last.deadline <= deadline);
                return if sorted { index } else { HEAP };
            }
            if lane.entries.is_empty() {
                empty = empty.or(Some(index));
            }
        }
        if self.lanes.len() < LANES {
            self.lanes.push(Lane {
                duration: after,
                ..Lane::default()
            });
            return u8::try_from(self.lanes.len() - 1).unwrap_or(HEAP);
        }
        match empty {
            Some(index) => {
                if let Some(lane) = self.lanes.get_mut(usize::from(index)) {
                    lane.duration = after;
                }
                index
            }
            None => HEAP,
        }
    }

    fn occupy(&mut self, key: K, lane: u8) -> (u32, NonZeroU32) {
        if let Some(index) = self.free.pop() {
            if let Some(slot) = self.slots.get_mut(index as usize) {
                slot.key = Some(key);
                slot.lane = lane;
                return (index, slot.generation);
            }
        }
        let generation = self.first;
        self.slots.push(Slot {
            generation,
            lane,
            key: Some(key),
        });
        (
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX),
            generation,
        )
    }

    fn vacate(&mut self, index: u32, generation: NonZeroU32) -> Option<(u8, Option<K>)> {
        let slot = self.slots.get_mut(index as usize)?;
        if slot.generation != generation || slot.key.is_none() {
            return None;
        }
        slot.generation = slot.generation.checked_add(1).unwrap_or(NonZeroU32::MIN);
        self.free.push(index);
        Some((slot.lane, slot.key.take()))
    }

    fn is_live(slots: &[Slot<K>], entry: &Entry) -> bool {
        slots
            .get(entry.slot as usize)
            .is_some_and(|slot| slot.generation == entry.generation && slot.key.is_some())
    }

    /// Counts a cancelled entry of a lane; sweeps the lane when most of it is dead. Keeps the head live, for `next_deadline`.
    fn bury(&mut self, index: u8) {
        match self.lanes.get_mut(usize::from(index)) {
            Some(lane) => {
                lane.dead += 1;
                if lane.dead > SLACK && lane.dead > lane.entries.len() / 2 {
                    let slots = &self.slots;
                    lane.entries.retain(|entry| Self::is_live(slots, entry));
                    lane.dead = 0;
                }
            }
            None => {
                self.heap_dead += 1;
                if self.heap_dead > SLACK && self.heap_dead > self.heap.len() / 2 {
                    let slots = &self.slots;
                    self.heap.retain(|entry| Self::is_live(slots, &entry.0));
                    self.heap_dead = 0;
                }
            }
        }
        self.clear_head(index);
    }

    fn clear_head(&mut self, index: u8) {
        match self.lanes.get_mut(usize::from(index)) {
            Some(lane) => {
                while lane
                    .entries
                    .front()
                    .is_some_and(|entry| !Self::is_live(&self.slots, entry))
                {
                    lane.entries.pop_front();
                    lane.dead = lane.dead.saturating_sub(1);
                }
            }
            None => {
                while self
                    .heap
                    .peek()
                    .is_some_and(|entry| !Self::is_live(&self.slots, &entry.0))
                {
                    self.heap.pop();
                    self.heap_dead = self.heap_dead.saturating_sub(1);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    //! Timers fire in the order of their deadlines, cancelled ones never, and cancelled ones do not pile up.
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn fire_all(queue: &mut TimerQueue<u32>) -> Vec<(u64, u32)> {
        let mut fired = Vec::new();
        while let Some(deadline) = queue.next_deadline() {
            while let Some(key) = queue.pop_due(deadline) {
                fired.push((
                    u64::try_from(deadline.since_origin().as_millis()).unwrap(),
                    key,
                ));
            }
        }
        fired
    }

    #[test]
    fn fires_in_order_of_deadline_then_of_setting() {
        let mut queue = TimerQueue::new();
        let start = Time::ZERO;
        queue.set(start, ms(500), 1);
        queue.set(start, ms(100), 2);
        queue.set(start + ms(400), ms(100), 3);
        queue.set(start, ms(500), 4);
        assert_eq!(queue.pop_due(start + ms(99)), None);
        assert_eq!(
            fire_all(&mut queue),
            [(100, 2), (500, 1), (500, 3), (500, 4)]
        );
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn more_durations_than_lanes_and_a_clock_stepping_back_keep_the_order() {
        let mut queue = TimerQueue::new();
        for n in (0..100_u32).rev() {
            queue.set(Time::ZERO, ms(u64::from(n)), n);
        }
        queue.set(Time::ZERO + ms(50), ms(7), 1000);
        queue.set(Time::ZERO, ms(7), 1001);
        let fired = fire_all(&mut queue);
        assert_eq!(fired.len(), 102);
        assert!(fired.is_sorted_by_key(|(at, _)| *at));
    }

    #[test]
    fn a_cancelled_timer_never_fires_and_a_stale_token_harms_nobody() {
        let mut queue = TimerQueue::new();
        let first = queue.set(Time::ZERO, ms(10), 1);
        queue.cancel(first);
        assert_eq!(queue.next_deadline(), None);
        queue.set(Time::ZERO, ms(20), 2);
        queue.cancel(first);
        assert_eq!(queue.len(), 1);
        assert_eq!(fire_all(&mut queue), [(20, 2)]);
    }

    #[test]
    fn cancelled_timers_do_not_pile_up() {
        let mut queue = TimerQueue::new();
        queue.set(Time::ZERO, ms(32_000), 0);
        for n in 0..100_000_u32 {
            let token = queue.set(Time::ZERO + ms(u64::from(n) / 10), ms(32_000), n);
            queue.cancel(token);
        }
        assert_eq!(queue.len(), 1);
        assert!(
            queue
                .lanes
                .iter()
                .map(|lane| lane.entries.len())
                .sum::<usize>()
                < 2 * SLACK + 2
        );
        assert!(queue.slots.len() <= 2);
    }

    #[test]
    fn room_is_given_back_and_a_token_from_before_stays_stale() {
        let mut queue = TimerQueue::new();
        let tokens: Vec<_> = (0..10_000_u32)
            .map(|n| queue.set(Time::ZERO, ms(u64::from(n % 100)), n))
            .collect();
        for token in tokens.iter().skip(1) {
            queue.cancel(*token);
        }
        queue.shrink();
        assert_eq!(queue.slots.capacity(), 1);
        assert!(queue.free.is_empty());
        for n in 0..10_000_u32 {
            queue.set(Time::ZERO, ms(200), n);
        }
        for token in tokens.iter().skip(1) {
            queue.cancel(*token);
        }
        assert_eq!(queue.len(), 10_001);
        assert_eq!(fire_all(&mut queue).len(), 10_001);
        queue.shrink();
        assert_eq!(queue.slots.capacity(), 0);
        assert!(queue.lanes.iter().all(|lane| lane.entries.capacity() == 0));
    }
}
