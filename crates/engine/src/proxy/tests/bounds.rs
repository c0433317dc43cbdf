//! A search is bounded as a whole: in its targets, those of redirections among them, and in the time in which one is begun.
use super::*;
use crate::proxy::targets::MOST_TARGETS;

fn named(count: usize) -> Vec<String> {
    (0..count)
        .map(|number| format!("sip:u{number}@203.0.113.10"))
        .collect()
}

fn search(request: Arc<Message>, count: usize, options: ProxyOptions) -> Bench {
    let targets = named(count);
    let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
    let mut order = order(request, &targets);
    order.options = options;
    Bench::new(order)
}

fn forking(forking: Forking) -> ProxyOptions {
    ProxyOptions {
        forking,
        ..ProxyOptions::default()
    }
}

/// Every branch that was begun, silent until its timer B or F fires after 32 s; gives how many there were, and what came of it.
fn all_silent(bench: &mut Bench) -> (usize, Vec<String>) {
    let mut seen = bench.start();
    let (mut begun, mut ended) = (0, 0);
    loop {
        begun += seen
            .iter()
            .filter(|line| line.starts_with("forward"))
            .count();
        if seen.iter().any(|line| line.starts_with("done")) {
            seen.retain(|line| !line.starts_with("forward"));
            return (begun, seen);
        }
        bench.pass(32.0);
        seen.clear();
        for branch in ended..begun {
            let branch = u32::try_from(branch).expect("small");
            seen.extend(bench.fail(branch, BranchFailure::Timeout));
        }
        ended = begun;
    }
}

#[test]
fn more_targets_than_are_tried_are_refused_and_the_request_is_still_to_be_answered() {
    let targets = named(MOST_TARGETS + 1);
    let mut targets: Vec<&str> = targets.iter().map(String::as_str).collect();
    let refused = |targets: &[&str]| ProxyContext::new(order(invite(), targets), &own).err();
    let rejection = refused(&targets).expect("one too many");
    assert_eq!(rejection.status, None);
    let CommandError::Limit(limit) = rejection.error else {
        panic!("{:?}", rejection.error);
    };
    assert!(limit.starts_with(&format!("{MOST_TARGETS} targets")));
    // What is named twice is tried once.
    targets[MOST_TARGETS] = targets[0];
    assert_eq!(refused(&targets).map(|it| it.error), None);
}

#[test]
fn redirections_add_no_target_to_a_search_that_has_as_many_as_there_may_be() {
    let options = ProxyOptions {
        follow_redirects: true,
        ..forking(Forking::Serial)
    };
    let mut bench = search(invite(), MOST_TARGETS - 1, options);
    bench.start();
    let contacts = "<sip:a@203.0.113.41>, <sip:b@203.0.113.42>, <sip:c@203.0.113.43>";
    let last = MOST_TARGETS - 1;
    assert_eq!(
        bench.answer_with(0, 302, &[("Contact", contacts)]),
        [format!("forward {last} to sip:a@203.0.113.41")]
    );
    let last = u32::try_from(last).expect("small");
    assert_eq!(
        bench.answer_with(last, 302, &[("Contact", contacts)]),
        ["forward 1 to sip:u1@203.0.113.10"],
        "the 302 is an answer, and those that the application named go on"
    );
}

#[test]
fn an_invite_to_silent_targets_ends_when_whoever_called_has_given_up() {
    let mut bench = search(invite(), MOST_TARGETS, forking(Forking::Serial));
    let (begun, seen) = all_silent(&mut bench);
    assert_eq!(seen, ["make 408", "done 408 by us"]);
    // Timer C and 64*T1 are 217 s: one begins at 192 s, none at 224 s.
    assert_eq!(
        (begun, bench.now),
        (7, Time::ZERO + Duration::from_secs(224))
    );
    assert!(bench.context.is_finished() && !bench.has_timers());
}

