//! The ACK of a 2xx (RFC 3261 §13.2.2.4): the application's, or the engine's for a call that nobody wants any more.
use crate::command::SendRequest;
use crate::dialog::Acknowledgement;
use crate::dialog::offer::Side;
use crate::draft::Fields;
use crate::engine::Engine;
use crate::event::CommandError;
use crate::id::{ApplicationId, DialogId};
use crate::plan::Plan;
use crate::transaction::client::{Announce, User};
use crate::transport::{Destination, TransmitToken};
use crate::uac::complete_plan;
use bytes::Bytes;
use sip::Method;
use std::sync::Arc;

impl Engine {
    /// An application acknowledges the 2xx of its INVITE.
    pub(crate) fn acknowledge(
        &mut self,
        application: ApplicationId,
        id: DialogId,
        send: &SendRequest,
    ) -> Result<(), CommandError> {
        let dialog = self.dialogs.get(id).ok_or(CommandError::UnknownDialog)?;
        // One whose ACK went out already gets it again: the application may repeat it, with the same number.
        let sent = dialog.acknowledgement.as_ref().map(|kept| kept.sequence);
        let sequence = dialog
            .unacknowledged
            .or(sent)
            .ok_or(CommandError::NoInvite)?;
        let fields = Fields::sort(&send.draft.headers)?;
        // Its request-URI is the remote target, whatever the application wrote.
        let mut plan = self
            .plan_in_dialog(id, &Method::Ack, None)
            .ok_or(CommandError::UnknownDialog)?;
        plan.sequence = sequence;
        plan.body = send.draft.body.clone();
        complete_plan(&mut plan, send, &fields)?;
        let hop = self
            .dialogs
            .get(id)
            .ok_or(CommandError::UnknownDialog)?
            .next_hop()
            .to_owned();
        let user = User::Application(application);
        self.open_client(
            Plan::Own(Box::new(plan)),
            &hop,
            user,
            Announce::Sent(application, send.id),
            Some(id),
        )?;
        self.acknowledgement_passed(id, Side::We);
        Ok(())
    }

    /// The engine acknowledges a 2xx itself.
    pub(crate) fn acknowledge_unasked(&mut self, id: DialogId, sequence: u32) {
        self.acknowledgement_passed(id, Side::We);
        let Some(mut plan) = self.plan_in_dialog(id, &Method::Ack, None) else {
            return;
        };
        plan.sequence = sequence;
        let Some(hop) = self
            .dialogs
            .get(id)
            .map(|dialog| dialog.next_hop().to_owned())
        else {
            return;
        };
        if let Err(error) = self.open_client(
            Plan::Own(Box::new(plan)),
            &hop,
            User::Engine,
            Announce::Nobody,
            Some(id),
        ) {
            tracing::debug!(?error, "cannot acknowledge a call that is to be ended");
        }
    }

    /// Its 2xx came again (RFC 3261 §13.2.2.4).
    pub(crate) fn repeat_acknowledgement(&mut self, kept: Acknowledgement) {
        self.totals.request_out(&Method::Ack);
        let token = TransmitToken::NONE;
        self.transmit_to(kept.destination, kept.server_name, kept.request, token);
    }

    /// An ACK went out: kept as long as its 2xx may be repeated.
    pub(crate) fn keep_acknowledgement(
        &mut self,
        id: DialogId,
        request: Bytes,
        destination: Destination,
        server_name: Option<Arc<str>>,
    ) {
        let Some(dialog) = self.dialogs.get_mut(id) else {
            return;
        };
        let known = dialog.acknowledgement.as_ref().map(|kept| kept.sequence);
        let Some(sequence) = dialog.unacknowledged.take().or(known) else {
            return;
        };
        if let Some(session) = dialog.session.as_mut() {
            session.note_sent(&request);
        }
        dialog.active = self.now;
        dialog.acknowledgement = Some(Box::new(Acknowledgement {
            sequence,
            request,
            destination,
            server_name,
        }));
    }
}
