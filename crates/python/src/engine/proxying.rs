//! The commands that proxy a request, and give one up that is proxied.
use super::Engine;
use crate::draft;
use engine::Command;
use engine::command::{CancelProxy, Forking, PathPolicy, Proxy, ProxyOptions};
use engine::id::TransactionId;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

#[pymethods]
impl Engine {
    /// Proxies a request that was received (RFC 3261 §16).
    #[pyo3(signature = (
        transaction, targets = Vec::new(), *, record_route = false, path = "always", forking = "serial", follow_redirects = false,
        provisional_timeout = None, final_timeout = None, stateless = false, untrusted = false, consumed = Vec::new(), report_responses = false, headers = None
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
        untrusted: bool,
        consumed: Vec<u8>,
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
            untrusted,
            consumed,
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
}
