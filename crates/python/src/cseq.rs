//! `CSeq`: the CSeq header field (RFC 3261 §20.16).
use crate::text;
use pyo3::prelude::*;
use pyo3::types::PyString;

/// A CSeq value (RFC 3261 §20.16).
#[pyclass(frozen, eq, hash, module = "dracht._core")]
#[derive(PartialEq, Eq, Hash)]
pub struct CSeq {
    number: u32,
    method: sip::Method,
}

impl CSeq {
    /// The Python side of a CSeq.
    pub fn new(cseq: sip::header::CSeq) -> CSeq {
        CSeq {
            number: cseq.number,
            method: cseq.method,
        }
    }
}

#[pymethods]
impl CSeq {
    /// The sequence number.
    #[getter]
    fn number(&self) -> u32 {
        self.number
    }

    /// The method.
    #[getter]
    fn method<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        text::method(py, &self.method)
    }

    fn __str__(&self) -> String {
        format!("{} {}", self.number, self.method.as_str())
    }

    fn __repr__(&self) -> String {
        format!("CSeq({} {})", self.number, self.method.as_str())
    }
}
