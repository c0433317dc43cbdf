//! Each step of a subscription, without an engine: what it waits for next, and what is to be done when that does not come.
use super::*;

const LONG: Duration = Duration::from_secs(32);

fn at(seconds: u64) -> Time {
    Time::from_origin(Duration::from_secs(seconds))
}

fn asked(role: Role, event: &str) -> Subscription {
    let event = EventName::parse(event.as_bytes());
    Subscription::asked(role, event, TransactionId::new(0, 1), at(128))
}

/// What is next, and what happens then.
fn next(subscription: &Subscription) -> (Time, Lapse) {
    let deadline = subscription
        .deadline(LONG)
        .expect("everything has a deadline");
    (deadline, subscription.lapse(deadline))
}

fn active(expires: u64) -> Notice {
    Notice::parse(format!("active;expires={expires}").as_bytes())
}

#[test]
fn events_are_told_apart_by_package_and_id() {
    let names = [
        "presence",
        "presence;id=1",
        "presence ; id=2",
        "Presence",
        "presence.winfo",
        "",
    ];
    for (index, one) in names.iter().enumerate() {
        for (other, text) in names.iter().enumerate() {
            let same = asked(Role::Subscriber, one)
                .matches(Role::Subscriber, &EventName::parse(text.as_bytes()));
            assert_eq!(same, index == other, "{one} {text}");
        }
    }
    let refer = asked(Role::Notifier, "refer;id=7");
    assert!(refer.matches(Role::Notifier, &EventName::parse(b"refer")));
    assert!(!refer.matches(Role::Notifier, &EventName::parse(b"refer;id=8")));
    assert!(!refer.matches(Role::Subscriber, &EventName::parse(b"refer;id=7")));
    assert_eq!(
        EventName::parse(b"dialog;sla; id=a").to_string(),
        "dialog;id=a"
    );
}

#[test]
fn a_subscriber_waits_for_timer_n_then_for_the_expiry_and_the_last_notify() {
    let mut one = asked(Role::Subscriber, "presence");
    assert_eq!(next(&one), (at(128), Lapse::Silent));
    one.accept(at(1), Duration::from_secs(600), LONG);
    assert_eq!(next(&one), (at(33), Lapse::NoNotify));
    one.notify(at(2), active(500), DEFAULT_LIFE, LONG);
    assert_eq!(next(&one), (at(502 + 32), Lapse::Expired));
    one.ask(TransactionId::new(0, 2), at(528));
    assert_eq!(next(&one), (at(528), Lapse::NoNotify));
    // The NOTIFY overtakes the 2xx, and is the one that counts.
    one.notify(at(401), active(300), DEFAULT_LIFE, LONG);
    one.accept(at(402), Duration::from_secs(600), LONG);
    assert_eq!(next(&one), (at(701 + 32), Lapse::Expired));
    one.notify(
        at(403),
        Notice::parse(b"terminated;reason=rejected"),
        DEFAULT_LIFE,
        LONG,
    );
    assert_eq!(next(&one), (at(403 + 64), Lapse::Silent));
    assert!(one.notified(Notice::parse(b"terminated"), 200, false));
}

#[test]
fn a_notifier_ends_it_at_its_time_unless_a_refresh_waits_for_its_answer() {
    let mut one = asked(Role::Notifier, "presence");
    one.accept(at(0), Duration::from_secs(60), LONG);
    assert_eq!(next(&one), (at(60), Lapse::Notify));
    one.notify(at(1), active(59), DEFAULT_LIFE, LONG);
    one.ask(TransactionId::new(0, 2), at(59 + 128));
    assert_eq!(next(&one).0, at(59 + 128));
    assert!(!one.refuse(at(70), 403, LONG));
    assert_eq!(
        next(&one),
        (at(60), Lapse::Notify),
        "it is as if nobody had asked"
    );
    one.ask(TransactionId::new(0, 3), at(59 + 128));
    one.accept(at(71), Duration::ZERO, LONG);
    assert_eq!(next(&one), (at(71 + 16), Lapse::Notify));
    one.notify(at(72), active(59), DEFAULT_LIFE, LONG);
    assert_eq!(
        next(&one),
        (at(71 + 16), Lapse::Notify),
        "no NOTIFY makes it longer"
    );
}

#[test]
fn a_recipient_of_refer_owes_a_notify_and_its_time_runs_from_the_first() {
    let mut one = asked(Role::Notifier, "refer;id=1");
    one.accept(at(0), DEFAULT_LIFE, LONG);
    assert_eq!(next(&one), (at(32), Lapse::NoNotify));
    one.notify(
        at(5),
        Notice::parse(b"active"),
        Duration::from_secs(300),
        LONG,
    );
    assert_eq!(next(&one), (at(305), Lapse::Notify));
    one.notify(at(6), active(60), Duration::from_secs(300), LONG);
    assert_eq!(next(&one), (at(66), Lapse::Notify));
}

#[test]
fn some_statuses_end_it() {
    for status in 300..700 {
        let ends = [
            404, 405, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 604,
        ]
        .contains(&status);
        let mut one = asked(Role::Subscriber, "presence");
        assert!(
            one.clone().refuse(at(1), status, LONG),
            "the first answer: {status}"
        );
        one.accept(at(0), Duration::from_secs(60), LONG);
        assert_eq!(one.refuse(at(1), status, LONG), ends, "{status}");
        let notified = one.notified(Notice::default(), status, false);
        assert_eq!(notified, ends || status == 408, "{status}");
        let last = one.notified(Notice::parse(b"Terminated"), status, false);
        assert_eq!(last, !matches!(status, 401 | 407), "{status}");
    }
}

#[test]
fn a_folded_event_is_that_of_one_line() {
    let message = |event: &str| {
        let text = format!("SUBSCRIBE sip:a@example.com SIP/2.0\r\nEvent: {event}\r\n\r\n");
        let limits = sip::Limits::default();
        Message::parse(bytes::Bytes::from(text), &limits).unwrap()
    };
    let folded = EventName::of(&message("presence;\r\n id=\"a\r\n b\""));
    assert_eq!(folded, EventName::of(&message("presence; id=\"a b\"")));
    assert_eq!(folded.to_string(), "presence;id=\"a b\"");
}
