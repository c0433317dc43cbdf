//! The attached applications as a shard sees them: collects the events of a turn, hands them out once, asks how far behind each is.
use engine::Event;
use engine::id::ApplicationId;
use engine::seam::Events;
use rustc_hash::FxHashMap;
use std::sync::Arc;
use std::time::Duration;

/// The applications attached to one shard.
pub(crate) struct Applications {
    shard: u8,
    slots: FxHashMap<ApplicationId, Slot>,
    /// Those with events of this turn.
    touched: Vec<ApplicationId>,
    /// Those that were behind, or were given events since they were asked.
    watched: Vec<ApplicationId>,
}

struct Slot {
    link: Arc<dyn Events>,
    events: Vec<Event>,
    is_watched: bool,
}

impl Applications {
    pub fn new(shard: u8) -> Applications {
        Applications {
            shard,
            slots: FxHashMap::default(),
            touched: Vec::new(),
            watched: Vec::new(),
        }
    }

    pub fn attach(&mut self, application: ApplicationId, link: Arc<dyn Events>) {
        self.slots.insert(
            application,
            Slot {
                link,
                events: Vec::new(),
                is_watched: false,
            },
        );
    }

    pub fn detach(&mut self, application: ApplicationId) {
        self.slots.remove(&application);
        self.watched.retain(|watched| *watched != application);
    }

    /// Keeps an event for the end of the turn. An event for an application that is gone is dropped.
    pub fn push(&mut self, application: ApplicationId, event: Event) {
        if let Some(slot) = self.slots.get_mut(&application) {
            if slot.events.is_empty() {
                self.touched.push(application);
            }
            slot.events.push(event);
        }
    }

    /// Hands out the events of the turn, once for each application.
    pub fn deliver(&mut self) {
        while let Some(application) = self.touched.pop() {
            let Some(slot) = self.slots.get_mut(&application) else {
                continue;
            };
            slot.link.deliver(self.shard, &mut slot.events);
            slot.events.clear();
            if !slot.is_watched {
                slot.is_watched = true;
                self.watched.push(application);
            }
        }
    }

    /// Asks the applications that may be behind how far they are, and tells `each`.
    pub fn backlogs(&mut self, mut each: impl FnMut(ApplicationId, Duration)) {
        let slots = &mut self.slots;
        self.watched.retain(|application| {
            let Some(slot) = slots.get_mut(application) else {
                return false;
            };
            let oldest = slot.link.backlog();
            each(*application, oldest);
            slot.is_watched = !oldest.is_zero();
            slot.is_watched
        });
    }
}
