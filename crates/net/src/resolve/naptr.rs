//! Which transports a domain offers, best first (RFC 3263 §4.1, RFC 7118 §10.4): its NAPTR records, as far as we can send on them.
use super::record::{Naptr, Record};
use engine::transport::Transport;

/// The transport of a NAPTR service; none for those that are not ours (SCTP, ENUM, other protocols).
fn transport(service: &str) -> Option<Transport> {
    [
        ("SIP+D2U", Transport::Udp),
        ("SIP+D2T", Transport::Tcp),
        ("SIPS+D2T", Transport::Tls),
        ("SIP+D2W", Transport::Ws),
        ("SIPS+D2W", Transport::Wss),
    ]
    .into_iter()
    .find(|(name, _)| name.eq_ignore_ascii_case(service))
    .map(|(_, transport)| transport)
}

/// The transports that the domain offers and `can_send` lets through, with the names of their SRV records, in the domain's order.
///
/// RFC 3403 §4.1 would have a client stop at the first order that it can use; those behind it are kept as what to fall back on.
#[must_use]
pub fn choices(
    records: &[Record],
    can_send: impl Fn(Transport) -> bool,
) -> Vec<(Transport, String)> {
    let mut usable: Vec<(&Naptr, Transport)> = records
        .iter()
        .filter_map(|record| match record {
            // Only the flag "s" has a meaning for SIP; a record with a regular expression has no replacement.
            Record::Naptr(naptr)
                if naptr.flags.eq_ignore_ascii_case("s") && !naptr.replacement.is_empty() =>
            {
                Some((naptr, transport(&naptr.service)?))
            }
            Record::Naptr(_) | Record::Srv(_) | Record::Address(_) => None,
        })
        .filter(|(_, transport)| can_send(*transport))
        .collect();
    usable.sort_by_key(|(naptr, _)| (naptr.order, naptr.preference));
    usable
        .into_iter()
        .map(|(naptr, transport)| (transport, naptr.replacement.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    //! Order before preference, only what we can send on, only what is secure for `sips`.
    use super::*;

    fn record(order: u16, preference: u16, flags: &str, service: &str, name: &str) -> Record {
        Record::Naptr(Naptr {
            order,
            preference,
            flags: flags.to_owned(),
            service: service.to_owned(),
            replacement: name.to_owned(),
        })
    }

    /// RFC 3263 §4.1's example, with the WebSockets of RFC 7118, in disorder.
    fn sample() -> Vec<Record> {
        vec![
            record(100, 50, "s", "SIP+D2U", "_sip._udp.example.com"),
            record(50, 50, "s", "SIPS+D2T", "_sips._tcp.example.com"),
            record(90, 60, "S", "sip+d2t", "_sip._tcp.example.com"),
            record(90, 50, "s", "SIPS+D2W", "_sips._ws.example.com"),
            record(10, 10, "s", "SIP+D2S", "_sip._sctp.example.com"),
            record(10, 10, "u", "E2U+sip", "example.com"),
            record(10, 10, "a", "SIP+D2U", "host.example.com"),
        ]
    }

    fn transports(can_send: impl Fn(Transport) -> bool) -> Vec<Transport> {
        let choices = choices(&sample(), can_send);
        choices
            .into_iter()
            .map(|(transport, _)| transport)
            .collect()
    }

    #[test]
    fn the_domain_decides_the_order() {
        use Transport::{Tcp, Tls, Udp, Wss};
        assert_eq!(transports(|_| true), [Tls, Wss, Tcp, Udp]);
        let choices = choices(&sample(), |_| true);
        assert_eq!(choices[0].1, "_sips._tcp.example.com");
    }

    #[test]
    fn only_what_we_can_send_on_is_chosen() {
        use Transport::{Tcp, Udp};
        assert_eq!(transports(|way| matches!(way, Tcp | Udp)), [Tcp, Udp]);
        assert_eq!(transports(|way| way == Transport::Ws), []);
    }

    #[test]
    fn sips_goes_over_what_is_secure() {
        use Transport::{Tls, Wss};
        assert_eq!(transports(Transport::is_secure), [Tls, Wss]);
    }
}
