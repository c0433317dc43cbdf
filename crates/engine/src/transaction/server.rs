//! The table of server transactions: what one holds, and the two ways a request finds it.
use super::Effects;
use super::key::Digest;
use super::server_invite::ServerInvite;
use super::server_non_invite::ServerNonInvite;
use crate::admit::usage::Ticket;
use crate::config::Timers;
use crate::id::{ApplicationId, DialogId, TransactionId};
use crate::timer::TimerToken;
use crate::transport::{Destination, Origin};
use bytes::Bytes;
use rustc_hash::FxHashMap;
use sip::{Message, Method};
use std::sync::Arc;

/// Who answers a request.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Owner {
    /// The engine itself, at once.
    Engine,
    /// An application.
    Application(ApplicationId),
    /// The proxy context that has the transaction's number.
    Proxy,
    /// This client transaction, which relays it within a dialog that was proxied here.
    Relay(TransactionId),
}

/// The machine of a server transaction.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum ServerMachine {
    /// RFC 3261 §17.2.1.
    Invite(ServerInvite),
    /// RFC 3261 §17.2.2.
    NonInvite(ServerNonInvite),
}

/// A server transaction. Once answered it keeps the response, and no request.
pub(crate) struct ServerTransaction {
    pub(crate) key: Digest,
    /// Set when the request had no To tag (RFC 3261 §8.2.2.2).
    pub(crate) merge_key: Option<Digest>,
    pub(crate) machine: ServerMachine,
    pub(crate) method: Method,
    pub(crate) owner: Owner,
    /// The request, until the final response.
    pub(crate) request: Option<Arc<Message>>,
    pub(crate) origin: Origin,
    pub(crate) destination: Destination,
    /// The latest response; empty before the first.
    pub(crate) response: Bytes,
    /// The tag that we put into To; decided with the first response.
    pub(crate) local_tag: Option<Box<str>>,
    /// Whether that tag is ours, and not one that the request came with: who repeats it has had an answer.
    pub(crate) has_own_tag: bool,
    pub(crate) dialog: Option<DialogId>,
    /// Within a dialog: it carried a session description.
    pub(crate) offers: bool,
    pub(crate) retransmit: Option<TimerToken>,
    pub(crate) timeout: Option<TimerToken>,
    /// What it is counted under.
    pub(crate) ticket: Option<Ticket>,
}

impl ServerTransaction {
    /// Whether a final response was sent.
    pub(crate) fn is_answered(&self) -> bool {
        match self.machine {
            ServerMachine::Invite(machine) => machine.is_answered(),
            ServerMachine::NonInvite(machine) => machine.is_answered(),
        }
    }

    /// Whether it is an INVITE that was refused and not acknowledged.
    pub(crate) fn awaits_only_acknowledgement(&self) -> bool {
        matches!(
            self.machine,
            ServerMachine::Invite(ServerInvite::Completed(_))
        )
    }

    /// Whether it is one of another method than INVITE without any response yet.
    pub(crate) fn is_silent(&self) -> bool {
        self.machine == ServerMachine::NonInvite(ServerNonInvite::Trying)
    }

    /// Whether the engine may have to send the last response again.
    pub(crate) fn repeats_response(&self) -> bool {
        self.machine != ServerMachine::Invite(ServerInvite::Accepted)
    }

    /// The request came again.
    pub(crate) fn on_repeat(&self) -> Effects {
        match self.machine {
            ServerMachine::Invite(machine) => machine.on_repeat(),
            ServerMachine::NonInvite(machine) => machine.on_repeat(),
        }
    }

    /// A response is to be sent.
    pub(crate) fn on_response(&mut self, status: u16, timers: &Timers) -> Effects {
        let reliable = self.destination.transport.is_reliable();
        match &mut self.machine {
            ServerMachine::Invite(machine) => machine.on_response(status, reliable, timers),
            ServerMachine::NonInvite(machine) => machine.on_response(status, reliable, timers),
        }
    }

