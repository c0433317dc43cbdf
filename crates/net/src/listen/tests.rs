//! What may be written as a listener, and what is said about the rest.
use super::*;

#[test]
fn a_spec_names_host_port_and_transports() {
    let specs = parse("sip:127.0.0.1:5060;transport=udp,tcp sip:[::1]:5070;transport=udp").unwrap();
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
fn each_transport_over_tcp_has_a_port_of_its_own() {
    let ports = |text: &str| {
        let specs = parse(text).unwrap();
        let ports = specs
            .iter()
            .map(|spec| (spec.port, spec.transports.clone()));
        ports.collect::<Vec<_>>()
    };
    assert_eq!(
        ports("sip:*;transport=udp,tcp,tls,wss"),
        [
            (5060, vec![Transport::Udp, Transport::Tcp]),
            (5061, vec![Transport::Tls]),
            (443, vec![Transport::Wss])
        ]
    );
    assert_eq!(ports("sips:*"), [(5061, vec![Transport::Tls])]);
    assert_eq!(
        ports("sips:*:8443;transport=ws"),
        [(8443, vec![Transport::Wss])]
    );
    assert_eq!(
        ports("sip:*:0;transport=udp,tcp,ws"),
        [
            (0, vec![Transport::Udp, Transport::Tcp]),
            (0, vec![Transport::Ws])
        ]
    );
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
        (
            "sip:*:5060;transport=tcp,tls",
            "sip:*:5060;transport=tcp,tls",
        ),
        ("sips:*:5061;transport=udp", "udp"),
        (
            "sip:*;transport=tcp,tls;advertise=a:5061",
            "sip:*;transport=tcp,tls;advertise=a:5061",
        ),
        ("sip:*:5060;transport=udp,udp", "udp"),
        ("sip:*:5060;colour=red", "colour=red"),
        ("", ""),
    ] {
        let error = parse(text).unwrap_err();
        assert_eq!(error.part, part, "{error}");
        assert!(text[error.offset()..].starts_with(part), "{error}");
    }
}
