//! Responses: the application's, and the engine's own to requests that have a transaction.
use crate::command::{Respond, Written};
use crate::dialog::reliable::Waiting;
use crate::dialog::subscription::{EventName, Role};
use crate::dialog::usages::declines_subscription;
use crate::draft::{self, invalid};
use crate::engine::Engine;
use crate::event::{CommandError, Event, Sent};
use crate::id::{ApplicationId, DialogId, TransactionId};
use crate::reply::{self, Reply, creates_dialog};
use crate::totals::Total;
use crate::transaction::server::{Owner, ServerTransaction};
use crate::transport::Origin;
use crate::uas::via::unlimited;
use sip::header::Address;
use sip::status::reason_phrase;
use sip::{CSeq, HeaderName, Message, Method};
use std::sync::Arc;

impl Engine {
    /// An application answers a request.
    pub(crate) fn respond(
        &mut self,
        application: ApplicationId,
        respond: Respond,
    ) -> Result<(), CommandError> {
        let id = self.early_update(&respond).unwrap_or(respond.transaction);
        self.unanswered(application, id)?;
        if !(100..700).contains(&respond.status) {
            return Err(CommandError::InvalidHeader(format!(
                "{} is no status: 101 to 699",
                respond.status
            )));
        }
        let tag = self.choose_local_tag(id, &respond)?;
        let asked = reply::asks_reliability(&respond.draft);
        let reliable_number = self.reliable_number(id, respond.status, asked)?;
        let reliable = reliable_number.is_some();
        if let Some(dialog) = self.waits_for_prack(id, respond.status, reliable)? {
            self.wait_for_prack(dialog, application, Waiting::Respond(respond));
            return Ok(());
        }
        let transaction = self.unanswered(application, id)?;
        let request = transaction
            .request
            .as_deref()
            .ok_or(CommandError::AlreadyAnswered)?;
        let reply = Reply {
            status: respond.status,
            reason: &respond.reason,
            tag: tag.as_deref(),
            reliable_number,
            draft: &respond.draft,
        };
        let bytes = reply::write(
            &self.listeners,
            (self.config.drachtio_compatible, &self.config.session),
            request,
            &transaction.origin,
            &reply,
        )?;
        let message = Message::parse(bytes, &unlimited()).map_err(|error| {
            CommandError::InvalidHeader(format!("the response cannot be sent: {error}"))
        })?;
        let message = Arc::new(message);
        let (dialog, path) = self.send_response(application, id, tag, &message)?;
        let sent = Sent {
            command: respond.id,
            transaction: respond.transaction,
            // As it was named: the dialog of an early UPDATE is no news.
            dialog: dialog.filter(|_| respond.transaction == id),
            message,
            path,
        };
        self.emit(application, Event::Sent(sent));
        Ok(())
    }

    /// An application answers a request with a response that its link has written (`reply::Replier`).
    pub(crate) fn respond_written(
        &mut self,
        application: ApplicationId,
        written: &Written,
    ) -> Result<(), CommandError> {
        let transaction = self.unanswered(application, written.transaction)?;
        let tag: Option<Box<str>> = written
            .message
            .to()
            .map_err(|error| invalid(b"To", error.what))?
            .tag()
            .map(Into::into);
        if transaction.local_tag.is_some() && transaction.local_tag != tag {
            return Err(invalid(b"To", "another tag was used for this request"));
        }
        let (id, status) = (written.transaction, written.message.status());
        if let Some(dialog) = self.waits_for_prack(id, status, false)? {
            self.wait_for_prack(dialog, application, Waiting::Written(written.clone()));
            return Ok(());
        }
        self.send_response(application, written.transaction, tag, &written.message)?;
        Ok(())
    }

    /// The UPDATE that a response is for which names the INVITE of its early dialog, as the control protocol does: its CSeq says
    /// so.
    fn early_update(&self, respond: &Respond) -> Option<TransactionId> {
        let mut headers = respond.draft.headers.iter();
        let (_, value) =
            headers.find(|(name, _)| HeaderName::from_bytes(name) == HeaderName::CSeq)?;
        let named = CSeq::parse(value.trim_ascii()).ok();
        let number = named.filter(|named| named.method == Method::Update)?.number;
        let dialogs = match self.servers.get(respond.transaction) {
            Some(server) => server.dialog.into_iter().collect(),
            None => self.clients.get(respond.transaction)?.forks.clone(),
        };
        let mut updates = dialogs
            .into_iter()
            .filter_map(|dialog| self.dialogs.get(dialog)?.remote_update);
        updates.find(|update| {
            let server = self.servers.get(*update);
            let request = server.and_then(|server| server.request.as_ref());
            let cseq = request.and_then(|request| request.cseq().ok());
            cseq.is_some_and(|cseq| cseq.number == number)
        })
    }

    /// The transaction, if this application has still to answer it.
    fn unanswered(
        &self,
        application: ApplicationId,
        id: TransactionId,
    ) -> Result<&ServerTransaction, CommandError> {
        let transaction = self
            .servers
            .get(id)
            .filter(|transaction| transaction.owner == Owner::Application(application))
            .ok_or(CommandError::UnknownTransaction)?;
        if transaction.is_answered() {
            return Err(CommandError::AlreadyAnswered);
        }
        Ok(transaction)
    }

