//! What is remembered of each source: its buckets, and whether it is known. Bounded, whoever sends and however many they are.
//!
//! A fixed number of sets with a few places each, chosen by a keyed digest, so that nobody can aim at another's set. A stranger takes the
//! place of the stranger whose bucket is fullest, which loses least, and never that of a known source: forged addresses, of which
//! there are any number, push out no peer. The places of a set are allocated when one is used.
use super::bucket::Bucket;
use super::source::Source;
use crate::time::Time;
use crate::transaction::key::Digester;

/// Places of a set.
const PLACES: usize = 8;
/// Sets: 32,768 sources in all, 2 MB at most.
const SETS: usize = 4096;

/// What is remembered of one source. Empty when the source is nobody.
#[derive(Copy, Clone, Default, Debug)]
pub(crate) struct Entry {
    source: Source,
    /// Of what it sends.
    pub(crate) messages: Bucket,
    /// Of the bytes of that.
    pub(crate) bytes: Bucket,
    /// Of the connections that it opens.
    pub(crate) connections: Bucket,
    /// Of what is answered although it is refused.
    pub(crate) refused: Bucket,
    /// Until when it is known.
    pub(crate) known_until: Time,
}

impl Entry {
    /// Whether it has shown of late that it gets what is sent to it.
    pub(crate) fn is_known(&self, now: Time) -> bool {
        self.known_until > now
    }

    /// Whether it says no more than an empty place.
    fn is_idle(&self, now: Time) -> bool {
        let buckets = [self.messages, self.connections, self.refused];
        !self.is_known(now) && buckets.iter().all(|bucket| bucket.is_full(now))
    }
}

/// The table.
pub(crate) struct Sources {
    sets: Vec<Option<Box<[Entry; PLACES]>>>,
    /// What all those share for whom there is no place.
    others: Entry,
    digester: Digester,
}

impl Sources {
    /// An empty table.
    pub(crate) fn new(digester: Digester) -> Sources {
        Sources {
            sets: Vec::new(),
            others: Entry::default(),
            digester,
        }
    }

    fn index(&self, source: Source) -> usize {
        let number = self.digester.number(&source.bytes());
        usize::try_from(number % SETS as u64).unwrap_or(0)
    }

    /// What is remembered of a source.
    pub(crate) fn get(&self, source: Source) -> Option<&Entry> {
        if self.sets.is_empty() {
            return None;
        }
        let set = self.sets.get(self.index(source))?.as_ref()?;
        set.iter().find(|entry| entry.source == source)
    }

    /// The place of a source, made if it has none. Where only known sources have places where it would go, it shares one with all of whom
    /// that is so.
    pub(crate) fn stranger(&mut self, now: Time, source: Source) -> &mut Entry {
        let at = self.find(source, |entry| {
            (!entry.is_known(now)).then_some(entry.messages)
        });
        let Sources { sets, others, .. } = self;
        at.and_then(|at| entry_at(sets, at, source))
            .unwrap_or(others)
    }

    /// The place of a source that is to become known: in a set full of those the one that was longest silent goes.
    pub(crate) fn known(&mut self, now: Time, source: Source) -> Option<&mut Entry> {
        let at = self.find(source, |entry| {
            let rest = entry.known_until.max(now);
            Some((rest, entry.messages))
        });
        entry_at(&mut self.sets, at?, source)
    }

    /// Forgets the sources of which nothing is to be remembered: strangers whose buckets are full. A flood touches every set, and a set
    /// that stays keeps the page of memory that it lies in, whatever else lay there.
    pub(crate) fn forget(&mut self, now: Time) {
        for place in &mut self.sets {
            if let Some(set) = place {
                for entry in set.iter_mut().filter(|entry| entry.is_idle(now)) {
                    *entry = Entry::default();
                }
                if set.iter().all(|entry| entry.source == Source::default()) {
                    *place = None;
                }
            }
        }
    }

