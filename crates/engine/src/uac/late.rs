//! What still comes from targets that an INVITE was given up at, when it has its final response from elsewhere, or failed.
//!
//! Its transaction stays for 64*T1 as long as one of them has not answered, and anew when one of them shows itself: what rings is
//! cancelled (`earlier.rs`), what is answered is acknowledged and ended, and repetitions find their ACK. It refuses to tell anybody: for
//! the application the call is decided. A proxy passes a late 2xx on (RFC 3261 §16.7 item 5), as the dialog is its caller's.
use super::earlier;
use crate::dispatch::Incoming;
use crate::engine::Engine;
use crate::id::TransactionId;
use crate::transaction::Effect;
use crate::transaction::client::{ClientMachine, ClientTransaction, User};
use crate::transaction::client_invite::ClientInvite;
use crate::transport::Origin;
use sip::{Message, Method};
use smallvec::smallvec;
use std::sync::Arc;

/// Whether somebody who was given up may answer an INVITE that begins a call.
fn is_waited_for(transaction: &ClientTransaction) -> bool {
    let mut earlier = transaction.tries.iter().flat_map(|it| it.earlier.iter());
    let begins = transaction.method == Method::Invite && transaction.dialog.is_none();
    begins && transaction.is_sent() && earlier.any(|attempt| !attempt.is_answered)
}

impl Engine {
    /// A client transaction is over for its user: forgotten, at once or when nobody who was given up can answer any more.
    pub(crate) fn end_client(&mut self, id: TransactionId) {
        let secret = self.generator.next_u64();
        let Some(transaction) = self.clients.get_mut(id).filter(|it| is_waited_for(it)) else {
            return self.remove_client(id);
        };
        if !transaction.is_answered() {
            // The last one was given up as well: from now on nothing is the request's own.
            earlier::keep(transaction);
            transaction.secret = secret;
            transaction.machine = ClientMachine::Invite(ClientInvite::Completed);
            self.release_target(id);
        }
        self.apply_client(id, smallvec![Effect::StopRetransmit, Effect::Shrink], None);
        self.prolong(id);
    }

    /// An INVITE that has its final response is kept for 64*T1 from now on: somebody who was given up showed himself.
    pub(super) fn prolong(&mut self, id: TransactionId) {
        let is_answered = self
            .clients
            .get(id)
            .is_some_and(ClientTransaction::is_answered);
        if is_answered {
            let effects = smallvec![Effect::SetTimeout(self.config.timers.long())];
            self.apply_client(id, effects, None);
        }
    }

    /// A 2xx from somebody who was given up, when the call is decided.
    pub(super) fn late_answer(
        &mut self,
        id: TransactionId,
        origin: Origin,
        message: Message,
        wire_bytes: usize,
    ) {
        let Some(transaction) = self.clients.get(id) else {
            return;
        };
        let (user, dialog) = (transaction.user, transaction.dialog);
        let incoming = Incoming {
            message: Arc::new(message),
            origin: Some(origin),
            wire_bytes,
        };
        match (user, dialog) {
            (User::Branch(server, branch), _) => self.branch_response(server, branch, &incoming),
            (User::Relay(server), _) => self.relay_upstream(server, &incoming),
            (User::Stateless, _) => {}
            // A re-INVITE: the dialog goes on as it was decided, and wants no BYE.
            (User::Application(_) | User::Engine, Some(dialog)) => {
                if let Ok(sequence) = incoming.message.cseq() {
                    self.acknowledge_unasked(dialog, sequence.number);
                }
            }
            (User::Application(_) | User::Engine, None) => {
                self.invite_accepted(id, None, &incoming);
            }
        }
    }
}
