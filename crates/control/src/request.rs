//! What a client asks: the meta line of a frame and its SIP text, as one plain value.
//!
//! Tokens are separated by `|` without escaping. Nothing is looked up and nothing is answered here. It is above 400 lines
//! as each kind of frame has its reader, and no two have much in common.
use crate::envelope::Envelope;
use crate::name::{TransactionNames, parse_dialog};
use crate::text::{SipText, is_token};
use bytes::Bytes;
use engine::admit::Prefix;
use engine::command::{
    Cancel, CancelProxy, Command, Draft, Export, Forking, Import, PathPolicy, Proxy, ProxyOptions,
    Respond, SendRequest,
};
use engine::export::ExportedDialog;
use engine::id::{CommandId, TransactionId};
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

    /// `sip|<transactionId>|<dialogId>[|<routeUrl>]`, and behind it `withoutSessionTimer` perhaps: an extension.
    fn sip<'a>(
        &self,
        mut tokens: impl Iterator<Item = &'a [u8]>,
        names: TransactionNames,
    ) -> Result<Request, Refusal> {
        let (Some(transaction), Some(dialog)) = (tokens.next(), tokens.next()) else {
            return Err(Refusal::Disconnect("Invalid message format"));
        };
        let route = tokens.next().unwrap_or_default();
        let mut text = SipText::parse(&self.text);
        text.draft.without_session_timer = tokens.next() == Some(b"withoutSessionTimer");
        if text.start_line.starts_with(b"SIP/") {
            return respond(transaction, text, names);
        }
        if !dialog.is_empty() {
            let reference = parse_dialog(dialog).ok_or(Refusal::Failure(
                "Server error: unable to find dialog for dialog id provided".into(),
            ))?;
            let (method, uri) = request_line(
                &text.start_line,
                "Server error: invalid or missing method supplied on start line",
            )?;
            let dialog = Some(reference);
            let send = SendRequest {
                id: CommandId(0),
                method,
                uri,
                dialog,
                next_hop: None,
                draft: text.draft,
            };
            return Ok(Request::Command(Command::Send(send), Asked::InDialog));
        }
        if !transaction.is_empty() {
            return cancel(transaction, text, names);
        }
        let (method, uri) = request_line(&text.start_line, "invalid request-uri")?;
        let next_hop = match std::str::from_utf8(route) {
            Ok("") => None,
            Ok(route) => Some(route.to_owned()),
            Err(_) => return Err(Refusal::Failure("invalid route: not UTF-8".into())),
        };
        let send = SendRequest {
            id: CommandId(0),
            method,
            uri,
            dialog: None,
            next_hop,
            draft: text.draft,
        };
        Ok(Request::Command(Command::Send(send), Asked::NewRequest))
    }

    /// `proxy|<transactionId>|remainInDialog|fullResponse|followRedirects|simultaneous|<provisional>|<final>|<target>...`; extensions
    /// are `byQ` (with targets that carry a q) and `stateless` in the place of `simultaneous`, `;untrusted` behind either, and those
    /// of `path_policy`.
    fn proxy<'a>(
        &self,
        tokens: impl Iterator<Item = &'a [u8]>,
        names: TransactionNames,
    ) -> Result<Request, Refusal> {
        let tokens: Vec<&[u8]> = tokens.collect();
        let [
            transaction,
            record_route,
            full_response,
            follow_redirects,
            order,
            provisional,
            last,
            targets @ ..,
        ] = tokens.as_slice()
        else {
            return Err(Refusal::Disconnect(
                "Invalid proxy request: not enough information provided",
            ));
        };
        let unknown = || {
            Refusal::Failure(
                format!(
                    "Unknown transaction id: {}",
                    String::from_utf8_lossy(transaction)
                )
                .into(),
            )
        };
        let transaction = names.transaction(transaction).ok_or_else(unknown)?;
        let full_response = *full_response == b"fullResponse";
        let targets = targets
            .iter()
            .filter(|target| !target.is_empty())
            .map(|target| String::from_utf8(target.to_vec()))
            .collect::<Result<Vec<String>, _>>()
            .map_err(|_| {
                Refusal::Failure("error proxying request to a target that is not UTF-8".into())
            })?;
        let (order, untrusted, consumed) = proxy_order(order);
        let options = ProxyOptions {
            record_route: path_policy(record_route).is_some(),
            path: path_policy(record_route).unwrap_or_default(),
            forking: match order {
                b"simultaneous" => Forking::Simultaneous,
                // An extension: drachtio-server takes it for `serial`.
                b"byQ" => Forking::ByQ,
                _ => Forking::Serial,
            },
            follow_redirects: *follow_redirects == b"followRedirects",
            provisional_timeout: timeout(provisional),
            final_timeout: timeout(last),
            stateless: order == b"stateless",
            untrusted,
            consumed,
            // Without fullResponse the first response is the sign that the request was sent, which is what is to be answered.
            report_responses: true,
        };
        let headers = SipText::parse(&self.text).draft.headers;
        let proxy = Proxy {
            id: CommandId(0),
            transaction,
            targets,
            options,
            headers,
        };
        Ok(Request::Command(
            Command::Proxy(proxy),
            Asked::Proxy {
                transaction,
                full_response,
            },
        ))
    }
}

