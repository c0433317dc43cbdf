//! The exceptions of `dracht.errors`, imported when first raised: they are Python classes, so that users subclass and read them.
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

/// Which exception.
#[derive(Copy, Clone)]
pub enum ErrorClass {
    /// A malformed message.
    Parse,
    /// A missing or unreadable header field.
    Header,
    /// An unreadable URI.
    Uri,
}

impl ErrorClass {
    fn name(self) -> &'static str {
        match self {
            ErrorClass::Parse => "ParseError",
            ErrorClass::Header => "HeaderError",
            ErrorClass::Uri => "UriError",
        }
    }

    /// The exception with this text.
    pub fn error(self, py: Python<'_>, text: impl ToString) -> PyErr {
        static CLASSES: [PyOnceLock<Py<PyType>>; 3] = [const { PyOnceLock::new() }; 3];
        let class = CLASSES
            .get(self as usize)
            .map(|cell| cell.import(py, "dracht.errors", self.name()));
        match class {
            Some(Ok(class)) => PyErr::from_type(class.clone(), (text.to_string(),)),
            // Without its package the module still works; each of the three is a ValueError.
            Some(Err(_)) | None => PyValueError::new_err(text.to_string()),
        }
    }
}
