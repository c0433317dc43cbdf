//! One subscription of a dialog (RFC 6665): who watches whom, for which events, until when. Plain data and pure steps.
//!
//! A REFER's implicit subscription (RFC 3515 §2.4.4) is one like any other, of the package `refer`. The same steps serve both
//! ends, so that both draw the same conclusion from the same message. It refuses to send: `usages` acts on what it says.
use crate::export::{ExportedSide, ExportedSubscription};
use crate::id::TransactionId;
use crate::time::Time;
use sip::header::{EventPackage, SubscriptionState};
use sip::{HeaderName, Message};
use std::fmt;
use std::time::Duration;

/// The package of a REFER's implicit subscription.
pub(crate) const REFER: &str = "refer";
/// How long a subscription lives when neither side says (the packages' usual default).
pub(crate) const DEFAULT_LIFE: Duration = Duration::from_secs(3600);

/// The side that our application has.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    /// It asked: it gets the NOTIFYs.
    Subscriber,
    /// It was asked: it sends them.
    Notifier,
}

/// What a subscription is to: the package and the `id` (RFC 6665 §8.2.1); the latter is empty when there is none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct EventName {
    pub(crate) package: Box<str>,
    pub(crate) id: Box<str>,
}

impl EventName {
    /// Reads the value of an Event header field; one that cannot be read names nothing.
    pub(crate) fn parse(value: &[u8]) -> EventName {
        let event = EventPackage::parse(value).ok();
        EventName {
            package: event.map_or("", |event| event.package).into(),
            id: event.and_then(|event| event.id).unwrap_or_default().into(),
        }
    }

    /// Of a request or NOTIFY; a REFER's is made of its CSeq number (RFC 3515 §2.4.6).
    pub(crate) fn of(message: &Message) -> EventName {
        if message.method() == sip::Method::Refer {
            return EventName::of_refer(message.cseq().map_or(0, |sequence| sequence.number));
        }
        let field = message.header(HeaderName::Event);
        // Unfolded: the engine writes it into what it sends, and exports it.
        field.map_or_else(
            || EventName::parse(b""),
            |field| EventName::parse(&field.value()),
        )
    }

    /// The event of the REFER with this CSeq number.
    pub(crate) fn of_refer(sequence: u32) -> EventName {
        EventName {
            package: REFER.into(),
            id: sequence.to_string().into(),
        }
    }

    /// Whether a NOTIFY that names `other` belongs to it. One of a REFER may leave out the `id`.
    fn covers(&self, other: &EventName) -> bool {
        self == other
            || (&*self.package == REFER && &*other.package == REFER && other.id.is_empty())
    }
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.package)?;
        if self.id.is_empty() {
            return Ok(());
        }
        write!(f, ";id={}", self.id)
    }
}

/// What the Subscription-State of a NOTIFY says.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Notice {
    /// This is the last one.
    pub(crate) over: bool,
    /// How long the subscription lives from now on.
    pub(crate) expires: Option<Duration>,
}

impl Notice {
    /// Reads the value; what cannot be read says nothing.
    pub(crate) fn parse(value: &[u8]) -> Notice {
        SubscriptionState::parse(value).map_or_else(
            |_| Notice::default(),
            |state| Notice {
                over: state.is_terminated(),
                expires: state.expires.map(seconds),
            },
        )
    }

    /// Of a NOTIFY.
    pub(crate) fn of(notify: &Message) -> Notice {
        let field = notify.header(HeaderName::SubscriptionState);
        Notice::parse(field.map_or(b"", |field| field.raw_value()))
    }
}

pub(crate) fn seconds(number: u32) -> Duration {
    Duration::from_secs(u64::from(number))
}

/// How far it has come.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    /// Asked for, not answered.
    Asked,
    /// Accepted, or notified of.
    Open,
    /// The last NOTIFY was sent or received, and has no final response yet.
    Closing,
}

/// What is to be done about a subscription whose time is up.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Lapse {
    /// Nothing: who needs to know does.
    Silent,
    /// No NOTIFY came, or was sent, where one was due.
    NoNotify,
    /// The subscriber's time ran out, and the last NOTIFY did not come.
    Expired,
    /// The notifier's time ran out: the last NOTIFY is to be sent.
    Notify,
}

