//! The table of client transactions: what one holds while it looks for its peer, tries, and lingers.
use super::Effects;
use super::client_invite::ClientInvite;
use super::client_non_invite::ClientNonInvite;
use crate::command::Draft;
use crate::config::Timers;
use crate::dialog::Acknowledgement;
use crate::event::DialogEndReason;
use crate::id::{ApplicationId, CommandId, DialogId, ResolveId, TransactionId};
use crate::plan::Plan;
use crate::resolve::Resolved;
use crate::timer::TimerToken;
use crate::transport::{Destination, Origin};
use crate::uac::earlier::Earlier;
use bytes::Bytes;
use rustc_hash::FxHashMap;
use sip::Method;
use smallvec::SmallVec;
use std::sync::Arc;

/// Who sent a request.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum User {
    /// The engine itself; nobody waits for the response.
    Engine,
    /// An application.
    Application(ApplicationId),
    /// A branch of the proxy context of this server transaction.
    Branch(TransactionId, u32),
    /// The relay of this server transaction's request, of a dialog that was proxied here.
    Relay(TransactionId),
    /// Nobody: the request is forwarded and forgotten, its branch follows from it (RFC 3261 §16.11).
    Stateless,
}

/// Whom to tell when the request goes out, and what.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Announce {
    /// Nobody, or it was done.
    Nobody,
    /// The application whose command it is: `Event::Sent`.
    Sent(ApplicationId, CommandId),
    /// The application whose dialog the engine ends by this BYE: `Event::DialogEnded`.
    Ended(ApplicationId, DialogId, DialogEndReason),
}

/// The machine of a client transaction.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum ClientMachine {
    /// Not sent yet: its host name is being resolved.
    Resolving,
    /// RFC 3261 §17.1.1.
    Invite(ClientInvite),
    /// RFC 3261 §17.1.2.
    NonInvite(ClientNonInvite),
}

/// How far the cancellation of an INVITE has come (RFC 3261 §9.1).
#[derive(Clone, Default, Debug)]
pub(crate) enum Cancellation {
    /// Nobody asked for it.
    #[default]
    None,
    /// Asked for; the CANCEL waits for a provisional response.
    Wanted(Option<(ApplicationId, CommandId)>, Box<Draft>),
    /// The CANCEL was sent.
    Sent,
}

impl Cancellation {
    /// Whether somebody asked for it.
    pub(crate) fn is_wanted(&self) -> bool {
        !matches!(self, Cancellation::None)
    }
}

/// A flow that a request takes.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Way {
    /// As a message that came over it.
    pub(crate) origin: Origin,
    /// There is no other way: with the flow the request fails.
    pub(crate) is_only: bool,
}

/// What is left of a dialog that ended while its INVITE's transaction lives.
pub(crate) struct EndedDialog {
    /// The peer's tag.
    pub(crate) remote_tag: Box<str>,
    /// The ACK, to be repeated.
    pub(crate) acknowledgement: Option<Box<Acknowledgement>>,
}

/// How a request looks for its peer.
#[derive(Default)]
pub(crate) struct Tries {
    /// The host name that led to the targets, where one did.
    pub(crate) name: Option<Box<str>>,
    /// The attempts that were given up.
    pub(crate) earlier: Vec<Earlier>,
    /// The CANCELs of attempts that were given up, each by the secret of its attempt.
    pub(crate) cancels: Vec<(u64, TransactionId)>,
}

/// A client transaction. Once answered it keeps no request, and of an INVITE the ACK at most.
pub(crate) struct ClientTransaction {
    /// The random half of the branch; new for each attempt.
    pub(crate) secret: u64,
    /// Counts the attempts, for transmit tokens.
    pub(crate) attempt: u32,
    pub(crate) machine: ClientMachine,
    pub(crate) method: Method,
    pub(crate) user: User,
    pub(crate) announce: Announce,
    /// The request as sent, until the final response.
    pub(crate) request: Bytes,
    /// The ACK of a non-2xx final response.
    pub(crate) ack: Bytes,
    pub(crate) destination: Option<Destination>,
    /// What the request is made from, until a response comes: another attempt has another branch and Via.
    pub(crate) plan: Option<Plan>,
    /// What is known of more targets than one. Boxed: most requests go to an address, and get there.
    pub(crate) tries: Option<Box<Tries>>,
    /// Where it may be sent, the next one last.
    pub(crate) targets: SmallVec<[Resolved; 1]>,
    /// The flow to take while it is there: the one that the dialog's peer uses, or that the next hop names.
    pub(crate) flow: Option<Box<Way>>,
    /// The domain that the peer has to prove where it is reached over TLS: the host of the URI, before it was looked up.
    pub(crate) server_name: Option<Arc<str>>,
    pub(crate) resolve: Option<ResolveId>,
    /// The dialog that it was sent in.
    pub(crate) dialog: Option<DialogId>,
    /// The dialogs that its responses created.
    pub(crate) forks: SmallVec<[DialogId; 1]>,
    /// It carried a session description.
    pub(crate) offers: bool,
    /// Of an INVITE: a 2xx came.
    pub(crate) accepted: bool,
    /// Of an INVITE: the dialogs of its 2xx that ended since, so that a 2xx which comes late or again opens no new one. Boxed:
    /// transactions are many, and most end before their dialogs.
    pub(crate) ended: Option<Box<SmallVec<[EndedDialog; 1]>>>,
    pub(crate) cancellation: Cancellation,
    /// This attempt goes over TCP for its size alone: a refused connection means UDP (RFC 3261 §18.1.1).
    pub(crate) switched: bool,
    /// It is said once: whoever gets it may not have asked for the call that it ends.
    pub(crate) once: bool,
    pub(crate) retransmit: Option<TimerToken>,
    pub(crate) timeout: Option<TimerToken>,
}

