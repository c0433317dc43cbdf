//! Text and bytes between SIP and Python: UTF-8, other bytes as surrogate escapes (PEP 383), so that nothing is lost either way.
use bytes::Bytes;
use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyString};
use sip::Method;

/// The text of these bytes.
pub fn text<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyString>> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(PyString::new(py, text)),
        Err(_) => PyString::from_encoded_object(
            &PyBytes::new(py, bytes),
            Some(c"utf-8"),
            Some(c"surrogateescape"),
        ),
    }
}

/// The bytes of a `str` or `bytes` that an application gave.
pub fn bytes_of(value: &Bound<'_, PyAny>) -> PyResult<Bytes> {
    if let Ok(text) = value.cast::<PyString>() {
        return string_bytes(text);
    }
    match value.cast::<PyBytes>() {
        Ok(bytes) => Ok(Bytes::copy_from_slice(bytes.as_bytes())),
        Err(_) => Err(PyTypeError::new_err(format!(
            "expected str or bytes, got {}",
            value.get_type()
        ))),
    }
}

/// The bytes of a text.
pub fn string_bytes(text: &Bound<'_, PyString>) -> PyResult<Bytes> {
    if let Ok(text) = text.to_str() {
        return Ok(Bytes::copy_from_slice(text.as_bytes()));
    }
    let encoded = text.call_method1(intern!(text.py(), "encode"), ("utf-8", "surrogateescape"))?;
    Ok(Bytes::copy_from_slice(
        encoded.cast::<PyBytes>()?.as_bytes(),
    ))
}

/// A method's name; of the known ones always the same object.
pub fn method<'py>(py: Python<'py>, method: &Method) -> Bound<'py, PyString> {
    static KNOWN: [PyOnceLock<Py<PyString>>; Method::KNOWN] =
        [const { PyOnceLock::new() }; Method::KNOWN];
    match KNOWN.get(method.index()) {
        Some(cell) => cell
            .get_or_init(py, || PyString::intern(py, method.as_str()).unbind())
            .bind(py)
            .clone(),
        None => PyString::new(py, method.as_str()),
    }
}

/// Parameters as a dict: names in lower case, None for one without a value; the first of a repeated name counts.
pub fn parameters<'py, N: AsRef<str>, V: AsRef<str>>(
    py: Python<'py>,
    parameters: impl Iterator<Item = (N, Option<V>)>,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (name, value) in parameters {
        let name = PyString::new(py, &name.as_ref().to_ascii_lowercase());
        if !dict.contains(&name)? {
            dict.set_item(name, value.as_ref().map(AsRef::as_ref))?;
        }
    }
    Ok(dict)
}