/// A subscription.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Subscription {
    pub(crate) role: Role,
    pub(crate) event: EventName,
    pub(crate) stage: Stage,
    /// The SUBSCRIBE or REFER that is not answered.
    pub(crate) asking: Option<TransactionId>,
    /// When it ends unless it is refreshed; none before anybody said.
    expires: Option<Time>,
    /// A NOTIFY said so since we asked: the 2xx says nothing new then (RFC 6665 §4.1.2.1).
    told: bool,
    /// Until when the next NOTIFY must come or be sent (Timer N, RFC 6665 §4.1.2.4); until when the rest of a closing one waits.
    due: Option<Time>,
    /// It was asked to end: no NOTIFY makes it longer.
    unsubscribed: bool,
}

/// Whether a final response ends the subscription that the request was about (RFC 6665 §4.1.2.2, §4.2.2; RFC 5057 §5.1).
pub(crate) fn ends_subscription(status: u16) -> bool {
    matches!(status, 404 | 405 | 410 | 416 | 480..=485 | 489 | 501 | 604)
}

impl Subscription {
    /// One that is being asked for by `asking`; whatever becomes of it must have become by `limit`.
    pub(crate) fn asked(
        role: Role,
        event: EventName,
        asking: TransactionId,
        limit: Time,
    ) -> Subscription {
        Subscription {
            role,
            event,
            stage: Stage::Asked,
            asking: Some(asking),
            expires: None,
            told: false,
            due: Some(limit),
            unsubscribed: false,
        }
    }

    /// What another engine needs to go on with it; none for one that is only asked for, or over, or whose Event could not be read.
    pub(crate) fn export(&self, now: Time) -> Option<ExportedSubscription> {
        let left = |at: Time| u64::try_from(at.since(now).as_millis()).unwrap_or(u64::MAX);
        let is_named = !self.event.package.is_empty();
        (self.stage == Stage::Open && is_named).then(|| ExportedSubscription {
            role: match self.role {
                Role::Subscriber => ExportedSide::Subscriber,
                Role::Notifier => ExportedSide::Notifier,
            },
            package: self.event.package.to_string(),
            id: self.event.id.to_string(),
            expires_milliseconds: self.expires.map(left),
            // A refresh that is under way does not move, and with it the limit of its answer.
            due_milliseconds: self.due.filter(|_| self.asking.is_none()).map(left),
            unsubscribed: self.unsubscribed,
        })
    }

    /// One that another engine had `age` ago. It has a deadline whatever the value says: `most` at the latest.
    pub(crate) fn import(
        exported: &ExportedSubscription,
        now: Time,
        age: Duration,
        most: Duration,
    ) -> Subscription {
        let at = |milliseconds: u64| {
            now + Duration::from_millis(milliseconds)
                .saturating_sub(age)
                .min(most)
        };
        let due = exported.due_milliseconds.map(at);
        let expires = exported.expires_milliseconds.map(at);
        Subscription {
            role: match exported.role {
                ExportedSide::Subscriber => Role::Subscriber,
                ExportedSide::Notifier => Role::Notifier,
            },
            event: EventName {
                package: exported.package.as_str().into(),
                id: exported.id.as_str().into(),
            },
            stage: Stage::Open,
            asking: None,
            expires: expires.or_else(|| due.is_none().then_some(now + most)),
            told: true,
            due,
            unsubscribed: exported.unsubscribed,
        }
    }

    /// Whether it is a REFER's.
    pub(crate) fn is_refer(&self) -> bool {
        &*self.event.package == REFER
    }

    /// Whether a SUBSCRIBE, or a NOTIFY in the other direction, with this Event belongs to it.
    pub(crate) fn matches(&self, role: Role, event: &EventName) -> bool {
        self.role == role && self.event.covers(event)
    }

    /// It is asked to be refreshed or ended. A notifier's time does not run out before the application has answered.
    pub(crate) fn ask(&mut self, asking: TransactionId, limit: Time) {
        self.asking = Some(asking);
        self.told = false;
        match self.role {
            Role::Subscriber => self.due = Some(limit),
            Role::Notifier => self.due = self.due.max(Some(limit)),
        }
    }

