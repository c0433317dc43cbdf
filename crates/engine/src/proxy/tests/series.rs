//! Targets in series: the next one is tried when the one before it has refused, and the best refusal goes upstream at the end.
use super::*;

fn two() -> Bench {
    Bench::new(order(
        invite(),
        &["sip:one@203.0.113.10", "sip:two@203.0.113.20"],
    ))
}

#[test]
fn the_second_target_is_tried_after_the_first_refused() {
    let mut bench = two();
    assert_eq!(bench.start(), ["forward 0 to sip:one@203.0.113.10"]);
    assert_eq!(bench.answer(0, 100), [""; 0]);
    assert_eq!(bench.answer(0, 180), ["up 180 of 0"]);
    assert_eq!(bench.answer(0, 486), ["forward 1 to sip:two@203.0.113.20"]);
    assert_eq!(bench.answer(1, 200), ["up 200 of 1", "done 200 by 1"]);
    assert_eq!(bench.sent[&0].request_uri(), "sip:one@203.0.113.10");
    assert_eq!(bench.sent[&1].request_uri(), "sip:two@203.0.113.20");
    assert!(bench.context.is_finished() && !bench.has_timers());
}

#[test]
fn when_all_refuse_the_best_refusal_goes_upstream_once() {
    let mut bench = two();
    bench.start();
    assert_eq!(bench.answer(0, 404), ["forward 1 to sip:two@203.0.113.20"]);
    assert_eq!(bench.answer(1, 500), ["up 404 of 0", "done 404 by 0"]);
    assert_eq!(bench.upstream.len(), 1);
    assert!(bench.context.is_finished() && !bench.has_timers());
}

#[test]
fn a_6xx_ends_the_series() {
    let mut bench = two();
    bench.start();
    assert_eq!(bench.answer(0, 603), ["up 603 of 0", "done 603 by 0"]);
    assert!(bench.context.is_finished());
}

#[test]
fn a_challenge_ends_the_series_in_drachtio_compatible_mode_only() {
    let mut bench = two();
    bench.start();
    assert_eq!(bench.answer(0, 407), ["forward 1 to sip:two@203.0.113.20"]);

    let mut compatible = order(invite(), &["sip:one@203.0.113.10", "sip:two@203.0.113.20"]);
    compatible.drachtio_compatible = true;
    let mut bench = Bench::new(compatible);
    bench.start();
    assert_eq!(bench.answer(0, 407), ["up 407 of 0", "done 407 by 0"]);
}

#[test]
fn a_target_that_cannot_be_reached_counts_as_refused() {
    let mut bench = two();
    bench.start();
    assert_eq!(
        bench.fail(0, BranchFailure::Transport),
        ["forward 1 to sip:two@203.0.113.20"]
    );
    assert_eq!(
        bench.fail(1, BranchFailure::Timeout),
        ["make 408", "done 408 by us"]
    );
    assert!(bench.context.is_finished() && !bench.has_timers());
}

#[test]
fn no_target_is_tried_twice() {
    let mut bench = Bench::new(order(
        invite(),
        &[
            "sip:one@203.0.113.10",
            "sip:one@203.0.113.10",
            "SIP:one@203.0.113.10",
        ],
    ));
    bench.start();
    assert_eq!(bench.answer(0, 486), ["up 486 of 0", "done 486 by 0"]);
}

#[test]
fn every_response_but_100_is_reported_until_the_end_when_asked_for() {
    let mut reported = order(
        invite(),
        &[
            "sip:one@203.0.113.10",
            "sip:two@203.0.113.20",
            "sip:three@203.0.113.30",
        ],
    );
    reported.options.report_responses = true;
    let mut bench = Bench::new(reported);
    bench.start();
    assert_eq!(bench.answer(0, 100), [""; 0]);
    assert_eq!(bench.answer(0, 180), ["report 180 of 0", "up 180 of 0"]);
    assert_eq!(
        bench.answer(0, 486),
        ["report 486 of 0", "forward 1 to sip:two@203.0.113.20"]
    );
    assert_eq!(
        bench.fail(1, BranchFailure::Timeout),
        [
            "report 408 of 1 (made)",
            "forward 2 to sip:three@203.0.113.30"
        ]
    );
    assert_eq!(
        bench.answer(2, 200),
        ["report 200 of 2", "up 200 of 2", "done 200 by 2"]
    );
    assert_eq!(bench.answer(2, 200), ["up 200 of 2"]);
}

#[test]
fn without_a_command_nothing_is_reported() {
    let mut silent = order(invite(), &["sip:one@203.0.113.10"]);
    silent.command = None;
    silent.options.report_responses = true;
    let mut bench = Bench::new(silent);
    bench.start();
    assert_eq!(bench.answer(0, 200), ["up 200 of 0"]);
}