impl ClientTransaction {
    /// A transaction that has sent nothing yet.
    pub(crate) fn new(
        method: Method,
        user: User,
        announce: Announce,
        dialog: Option<DialogId>,
    ) -> ClientTransaction {
        ClientTransaction {
            secret: 0,
            attempt: 0,
            machine: ClientMachine::Resolving,
            method,
            user,
            announce,
            request: Bytes::new(),
            ack: Bytes::new(),
            destination: None,
            plan: None,
            targets: SmallVec::new(),
            tries: None,
            flow: None,
            server_name: None,
            resolve: None,
            dialog,
            forks: SmallVec::new(),
            offers: false,
            accepted: false,
            ended: None,
            cancellation: Cancellation::None,
            switched: false,
            once: false,
            retransmit: None,
            timeout: None,
        }
    }

    /// Whether a final response came.
    pub(crate) fn is_answered(&self) -> bool {
        match self.machine {
            ClientMachine::Resolving => false,
            ClientMachine::Invite(machine) => machine.is_answered(),
            ClientMachine::NonInvite(machine) => machine.is_answered(),
        }
    }

    /// Whether no response at all has come yet.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(
            self.machine,
            ClientMachine::Resolving
                | ClientMachine::Invite(ClientInvite::Calling(_))
                | ClientMachine::NonInvite(ClientNonInvite::Trying(_))
        )
    }

    /// Whether a request went out at all.
    pub(crate) fn is_sent(&self) -> bool {
        self.machine != ClientMachine::Resolving
    }

    /// The host name that led to its targets.
    pub(crate) fn name(&self) -> Option<&str> {
        self.tries.as_ref()?.name.as_deref()
    }

    /// Whether a branch with this random half is one of its attempts'.
    pub(crate) fn has_branch(&self, secret: u64) -> bool {
        let mut earlier = self.tries.iter().flat_map(|tries| tries.earlier.iter());
        self.secret == secret || earlier.any(|attempt| attempt.secret == secret)
    }

    fn is_reliable(&self) -> bool {
        self.destination
            .is_some_and(|destination| destination.transport.is_reliable())
    }

    /// The request goes out.
    pub(crate) fn start(&mut self, timers: &Timers) -> Effects {
        let reliable = self.is_reliable();
        if self.method == Method::Invite {
            let (machine, effects) = ClientInvite::start(reliable, timers);
            self.machine = ClientMachine::Invite(machine);
            effects
        } else {
            let (machine, effects) = ClientNonInvite::start(reliable, timers);
            self.machine = ClientMachine::NonInvite(machine);
            effects
        }
    }

    /// A response came.
    pub(crate) fn on_response(&mut self, status: u16, timers: &Timers) -> Effects {
        let reliable = self.is_reliable();
        match &mut self.machine {
            ClientMachine::Resolving => Effects::new(),
            ClientMachine::Invite(machine) => machine.on_response(status, reliable, timers),
            ClientMachine::NonInvite(machine) => machine.on_response(status, reliable, timers),
        }
    }

    /// The retransmission timer fired.
    pub(crate) fn on_retransmit(&mut self, timers: &Timers) -> Effects {
        match &mut self.machine {
            ClientMachine::Resolving => Effects::new(),
            ClientMachine::Invite(machine) => machine.on_retransmit(),
            ClientMachine::NonInvite(machine) => machine.on_retransmit(timers),
        }
    }
}

/// The client transactions of a shard.
#[derive(Default)]
pub(crate) struct ClientTable {
    by_id: FxHashMap<TransactionId, Box<ClientTransaction>>,
}

impl ClientTable {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// The transaction with this identifier.
    pub(crate) fn get(&self, id: TransactionId) -> Option<&ClientTransaction> {
        self.by_id.get(&id).map(AsRef::as_ref)
    }

    /// The transaction with this identifier.
    pub(crate) fn get_mut(&mut self, id: TransactionId) -> Option<&mut ClientTransaction> {
        self.by_id.get_mut(&id).map(AsMut::as_mut)
    }

    /// Adds a transaction.
    pub(crate) fn insert(&mut self, id: TransactionId, transaction: Box<ClientTransaction>) {
        self.by_id.insert(id, transaction);
    }

    /// Removes a transaction.
    pub(crate) fn remove(&mut self, id: TransactionId) -> Option<Box<ClientTransaction>> {
        self.by_id.remove(&id)
    }

    /// Gives back room that is not needed.
    pub(crate) fn shrink(&mut self) {
        self.by_id.shrink_to_fit();
    }

    /// The INVITEs of this application that have no final response, and the rest of its transactions, in the order they were sent.
    pub(crate) fn of(&self, application: ApplicationId) -> Vec<TransactionId> {
        let mut ids: Vec<TransactionId> = self
            .by_id
            .iter()
            .filter(|(_, transaction)| transaction.user == User::Application(application))
            .map(|(id, _)| *id)
            .collect();
        ids.sort_unstable();
        ids
    }
}

#[cfg(test)]
mod tests {
    //! What lingers for retransmissions is small: with its response a transaction stays well under 1 KB.
    use super::*;
    use crate::transaction::server::ServerTransaction;

    #[test]
    fn a_transaction_without_its_message_takes_about_half_a_kilobyte() {
        assert!(
            size_of::<ServerTransaction>() <= 400,
            "{}",
            size_of::<ServerTransaction>()
        );
        assert!(
            size_of::<ClientTransaction>() <= 520,
            "{}",
            size_of::<ClientTransaction>()
        );
    }
}
