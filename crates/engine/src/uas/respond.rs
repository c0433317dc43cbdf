//! Responses: the application's, and the engine's own where the application leaves a request unanswered.
use crate::command::Respond;
use crate::draft::{self, Fields, invalid};
use crate::engine::Engine;
use crate::event::{CommandError, Event, Sent};
use crate::id::{ApplicationId, DialogId, TransactionId};
use crate::totals::Total;
use crate::transaction::Effect;
use crate::transaction::server::Owner;
use crate::uas::via::unlimited;
use bytes::Bytes;
use sip::header::Address;
use sip::status::reason_phrase;
use sip::{Build, HeaderName, Message, Method};
use std::sync::Arc;

/// Methods whose response may create a dialog (RFC 3261 §12.1, RFC 6665 §4.4.1, RFC 3515 §2.4.4).
pub(crate) fn creates_dialog(method: &Method) -> bool {
    matches!(method, Method::Invite | Method::Subscribe | Method::Refer)
}

/// Whether an application wants a provisional response sent reliably (RFC 3262 §3).
fn asks_reliability(respond: &Respond) -> bool {
    let mut headers = respond.draft.headers.iter();
    headers.any(|(name, value)| {
        let listed = value.split(|byte| *byte == b',');
        let mut tags = listed.map(<[u8]>::trim_ascii);
        HeaderName::from_bytes(name) == HeaderName::Require
            && tags.any(|tag| tag.eq_ignore_ascii_case(b"100rel"))
    })
}

/// Whether the engine adds its Contact to a response that has none.
fn wants_contact(method: &Method, status: u16) -> bool {
    match method {
        Method::Invite => (101..300).contains(&status),
        Method::Subscribe | Method::Refer | Method::Update | Method::Notify => {
            (200..300).contains(&status)
        }
        _ => false,
    }
}

impl Engine {
    /// An application answers a request.
    pub(crate) fn respond(
        &mut self,
        application: ApplicationId,
        respond: Respond,
    ) -> Result<(), CommandError> {
        let id = respond.transaction;
        let transaction = self
            .servers
            .get(id)
            .ok_or(CommandError::UnknownTransaction)?;
        match transaction.owner {
            Owner::Application(owner) if owner == application => {}
            Owner::Application(_) | Owner::Engine | Owner::Proxy | Owner::Relay(_) => {
                return Err(CommandError::UnknownTransaction);
            }
        }
        if transaction.is_answered() {
            return Err(CommandError::AlreadyAnswered);
        }
        if !(100..700).contains(&respond.status) {
            return Err(CommandError::InvalidHeader(format!(
                "{} is no status: 101 to 699",
                respond.status
            )));
        }
        let tag = self.choose_local_tag(id, &respond)?;
        let asked = asks_reliability(&respond);
        let number = self.reliable_number(id, respond.status, asked)?;
        let bytes = self.build_response(id, &respond, tag.as_deref(), number)?;
        let message = Message::parse(bytes.clone(), &unlimited()).map_err(|error| {
            CommandError::InvalidHeader(format!("the response cannot be sent: {error}"))
        })?;
        self.send_response(application, id, respond, tag, Arc::new(message))
    }

    /// The response is readable: sends it, and lets it act on the dialog.
    fn send_response(
        &mut self,
        application: ApplicationId,
        id: TransactionId,
        respond: Respond,
        tag: Option<Box<str>>,
        message: Arc<Message>,
    ) -> Result<(), CommandError> {
        let transaction = self
            .servers
            .get_mut(id)
            .ok_or(CommandError::UnknownTransaction)?;
        let request = transaction
            .request
            .clone()
            .ok_or(CommandError::AlreadyAnswered)?;
        transaction.local_tag = tag;
        transaction.response = message.bytes();
        let (destination, method) = (transaction.destination, transaction.method.clone());
        let effects = transaction.on_response(respond.status, &self.config.timers);
        let dialog = self.answered(id, application, &request, &message);
        self.apply_server(id, effects);
        let path = self.listeners.path(&destination);
        let sent = Sent {
            command: respond.id,
            transaction: id,
            dialog,
            message,
            path,
        };
        self.emit(application, Event::Sent(sent));
        if method == Method::Bye && respond.status >= 200 {
            self.dialog_said_goodbye(dialog);
        }
        Ok(())
    }

