//! What an application gives with a command, turned into plain data: header fields, bodies, times, methods.
use crate::text;
use bytes::Bytes;
use engine::command::{DialogReference, Draft};
use engine::id::DialogId;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString, PyTuple};
use sip::Method;
use std::time::Duration;

/// Header fields: a sequence of pairs of name and value, the value `str` or `bytes`.
pub fn headers(given: Option<&Bound<'_, PyAny>>) -> PyResult<Vec<(Bytes, Bytes)>> {
    let Some(given) = given else {
        return Ok(Vec::new());
    };
    let mut fields = Vec::with_capacity(given.len()?);
    for pair in given.try_iter()? {
        let pair = pair?;
        let Some([name, value]) = pair
            .cast::<PyTuple>()
            .ok()
            .and_then(|pair| <[_; 2]>::try_from(pair.iter().collect::<Vec<_>>()).ok())
        else {
            return Err(PyTypeError::new_err(format!(
                "a header field is a tuple of name and value, got {pair:?}"
            )));
        };
        fields.push((
            text::string_bytes(name.cast::<PyString>()?)?,
            text::bytes_of(&value)?,
        ));
    }
    Ok(fields)
}

/// Header fields and body, and whether the engine takes care of the session timer.
pub fn draft(
    given: Option<&Bound<'_, PyAny>>,
    body: Option<&Bound<'_, PyBytes>>,
    session_timer: bool,
) -> PyResult<Draft> {
    let body = body.map_or_else(Bytes::new, |body| Bytes::copy_from_slice(body.as_bytes()));
    Ok(Draft {
        headers: headers(given)?,
        body,
        without_session_timer: !session_timer,
    })
}

/// A method.
pub fn method(name: &str) -> PyResult<Method> {
    Method::parse(name.as_bytes()).ok_or_else(|| {
        PyValueError::new_err(format!(
            "\"{name}\" is not a method: a token is needed (RFC 3261 §25.1)"
        ))
    })
}

/// A dialog: its number, or Call-ID and From tag of the request that created it.
pub fn dialog(given: &Bound<'_, PyAny>) -> PyResult<DialogReference> {
    if let Ok((call_id, from_tag)) = given.extract::<(String, String)>() {
        return Ok(DialogReference::Tags { call_id, from_tag });
    }
    match given.extract::<u64>() {
        Ok(number) => Ok(DialogReference::Id(DialogId::from_bits(number))),
        Err(_) => Err(PyTypeError::new_err(
            "dialog is a number, or a tuple of Call-ID and From tag",
        )),
    }
}

/// A length of time in seconds, which may be zero.
pub fn seconds(name: &str, seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|_| {
        PyValueError::new_err(format!(
            "{name}={seconds} is not a length of time in seconds"
        ))
    })
}

/// A length of time in seconds, above zero.
pub fn positive_seconds(name: &str, given: f64) -> PyResult<Duration> {
    match seconds(name, given)? {
        Duration::ZERO => Err(PyValueError::new_err(format!(
            "{name} must be more than 0 seconds"
        ))),
        length => Ok(length),
    }
}
