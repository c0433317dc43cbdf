//! The engine of one shard: verbs in, effects out. `handle_*` takes what happened and when; `poll_*` gives what is to be done.
//!
//! A driver calls, after each `handle_*` (or a batch of them): `poll_transmit`, `poll_event`, `poll_resolve` until each gives
//! `None`, then sleeps until `poll_timeout` or until something happens.
//!
//! ```text
//! Engine::new(config: Config, generator: Generator) -> Engine
//! handle_message(&mut self, now: Time, origin: Origin, message: Message, wire_bytes: usize)
//! handle_malformed(&mut self, now, origin, bytes: &[u8], error: &ParseError)     // answers 400 & co. where the RFC wants it, counts
//! handle_command(&mut self, now, application: ApplicationId, command: Command)
//! handle_attach(&mut self, now, application) / handle_detach(&mut self, now, application)
//! handle_backlog(&mut self, now, application, oldest: Duration)                  // overload: age of its oldest undelivered event
//! handle_resolved(&mut self, now, id: ResolveId, Result<Vec<Resolved>, ResolveError>)
//! handle_transmit_failed(&mut self, now, token: TransmitToken, reason)           // connect refused, connection lost with data unsent
//! handle_connection_closed(&mut self, now, connection: ConnectionId)
//! handle_timeout(&mut self, now)
//! poll_transmit(&mut self) -> Option<Transmit>      Transmit { destination: Destination, bytes: Bytes, token: TransmitToken }
//! poll_event(&mut self) -> Option<(ApplicationId, Event)>
//! poll_resolve(&mut self) -> Option<Resolve>        Resolve { id, host: String, port: Option<u16>, transport: Option<Transport> }
//! poll_timeout(&self) -> Option<Time>
//! counts(&self) -> Counts
//! ```
