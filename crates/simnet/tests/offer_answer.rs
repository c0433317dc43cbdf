//! Every pattern of RFC 6337 §2.2, table 1, message by message: while an offer is open no other one passes, and when it is
//! answered or void either side may offer again.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
use engine::command::{Command, Respond};
use engine::event::{CommandError, Request};
use engine::id::{DialogId, TransactionId};
use simnet::actions::{SDP, draft};
use simnet::{Faults, HostId, World};
use sip::Method;

/// A call in the making: who, and what has come of it so far.
struct Call {
    world: World,
    alice: HostId,
    bob: HostId,
    /// The INVITE at Bob's.
    server: TransactionId,
    here: Option<DialogId>,
    there: Option<DialogId>,
}

impl Call {
    /// Alice invites Bob, with an offer or without.
    fn invited(body: &[u8]) -> Call {
        let mut world = World::new(60, Faults::none());
        let [alice, bob] = [world.host("alice"), world.host("bob")];
        let headers = [("Supported", "100rel")];
        world.act(alice, |actions| {
            actions.send(Method::Invite, &bob.uri("bob"), &headers, body)
        });
        world.sent(alice);
        let server = world.request(bob).transaction;
        let (here, there) = (None, None);
        Call {
            world,
            alice,
            bob,
            server,
            here,
            there,
        }
    }

    /// Bob answers the INVITE; 1xx responses are reliable if `reliable`.
    fn respond(&mut self, status: u16, reliable: bool, body: &[u8]) {
        let require: &[(&str, &str)] = if reliable {
            &[("Require", "100rel")]
        } else {
            &[]
        };
        let (transaction, draft) = (self.server, draft(require, body));
        self.world.act(self.bob, |actions| {
            actions.command(|id| {
                Command::Respond(Respond {
                    id,
                    transaction,
                    status,
                    reason: String::new(),
                    draft,
                })
            })
        });
        self.there = self.world.sent(self.bob).dialog;
        let response = self.world.response(self.alice);
        assert_eq!(response.message.status(), status);
        assert_eq!(response.message.body(), body);
        self.here = response.dialog;
    }

    /// One side sends a request with this body; gives it as the other side got it.
    fn send(&mut self, from_alice: bool, method: Method, body: &[u8]) -> Request {
        let (from, dialog, to) = self.ends(from_alice);
        self.world.act(from, |actions| {
            actions.send_in(dialog, method.clone(), body)
        });
        self.world.sent(from);
        let request = self.world.request(to);
        assert_eq!(
            (request.message.method(), request.message.body()),
            (method, body)
        );
        request
    }

    /// The other side answers it.
    fn answer(&mut self, from_alice: bool, request: &Request, status: u16, body: &[u8]) {
        let (from, _, to) = self.ends(from_alice);
        self.world.act(from, |actions| {
            actions.respond(request.transaction, status, body)
        });
        self.world.sent(from);
        let response = self.world.response(to);
        assert_eq!(
            (response.message.status(), response.message.body()),
            (status, body)
        );
    }

    fn ends(&self, from_alice: bool) -> (HostId, DialogId, HostId) {
        if from_alice {
            (self.alice, self.here.unwrap(), self.bob)
        } else {
            (self.bob, self.there.unwrap(), self.alice)
        }
    }

    /// An UPDATE with an offer finds the exchange closed, from either side.
    fn is_stable(&mut self) {
        for from_alice in [true, false] {
            let update = self.send(from_alice, Method::Update, SDP);
            self.answer(!from_alice, &update, 200, SDP);
        }
    }

    /// An UPDATE with an offer is refused to the application, on either side; one without passes.
    fn is_open(&mut self) {
        self.is_open_while(None);
    }

    /// The same, where an UPDATE of one side is unanswered: another of that side's gets 500 (RFC 3311 §5.2).
    fn is_open_while(&mut self, updating: Option<bool>) {
        for from_alice in [true, false] {
            let (from, dialog, _) = self.ends(from_alice);
            self.world
                .act(from, |actions| actions.send_in(dialog, Method::Update, SDP));
            let error = self.world.failed(from).error;
            assert!(
                matches!(error, CommandError::RequestPending(_)),
                "{error:?}"
            );
            if updating == Some(from_alice) {
                self.world
                    .act(from, |actions| actions.send_in(dialog, Method::Update, b""));
                self.world.sent(from);
                assert_eq!(self.world.response(from).message.status(), 500);
                continue;
            }
            let update = self.send(from_alice, Method::Update, b"");
            self.answer(!from_alice, &update, 200, b"");
        }
    }

