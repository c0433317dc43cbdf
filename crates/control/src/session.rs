//! One client's side of the conversation: frames in, replies and commands out. No sockets.
//!
//! Nothing is done for a client before it is authenticated.
use crate::answers::MessageId;
use crate::disconnect::Disconnect;
use crate::envelope::Envelope;
use crate::link::Link;
use crate::request::{Asked, Refusal, Request, Verb};
use crate::server::Server;
use crate::write::Status;
use bytes::Bytes;
use engine::command::Command;
use engine::id::{ApplicationId, CommandId};
use engine::seam::{Commands, Events};
use sip::Method;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// What is left to do for a frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Nothing.
    Done,
    /// Reply to this frame with the state of the shards; asking them may take a while.
    Status(MessageId),
}

/// The conversation with one client.
pub struct Session {
    server: Arc<Server>,
    link: Arc<Link>,
    peer: SocketAddr,
    attachment: Option<Attachment>,
    routes: Vec<Method>,
    batch: Vec<Command>,
}

/// An application's place with the engines; given up on drop, however the connection ends.
struct Attachment {
    commands: Arc<dyn Commands>,
    application: ApplicationId,
}

impl Drop for Attachment {
    fn drop(&mut self) {
        self.commands.detach(self.application);
    }
}

impl Session {
    /// The session of a new connection from `peer`.
    #[must_use]
    pub fn new(server: Arc<Server>, link: Arc<Link>, peer: SocketAddr) -> Session {
        Session {
            server,
            link,
            peer,
            attachment: None,
            routes: Vec::new(),
            batch: Vec::new(),
        }
    }

    /// Whether the client has shown that it knows the secret.
    #[must_use]
    pub fn is_authenticated(&self) -> bool {
        self.attachment.is_some()
    }

    /// Takes one payload. Commands are collected until `submit`.
    ///
    /// # Errors
    /// Why the connection is to be closed; a reply that says so may wait in the link.
    pub fn handle_payload(&mut self, payload: &Bytes) -> Result<Step, Disconnect> {
        let envelope = Envelope::open(payload).map_err(Disconnect::Frame)?;
        if !self.is_authenticated() && !envelope.is_authenticate() {
            self.reply(
                &envelope.message_id,
                Status::No,
                "not authenticated: the first message must be authenticate",
            );
            return Err(Disconnect::NotAuthenticated);
        }
        match envelope.request(self.server.names) {
            Ok(Request::Command(command, asked)) => {
                self.command(&envelope.message_id, command, asked)
            }
            Ok(Request::Unanswered(command)) => {
                self.batch.push(command);
                self.link.with(|state| state.frames.tell_status());
                self.reply(&envelope.message_id, Status::Ok, "");
            }
            Ok(Request::Flows) => {
                let commands = Arc::clone(&self.server.commands);
                self.link.with(|state| {
                    state.frames.show_flows(commands);
                    state.frames.reply(&envelope.message_id, Status::Ok, "");
                });
            }
            Ok(Request::Ban(network, time)) => {
                self.server.commands.ban(network, time);
                tracing::info!(peer = %self.peer, %network, ?time, "an application bans, or lifts a ban");
                self.reply(&envelope.message_id, Status::Ok, "");
            }
            Ok(Request::Ping) => self.reply(&envelope.message_id, Status::Ok, "pong"),
            Ok(Request::Route(verb)) => self.route(&envelope.message_id, verb)?,
            Ok(Request::RemoveRoute(verb)) => {
                self.remove_route(&verb);
                self.reply(&envelope.message_id, Status::Ok, "");
            }
            Ok(Request::Authenticate { secret, tags }) => {
                self.authenticate(&envelope.message_id, &secret, &tags)?
            }
            Ok(Request::Certificates) => {
                self.link.with(|state| state.frames.show_certificates());
                self.reply(&envelope.message_id, Status::Ok, "");
            }
            Ok(Request::Status) => {
                return Ok(Step::Status(MessageId::from_slice(&envelope.message_id)));
            }
            Err(Refusal::Failure(text)) => self.reply(&envelope.message_id, Status::Nok, &text),
            Err(Refusal::Disconnect(text)) => return Err(self.refuse(&envelope.message_id, text)),
        }
        Ok(Step::Done)
    }

