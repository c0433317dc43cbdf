//! The bridge loses no event and no wake-up, keeps each shard's order, and refuses only new requests when it is full.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
use _core::bridge::Bridge;
use bytes::Bytes;
use engine::Event;
use engine::event::{CommandError, Failed, ProxyDone, Request};
use engine::id::{CommandId, DialogId, TransactionId};
use engine::seam::Events;
use engine::transport::{ListenerId, Origin, Transport};
use std::sync::Arc;
use std::time::Duration;

fn numbered(number: u64) -> Event {
    Event::ProxyDone(ProxyDone {
        command: CommandId(number),
        status: None,
        winner: None,
    })
}

fn number(event: &Event) -> u64 {
    match event {
        Event::ProxyDone(done) => done.command.0,
        other => panic!("not an event of this test: {other:?}"),
    }
}

fn request(method: &str, transaction: u64, dialog: Option<DialogId>) -> Event {
    let text = format!(
        "{method} sip:a@b.example SIP/2.0\r\nVia: SIP/2.0/UDP c.example;branch=z9hG4bK1\r\nFrom: <sip:c@d.example>;tag=1\r\n\
         To: <sip:a@b.example>\r\nCall-ID: 1\r\nCSeq: 1 {method}\r\nContent-Length: 0\r\n\r\n"
    );
    let message = sip::Message::parse(Bytes::from(text), &sip::Limits::default()).unwrap();
    let peer = "127.0.0.1:5060".parse().unwrap();
    let origin = Origin {
        listener: ListenerId(0),
        transport: Transport::Udp,
        peer,
        local: peer,
        connection: None,
    };
    let transaction = TransactionId::new(0, transaction);
    Event::Request(Request {
        transaction,
        dialog,
        invite: None,
        message: Arc::new(message),
        origin,
        peer_certificate: None,
        wire_bytes: 1,
    })
}

/// Four shards push as fast as they can, in turns of different sizes; the loop sleeps whenever the descriptor is not readable. A lost
/// wake-up shows as a wait that times out.
#[test]
fn no_event_is_lost_or_overtaken_and_no_wake_up_is_missed() {
    const EVENTS: u64 = 200_000;
    let bridge = Bridge::new(4, usize::MAX).unwrap();
    std::thread::scope(|scope| {
        for shard in 0..4_u8 {
            let bridge = &bridge;
            scope.spawn(move || {
                let mut events = Vec::new();
                for number in 0..EVENTS {
                    events.push(numbered(u64::from(shard) << 32 | number));
                    if number % 7 == 0 || number % 5 == 0 || number == EVENTS - 1 {
                        bridge.deliver(shard, &mut events);
                        assert!(events.is_empty());
                    }
                    if number % 97 == 0 {
                        std::thread::yield_now();
                    }
                }
            });
        }
        let mut next = [0_u64; 4];
        while next.iter().sum::<u64>() < 4 * EVENTS {
            assert!(
                bridge.wakeup().wait(Duration::from_secs(20)),
                "asleep with events waiting, after {next:?}"
            );
            let taken = bridge.take(64, true);
            for event in &taken {
                let number = number(event);
                let shard = usize::try_from(number >> 32).unwrap();
                assert_eq!(
                    number & 0xffff_ffff,
                    next[shard],
                    "out of order in shard {shard}"
                );
                next[shard] += 1;
            }
            assert!(taken.len() <= 64);
        }
    });
    assert_eq!((bridge.waiting(), bridge.backlog()), (0, Duration::ZERO));
    assert!(!bridge.wakeup().wait(Duration::ZERO) || bridge.take(64, true).is_empty());
}

#[test]
fn a_bounded_take_leaves_the_descriptor_readable_until_nothing_waits() {
    let bridge = Bridge::new(2, 100).unwrap();
    for shard in 0..2 {
        bridge.deliver(shard, &mut (0..3).map(numbered).collect());
    }
    let mut takes = Vec::new();
    while bridge.wakeup().wait(Duration::ZERO) {
        takes.push(bridge.take(2, true).len());
    }
    assert_eq!(takes.iter().sum::<usize>(), 6);
    assert!(takes.len() >= 3);
}

#[test]
fn without_arming_events_wait_silently_and_arming_wakes_again() {
    let bridge = Bridge::new(1, 100).unwrap();
    bridge.deliver(0, &mut vec![numbered(1)]);
    assert_eq!(bridge.take(10, false).len(), 1);
    bridge.deliver(0, &mut vec![numbered(2)]);
    assert!(!bridge.wakeup().wait(Duration::ZERO));
    assert_eq!(bridge.take(10, true).len(), 1);
    bridge.deliver(0, &mut vec![numbered(3)]);
    assert!(bridge.wakeup().wait(Duration::ZERO));
}

