//! Events as the tuples that `Engine.take` gives; their shapes are documented in `_core.pyi`.
use crate::answering::Answering;
use crate::message::Message;
use crate::origin::Origin;
use engine::Event;
use engine::event::{CommandError, DialogEndReason, SubscriptionEndReason};
use engine::id::DialogId;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};
use pyo3::{IntoPyObject, intern};
use std::borrow::Cow;

/// The kinds, by the names of their constants in the module.
pub const KINDS: [(&str, u8); 10] = [
    ("EVENT_REQUEST", REQUEST),
    ("EVENT_RESPONSE", RESPONSE),
    ("EVENT_SENT", SENT),
    ("EVENT_FAILED", FAILED),
    ("EVENT_PROXY_RESPONSE", PROXY_RESPONSE),
    ("EVENT_PROXY_DONE", PROXY_DONE),
    ("EVENT_DIALOG_ENDED", DIALOG_ENDED),
    ("EVENT_SUBSCRIPTION_ENDED", SUBSCRIPTION_ENDED),
    ("EVENT_EXPORTED", EXPORTED),
    ("EVENT_IMPORTED", IMPORTED),
];
const REQUEST: u8 = 0;
const RESPONSE: u8 = 1;
const SENT: u8 = 2;
const FAILED: u8 = 3;
const PROXY_RESPONSE: u8 = 4;
const PROXY_DONE: u8 = 5;
const DIALOG_ENDED: u8 = 6;
const SUBSCRIPTION_ENDED: u8 = 7;
const EXPORTED: u8 = 8;
const IMPORTED: u8 = 9;

