//! TLS of one connection: rustls fed with bytes, its records taken out. What its certificates mean is `tls`'s.
use super::Failure;
use crate::tls::{Certificate, refusal};
use engine::transport::{Distrust, PeerCertificate};
use rustls::pki_types::{IpAddr, ServerName};
use rustls::{ClientConfig, Connection, ServerConfig};
use rustls::{ClientConnection, ServerConnection};
use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;

/// How much decrypted text is taken out at a time.
const CHUNK: usize = 4096;

/// TLS of one connection.
pub(super) struct Secure {
    connection: Connection,
    records: Records,
    /// Whether the peer sent something of its own: what it thinks of our handshake is known then.
    has_spoken: bool,
}

impl Secure {
    /// For a peer that connects to us.
    pub fn accepting(config: Arc<ServerConfig>) -> Result<Box<Secure>, Failure> {
        let connection = ServerConnection::new(config).map_err(|error| refused(&error, true))?;
        Ok(Secure::new(connection.into()))
    }

    /// To the server of that name: a domain or an address.
    pub fn opening(config: Arc<ClientConfig>, name: &str) -> Result<Box<Secure>, Failure> {
        let address = name.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
        let name = match address {
            Ok(address) => Ok(ServerName::IpAddress(IpAddr::from(address))),
            Err(_) => ServerName::try_from(name.trim_end_matches('.').to_owned()),
        };
        let name = name.map_err(|error| {
            let why = format!("no certificate can be for this name: {error}");
            Failure::Untrusted(Distrust::OtherName, why)
        })?;
        let connection =
            ClientConnection::new(config, name).map_err(|error| refused(&error, true))?;
        Ok(Secure::new(connection.into()))
    }

    fn new(mut connection: Connection) -> Box<Secure> {
        // What is given to it is taken out at once: the bound is the outbox's.
        connection.set_buffer_limit(None);
        Box::new(Secure {
            connection,
            records: Records::default(),
            has_spoken: false,
        })
    }

    pub fn is_ready(&self) -> bool {
        !self.connection.is_handshaking()
    }

    /// Whether a record is begun and not complete.
    pub fn is_within(&self) -> bool {
        self.records.is_within()
    }

    /// The certificate that the peer proved to have, once the handshake is over.
    pub fn peer_certificate(&self) -> Option<PeerCertificate> {
        if !self.is_ready() {
            return None;
        }
        let first = self.connection.peer_certificates()?.first()?;
        Certificate::read(first).map(Certificate::into_peer)
    }

    /// Takes records, or parts of them; appends what they carried.
    pub fn receive(&mut self, mut wire: &[u8], decoded: &mut Vec<u8>) -> Result<(), Failure> {
        self.records.count(wire);
        while !wire.is_empty() {
            // It takes a few kilobytes at a time, and nothing when what it made of them was not read yet.
            match self.connection.read_tls(&mut wire) {
                Ok(0) => return Err(Failure::Closed),
                Ok(_) => {}
                Err(error) => return Err(Failure::Broken(error.to_string())),
            }
            let processed = self.connection.process_new_packets();
            let is_closed = self.take_decoded(decoded);
            processed.map_err(|error| self.failure(&error))?;
            if is_closed {
                return Err(Failure::Closed);
            }
        }
        Ok(())
    }

    /// What an error means at this point: the handshake failed, or the peer broke what both had agreed on.
    fn failure(&self, error: &rustls::Error) -> Failure {
        // A server of TLS 1.3 says what it thinks of our certificate when our side of the handshake is over (RFC 8446 §4.4.2.4).
        let speaks_tls = self.records.is_tls == Some(true);
        let is_verdict = matches!(self.connection, Connection::Client(_))
            && !self.has_spoken
            && matches!(error, rustls::Error::AlertReceived(_));
        if self.is_ready() && !is_verdict {
            return Failure::Broken(refusal::text(error, speaks_tls));
        }
        refused(error, speaks_tls)
    }

    /// Whether the peer said that it closes.
    fn take_decoded(&mut self, decoded: &mut Vec<u8>) -> bool {
        let mut chunk = [0; CHUNK];
        let mut reader = self.connection.reader();
        loop {
            match reader.read(&mut chunk) {
                Ok(0) => return true,
                Ok(count) => {
                    self.has_spoken = true;
                    decoded.extend_from_slice(chunk.get(..count).unwrap_or_default());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(_) => return true,
            }
        }
    }

    /// Encrypts.
    pub fn send(&mut self, bytes: &[u8], wire: &mut Vec<u8>) -> Result<(), Failure> {
        let written = self.connection.writer().write_all(bytes);
        written.map_err(|error| Failure::Broken(error.to_string()))?;
        self.take_out(wire);
        Ok(())
    }

    /// Appends the records that wait.
    pub fn take_out(&mut self, wire: &mut Vec<u8>) {
        while self.connection.wants_write() {
            // Writing to memory takes everything and does not fail.
            if !matches!(self.connection.write_tls(wire), Ok(count) if count > 0) {
                return;
            }
        }
    }

    pub fn close(&mut self, wire: &mut Vec<u8>) {
        self.connection.send_close_notify();
        self.take_out(wire);
    }
}

/// Why a handshake did not come about.
fn refused(error: &rustls::Error, speaks_tls: bool) -> Failure {
    let text = refusal::text(error, speaks_tls);
    match refusal::distrust(error) {
        Some(distrust) => Failure::Untrusted(distrust, text),
        None => Failure::Handshake(text),
    }
}

/// Where the peer is within its stream of records (RFC 8446 §5.1): rustls does not tell, and a record that never ends is how a
/// connection is held open for nothing.
#[derive(Default)]
struct Records {
    header: [u8; 5],
    header_length: u8,
    remaining: usize,
    /// Whether the first began as one of TLS does; none before.
    is_tls: Option<bool>,
}

impl Records {
    fn count(&mut self, mut wire: &[u8]) {
        while let Some((first, rest)) = wire.split_first() {
            if self.remaining > 0 {
                let taken = self.remaining.min(wire.len());
                self.remaining -= taken;
                wire = wire.get(taken..).unwrap_or_default();
                continue;
            }
            if let Some(place) = self.header.get_mut(usize::from(self.header_length)) {
                *place = *first;
            }
            self.header_length += 1;
            wire = rest;
            if self.header_length == 5 {
                let [kind, major, _, high, low] = self.header;
                // Change cipher spec to application data, and the 3 that is in front of every version.
                let is_tls = (20..=23).contains(&kind) && major == 3;
                self.is_tls.get_or_insert(is_tls);
                self.remaining = usize::from(u16::from_be_bytes([high, low]));
                self.header_length = 0;
            }
        }
    }

    fn is_within(&self) -> bool {
        self.remaining > 0 || self.header_length > 0
    }
}

#[cfg(test)]
mod tests;
