//! The subscriptions of a dialog, beside its call or without one (RFC 5057): begun, refreshed and ended by the messages that
//! pass, and by the engine when their time is up.
//!
//! What one message means is `subscription`'s to say; this file finds whom it is about, keeps the dialog while something is
//! left of it, sets its timer and tells the application what it could not know. It is above 400 lines as each message passes here
//! in both directions.
use super::Dialog;
use super::subscription::{
    DEFAULT_LIFE, EventName, Lapse, Notice, Role, Stage, Subscription, seconds,
};
use crate::draft::Fields;
use crate::engine::{Engine, Timer};
use crate::event::{CommandError, Event, SubscriptionEndReason, SubscriptionEnded};
use crate::id::{DialogId, DialogRole, TransactionId};
use crate::plan::Plan;
use crate::time::Time;
use crate::timer::TimerToken;
use crate::transaction::client::{Announce, User};
use bytes::Bytes;
use sip::{HeaderName, Message, Method};
use std::time::Duration;

/// How many subscriptions one dialog may hold; a phone that watches everything has a handful.
const MOST: usize = 32;

/// A dialog's subscriptions. At most one timer: for the first that is due.
#[derive(Default)]
pub(crate) struct Subscriptions {
    pub(crate) list: Vec<Subscription>,
    timer: Option<(Time, TimerToken)>,
}

impl Subscriptions {
    /// Those that another engine had.
    pub(crate) fn imported(list: Vec<Subscription>) -> Subscriptions {
        Subscriptions { list, timer: None }
    }

    /// The timer that is set.
    pub(crate) fn token(&self) -> Option<TimerToken> {
        self.timer.map(|(_, token)| token)
    }
}

/// What a request does to a subscription.
pub(crate) enum Act {
    /// SUBSCRIBE and REFER.
    Ask(EventName),
    /// NOTIFY.
    Notify(EventName, Notice),
}

impl Act {
    /// Of a request that came, or went out.
    pub(crate) fn of(message: &Message) -> Option<Act> {
        match message.method() {
            Method::Subscribe | Method::Refer => Some(Act::Ask(EventName::of(message))),
            Method::Notify => Some(Act::Notify(EventName::of(message), Notice::of(message))),
            _ => None,
        }
    }

    /// Of a request that an application gives, to be sent with this CSeq number.
    pub(crate) fn of_draft(method: &Method, fields: &Fields<'_>, sequence: u32) -> Option<Act> {
        let value = |name: HeaderName| {
            let field = fields.rest.iter().find(|(other, _)| *other == name);
            field.map_or(&b""[..], |(_, (_, value))| value)
        };
        let event = || EventName::parse(value(HeaderName::Event));
        match method {
            Method::Subscribe => Some(Act::Ask(event())),
            Method::Refer => Some(Act::Ask(EventName::of_refer(sequence))),
            Method::Notify => Some(Act::Notify(
                event(),
                Notice::parse(value(HeaderName::SubscriptionState)),
            )),
            _ => None,
        }
    }
}

/// Whether a 2xx to a REFER says that there is no subscription (RFC 4488 §4).
pub(crate) fn declines_subscription(response: &Message) -> bool {
    response.refer_sub() == Some(false)
}

impl Dialog {
    /// Whether a subscription is open.
    pub(crate) fn is_subscribed(&self) -> bool {
        self.subscriptions
            .as_ref()
            .is_some_and(|all| !all.list.is_empty())
    }

    /// The subscription that a message is about; of several REFERs the oldest, when it does not say.
    fn subscription_mut(&mut self, role: Role, event: &EventName) -> Option<&mut Subscription> {
        let list = &mut self.subscriptions.as_mut()?.list;
        list.iter_mut().find(|one| one.matches(role, event))
    }

    fn take_subscription(&mut self, role: Role, event: &EventName) -> Option<Subscription> {
        let list = &mut self.subscriptions.as_mut()?.list;
        let at = list.iter().position(|one| one.matches(role, event))?;
        Some(list.remove(at))
    }
}