    /// The To tag of a response: the one used before, the application's own choice, a new one; none for 100.
    fn choose_local_tag(
        &mut self,
        id: TransactionId,
        respond: &Respond,
    ) -> Result<Option<Box<str>>, CommandError> {
        let known = self
            .servers
            .get(id)
            .and_then(|transaction| transaction.local_tag.clone());
        if known.is_some() || respond.status == 100 {
            return Ok(known);
        }
        let to = respond
            .draft
            .headers
            .iter()
            .find(|(name, _)| HeaderName::from_bytes(name) == HeaderName::To);
        if let Some((_, value)) = to {
            let address = Address::parse(draft::text("To", value)?)
                .map_err(|error| invalid(b"To", &error.to_string()))?;
            if let Some(tag) = address.tag() {
                return Ok(Some(tag.into()));
            }
        }
        Ok(Some(self.generator.token().into()))
    }

    fn build_response(
        &self,
        id: TransactionId,
        respond: &Respond,
        tag: Option<&str>,
        number: Option<u32>,
    ) -> Result<Bytes, CommandError> {
        let transaction = self
            .servers
            .get(id)
            .ok_or(CommandError::UnknownTransaction)?;
        let request = transaction
            .request
            .as_deref()
            .ok_or(CommandError::AlreadyAnswered)?;
        let fields = Fields::sort(&respond.draft.headers)?;
        if respond.reason.chars().any(char::is_control) {
            return Err(CommandError::InvalidHeader(
                "the reason phrase must be one line".to_owned(),
            ));
        }
        let reason = if respond.reason.is_empty() {
            reason_phrase(respond.status)
        } else {
            &respond.reason
        };
        let (listener, peer) = (transaction.origin.listener, transaction.origin.peer.ip());
        let mut build = Build::reply(request, respond.status, reason, tag);
        if creates_dialog(&transaction.method) && (101..300).contains(&respond.status) {
            build = build.copy(request, HeaderName::RecordRoute);
        }
        if !fields.contacts && wants_contact(&transaction.method, respond.status) {
            build = build.header(
                HeaderName::Contact,
                self.listeners.contact(listener, peer).as_bytes(),
            );
        }
        if let Some(number) = number {
            build = build.header(HeaderName::RSeq, number.to_string());
            if !asks_reliability(respond) {
                build = build.header(HeaderName::Require, "100rel");
            }
        }
        for (name, (raw, value)) in &fields.rest {
            let host_port = self.listeners.host_port(listener, peer);
            let own = draft::takes_own_host(*name)
                .then(|| draft::own_host(value, host_port))
                .flatten();
            build = build.named(
                &String::from_utf8_lossy(raw),
                own.as_deref().unwrap_or(value),
            );
        }
        match draft::missing_content_type(&respond.draft, &fields) {
            Some(true) => build = build.header(HeaderName::ContentType, "application/sdp"),
            // drachtio sends such a response as it is.
            Some(false) if !self.config.drachtio_compatible => {
                return Err(CommandError::MissingContentType);
            }
            Some(false) | None => {}
        }
        Ok(build.finish(&respond.draft.body))
    }