/// The application hears of the CANCEL first: it is why its answer was refused, and that it was is only what follows from it.
#[test]
fn that_an_answer_was_refused_is_not_told_before_the_cancel_that_overtook_it() {
    for error in [
        CommandError::AlreadyAnswered,
        CommandError::UnknownTransaction,
    ] {
        let bridge = Bridge::new(1, 100).unwrap();
        let failed = Failed {
            command: CommandId(1),
            error,
        };
        let mut events = vec![request("CANCEL", 7, None), Event::Failed(failed)];
        bridge.deliver(0, &mut events);
        let taken = bridge.take(10, true);
        assert!(matches!(&taken[0], Event::Request(_)), "{taken:?}");
        assert!(matches!(&taken[1], Event::Failed(_)), "{taken:?}");
    }
}

#[test]
fn the_backlog_is_the_age_of_the_oldest_event_that_was_not_taken() {
    let bridge = Bridge::new(2, 100).unwrap();
    assert_eq!(bridge.backlog(), Duration::ZERO);
    bridge.deliver(1, &mut (0..4).map(numbered).collect());
    assert!(bridge.backlog() > Duration::ZERO);
    let before = bridge.backlog();
    assert_eq!(bridge.take(3, true).len(), 3);
    assert!(bridge.backlog() > before, "one is left");
    assert_eq!(bridge.take(3, true).len(), 1);
    assert_eq!(bridge.backlog(), Duration::ZERO);
}

#[test]
fn a_full_queue_refuses_new_requests_and_nothing_else() {
    let bridge = Bridge::new(1, 2).unwrap();
    bridge.deliver(0, &mut vec![numbered(1), request("INVITE", 1, None)]);
    let dialog = Some(DialogId::new(0, 9));
    bridge.deliver(
        0,
        &mut vec![
            request("INVITE", 2, None),
            request("INVITE", 3, dialog),
            request("CANCEL", 4, None),
            request("BYE", 5, dialog),
            request("REGISTER", 6, None),
            numbered(7),
        ],
    );
    assert_eq!(bridge.waiting(), 6);
    assert_eq!(
        bridge.take_shed(),
        [TransactionId::new(0, 2), TransactionId::new(0, 6)]
    );
    assert_eq!(bridge.take_shed(), []);
}

#[test]
fn a_wait_ends_when_its_time_is_over_or_an_event_comes() {
    let bridge = Bridge::new(1, 10).unwrap();
    assert!(!bridge.wakeup().wait(Duration::from_millis(5)));
    std::thread::scope(|scope| {
        scope.spawn(|| bridge.deliver(0, &mut vec![numbered(1)]));
        assert!(bridge.wakeup().wait(Duration::from_secs(20)));
    });
}

#[test]
fn what_belongs_to_calls_comes_before_new_requests_and_a_cancel_behind_its_invite() {
    let bridge = Bridge::new(1, 1000).unwrap();
    let dialog = Some(DialogId::new(0, 9));
    let new = |numbers: std::ops::Range<u64>| numbers.map(|n| request("INVITE", n, None)).collect();
    bridge.deliver(0, &mut new(0..10));
    let transactions = |limit| -> Vec<u64> {
        let events = bridge.take(limit, true);
        let number = |event: &Event| match event {
            Event::Request(request) => request.transaction.to_bits() & 0xffff,
            other => number(other),
        };
        events.iter().map(number).collect()
    };
    // Four of them are taken; the rest waits on the loop's side when the call's request comes.
    assert_eq!(transactions(4), [0, 1, 2, 3]);
    bridge.deliver(
        0,
        &mut vec![
            request("CANCEL", 9, None),
            request("INVITE", 100, dialog),
            request("OPTIONS", 10, None),
            numbered(101),
            request("BYE", 102, dialog),
        ],
    );
    assert!(bridge.wakeup().wait(Duration::ZERO));
    assert_eq!(transactions(5), [100, 101, 102, 4, 5]);
    assert_eq!(transactions(100), [6, 7, 8, 9]);
    assert_eq!(transactions(100), [9, 10]);
    assert_eq!((bridge.waiting(), bridge.backlog()), (0, Duration::ZERO));
    assert!(!bridge.wakeup().wait(Duration::ZERO) || bridge.take(64, true).is_empty());
}
