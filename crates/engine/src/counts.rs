//! What an engine holds and has done: for `dracht status`, metrics and the tests that every table is empty at rest.

/// The state of one shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// The shard.
    pub shard: u8,
    /// Server transactions that wait for the application, run, or linger for retransmissions.
    pub server_transactions: usize,
    /// Client transactions, likewise.
    pub client_transactions: usize,
    /// Early and confirmed dialogs.
    pub dialogs: usize,
    /// Proxied requests without an end.
    pub proxies: usize,
    /// Timers set.
    pub timers: usize,
    /// Requests waiting for a name to be resolved.
    pub resolves: usize,
    /// Targets of names that are left out because they did not answer, or were until a while ago.
    pub unavailable: usize,
    /// Applications attached.
    pub applications: usize,
    /// Connections over which messages came, and the hosts that browsers gave themselves on them.
    pub flows: usize,
    /// Open stream connections (the driver fills it).
    pub connections: usize,
    /// Bans in force (the driver fills it).
    pub bans: usize,
    /// Sources that are not trusted and hold a transaction or a dialog.
    pub sources: usize,
    /// Totals since the start, by name.
    pub totals: Vec<(&'static str, u64)>,
}

impl Counts {
    /// One of the totals; none by another name.
    #[must_use]
    pub fn total(&self, name: &str) -> Option<u64> {
        let found = self.totals.iter().find(|(known, _)| *known == name);
        found.map(|(_, count)| *count)
    }
}
