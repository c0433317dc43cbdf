//! The order in which the targets of SRV records are tried (RFC 2782): priorities, and a draw by weight within each.
use super::random::Draw;
use super::record::{Record, Srv};

/// What SRV records say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Service {
    /// There are none.
    Unknown,
    /// There is nothing to try: the only target is `.`, the service is decidedly not there, or they have no port.
    Absent,
    /// The targets, the first to be tried first.
    At(Vec<Srv>),
}

/// Reads SRV records, and draws; adds those of port 0, where no server can be, to `unusable`.
#[must_use]
pub fn service(records: &[Record], draw: &mut Draw, unusable: &mut u64) -> Service {
    let all: Vec<&Srv> = records
        .iter()
        .filter_map(|record| match record {
            Record::Srv(srv) => Some(srv),
            Record::Naptr(_) | Record::Address(_) => None,
        })
        .collect();
    if all.is_empty() {
        return Service::Unknown;
    }
    let targets = all.into_iter().filter(|srv| !srv.target.is_empty());
    let (usable, portless): (Vec<Srv>, Vec<Srv>) = targets.cloned().partition(|srv| srv.port != 0);
    *unusable = unusable.saturating_add(u64::try_from(portless.len()).unwrap_or(u64::MAX));
    if usable.is_empty() {
        return Service::Absent;
    }
    Service::At(drawn(usable, draw))
}

/// RFC 2782: lower priorities first; within one, each target is drawn with a chance of its weight over the sum of those left.
fn drawn(mut left: Vec<Srv>, draw: &mut Draw) -> Vec<Srv> {
    // Weight 0 first, so that such a target has a small chance and no more.
    left.sort_by_key(|srv| (srv.priority, srv.weight));
    let mut order = Vec::with_capacity(left.len());
    while let Some(priority) = left.first().map(|srv| srv.priority) {
        let same = left.partition_point(|srv| srv.priority == priority);
        let sum: u64 = left
            .iter()
            .take(same)
            .map(|srv| u64::from(srv.weight))
            .sum();
        let wanted = draw.up_to(sum);
        let mut running = 0;
        let chosen = left.iter().take(same).position(|srv| {
            running += u64::from(srv.weight);
            running >= wanted
        });
        order.push(left.remove(chosen.unwrap_or(0)));
    }
    order
}

#[cfg(test)]
mod tests {
    //! Priorities hold always, weights on average, and `.` says no.
    use super::*;

    fn record(priority: u16, weight: u16, target: &str) -> Record {
        Record::Srv(Srv {
            priority,
            weight,
            port: 5060,
            target: target.to_owned(),
        })
    }

    fn names(records: &[Record], seed: u64) -> Vec<String> {
        match service(records, &mut Draw::new(seed), &mut 0) {
            Service::At(order) => order.into_iter().map(|srv| srv.target).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn lower_priorities_come_first_whatever_their_weight() {
        let records = [
            record(20, 1000, "c"),
            record(10, 1, "a"),
            record(15, 0, "b"),
        ];
        for seed in 0..100 {
            assert_eq!(names(&records, seed), ["a", "b", "c"]);
        }
    }

    #[test]
    fn the_first_of_equals_is_drawn_by_weight() {
        let records = [record(0, 60, "a"), record(0, 30, "b"), record(0, 10, "c")];
        let mut first = [0_u32; 3];
        for seed in 0..10_000 {
            let order = names(&records, seed);
            assert_eq!(order.len(), 3);
            let index = ["a", "b", "c"].iter().position(|name| *name == order[0]);
            first[index.unwrap()] += 1;
        }
        // RFC 2782's draw is over 0..=sum: a little more for the first. Within 2 percent of all.
        for (count, wanted) in first.into_iter().zip([6000, 3000, 1000_u32]) {
            assert!(count.abs_diff(wanted) < 200, "{first:?}");
        }
    }

    #[test]
    fn a_target_of_weight_zero_has_a_small_chance() {
        let records = [record(0, 0, "rare"), record(0, 100, "usual")];
        let rare = (0..10_000).filter(|seed| names(&records, *seed)[0] == "rare");
        let count = rare.count();
        assert!((20..400).contains(&count), "{count}");
    }

    #[test]
    fn the_same_draw_gives_the_same_order() {
        let records: Vec<Record> = (0..20).map(|n| record(0, 5, &format!("t{n}"))).collect();
        assert_eq!(names(&records, 7), names(&records, 7));
        assert_ne!(names(&records, 7), names(&records, 8));
    }

    #[test]
    fn a_lone_dot_means_that_the_service_is_not_there() {
        let (mut draw, mut unusable) = (Draw::new(1), 0);
        let mut read = |records: &[Record]| service(records, &mut draw, &mut unusable);
        assert_eq!(read(&[record(0, 0, "")]), Service::Absent);
        assert_eq!(read(&[]), Service::Unknown);
        assert_eq!(unusable, 0);
    }
}
