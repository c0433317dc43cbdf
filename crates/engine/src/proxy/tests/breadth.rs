//! Max-Breadth (RFC 5393 §5): what is pending at one time never has more than the request brought, and 0 is refused with 440.
use super::*;

const TARGETS: [&str; 3] = [
    "sip:a@203.0.113.1",
    "sip:b@203.0.113.2",
    "sip:c@203.0.113.3",
];

fn with(breadth: &str, forking: Forking) -> Bench {
    let mut forked = order(
        request("INVITE", "sip:bob@proxy.example", breadth),
        &TARGETS,
    );
    forked.options.forking = forking;
    Bench::new(forked)
}

fn breadths(bench: &Bench) -> Vec<String> {
    bench
        .sent
        .values()
        .map(|sent| value(sent, HeaderName::MaxBreadth))
        .collect()
}

#[test]
fn sixty_are_shared_when_the_request_says_nothing() {
    let mut bench = with("", Forking::Simultaneous);
    bench.start();
    assert_eq!(breadths(&bench), ["20", "20", "20"]);
    let mut bench = Bench::new(order(invite(), &[TARGETS[0]]));
    bench.start();
    assert_eq!(breadths(&bench), ["60"]);
}

#[test]
fn too_little_for_all_at_once_makes_the_rest_wait() {
    let mut bench = with("Max-Breadth: 2\n", Forking::Simultaneous);
    assert_eq!(
        bench.start(),
        [
            "forward 0 to sip:a@203.0.113.1",
            "forward 1 to sip:b@203.0.113.2"
        ]
    );
    assert_eq!(breadths(&bench), ["1", "1"]);
    assert_eq!(bench.answer(1, 486), ["forward 2 to sip:c@203.0.113.3"]);
    assert_eq!(breadths(&bench), ["1", "1", "1"]);
    bench.answer(0, 486);
    assert_eq!(bench.answer(2, 486), ["up 486 of 1", "done 486 by 1"]);
}

#[test]
fn one_makes_a_series() {
    let mut bench = with("Max-Breadth: 1\n", Forking::Simultaneous);
    assert_eq!(bench.start(), ["forward 0 to sip:a@203.0.113.1"]);
    assert_eq!(bench.answer(0, 486), ["forward 1 to sip:b@203.0.113.2"]);
    assert_eq!(
        bench.answer(1, 200),
        ["up 200 of 1", "done 200 by 1"],
        "the third is not tried"
    );
}

#[test]
fn a_series_keeps_one_for_each_that_may_have_to_start_beside_a_slow_one() {
    let mut bench = with("", Forking::Serial);
    bench.start();
    assert_eq!(breadths(&bench), ["58"]);
    bench.answer(0, 486);
    assert_eq!(breadths(&bench), ["58", "59"]);
}

#[test]
fn a_branch_given_up_keeps_its_share_until_it_ends() {
    let mut timed = order(
        request("INVITE", "sip:bob@proxy.example", "Max-Breadth: 1\n"),
        &TARGETS,
    );
    timed.options.final_timeout = Some(Duration::from_secs(18));
    let mut bench = Bench::new(timed);
    bench.start();
    bench.answer(0, 180);
    assert_eq!(bench.pass(18.0), ["cancel 0 Request Timeout"]);
    assert_eq!(bench.answer(0, 487), ["forward 1 to sip:b@203.0.113.2"]);
}

#[test]
fn zero_is_too_little_for_anything_but_the_ack() {
    let zero = |method| {
        let request = request(method, "sip:bob@proxy.example", "Max-Breadth: 0\n");
        ProxyContext::new(order(request, &TARGETS), &own).map(|_| ())
    };
    for method in ["INVITE", "MESSAGE"] {
        assert_eq!(zero(method).map_err(|it| it.status), Err(Some(440)));
    }
    assert_eq!(zero("ACK"), Ok(()));
}

#[test]
fn an_application_does_not_widen_it() {
    let mut widened = order(
        request("INVITE", "sip:bob@proxy.example", "Max-Breadth: 7\n"),
        &[TARGETS[0]],
    );
    widened.headers = vec![(Bytes::from("Max-Breadth"), Bytes::from("100"))];
    let mut bench = Bench::new(widened);
    bench.start();
    assert_eq!(breadths(&bench), ["7"]);
}
