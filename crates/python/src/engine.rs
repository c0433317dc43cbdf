//! `Engine`: a server in this process, and the commands of the application that this interpreter is. Commands are queued as plain
//! data and handed in by `flush`; events come through `bridge`. What they mean is the engine's business.
use crate::application::Application;
use crate::counts;
use crate::draft;
use crate::event;
use crate::message::Message;
use crate::origin::Origin;
use crate::start::{self, Running};
use engine::Command;
use engine::command::{
    Cancel, CancelProxy, Export, Forking, Import, PathPolicy, Proxy, ProxyOptions, Respond,
    SendRequest,
};
use engine::export::ExportedDialog;
use engine::id::{DialogId, TransactionId};
use pyo3::IntoPyObject;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};
use std::sync::Arc;
use std::time::Duration;

/// A SIP engine in this process: listeners, I/O threads, and (embedded) one application, which is this interpreter.
#[pyclass(frozen, module = "dracht._core")]
pub struct Engine {
    running: Running,
    application: Option<Application>,
}

impl Engine {
    fn application(&self) -> PyResult<&Application> {
        let refusal = || {
            PyRuntimeError::new_err(
                "this engine has no application: it was started with embedded=False",
            )
        };
        self.application.as_ref().ok_or_else(refusal)
    }
}