impl Engine {
    fn long(&self) -> Duration {
        self.config.timers.long()
    }

    /// Until when a request for a subscription has become something: answered by the peer, or by the application.
    fn asking_limit(&self) -> Time {
        let timers = &self.config.timers;
        self.now
            + timers
                .long()
                .saturating_mul(2)
                .max(timers.application.saturating_mul(2))
    }

    /// How long a subscription lives whose NOTIFY does not say: a REFER as long as its call may ring.
    fn life(&self, event: &EventName) -> Duration {
        if &*event.package == super::subscription::REFER {
            self.config.timers.ringing
        } else {
            DEFAULT_LIFE
        }
    }

    /// What is granted, within the time that a dialog may be silent (invariant 6).
    fn bounded(&self, granted: Duration) -> Duration {
        granted.min(self.config.bounds.dialog_idle)
    }

    /// Whether the dialog has room for one more subscription.
    ///
    /// # Errors
    /// `Limit` when it has none.
    pub(crate) fn check_subscriptions(
        &self,
        id: DialogId,
        act: Option<&Act>,
    ) -> Result<(), CommandError> {
        let Some(Act::Ask(_)) = act else {
            return Ok(());
        };
        let all = self
            .dialogs
            .get(id)
            .and_then(|dialog| dialog.subscriptions.as_ref());
        if all.is_some_and(|all| all.list.len() >= MOST) {
            return Err(CommandError::Limit("subscriptions"));
        }
        Ok(())
    }

    /// A subscription is asked for: by the application (`Subscriber`) or the peer (`Notifier`), in a dialog or creating one.
    pub(crate) fn subscription_asked(
        &mut self,
        id: DialogId,
        role: Role,
        event: EventName,
        transaction: TransactionId,
    ) {
        let limit = self.asking_limit();
        let Some(dialog) = self.dialogs.get_mut(id) else {
            return;
        };
        match dialog.subscription_mut(role, &event) {
            Some(known) => known.ask(transaction, limit),
            None => dialog
                .subscriptions
                .get_or_insert_default()
                .list
                .push(Subscription::asked(role, event, transaction, limit)),
        }
        self.watch_subscriptions(id);
    }

    /// A NOTIFY is being sent by the application (`Notifier`), or came (`Subscriber`).
    pub(crate) fn subscription_notified(
        &mut self,
        id: DialogId,
        role: Role,
        event: &EventName,
        mut notice: Notice,
        life: Option<Duration>,
    ) {
        notice.expires = notice.expires.map(|expires| self.bounded(expires));
        let life = self.bounded(life.unwrap_or_else(|| self.life(event)));
        let (now, long) = (self.now, self.long());
        let dialog = self.dialogs.get_mut(id);
        if let Some(one) = dialog.and_then(|dialog| dialog.subscription_mut(role, event)) {
            one.notify(now, notice, life, long);
            self.watch_subscriptions(id);
        }
    }

    /// A SUBSCRIBE, REFER or NOTIFY of an application went out in a dialog.
    pub(crate) fn subscription_sent(
        &mut self,
        id: DialogId,
        transaction: TransactionId,
        act: Option<Act>,
    ) {
        match act {
            Some(Act::Ask(event)) => {
                self.subscription_asked(id, Role::Subscriber, event, transaction)
            }
            Some(Act::Notify(event, notice)) => {
                self.subscription_notified(id, Role::Notifier, &event, notice, None)
            }
            None => {}
        }
    }

    /// A SUBSCRIBE, REFER or NOTIFY came in a dialog, and is given to the application.
    pub(crate) fn subscription_received(
        &mut self,
        id: DialogId,
        transaction: TransactionId,
        message: &Message,
    ) {
        match Act::of(message) {
            Some(Act::Ask(event)) => {
                self.subscription_asked(id, Role::Notifier, event, transaction)
            }
            Some(Act::Notify(event, notice)) => {
                self.subscription_notified(id, Role::Subscriber, &event, notice, None)
            }
            None => {}
        }
    }

