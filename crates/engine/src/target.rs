//! From a URI to where requests for it go, as far as that takes no lookup (RFC 3263 §4.1, §4.2 for numeric hosts).
use crate::event::CommandError;
use crate::resolve::Resolved;
use crate::transport::Transport;
use sip::{Host, Scheme, Uri};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

/// Where requests for a URI go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Target {
    /// A numeric host: here.
    Address(Resolved),
    /// A host name that the resolver must look up.
    Name {
        /// The name.
        host: String,
        /// The URI's port.
        port: Option<u16>,
        /// The transport that the URI demands.
        transport: Option<Transport>,
        /// Only secure transports will do.
        secure: bool,
    },
}

impl Target {
    /// The domain that the peer has to prove, where it may be reached over TLS (RFC 5922 §4): the host of the URI, not what `maddr` or
    /// the resolver put in its place.
    pub(crate) fn server_name(&self, uri: &str) -> Option<Arc<str>> {
        let may_be_secure = match self {
            Target::Address(resolved) => resolved.transport.is_secure(),
            Target::Name { transport, .. } => transport.is_none_or(Transport::is_secure),
        };
        if !may_be_secure {
            return None;
        }
        let uri = Uri::parse(uri).ok()?;
        // One name, one connection: neither case nor a last dot makes another (RFC 1035 §2.3.3).
        let name = uri.host().to_string().to_ascii_lowercase();
        Some(Arc::from(name.strip_suffix('.').unwrap_or(&name)))
    }
}

fn host_address(host: Host<'_>) -> Option<IpAddr> {
    match host {
        Host::V4(address) => Some(IpAddr::V4(address)),
        Host::V6(address) => Some(IpAddr::V6(address)),
        Host::Name(_) => None,
    }
}

fn text_address(text: &str) -> Option<IpAddr> {
    if let Some(inner) = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        return inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    }
    text.parse::<Ipv4Addr>().ok().map(IpAddr::V4)
}

/// Reads where requests for a URI go: `maddr` before the host, the `transport` parameter, `sips`, default ports.
///
/// # Errors
/// `InvalidUri` when it is no SIP URI, or names a transport that does not exist.
pub(crate) fn target(text: &str) -> Result<Target, CommandError> {
    let invalid = |why: &str| CommandError::InvalidUri(format!("{text}: {why}"));
    let uri = Uri::parse(text).map_err(|error| invalid(&error.to_string()))?;
    let secure = match uri.scheme() {
        Scheme::Sip => false,
        Scheme::Sips => true,
        Scheme::Tel | Scheme::Other(_) => {
            return Err(invalid(
                "only sip and sips URIs say where to send a request: give a next hop",
            ));
        }
    };
    let named = match uri.transport() {
        Some(name) => Some(Transport::from_name(name).ok_or_else(|| invalid("no such transport"))?),
        None => None,
    };
    let transport = match (named, secure) {
        (Some(Transport::Tcp), true) => Some(Transport::Tls),
        (Some(Transport::Ws), true) => Some(Transport::Wss),
        (Some(Transport::Udp), true) => return Err(invalid("sips does not go over UDP")),
        (named, _) => named,
    };
    let maddr = uri.param("maddr").flatten();
    let address = match &maddr {
        Some(maddr) => text_address(maddr),
        None => host_address(uri.host()),
    };
    if let Some(address) = address {
        let usual = if secure {
            Transport::Tls
        } else {
            Transport::Udp
        };
        let transport = transport.unwrap_or(usual);
        let port = uri.port().unwrap_or_else(|| transport.default_port());
        return Ok(Target::Address(Resolved {
            transport,
            address: SocketAddr::new(address, port),
        }));
    }
    let host = match (maddr, uri.host()) {
        (Some(maddr), _) => maddr.to_string(),
        (None, Host::Name(name)) => name.to_owned(),
        (None, Host::V4(_) | Host::V6(_)) => return Err(invalid("no host")),
    };
    if host.is_empty() {
        return Err(invalid("no host"));
    }
    Ok(Target::Name {
        host,
        port: uri.port(),
        transport,
        secure,
    })
}

#[cfg(test)]
mod tests {
    //! A numeric host needs no question; a name becomes one with what the URI demands.
    use super::*;

    fn address(text: &str) -> (Transport, String) {
        match target(text).unwrap() {
            Target::Address(resolved) => (resolved.transport, resolved.address.to_string()),
            Target::Name { host, .. } => panic!("{host} is no address"),
        }
    }

    #[test]
    fn a_name_is_the_same_in_any_case_and_with_a_last_dot() {
        let name = |text: &str| {
            let target = target(text).unwrap();
            target.server_name(text).unwrap().to_string()
        };
        assert_eq!(name("sips:a@eXample.com"), "example.com");
        assert_eq!(name("sip:a@EXAMPLE.com.;transport=tls"), "example.com");
    }

    #[test]
    fn numeric_hosts_have_default_transports_and_ports() {
        assert_eq!(
            address("sip:bob@192.0.2.1"),
            (Transport::Udp, "192.0.2.1:5060".to_owned())
        );
        assert_eq!(
            address("sip:192.0.2.1:5080;transport=TCP"),
            (Transport::Tcp, "192.0.2.1:5080".to_owned())
        );
        assert_eq!(
            address("sips:bob@192.0.2.1"),
            (Transport::Tls, "192.0.2.1:5061".to_owned())
        );
        assert_eq!(
            address("sip:bob@[2001:db8::1]"),
            (Transport::Udp, "[2001:db8::1]:5060".to_owned())
        );
        assert_eq!(
            address("sip:bob@example.com;maddr=192.0.2.9"),
            (Transport::Udp, "192.0.2.9:5060".to_owned())
        );
    }

    #[test]
    fn names_are_left_to_the_resolver() {
        let expected = Target::Name {
            host: "example.com".to_owned(),
            port: None,
            transport: None,
            secure: true,
        };
        assert_eq!(target("sips:bob@example.com").unwrap(), expected);
        assert!(target("tel:+123").is_err());
        assert!(target("sip:bob@192.0.2.1;transport=pigeon").is_err());
    }
}
