//! What crosses the wire.
use bytes::Bytes;
use engine::transport::Transport;
use std::net::SocketAddr;

/// A message on its way.
#[derive(Clone, Debug)]
pub struct Packet {
    /// The sender's address.
    pub from: SocketAddr,
    /// The receiver's address.
    pub to: SocketAddr,
    /// The transport.
    pub transport: Transport,
    /// The message.
    pub bytes: Bytes,
}

impl Packet {
    /// The start line.
    #[must_use]
    pub fn start_line(&self) -> String {
        let line = self
            .bytes
            .split(|byte| *byte == b'\r' || *byte == b'\n')
            .next()
            .unwrap_or_default();
        String::from_utf8_lossy(line).into_owned()
    }

    /// The method that the CSeq names; empty when there is none. Cheap: it looks for the line, nothing more.
    #[must_use]
    pub fn cseq_method(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        let line = text.lines().find(|line| {
            line.get(..5)
                .is_some_and(|name| name.eq_ignore_ascii_case("cseq:"))
        });
        line.and_then(|line| line.split_whitespace().last())
            .unwrap_or("")
            .to_owned()
    }
}

impl Packet {
    /// Whether it is a request of that method.
    #[must_use]
    pub fn is(&self, method: &str) -> bool {
        self.bytes
            .strip_prefix(method.as_bytes())
            .is_some_and(|rest| rest.first() == Some(&b' '))
    }

    /// Whether it is a response of that status to a request of that method.
    #[must_use]
    pub fn answers(&self, status: u16, method: &str) -> bool {
        self.start_line()
            .strip_prefix("SIP/2.0 ")
            .is_some_and(|rest| rest.starts_with(&format!("{status} ")))
            && self.cseq_method() == method
    }
}
