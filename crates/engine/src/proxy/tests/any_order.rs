//! Whatever happens in whatever order: one end is reported, one final response goes upstream but for further 2xx of an INVITE,
//! no branch is left pending, and no timer either.
use super::*;
use crate::id::Generator;

const STATUSES: [u16; 12] = [100, 180, 183, 200, 302, 401, 407, 486, 487, 503, 408, 603];

struct Course {
    random: Generator,
    bench: Bench,
    is_invite: bool,
    seen: Vec<String>,
}

impl Course {
    fn new(seed: u8, round: u8) -> Course {
        let mut random =
            Generator::new([seed, round, 1, 2].repeat(8).try_into().expect("32 bytes"));
        let is_invite = random.next_u64() % 3 != 0;
        let method = if is_invite { "INVITE" } else { "MESSAGE" };
        let targets: Vec<String> = (0..=random.next_u64() % 4)
            .map(|index| {
                let q = random.next_u64() % 3;
                format!("<sip:t{index}@203.0.113.{index}>;q=0.{q}")
            })
            .collect();
        let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
        let breadth = format!("Max-Breadth: {}\n", 1 + random.next_u64() % 5);
        let mut order = order(request(method, "sip:bob@proxy.example", &breadth), &targets);
        let mut flag = || random.next_u64() % 2 == 0;
        let forking = [Forking::Serial, Forking::Simultaneous, Forking::ByQ];
        order.options.forking = forking[usize::from(flag()) + usize::from(flag())];
        order.options.follow_redirects = flag();
        order.options.report_responses = flag();
        order.options.provisional_timeout = flag().then(|| Duration::from_secs(2));
        order.options.final_timeout = flag().then(|| Duration::from_secs(18));
        order.drachtio_compatible = flag();
        let mut bench = Bench::new(order);
        bench.resolves = flag();
        Course {
            random,
            bench,
            is_invite,
            seen: Vec::new(),
        }
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.random.next_u64() % limit as u64).expect("small")
    }

    fn step(&mut self) {
        let branch = u32::try_from(self.below(5)).expect("small");
        let happened = match self.below(10) {
            0 if self.random.next_u64() % 2 == 0 => self.bench.abandon(480),
            0 => self.bench.cancel(),
            1 => self.bench.fail(branch, BranchFailure::Transport),
            2 => {
                self.bench.resolved(branch);
                Vec::new()
            }
            3 => {
                let seconds = f64::from(u16::try_from(self.below(20)).expect("small"));
                self.bench.pass(seconds)
            }
            _ if self.bench.sent.contains_key(&branch) => {
                let at = self.below(STATUSES.len());
                let contact = format!("<sip:moved{at}{branch}@203.0.113.99>");
                self.bench
                    .answer_with(branch, STATUSES[at], &[("Contact", &contact)])
            }
            _ => Vec::new(),
        };
        self.seen.extend(happened);
    }

    /// The client transactions of what is left time out, and so do the resolver's questions.
    fn end(&mut self) {
        for _ in 0..40 {
            let passed = self.bench.pass(200.0);
            self.seen.extend(passed);
            for branch in 0..32 {
                let failed = self.bench.fail(branch, BranchFailure::Timeout);
                self.seen.extend(failed);
            }
        }
    }

    fn check(&self) {
        let seen = &self.seen;
        let count = |start: &str| seen.iter().filter(|line| line.starts_with(start)).count();
        assert_eq!(count("done"), 1, "{seen:#?}");
        let done = seen
            .iter()
            .position(|line| line.starts_with("done"))
            .expect("one");
        assert!(
            !seen[done..].iter().any(|line| line.starts_with("report")),
            "{seen:#?}"
        );
        let finals: Vec<&String> = seen
            .iter()
            .filter(|line| {
                line.starts_with("make")
                    || *line == "silence"
                    || line.starts_with("up ") && &line[3..4] > "1"
            })
            .collect();
        let further = finals.iter().skip(1);
        let allowed = |line: &&&String| self.is_invite && line.starts_with("up 2");
        assert!(
            !finals.is_empty() && further.clone().filter(allowed).count() == further.count(),
            "{seen:#?}"
        );
        let first = seen
            .iter()
            .position(|line| line == finals[0])
            .expect("there");
        assert!(
            !seen[first..]
                .iter()
                .any(|line| line.starts_with("up 1") || line.starts_with("forward")),
            "{seen:#?}"
        );
        assert!(self.bench.context.is_finished(), "{seen:#?}");
        assert!(!self.bench.has_timers(), "{seen:#?}");
    }
}

#[test]
fn every_course_of_events_comes_to_one_end() {
    for seed in 0..=255 {
        for round in 0..8 {
            let mut course = Course::new(seed, round);
            let started = course.bench.start();
            course.seen.extend(started);
            for _ in 0..course.below(40) {
                course.step();
            }
            course.end();
            course.check();
        }
    }
}
