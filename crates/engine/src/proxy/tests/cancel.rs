//! A caller's CANCEL reaches every branch, 487 goes upstream when they have ended, and a 2xx that was quicker still arrives.
use super::*;

fn two() -> Bench {
    let mut forked = order(invite(), &["sip:a@203.0.113.1", "sip:b@203.0.113.2"]);
    forked.options.forking = Forking::Simultaneous;
    let mut bench = Bench::new(forked);
    bench.start();
    bench
}

#[test]
fn every_branch_is_cancelled_and_487_goes_upstream_at_the_end() {
    let mut bench = two();
    bench.answer(0, 180);
    bench.answer(1, 100);
    assert_eq!(bench.cancel(), ["cancel 0", "cancel 1"]);
    assert_eq!(bench.answer(0, 487), [""; 0]);
    assert_eq!(bench.answer(1, 487), ["up 487 of 0", "done 487 by 0"]);
    assert!(bench.context.is_finished() && !bench.has_timers());
}

#[test]
fn a_branch_without_a_provisional_response_is_cancelled_when_one_comes() {
    let mut bench = two();
    bench.answer(0, 180);
    assert_eq!(bench.cancel(), ["cancel 0"]);
    bench.answer(0, 487);
    // The 180 is not forwarded any more.
    assert_eq!(bench.answer(1, 180), ["cancel 1"]);
    assert_eq!(bench.answer(1, 487), ["up 487 of 0", "done 487 by 0"]);
}

#[test]
fn another_refusal_becomes_487() {
    let mut bench = two();
    bench.answer(0, 486);
    bench.cancel();
    assert_eq!(
        bench.fail(1, BranchFailure::Timeout),
        ["make 487", "done 487 by us"]
    );
}

#[test]
fn a_2xx_that_crosses_the_cancel_goes_upstream() {
    let mut bench = two();
    bench.answer(0, 180);
    bench.answer(1, 180);
    bench.cancel();
    assert_eq!(bench.answer(1, 200), ["up 200 of 1", "done 200 by 1"]);
    assert_eq!(bench.answer(0, 487), [""; 0]);
    assert!(bench.context.is_finished());
}

#[test]
fn untried_targets_are_not_tried_any_more() {
    let mut bench = Bench::new(order(invite(), &["sip:a@203.0.113.1", "sip:b@203.0.113.2"]));
    bench.start();
    bench.answer(0, 180);
    assert_eq!(bench.cancel(), ["cancel 0"]);
    assert_eq!(bench.answer(0, 487), ["up 487 of 0", "done 487 by 0"]);
}

#[test]
fn a_search_that_was_not_sent_yet_ends_at_once() {
    let mut bench = Bench::new(order(invite(), &["sip:slow.example"]));
    bench.resolves = false;
    bench.start();
    assert_eq!(bench.cancel(), ["end 0", "make 487", "done 487 by us"]);
    assert!(bench.context.is_finished() && !bench.has_timers());
}

#[test]
fn a_cancelled_branch_that_never_ends_is_forgotten_after_64_t1() {
    let mut bench = two();
    bench.answer(0, 180);
    bench.answer(1, 486);
    assert_eq!(bench.cancel(), ["cancel 0"]);
    assert_eq!(bench.pass(31.9), [""; 0]);
    assert_eq!(bench.pass(0.2), ["end 0", "make 487", "done 487 by us"]);
    assert!(bench.context.is_finished() && !bench.has_timers());
}

#[test]
fn the_reason_of_the_caller_is_passed_on() {
    let mut bench = two();
    bench.answer(0, 180);
    let mut effects = Effects::new();
    bench.context.on_cancelled(
        bench.now,
        Some("SIP;cause=200;text=\"Call completed elsewhere\""),
        &mut effects,
    );
    let Some(Effect::CancelBranch { reason, .. }) = effects
        .iter()
        .find(|effect| matches!(effect, Effect::CancelBranch { .. }))
    else {
        panic!("no CANCEL in {effects:?}")
    };
    assert_eq!(
        reason.header_value().as_deref(),
        Some("SIP;cause=200;text=\"Call completed elsewhere\"")
    );
}

#[test]
fn a_cancel_after_the_final_response_changes_nothing() {
    let mut bench = Bench::new(order(invite(), &["sip:a@203.0.113.1"]));
    bench.start();
    bench.answer(0, 200);
    assert_eq!(bench.cancel(), [""; 0]);
}
