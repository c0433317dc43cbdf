//! The applications' end of the shards: finds the shard of each command and puts it into that shard's inbox.
use crate::admission::NewBan;
use crate::inbox::{Inbox, Item};
use engine::Command;
use engine::admit::{Ban, Prefix};
use engine::command::{DialogReference, SendRequest};
use engine::config::shard_of;
use engine::counts::Counts;
use engine::id::ApplicationId;
use engine::reply::Replier;
use engine::seam::{Commands, Events};
use engine::transport::Origin;
use sip::Message;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

thread_local! {
    /// Whether this thread runs a shard, which must not wait for itself.
    pub(crate) static IS_SHARD: Cell<bool> = const { Cell::new(false) };
}

/// The inboxes of all shards. Shared by everything that hands something in.
pub(crate) struct Handle {
    inboxes: Arc<[Inbox]>,
    hostports: (Vec<String>, Vec<String>),
    replier: Arc<Replier>,
    applications: AtomicU32,
    turn: AtomicUsize,
}

/// Where a command goes.
enum Goal {
    Shard(u8),
    AnyShard,
    EveryShard,
}

impl Handle {
    pub fn new(
        inboxes: Arc<[Inbox]>,
        hostports: (Vec<String>, Vec<String>),
        replier: Replier,
    ) -> Handle {
        Handle {
            inboxes,
            hostports,
            replier: Arc::new(replier),
            applications: AtomicU32::new(1),
            turn: AtomicUsize::new(0),
        }
    }

    pub fn replier(&self) -> Arc<Replier> {
        self.replier.clone()
    }

    fn goal(&self, command: &Command) -> Goal {
        match command {
            Command::Route(_) | Command::Unroute(_) | Command::RouteAll => Goal::EveryShard,
            Command::Respond(respond) => Goal::Shard(respond.transaction.shard()),
            Command::RespondWritten(written) => Goal::Shard(written.transaction.shard()),
            Command::Cancel(cancel) => Goal::Shard(cancel.transaction.shard()),
            Command::Proxy(proxy) => Goal::Shard(proxy.transaction.shard()),
            Command::CancelProxy(cancel) => Goal::Shard(cancel.transaction.shard()),
            Command::Drop(transaction) => Goal::Shard(transaction.shard()),
            Command::Export(export) => Goal::Shard(self.shard_of_dialog(&export.dialog)),
            Command::Import(import) => Goal::Shard(self.shard_of(import.dialog.call_id.as_bytes())),
            Command::Send(send) => match (&send.dialog, call_id(send)) {
                (Some(dialog), _) => Goal::Shard(self.shard_of_dialog(dialog)),
                (None, Some(call_id)) => Goal::Shard(self.shard_of(call_id)),
                // The engine makes a Call-ID that belongs to its own shard.
                (None, None) => Goal::AnyShard,
            },
        }
    }

    fn shard_of_dialog(&self, dialog: &DialogReference) -> u8 {
        match dialog {
            DialogReference::Id(dialog) => dialog.shard(),
            DialogReference::Tags { call_id, .. } => self.shard_of(call_id.as_bytes()),
        }
    }

    fn shard_of(&self, call_id: &[u8]) -> u8 {
        shard_of(call_id, u8::try_from(self.inboxes.len()).unwrap_or(u8::MAX))
    }

    /// The inbox at `index`. An index that no shard has can only come from an invented identifier, which any shard refuses.
    fn inbox(&self, index: usize) -> Option<&Inbox> {
        self.inboxes.get(index).or(self.inboxes.first())
    }

    fn submit_one(&self, application: ApplicationId, command: Command) {
        let index = match self.goal(&command) {
            Goal::Shard(shard) => usize::from(shard),
            Goal::AnyShard => self.turn.fetch_add(1, Ordering::Relaxed) % self.inboxes.len().max(1),
            Goal::EveryShard => {
                for inbox in self.inboxes.iter() {
                    inbox.push(Item::Command(application, command.clone()));
                }
                return;
            }
        };
        if let Some(inbox) = self.inbox(index) {
            inbox.push(Item::Command(application, command));
        }
    }
}

/// The Call-ID that the application gave.
fn call_id(send: &SendRequest) -> Option<&[u8]> {
    let is_call_id =
        |name: &[u8]| name.eq_ignore_ascii_case(b"Call-ID") || name.eq_ignore_ascii_case(b"i");
    send.draft
        .headers
        .iter()
        .find(|(name, _)| is_call_id(name))
        .map(|(_, value)| value.trim_ascii())
}

impl Commands for Handle {
    fn attach(&self, events: Arc<dyn Events>) -> ApplicationId {
        let application = ApplicationId(self.applications.fetch_add(1, Ordering::Relaxed));
        for inbox in self.inboxes.iter() {
            inbox.push(Item::Attach(application, events.clone()));
        }
        application
    }

    fn detach(&self, application: ApplicationId) {
        for inbox in self.inboxes.iter() {
            inbox.push(Item::Detach(application));
        }
    }

    fn submit(&self, application: ApplicationId, commands: &mut Vec<Command>) {
        match (self.inboxes.len(), self.inboxes.first()) {
            (1, Some(inbox)) => {
                inbox.extend(
                    commands
                        .drain(..)
                        .map(|command| Item::Command(application, command)),
                );
            }
            _ => commands
                .drain(..)
                .for_each(|command| self.submit_one(application, command)),
        }
        // Whatever happened, nothing may be handed in twice.
        commands.clear();
    }

    /// Empty on a shard's own thread, which cannot wait for itself: ask from another one (`spawn_blocking`).
    fn counts(&self) -> Vec<Counts> {
        if IS_SHARD.get() {
            tracing::warn!("counts() was called on a shard's own thread, where it has no answer");
            return Vec::new();
        }
        let ask = |inbox: &Inbox| -> Receiver<Counts> {
            let (sender, receiver) = sync_channel(1);
            inbox.push(Item::Counts(sender));
            receiver
        };
        let deadline = Instant::now() + Duration::from_secs(1);
        let asked: Vec<_> = self.inboxes.iter().map(ask).collect();
        let remaining = || deadline.saturating_duration_since(Instant::now());
        asked
            .into_iter()
            .filter_map(|receiver| receiver.recv_timeout(remaining()).ok())
            .collect()
    }

    fn ban(&self, network: Prefix, time: Option<Duration>) {
        for inbox in self.inboxes.iter() {
            inbox.push(Item::Ban(NewBan {
                network,
                time,
                reason: "asked for".into(),
            }));
        }
    }

    /// Empty on a shard's own thread, as `counts`.
    fn bans(&self) -> Vec<Ban> {
        if IS_SHARD.get() {
            return Vec::new();
        }
        let (sender, receiver) = sync_channel(1);
        // Every shard has them all.
        if let Some(inbox) = self.inboxes.first() {
            inbox.push(Item::Bans(sender));
        }
        receiver
            .recv_timeout(Duration::from_secs(1))
            .unwrap_or_default()
    }

    fn hostports(&self) -> (Vec<String>, Vec<String>) {
        self.hostports.clone()
    }

    fn flow_token(&self, origin: &Origin) -> Option<String> {
        self.replier.flow_token(origin)
    }

    fn is_behind_nat(&self, request: &Message, origin: &Origin) -> bool {
        self.replier.is_behind_nat(request, origin)
    }
}
