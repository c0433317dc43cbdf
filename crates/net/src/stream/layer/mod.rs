//! What lies between the bytes on the wire and the messages of one connection: nothing (TCP), TLS, WebSocket, or both.
//!
//! Bytes in, bytes out: no socket, no clock. The connection's task feeds what it read; what is to be written in return (handshakes,
//! pongs, closing) is left in `out`, in the order in which it must go. A message is encoded when it is queued.
mod secure;
mod upgrade;
mod websocket;

use bytes::Bytes;
use engine::transport::{Distrust, PeerCertificate};
use secure::Secure;
use std::sync::Arc;
use upgrade::{Answered, Upgrade};
use websocket::WebSocket;

pub(super) use upgrade::WebSocketRules;

/// What the peer's bytes came to.
#[derive(Default)]
pub(super) struct Received {
    /// The next part of a stream of messages (TCP, TLS).
    pub bytes: Vec<u8>,
    /// Whole messages (WebSocket).
    pub messages: Vec<Bytes>,
    /// How many pings and pongs came (WebSocket).
    pub controls: u32,
}

/// Why a connection ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Failure {
    /// The peer's certificate was not accepted, or ours was not; for people, why.
    Untrusted(Distrust, String),
    /// TLS or the WebSocket upgrade did not come about; for people, why.
    Handshake(String),
    /// What came later breaks the protocol; for people, how.
    Broken(String),
    /// The peer said that it closes.
    Closed,
}

/// The layers of one connection.
pub(super) struct Layer {
    secure: Option<Box<Secure>>,
    socket: Socket,
    /// What is to be written, in this order, before anything that is encoded later.
    out: Vec<u8>,
}

enum Socket {
    /// The stream carries SIP itself.
    None,
    Upgrading(Box<Upgrade>),
    Open(Box<WebSocket>),
}

impl Layer {
    /// TCP: what is written is what is sent.
    pub fn plain() -> Layer {
        Layer {
            secure: None,
            socket: Socket::None,
            out: Vec::new(),
        }
    }

    /// For a connection that was accepted.
    pub fn accepting(
        tls: Option<Arc<rustls::ServerConfig>>,
        rules: Option<Arc<WebSocketRules>>,
    ) -> Result<Layer, Failure> {
        Ok(Layer {
            secure: tls.map(Secure::accepting).transpose()?,
            socket: match rules {
                Some(rules) => Socket::Upgrading(Box::new(Upgrade::accepting(rules))),
                None => Socket::None,
            },
            out: Vec::new(),
        })
    }

    /// For a connection that is opened to the server of that name.
    pub fn opening(
        tls: Option<Arc<rustls::ClientConfig>>,
        rules: Option<Arc<WebSocketRules>>,
        name: &str,
        host: &str,
    ) -> Result<Layer, Failure> {
        let mut layer = Layer {
            secure: tls
                .map(|config| Secure::opening(config, name))
                .transpose()?,
            socket: match rules {
                Some(rules) => Socket::Upgrading(Box::new(Upgrade::opening(rules, host))),
                None => Socket::None,
            },
            out: Vec::new(),
        };
        match &mut layer.secure {
            Some(secure) => secure.take_out(&mut layer.out),
            None => layer.ask_upgrade()?,
        }
        Ok(layer)
    }

    /// Whether messages can be encoded: all handshakes are over.
    pub fn is_ready(&self) -> bool {
        self.secure.as_ref().is_none_or(|secure| secure.is_ready())
            && !matches!(self.socket, Socket::Upgrading(_))
    }

    /// Whether nothing lies in between.
    pub fn is_plain(&self) -> bool {
        self.secure.is_none() && matches!(self.socket, Socket::None)
    }

    /// Whether something was begun by the peer and is not complete.
    pub fn is_within(&self) -> bool {
        self.secure
            .as_ref()
            .is_some_and(|secure| secure.is_within())
            || matches!(&self.socket, Socket::Open(socket) if socket.is_within())
    }

