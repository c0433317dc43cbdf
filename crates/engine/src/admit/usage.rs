//! What each source holds at the moment: transactions, half-open INVITEs, dialogs. Exact, and empty at rest: an entry lives as long as
//! something is counted in it.
use rustc_hash::FxHashMap;

/// What a transaction or dialog was counted under, to be given back when it ends.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Ticket {
    /// The source, as a keyed number.
    pub(crate) source: u64,
    /// Whether it was a stranger's.
    pub(crate) is_strangers: bool,
    /// An INVITE that is not answered or not acknowledged.
    pub(crate) is_half_open: bool,
}

/// What is held.
#[derive(Copy, Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Held {
    pub(crate) transactions: u32,
    pub(crate) half_open: u32,
    pub(crate) dialogs: u32,
}

/// What the sources hold.
#[derive(Default)]
pub(crate) struct Usage {
    sources: FxHashMap<u64, Held>,
    /// All strangers together.
    strangers: Held,
}

impl Usage {
    /// What one source holds.
    pub(crate) fn of(&self, source: u64) -> Held {
        self.sources.get(&source).copied().unwrap_or_default()
    }

    /// What strangers hold.
    pub(crate) fn strangers(&self) -> Held {
        self.strangers
    }

    /// How many sources hold something.
    pub(crate) fn len(&self) -> usize {
        self.sources.len()
    }

    /// A transaction begins.
    pub(crate) fn open(&mut self, ticket: Ticket) {
        self.change(ticket, |held| {
            held.transactions += 1;
            held.half_open += u32::from(ticket.is_half_open);
        });
    }

    /// A transaction ends.
    pub(crate) fn close(&mut self, ticket: Ticket) {
        self.change(ticket, |held| {
            held.transactions = held.transactions.saturating_sub(1);
            let half_open = u32::from(ticket.is_half_open);
            held.half_open = held.half_open.saturating_sub(half_open);
        });
    }

    /// The INVITE is acknowledged; the transaction lingers.
    pub(crate) fn acknowledge(&mut self, ticket: &mut Ticket) {
        if std::mem::take(&mut ticket.is_half_open) {
            self.change(*ticket, |held| {
                held.half_open = held.half_open.saturating_sub(1);
            });
        }
    }

    /// Its source is no stranger any more.
    pub(crate) fn recognise(&mut self, ticket: &mut Ticket) {
        self.close(*ticket);
        ticket.is_strangers = false;
        self.open(*ticket);
    }

    /// A dialog begins.
    pub(crate) fn open_dialog(&mut self, ticket: Ticket) {
        self.change(ticket, |held| held.dialogs += 1);
    }

    /// A dialog ends.
    pub(crate) fn close_dialog(&mut self, ticket: Ticket) {
        self.change(ticket, |held| held.dialogs = held.dialogs.saturating_sub(1));
    }

    /// Gives back room that is not needed.
    pub(crate) fn shrink(&mut self) {
        self.sources.shrink_to_fit();
    }

    fn change(&mut self, ticket: Ticket, change: impl Fn(&mut Held)) {
        let held = self.sources.entry(ticket.source).or_default();
        change(held);
        if *held == Held::default() {
            self.sources.remove(&ticket.source);
        }
        if ticket.is_strangers {
            change(&mut self.strangers);
        }
    }
}
