//! Via (RFC 3261 §20.42).
use crate::error::HeaderError;
use crate::grammar::{is_closed, is_lws, is_token, trim};
use crate::header::params::Params;
use crate::name::HeaderName;
use crate::uri::Host;
use std::net::IpAddr;

/// One hop that a request took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via<'a> {
    /// The transport as sent: `UDP`, but also `udp`.
    pub transport: &'a str,
    /// The host of the sent-by.
    pub host: Host<'a>,
    /// The port of the sent-by.
    pub port: Option<u16>,
    /// The parameters.
    pub params: Params<'a>,
    host_text: &'a str,
}

const fn fail(what: &'static str) -> HeaderError {
    HeaderError {
        header: HeaderName::Via,
        what,
    }
}

impl<'a> Via<'a> {
    /// Reads one value, folded or not, with white space wherever the grammar allows it (`SIP / 2.0 / UDP host : 5060`).
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &'a str) -> Result<Via<'a>, HeaderError> {
        Via::parse_bytes(text.as_bytes())
    }

    pub(crate) fn parse_bytes(value: &'a [u8]) -> Result<Via<'a>, HeaderError> {
        let value = trim(value);
        let (protocol, rest) = until_slash(value).ok_or(fail("write `SIP/2.0/transport host`"))?;
        let (version, rest) = until_slash(rest).ok_or(fail("write `SIP/2.0/transport host`"))?;
        if !protocol.eq_ignore_ascii_case(b"SIP") || version != b"2.0" {
            return Err(fail("the protocol is not SIP/2.0"));
        }
        let rest = trim(rest);
        let end = rest
            .iter()
            .position(|byte| is_lws(*byte))
            .ok_or(fail("there is no host after the transport"))?;
        let (transport, rest) = rest.split_at(end);
        if !is_token(transport) {
            return Err(fail("the transport is not a token"));
        }
        let semicolon = memchr::memchr(b';', rest).unwrap_or(rest.len());
        let (sent_by, params) = rest.split_at(semicolon);
        // What is added behind it (`received`, RFC 3261 §18.2.1) would be part of it.
        if !is_closed(params) {
            return Err(fail("a parameter's quote or bracket is not closed"));
        }
        let sent_by = text(trim(sent_by))?;
        let (host_text, port) = split_port(sent_by)?;
        let host =
            Host::parse(host_text).ok_or(fail("the host is neither a name nor an IP address"))?;
        Ok(Via {
            transport: text(transport)?,
            host,
            port,
            params: Params::new(text(params)?),
            host_text,
        })
    }

    /// The branch.
    #[must_use]
    pub fn branch(&self) -> Option<&'a str> {
        self.params.get_raw("branch").flatten()
    }

    /// The `received` parameter as sent.
    #[must_use]
    pub fn received(&self) -> Option<&'a str> {
        self.params.get_raw("received").flatten()
    }

    /// The address that the request came from, as the receiver saw it; none when absent or no IP address.
    #[must_use]
    pub fn received_address(&self) -> Option<IpAddr> {
        let text = self.received()?;
        let bare = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(text);
        bare.parse().ok()
    }

    /// The `rport` parameter (RFC 3581): `Some(None)` when it asks, the port when it is filled in (0 when that is no port).
    #[must_use]
    pub fn rport(&self) -> Option<Option<u16>> {
        self.params.get_raw("rport").map(|value| {
            value
                .filter(|text| !text.is_empty())
                .map(|text| text.parse().unwrap_or(0))
        })
    }

    /// The sent-by: the host as sent (an IPv6 address with its brackets) and the port.
    #[must_use]
    pub fn sent_by(&self) -> (&'a str, Option<u16>) {
        (self.host_text, self.port)
    }
}

fn text(bytes: &[u8]) -> Result<&str, HeaderError> {
    std::str::from_utf8(bytes).map_err(|_| fail("it is not UTF-8"))
}

/// What stands before the first slash, and behind it.
fn until_slash(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|byte| *byte == b'/')?;
    Some((trim(bytes.get(..at)?), bytes.get(at + 1..)?))
}

/// Splits `host:port`; the brackets of an IPv6 reference hide its colons.
fn split_port(sent_by: &str) -> Result<(&str, Option<u16>), HeaderError> {
    let host_end = if sent_by.starts_with('[') {
        sent_by
            .find(']')
            .ok_or(fail("the IPv6 address has no closing `]`"))?
            + 1
    } else {
        sent_by.find(':').unwrap_or(sent_by.len())
    };
    let (host, rest) = sent_by.split_at(host_end);
    let rest = rest.trim_start_matches([' ', '\t', '\r', '\n']);
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => None,
        None => {
            return Err(fail(
                "there is text behind the host; write `host:port;parameters`",
            ));
        }
        Some(digits) => {
            let digits = digits.trim_start_matches([' ', '\t', '\r', '\n']);
            let number = crate::grammar::number(digits.as_bytes(), 65_535)
                .and_then(|port| u16::try_from(port).ok());
            Some(number.ok_or(fail("the port is not a number up to 65535"))?)
        }
    };
    Ok((host.trim_end_matches([' ', '\t', '\r', '\n']), port))
}

#[cfg(test)]
mod tests {
    use super::Via;
    use crate::uri::Host;

    #[test]
    fn white_space_may_stand_anywhere_the_grammar_allows() {
        let via =
            Via::parse("SIP  / 2.0\r\n /UDP\r\n  192.0.2.2 : 5070 ; branch = z9hG4bK1 ;rport")
                .unwrap();
        assert_eq!(
            (via.transport, via.sent_by(), via.branch()),
            ("UDP", ("192.0.2.2", Some(5070)), Some("z9hG4bK1"))
        );
        assert_eq!(via.rport(), Some(None));
    }

    #[test]
    fn addresses_and_ports_are_read() {
        let via =
            Via::parse("SIP/2.0/tls [2001:db8::9]:5061;received=2001:db8::1;rport=6000;branch=x")
                .unwrap();
        assert_eq!(via.host, Host::V6("2001:db8::9".parse().unwrap()));
        assert_eq!(
            (via.sent_by(), via.rport()),
            (("[2001:db8::9]", Some(5061)), Some(Some(6000)))
        );
        assert_eq!(via.received_address(), Some("2001:db8::1".parse().unwrap()));
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for bad in [
            "",
            "SIP/2.0/UDP",
            "SIP/3.0/UDP h",
            "HTTP/2.0/UDP h",
            "SIP/2.0/UDP h:70000",
            "SIP/2.0/UDP h:",
            "SIP/2.0/UDP [::1",
            "SIP/2.0/UDP a b",
            "SIP/2.0/U;P h",
            "SIP/2.0/UDP ;branch=1",
        ] {
            assert!(Via::parse(bad).is_err(), "{bad}");
        }
    }
}
