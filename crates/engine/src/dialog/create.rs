//! How a dialog comes to be: from a response we send (RFC 3261 §12.1.1), one we get (§12.1.2), or an early NOTIFY (RFC 6665 §4.4.1).
use super::Dialog;
use super::bounds::fits;
use super::offer::{Offer, Side, describes};
use super::subscription::{EventName, Notice, Role, Subscription};
use crate::dispatch::Incoming;
use crate::engine::{Engine, Timer};
use crate::id::{ApplicationId, DialogId, DialogRole, TransactionId};
use crate::reply::dialog_of;
use crate::time::Time;
use crate::totals::Total;
use crate::transport::Origin;
use crate::uas::Arrival;
use crate::uas::in_dialog::contact_uri;
use sip::{Address, HeaderName, Message, Method};

/// How many places that ring one INVITE makes dialogs with; a Max-Breadth of 60 (RFC 5393 §5.3.3) allows no more.
const MOST_EARLY: usize = 64;
/// How many it makes in all: whoever rings without end must not keep the one that answers from being heard.
const MOST: usize = 2 * MOST_EARLY;

/// A header field's value as text.
fn value(message: &Message, name: HeaderName) -> Box<str> {
    message
        .header(name)
        .map(|field| field.text().into())
        .unwrap_or_default()
}

/// Record-Route values in the order in which they stand. A request with one that cannot be read has been refused; of a response, which
/// nobody can refuse, it leads nowhere.
fn record_routes(message: &Message) -> Vec<Box<str>> {
    message
        .values(HeaderName::RecordRoute)
        .filter(|value| Address::parse(value).is_ok())
        .map(|value| value.into())
        .collect()
}

/// What two ends of a dialog are called, seen from us.
pub(crate) struct Ends {
    pub(crate) local: Box<str>,
    pub(crate) local_tag: Box<str>,
    pub(crate) remote: Box<str>,
    pub(crate) remote_tag: Box<str>,
}

impl Ends {
    /// Of a message that carries both tags: ours is in From when `we_sent` the request.
    fn read(message: &Message, we_sent: bool) -> Option<Ends> {
        let from_tag: Box<str> = message.from().ok()?.tag().unwrap_or_default().into();
        let to_tag: Box<str> = message.to().ok()?.tag()?.into();
        let (from, to) = (
            value(message, HeaderName::From),
            value(message, HeaderName::To),
        );
        Some(if we_sent {
            Ends {
                local: from,
                local_tag: from_tag,
                remote: to,
                remote_tag: to_tag,
            }
        } else {
            Ends {
                local: to,
                local_tag: to_tag,
                remote: from,
                remote_tag: from_tag,
            }
        })
    }

    /// A dialog between them, early, in which nothing has happened yet.
    pub(crate) fn dialog(
        self,
        call_id: &str,
        role: DialogRole,
        origin: Origin,
        now: Time,
    ) -> Dialog {
        Dialog {
            owner: None,
            role,
            confirmed: false,
            invited: false,
            subscriptions: None,
            call_id: call_id.into(),
            local_tag: self.local_tag,
            remote_tag: self.remote_tag,
            local: self.local,
            remote: self.remote,
            remote_target: Box::default(),
            route_set: Vec::new(),
            local_sequence: 0,
            remote_sequence: None,
            origin,
            behind_nat: false,
            invite: None,
            remote_invite: None,
            local_invite: None,
            unacknowledged: None,
            remote_update: None,
            offer: Offer::Stable,
            reliable: None,
            reliable_number: 0,
            reliable_late: None,
            remote_reliable: None,
            answer: None,
            held: Vec::new(),
            acknowledgement: None,
            session: None,
            early_description: None,
            ticket: None,
            active: now,
            idle: None,
        }
    }
}

/// Where the exchange of a new dialog stands: at its INVITE's offer, or the lack of one.
fn opening(invite: bool, from: Side, offers: impl FnOnce() -> bool) -> Offer {
    if invite {
        Offer::invited(from, offers())
    } else {
        Offer::Stable
    }
}

/// What stands for a peer's target where none can be read: requests for it fail, as nobody is there (RFC 2606 §2).
const NOWHERE: &str = "sip:unknown.invalid";

