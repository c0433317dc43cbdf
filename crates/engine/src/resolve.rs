//! RFC 3263 as question and answer: the engine asks where a host name leads, the driver answers.
//!
//! Numeric hosts never become a question. This module refuses to look anything up.
use crate::id::ResolveId;
use crate::transport::Transport;
use std::fmt;
use std::net::SocketAddr;

/// A question for the driver: where do requests for this host go (RFC 3263 §4)?
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resolve {
    /// The question's number; the answer carries it.
    pub id: ResolveId,
    /// A host name, never a numeric address.
    pub host: String,
    /// The port, when the URI names one: then only addresses are looked up (RFC 3263 §4.2).
    pub port: Option<u16>,
    /// The transport, when the URI names one.
    pub transport: Option<Transport>,
    /// The URI is a `sips` one: only secure transports will do (RFC 3263 §4.1).
    pub secure: bool,
    /// Decides what is drawn by chance: the targets' order by weight (RFC 2782). The same number gives the same order.
    pub draw: u64,
}

/// One place to send a request to.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Resolved {
    /// The transport to use.
    pub transport: Transport,
    /// The address to send to.
    pub address: SocketAddr,
}

/// Why there is no answer.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum ResolveError {
    /// The name does not exist, or has no address.
    NotFound,
    /// It has addresses, but none of them can be a server's.
    Unusable,
    /// No name server answered in time.
    Timeout,
    /// A name server refused or failed.
    Failed,
    /// So many names are looked up at a time that this one, which had no answer yet, gave way to others.
    Crowded,
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ResolveError::NotFound => "the name does not exist or has no address",
            ResolveError::Unusable => {
                "the name has no address of a server, but an unspecified, multicast or broadcast one"
            }
            ResolveError::Timeout => "no name server answered in time",
            ResolveError::Failed => "a name server refused or failed",
            ResolveError::Crowded => {
                "too many names are looked up at a time, and no name server had answered yet"
            }
        })
    }
}

impl std::error::Error for ResolveError {}
