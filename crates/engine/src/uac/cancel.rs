//! CANCEL sent (RFC 3261 §9.1): after a provisional response, never before; on the INVITE's own path and branch.
use crate::command::{Cancel, Draft};
use crate::draft::Fields;
use crate::engine::Engine;
use crate::event::CommandError;
use crate::id::{ApplicationId, CommandId, TransactionId};
use crate::totals::Total;
use crate::transaction::client::{Announce, Cancellation, ClientMachine, ClientTransaction, User};
use crate::transaction::client_invite::ClientInvite;
use crate::transaction::key::cancel_of;
use crate::transport::TransmitToken;
use crate::uas::via::unlimited;
use bytes::Bytes;
use sip::{Build, HeaderName, Message, Method};

impl Engine {
    /// An application cancels its INVITE.
    pub(crate) fn cancel(
        &mut self,
        application: ApplicationId,
        cancel: Cancel,
    ) -> Result<(), CommandError> {
        Fields::sort(&cancel.draft.headers)?;
        let transaction = self
            .clients
            .get(cancel.transaction)
            .ok_or(CommandError::UnknownTransaction)?;
        if transaction.user != User::Application(application) {
            return Err(CommandError::UnknownTransaction);
        }
        if transaction.method != Method::Invite || transaction.cancellation.is_wanted() {
            return Err(CommandError::NoInvite);
        }
        if transaction.is_answered() {
            return Err(CommandError::AlreadyAnswered);
        }
        self.cancel_invite(
            cancel.transaction,
            Some((application, cancel.id)),
            cancel.draft,
        );
        Ok(())
    }

    /// Cancels an INVITE that has no final response: at once when a provisional one came, else as soon as one does.
    pub(crate) fn cancel_invite(
        &mut self,
        id: TransactionId,
        command: Option<(ApplicationId, CommandId)>,
        draft: Draft,
    ) {
        let Some(transaction) = self.clients.get_mut(id) else {
            return;
        };
        if transaction.is_answered() || transaction.cancellation.is_wanted() {
            return;
        }
        transaction.cancellation = Cancellation::Wanted(command, Box::new(draft));
        if transaction.machine == ClientMachine::Invite(ClientInvite::Proceeding) {
            self.send_wanted_cancel(id);
        }
    }

    /// Sends the CANCEL that waited for a provisional response.
    pub(crate) fn send_wanted_cancel(&mut self, id: TransactionId) {
        let Some(transaction) = self.clients.get_mut(id) else {
            return;
        };
        if !matches!(transaction.cancellation, Cancellation::Wanted(..)) {
            return;
        }
        let Cancellation::Wanted(command, draft) =
            std::mem::replace(&mut transaction.cancellation, Cancellation::Sent)
        else {
            return;
        };
        let ClientMachine::Invite(machine) = transaction.machine else {
            return;
        };
        let effects = machine.on_cancelled(&self.config.timers);
        if let Some(bytes) = cancel_request(&transaction.request, &draft) {
            let announce = command.map_or(Announce::Nobody, |(application, command)| {
                Announce::Sent(application, command)
            });
            let dialog = transaction.dialog;
            let mut cancel = ClientTransaction::new(Method::Cancel, User::Engine, announce, dialog);
            cancel.secret = transaction.secret;
            cancel.request = bytes.clone();
            cancel.destination = transaction.destination;
            cancel.server_name = transaction.server_name.clone();
            self.open_cancel(cancel_of(id), cancel, &bytes);
        }
        self.apply_client(id, effects, None);
    }

    pub(super) fn open_cancel(
        &mut self,
        id: TransactionId,
        mut cancel: ClientTransaction,
        bytes: &Bytes,
    ) {
        let effects = cancel.start(&self.config.timers);
        let destination = cancel.destination;
        self.clients.insert(id, Box::new(cancel));
        self.totals.request_out(&Method::Cancel);
        self.apply_client(id, effects, None);
        if let Some(destination) = destination {
            if let Err(error) = self.announce(id, destination, bytes) {
                tracing::debug!(?error, "CANCEL sent, but not told");
            }
        }
    }