#[pymethods]
impl Engine {
    /// Opens the listeners and starts the I/O threads. Call it after any fork.
    #[staticmethod]
    #[pyo3(signature = (
        listen, *, shards = 1, embedded = true, control = None, secret = None, advertise = None, t1 = 0.5, t2 = 4.0, t4 = 5.0,
        timer_c = 185.0, application_timeout = 64.0, trying_after = 0.2, ringing_timeout = 3600.0, max_transactions = 1_000_000, max_dialogs = 500_000, max_event_age = 1.0,
        max_events = 65_536, max_message_bytes = 65_535, dialog_idle = 43_200.0, udp_request_limit = Some(1300),
        drachtio_compatible = false, session_timers = true, session_expires = None, min_se = 90, session_refresher = None
    ))]
    #[expect(
        clippy::too_many_arguments,
        reason = "keywords with defaults, as _core.pyi documents them"
    )]
    fn start(
        py: Python<'_>,
        listen: Vec<String>,
        shards: usize,
        embedded: bool,
        control: Option<&str>,
        secret: Option<&str>,
        advertise: Option<&str>,
        t1: f64,
        t2: f64,
        t4: f64,
        timer_c: f64,
        application_timeout: f64,
        trying_after: f64,
        ringing_timeout: f64,
        max_transactions: usize,
        max_dialogs: usize,
        max_event_age: f64,
        max_events: usize,
        max_message_bytes: usize,
        dialog_idle: f64,
        udp_request_limit: Option<usize>,
        drachtio_compatible: bool,
        session_timers: bool,
        session_expires: Option<u32>,
        min_se: u32,
        session_refresher: Option<&str>,
    ) -> PyResult<Engine> {
        let shards = start::shards(shards)?;
        let timers = engine::config::Timers {
            t1: draft::positive_seconds("t1", t1)?,
            t2: draft::positive_seconds("t2", t2)?,
            t4: draft::positive_seconds("t4", t4)?,
            c: draft::positive_seconds("timer_c", timer_c)?,
            application: draft::positive_seconds("application_timeout", application_timeout)?,
            trying: draft::seconds("trying_after", trying_after)?,
            ringing: draft::positive_seconds("ringing_timeout", ringing_timeout)?,
        };
        let bounds = engine::config::Bounds {
            transactions: max_transactions,
            dialogs: max_dialogs,
            event_age: draft::positive_seconds("max_event_age", max_event_age)?,
            dialog_idle: draft::positive_seconds("dialog_idle", dialog_idle)?,
        };
        let config = net::ServerConfig {
            listen: start::listeners(&listen, advertise)?,
            shards,
            timers,
            bounds,
            limits: sip::Limits {
                message_bytes: max_message_bytes,
                ..sip::Limits::default()
            },
            udp_request_limit,
            drachtio_compatible,
            session: start::session(session_timers, session_expires, min_se, session_refresher)?,
            ..net::ServerConfig::default()
        };
        let control = start::control(control, secret)?;
        py.detach(|| {
            let running = Running::start(config, control)?;
            let attach = || Application::attach(running.commands(), shards, max_events);
            let application = embedded.then(attach).transpose()?;
            Ok(Engine {
                running,
                application,
            })
        })
    }

    /// The descriptor that is readable while events wait. Watch it; do not read or close it.
    fn fileno(&self) -> PyResult<i32> {
        Ok(self.application()?.bridge().wakeup().fileno())
    }

    /// The oldest events, at most `limit`, in order of arrival within a shard (and so within a call).
    #[pyo3(signature = (limit = 256, arm = true))]
    fn take<'py>(&self, py: Python<'py>, limit: usize, arm: bool) -> PyResult<Bound<'py, PyList>> {
        // All are taken before the first Python object is made: that may run a finalizer, which may call in here again.
        let events = self.application()?.take(limit, arm);
        let tuples: PyResult<Vec<Bound<'py, PyTuple>>> =
            events.map(|event| event::to_tuple(py, event)).collect();
        PyList::new(py, tuples?)
    }

    /// Blocks, without the interpreter, until events wait or `timeout` seconds passed; says whether they do.
    fn wait(&self, py: Python<'_>, timeout: f64) -> PyResult<bool> {
        let timeout = draft::seconds("timeout", timeout)?;
        let bridge = self.application()?.bridge();
        Ok(py.detach(|| bridge.wakeup().wait(timeout)))
    }

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
    #[pyo3(signature = (transaction, status, reason = "", headers = None, body = None, request = None))]
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
    ) -> PyResult<Bound<'py, PyTuple>> {
        if !(101..=699).contains(&status) {
            return Err(PyValueError::new_err(format!(
                "status {status} is out of range: 101 to 699 (100 is the engine's)"
            )));
        }
        let application = self.application()?;
        let id = application.command_id();
        let transaction = TransactionId::from_bits(transaction);
        let draft = draft::draft(headers, body)?;
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
    #[pyo3(signature = (method, uri, headers = None, body = None, dialog = None, next_hop = None))]
    fn send_request(
        &self,
        method: &str,
        uri: &str,
        headers: Option<&Bound<'_, PyAny>>,
        body: Option<&Bound<'_, PyBytes>>,
        dialog: Option<&Bound<'_, PyAny>>,
        next_hop: Option<&str>,
    ) -> PyResult<u64> {
        let application = self.application()?;
        let request = SendRequest {
            id: application.command_id(),
            method: draft::method(method)?,
            uri: uri.to_owned(),
            dialog: dialog.map(draft::dialog).transpose()?,
            next_hop: next_hop.map(str::to_owned),
            draft: draft::draft(headers, body)?,
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
            draft: draft::draft(headers, None)?,
        }));
        Ok(id.0)
    }

    /// Proxies a request that was received (RFC 3261 §16).
    #[pyo3(signature = (
        transaction, targets = Vec::new(), *, record_route = false, path = "always", forking = "serial", follow_redirects = false,
        provisional_timeout = None, final_timeout = None, stateless = false, report_responses = false, headers = None
    ))]
    #[expect(
        clippy::too_many_arguments,
        reason = "keywords with defaults, as _core.pyi documents them"
    )]
    fn proxy(
        &self,
        transaction: u64,
        targets: Vec<String>,
        record_route: bool,
        path: &str,
        forking: &str,
        follow_redirects: bool,
        provisional_timeout: Option<f64>,
        final_timeout: Option<f64>,
        stateless: bool,
        report_responses: bool,
        headers: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<u64> {
        let application = self.application()?;
        let length = |name, seconds: Option<f64>| {
            seconds
                .map(|seconds| draft::positive_seconds(name, seconds))
                .transpose()
        };
        let options = ProxyOptions {
            record_route,
            path: match path {
                "always" => PathPolicy::Always,
                "if_supported" => PathPolicy::IfSupported,
                "required" => PathPolicy::Required,
                other => {
                    return Err(PyValueError::new_err(format!(
                        "path is 'always', 'if_supported' or 'required', not {other:?}"
                    )));
                }
            },
            forking: match forking {
                "serial" => Forking::Serial,
                "simultaneous" => Forking::Simultaneous,
                "by_q" => Forking::ByQ,
                other => {
                    return Err(PyValueError::new_err(format!(
                        "forking is 'serial', 'simultaneous' or 'by_q', not {other:?}"
                    )));
                }
            },
            follow_redirects,
            provisional_timeout: length("provisional_timeout", provisional_timeout)?,
            final_timeout: length("final_timeout", final_timeout)?,
            stateless,
            report_responses,
        };
        let id = application.command_id();
        let transaction = TransactionId::from_bits(transaction);
        let headers = draft::headers(headers)?;
        application.push(Command::Proxy(Proxy {
            id,
            transaction,
            targets,
            options,
            headers,
        }));
        Ok(id.0)
    }

    /// Gives up a request that is being proxied.
    #[pyo3(signature = (transaction, status = 487, reason = None))]
    fn cancel_proxy(&self, transaction: u64, status: u16, reason: Option<String>) -> PyResult<()> {
        self.application()?.push(Command::CancelProxy(CancelProxy {
            transaction: TransactionId::from_bits(transaction),
            status,
            reason,
        }));
        Ok(())
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

    /// What each shard holds and has done: the fields of its table sizes, then its totals since the start, by name.
    fn counts<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let shards = py.detach(|| self.running.commands().counts());
        shards
            .into_iter()
            .map(|counts| counts::shard_dict(py, counts))
            .collect()
    }

    /// The queue between engine and interpreter.
    fn bridge_counts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        for (name, number) in self.application()?.counts() {
            dict.set_item(name, number)?;
        }
        Ok(dict)
    }

    /// The listeners as `proto/host:port`: as advertised, and as bound.
    fn hostports(&self) -> (Vec<String>, Vec<String>) {
        self.running.commands().hostports()
    }

    /// Address and port of the control listener.
    #[getter]
    fn control_address(&self) -> Option<(String, u16)> {
        self.running
            .control_address()
            .map(|address| (address.ip().to_string(), address.port()))
    }

    /// Closes the listeners and ends the threads; waits without the interpreter for at most `timeout` seconds.
    #[pyo3(signature = (timeout = 5.0))]
    fn stop(&self, py: Python<'_>, timeout: f64) -> PyResult<bool> {
        let timeout = draft::seconds("timeout", timeout)?;
        Ok(py.detach(|| self.running.stop(timeout)))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // The threads end by themselves; waiting for them here would block whoever collects garbage.
        self.running.stop(Duration::ZERO);
    }
}
