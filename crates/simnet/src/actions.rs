//! What an application does: commands to its engine, written the short way, and a time to be woken at.
use bytes::Bytes;
use engine::command::{
    Cancel, CancelProxy, DialogReference, Draft, Export, Import, Proxy, ProxyOptions, Respond,
    SendRequest,
};
use engine::export::ExportedDialog;
use engine::id::{CommandId, DialogId, TransactionId};
use engine::{Command, Event, Time};
use sip::Method;
use std::time::Duration;

/// A session description that any test may use.
pub const SDP: &[u8] = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";

/// A scripted application on top of the seam.
pub trait Application {
    /// Its engine tells it something.
    fn event(&mut self, event: Event, actions: &mut Actions);

    /// The time that it asked for by [`Actions::wake_after`] has come.
    fn wake(&mut self, actions: &mut Actions) {
        let _ = actions;
    }
}

/// Collects what an application does in one go.
#[derive(Debug)]
pub struct Actions {
    /// The time.
    pub now: Time,
    pub(crate) commands: Vec<Command>,
    pub(crate) wake: Option<Time>,
    pub(crate) next: u64,
}

impl Actions {
    pub(crate) fn new(now: Time, next: u64) -> Actions {
        Actions {
            now,
            commands: Vec::new(),
            wake: None,
            next,
        }
    }

    fn number(&mut self) -> CommandId {
        self.next += 1;
        CommandId(self.next)
    }

    fn push(&mut self, command: impl FnOnce(CommandId) -> Command) -> CommandId {
        let id = self.number();
        self.commands.push(command(id));
        id
    }

    /// Any command.
    pub fn command(&mut self, command: impl FnOnce(CommandId) -> Command) -> CommandId {
        self.push(command)
    }

    /// Sends a new request.
    pub fn send(
        &mut self,
        method: Method,
        uri: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> CommandId {
        let (uri, draft) = (uri.to_owned(), draft(headers, body));
        self.push(|id| {
            Command::Send(SendRequest {
                id,
                method,
                uri,
                dialog: None,
                next_hop: None,
                draft,
            })
        })
    }

    /// Sends an INVITE with a session description by way of a proxy.
    pub fn invite_by(&mut self, uri: &str, next_hop: &str) -> CommandId {
        let (uri, next_hop) = (uri.to_owned(), Some(next_hop.to_owned()));
        let draft = draft(&[], SDP);
        self.push(|id| {
            Command::Send(SendRequest {
                id,
                method: Method::Invite,
                uri,
                dialog: None,
                next_hop,
                draft,
            })
        })
    }

    /// Sends an INVITE with a session description.
    pub fn invite(&mut self, uri: &str) -> CommandId {
        self.send(Method::Invite, uri, &[], SDP)
    }

    /// Sends a request in a dialog.
    pub fn send_in(&mut self, dialog: DialogId, method: Method, body: &[u8]) -> CommandId {
        let draft = draft(&[], body);
        let dialog = Some(DialogReference::Id(dialog));
        self.push(|id| {
            Command::Send(SendRequest {
                id,
                method,
                uri: String::new(),
                dialog,
                next_hop: None,
                draft,
            })
        })
    }

    /// Acknowledges the 2xx of a dialog.
    pub fn ack(&mut self, dialog: DialogId) -> CommandId {
        self.send_in(dialog, Method::Ack, b"")
    }

    /// Ends a dialog.
    pub fn bye(&mut self, dialog: DialogId) -> CommandId {
        self.send_in(dialog, Method::Bye, b"")
    }

    /// Answers a request.
    pub fn respond(&mut self, transaction: TransactionId, status: u16, body: &[u8]) -> CommandId {
        let draft = draft(&[], body);
        self.push(|id| {
            Command::Respond(Respond {
                id,
                transaction,
                status,
                reason: String::new(),
                draft,
            })
        })
    }

    /// Cancels an INVITE.
    pub fn cancel(&mut self, transaction: TransactionId) -> CommandId {
        self.push(|id| {
            Command::Cancel(Cancel {
                id,
                transaction,
                draft: Draft::default(),
            })
        })
    }

    /// Proxies a request.
    pub fn proxy(
        &mut self,
        transaction: TransactionId,
        targets: &[&str],
        options: ProxyOptions,
    ) -> CommandId {
        let targets = targets.iter().map(|target| (*target).to_owned()).collect();
        self.push(|id| {
            Command::Proxy(Proxy {
                id,
                transaction,
                targets,
                options,
                headers: Vec::new(),
            })
        })
    }

    /// Asks for a dialog as a value; `release` forgets it there.
    pub fn export(&mut self, dialog: DialogId, release: bool) -> CommandId {
        let dialog = DialogReference::Id(dialog);
        self.push(|id| {
            Command::Export(Export {
                id,
                dialog,
                release,
            })
        })
    }

    /// Takes a dialog over that was exported so long ago.
    pub fn import(&mut self, dialog: ExportedDialog, age: Duration) -> CommandId {
        let dialog = Box::new(dialog);
        self.push(|id| Command::Import(Import { id, dialog, age }))
    }

    /// Gives up a request that is being proxied.
    pub fn cancel_proxy(&mut self, transaction: TransactionId, status: u16) {
        self.push(|_| {
            Command::CancelProxy(CancelProxy {
                transaction,
                status,
                reason: Some(format!("SIP;cause={status}")),
            })
        });
    }

    /// Asks to be woken after so long; the earliest of several counts.
    pub fn wake_after(&mut self, after: Duration) {
        let at = self.now + after;
        self.wake = Some(self.wake.map_or(at, |old| old.min(at)));
    }
}

/// A draft of text header fields.
#[must_use]
pub fn draft(headers: &[(&str, &str)], body: &[u8]) -> Draft {
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    Draft {
        headers: headers
            .iter()
            .map(|(name, value)| (bytes(name), bytes(value)))
            .collect(),
        body: Bytes::copy_from_slice(body),
        ..Draft::default()
    }
}
