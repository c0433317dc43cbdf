//! What a listener is called: `sip:HOST[:PORT][;transport=udp,tcp][;advertise=HOST[:PORT]]`, several separated by white space.
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
    /// The transports, in the order given: UDP, one of the others, or both.
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
/// HOST is an IPv4 address, an IPv6 reference (`[::1]`), `*` for every IPv4 address, or `localhost`. Without `transport` it is
/// `udp,tcp`, which every SIP element must offer (RFC 3261 §18), and with `sips:` it is `tls`. Without a port each transport has its
/// own: 5060, `tls` 5061, `ws` 80 and `wss` 443.
///
/// # Errors
/// [`ListenError`] with the place and the remedy.
pub fn parse(text: &str) -> Result<Vec<ListenSpec>, ListenError> {
    let mut specs = Vec::new();
    for one in text.split_whitespace() {
        specs.extend(parse_one(text, one)?);
    }
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

/// One text as a listener for each port: transports over TCP cannot share one.
fn parse_one(text: &str, one: &str) -> Result<Vec<ListenSpec>, ListenError> {
    let scheme_end = one.find(':').unwrap_or(0);
    let (scheme, rest) = one.split_at_checked(scheme_end).unwrap_or(("", one));
    let is_secure = scheme.eq_ignore_ascii_case("sips");
    if !is_secure && !scheme.eq_ignore_ascii_case("sip") {
        return Err(error(
            text,
            one,
            "a listener starts with sip: or sips: (for example sip:*:5060)",
        ));
    }
    let rest = rest.get(1..).unwrap_or("");
    let (address, parameters) = rest
        .split_once(';')
        .map_or((rest, None), |(address, after)| (address, Some(after)));
    let (host, port) = split_port(text, address)?;
    let mut given = Parameters::default();
    for parameter in parameters.into_iter().flat_map(|list| list.split(';')) {
        parse_parameter(text, parameter, is_secure, &mut given)?;
    }
    if given.transports.is_empty() {
        given.transports.extend(if is_secure {
            [Transport::Tls].as_slice()
        } else {
            &[Transport::Udp, Transport::Tcp]
        });
    }
    let mut specs = Vec::<ListenSpec>::new();
    for transport in given.transports {
        let port = port.unwrap_or_else(|| transport.default_port());
        let has_room = |spec: &ListenSpec| {
            let is_taken = |other: &Transport| other.is_reliable() == transport.is_reliable();
            spec.port == port && !spec.transports.iter().any(is_taken)
        };
        if let Some(spec) = specs.iter_mut().find(|spec| has_room(spec)) {
            spec.transports.push(transport);
        } else if port != 0 && specs.iter().any(|spec| spec.port == port) {
            return Err(error(
                text,
                one,
                "of tcp, tls, ws and wss each needs a port of its own: write two listeners, or leave the port out",
            ));
        } else {
            specs.push(ListenSpec {
                host: parse_host(text, host)?,
                port,
                transports: vec![transport],
                advertised: given.advertised.clone(),
            });
        }
    }
    let advertises_port = |spec: &ListenSpec| matches!(spec.advertised, Some((_, Some(_))));
    if specs.len() > 1 && specs.iter().any(advertises_port) {
        return Err(error(
            text,
            one,
            "the advertised port is for one port: write a listener for each, or advertise the host alone",
        ));
    }
    Ok(specs)
}

/// What the parameters of one text say.
#[derive(Default)]
struct Parameters {
    transports: Vec<Transport>,
    advertised: Option<(String, Option<u16>)>,
}

fn parse_parameter(
    text: &str,
    parameter: &str,
    is_secure: bool,
    given: &mut Parameters,
) -> Result<(), ListenError> {
    let (name, value) = parameter
        .split_once('=')
        .unwrap_or((parameter, parameter.get(parameter.len()..).unwrap_or("")));
    match name {
        "transport" => {
            for name in value.split(',') {
                let transport = parse_transport(text, name, is_secure)?;
                if given.transports.contains(&transport) {
                    return Err(error(
                        text,
                        name,
                        "the transport is named twice: leave one out",
                    ));
                }
                given.transports.push(transport);
            }
        }
        "advertise" => given.advertised = Some(advertised(text, value)?),
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

/// The transport of that name; with `sips:` the secure one (RFC 3261 §26.2.2: `sips:...;transport=tcp` is TLS).
fn parse_transport(text: &str, name: &str, is_secure: bool) -> Result<Transport, ListenError> {
    match (Transport::from_name(name), is_secure) {
        (Some(Transport::Udp), true) => Err(error(
            text,
            name,
            "sips is TLS or WSS, not UDP: write sip: for this one",
        )),
        (Some(Transport::Tcp), true) => Ok(Transport::Tls),
        (Some(Transport::Ws), true) => Ok(Transport::Wss),
        (Some(transport), _) => Ok(transport),
        (None, _) => Err(error(
            text,
            name,
            "unknown transport: use udp, tcp, tls, ws or wss, several with commas between",
        )),
    }
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
mod tests;
