//! Why a server did not start, told to the person who starts it.
use engine::transport::Transport;
use std::fmt;
use std::io;
use std::net::SocketAddr;

/// Why a server did not start. Nothing is left open or running.
#[derive(Debug)]
pub enum StartError {
    /// The configuration cannot be used; the text says what and why.
    Config(String),
    /// A listener could not be opened.
    Listen {
        /// Its transport.
        transport: Transport,
        /// Its address.
        address: SocketAddr,
        /// The listener of the same server that has this address already.
        beside: Option<(Transport, SocketAddr)>,
        /// What the operating system said.
        error: io::Error,
    },
    /// A thread, its runtime or the random source could not be had.
    Runtime(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Config(text) => f.write_str(text),
            StartError::Listen {
                transport,
                address,
                beside,
                error,
            } => {
                write!(f, "cannot listen on {transport} {address}: ")?;
                let tool = if *transport == Transport::Udp {
                    "ss -ulpn"
                } else {
                    "ss -tlpn"
                };
                match error.kind() {
                    io::ErrorKind::AddrInUse => match beside {
                        Some((other, at)) => write!(f, "another listener of this server, {other} {at}, uses this address: give one of the two another port"),
                        None => write!(f, "another process uses this address; `{tool}` shows which: stop it, or choose another port"),
                    }
                    io::ErrorKind::PermissionDenied if address.port() < 1024 => {
                        f.write_str("ports below 1024 need the capability CAP_NET_BIND_SERVICE: choose another port, or grant it")
                    }
                    io::ErrorKind::PermissionDenied => f.write_str("the operating system does not permit it"),
                    io::ErrorKind::AddrNotAvailable => {
                        f.write_str("this host has no such address; `ip address` shows those it has (use advertise= for a public one)")
                    }
                    _ => write!(f, "{error}"),
                }
            }
            StartError::Runtime(error) => write!(f, "cannot start the I/O threads: {error}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StartError::Config(_) => None,
            StartError::Listen { error, .. } | StartError::Runtime(error) => Some(error),
        }
    }
}

impl StartError {
    /// What the operating system said, where it said something.
    #[must_use]
    pub fn io_error(&self) -> Option<&io::Error> {
        match self {
            StartError::Config(_) => None,
            StartError::Listen { error, .. } | StartError::Runtime(error) => Some(error),
        }
    }
}
