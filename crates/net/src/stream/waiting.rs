//! How long a connection waits for what: its handshakes, the rest of a message, a peer that reads, a pong, any traffic at all.
use super::connection::Connection;
use engine::TransmitError;
use engine::transport::Transport;
use tokio::time::Instant;

/// What is waited for.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Awaited {
    Traffic,
    FirstMessage,
    RestOfMessage,
    RoomToWrite,
    Handshake,
    /// The moment to ask whether the peer lives.
    Silence,
    /// The moment to send a keep-alive (RFC 5626 §4.4.1).
    KeepAlive,
    Pong,
}

impl Connection {
    /// What is waited for that has to come first, and until when.
    pub(super) fn deadline(&self) -> (Instant, Awaited) {
        let status = self.outbox.status();
        let (config, last_read) = (&self.config, self.last_read);
        let idle = last_read.max(status.last_written) + config.idle_timeout;
        let partial = self
            .partial_since
            .map(|since| since + config.message_timeout);
        let blocked = status
            .blocked_since
            .map(|since| since + config.write_timeout);
        let asks = matches!(self.origin.transport, Transport::Ws | Transport::Wss)
            && status.is_ready
            && self.is_reading
            && !config.ping_interval.is_zero();
        let alive = asks.then(|| match self.ping_sent {
            Some(sent) => (sent + config.pong_timeout, Awaited::Pong),
            None => (last_read + config.ping_interval, Awaited::Silence),
        });
        let kept = self.keeps_alive.deadline(last_read, config.pong_timeout);
        let kept = kept.filter(|_| status.is_ready && self.is_reading);
        let others = [
            partial.map(|at| (at, Awaited::RestOfMessage)),
            blocked.map(|at| (at, Awaited::RoomToWrite)),
            self.handshake_until.map(|at| (at, Awaited::Handshake)),
            self.first_by.map(|at| (at, Awaited::FirstMessage)),
            alive,
            kept,
        ];
        let first = (idle, Awaited::Traffic);
        let earlier = |a: (Instant, Awaited), b: (Instant, Awaited)| if b.0 < a.0 { b } else { a };
        others.into_iter().flatten().fold(first, earlier)
    }

    /// What was waited for did not come. Says whether the connection goes on.
    pub(super) fn waited_in_vain(&mut self, awaited: Awaited) -> bool {
        let peer = self.origin.peer;
        match awaited {
            Awaited::Silence => {
                self.ping_sent = Some(Instant::now());
                self.outbox.ping();
                return self.outbox.write().is_ok();
            }
            Awaited::KeepAlive => {
                // Where something waits to be written, that is asking enough: `write_timeout` is its limit.
                let is_sent = self.outbox.push_keep_alive(b"\r\n\r\n");
                self.keeps_alive.asked(Instant::now(), is_sent);
                return self.outbox.write().is_ok();
            }
            Awaited::Traffic => tracing::debug!(%peer, "closing an idle connection"),
            Awaited::FirstMessage => self.tell(
                "closed a connection",
                "nothing whole came over it in its first time".to_owned(),
                false,
            ),
            Awaited::Pong if self.ping_sent.is_some() => {
                tracing::debug!(%peer, "closing a WebSocket whose peer does not answer a ping")
            }
            Awaited::Pong => self.tell(
                "closed a connection",
                "the peer does not answer a keep-alive any more".to_owned(),
                false,
            ),
            Awaited::RoomToWrite => self.tell(
                "closed a connection",
                "the peer does not read".to_owned(),
                false,
            ),
            Awaited::RestOfMessage => {
                let why = "a message was begun and not completed in time";
                self.tell("closed a connection", why.to_owned(), false);
            }
            Awaited::Handshake => {
                self.failure = Some(TransmitError::TimedOut);
                self.tell(
                    "the handshake failed",
                    "it was not completed in time".to_owned(),
                    true,
                );
            }
        }
        // A goodbye, if the peer takes it.
        self.outbox.end();
        let _ = self.outbox.write();
        false
    }
}