    /// An ACK came with the transaction's key.
    pub(crate) fn on_ack(&mut self, timers: &Timers) -> Effects {
        let reliable = self.destination.transport.is_reliable();
        match &mut self.machine {
            ServerMachine::Invite(machine) => machine.on_ack(reliable, timers),
            ServerMachine::NonInvite(_) => Effects::new(),
        }
    }

    /// Whether its final response was repeated until the interval had grown to T2: enough for somebody who may not have asked for it.
    pub(crate) fn is_repeated_enough(&self, timers: &Timers) -> bool {
        matches!(self.machine, ServerMachine::Invite(ServerInvite::Completed(interval)) if interval >= timers.t2)
    }

    /// The retransmission timer fired.
    pub(crate) fn on_retransmit(&mut self, timers: &Timers) -> Effects {
        match &mut self.machine {
            ServerMachine::Invite(machine) => machine.on_retransmit(timers),
            ServerMachine::NonInvite(_) => Effects::new(),
        }
    }

    /// The time limit passed.
    pub(crate) fn on_timeout(&self) -> Effects {
        match self.machine {
            ServerMachine::Invite(machine) => machine.on_timeout(),
            ServerMachine::NonInvite(machine) => machine.on_timeout(),
        }
    }
}

/// The server transactions of a shard.
#[derive(Default)]
pub(crate) struct ServerTable {
    by_id: FxHashMap<TransactionId, Box<ServerTransaction>>,
    by_key: FxHashMap<Digest, TransactionId>,
    merged: FxHashMap<Digest, TransactionId>,
}

impl ServerTable {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// The transaction with this identifier.
    pub(crate) fn get(&self, id: TransactionId) -> Option<&ServerTransaction> {
        self.by_id.get(&id).map(AsRef::as_ref)
    }

    /// The transaction with this identifier.
    pub(crate) fn get_mut(&mut self, id: TransactionId) -> Option<&mut ServerTransaction> {
        self.by_id.get_mut(&id).map(AsMut::as_mut)
    }

    /// The transaction that a request with this key belongs to.
    pub(crate) fn find(&self, key: Digest) -> Option<TransactionId> {
        self.by_key.get(&key).copied()
    }

    /// A transaction of the same request that came another way (RFC 3261 §8.2.2.2).
    pub(crate) fn find_merged(&self, merge_key: Digest) -> Option<TransactionId> {
        self.merged.get(&merge_key).copied()
    }

    /// Adds a transaction.
    pub(crate) fn insert(&mut self, id: TransactionId, transaction: ServerTransaction) {
        self.by_key.insert(transaction.key, id);
        if let Some(merge_key) = transaction.merge_key {
            self.merged.entry(merge_key).or_insert(id);
        }
        self.by_id.insert(id, Box::new(transaction));
    }

    /// Gives back room that is not needed.
    pub(crate) fn shrink(&mut self) {
        self.by_id.shrink_to_fit();
        self.by_key.shrink_to_fit();
        self.merged.shrink_to_fit();
    }

    /// Removes a transaction.
    pub(crate) fn remove(&mut self, id: TransactionId) -> Option<Box<ServerTransaction>> {
        let transaction = self.by_id.remove(&id)?;
        if self.by_key.get(&transaction.key) == Some(&id) {
            self.by_key.remove(&transaction.key);
        }
        if let Some(merge_key) = transaction.merge_key {
            if self.merged.get(&merge_key) == Some(&id) {
                self.merged.remove(&merge_key);
            }
        }
        Some(transaction)
    }

    /// The transactions that wait for this application's answer, in the order they came.
    pub(crate) fn unanswered_of(&self, application: ApplicationId) -> Vec<TransactionId> {
        let mut ids: Vec<TransactionId> = self
            .by_id
            .iter()
            .filter(|(_, transaction)| {
                transaction.owner == Owner::Application(application) && !transaction.is_answered()
            })
            .map(|(id, _)| *id)
            .collect();
        ids.sort_unstable();
        ids
    }
}
