//! Targets at once: every branch rings, the first 2xx wins and the others are cancelled, and otherwise the best refusal is chosen.
use super::*;

fn three() -> Bench {
    let mut forked = order(
        invite(),
        &[
            "sip:a@203.0.113.1",
            "sip:b@203.0.113.2",
            "sip:c@203.0.113.3",
        ],
    );
    forked.options.forking = Forking::Simultaneous;
    let mut bench = Bench::new(forked);
    let started = [
        "forward 0 to sip:a@203.0.113.1",
        "forward 1 to sip:b@203.0.113.2",
        "forward 2 to sip:c@203.0.113.3",
    ];
    assert_eq!(bench.start(), started);
    bench
}

#[test]
fn the_first_2xx_goes_upstream_and_cancels_the_others() {
    let mut bench = three();
    assert_eq!(bench.answer(0, 180), ["up 180 of 0"]);
    assert_eq!(bench.answer(1, 183), ["up 183 of 1"]);
    // The third has given no provisional response: its CANCEL waits for one (RFC 3261 §9.1).
    let won = [
        "up 200 of 1",
        "cancel 0 Call completed elsewhere",
        "done 200 by 1",
    ];
    assert_eq!(bench.answer(1, 200), won);
    assert!(!bench.context.is_finished());
    assert_eq!(bench.answer(2, 180), ["cancel 2 Call completed elsewhere"]);
    assert_eq!(bench.answer(0, 487), [""; 0]);
    assert_eq!(bench.answer(2, 487), [""; 0]);
    assert!(bench.context.is_finished() && !bench.has_timers());
}

#[test]
fn further_2xx_of_an_invite_go_upstream_as_well() {
    let mut bench = three();
    for branch in 0..3 {
        bench.answer(branch, 180);
    }
    bench.answer(1, 200);
    assert_eq!(bench.answer(0, 200), ["up 200 of 0"]);
    // A repetition of the winner's, and another dialog of a proxy behind it.
    assert_eq!(bench.answer(1, 200), ["up 200 of 1"]);
    assert_eq!(bench.answer(2, 487), [""; 0]);
    assert!(bench.context.is_finished());
}

#[test]
fn refusals_are_collected_until_the_last_branch_ends() {
    let mut bench = three();
    assert_eq!(bench.answer(0, 486), [""; 0]);
    assert_eq!(bench.answer(1, 500), [""; 0]);
    assert_eq!(bench.answer(2, 484), ["up 484 of 2", "done 484 by 2"]);
}

#[test]
fn a_6xx_cancels_the_others_and_goes_upstream_when_they_have_ended() {
    let mut bench = three();
    bench.answer(0, 180);
    assert_eq!(bench.answer(1, 603), ["cancel 0 Decline"]);
    assert_eq!(bench.answer(2, 100), ["cancel 2 Decline"]);
    assert_eq!(bench.answer(0, 487), [""; 0]);
    assert_eq!(bench.answer(2, 487), ["up 603 of 1", "done 603 by 1"]);
}

#[test]
fn a_2xx_that_crosses_the_cancel_of_a_6xx_wins() {
    let mut bench = three();
    bench.answer(0, 180);
    bench.answer(1, 603);
    bench.answer(2, 486);
    assert_eq!(bench.answer(0, 200), ["up 200 of 0", "done 200 by 0"]);
    assert!(bench.context.is_finished() && !bench.has_timers());
}

#[test]
fn the_challenges_of_all_branches_go_into_the_chosen_one() {
    let mut bench = three();
    bench.answer_with(
        0,
        407,
        &[("Proxy-Authenticate", "Digest realm=\"a\", nonce=\"1\"")],
    );
    bench.answer_with(
        1,
        401,
        &[("WWW-Authenticate", "Digest realm=\"b\", nonce=\"2\"")],
    );
    let chosen = bench.answer_with(
        2,
        407,
        &[("Proxy-Authenticate", "Digest realm=\"c\", nonce=\"3\"")],
    );
    assert_eq!(chosen, ["up 401 of 1", "done 401 by 1"]);
    let sent = &bench.upstream[0];
    assert_eq!(
        value(sent, HeaderName::WwwAuthenticate),
        "Digest realm=\"b\", nonce=\"2\""
    );
    assert_eq!(
        value(sent, HeaderName::ProxyAuthenticate),
        "Digest realm=\"a\", nonce=\"1\" | Digest realm=\"c\", nonce=\"3\""
    );
}

#[test]
fn a_branch_that_is_not_sent_yet_is_forgotten_and_not_cancelled() {
    let mut forked = order(invite(), &["sip:a@203.0.113.1", "sip:slow.example"]);
    forked.options.forking = Forking::Simultaneous;
    let mut bench = Bench::new(forked);
    bench.resolves = false;
    bench.start();
    assert!(bench.resolved(0));
    assert_eq!(
        bench.answer(0, 200),
        ["up 200 of 0", "end 1", "done 200 by 0"]
    );
    assert!(!bench.resolved(1));
    assert!(bench.context.is_finished());
}

#[test]
fn a_2xx_to_another_method_ends_the_search_and_nothing_is_cancelled() {
    let mut forked = order(
        request("MESSAGE", "sip:bob@proxy.example", ""),
        &["sip:a@203.0.113.1", "sip:b@203.0.113.2"],
    );
    forked.options.forking = Forking::Simultaneous;
    let mut bench = Bench::new(forked);
    bench.start();
    assert_eq!(bench.answer(0, 200), ["up 200 of 0", "done 200 by 0"]);
    assert_eq!(bench.answer(1, 200), [""; 0]);
    assert!(bench.context.is_finished());
}
