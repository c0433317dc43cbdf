//! What the application asks of its engine, but for proxying: each queues a command, and `flush` hands them in.
use super::Engine;
use crate::draft;
use crate::event;
use crate::message::Message;
use crate::origin::Origin;
use engine::Command;
use engine::command::{Cancel, Export, Import, Respond, SendRequest};
use engine::export::ExportedDialog;
use engine::id::{DialogId, TransactionId};
use pyo3::IntoPyObject;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use std::sync::Arc;

#[pymethods]
impl Engine {
    /// Asks for new requests of this method.
    fn route(&self, method: &str) -> PyResult<()> {
        self.application()?
            .push(Command::Route(draft::method(method)?));
        Ok(())
    }

    /// Asks for new requests of every method that no application asked for by name.
    fn route_all(&self) -> PyResult<()> {
        self.application()?.push(Command::RouteAll);
        Ok(())
    }

    /// Takes `route` back.
    fn unroute(&self, method: &str) -> PyResult<()> {
        self.application()?
            .push(Command::Unroute(draft::method(method)?));
        Ok(())
    }

    /// Answers a request. With the request's message, the answer is written here and now, unless only the engine can.
    #[pyo3(signature = (transaction, status, reason = "", headers = None, body = None, request = None, session_timer = true))]
    #[expect(
        clippy::too_many_arguments,
        reason = "what an answer is made of, as _core.pyi documents it"
    )]
    fn respond<'py>(
        &self,
        py: Python<'py>,
        transaction: u64,
        status: u16,
        reason: &str,
        headers: Option<&Bound<'py, PyAny>>,
        body: Option<&Bound<'py, PyBytes>>,
        request: Option<&Message>,
        session_timer: bool,
    ) -> PyResult<Bound<'py, PyTuple>> {
        if !(101..=699).contains(&status) {
            return Err(PyValueError::new_err(format!(
                "status {status} is out of range: 101 to 699 (100 is the engine's)"
            )));
        }
        let application = self.application()?;
        let id = application.command_id();
        let transaction = TransactionId::from_bits(transaction);
        let draft = draft::draft(headers, body, session_timer)?;
        if let Some((request, answering)) = request.and_then(Message::answering) {
            let answer = (status, reason, &draft);
            let writer = self.running.writer();
            match writer.write(id, transaction, request, answering, answer) {
                Ok(Some((written, dialog))) => {
                    let message = Message::new(Arc::clone(&written.message));
                    application.push(Command::RespondWritten(written));
                    let dialog = dialog.map(DialogId::to_bits);
                    let path = Origin::new(answering.origin);
                    return (id.0, message, dialog, path).into_pyobject(py);
                }
                Ok(None) => {}
                Err(error) => {
                    let (code, detail) = event::failure(py, &error);
                    return (id.0, py.None(), code, detail).into_pyobject(py);
                }
            }
        }
        application.push(Command::Respond(Respond {
            id,
            transaction,
            status,
            reason: reason.to_owned(),
            draft,
        }));
        (id.0,).into_pyobject(py)
    }

    /// Sends a request: new, or within a dialog (ACK of a 2xx and PRACK included).
    #[pyo3(signature = (method, uri, headers = None, body = None, dialog = None, next_hop = None, session_timer = true))]
    #[expect(
        clippy::too_many_arguments,
        reason = "what a request is made of, as _core.pyi documents it"
    )]
    fn send_request(
        &self,
        method: &str,
        uri: &str,
        headers: Option<&Bound<'_, PyAny>>,
        body: Option<&Bound<'_, PyBytes>>,
        dialog: Option<&Bound<'_, PyAny>>,
        next_hop: Option<&str>,
        session_timer: bool,
    ) -> PyResult<u64> {
        let application = self.application()?;
        let request = SendRequest {
            id: application.command_id(),
            method: draft::method(method)?,
            uri: uri.to_owned(),
            dialog: dialog.map(draft::dialog).transpose()?,
            next_hop: next_hop.map(str::to_owned),
            draft: draft::draft(headers, body, session_timer)?,
        };
        let id = request.id.0;
        application.push(Command::Send(request));
        Ok(id)
    }

    /// Cancels an INVITE that was sent (RFC 3261 §9.1); `headers` are added (Reason, RFC 3326).
    #[pyo3(signature = (transaction, headers = None))]
    fn cancel(&self, transaction: u64, headers: Option<&Bound<'_, PyAny>>) -> PyResult<u64> {
        let application = self.application()?;
        let id = application.command_id();
        let transaction = TransactionId::from_bits(transaction);
        application.push(Command::Cancel(Cancel {
            id,
            transaction,
            draft: draft::draft(headers, None, true)?,
        }));
        Ok(id.0)
    }

    /// Forgets a request without an answer.
    fn drop(&self, transaction: u64) -> PyResult<()> {
        self.application()?
            .push(Command::Drop(TransactionId::from_bits(transaction)));
        Ok(())
    }

    /// Asks for a confirmed dialog as a value that another engine takes over.
    #[pyo3(signature = (dialog, release = false))]
    fn export_dialog(&self, dialog: &Bound<'_, PyAny>, release: bool) -> PyResult<u64> {
        let application = self.application()?;
        let id = application.command_id();
        let dialog = draft::dialog(dialog)?;
        application.push(Command::Export(Export {
            id,
            dialog,
            release,
        }));
        Ok(id.0)
    }

    /// Takes a dialog over that another engine exported.
    #[pyo3(signature = (value, age = 0.0))]
    fn import_dialog(&self, value: &str, age: f64) -> PyResult<u64> {
        let application = self.application()?;
        let dialog = ExportedDialog::from_json(value)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        let age = draft::seconds("age", age)?;
        let id = application.command_id();
        application.push(Command::Import(Import {
            id,
            dialog: Box::new(dialog),
            age,
        }));
        Ok(id.0)
    }

    /// Hands the queued commands to the engine; how many there were.
    fn flush(&self) -> PyResult<usize> {
        Ok(self.application()?.flush())
    }
}