    /// A final response came, or the INVITE ended: a CANCEL that still waits has nothing left to cancel.
    pub(crate) fn forget_wanted_cancel(&mut self, id: TransactionId) {
        let Some(transaction) = self.clients.get_mut(id) else {
            return;
        };
        if let Cancellation::Wanted(command, _) = &mut transaction.cancellation {
            if let Some((application, command)) = command.take() {
                self.fail(application, command, CommandError::AlreadyAnswered);
            }
        }
    }

    /// The ACK of a non-2xx final response: on the INVITE's path, with its branch (RFC 3261 §17.1.1.3).
    pub(crate) fn send_automatic_ack(
        &mut self,
        id: TransactionId,
        incoming: Option<&crate::dispatch::Incoming>,
    ) {
        let Some(transaction) = self.clients.get_mut(id) else {
            return;
        };
        if transaction.ack.is_empty() {
            let to = incoming.and_then(|incoming| {
                incoming
                    .message
                    .header(HeaderName::To)
                    .map(|field| field.value().into_owned())
            });
            transaction.ack = ack_request(&transaction.request, to).unwrap_or_default();
        } else {
            self.totals.add(Total::RetransmissionsIn);
        }
        if let Some(destination) = transaction
            .destination
            .filter(|_| !transaction.ack.is_empty())
        {
            let (name, bytes) = (transaction.server_name.clone(), transaction.ack.clone());
            self.totals.request_out(&Method::Ack);
            self.transmit_to(destination, name, bytes, TransmitToken::NONE);
        }
    }
}

/// The start of an ACK or CANCEL of this INVITE: its URI, top Via, routes, From, Call-ID and CSeq number.
fn derived(invite: &Message, method: &Method, to: Vec<u8>) -> Option<Build> {
    let sequence = invite.cseq().ok()?.number;
    let via = invite.values(HeaderName::Via).next()?.into_owned();
    Some(
        Build::request(method.as_str(), invite.request_uri())
            .header(HeaderName::Via, via)
            .header(HeaderName::MaxForwards, "70")
            .copy(invite, HeaderName::Route)
            .copy(invite, HeaderName::From)
            .header(HeaderName::To, to)
            .copy(invite, HeaderName::CallId)
            .header(HeaderName::CSeq, format!("{sequence} {}", method.as_str())),
    )
}

/// The CANCEL of this INVITE, with the header fields of `draft` that a CANCEL may have (RFC 3261 §9.1).
pub(crate) fn cancel_request(invite: &Bytes, draft: &Draft) -> Option<Bytes> {
    let invite = Message::parse(invite.clone(), &unlimited()).ok()?;
    let to = invite.header(HeaderName::To)?.value().into_owned();
    let mut build = derived(&invite, &Method::Cancel, to)?;
    for (name, value) in &draft.headers {
        // RFC 3261 §9.1 fixes these; Contact has no place in a CANCEL.
        match HeaderName::from_bytes(name) {
            HeaderName::Via
            | HeaderName::Route
            | HeaderName::RecordRoute
            | HeaderName::RSeq
            | HeaderName::ContentLength
            | HeaderName::From
            | HeaderName::To
            | HeaderName::CallId
            | HeaderName::CSeq
            | HeaderName::MaxForwards
            | HeaderName::Contact
            | HeaderName::PAssertedIdentity
            | HeaderName::Require
            | HeaderName::ProxyRequire => {}
            _ => build = build.named(&String::from_utf8_lossy(name), value),
        }
    }
    Some(build.finish(&draft.body))
}

pub(super) fn ack_request(invite: &Bytes, to: Option<Vec<u8>>) -> Option<Bytes> {
    let invite = Message::parse(invite.clone(), &unlimited()).ok()?;
    derived(&invite, &Method::Ack, to?).map(|build| build.finish(b""))
}
