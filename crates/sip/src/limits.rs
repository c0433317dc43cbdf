//! Bounds on what is read, so that a hostile peer costs little.

/// Bounds on a message. All sizes are in bytes.
///
/// The defaults suit a server on the open Internet: several times what real traffic needs, little enough that a peer which
/// reaches them costs little.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A whole message: start line, header fields and body. 128 KiB.
    pub message_bytes: usize,
    /// The start line. 4 KiB.
    pub start_line_bytes: usize,
    /// One header field, folded lines included. 8 KiB.
    pub header_bytes: usize,
    /// The start line and all header fields together. 64 KiB.
    pub head_bytes: usize,
    /// The number of header fields. 256.
    pub headers: usize,
    /// The body. 64 KiB.
    pub body_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            message_bytes: 128 * 1024,
            start_line_bytes: 4 * 1024,
            header_bytes: 8 * 1024,
            head_bytes: 64 * 1024,
            headers: 256,
            body_bytes: 64 * 1024,
        }
    }
}

impl Limits {
    /// No bounds: for a message that this process wrote itself.
    #[must_use]
    pub fn unlimited() -> Limits {
        Limits {
            message_bytes: usize::MAX,
            start_line_bytes: usize::MAX,
            header_bytes: usize::MAX,
            head_bytes: usize::MAX,
            headers: usize::MAX,
            body_bytes: usize::MAX,
        }
    }
}
