//! What a listener is called: `sip:HOST:PORT[;transport=udp,tcp][;advertise=HOST[:PORT]]`, several separated by white space.
//!
//! Reads texts; opens nothing (`bind.rs` does) and looks no name up: a listener is given by its address.
use engine::transport::Transport;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address to listen on, with one or more transports.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListenSpec {
    /// The address; unspecified (`0.0.0.0`, `::`) for every address of that family.
    pub host: IpAddr,
    /// The port; 0 takes a free one, the same for all transports.
    pub port: u16,
    /// The transports, in the order given.
    pub transports: Vec<Transport>,
    /// The host, and the port where it differs, to put into Via, Contact and Record-Route instead of the bound ones.
    pub advertised: Option<(String, Option<u16>)>,
}

/// A text that is not a listener: what is wrong, where, what to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListenError {
    text: String,
    part: String,
    offset: usize,
    what: &'static str,
}

impl ListenError {
    /// Where in the text the mistake is, in bytes from its start.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cannot listen on \"{}\": \"{}\" (character {}): {}",
            self.text,
            self.part,
            self.offset + 1,
            self.what
        )
    }
}

impl std::error::Error for ListenError {}

/// Reads one or more listeners, separated by white space.
///
/// HOST is an IPv4 address, an IPv6 reference (`[::1]`), `*` for every IPv4 address, or `localhost`. Without a port it is 5060,
/// without `transport` it is `udp,tcp`, which every SIP element must offer (RFC 3261 §18).
///
/// # Errors
/// [`ListenError`] with the place and the remedy.
pub fn parse(text: &str) -> Result<Vec<ListenSpec>, ListenError> {
    let specs = text
        .split_whitespace()
        .map(|one| parse_one(text, one))
        .collect::<Result<Vec<_>, _>>()?;
    if specs.is_empty() {
        return Err(error(
            text,
            text,
            "nothing to listen on: give for example sip:*:5060;transport=udp,tcp",
        ));
    }
    Ok(specs)
}

/// Reads `HOST[:PORT]` as it may be advertised in Via, Contact and Record-Route: a name, an IPv4 address or an IPv6 reference.
///
/// # Errors
/// [`ListenError`] with the place and the remedy.
pub fn parse_advertised(text: &str) -> Result<(String, Option<u16>), ListenError> {
    advertised(text, text)
}

fn parse_one(text: &str, one: &str) -> Result<ListenSpec, ListenError> {
    let scheme_end = one.find(':').unwrap_or(0);
    let (scheme, rest) = one.split_at_checked(scheme_end).unwrap_or(("", one));
    if scheme.eq_ignore_ascii_case("sips") {
        return Err(error(
            text,
            scheme,
            "TLS is not offered yet: use sip: with transport=udp,tcp",
        ));
    }
    if !scheme.eq_ignore_ascii_case("sip") {
        return Err(error(
            text,
            one,
            "a listener starts with sip: (for example sip:*:5060)",
        ));
    }
    let rest = rest.get(1..).unwrap_or("");
    let (address, parameters) = rest
        .split_once(';')
        .map_or((rest, None), |(address, after)| (address, Some(after)));
    let (host, port) = split_port(text, address)?;
    let host = parse_host(text, host)?;
    let mut spec = ListenSpec {
        host,
        port: port.unwrap_or(5060),
        transports: Vec::new(),
        advertised: None,
    };
    for parameter in parameters.into_iter().flat_map(|list| list.split(';')) {
        parse_parameter(text, parameter, &mut spec)?;
    }
    if spec.transports.is_empty() {
        spec.transports.extend([Transport::Udp, Transport::Tcp]);
    }
    Ok(spec)
}

fn parse_parameter(text: &str, parameter: &str, spec: &mut ListenSpec) -> Result<(), ListenError> {
    let (name, value) = parameter
        .split_once('=')
        .unwrap_or((parameter, parameter.get(parameter.len()..).unwrap_or("")));
    match name {
        "transport" => {
            for name in value.split(',') {
                let transport = match Transport::from_name(name) {
                    Some(transport @ (Transport::Udp | Transport::Tcp)) => transport,
                    Some(_) => {
                        return Err(error(
                            text,
                            name,
                            "this transport is not offered yet: use udp or tcp",
                        ));
                    }
                    None => {
                        return Err(error(
                            text,
                            name,
                            "unknown transport: use udp, tcp, or udp,tcp",
                        ));
                    }
                };
                if spec.transports.contains(&transport) {
                    return Err(error(
                        text,
                        name,
                        "the transport is named twice: leave one out",
                    ));
                }
                spec.transports.push(transport);
            }
        }
        "advertise" => spec.advertised = Some(advertised(text, value)?),
        _ => {
            return Err(error(
                text,
                parameter,
                "unknown parameter: there are transport= and advertise=",
            ));
        }
    }
    Ok(())
}