    /// The status that a SUBSCRIBE, REFER or NOTIFY is refused with before anybody sees it.
    pub(crate) fn judge_subscription(&self, id: DialogId, message: &Message) -> Option<u16> {
        let act = Act::of(message)?;
        let dialog = self.dialogs.get(id)?;
        let list = dialog
            .subscriptions
            .as_ref()
            .map_or(&[][..], |all| &all.list);
        let stage = |role, event: &EventName| {
            let found = list.iter().find(|one| one.matches(role, event));
            found.map(|one| one.stage)
        };
        match act {
            Act::Ask(event) => match stage(Role::Notifier, &event) {
                // Our last NOTIFY is on its way (RFC 6665 §4.4.1).
                Some(Stage::Closing) => Some(481),
                Some(Stage::Asked | Stage::Open) => None,
                None => (list.len() >= MOST).then_some(500),
            },
            Act::Notify(event, _) => match stage(Role::Subscriber, &event) {
                Some(Stage::Asked | Stage::Open) => None,
                Some(Stage::Closing) => Some(481),
                // Phones are told to hold or talk by NOTIFYs in a call that nobody subscribed to.
                None if dialog.invited && &*event.package != super::subscription::REFER => None,
                None => Some(481),
            },
        }
    }

    /// A request that is about a subscription got its final response: `ours` when we sent the request. `is_made` says that the
    /// engine made the response, for want of one.
    pub(crate) fn subscription_answered(
        &mut self,
        id: DialogId,
        request: &Message,
        response: (u16, Option<&Message>),
        ours: bool,
        is_made: bool,
    ) {
        let (now, long) = (self.now, self.long());
        let (status, response) = response;
        let act = Act::of(request);
        let granted = || {
            let asked = || request.expires().ok().flatten();
            let given = response.and_then(|response| response.expires().ok().flatten());
            given.or_else(asked).map_or(DEFAULT_LIFE, seconds)
        };
        let granted = self.bounded(granted());
        let Some(dialog) = self.dialogs.get_mut(id) else {
            return;
        };
        let (role, event, over) = match act {
            Some(Act::Ask(event)) => {
                let role = if ours {
                    Role::Subscriber
                } else {
                    Role::Notifier
                };
                let Some(one) = dialog.subscription_mut(role, &event) else {
                    return;
                };
                let over = match status {
                    ..=199 => return,
                    200..=299 if one.is_refer() && response.is_some_and(declines_subscription) => {
                        true
                    }
                    200..=299 => {
                        one.accept(now, granted, long);
                        false
                    }
                    _ => one.refuse(now, status, long),
                };
                (role, event, over)
            }
            Some(Act::Notify(event, notice)) if status >= 200 => {
                let role = if ours {
                    Role::Notifier
                } else {
                    Role::Subscriber
                };
                let Some(one) = dialog.subscription_mut(role, &event) else {
                    return;
                };
                (role, event, one.notified(notice, status, is_made))
            }
            Some(Act::Notify(..)) | None => return,
        };
        if over {
            dialog.take_subscription(role, &event);
            self.remove_if_unused(id);
        }
        self.watch_subscriptions(id);
    }

    /// A SUBSCRIBE or REFER of ours is gone; what it asked for and did not get is forgotten.
    pub(crate) fn subscription_abandoned(&mut self, id: DialogId, transaction: TransactionId) {
        let Some(dialog) = self.dialogs.get_mut(id) else {
            return;
        };
        let Some(all) = dialog.subscriptions.as_mut() else {
            return;
        };
        let count = all.list.len();
        all.list
            .retain(|one| one.stage != Stage::Asked || one.asking != Some(transaction));
        if all.list.len() < count {
            self.remove_if_unused(id);
            self.watch_subscriptions(id);
        }
    }

