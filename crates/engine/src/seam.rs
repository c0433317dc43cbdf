//! How a driver, and the links of applications, hold the two ends of the seam: traits over plain data.
//!
//! `net` implements [`Commands`]; the embedded binding and each control connection implement [`Events`].
use crate::admit::{Ban, Prefix};
use crate::command::Command;
use crate::event::Event;
use crate::id::ApplicationId;
use crate::transport::Origin;
use sip::Message;
use std::sync::Arc;
use std::time::Duration;

/// Where a link hands in its application's commands. Cheap to call: commands are queued, and the shards woken once.
pub trait Commands: Send + Sync {
    /// Attaches an application; its events go to `events` from now on, from every shard.
    fn attach(&self, events: Arc<dyn Events>) -> ApplicationId;
    /// Detaches it: its routes go, its unanswered requests get 503, calls it owned are ended as their dialogs allow.
    fn detach(&self, application: ApplicationId);
    /// Hands in commands, in order. The vector is left empty.
    fn submit(&self, application: ApplicationId, commands: &mut Vec<Command>);
    /// The state of every shard, for `dracht status`. Blocks for at most a second; not for a shard's own thread.
    fn counts(&self) -> Vec<crate::counts::Counts>;
    /// Takes nothing from a network for so long; none lifts such a ban.
    fn ban(&self, network: Prefix, time: Option<Duration>);
    /// The bans in force, those of rules too. Blocks as `counts` does.
    fn bans(&self) -> Vec<Ban>;
    /// The listeners, as `proto/host:port` texts: the advertised and the bound ones.
    fn hostports(&self) -> (Vec<String>, Vec<String>);
    /// The token of the flow that a message came over (RFC 5626), for an application to keep.
    fn flow_token(&self, origin: &Origin) -> Option<String>;
    /// Whether a request comes from a user agent whose Contact is not believed, by the rules about NATs.
    fn is_behind_nat(&self, request: &Message, origin: &Origin) -> bool;
}

/// Where a shard hands out an application's events. Called on the shard's thread: it must not block or wait.
pub trait Events: Send + Sync {
    /// Takes the events, in order. The vector is left empty.
    fn deliver(&self, shard: u8, events: &mut Vec<Event>);
    /// The age of the oldest event that the application has not taken yet, for overload control.
    fn backlog(&self) -> Duration;
}
