//! A 3xx goes upstream unless it is to be followed; then its Contacts are tried next, the highest q first, none of them twice.
use super::*;

fn following(targets: &[&str], forking: Forking) -> Bench {
    let mut following = order(invite(), targets);
    following.options.follow_redirects = true;
    following.options.forking = forking;
    let mut bench = Bench::new(following);
    bench.start();
    bench
}

#[test]
fn a_3xx_goes_upstream_when_it_is_not_to_be_followed() {
    let mut bench = Bench::new(order(invite(), &["sip:one@203.0.113.10"]));
    bench.start();
    let seen = bench.answer_with(0, 302, &[("Contact", "<sip:moved@203.0.113.40>")]);
    assert_eq!(seen, ["up 302 of 0", "done 302 by 0"]);
    assert_eq!(
        value(&bench.upstream[0], HeaderName::Contact),
        "<sip:moved@203.0.113.40>"
    );
}

#[test]
fn contacts_are_tried_by_q_right_after_the_target_that_named_them() {
    let mut bench = following(
        &["sip:one@203.0.113.10", "sip:two@203.0.113.20"],
        Forking::Serial,
    );
    let contacts = "<sip:low@203.0.113.41>;q=0.2, <sip:high@203.0.113.42>;q=0.9";
    assert_eq!(
        bench.answer_with(0, 302, &[("Contact", contacts)]),
        ["forward 2 to sip:high@203.0.113.42"]
    );
    assert_eq!(bench.answer(2, 486), ["forward 3 to sip:low@203.0.113.41"]);
    assert_eq!(bench.answer(3, 486), ["forward 1 to sip:two@203.0.113.20"]);
    assert_eq!(bench.answer(1, 200), ["up 200 of 1", "done 200 by 1"]);
    assert_eq!(bench.sent[&2].request_uri(), "sip:high@203.0.113.42");
}

#[test]
fn with_simultaneous_targets_the_new_ones_start_at_once() {
    let mut bench = following(
        &["sip:one@203.0.113.10", "sip:two@203.0.113.20"],
        Forking::Simultaneous,
    );
    let contacts = "<sip:a@203.0.113.41>, <sip:b@203.0.113.42>";
    let seen = bench.answer_with(1, 302, &[("Contact", contacts)]);
    assert_eq!(
        seen,
        [
            "forward 2 to sip:a@203.0.113.41",
            "forward 3 to sip:b@203.0.113.42"
        ]
    );
}

#[test]
fn a_target_is_not_tried_twice_and_a_3xx_that_names_none_goes_upstream() {
    let mut bench = following(&["sip:one@203.0.113.10"], Forking::Serial);
    let seen = bench.answer_with(0, 302, &[("Contact", "<sip:one@203.0.113.10>")]);
    assert_eq!(seen, ["up 302 of 0", "done 302 by 0"]);
}

#[test]
fn headers_and_method_of_a_contact_do_not_enter_the_request_uri() {
    let mut bench = following(&["sip:one@203.0.113.10"], Forking::Serial);
    let contact = "<sip:x@203.0.113.41;method=BYE;transport=tcp?Replaces=abc>";
    let seen = bench.answer_with(0, 302, &[("Contact", contact)]);
    assert_eq!(seen, ["forward 1 to sip:x@203.0.113.41;transport=tcp"]);
}

#[test]
fn a_sips_request_is_not_redirected_to_sip() {
    let mut secure = order(
        request("INVITE", "sips:bob@proxy.example", ""),
        &["sips:one@203.0.113.10"],
    );
    secure.options.follow_redirects = true;
    let mut bench = Bench::new(secure);
    bench.start();
    let contacts = "<sip:plain@203.0.113.41>, <sips:secure@203.0.113.42>";
    assert_eq!(
        bench.answer_with(0, 302, &[("Contact", contacts)]),
        ["forward 1 to sips:secure@203.0.113.42"]
    );
}

#[test]
fn an_endless_chain_of_redirections_ends() {
    let mut bench = following(&["sip:u0@203.0.113.10"], Forking::Serial);
    let mut branch = 0;
    loop {
        let contact = format!("<sip:u{}@203.0.113.10>", branch + 1);
        let seen = bench.answer_with(branch, 302, &[("Contact", &contact)]);
        if seen[0].starts_with("up 302") {
            break;
        }
        branch += 1;
        assert!(branch < 100, "the chain goes on");
    }
    assert_eq!(branch, 16);
    assert!(bench.context.is_finished() && !bench.has_timers());
}
