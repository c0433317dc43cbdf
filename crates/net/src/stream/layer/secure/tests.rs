//! What ends a connection, before its handshake is over and afterwards, is told as what it was; records are followed.
use super::*;
use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::RootCertStore;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;

type Own = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// One that signed itself, for this name.
fn certificate(name: &str) -> Own {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    let made = params.self_signed(&key).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    (vec![made.der().clone()], key)
}

fn trusting(certificate: &CertificateDer<'static>) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    Arc::new(roots)
}

/// A client and a server of TLS 1.3, the server demanding certificates that `trusted` signed where there is one.
fn ends(own: Option<Own>, trusted: Option<&CertificateDer<'static>>) -> (Box<Secure>, Box<Secure>) {
    let provider = Arc::new(default_provider());
    let (chain, key) = certificate("server.example");
    let client = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(trusting(&chain[0]));
    let client = match own {
        Some((chain, key)) => client.with_client_auth_cert(chain, key).unwrap(),
        None => client.with_no_client_auth(),
    };
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap();
    let server = match trusted {
        Some(trusted) => server.with_client_cert_verifier(
            WebPkiClientVerifier::builder_with_provider(trusting(trusted), provider)
                .build()
                .unwrap(),
        ),
        None => server.with_no_client_auth(),
    };
    let server = server.with_single_cert(chain, key).unwrap();
    (
        Secure::opening(Arc::new(client), "server.example").unwrap(),
        Secure::accepting(Arc::new(server)).unwrap(),
    )
}

/// Carries what one has to say to the other.
fn carry(from: &mut Secure, to: &mut Secure) -> Result<(), Failure> {
    let mut wire = Vec::new();
    from.take_out(&mut wire);
    match wire.is_empty() {
        true => Ok(()),
        false => to.receive(&wire, &mut Vec::new()),
    }
}

/// The handshake, until one of the two fails: what the client and the server say.
fn shake(client: &mut Secure, server: &mut Secure) -> (Result<(), Failure>, Result<(), Failure>) {
    let (mut at_client, mut at_server) = (Ok(()), Ok(()));
    for _ in 0..4 {
        at_server = at_server.and(carry(client, server));
        at_client = at_client.and(carry(server, client));
    }
    (at_client, at_server)
}

fn open() -> (Box<Secure>, Box<Secure>) {
    let (mut client, mut server) = ends(None, None);
    assert_eq!(shake(&mut client, &mut server), (Ok(()), Ok(())));
    assert!(client.is_ready() && server.is_ready());
    (client, server)
}

fn broken(end: &mut Secure, wire: &[u8]) -> String {
    match end.receive(wire, &mut Vec::new()) {
        Err(Failure::Broken(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_breaks_an_open_connection_is_no_failed_handshake() {
    let forged = [&[23, 3, 3, 0, 32][..], &[7; 32]].concat();
    let (mut client, mut server) = open();
    assert!(broken(&mut client, &forged).contains("decrypt"));
    assert!(broken(&mut server, &forged).contains("decrypt"));
    let (_, mut server) = open();
    let why = broken(&mut server, b"OPTIONS sip:a SIP/2.0");
    assert_eq!(
        why,
        "it sent something that is no TLS record between those that are"
    );
}

#[test]
fn an_alert_on_an_open_connection_is_no_failed_handshake() {
    let (mut client, mut server) = open();
    // The server answers what it cannot read with an alert, after it said something of its own.
    let mut wire = Vec::new();
    server.send(b"hello", &mut wire).unwrap();
    client.receive(&wire, &mut Vec::new()).unwrap();
    broken(&mut server, &[&[23, 3, 3, 0, 32][..], &[7; 32]].concat());
    let mut wire = Vec::new();
    server.take_out(&mut wire);
    assert!(broken(&mut client, &wire).contains("BadRecordMac"));
}

#[test]
fn a_server_that_refuses_our_certificate_once_our_handshake_is_over_still_refuses_it() {
    let other = certificate("other.example").0;
    for (own, expected) in [
        (None, Distrust::OwnMissing),
        (Some(certificate("client.example")), Distrust::OwnRefused),
    ] {
        let (mut client, mut server) = ends(own, other.first());
        let (at_client, at_server) = shake(&mut client, &mut server);
        assert!(client.is_ready());
        assert!(
            matches!(at_client, Err(Failure::Untrusted(why, _)) if why == expected),
            "{at_client:?}"
        );
        assert!(
            matches!(at_server, Err(Failure::Untrusted(..))),
            "{at_server:?}"
        );
    }
}

fn failed(wire: &[u8]) -> String {
    let (_, mut server) = ends(None, None);
    match server.receive(wire, &mut Vec::new()) {
        Err(Failure::Handshake(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_what_begins_with_no_record_is_told_not_to_speak_tls() {
    for plain in ["OPTIONS sip:a SIP/2.0\r\n", "\r\n\r\n\r\n"] {
        assert!(failed(plain.as_bytes()).contains("does not speak TLS"));
    }
    // A hello that says it is shorter than it is, and a record of text behind the start of a good one.
    let hello = [22, 3, 1, 0, 6, 1, 0, 0, 2, 3, 3];
    let cut = [&[22, 3, 1, 0, 1, 1][..], b"OPTIONS sip:a SIP/2.0"].concat();
    for wire in [&hello[..], &cut] {
        let why = failed(wire);
        assert!(why.starts_with("it sent "), "{why}");
        assert!(!why.contains("does not speak"), "{why}");
    }
}

#[test]
fn a_certificate_that_is_too_large_is_told_so() {
    let (chain, key) = certificate("client.example");
    let own = vec![chain[0].clone(); 1 + 65_536 / chain[0].len()];
    let (mut client, mut server) = ends(Some((own, key)), chain.first());
    let (_, at_server) = shake(&mut client, &mut server);
    match at_server {
        Err(Failure::Handshake(why)) => assert!(why.contains("64 KiB"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_record_is_followed_however_it_is_cut() {
    let wire = [
        &[22, 3, 3, 0, 3][..],
        b"abc",
        &[23, 3, 3, 0, 0],
        &[23, 3, 3, 1, 0],
        &[7; 256],
    ]
    .concat();
    for size in 1..wire.len() {
        let mut records = Records::default();
        let mut seen = 0;
        for chunk in wire.chunks(size) {
            records.count(chunk);
            seen += chunk.len();
            assert_eq!(
                records.is_within(),
                ![8, 13, wire.len()].contains(&seen),
                "{seen}"
            );
        }
        assert!(!records.is_within());
    }
}