#[test]
fn all_targets_at_once_are_tried_as_max_breadth_lets_them() {
    let mut bench = search(invite(), MOST_TARGETS, forking(Forking::Simultaneous));
    let (begun, _) = all_silent(&mut bench);
    assert_eq!(
        (begun, bench.now),
        (MOST_TARGETS, Time::ZERO + Duration::from_secs(96))
    );
}

#[test]
fn the_best_of_what_came_is_the_answer_of_a_search_that_takes_too_long() {
    let mut bench = search(invite(), 20, forking(Forking::Serial));
    bench.start();
    assert_eq!(bench.answer(0, 404), ["forward 1 to sip:u1@203.0.113.10"]);
    bench.answer(1, 100);
    bench.pass(217.0);
    // Timer C gave it up, and the next was tried at once.
    assert!(bench.sent.contains_key(&2) && !bench.sent.contains_key(&3));
    assert_eq!(
        bench.fail(2, BranchFailure::Timeout),
        ["up 404 of 0", "done 404 by 0"]
    );
}

#[test]
fn a_caller_who_hears_it_ringing_waits_but_not_for_ever() {
    let options = ProxyOptions {
        final_timeout: Some(Duration::from_secs(60)),
        ..forking(Forking::Serial)
    };
    let mut bench = search(invite(), MOST_TARGETS, options);
    bench.start();
    let mut branch = 0;
    while bench.sent.contains_key(&branch) {
        bench.answer(branch, 180);
        bench.pass(60.0);
        bench.answer(branch, 487);
        branch += 1;
    }
    assert_eq!(
        (branch, bench.now),
        (60, Time::ZERO + Duration::from_secs(3600))
    );
    assert!(bench.context.is_finished() && !bench.has_timers());
}

#[test]
fn another_request_goes_to_nobody_when_its_senders_transaction_is_over() {
    for breadth in ["", "Max-Breadth: 1\n"] {
        let request = request("MESSAGE", "sip:bob@proxy.example", breadth);
        let mut bench = search(request, MOST_TARGETS, forking(Forking::Simultaneous));
        let (begun, seen) = all_silent(&mut bench);
        assert_eq!(begun, if breadth.is_empty() { 60 } else { 1 });
        assert_eq!(seen, ["silence", "done - by us"]);
        assert_eq!(bench.now, Time::ZERO + Duration::from_secs(32));
        assert!(bench.context.is_finished() && !bench.has_timers());
    }
}

#[test]
fn a_redirection_that_comes_too_late_is_the_answer() {
    let options = ProxyOptions {
        follow_redirects: true,
        ..ProxyOptions::default()
    };
    let message = request("MESSAGE", "sip:bob@proxy.example", "");
    let mut bench = search(message, 1, options);
    bench.start();
    bench.pass(32.0);
    let seen = bench.answer_with(0, 302, &[("Contact", "<sip:a@203.0.113.41>")]);
    assert_eq!(seen, ["up 302 of 0", "done 302 by 0"]);
}

#[test]
fn a_6xx_ends_what_is_pending_when_the_search_has_taken_too_long() {
    let request = request("INVITE", "sip:bob@proxy.example", "Max-Breadth: 3\n");
    let mut bench = search(request, 6, forking(Forking::Simultaneous));
    bench.start();
    for branch in 0..3 {
        bench.answer(branch, 100);
    }
    bench.pass(184.0);
    assert_eq!(bench.answer(1, 486), ["forward 3 to sip:u3@203.0.113.10"]);
    assert_eq!(bench.answer(2, 486), ["forward 4 to sip:u4@203.0.113.10"]);
    bench.answer(3, 100);
    bench.answer(4, 100);
    // Timer C ends the first branch; its share comes free when the last is not to be begun any more.
    assert_eq!(bench.pass(38.5), ["cancel 0 Request Timeout", "end 0"]);
    assert_eq!(bench.answer(3, 603), ["cancel 4 Decline"]);
    assert_eq!(bench.answer(4, 487), ["up 603 of 3", "done 603 by 3"]);
    assert!(bench.context.is_finished() && !bench.has_timers());
}