    /// The certificate that the peer proved to have, once the handshake is over.
    pub fn peer_certificate(&self) -> Option<PeerCertificate> {
        self.secure.as_ref()?.peer_certificate()
    }

    /// What is to be written now.
    pub fn take_out(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// Takes bytes of the wire. What the peer is owed in return, an explanation of a failure included, is in `take_out` afterwards.
    pub fn receive(&mut self, wire: &[u8], received: &mut Received) -> Result<(), Failure> {
        let Some(secure) = &mut self.secure else {
            return self.receive_decoded(wire, received);
        };
        let was_ready = secure.is_ready();
        let mut decoded = Vec::new();
        let result = secure.receive(wire, &mut decoded);
        secure.take_out(&mut self.out);
        let is_ready = secure.is_ready();
        // What came before the failure counts: a peer may close right behind its last message.
        if is_ready && !was_ready {
            self.ask_upgrade()?;
        }
        if !decoded.is_empty() {
            self.receive_decoded(&decoded, received)?;
        }
        result
    }

    fn receive_decoded(&mut self, bytes: &[u8], received: &mut Received) -> Result<(), Failure> {
        let mut reply = Vec::new();
        let result = match &mut self.socket {
            Socket::None => {
                received.bytes.extend_from_slice(bytes);
                Ok(())
            }
            Socket::Open(socket) => socket.receive(bytes, received, &mut reply),
            Socket::Upgrading(upgrade) => match upgrade.receive(bytes, &mut reply) {
                Ok(Answered::Partly) => Ok(()),
                Ok(Answered::Open(mut socket, rest)) => {
                    let result = socket.receive(&rest, received, &mut reply);
                    self.socket = Socket::Open(socket);
                    result
                }
                Err(failure) => Err(failure),
            },
        };
        self.emit(&reply)?;
        result
    }

    fn ask_upgrade(&mut self) -> Result<(), Failure> {
        let request = match &mut self.socket {
            Socket::Upgrading(upgrade) => upgrade.request(),
            Socket::None | Socket::Open(_) => return Ok(()),
        };
        self.emit(&request)
    }

    fn emit(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match &mut self.secure {
            _ if bytes.is_empty() => Ok(()),
            Some(secure) => secure.send(bytes, &mut self.out),
            None => {
                self.out.extend_from_slice(bytes);
                Ok(())
            }
        }
    }

    /// The bytes on the wire of one message. Only when `is_ready`.
    pub fn encode(&mut self, message: Bytes) -> Result<Bytes, Failure> {
        if self.is_plain() {
            return Ok(message);
        }
        let mut wire = Vec::with_capacity(message.len() + 64);
        match (&mut self.socket, &mut self.secure) {
            (Socket::Open(socket), None) => socket.send(message, &mut wire)?,
            (Socket::Open(socket), Some(secure)) => {
                let mut frame = Vec::with_capacity(message.len() + 16);
                socket.send(message, &mut frame)?;
                secure.send(&frame, &mut wire)?;
            }
            (_, Some(secure)) => secure.send(&message, &mut wire)?,
            (_, None) => return Err(Failure::Closed),
        }
        Ok(Bytes::from(wire))
    }

    /// Asks whether the peer lives; leaves nothing in `out` where there is no such question (TCP and TLS have CRLF, a message).
    pub fn ping(&mut self) -> Result<(), Failure> {
        let mut frame = Vec::new();
        if let Socket::Open(socket) = &mut self.socket {
            socket.ping(&mut frame)?;
        }
        self.emit(&frame)
    }

    /// Says goodbye: a close frame, a close alert.
    pub fn close(&mut self) {
        let mut frame = Vec::new();
        if let Socket::Open(socket) = &mut self.socket {
            socket.close(&mut frame);
        }
        let _ = self.emit(&frame);
        if let Some(secure) = &mut self.secure {
            secure.close(&mut self.out);
        }
    }
}
