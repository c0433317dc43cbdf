//! The commands a client waits for: which of its frames each command's outcome answers.
//!
//! Bounded in number, and every entry has a deadline: a command whose outcome is lost with the engine that had it does not stay.
use crate::request::Asked;
use engine::id::CommandId;
use smallvec::SmallVec;
use std::time::{Duration, Instant};

/// A client's message identifier; UUIDs, which all known clients use, fit without an allocation.
pub type MessageId = SmallVec<[u8; 36]>;

/// A command that has no outcome yet.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The frame that asked.
    pub message_id: MessageId,
    /// What for.
    pub asked: Asked,
    since: Instant,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    answer: Option<Answer>,
}

/// The outstanding commands of one client.
#[derive(Debug)]
pub struct Answers {
    slots: Vec<Slot>,
    free: Vec<u32>,
    limit: usize,
}

impl Answers {
    /// Holds at most `limit` commands.
    #[must_use]
    pub fn new(limit: usize) -> Answers {
        Answers {
            slots: Vec::new(),
            free: Vec::new(),
            limit: limit.min(u32::MAX as usize),
        }
    }

    /// The number of commands outstanding.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether no command is outstanding.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Numbers a command; none when too many are outstanding.
    pub fn insert(&mut self, message_id: &[u8], asked: Asked, now: Instant) -> Option<CommandId> {
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.slots.len() < self.limit => {
                self.slots.push(Slot::default());
                u32::try_from(self.slots.len() - 1).ok()?
            }
            None => return None,
        };
        let slot = self.slots.get_mut(index as usize)?;
        slot.answer = Some(Answer {
            message_id: MessageId::from_slice(message_id),
            asked,
            since: now,
        });
        Some(CommandId(
            (u64::from(slot.generation) << 32) | u64::from(index),
        ))
    }

    /// The command of that number, if it still waits.
    #[must_use]
    pub fn get(&self, command: CommandId) -> Option<&Answer> {
        let (index, generation) = split(command);
        let slot = self
            .slots
            .get(index as usize)
            .filter(|slot| slot.generation == generation)?;
        slot.answer.as_ref()
    }

    /// Takes the command of that number, if it still waits: its outcome is known.
    pub fn take(&mut self, command: CommandId) -> Option<Answer> {
        let (index, generation) = split(command);
        let slot = self
            .slots
            .get_mut(index as usize)
            .filter(|slot| slot.generation == generation)?;
        let answer = slot.answer.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(index);
        Some(answer)
    }

    /// Takes the commands that have waited longer than `age`.
    pub fn expire(&mut self, now: Instant, age: Duration) -> Vec<Answer> {
        let overdue = |slot: &Slot| {
            slot.answer
                .as_ref()
                .is_some_and(|answer| now.saturating_duration_since(answer.since) > age)
        };
        let commands: Vec<CommandId> = (0_u64..)
            .zip(&self.slots)
            .filter(|(_, slot)| overdue(slot))
            .map(|(index, slot)| CommandId((u64::from(slot.generation) << 32) | index))
            .collect();
        commands
            .into_iter()
            .filter_map(|command| self.take(command))
            .collect()
    }
}

fn split(command: CommandId) -> (u32, u32) {
    // The two halves of the number, so the casts lose nothing.
    (command.0 as u32, (command.0 >> 32) as u32)
}