    /// The first subscription that is due is due.
    pub(crate) fn subscription_lapsed(&mut self, id: DialogId) {
        let (now, long) = (self.now, self.long());
        let Some(dialog) = self.dialogs.get_mut(id) else {
            return;
        };
        let Some(all) = dialog.subscriptions.as_mut() else {
            return;
        };
        all.timer = None;
        let due = |one: &Subscription| one.deadline(long).is_some_and(|at| at <= now);
        let (lapsed, left): (Vec<_>, Vec<_>) =
            std::mem::take(&mut all.list).into_iter().partition(due);
        all.list = left;
        let owner = dialog.owner;
        for one in lapsed {
            let reason = match one.lapse(now) {
                Lapse::Silent => continue,
                Lapse::NoNotify => SubscriptionEndReason::NoNotify,
                Lapse::Expired => SubscriptionEndReason::Expired,
                Lapse::Notify => {
                    self.send_last_notify(id, &one);
                    SubscriptionEndReason::Expired
                }
            };
            if let Some(owner) = owner {
                let ended = SubscriptionEnded {
                    dialog: id,
                    event: one.event.to_string(),
                    is_notifier: one.role == Role::Notifier,
                    reason,
                };
                self.emit(owner, Event::SubscriptionEnded(ended));
            }
        }
        self.remove_if_unused(id);
        self.watch_subscriptions(id);
    }

    /// The NOTIFY that ends a subscription whose time is up (RFC 6665 §4.2.2), where the application has not sent it.
    fn send_last_notify(&mut self, id: DialogId, subscription: &Subscription) {
        let Some(mut plan) = self.plan_in_dialog(id, &Method::Notify, None) else {
            return;
        };
        let Some(dialog) = self.dialogs.get_mut(id) else {
            return;
        };
        plan.sequence = dialog.next_sequence();
        let hop = dialog.next_hop().to_owned();
        plan.headers = vec![
            (
                Bytes::from_static(b"Event"),
                Bytes::from(subscription.event.to_string()),
            ),
            (
                Bytes::from_static(b"Subscription-State"),
                Bytes::from_static(b"terminated;reason=timeout"),
            ),
        ];
        if subscription.is_refer() {
            // RFC 3515 §2.4.5: there must be a status. What became of the reference is not known here.
            plan.content_type = Some("message/sipfrag;version=2.0");
            plan.body = Bytes::from_static(b"SIP/2.0 100 Trying\r\n");
        }
        let plan = Plan::Own(Box::new(plan));
        if let Err(error) = self.open_client(plan, &hop, User::Engine, Announce::Nobody, Some(id)) {
            tracing::debug!(?error, "cannot end a subscription by NOTIFY");
        }
    }

    /// Ends a dialog of which no usage is left.
    pub(crate) fn remove_if_unused(&mut self, id: DialogId) {
        let unused = |dialog: &Dialog| {
            // One whose 2xx waits for its ACK goes with that; one whose BYE our INVITE's 2xx may still cross, with the INVITE.
            let crossed = dialog.role == DialogRole::Uac && !dialog.confirmed;
            let waits = dialog.answer.is_some() || (crossed && dialog.invite.is_some());
            !dialog.invited && !dialog.is_subscribed() && !waits
        };
        if self.dialogs.get(id).is_some_and(unused) {
            self.remove_dialog(id);
        }
    }

    /// Sets the timer for the first subscription that is due.
    pub(crate) fn watch_subscriptions(&mut self, id: DialogId) {
        let long = self.config.timers.long();
        let Some(dialog) = self.dialogs.get_mut(id) else {
            return;
        };
        let Some(all) = dialog.subscriptions.as_mut() else {
            return;
        };
        let first = all.list.iter().filter_map(|one| one.deadline(long)).min();
        if all.timer.map(|(at, _)| at) != first {
            if let Some((_, token)) = all.timer.take() {
                self.timers.cancel(token);
            }
            all.timer = first.map(|at| {
                let token = self
                    .timers
                    .set(self.now, at.since(self.now), Timer::Subscription(id));
                (at, token)
            });
        }
        if all.list.is_empty() {
            dialog.subscriptions = None;
        }
    }
}