    /// The response is readable: sends it, and lets it act on the dialog. Gives the dialog, and which way it went.
    fn send_response(
        &mut self,
        application: ApplicationId,
        id: TransactionId,
        tag: Option<Box<str>>,
        message: &Arc<Message>,
    ) -> Result<(Option<DialogId>, Origin), CommandError> {
        let transaction = self
            .servers
            .get(id)
            .ok_or(CommandError::UnknownTransaction)?;
        let request = transaction
            .request
            .clone()
            .ok_or(CommandError::AlreadyAnswered)?;
        self.demand_contact(id, &request, message)?;
        let transaction = self
            .servers
            .get_mut(id)
            .ok_or(CommandError::UnknownTransaction)?;
        let status = message.status();
        transaction.local_tag = tag;
        transaction.response = message.bytes();
        let (destination, method) = (transaction.destination, transaction.method.clone());
        let origin = transaction.origin;
        let effects = transaction.on_response(status, &self.config.timers);
        match status {
            401 | 407 => self.note_challenged(destination.peer.ip(), message),
            200..300 => {
                self.note_accepted(id, &request);
                self.learn_hosts(&origin, &request);
            }
            _ => {}
        }
        let dialog = self.answered(id, application, &request, message);
        self.apply_server(id, effects);
        match (&method, status) {
            // A BYE that was challenged comes again, with credentials, in the same dialog (RFC 3261 §22.2).
            (Method::Bye, 401 | 407) => {
                if let Some(dialog) = dialog {
                    self.session_resumed(dialog);
                }
            }
            (Method::Bye, 200..) => self.dialog_said_goodbye(dialog),
            _ => {}
        }
        Ok((dialog, self.listeners.path(&destination)))
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
                if method == Method::Refer && declines_subscription(response) {
                    return None;
                }
                let dialog =
                    self.create_server_dialog(application, id, request, response, origin)?;
                self.servers.get_mut(id)?.dialog = Some(dialog);
                if method != Method::Invite {
                    let event = EventName::of(request);
                    self.subscription_asked(dialog, Role::Notifier, event, id);
                }
                Some(dialog)
            }
            known => known,
        };
        if let Some(dialog) = dialog {
            match (&method, status) {
                (Method::Invite, 101..=199) => {
                    self.note_early_answer(dialog, request, response);
                    self.start_reliable(dialog, id, response);
                }
                (Method::Invite, 200..=299) => {
                    self.start_answer(dialog, id, response);
                    self.session_answered(dialog, request, response);
                }
                (Method::Invite, 300..) => self.invite_refused(dialog, id),
                (Method::Prack | Method::Update, 200..) => {
                    self.peer_request_done(dialog, id, &method, Some(response));
                    match method {
                        Method::Update if status < 300 => {
                            self.note_body(dialog, response.body());
                            self.session_answered(dialog, request, response);
                        }
                        Method::Prack if status < 300 => self.note_body(dialog, response.body()),
                        _ => {}
                    }
                }
                (Method::Subscribe | Method::Refer | Method::Notify, 200..) => {
                    let answer = (status, Some(response.as_ref()));
                    self.subscription_answered(dialog, request, answer, false, false);
                }
                _ => {}
            }
        }
        dialog
    }

    /// A request that makes a dialog says where its sender is reached (RFC 3261 §8.1.1.8, §12.1.1): without that the caller could be sent no
    /// BYE. Only now is it known that it ends here: a proxy passes it on as it is. It gets 400 in place of the answer, as pjsip gives it.
    fn demand_contact(
        &mut self,
        id: TransactionId,
        request: &Message,
        response: &Message,
    ) -> Result<(), CommandError> {
        let method = request.method();
        let is_new = self.servers.get(id).is_some_and(|it| it.dialog.is_none());
        let creates = is_new
            && reply::answers_dialog(&method, response.status())
            && !(method == Method::Refer && declines_subscription(response));
        if !creates || !reply::lacks_contact(request) {
            return Ok(());
        }
        self.totals.add(Total::Invalid);
        let why = "it is to make a dialog, and no Contact says where its sender is reached";
        let headers = [(HeaderName::Warning, super::warning(why))];
        self.answer_with(id, (400, "Missing Contact"), &headers);
        Err(CommandError::NoContact)
    }

    /// The engine answers a request that has a transaction.
    pub(crate) fn answer(
        &mut self,
        id: TransactionId,
        status: u16,
        headers: &[(HeaderName, String)],
    ) {
        self.answer_with(id, (status, reason_phrase(status)), headers);
    }

    fn answer_with(
        &mut self,
        id: TransactionId,
        (status, reason): (u16, &str),
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
        let Some(bytes) = Self::made_response(transaction, (status, reason), headers) else {
            return;
        };
        transaction.response = bytes;
        let (dialog, method) = (transaction.dialog, transaction.method.clone());
        let subscribes = matches!(method, Method::Subscribe | Method::Refer | Method::Notify);
        let request = transaction.request.clone().filter(|_| subscribes);
        let effects = transaction.on_response(status, &self.config.timers);
        self.apply_server(id, effects);
        if let (Some(dialog), Some(request)) = (dialog, request) {
            self.subscription_answered(dialog, &request, (status, None), false, true);
        }
        match (dialog, method) {
            (Some(dialog), Method::Invite) if status >= 300 => self.invite_refused(dialog, id),
            (Some(dialog), method @ (Method::Prack | Method::Update)) if status >= 200 => {
                self.peer_request_done(dialog, id, &method, None);
            }
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
}
