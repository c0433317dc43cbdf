//! What a client asks: the meta line of a frame and its SIP text, as one plain value.
//!
//! Tokens are separated by `|` without escaping. Nothing is looked up and nothing is answered here. The kinds of frames that take
//! more than a few lines have files of their own beside.
mod moving;
mod proxy;
mod sip_frame;

use crate::envelope::Envelope;
use crate::name::TransactionNames;
use crate::text::is_token;
use bytes::Bytes;
use engine::admit::Prefix;
use engine::command::Command;
use engine::id::TransactionId;
use moving::{export, import};
use sip::Method;
use std::borrow::Cow;
use std::time::Duration;

/// What a client asks for.
#[derive(Clone, Debug)]
pub enum Request {
    /// To be let in.
    Authenticate {
        /// The shared secret.
        secret: Bytes,
        /// The tags by which new calls may be routed to this client.
        tags: Vec<String>,
    },
    /// To be sent new requests of a method.
    Route(Verb),
    /// To be sent them no longer.
    RemoveRoute(Verb),
    /// A sign of life.
    Ping,
    /// The server's counts, as JSON (an extension: drachtio-server does not know it).
    Status,
    /// That requests come with the flow that they came over from now on (an extension as well).
    Flows,
    /// To be told of the certificates that peers prove to have (an extension, and so asked for).
    Certificates,
    /// Work for the engine, still without a number.
    Command(Command, Asked),
    /// Work for the engine that has no outcome of its own: the command that it is about has one.
    Unanswered(Command),
    /// To take nothing from a network for so long; without a time, to lift that (an extension as well).
    Ban(Prefix, Option<Duration>),
}

/// What a client routes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verb {
    /// New requests of this method.
    Method(Method),
    /// Call detail records (`cdr:attempt`, `cdr:start`, `cdr:stop`), which this server does not make yet.
    CallDetail,
}

/// What kind of work a command is: it decides how its outcome reads.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Asked {
    /// Answer a request.
    Respond,
    /// A request in a dialog.
    InDialog,
    /// A new request.
    NewRequest,
    /// Cancel this transaction.
    Cancel(TransactionId),
    /// Give a dialog as a value.
    Export,
    /// Take a dialog over.
    Import,
    /// Proxy this transaction.
    Proxy {
        /// The server transaction.
        transaction: TransactionId,
        /// Whether each final response of each target is to be reported.
        full_response: bool,
    },
}

/// Why a frame is refused before it reaches an engine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// `NO` with this text; the connection is closed.
    Disconnect(&'static str),
    /// `NOK` with this text.
    Failure(Cow<'static, str>),
}

impl Envelope {
    /// What the frame asks for.
    ///
    /// # Errors
    /// A [`Refusal`]: what to answer instead.
    pub fn request(&self, names: TransactionNames) -> Result<Request, Refusal> {
        let mut tokens = self.meta.split(|&byte| byte == b'|');
        match tokens.next().unwrap_or_default() {
            b"sip" => self.sip(tokens, names),
            b"proxy" => self.proxy(tokens, names),
            b"cancel_proxy" => self.cancel_proxy(tokens, names),
            b"ping" => Ok(Request::Ping),
            b"status" => Ok(Request::Status),
            b"flows" => Ok(Request::Flows),
            b"certificates" => Ok(Request::Certificates),
            b"export" => export(tokens),
            b"import" => import(tokens, &self.text),
            b"drop" => drop_request(tokens, names),
            b"ban" => ban(tokens, true),
            b"unban" => ban(tokens, false),
            b"route" => {
                verb(tokens.next(), "Route request includes unsupported verb").map(Request::Route)
            }
            b"remove_route" => verb(
                tokens.next(),
                "Remove route request includes unsupported verb",
            )
            .map(Request::RemoveRoute),
            b"authenticate" => {
                let secret = tokens
                    .next()
                    .ok_or(Refusal::Disconnect("Invalid message format"))?;
                let tags = tokens.next().unwrap_or_default();
                let tags = String::from_utf8_lossy(tags);
                let tags = tags
                    .split(',')
                    .map(str::trim)
                    .filter(|tag| !tag.is_empty())
                    .map(str::to_owned)
                    .collect();
                Ok(Request::Authenticate {
                    secret: self.meta.slice_ref(secret),
                    tags,
                })
            }
            _ => Err(Refusal::Disconnect("Unknown message type")),
        }
    }
}

/// `drop|<transactionId>` (an extension): no answer. An UPDATE of an early dialog goes under its INVITE's name, with its CSeq number
/// behind; that one waits for the answer that it gets when its time is up, as its name is not its own.
fn drop_request<'a>(
    mut tokens: impl Iterator<Item = &'a [u8]>,
    names: TransactionNames,
) -> Result<Request, Refusal> {
    let transaction = tokens.next().and_then(|name| names.transaction(name));
    let transaction = transaction.ok_or(Refusal::Failure("Unknown transaction id".into()))?;
    if tokens.next().is_some() {
        return Err(Refusal::Failure(
            "an UPDATE in an early dialog cannot be dropped".into(),
        ));
    }
    Ok(Request::Unanswered(Command::Drop(transaction)))
}

/// `ban|<network>|<milliseconds>`, `unban|<network>` (extensions).
fn ban<'a>(mut tokens: impl Iterator<Item = &'a [u8]>, begins: bool) -> Result<Request, Refusal> {
    let mut text = || std::str::from_utf8(tokens.next().unwrap_or_default()).unwrap_or_default();
    let network = text()
        .parse()
        .map_err(|error: String| Refusal::Failure(error.into()))?;
    if !begins {
        return Ok(Request::Ban(network, None));
    }
    let time = text().parse().ok().filter(|time: &u64| *time > 0);
    let time = time.ok_or(Refusal::Failure(
        "ban needs the time in milliseconds, more than 0".into(),
    ))?;
    Ok(Request::Ban(network, Some(Duration::from_millis(time))))
}

/// Methods are registered in lower case; an extension method is told apart by its upper-case form, as on the wire.
fn verb(token: Option<&[u8]>, unsupported: &'static str) -> Result<Verb, Refusal> {
    let token = token
        .filter(|token| !token.is_empty())
        .ok_or(Refusal::Disconnect("Invalid message format"))?;
    if token.starts_with(b"cdr:") {
        return Ok(Verb::CallDetail);
    }
    if token.len() > 32 || !token.iter().all(|&byte| is_token(byte)) {
        return Err(Refusal::Disconnect(unsupported));
    }
    Method::parse(&token.to_ascii_uppercase())
        .map(Verb::Method)
        .ok_or(Refusal::Disconnect(unsupported))
}
