//! `session_timers`, `session_expires`, `min_se`, `session_refresher`: how session timers are taken (RFC 4028).
use engine::config::{Refresher, SessionTimers};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// How session timers are taken (RFC 4028).
pub fn read(
    enabled: bool,
    expires: Option<u32>,
    min_se: u32,
    refresher: Option<&str>,
) -> PyResult<SessionTimers> {
    if min_se < 90 {
        return Err(PyValueError::new_err(format!(
            "min_se={min_se} is out of range: 90 seconds or more (RFC 4028 §4)"
        )));
    }
    if let Some(short) = expires.filter(|expires| *expires < min_se) {
        return Err(PyValueError::new_err(format!(
            "session_expires={short} is less than min_se={min_se}"
        )));
    }
    let refresher = match refresher {
        None => None,
        Some("uac") => Some(Refresher::Uac),
        Some("uas") => Some(Refresher::Uas),
        Some(other) => {
            return Err(PyValueError::new_err(format!(
                "session_refresher is \"uac\", \"uas\" or None, not \"{other}\""
            )));
        }
    };
    Ok(SessionTimers {
        enabled,
        expires,
        min_se,
        refresher,
        ..SessionTimers::default()
    })
}