/// The order of a `proxy` frame, and what stands behind it: `;untrusted`, `;consumed=0,2` (extensions: drachtio-server takes what it does
/// not know for `serial`).
fn proxy_order(text: &[u8]) -> (&[u8], bool, Vec<u8>) {
    let mut parts = text.split(|byte| *byte == b';');
    let order = parts.next().unwrap_or_default();
    let (mut untrusted, mut consumed) = (false, Vec::new());
    for part in parts {
        if let Some(numbers) = part.strip_prefix(b"consumed=") {
            let numbers = std::str::from_utf8(numbers).unwrap_or_default();
            consumed = numbers
                .split(',')
                .filter_map(|one| one.parse().ok())
                .collect();
        } else if part == b"untrusted" {
            untrusted = true;
        }
    }
    (order, untrusted, consumed)
}

/// `export|<dialogId>[|release]` (an extension: drachtio-server does not know it).
fn export<'a>(mut tokens: impl Iterator<Item = &'a [u8]>) -> Result<Request, Refusal> {
    let dialog = parse_dialog(tokens.next().unwrap_or_default()).ok_or(Refusal::Failure(
        "unable to find dialog for dialog id provided".into(),
    ))?;
    let export = Export {
        id: CommandId(0),
        dialog,
        release: tokens.next() == Some(b"release"),
    };
    Ok(Request::Command(Command::Export(export), Asked::Export))
}

/// `import|<age in milliseconds>`, and behind the meta line what `export` gave (an extension as well).
fn import<'a>(mut tokens: impl Iterator<Item = &'a [u8]>, text: &[u8]) -> Result<Request, Refusal> {
    let age = std::str::from_utf8(tokens.next().unwrap_or_default())
        .ok()
        .and_then(|digits| digits.parse().ok())
        .map(Duration::from_millis)
        .ok_or(Refusal::Failure(
            "import needs the age of the dialog in milliseconds".into(),
        ))?;
    let text = std::str::from_utf8(text)
        .map_err(|_| Refusal::Failure("this is no exported dialog: not UTF-8".into()))?;
    let dialog = ExportedDialog::from_json(text)
        .map_err(|error| Refusal::Failure(error.to_string().into()))?;
    let import = Import {
        id: CommandId(0),
        dialog: Box::new(dialog),
        age,
    };
    Ok(Request::Command(Command::Import(import), Asked::Import))
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

impl Envelope {
    /// `cancel_proxy|<transactionId>|<status>` and a Reason header field perhaps: an extension, which drachtio-server does not know.
    fn cancel_proxy<'a>(
        &self,
        mut tokens: impl Iterator<Item = &'a [u8]>,
        names: TransactionNames,
    ) -> Result<Request, Refusal> {
        let transaction = tokens
            .next()
            .and_then(|name| names.transaction(name))
            .ok_or(Refusal::Failure("Unknown transaction id".into()))?;
        let status = tokens
            .next()
            .and_then(|status| std::str::from_utf8(status).ok()?.parse().ok())
            .filter(|status| (300..700).contains(status))
            .ok_or(Refusal::Failure(
                "cancel_proxy needs a status from 300 to 699".into(),
            ))?;
        let headers = SipText::parse(&self.text).draft.headers;
        let reason = headers
            .into_iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(b"reason"))
            .map(|(_, value)| String::from_utf8_lossy(&value).into_owned());
        Ok(Request::Unanswered(Command::CancelProxy(CancelProxy {
            transaction,
            status,
            reason,
        })))
    }
}