fn advertised(text: &str, value: &str) -> Result<(String, Option<u16>), ListenError> {
    let (host, port) = split_port(text, value)?;
    let is_reference = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .is_some_and(|v6| v6.parse::<Ipv6Addr>().is_ok());
    let is_name = !host.is_empty()
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
    if !is_reference && !is_name {
        return Err(error(
            text,
            value,
            "advertise wants HOST or HOST:PORT, an IPv6 address in brackets",
        ));
    }
    if port == Some(0) {
        return Err(error(
            text,
            value,
            "an advertised port is one that peers can reach: 1 to 65535",
        ));
    }
    Ok((host.to_owned(), port))
}

/// Splits `HOST[:PORT]`; a host with colons is in brackets.
fn split_port<'a>(text: &str, address: &'a str) -> Result<(&'a str, Option<u16>), ListenError> {
    let host_end = address
        .find(']')
        .map_or_else(|| address.find(':'), |end| Some(end + 1))
        .unwrap_or(address.len());
    let (host, rest) = address.split_at_checked(host_end).unwrap_or((address, ""));
    match rest.strip_prefix(':') {
        None if rest.is_empty() => Ok((host, None)),
        None => Err(error(text, rest, "after the host comes :PORT or nothing")),
        Some(port) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => {
            match port.parse() {
                Ok(port) => Ok((host, Some(port))),
                Err(_) => Err(error(
                    text,
                    port,
                    "a port is a number from 0 (any free port) to 65535",
                )),
            }
        }
        Some(port) if port.contains(':') => Err(error(
            text,
            address,
            "an IPv6 address is written in brackets: [::1]",
        )),
        Some(port) => Err(error(
            text,
            port,
            "a port is a number from 0 (any free port) to 65535",
        )),
    }
}

fn parse_host(text: &str, host: &str) -> Result<IpAddr, ListenError> {
    if host == "*" {
        return Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    }
    if host.eq_ignore_ascii_case("localhost") {
        return Ok(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    if let Some(reference) = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        return reference
            .parse::<Ipv6Addr>()
            .map(IpAddr::V6)
            .map_err(|_| error(text, host, "this is not an IPv6 address"));
    }
    host.parse::<Ipv4Addr>().map(IpAddr::V4).map_err(|_| {
        error(text, host, "an address of this host is wanted: IPv4, [IPv6], or * for all of IPv4 (a public name goes into advertise=)")
    })
}

/// An error about `part`, which lies within `text`.
fn error(text: &str, part: &str, what: &'static str) -> ListenError {
    let offset = (part.as_ptr() as usize)
        .checked_sub(text.as_ptr() as usize)
        .filter(|offset| *offset <= text.len());
    ListenError {
        text: text.to_owned(),
        part: part.to_owned(),
        offset: offset.unwrap_or(0),
        what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_names_host_port_and_transports() {
        let specs =
            parse("sip:127.0.0.1:5060;transport=udp,tcp sip:[::1]:5070;transport=udp").unwrap();
        assert_eq!(specs[0].host, IpAddr::V4(Ipv4Addr::LOCALHOST));
        assert_eq!(specs[0].transports, [Transport::Udp, Transport::Tcp]);
        assert_eq!(
            (specs[1].host, specs[1].port),
            (IpAddr::V6(Ipv6Addr::LOCALHOST), 5070)
        );
        assert_eq!(specs[1].transports, [Transport::Udp]);
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let spec = parse("sip:*").unwrap().remove(0);
        assert_eq!(
            (spec.host, spec.port),
            (IpAddr::V4(Ipv4Addr::UNSPECIFIED), 5060)
        );
        assert_eq!(spec.transports, [Transport::Udp, Transport::Tcp]);
        assert_eq!(parse("sip:*:0").unwrap()[0].port, 0);
    }

    #[test]
    fn advertise_takes_a_name_with_or_without_port() {
        let spec = parse("sip:*:5060;advertise=sip.example.com:5080")
            .unwrap()
            .remove(0);
        assert_eq!(
            spec.advertised,
            Some(("sip.example.com".to_owned(), Some(5080)))
        );
        assert_eq!(
            parse_advertised("[2001:db8::1]").unwrap(),
            ("[2001:db8::1]".to_owned(), None)
        );
        assert!(parse_advertised("a b").is_err());
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        for (text, part) in [
            ("sip:127.0.0.1:5060;transport=upd", "upd"),
            ("sip:127.0.0.1:99999", "99999"),
            ("127.0.0.1:5060", "127.0.0.1:5060"),
            ("sip:example.com:5060", "example.com"),
            ("sip:::1:5060", "::1:5060"),
            ("sip:*:5060;transport=tls", "tls"),
            ("sip:*:5060;transport=udp,udp", "udp"),
            ("sip:*:5060;colour=red", "colour=red"),
            ("sips:*:5061", "sips"),
            ("", ""),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.part, part, "{error}");
            assert!(text[error.offset()..].starts_with(part), "{error}");
        }
    }
}
