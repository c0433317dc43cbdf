//! The whole table of the offer/answer machine: each state, each message, from each side, with and without a description.
use super::*;
use By::{Accepted, Invite, Prack, Provisional, Update};
use Offer::{Due, Offered, Stable};
use Side::{Peer, We};

const SIDES: [Side; 2] = [We, Peer];
const CARRIERS: [Carrier; 9] = [
    Carrier::Invite,
    Carrier::Provisional,
    Carrier::Accepted,
    Carrier::Refused,
    Carrier::Ack,
    Carrier::Prack,
    Carrier::PrackDone,
    Carrier::Update,
    Carrier::UpdateDone,
];

/// Who sends what, and whether with a description.
type Step = (Side, Carrier, bool);

fn states() -> Vec<Offer> {
    let mut states = vec![Stable];
    for side in SIDES {
        states.push(Due(side));
        for by in [Invite, Provisional, Accepted, Prack, Update] {
            states.push(Offered(side, by));
        }
    }
    states
}

/// The flows of RFC 6337 §2.2, table 1, and RFC 3311: each is an offer, its answer, and nothing open after it.
#[test]
fn every_pattern_of_rfc_6337_opens_and_closes_an_exchange() {
    for one in SIDES {
        let other = one.other();
        let patterns: [(&[Step], Offer, Step); 6] = [
            // 1. INVITE offers, the 2xx answers.
            (
                &[(one, Carrier::Invite, true)],
                Offered(one, Invite),
                (other, Carrier::Accepted, true),
            ),
            // 2. INVITE without: the 2xx offers, the ACK answers.
            (
                &[
                    (one, Carrier::Invite, false),
                    (other, Carrier::Accepted, true),
                ],
                Offered(other, Accepted),
                (one, Carrier::Ack, true),
            ),
            // 3. INVITE offers, a reliable provisional response answers.
            (
                &[(one, Carrier::Invite, true)],
                Offered(one, Invite),
                (other, Carrier::Provisional, true),
            ),
            // 4. INVITE without: a reliable provisional response offers, the PRACK answers.
            (
                &[
                    (one, Carrier::Invite, false),
                    (other, Carrier::Provisional, true),
                ],
                Offered(other, Provisional),
                (one, Carrier::Prack, true),
            ),
            // 5. The PRACK offers, its 2xx answers.
            (
                &[
                    (one, Carrier::Invite, true),
                    (other, Carrier::Provisional, true),
                    (one, Carrier::Prack, true),
                ],
                Offered(one, Prack),
                (other, Carrier::PrackDone, true),
            ),
            // 6. UPDATE offers, its 2xx answers.
            (
                &[(one, Carrier::Update, true)],
                Offered(one, Update),
                (other, Carrier::UpdateDone, true),
            ),
        ];
        for (opening, open, (from, carrier, describes)) in patterns {
            let mut state = Stable;
            for (from, carrier, describes) in opening {
                assert_eq!(
                    state.check(*from, *carrier, *describes),
                    Ok(()),
                    "{carrier:?} in {state:?}"
                );
                state = state.after(*from, *carrier, *describes);
            }
            assert_eq!(state, open);
            assert_eq!(
                state.after(from, carrier, describes),
                Stable,
                "{carrier:?} answers {open:?}"
            );
        }
    }
}

/// What each state lets through: the columns are INVITE, UPDATE and PRACK, without and with a description, from us.
#[test]
fn one_offer_at_a_time() {
    let (ours, theirs) = (Err(Clash::Ours), Err(Clash::Theirs));
    for state in states() {
        let check = |carrier, describes| state.check(We, carrier, describes);
        let seen = [
            check(Carrier::Invite, false),
            check(Carrier::Invite, true),
            check(Carrier::Update, false),
            check(Carrier::Update, true),
            check(Carrier::Prack, false),
            check(Carrier::Prack, true),
        ];
        let expected = match state {
            Stable => [Ok(()); 6],
            // The answer to the offer of the peer's provisional response.
            Offered(Peer, Provisional) => [theirs, theirs, Ok(()), theirs, Ok(()), Ok(())],
            Due(We) | Offered(Peer, _) => [theirs, theirs, Ok(()), theirs, Ok(()), theirs],
            Due(Peer) | Offered(We, _) => [ours, ours, Ok(()), ours, Ok(()), ours],
        };
        assert_eq!(seen, expected, "{state:?}");
    }
}