/// The URI of an end, for a peer that gave no Contact.
fn end_uri(message: &Message, remote_is_from: bool) -> Box<str> {
    let address = if remote_is_from {
        message.from()
    } else {
        message.to()
    };
    address
        .ok()
        .filter(|address| address.uri().is_ok())
        .map_or(NOWHERE, |address| address.uri_text)
        .into()
}

impl Engine {
    /// The dialog of a request that an application answers.
    pub(crate) fn create_server_dialog(
        &mut self,
        application: ApplicationId,
        transaction: TransactionId,
        request: &Message,
        response: &Message,
        origin: Origin,
    ) -> Option<DialogId> {
        let ends = Ends::read(response, false)?;
        let method = request.method();
        let invite = method == Method::Invite;
        let dialog = Dialog {
            owner: Some(application),
            confirmed: !invite,
            invited: invite,
            remote_target: contact_uri(request).unwrap_or_else(|| end_uri(request, true)),
            behind_nat: self.config.network.is_behind_nat(request, &origin),
            route_set: record_routes(request),
            local_sequence: (self.generator.next_u64() & 0xffff) as u32,
            remote_sequence: request.cseq().ok().map(|sequence| sequence.number),
            invite: invite.then_some(transaction),
            offer: opening(invite, Side::Peer, || describes(request)),
            ..ends.dialog(request.call_id().ok()?, DialogRole::Uas, origin, self.now)
        };
        let id = dialog_of(transaction);
        let ticket = self
            .servers
            .get(transaction)
            .and_then(|server| server.ticket);
        let dialog = Dialog { ticket, ..dialog };
        if let Some(ticket) = ticket {
            self.admit.usage.open_dialog(ticket);
        }
        Some(self.add_dialog_as(id, dialog))
    }

    /// The dialog of a response to our request; none for one of more places than any proxy tries.
    pub(crate) fn create_client_dialog(
        &mut self,
        application: Option<ApplicationId>,
        transaction: TransactionId,
        incoming: &Incoming,
    ) -> Option<DialogId> {
        let message = &incoming.message;
        let ends = Ends::read(message, true)?;
        // A NOTIFY may have created it before the response came.
        let call_id = message.call_id().ok()?;
        if let Some(known) = self
            .dialogs
            .find(call_id, &ends.local_tag, &ends.remote_tag)
        {
            return Some(known);
        }
        let sequence = message.cseq().ok()?;
        let invite = sequence.method == Method::Invite;
        if let Some(asked) = self.asked.get_mut(transaction) {
            // One that a NOTIFY made, and another ended, before this response came.
            if !asked.admits(&ends.remote_tag) {
                return None;
            }
            asked.admit(&ends.remote_tag);
        }
        let mut route_set = record_routes(message);
        route_set.reverse();
        let client = self.clients.get(transaction)?;
        // What answers is to be heard, past what rings.
        let bound = self.config.bounds.dialogs;
        let (most, bound) = if message.status() < 200 {
            (MOST_EARLY, bound)
        } else {
            (MOST, bound.saturating_add(bound / 4))
        };
        if self.dialogs.len() >= bound {
            self.totals.add(Total::Full);
            return None;
        }
        if invite && client.forks.len() >= most {
            tracing::debug!(status = message.status(), "one INVITE has too many dialogs");
            return None;
        }
        let offered = client.offers;
        let origin = incoming.origin?;
        let dialog = Dialog {
            owner: application,
            confirmed: !invite,
            invited: invite,
            remote_target: contact_uri(message).unwrap_or_else(|| end_uri(message, false)),
            behind_nat: self.config.network.has_distrusted_contact(message, &origin),
            route_set,
            local_sequence: sequence.number,
            invite: invite.then_some(transaction),
            offer: opening(invite, Side::We, || offered),
            ..ends.dialog(call_id, DialogRole::Uac, origin, self.now)
        };
        let id = self.name_dialog(&dialog);
        self.add_dialog_as(id, dialog);
        if invite {
            self.clients.get_mut(transaction)?.forks.push(id);
        }
        Some(id)
    }

