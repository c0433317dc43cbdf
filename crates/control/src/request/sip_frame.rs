//! The frames that carry a SIP message: an answer, a request within a dialog or outside, a CANCEL.
use super::{Asked, Refusal, Request};
use crate::envelope::Envelope;
use crate::name::{TransactionNames, parse_dialog};
use crate::text::SipText;
use engine::command::{Cancel, Command, Draft, Respond, SendRequest};
use engine::id::CommandId;
use sip::Method;
use std::borrow::Cow;

impl Envelope {
    /// `sip|<transactionId>|<dialogId>[|<routeUrl>]`, and behind it `withoutSessionTimer` perhaps: an extension.
    pub(super) fn sip<'a>(
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
