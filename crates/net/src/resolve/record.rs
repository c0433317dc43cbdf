//! The records that SIP asks for, as plain data: nothing of the resolver's library passes this file's types.
use engine::ResolveError;
use std::net::IpAddr;
use std::sync::Arc;

/// What is asked for.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// Which transports and services a domain offers (RFC 3403).
    Naptr,
    /// The hosts of a service (RFC 2782).
    Srv,
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
}

/// A NAPTR record, as far as RFC 3263 §4.1 uses it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Naptr {
    /// Lower first.
    pub order: u16,
    /// Among records of one order: lower first.
    pub preference: u16,
    /// `s` in either case: the replacement is a name of SRV records.
    pub flags: String,
    /// For example `SIPS+D2T`.
    pub service: String,
    /// The name to ask for.
    pub replacement: String,
}

/// An SRV record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Srv {
    /// Lower first.
    pub priority: u16,
    /// Among records of one priority: the share of the requests.
    pub weight: u16,
    /// The port.
    pub port: u16,
    /// The host; empty for `.`: the service is not there (RFC 2782).
    pub target: String,
}

/// A record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Record {
    /// NAPTR.
    Naptr(Naptr),
    /// SRV.
    Srv(Srv),
    /// A or AAAA.
    Address(IpAddr),
}

/// What a question led to: records, at least one, or why there are none.
pub type Outcome = Result<Arc<[Record]>, ResolveError>;