/// The tuple of an event.
pub fn to_tuple(py: Python<'_>, event: Event) -> PyResult<Bound<'_, PyTuple>> {
    match event {
        Event::Request(request) => (
            REQUEST,
            request.transaction.to_bits(),
            request.dialog.map(DialogId::to_bits),
            Message::asking(
                request.message,
                Answering::new(request.origin, request.dialog),
            ),
            Origin::certified(request.origin, request.peer_certificate),
            request.wire_bytes,
        )
            .into_pyobject(py),
        Event::Response(response) => (
            RESPONSE,
            response.transaction.to_bits(),
            response.dialog.map(DialogId::to_bits),
            Message::new(response.message),
            response.origin.map(Origin::new),
            response.wire_bytes,
        )
            .into_pyobject(py),
        Event::Sent(sent) => (
            SENT,
            sent.command.0,
            sent.transaction.to_bits(),
            sent.dialog.map(DialogId::to_bits),
            Message::new(sent.message),
            Origin::new(sent.path),
        )
            .into_pyobject(py),
        Event::Failed(failed) => {
            let (code, detail) = failure(py, &failed.error);
            (FAILED, failed.command.0, code, detail).into_pyobject(py)
        }
        Event::ProxyResponse(response) => (
            PROXY_RESPONSE,
            response.command.0,
            response.branch,
            Message::new(response.message),
            response.origin.map(Origin::new),
            response.wire_bytes,
        )
            .into_pyobject(py),
        Event::ProxyDone(done) => {
            (PROXY_DONE, done.command.0, done.status, done.winner).into_pyobject(py)
        }
        Event::DialogEnded(ended) => (
            DIALOG_ENDED,
            ended.dialog.to_bits(),
            dialog_end(py, ended.reason),
            Message::new(ended.message),
            Origin::new(ended.path),
        )
            .into_pyobject(py),
        Event::SubscriptionEnded(ended) => {
            let reason = match ended.reason {
                SubscriptionEndReason::NoNotify => intern!(py, "no-notify"),
                SubscriptionEndReason::Expired => intern!(py, "expired"),
            };
            (
                SUBSCRIPTION_ENDED,
                ended.dialog.to_bits(),
                ended.event,
                ended.is_notifier,
                reason,
            )
                .into_pyobject(py)
        }
        Event::Exported(exported) => {
            (EXPORTED, exported.command.0, exported.dialog.to_json()).into_pyobject(py)
        }
        Event::Imported(imported) => {
            (IMPORTED, imported.command.0, imported.dialog.to_bits()).into_pyobject(py)
        }
    }
}

/// Why the engine ended a dialog.
fn dialog_end(py: Python<'_>, reason: DialogEndReason) -> &Bound<'_, PyString> {
    match reason {
        DialogEndReason::AckTimeout => intern!(py, "ack-timeout"),
        DialogEndReason::AnsweredAfterCancel => intern!(py, "answered-after-cancel"),
        DialogEndReason::CancelAfterAnswer => intern!(py, "cancel-after-answer"),
        DialogEndReason::Idle => intern!(py, "idle"),
        DialogEndReason::SessionExpired => intern!(py, "session-expired"),
        DialogEndReason::PeerGone => intern!(py, "peer-gone"),
    }
}

/// The code and the detail of a command's failure.
pub fn failure<'py, 'a>(
    py: Python<'py>,
    error: &'a CommandError,
) -> (&'py Bound<'py, PyString>, Cow<'a, str>) {
    let (code, detail) = match error {
        CommandError::UnknownTransaction => (
            intern!(py, "unknown-transaction"),
            "it is over, or another application's",
        ),
        CommandError::UnknownDialog => (
            intern!(py, "unknown-dialog"),
            "it has ended, or never was here",
        ),
        CommandError::AlreadyAnswered => {
            (intern!(py, "already-answered"), "it has a final response")
        }
        CommandError::AlreadyProxied => (
            intern!(py, "already-proxied"),
            "it is being proxied, or was answered here",
        ),
        CommandError::AckIsAutomatic => (
            intern!(py, "ack-is-automatic"),
            "only a 2xx is acknowledged by the application",
        ),
        CommandError::NoInvite => (
            intern!(py, "no-invite"),
            "there is nothing that it could belong to",
        ),
        CommandError::InvalidUri(detail) => (intern!(py, "invalid-uri"), detail.as_str()),
        CommandError::InvalidMethod(detail) => (intern!(py, "invalid-method"), detail.as_str()),
        CommandError::InvalidHeader(detail) => (intern!(py, "invalid-header"), detail.as_str()),
        CommandError::MissingContentType => (
            intern!(py, "missing-content-type"),
            "the body needs a Content-Type",
        ),
        CommandError::TooManyHops => (intern!(py, "too-many-hops"), "its Max-Forwards is 0"),
        CommandError::Loop => (
            intern!(py, "loop"),
            "it passed here before, on its way to the same place",
        ),
        CommandError::NoTransport(detail) => (intern!(py, "no-transport"), detail.as_str()),
        CommandError::FlowFailed(detail) => (intern!(py, "flow-failed"), detail.as_str()),
        CommandError::FlowForged => (
            intern!(py, "flow-forged"),
            "this server did not give out that flow",
        ),
        CommandError::RequestPending(what) => (intern!(py, "request-pending"), *what),
        CommandError::No100rel => (
            intern!(py, "no-100rel"),
            "the caller does not support reliable responses (100rel in Supported)",
        ),
        CommandError::NoContact => (
            intern!(py, "no-contact"),
            "the request has no Contact that says where its sender is reached, and can make no dialog: it got 400 instead",
        ),
        CommandError::Limit(limit) => (intern!(py, "limit"), *limit),
        CommandError::EarlyDialog => (
            intern!(py, "early-dialog"),
            "only a confirmed dialog can be exported",
        ),
        CommandError::DialogExists => (intern!(py, "dialog-exists"), "the dialog is here already"),
        CommandError::Rejected(status) => {
            return (intern!(py, "rejected"), Cow::Owned(status.to_string()));
        }
    };
    (code, Cow::Borrowed(detail))
}