    /// The SUBSCRIBE or REFER got a 2xx, which grants this time; a REFER's grants none.
    pub(crate) fn accept(&mut self, now: Time, granted: Duration, long: Duration) {
        self.asking = None;
        if self.stage == Stage::Closing {
            return;
        }
        self.stage = Stage::Open;
        self.unsubscribed = granted.is_zero() && !self.is_refer();
        if !self.is_refer() && (!self.told || self.unsubscribed) {
            self.expires = Some(now + granted);
        }
        self.due = match self.role {
            // It came already, or is yet to come.
            Role::Subscriber => self.due.map(|_| now + long),
            Role::Notifier => self.owed(now, long),
        };
    }

    /// Until when a notifier's application may leave the NOTIFY to the engine that is owed to an unsubscription, or be silent
    /// about a REFER. The engine's must come within the peer's Timer N. That a SUBSCRIBE is answered without one is not noticed.
    fn owed(&self, now: Time, long: Duration) -> Option<Time> {
        if self.unsubscribed {
            Some(now + long / 2)
        } else {
            (self.is_refer() && self.expires.is_none()).then(|| now + long)
        }
    }

    /// The SUBSCRIBE or REFER was refused; whether the subscription is over.
    pub(crate) fn refuse(&mut self, now: Time, status: u16, long: Duration) -> bool {
        self.asking = None;
        if self.stage == Stage::Asked || ends_subscription(status) {
            return self.stage != Stage::Closing;
        }
        // A refresh that failed leaves the subscription as it was (RFC 6665 §4.1.2.2).
        if self.stage == Stage::Open {
            self.due = match self.role {
                // Whose NOTIFY is still owed has no other end.
                Role::Subscriber => self.expires.is_none().then(|| now + long),
                Role::Notifier => self.owed(now, long),
            };
        }
        false
    }

    /// A NOTIFY came (the subscriber's), or is being sent (the notifier's).
    pub(crate) fn notify(&mut self, now: Time, notice: Notice, life: Duration, long: Duration) {
        if notice.over {
            self.stage = Stage::Closing;
            self.due = Some(now + long.saturating_mul(2));
            return;
        }
        if self.stage == Stage::Closing {
            return;
        }
        self.stage = Stage::Open;
        if self.role == Role::Subscriber || (!self.unsubscribed && self.asking.is_none()) {
            self.due = None;
        }
        match notice.expires {
            Some(expires) if !self.unsubscribed => {
                self.expires = Some(now + expires);
                self.told = true;
            }
            None if self.expires.is_none() => self.expires = Some(now + life),
            Some(_) | None => {}
        }
    }

    /// The NOTIFY got its final response; whether the subscription is over. `is_made` says that none came and the engine made one.
    pub(crate) fn notified(&self, notice: Notice, status: u16, is_made: bool) -> bool {
        // 401 and 407: it will be sent again, with credentials.
        (notice.over && !matches!(status, 401 | 407))
            || ends_subscription(status)
            || status == 408
            || (is_made && status >= 300)
    }

    /// When `lapse` is to be asked.
    pub(crate) fn deadline(&self, long: Duration) -> Option<Time> {
        match (self.stage, self.role) {
            (Stage::Asked | Stage::Closing, _) => self.due,
            // What the notifier sends when the time is up is on its way for so long at most.
            (Stage::Open, Role::Subscriber) => {
                let expires = self.expires.map(|at| at + long);
                self.due.into_iter().chain(expires).min()
            }
            (Stage::Open, Role::Notifier) if self.unsubscribed || self.expires.is_none() => {
                self.due.or(self.expires)
            }
            (Stage::Open, Role::Notifier) => self.due.max(self.expires),
        }
    }

    /// The deadline is there.
    pub(crate) fn lapse(&self, now: Time) -> Lapse {
        let overdue = self.due.is_some_and(|due| due <= now);
        match (self.stage, self.role) {
            (Stage::Asked | Stage::Closing, _) => Lapse::Silent,
            (Stage::Open, Role::Subscriber) if overdue => Lapse::NoNotify,
            (Stage::Open, Role::Subscriber) => Lapse::Expired,
            // RFC 3515 §2.4.4 has the recipient say how the reference goes; the engine does not know.
            (Stage::Open, Role::Notifier) if self.is_refer() && self.expires.is_none() => {
                Lapse::NoNotify
            }
            (Stage::Open, Role::Notifier) => Lapse::Notify,
        }
    }
}

#[cfg(test)]
mod tests;
