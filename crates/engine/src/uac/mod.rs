//! Requests that go: an application's new ones and those within its dialogs (RFC 3261 §8.1, §12.2.1).
//!
//! It fills in what the application left out, and refuses what cannot be sent.
pub(crate) mod acknowledge;
pub(crate) mod attempt;
pub(crate) mod cancel;
pub(crate) mod earlier;
pub(crate) mod failure;
mod late;
mod locate;
pub(crate) mod response;
pub(crate) mod target_news;
pub(crate) mod unavailable;
mod writing;

use crate::command::{DialogReference, SendRequest};
use crate::dialog::offer::Side;
use crate::dialog::usages::Act;
use crate::draft::{self, Fields, invalid};
use crate::engine::Engine;
use crate::event::CommandError;
use crate::id::{ApplicationId, DialogId};
use crate::plan::{Contact, OwnRequest, Plan};
use crate::reply::creates_dialog;
use crate::transaction::client::{Announce, User};
use bytes::Bytes;
use sip::header::Address;
use sip::{HeaderName, Method, Uri};

/// Methods to which the engine adds its Contact: those that create a dialog or move its target.
fn wants_contact(method: &Method) -> bool {
    matches!(
        method,
        Method::Invite | Method::Subscribe | Method::Refer | Method::Update | Method::Notify
    )
}

/// The URI that an application writes for "the remote target".
fn is_placeholder(uri: &str) -> bool {
    uri.is_empty() || uri.contains("placeholder")
}

/// Whether nothing that is sent to where it was to go ever gets there.
fn leads_nowhere(error: &CommandError) -> bool {
    matches!(
        error,
        CommandError::InvalidUri(_)
            | CommandError::NoTransport(_)
            | CommandError::FlowFailed(_)
            | CommandError::FlowForged
    )
}

/// The number of a CSeq value. The method behind it, which may be left out, is the engine's to write.
fn sequence_number(value: &Bytes) -> Result<u32, CommandError> {
    let text = draft::text("CSeq", value)?;
    let number = text
        .split_ascii_whitespace()
        .next()
        .and_then(|digits| digits.parse::<u32>().ok());
    number
        .filter(|number| *number < 1 << 31)
        .ok_or_else(|| invalid(b"CSeq", "a number below 2^31 is wanted"))
}

impl Engine {
    /// An application sends a request.
    pub(crate) fn send_request(
        &mut self,
        application: ApplicationId,
        send: SendRequest,
    ) -> Result<(), CommandError> {
        if let Method::Other(name) = &send.method {
            let token = Method::parse(name.as_bytes());
            token.ok_or_else(|| CommandError::InvalidMethod(format!("{name:?} is no token")))?;
        }
        match (&send.dialog, &send.method) {
            (_, Method::Cancel) => Err(CommandError::NoInvite),
            (None, Method::Ack | Method::Prack) => Err(CommandError::NoInvite),
            (None, _) => self.send_new(application, &send),
            (Some(reference), _) => {
                let dialog = self.owned_dialog(application, reference)?;
                if send.method == Method::Ack {
                    return self.acknowledge(application, dialog, &send);
                }
                if send.method == Method::Bye && self.awaits_acknowledgement(dialog) {
                    Fields::sort(&send.draft.headers)?;
                    self.hold(dialog, application, send);
                    return Ok(());
                }
                if send.method == Method::Invite && self.refreshes_by_invite(dialog) {
                    Fields::sort(&send.draft.headers)?;
                    self.hold_invite(dialog, application, send);
                    return Ok(());
                }
                self.send_in_dialog(application, dialog, &send)
            }
        }
    }

    /// The dialog that an application names, if it is its own.
    pub(crate) fn owned_dialog(
        &self,
        application: ApplicationId,
        reference: &DialogReference,
    ) -> Result<DialogId, CommandError> {
        let id = match reference {
            DialogReference::Id(id) => Some(*id),
            DialogReference::Tags { call_id, from_tag } => {
                self.dialogs.find_by_creator(call_id, from_tag)
            }
        };
        id.filter(|id| {
            self.dialogs
                .get(*id)
                .is_some_and(|dialog| dialog.owner == Some(application))
        })
        .ok_or(CommandError::UnknownDialog)
    }