/// The other side's view of a state, in which nothing but the names differ.
fn mirrored(state: Offer) -> Offer {
    match state {
        Stable => Stable,
        Due(side) => Due(side.other()),
        Offered(side, by) => Offered(side.other(), by),
    }
}

#[test]
fn both_ends_see_the_same() {
    for state in states() {
        for carrier in CARRIERS {
            for from in SIDES {
                for describes in [false, true] {
                    let here = state.after(from, carrier, describes);
                    let there = mirrored(state).after(from.other(), carrier, describes);
                    assert_eq!(
                        mirrored(here),
                        there,
                        "{carrier:?} from {from:?} in {state:?}"
                    );
                    let refused = state.check(from, carrier, describes).err();
                    let refused_there = mirrored(state)
                        .check(from.other(), carrier, describes)
                        .err();
                    let swapped = refused.map(|clash| match clash {
                        Clash::Ours => Clash::Theirs,
                        Clash::Theirs => Clash::Ours,
                    });
                    assert_eq!(swapped, refused_there);
                }
            }
        }
    }
}

/// The full table from our side: what every message that we send makes of every state. What is not listed changes nothing.
#[test]
fn every_transition() {
    for state in states() {
        for carrier in CARRIERS {
            for describes in [false, true] {
                let expected = match (carrier, describes, state) {
                    (Carrier::Invite, true, _) => Offered(We, Invite),
                    (Carrier::Invite, false, _) => Due(Peer),
                    (Carrier::Provisional, true, Offered(Peer, Invite)) => Stable,
                    (Carrier::Provisional, true, Due(We)) => Offered(We, Provisional),
                    (Carrier::Accepted, _, Offered(Peer, Invite)) => Stable,
                    (Carrier::Accepted, true, Due(We)) => Offered(We, Accepted),
                    (Carrier::Accepted, false, Due(We)) => Stable,
                    (Carrier::Refused, _, Due(_)) => Stable,
                    (Carrier::Refused, _, Offered(_, Invite | Provisional | Accepted)) => Stable,
                    // Ours is of our INVITE.
                    (Carrier::Ack, _, Due(Peer) | Offered(We, Invite)) => Stable,
                    (Carrier::Ack, _, Offered(Peer, Provisional | Accepted)) => Stable,
                    (Carrier::Prack, _, Offered(Peer, Provisional)) => Stable,
                    (Carrier::Prack, true, Stable | Due(_)) => Offered(We, Prack),
                    (Carrier::PrackDone, _, Offered(Peer, Prack)) => Stable,
                    (Carrier::Update, true, Stable) => Offered(We, Update),
                    (Carrier::UpdateDone, _, Offered(Peer, Update)) => Stable,
                    (_, _, same) => same,
                };
                assert_eq!(
                    state.after(We, carrier, describes),
                    expected,
                    "{carrier:?}, description {describes}, in {state:?}"
                );
            }
        }
    }
}

#[test]
fn a_description_is_found_by_its_type_in_a_part_or_by_its_first_line() {
    let sdp = b"v=0\r\n";
    assert!(describes_session(Some(b"application/sdp"), sdp));
    assert!(describes_session(
        Some(b" Application/SDP;charset=utf-8"),
        sdp
    ));
    assert!(describes_session(None, sdp));
    let parts = b"--x\r\nContent-Type: Application/sdp\r\n\r\nv=0\r\n--x--";
    assert!(describes_session(
        Some(b"multipart/mixed;boundary=x"),
        parts
    ));
    assert!(!describes_session(
        Some(b"multipart/mixed;boundary=x"),
        b"--x--"
    ));
    assert!(!describes_session(Some(b"application/sdp"), b""));
    assert!(!describes_session(Some(b"text/plain"), sdp));
    assert!(!describes_session(None, b"hello"));
}

#[test]
fn a_dialog_pays_a_few_bytes() {
    assert!(size_of::<Offer>() <= 3, "{}", size_of::<Offer>());
}