    /// What a response that is being sent does to the dialog: creates it, confirms it, ends it. Gives the dialog, if any.
    fn answered(
        &mut self,
        id: TransactionId,
        application: ApplicationId,
        request: &Message,
        response: &Arc<Message>,
    ) -> Option<DialogId> {
        let status = response.status();
        let method = request.method();
        let transaction = self.servers.get(id)?;
        let (known, origin) = (transaction.dialog, transaction.origin);
        let dialog = match known {
            None if status > 100 && status < 300 && creates_dialog(&method) => {
                // Other requests create theirs by a 2xx only (RFC 6665 §4.4.1).
                if method != Method::Invite && status < 200 {
                    return None;
                }
                let dialog =
                    self.create_server_dialog(application, id, request, response, origin)?;
                self.servers.get_mut(id)?.dialog = Some(dialog);
                Some(dialog)
            }
            known => known,
        };
        if let Some(dialog) = dialog {
            match (&method, status) {
                (Method::Invite, 101..=199) => self.start_reliable(dialog, id, response),
                (Method::Invite, 200..=299) => self.start_answer(dialog, id, response),
                (Method::Invite, 300..) => self.invite_refused(dialog, id),
                (Method::Notify, 200..) => self.notified(dialog, request, status),
                (Method::Subscribe, 200..=299) => self.subscribed(dialog),
                _ => {}
            }
        }
        dialog
    }

    /// The engine answers a request that has a transaction.
    pub(crate) fn answer(
        &mut self,
        id: TransactionId,
        status: u16,
        headers: &[(HeaderName, String)],
    ) {
        if self
            .servers
            .get(id)
            .is_some_and(|transaction| transaction.local_tag.is_none())
            && status > 100
        {
            let tag: Box<str> = self.generator.token().into();
            if let Some(transaction) = self.servers.get_mut(id) {
                transaction.local_tag = Some(tag);
            }
        }
        let Some(transaction) = self.servers.get_mut(id) else {
            return;
        };
        let Some(bytes) = Self::made_response(transaction, status, headers) else {
            return;
        };
        transaction.response = bytes;
        let (dialog, method) = (transaction.dialog, transaction.method.clone());
        let effects = transaction.on_response(status, &self.config.timers);
        self.apply_server(id, effects);
        match (dialog, method) {
            (Some(dialog), Method::Invite) if status >= 300 => self.invite_refused(dialog, id),
            (dialog, Method::Bye) if status >= 200 => self.dialog_said_goodbye(dialog),
            _ => {}
        }
    }

    /// The To tag of a transaction's responses, decided now if it was not.
    pub(crate) fn local_tag(&mut self, id: TransactionId) -> Option<Box<str>> {
        let tag: Box<str> = match self.servers.get(id)?.local_tag.clone() {
            Some(tag) => tag,
            None => self.generator.token().into(),
        };
        self.servers.get_mut(id)?.local_tag = Some(tag.clone());
        Some(tag)
    }

    /// The application let its time pass: 500 to an INVITE, 408 to the rest (invariant 6: nothing waits for ever).
    pub(crate) fn request_unanswered(&mut self, id: TransactionId) {
        let Some(transaction) = self.servers.get(id) else {
            return;
        };
        if transaction.request.is_none() {
            // Dropped by the application; its repetitions were absorbed until now.
            return self.remove_server(id);
        }
        self.totals.add(Total::Unanswered);
        let status = if transaction.method == Method::Invite {
            500
        } else {
            408
        };
        self.answer(id, status, &[]);
    }

    /// An application wants no answer sent: repetitions of the request are absorbed for a while, in silence.
    pub(crate) fn drop_request(&mut self, application: ApplicationId, id: TransactionId) {
        let long = self.config.timers.long();
        let transaction = self
            .servers
            .get_mut(id)
            .filter(|transaction| !transaction.is_answered());
        let Some(transaction) =
            transaction.filter(|transaction| transaction.owner == Owner::Application(application))
        else {
            return;
        };
        transaction.owner = Owner::Engine;
        transaction.request = None;
        transaction.response = Bytes::new();
        let dialog = transaction.dialog;
        if let Some(dialog) = dialog {
            self.invite_refused(dialog, id);
        }
        self.apply_server(id, smallvec::smallvec![Effect::SetTimeout(long)]);
    }
}