    /// Hands the commands collected since the last call to the engines.
    pub fn submit(&mut self) {
        match &self.attachment {
            Some(attachment) if !self.batch.is_empty() => {
                attachment
                    .commands
                    .submit(attachment.application, &mut self.batch);
                self.batch.clear();
            }
            _ => {}
        }
    }

    fn reply(&self, message_id: &[u8], status: Status, text: &str) {
        self.link
            .with(|state| state.frames.reply(message_id, status, text));
    }

    fn refuse(&self, message_id: &[u8], text: &'static str) -> Disconnect {
        self.reply(message_id, Status::No, text);
        Disconnect::Refused(text)
    }

    fn authenticate(
        &mut self,
        message_id: &[u8],
        secret: &[u8],
        tags: &[String],
    ) -> Result<(), Disconnect> {
        if !equal_in_constant_time(secret, self.server.config.secret.as_bytes()) {
            self.reply(message_id, Status::No, "incorrect secret");
            return Err(Disconnect::WrongSecret);
        }
        let commands = &self.server.commands;
        let attachment = self.attachment.get_or_insert_with(|| {
            let events: Arc<dyn Events> = Arc::clone(&self.link) as Arc<dyn Events>;
            Attachment {
                commands: Arc::clone(commands),
                application: commands.attach(events),
            }
        });
        let application = attachment.application.0;
        let (advertised, bound) = commands.hostports();
        let (advertised, bound) = (advertised.join(","), bound.join(","));
        self.link.with(|state| {
            state
                .frames
                .welcome(message_id, &advertised, crate::config::VERSION, &bound)
        });
        tracing::info!(peer = %self.peer, application, ?tags, "control client authenticated");
        self.server.set_tags(self.peer, tags);
        Ok(())
    }

    fn route(&mut self, message_id: &[u8], verb: Verb) -> Result<(), Disconnect> {
        match verb {
            Verb::CallDetail => {}
            // A set: drachtio-srf routes every verb again whenever one is added, and that must not give it more weight.
            Verb::Method(method) if self.routes.contains(&method) => {}
            Verb::Method(_) if self.routes.len() >= self.server.config.bounds.routes => {
                return Err(self.refuse(message_id, "too many routes"));
            }
            Verb::Method(method) => {
                self.routes.push(method.clone());
                self.batch.push(Command::Route(method));
            }
        }
        self.reply(message_id, Status::Ok, "");
        Ok(())
    }

    fn remove_route(&mut self, verb: &Verb) {
        let Verb::Method(method) = verb else {
            return;
        };
        if let Some(index) = self.routes.iter().position(|routed| routed == method) {
            self.batch
                .push(Command::Unroute(self.routes.swap_remove(index)));
        }
    }

    fn command(&mut self, message_id: &[u8], mut command: Command, asked: Asked) {
        let now = Instant::now();
        let number = self.link.with(|state| {
            let number = state.answers.insert(message_id, asked, now);
            if number.is_none() {
                state.frames.reply(
                    message_id,
                    Status::Nok,
                    "too many commands of this client are without an outcome",
                );
            }
            number
        });
        if let Some(number) = number {
            assign(&mut command, number);
            self.batch.push(command);
        }
    }
}

/// Numbers a command that was parsed.
fn assign(command: &mut Command, number: CommandId) {
    match command {
        Command::Respond(respond) => respond.id = number,
        Command::RespondWritten(written) => written.id = number,
        Command::Send(send) => send.id = number,
        Command::Cancel(cancel) => cancel.id = number,
        Command::Proxy(proxy) => proxy.id = number,
        Command::Export(export) => export.id = number,
        Command::Import(import) => import.id = number,
        Command::Route(_)
        | Command::Unroute(_)
        | Command::RouteAll
        | Command::CancelProxy(_)
        | Command::Drop(_) => {}
    }
}

/// Compares without telling by its duration where two texts differ. The length of `given` decides how long it takes.
fn equal_in_constant_time(given: &[u8], secret: &[u8]) -> bool {
    let padded = secret.iter().copied().chain(std::iter::repeat(0));
    let difference = given
        .iter()
        .zip(padded)
        .fold(0_u8, |difference, (a, b)| difference | (a ^ b));
    std::hint::black_box(difference) == 0 && given.len() == secret.len()
}