    /// The source's own place, an empty one, or that of the entry with the least `worth`.
    fn find<W: Ord>(
        &mut self,
        source: Source,
        worth: impl Fn(&Entry) -> Option<W>,
    ) -> Option<(usize, usize)> {
        if self.sets.is_empty() {
            self.sets.resize_with(SETS, || None);
        }
        let set_index = self.index(source);
        let set = self
            .sets
            .get_mut(set_index)?
            .get_or_insert_with(Box::default);
        let own = set.iter().position(|entry| entry.source == source);
        let free = || {
            set.iter()
                .position(|entry| entry.source == Source::default())
        };
        let least = || {
            let worths = set.iter().enumerate();
            let worths = worths.filter_map(|(index, entry)| Some((worth(entry)?, index)));
            worths.min().map(|(_, index)| index)
        };
        Some((set_index, own.or_else(free).or_else(least)?))
    }

    /// How many sources are remembered.
    #[cfg(test)]
    fn len(&self) -> usize {
        let entries = self.sets.iter().flatten().flat_map(|set| set.iter());
        entries
            .filter(|entry| entry.source != Source::default())
            .count()
    }
}

/// The entry at this place of this set, which is the source's from now on.
fn entry_at(
    sets: &mut [Option<Box<[Entry; PLACES]>>],
    (set, index): (usize, usize),
    source: Source,
) -> Option<&mut Entry> {
    let entry = sets.get_mut(set)?.as_mut()?.get_mut(index)?;
    if entry.source != source {
        *entry = Entry {
            source,
            ..Entry::default()
        };
    }
    Some(entry)
}

#[cfg(test)]
mod tests {
    //! However many addresses are forged, the table stays as large as it is, and known sources stay in it.
    use super::*;
    use crate::admit::config::Rate;
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::Duration;

    fn source(number: u32) -> Source {
        Source::of(IpAddr::V4(Ipv4Addr::from(number)))
    }

    #[test]
    fn forged_addresses_neither_grow_the_table_nor_push_out_a_known_source() {
        let mut sources = Sources::new(Digester::new([1, 2]));
        let now = Time::START;
        for number in 0..1000 {
            sources.known(now, source(number)).unwrap().known_until =
                now + Duration::from_secs(3600);
        }
        let rate = Some(Rate::new(10, 10));
        for number in 1_000_000..1_500_000 {
            sources
                .stranger(now, source(number))
                .messages
                .take(now, rate);
        }
        assert!(sources.len() <= PLACES * SETS);
        let known = (0..1000).filter(|number| {
            let entry = sources.get(source(*number));
            entry.is_some_and(|entry| entry.is_known(now))
        });
        assert_eq!(known.count(), 1000);
        // A stranger is remembered until its bucket is full again, a known source for as long as it is known.
        sources.forget(now);
        assert!(sources.len() > 20_000);
        sources.forget(now + Duration::from_secs(10));
        assert_eq!(sources.len(), 1000);
        sources.forget(now + Duration::from_secs(3600));
        assert!(sources.sets.iter().all(Option::is_none));
        assert!(std::mem::size_of::<Entry>() * PLACES * SETS <= 2 << 20);
    }

    #[test]
    fn a_set_full_of_known_sources_has_no_place_for_a_stranger_but_for_another_known_one() {
        let mut sources = Sources::new(Digester::new([1, 2]));
        let now = Time::START;
        let until = now + Duration::from_secs(60);
        for number in 0..200_000 {
            sources.known(now, source(number)).unwrap().known_until = until;
        }
        assert_eq!(
            sources.stranger(now, source(9_999_999)).source,
            Source::default()
        );
        let late = sources.known(now, source(9_999_999)).unwrap();
        late.known_until = until;
        assert!(sources.get(source(9_999_999)).unwrap().is_known(now));
        // When they are known no longer, strangers have their places.
        assert_eq!(
            sources.stranger(until, source(8_888_888)).source,
            source(8_888_888)
        );
    }
}