fn respond(transaction: &[u8], text: SipText, names: TransactionNames) -> Result<Request, Refusal> {
    if transaction.is_empty() {
        return Err(Refusal::Disconnect("transaction id missing"));
    }
    let unknown = Refusal::Failure("Response not sent due to unknown transaction".into());
    let transaction = names.transaction(transaction).ok_or(unknown)?;
    let (status, reason) = status_line(&text.start_line).ok_or(Refusal::Failure(
        "Response not sent: the status line cannot be read".into(),
    ))?;
    // The engine writes the standard phrase when none is given: no copy for what nearly every response has.
    let reason = if reason.as_ref() == sip::status::reason_phrase(status) {
        String::new()
    } else {
        reason.into_owned()
    };
    let respond = Respond {
        id: CommandId(0),
        transaction,
        status,
        reason,
        draft: text.draft,
    };
    Ok(Request::Command(Command::Respond(respond), Asked::Respond))
}

fn cancel(transaction: &[u8], text: SipText, names: TransactionNames) -> Result<Request, Refusal> {
    if !text.start_line.starts_with(b"CANCEL ") {
        let reason =
            "a request with a transaction id must be CANCEL; leave the id out for a new request";
        return Err(Refusal::Failure(reason.into()));
    }
    let unknown = || {
        Refusal::Failure(
            format!(
                "unable to cancel unknown transaction id: {}",
                String::from_utf8_lossy(transaction)
            )
            .into(),
        )
    };
    let transaction = names.transaction(transaction).ok_or_else(unknown)?;
    let mut draft = text.draft;
    draft.headers.retain(|(name, _)| {
        let stripped: [&[u8]; 4] = [b"from", b"to", b"contact", b"p-asserted-identity"];
        !stripped
            .iter()
            .any(|stripped| name.eq_ignore_ascii_case(stripped))
    });
    let draft = Draft {
        headers: draft.headers,
        ..Draft::default()
    };
    let cancel = Cancel {
        id: CommandId(0),
        transaction,
        draft,
    };
    Ok(Request::Command(
        Command::Cancel(cancel),
        Asked::Cancel(transaction),
    ))
}

/// `METHOD uri [SIP/2.0]`.
fn request_line(line: &[u8], error: &str) -> Result<(Method, String), Refusal> {
    let invalid = || Refusal::Failure(format!("{error}: {}", String::from_utf8_lossy(line)).into());
    let mut parts = line
        .split(|&byte| byte == b' ')
        .filter(|part| !part.is_empty());
    let method = parts.next().and_then(Method::parse).ok_or_else(invalid)?;
    let uri = parts.next().unwrap_or_default();
    let uri = std::str::from_utf8(uri).map_err(|_| invalid())?;
    Ok((method, uri.to_owned()))
}

/// `SIP/2.0 200 OK`; the phrase may be missing.
fn status_line(line: &[u8]) -> Option<(u16, Cow<'_, str>)> {
    let mut parts = line.splitn(3, |&byte| byte == b' ');
    parts.next()?;
    let digits = parts.next()?;
    let status = std::str::from_utf8(digits)
        .ok()
        .filter(|_| digits.len() == 3)?
        .parse()
        .ok()?;
    Some((
        status,
        String::from_utf8_lossy(parts.next().unwrap_or_default().trim_ascii()),
    ))
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

/// `remainInDialog`, or an extension that says so as well and what it means for a REGISTER from a user agent without Path.
fn path_policy(token: &[u8]) -> Option<PathPolicy> {
    match token {
        b"remainInDialog" => Some(PathPolicy::Always),
        b"pathIfSupported" => Some(PathPolicy::IfSupported),
        b"pathRequired" => Some(PathPolicy::Required),
        _ => None,
    }
}

/// `2s` or `500ms`; anything else is none, as drachtio-server has it.
fn timeout(token: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(token).ok()?;
    let digits = text.trim_end_matches(|end: char| end.is_ascii_alphabetic());
    let unit = text.get(digits.len()..)?;
    let number: u64 = digits.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        _ => {
            tracing::warn!(
                timeout = text,
                "proxy: a timeout that is neither `<n>s` nor `<n>ms` is ignored"
            );
            None
        }
    }
}