    /// A request outside any dialog.
    fn send_new(
        &mut self,
        application: ApplicationId,
        send: &SendRequest,
    ) -> Result<(), CommandError> {
        if creates_dialog(&send.method) && self.dialogs.len() >= self.config.bounds.dialogs {
            return Err(CommandError::Limit("dialogs"));
        }
        Uri::parse(&send.uri)
            .map_err(|error| CommandError::InvalidUri(format!("{}: {error}", send.uri)))?;
        let fields = Fields::sort(&send.draft.headers)?;
        let from_tag = match fields.from {
            Some(from) => {
                let address = Address::parse(draft::text("From", from)?)
                    .map_err(|error| invalid(b"From", &error.to_string()))?;
                address.tag().is_none()
            }
            None => true,
        };
        if let Some(to) = fields.to {
            Address::parse(draft::text("To", to)?)
                .map_err(|error| invalid(b"To", &error.to_string()))?;
        }
        let sequence = match fields.sequence {
            Some(value) => sequence_number(value)?,
            None => 1 + (self.generator.next_u64() & 0xffff) as u32,
        };
        // drachtio ignores an application's Route; otherwise it is a preloaded route set (RFC 3261 §8.1.1.1).
        let routes: Vec<Bytes> = if self.config.drachtio_compatible || send.next_hop.is_some() {
            Vec::new()
        } else {
            fields.routes.iter().map(|value| (*value).clone()).collect()
        };
        let hop = match (&send.next_hop, routes.first()) {
            (Some(hop), _) => hop.clone(),
            (None, Some(route)) => {
                let address = Address::parse(draft::text("Route", route)?);
                address
                    .map_err(|error| invalid(b"Route", &error.to_string()))?
                    .uri_text
                    .to_owned()
            }
            (None, None) => send.uri.clone(),
        };
        let call_id = match fields.call_id {
            Some(call_id) => call_id.clone(),
            None => Bytes::from(self.new_call_id()),
        };
        let mut plan = OwnRequest {
            method: send.method.clone(),
            uri: send.uri.clone(),
            from: fields.from.cloned(),
            from_tag: from_tag.then(|| self.generator.token()),
            to: fields
                .to
                .cloned()
                .unwrap_or_else(|| Bytes::from(format!("<{}>", send.uri))),
            call_id,
            sequence,
            max_forwards: fields
                .max_forwards
                .cloned()
                .unwrap_or_else(|| Bytes::from_static(b"70")),
            routes,
            contact: if fields.contacts || !wants_contact(&send.method) {
                Contact::Left
            } else {
                Contact::Own
            },
            headers: Vec::new(),
            content_type: None,
            body: send.draft.body.clone(),
        };
        complete_plan(&mut plan, send, &fields)?;
        self.offer_session_timer(&mut plan, None, send, &fields);
        let user = User::Application(application);
        self.open_client(
            Plan::Own(Box::new(plan)),
            &hop,
            user,
            Announce::Sent(application, send.id),
            None,
        )
        .map(|_| ())
    }

    /// A Call-ID that belongs to this shard, so that what comes back reaches this engine (invariant 5).
    pub(crate) fn new_call_id(&mut self) -> String {
        loop {
            let call_id = format!("{}{}", self.generator.token(), self.generator.token());
            if crate::config::shard_of(call_id.as_bytes(), self.config.shards) == self.config.shard
            {
                return call_id;
            }
        }
    }

