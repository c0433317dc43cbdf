//! What the control side of a server is told: the secret, and bounds on what clients may take.
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::rustls::ServerConfig;

/// The version that clients are told. drachtio-srf compares the part before the hyphen and wants at least v0.9.0 to behave as
/// it does with current servers.
pub const VERSION: &str = concat!("v0.9.9-dracht-", env!("CARGO_PKG_VERSION"));

/// The configuration of a control listener.
#[derive(Clone, Debug)]
pub struct ControlConfig {
    /// The secret that clients must know.
    pub secret: String,
    /// Bounds.
    pub bounds: ControlBounds,
    /// How clients are spoken to over TLS; none: in clear.
    pub tls: Option<ControlTls>,
}

/// Gives the TLS configuration for the next client: certificates change while the server runs.
#[derive(Clone)]
pub struct ControlTls(pub Arc<dyn Fn() -> Option<Arc<ServerConfig>> + Send + Sync>);

impl fmt::Debug for ControlTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ControlTls")
    }
}

impl ControlConfig {
    /// A configuration with default bounds.
    #[must_use]
    pub fn new(secret: impl Into<String>) -> ControlConfig {
        ControlConfig {
            secret: secret.into(),
            bounds: ControlBounds::default(),
            tls: None,
        }
    }
}

/// Bounds on what the clients of a control listener take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlBounds {
    /// The longest payload accepted from an authenticated client, in bytes: 1 MiB.
    pub payload: usize,
    /// The longest payload accepted from anyone else, in bytes: 16 KiB.
    pub unauthenticated_payload: usize,
    /// What may wait to be read by a client, in bytes: 16 MiB. Past it the client is disconnected.
    pub queue_bytes: usize,
    /// How long a frame may wait to be read by a client: 30 s. Past it the client is disconnected.
    pub queue_age: Duration,
    /// Commands of one client without an outcome: 100,000. Past it they are answered `NOK`.
    pub commands: usize,
    /// How long a command may be without an outcome: 1 h (a proxied call may try many targets, each for timer C).
    pub command_age: Duration,
    /// Methods one client may route: 64.
    pub routes: usize,
    /// Clients connected: 1,024.
    pub clients: usize,
    /// Clients connected and not yet authenticated: 64.
    pub unauthenticated: usize,
    /// How long a client may take to authenticate: 10 s.
    pub authentication: Duration,
}

impl Default for ControlBounds {
    fn default() -> ControlBounds {
        ControlBounds {
            payload: 1024 * 1024,
            unauthenticated_payload: 16 * 1024,
            queue_bytes: 16 * 1024 * 1024,
            queue_age: Duration::from_secs(30),
            commands: 100_000,
            command_age: Duration::from_secs(3600),
            routes: 64,
            clients: 1024,
            unauthenticated: 64,
            authentication: Duration::from_secs(10),
        }
    }
}