    /// A 2xx confirms the dialog of our INVITE: its route set and target are the 2xx's (RFC 3261 §13.2.2.4).
    pub(crate) fn confirm_client_dialog(
        &mut self,
        id: DialogId,
        incoming: &Incoming,
        sequence: u32,
    ) {
        let message = &incoming.message;
        let behind_nat = incoming
            .origin
            .is_some_and(|origin| self.config.network.has_distrusted_contact(message, &origin));
        let Some(dialog) = self.dialogs.get_mut(id) else {
            return;
        };
        if !dialog.confirmed {
            dialog.confirmed = true;
            dialog.route_set = record_routes(message);
            dialog.route_set.reverse();
        }
        if let Some(target) = contact_uri(message) {
            dialog.remote_target = target;
            dialog.behind_nat = behind_nat;
        }
        if let Some(origin) = incoming.origin {
            dialog.origin = origin;
        }
        dialog.local_invite = None;
        dialog.unacknowledged = Some(sequence);
        dialog.acknowledgement = None;
        dialog.active = self.now;
        self.watch_dialog(id);
    }

    /// The dialog that a NOTIFY creates: one that overtook the 2xx of its SUBSCRIBE or REFER, or another fork's.
    pub(crate) fn dialog_of_early_notify(&mut self, arrival: &Arrival<'_>) -> Option<DialogId> {
        let head = &arrival.head;
        if head.method != Method::Notify || self.dialogs.len() >= self.config.bounds.dialogs {
            return None;
        }
        let message = &arrival.message;
        let key = self.asked_key(head.call_id, head.to_tag);
        let (client, asked) = self.asked.find(key)?;
        let (application, event) = (asked.application, EventName::of(message));
        let about = Subscription::asked(Role::Subscriber, asked.event.clone(), client, self.now);
        if !asked.admits(head.from_tag)
            || !fits(message)
            || !about.matches(Role::Subscriber, &event)
            || !self.applications.is_attached(application)
        {
            return None;
        }
        let (event, life, sequence) = (asked.event.clone(), asked.life, asked.sequence);
        let ends = Ends::read(message, false)?;
        let dialog = Dialog {
            owner: Some(application),
            confirmed: true,
            remote_target: contact_uri(message).unwrap_or_else(|| end_uri(message, true)),
            route_set: record_routes(message),
            local_sequence: sequence,
            ..ends.dialog(head.call_id, DialogRole::Uac, arrival.origin, self.now)
        };
        let id = self.name_dialog(&dialog);
        self.add_dialog_as(id, dialog);
        self.asked.get_mut(client)?.admit(head.from_tag);
        self.subscription_asked(id, Role::Subscriber, event.clone(), client);
        // Until it says, it lives as long as was asked for.
        self.subscription_notified(id, Role::Subscriber, &event, Notice::default(), Some(life));
        Some(id)
    }

    /// An identifier for a dialog that no request received names: a fork's says that it is one.
    pub(crate) fn name_dialog(&mut self, dialog: &Dialog) -> DialogId {
        let id = DialogId::with_role(self.config.shard, self.next_number(), dialog.role);
        match self
            .dialogs
            .find_by_creator(&dialog.call_id, dialog.creator_tag())
        {
            Some(_) => id.of_fork(),
            None => id,
        }
    }

    pub(crate) fn add_dialog_as(&mut self, id: DialogId, dialog: Dialog) -> DialogId {
        let confirmed = dialog.confirmed;
        self.dialogs.insert(id, dialog);
        if confirmed {
            self.watch_dialog(id);
        }
        id
    }

    /// Gives a confirmed dialog its deadline (invariant 6). An early one ends with its INVITE.
    pub(crate) fn watch_dialog(&mut self, id: DialogId) {
        let Some(dialog) = self
            .dialogs
            .get_mut(id)
            .filter(|dialog| dialog.idle.is_none())
        else {
            return;
        };
        // One that was taken over may have been silent for long already.
        let silent = self.now.since(dialog.active);
        let left = self.config.bounds.dialog_idle.saturating_sub(silent);
        dialog.idle = Some(self.timers.set(self.now, left, Timer::DialogIdle(id)));
    }
}