    /// A request within a dialog (RFC 3261 §12.2.1.1).
    pub(crate) fn send_in_dialog(
        &mut self,
        application: ApplicationId,
        id: DialogId,
        send: &SendRequest,
    ) -> Result<(), CommandError> {
        let fields = Fields::sort(&send.draft.headers)?;
        let uri = if is_placeholder(&send.uri) {
            None
        } else {
            Uri::parse(&send.uri)
                .map_err(|error| CommandError::InvalidUri(format!("{}: {error}", send.uri)))?;
            Some(send.uri.as_str())
        };
        let mut plan = self
            .plan_in_dialog(id, &send.method, uri)
            .ok_or(CommandError::UnknownDialog)?;
        if fields.contacts {
            plan.contact = Contact::Left;
        }
        if let Some(hops) = fields.max_forwards {
            plan.max_forwards = hops.clone();
        }
        plan.body = send.draft.body.clone();
        complete_plan(&mut plan, send, &fields)?;
        self.offer_session_timer(&mut plan, Some(id), send, &fields);
        let written = |(name, _): &(HeaderName, _)| *name == HeaderName::RAck;
        if send.method == Method::Prack && !fields.rest.iter().any(written) {
            plan.headers.push(self.acknowledgement_of_provisional(id)?);
        }
        let describes = plan.describes_session();
        self.check_request(id, &send.method, describes)?;
        let act = Act::of_draft(&send.method, &fields, plan.sequence);
        self.check_subscriptions(id, act.as_ref())?;
        match send.method {
            Method::Bye => self.pause_session(id),
            Method::Prack => self.note_body(id, &plan.body),
            _ => {}
        }
        let dialog = self
            .dialogs
            .get_mut(id)
            .ok_or(CommandError::UnknownDialog)?;
        dialog.active = self.now;
        // Only now is it certain that the number is used.
        plan.sequence = dialog.next_sequence();
        let hop = send
            .next_hop
            .clone()
            .unwrap_or_else(|| dialog.next_hop().to_owned());
        let user = User::Application(application);
        let opened = self.open_client(
            Plan::Own(Box::new(plan)),
            &hop,
            user,
            Announce::Sent(application, send.id),
            Some(id),
        );
        let is_own = uri.is_none() && send.next_hop.is_none();
        if let Err(error) = &opened
            && send.method == Method::Bye
            && is_own
            && leads_nowhere(error)
        {
            // RFC 3261 §15.1.1: whoever has said goodbye has hung up, heard or not.
            self.dialog_said_goodbye(Some(id));
        }
        let transaction = opened?;
        self.request_passed(id, Side::We, &send.method, || describes);
        if send.method == Method::Bye {
            self.give_up_invite(id);
        }
        self.subscription_sent(id, transaction, act);
        Ok(())
    }

    /// A request within a dialog, without the application's fields. The CSeq number is the next one, not taken yet.
    pub(crate) fn plan_in_dialog(
        &self,
        id: DialogId,
        method: &Method,
        uri: Option<&str>,
    ) -> Option<OwnRequest> {
        let dialog = self.dialogs.get(id)?;
        let target = uri.unwrap_or(&dialog.remote_target);
        let mut routes: Vec<Bytes> = dialog
            .route_set
            .iter()
            .map(|route| Bytes::copy_from_slice(route.as_bytes()))
            .collect();
        // RFC 3261 §12.2.1.1: a strict router stands in the request-URI, and the target behind the other routes.
        let strict = dialog.strict_hop();
        if strict.is_some() {
            routes.rotate_left(1);
            routes.pop();
            routes.push(Bytes::from(format!("<{target}>")));
        }
        Some(OwnRequest {
            method: method.clone(),
            uri: strict.unwrap_or(target).to_owned(),
            from: Some(Bytes::copy_from_slice(dialog.local.as_bytes())),
            from_tag: None,
            to: Bytes::copy_from_slice(dialog.remote.as_bytes()),
            call_id: Bytes::copy_from_slice(dialog.call_id.as_bytes()),
            sequence: dialog.local_sequence.wrapping_add(1),
            max_forwards: Bytes::from_static(b"70"),
            routes,
            contact: if wants_contact(method) {
                Contact::Own
            } else {
                Contact::Left
            },
            headers: Vec::new(),
            content_type: None,
            body: Bytes::new(),
        })
    }
}

/// Adds the application's other fields, and the Content-Type of SDP.
pub(crate) fn complete_plan(
    plan: &mut OwnRequest,
    send: &SendRequest,
    fields: &Fields<'_>,
) -> Result<(), CommandError> {
    plan.headers = fields
        .rest
        .iter()
        .map(|(_, field)| (*field).clone())
        .collect();
    match draft::missing_content_type(&send.draft, fields) {
        Some(true) => plan.content_type = Some("application/sdp"),
        Some(false) => return Err(CommandError::MissingContentType),
        None => {}
    }
    Ok(())
}
