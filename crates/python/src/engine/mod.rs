//! `Engine`: a server in this process, and the commands of the application that this interpreter is. Here are its life, its events
//! and its counts; commands (`commands`, `proxying`) are queued as plain data and handed in by `flush`; events come through
//! `bridge`. What they mean is the engine's business.
mod commands;
mod proxying;

use crate::application::Application;
use crate::counts;
use crate::draft;
use crate::event;
use crate::message::Message;
use crate::origin::Origin;
use crate::start::{self, Running};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};
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
        drachtio_compatible = false, session_timers = true, session_expires = None, min_se = 90, session_refresher = None,
        network = None, dns = None, tls = None, streams = None, admission = None
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
        network: Option<&Bound<'_, PyAny>>,
        dns: Option<&Bound<'_, PyAny>>,
        tls: Option<&Bound<'_, PyAny>>,
        streams: Option<&Bound<'_, PyAny>>,
        admission: Option<&Bound<'_, PyAny>>,
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
        let (dns, failover) = start::dns::read(dns)?;
        let config = net::ServerConfig {
            dns,
            failover,
            listen: start::listeners::read(&listen, advertise)?,
            shards,
            timers,
            bounds,
            limits: sip::Limits {
                message_bytes: max_message_bytes,
                ..sip::Limits::default()
            },
            udp_request_limit,
            drachtio_compatible,
            session: start::session::read(
                session_timers,
                session_expires,
                min_se,
                session_refresher,
            )?,
            network: start::network::read(network)?,
            stream: start::streams::config(streams)?,
            admission: start::admission::read(admission)?,
            ..net::ServerConfig::default()
        };
        let tls = start::tls::config(tls)?;
        let tls = tls.map(start::tls::store).transpose()?;
        let control = start::control::read(control, secret, tls.as_ref())?;
        py.detach(|| {
            let config = net::ServerConfig { tls, ..config };
            let running = Running::start(config, control)?;
            let attach = || Application::attach(running.commands(), shards, max_events);
            let application = embedded.then(attach).transpose()?;
            Ok(Engine {
                running,
                application,
            })
        })
    }

    /// Reads the certificates' files again; whether there are any. Open connections keep theirs.
    fn reload_certificates(&self, py: Python<'_>) -> PyResult<bool> {
        py.detach(|| self.running.reload_certificates())
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

    /// The token of the flow that a message came over (RFC 5626).
    fn flow(&self, origin: &Origin) -> Option<String> {
        let replier = self.running.writer().replier();
        replier.flow_token(origin.inner())
    }

    /// Whether a request comes from a user agent behind a NAT, by the rules of `Network.nat`.
    fn behind_nat(&self, request: &Message, origin: &Origin) -> bool {
        let replier = self.running.writer().replier();
        replier.is_behind_nat(request.inner(), origin.inner())
    }

    /// Blocks, without the interpreter, until events wait or `timeout` seconds passed; says whether they do.
    fn wait(&self, py: Python<'_>, timeout: f64) -> PyResult<bool> {
        let timeout = draft::seconds("timeout", timeout)?;
        let bridge = self.application()?.bridge();
        Ok(py.detach(|| bridge.wakeup().wait(timeout)))
    }

    /// Takes nothing from a network for so many seconds, or until `unban`.
    fn ban(&self, network: &str, seconds: f64) -> PyResult<()> {
        let network = start::admission::prefix(network)?;
        let time = draft::positive_seconds("seconds", seconds)?;
        self.running.commands().ban(network, Some(time));
        Ok(())
    }

    /// Lifts a ban of exactly this network.
    fn unban(&self, network: &str) -> PyResult<()> {
        let network = start::admission::prefix(network)?;
        self.running.commands().ban(network, None);
        Ok(())
    }

    /// The bans in force: network, seconds left, why.
    fn bans(&self, py: Python<'_>) -> Vec<(String, f64, String)> {
        let bans = py.detach(|| self.running.commands().bans());
        bans.into_iter()
            .map(|ban| {
                (
                    ban.network.to_string(),
                    ban.remaining.as_secs_f64(),
                    ban.reason,
                )
            })
            .collect()
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

    /// From now on new requests get 503; what there is goes on.
    fn drain(&self, py: Python<'_>) {
        py.detach(|| self.running.drain());
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
