//! Targets in groups by q: those of equal q at once, the groups in falling order of q, each when the one before has ended.
use super::*;

fn grouped(targets: &[&str]) -> Bench {
    let mut grouped = order(invite(), targets);
    grouped.options.forking = Forking::ByQ;
    grouped.options.follow_redirects = true;
    Bench::new(grouped)
}

const LOW: &str = "<sip:low@203.0.113.1>;q=0.3";
const HIGH: &str = "\"Bob\" <sip:high@203.0.113.2>;q=0.8";
const ALSO_HIGH: &str = "<sip:also@203.0.113.3>;q=0.80";
const FIRST: &str = "sip:first@203.0.113.4";

#[test]
fn equal_q_is_tried_at_once_and_the_groups_follow_in_falling_order() {
    let mut bench = grouped(&[LOW, HIGH, ALSO_HIGH, FIRST]);
    // Without q it is 1. The numbers are those of the targets as given.
    assert_eq!(bench.start(), ["forward 3 to sip:first@203.0.113.4"]);
    assert_eq!(
        bench.answer(3, 486),
        [
            "forward 1 to sip:high@203.0.113.2",
            "forward 2 to sip:also@203.0.113.3"
        ]
    );
    assert_eq!(bench.answer(2, 480), [""; 0]);
    assert_eq!(bench.answer(1, 404), ["forward 0 to sip:low@203.0.113.1"]);
    assert_eq!(bench.answer(0, 486), ["up 486 of 3", "done 486 by 3"]);
    assert!(bench.context.is_finished() && !bench.has_timers());
}

#[test]
fn a_2xx_of_a_group_cancels_its_others_and_the_later_groups_are_not_tried() {
    let mut bench = grouped(&[HIGH, ALSO_HIGH, LOW]);
    bench.start();
    bench.answer(0, 180);
    bench.answer(1, 180);
    assert_eq!(
        bench.answer(1, 200),
        [
            "up 200 of 1",
            "cancel 0 Call completed elsewhere",
            "done 200 by 1"
        ]
    );
    assert_eq!(bench.answer(0, 487), [""; 0]);
    assert!(bench.context.is_finished() && !bench.has_timers());
}

#[test]
fn a_group_that_takes_too_long_is_cancelled_and_the_next_is_tried() {
    let mut timed = order(invite(), &[HIGH, ALSO_HIGH, LOW]);
    timed.options.forking = Forking::ByQ;
    timed.options.provisional_timeout = Some(Duration::from_secs(2));
    timed.options.final_timeout = Some(Duration::from_secs(18));
    let mut bench = Bench::new(timed);
    bench.start();
    bench.answer(0, 180);
    // The one without a sign of life does not end the group.
    assert_eq!(bench.pass(2.0), [""; 0]);
    assert_eq!(
        bench.pass(16.0),
        [
            "cancel 0 Request Timeout",
            "forward 2 to sip:low@203.0.113.1"
        ]
    );
    // Its 2xx crosses the CANCEL: that is the call.
    assert_eq!(bench.answer(2, 180), ["up 180 of 2"]);
    assert_eq!(
        bench.answer(0, 200),
        [
            "up 200 of 0",
            "cancel 2 Call completed elsewhere",
            "done 200 by 0"
        ]
    );
}

#[test]
fn the_contacts_of_a_3xx_take_the_place_of_who_named_them_by_their_own_q() {
    let mut bench = grouped(&[HIGH, ALSO_HIGH, LOW]);
    bench.start();
    let contacts =
        "<sip:a@203.0.113.40>;q=0.2, <sip:b@203.0.113.41>;q=0.5, <sip:c@203.0.113.42>;q=0.5";
    // One of the group still rings: the best of the new ones ring beside it.
    assert_eq!(
        bench.answer_with(0, 302, &[("Contact", contacts)]),
        [
            "forward 3 to sip:b@203.0.113.41",
            "forward 4 to sip:c@203.0.113.42"
        ]
    );
    assert_eq!(bench.answer(3, 486), [""; 0]);
    assert_eq!(bench.answer(4, 486), [""; 0]);
    assert_eq!(bench.answer(1, 486), ["forward 5 to sip:a@203.0.113.40"]);
    assert_eq!(bench.answer(5, 486), ["forward 2 to sip:low@203.0.113.1"]);
}

#[test]
fn in_series_and_at_once_q_says_nothing() {
    let mut bench = Bench::new(order(invite(), &[LOW, HIGH]));
    assert_eq!(bench.start(), ["forward 0 to sip:low@203.0.113.1"]);
    assert_eq!(bench.sent[&0].request_uri(), "sip:low@203.0.113.1");
    let mut at_once = order(invite(), &[LOW, HIGH]);
    at_once.options.forking = Forking::Simultaneous;
    assert_eq!(Bench::new(at_once).start().len(), 2);
}

#[test]
fn an_application_that_gives_up_chooses_the_status_and_every_branch_is_cancelled() {
    let mut bench = grouped(&[HIGH, ALSO_HIGH, LOW]);
    bench.start();
    bench.answer(0, 180);
    assert_eq!(bench.abandon(480), ["cancel 0"]);
    assert_eq!(bench.answer(1, 180), ["cancel 1"]);
    assert_eq!(bench.answer(0, 487), [""; 0]);
    assert_eq!(bench.answer(1, 487), ["make 480", "done 480 by us"]);
    assert!(bench.context.is_finished() && !bench.has_timers());
    // Once more changes nothing.
    assert_eq!(bench.abandon(486), [""; 0]);
}

#[test]
fn a_request_that_cannot_be_cancelled_is_given_up_at_once() {
    let mut bench = Bench::new(order(
        request("MESSAGE", "sip:bob@proxy.example", ""),
        &[FIRST, LOW],
    ));
    bench.start();
    assert_eq!(bench.abandon(480), ["make 480", "done 480 by us"]);
    assert_eq!(bench.answer(0, 200), [""; 0]);
    assert!(bench.context.is_finished() && !bench.has_timers());
}