    /// Alice acknowledges, and hangs up.
    fn finish(mut self, body: &[u8]) {
        self.acknowledge(body);
        self.is_stable();
        self.hang_up();
    }

    fn acknowledge(&mut self, body: &[u8]) {
        let ack = self.send(true, Method::Ack, body);
        assert_eq!(ack.transaction, self.server);
    }

    fn hang_up(mut self) {
        self.world.hang_up(self.alice, self.here.unwrap(), self.bob);
        self.world.rest();
    }
}

#[test]
fn pattern_1_the_invite_offers_and_the_2xx_answers() {
    let mut call = Call::invited(SDP);
    call.respond(180, false, b"");
    call.is_open();
    call.respond(200, false, SDP);
    call.finish(b"");
}

#[test]
fn a_description_in_an_unreliable_response_is_a_preview_and_no_answer() {
    let mut call = Call::invited(SDP);
    call.respond(183, false, SDP);
    call.is_open();
    call.respond(200, false, SDP);
    call.finish(b"");
}

#[test]
fn pattern_2_the_2xx_offers_and_the_ack_answers() {
    let mut call = Call::invited(b"");
    call.respond(180, false, b"");
    call.is_open();
    call.respond(200, false, SDP);
    call.is_open();
    call.finish(SDP);
}

#[test]
fn a_preview_of_a_late_offer_is_no_offer() {
    let mut call = Call::invited(b"");
    call.respond(183, false, SDP);
    call.is_open();
    call.respond(200, false, SDP);
    call.finish(SDP);
}

#[test]
fn pattern_3_the_invite_offers_and_a_reliable_response_answers() {
    let mut call = Call::invited(SDP);
    call.respond(183, true, SDP);
    let prack = call.send(true, Method::Prack, b"");
    call.answer(false, &prack, 200, b"");
    call.is_stable();
    // The same again changes nothing.
    call.respond(180, true, SDP);
    let prack = call.send(true, Method::Prack, b"");
    call.answer(false, &prack, 200, b"");
    call.is_stable();
    call.respond(200, false, SDP);
    call.finish(b"");
}

#[test]
fn pattern_4_a_reliable_response_offers_and_the_prack_answers() {
    let mut call = Call::invited(b"");
    call.respond(183, true, SDP);
    call.is_open();
    let prack = call.send(true, Method::Prack, SDP);
    call.answer(false, &prack, 200, b"");
    call.is_stable();
    call.respond(200, false, b"");
    call.finish(b"");
}

#[test]
fn pattern_5_a_prack_offers_and_its_2xx_answers() {
    let mut call = Call::invited(SDP);
    call.respond(183, true, SDP);
    let prack = call.send(true, Method::Prack, SDP);
    call.is_open();
    call.answer(false, &prack, 200, SDP);
    call.is_stable();
    call.respond(200, false, b"");
    call.finish(b"");
}

#[test]
fn pattern_6_an_update_offers_and_its_2xx_answers_or_its_refusal_makes_it_void() {
    let mut call = Call::invited(SDP);
    call.respond(200, false, SDP);
    call.acknowledge(b"");
    for from_alice in [true, false] {
        for (status, body) in [(200, SDP), (488, b"".as_slice())] {
            let update = call.send(from_alice, Method::Update, SDP);
            call.is_open_while(Some(from_alice));
            call.answer(!from_alice, &update, status, body);
            call.is_stable();
        }
    }
    call.hang_up();
}

#[test]
fn a_reinvite_goes_by_the_same_patterns_from_either_side() {
    for from_alice in [true, false] {
        for (offer, answer, acknowledgement) in [(SDP, SDP, b"".as_slice()), (b"", SDP, SDP)] {
            let mut call = Call::invited(SDP);
            call.respond(200, false, SDP);
            call.acknowledge(b"");
            let invite = call.send(from_alice, Method::Invite, offer);
            call.is_open();
            call.answer(!from_alice, &invite, 200, answer);
            call.send(from_alice, Method::Ack, acknowledgement);
            call.is_stable();
            call.hang_up();
        }
    }
}

#[test]
fn a_second_offer_in_a_prack_before_the_answer_is_refused_to_the_application() {
    let mut call = Call::invited(SDP);
    call.respond(180, true, b"");
    let (alice, here, _) = call.ends(true);
    call.world
        .act(alice, |actions| actions.send_in(here, Method::Prack, SDP));
    assert!(matches!(
        call.world.failed(alice).error,
        CommandError::RequestPending(_)
    ));
    let prack = call.send(true, Method::Prack, b"");
    call.answer(false, &prack, 200, b"");
    call.respond(200, false, SDP);
    call.finish(b"");
}
