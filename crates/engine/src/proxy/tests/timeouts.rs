//! A branch that takes too long is given up and cancelled, the next is tried at once, and no timer is left behind.
use super::*;

fn timed(targets: &[&str], provisional: Option<u64>, last: Option<u64>) -> Bench {
    let mut timed = order(invite(), targets);
    timed.options.provisional_timeout = provisional.map(Duration::from_secs);
    timed.options.final_timeout = last.map(Duration::from_secs);
    let mut bench = Bench::new(timed);
    bench.start();
    bench
}

const ONE: &str = "sip:one@203.0.113.10";
const TWO: &str = "sip:two@203.0.113.20";

#[test]
fn a_target_without_a_sign_of_life_is_left_for_the_next() {
    let mut bench = timed(&[ONE, TWO], Some(2), None);
    assert_eq!(bench.pass(1.9), [""; 0]);
    assert_eq!(bench.pass(0.2), ["forward 1 to sip:two@203.0.113.20"]);
    assert_eq!(bench.answer(1, 180), ["up 180 of 1"]);
    // It wakes up: cancelled, and its 180 does not reach the caller.
    assert_eq!(bench.answer(0, 180), ["cancel 0 Request Timeout"]);
    assert_eq!(bench.answer(0, 487), [""; 0]);
    assert_eq!(bench.answer(1, 200), ["up 200 of 1", "done 200 by 1"]);
    assert!(bench.context.is_finished() && !bench.has_timers());
}

#[test]
fn a_100_is_a_sign_of_life() {
    let mut bench = timed(&[ONE, TWO], Some(2), None);
    bench.answer(0, 100);
    assert_eq!(bench.pass(10.0), [""; 0]);
}

#[test]
fn the_last_target_without_a_sign_of_life_ends_the_search_with_408() {
    let mut bench = timed(&[ONE], Some(2), None);
    assert_eq!(bench.pass(2.0), ["make 408", "done 408 by us"]);
    // The client transaction still runs: a late 2xx is a call, and goes upstream (RFC 3261 §16.7 item 5).
    assert!(!bench.context.is_finished());
    assert_eq!(bench.answer(0, 200), ["up 200 of 0"]);
    assert!(bench.context.is_finished() && !bench.has_timers());
}

#[test]
fn a_target_that_rings_too_long_is_cancelled_and_the_next_is_tried() {
    let mut bench = timed(&[ONE, TWO], Some(2), Some(18));
    bench.answer(0, 180);
    assert_eq!(bench.pass(17.9), [""; 0]);
    assert_eq!(
        bench.pass(0.2),
        [
            "cancel 0 Request Timeout",
            "forward 1 to sip:two@203.0.113.20"
        ]
    );
    assert_eq!(bench.answer(0, 487), [""; 0]);
    assert_eq!(bench.answer(1, 486), ["up 486 of 1", "done 486 by 1"]);
}

#[test]
fn a_2xx_that_crosses_the_cancel_of_a_timeout_is_the_answer() {
    let mut bench = timed(&[ONE], None, Some(18));
    bench.answer(0, 180);
    assert_eq!(bench.pass(18.0), ["cancel 0 Request Timeout"]);
    assert_eq!(bench.answer(0, 200), ["up 200 of 0", "done 200 by 0"]);
    assert!(bench.context.is_finished() && !bench.has_timers());
}

#[test]
fn a_target_that_does_not_even_end_by_cancel_holds_the_answer_up_for_t4_only() {
    let mut bench = timed(&[ONE], None, Some(18));
    bench.answer(0, 180);
    bench.pass(18.0);
    assert_eq!(bench.pass(5.0), ["make 408", "done 408 by us"]);
    assert!(!bench.context.is_finished());
    assert_eq!(bench.pass(32.0), ["end 0"]);
    assert!(bench.context.is_finished() && !bench.has_timers());
}

#[test]
fn a_refusal_after_the_timeout_does_not_count() {
    let mut bench = timed(&[ONE], None, Some(18));
    bench.answer(0, 180);
    bench.pass(18.0);
    assert_eq!(bench.answer(0, 487), ["make 408", "done 408 by us"]);
}

#[test]
fn timer_c_ends_a_branch_that_rings_for_ever_and_each_provisional_response_resets_it() {
    let mut bench = timed(&[ONE], None, None);
    bench.answer(0, 180);
    assert_eq!(bench.pass(184.0), [""; 0]);
    assert_eq!(bench.answer(0, 180), ["up 180 of 0"]);
    assert_eq!(bench.pass(184.0), [""; 0]);
    // A 100 does not (RFC 3261 §16.7 item 2).
    assert_eq!(bench.answer(0, 100), [""; 0]);
    assert_eq!(bench.pass(2.0), ["cancel 0 Request Timeout"]);
    assert_eq!(bench.answer(0, 487), ["make 408", "done 408 by us"]);
}

#[test]
fn timer_c_counts_as_408_when_the_branch_gave_no_sign() {
    let mut bench = timed(&[ONE], None, None);
    assert_eq!(bench.pass(185.0), ["make 408", "done 408 by us"]);
    assert_eq!(bench.fail(0, BranchFailure::Timeout), [""; 0]);
    assert!(bench.context.is_finished());
}

#[test]
fn a_name_that_takes_too_long_to_resolve_is_forgotten() {
    let mut slow = order(invite(), &["sip:slow.example", TWO]);
    slow.options.provisional_timeout = Some(Duration::from_secs(2));
    let mut bench = Bench::new(slow);
    bench.resolves = false;
    bench.start();
    assert_eq!(
        bench.pass(2.0),
        ["end 0", "forward 1 to sip:two@203.0.113.20"]
    );
    assert!(!bench.resolved(0));
}

#[test]
fn the_timeouts_hold_for_other_methods_but_nothing_is_cancelled() {
    let mut message = order(request("MESSAGE", "sip:bob@proxy.example", ""), &[ONE, TWO]);
    message.options.provisional_timeout = Some(Duration::from_secs(2));
    let mut bench = Bench::new(message);
    bench.start();
    assert_eq!(bench.pass(2.0), ["forward 1 to sip:two@203.0.113.20"]);
    assert_eq!(bench.answer(0, 200), ["up 200 of 0", "done 200 by 0"]);
}

#[test]
fn a_request_other_than_invite_that_times_out_is_not_answered() {
    for statuses in [true, false] {
        let mut bench = Bench::new(order(
            request("OPTIONS", "sip:bob@proxy.example", ""),
            &[ONE],
        ));
        bench.start();
        let seen = if statuses {
            bench.fail(0, BranchFailure::Timeout)
        } else {
            bench.answer(0, 408)
        };
        assert_eq!(seen, ["silence", "done - by us"]);
        assert!(bench.context.is_finished() && !bench.has_timers());
    }
}
