//! What goes upstream is the branch's response without our Via; a lone 503 becomes a 500; what no branch sent is made.
use super::*;

fn one() -> Bench {
    let mut bench = Bench::new(order(invite(), &["sip:one@203.0.113.10"]));
    bench.start();
    bench
}

#[test]
fn our_via_is_taken_off_and_the_rest_is_left_as_it_came() {
    let mut bench = one();
    bench.answer_with(
        0,
        200,
        &[("Contact", "<sip:bob@203.0.113.10>"), ("X-Note", "kept")],
    );
    let sent = &bench.upstream[0];
    let vias: Vec<_> = sent
        .values(HeaderName::Via)
        .map(|via| via.into_owned())
        .collect();
    assert_eq!(
        vias,
        ["SIP/2.0/UDP 198.51.100.7:5062;branch=z9hG4bKalice;received=198.51.100.7;rport=5062"]
    );
    assert_eq!(
        sent.named("X-Note")
            .next()
            .map(|field| field.text().into_owned())
            .as_deref(),
        Some("kept")
    );
    assert_eq!(sent.to().unwrap().tag(), Some("bob0"));
}

#[test]
fn a_response_without_a_via_beneath_ours_counts_as_a_502() {
    let mut bench = one();
    let stripped = parse(
        "SIP/2.0 200 OK\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKtest0\nFrom: <sip:alice@a.example>;tag=1\n\
         To: <sip:bob@b.example>;tag=x\nCall-ID: c1\nCSeq: 7 INVITE\nContent-Length: 0\n\n",
    );
    assert_eq!(
        bench.respond(0, (*stripped).clone()),
        ["make 502", "done 502 by us"]
    );
}

#[test]
fn a_lone_503_becomes_a_500_except_in_drachtio_compatible_mode() {
    let mut bench = one();
    assert_eq!(bench.answer(0, 503), ["make 500", "done 500 by us"]);

    let mut compatible = order(invite(), &["sip:one@203.0.113.10"]);
    compatible.drachtio_compatible = true;
    let mut bench = Bench::new(compatible);
    bench.start();
    assert_eq!(bench.answer(0, 503), ["up 503 of 0", "done 503 by 0"]);
}

#[test]
fn a_target_that_cannot_be_reached_is_a_500() {
    assert_eq!(
        one().fail(0, BranchFailure::Transport),
        ["make 500", "done 500 by us"]
    );
    assert_eq!(
        one().fail(0, BranchFailure::Unresolvable),
        ["make 500", "done 500 by us"]
    );
}

#[test]
fn provisional_responses_to_another_method_stay_here() {
    let mut bench = Bench::new(order(
        request("SUBSCRIBE", "sip:bob@proxy.example", ""),
        &["sip:one@203.0.113.10"],
    ));
    bench.start();
    assert_eq!(bench.answer(0, 183), [""; 0]);
    assert_eq!(bench.answer(0, 202), ["up 202 of 0", "done 202 by 0"]);
}

#[test]
fn what_comes_after_the_end_is_absorbed() {
    let mut bench = one();
    bench.answer(0, 486);
    assert_eq!(bench.answer(0, 180), [""; 0]);
    assert_eq!(bench.answer(0, 486), [""; 0]);
    assert_eq!(bench.fail(0, BranchFailure::Timeout), [""; 0]);
    assert_eq!(bench.answer(0, 200), ["up 200 of 0"]);
}
