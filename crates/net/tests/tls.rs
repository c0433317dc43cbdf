//! TLS: the certificate is the one for the name, peers are who they say or are refused with a reason, and a slow or broken handshake costs
//! itself alone.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod certificates;
mod support;
use certificates::{Authority, Client, Folder, Pair, TlsStream, demanding, store, tls};
use engine::event::Event;
use engine::seam::Commands;
use engine::transport::Transport;
use net::tls::{CertificateFiles, ClientCertificates, Store, TlsConfig};
use net::{Server, ServerConfig, StreamConfig};
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, SystemTime};
use support::{
    Application, Peer, TcpPeer, address, connections, listening, options, request, response, start,
    total, wait_for,
};

const LISTEN: &str = "sip:127.0.0.1:0;transport=tls";
const ONLY_1_2: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS12];
const ONLY_1_3: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];

fn secure(tls: &Arc<Store>) -> ServerConfig {
    ServerConfig {
        tls: Some(tls.clone()),
        ..listening(LISTEN)
    }
}

fn is_answered(stream: TlsStream, call_id: &str) -> bool {
    let mut peer = Peer::over(stream);
    let local = peer.stream.sock.local_addr().unwrap();
    peer.write(&options("TLS", local, call_id, ""));
    peer.read().starts_with("SIP/2.0 200 ")
}

fn alone(folder: &Folder, authority: &Authority, names: &[&str]) -> TlsConfig {
    let pair = authority.certificate(names).write(folder, "own");
    tls(
        vec![pair],
        &[&folder.write("authority.pem", &authority.pem)],
    )
}

#[test]
fn options_is_answered_over_tls_1_2_and_1_3() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let (server, _application, _events) = start(secure(&store(alone(
        &folder,
        &authority,
        &["sip.example.com"],
    ))));
    for versions in [ONLY_1_2, ONLY_1_3] {
        let client = Client {
            versions,
            ..Client::trusting(&authority)
        };
        let stream = client
            .connect(address(&server, Transport::Tls), "sip.example.com")
            .unwrap();
        assert_eq!(stream.conn.protocol_version(), Some(versions[0].version));
        assert!(is_answered(stream, "versions"));
    }
}

#[test]
fn tls_1_3_alone_refuses_1_2() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let config = TlsConfig {
        only_tls13: true,
        ..alone(&folder, &authority, &["sip.example.com"])
    };
    let (server, _application, _events) = start(secure(&store(config)));
    let mut client = Client::trusting(&authority);
    client.versions = ONLY_1_2;
    assert!(
        client
            .connect(address(&server, Transport::Tls), "sip.example.com")
            .is_err()
    );
    wait_for(&server, "it is counted", |counts| {
        total(counts, "handshakes_failed") == 1
    });
}

#[test]
fn the_certificate_is_the_one_for_the_name_that_is_asked_for() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let certificates = [
        (&["first.example"][..], "first"),
        (&["second.example", "*.wild.example"], "second"),
    ]
    .map(|(names, file)| authority.certificate(names).write(&folder, file));
    let (server, _application, _events) = start(secure(&store(tls(
        certificates.to_vec(),
        &[&folder.write("a.pem", &authority.pem)],
    ))));
    let to = address(&server, Transport::Tls);
    let client = Client::trusting(&authority);
    for name in ["first.example", "second.example", "a.wild.example"] {
        assert!(
            is_answered(client.connect(to, name).unwrap(), name),
            "{name}"
        );
    }
    // Whoever asks for another name gets the first, and does not take it.
    assert!(client.connect(to, "third.example").is_err());
    assert!(client.connect(to, "a.b.wild.example").is_err());
}

/// A server of ours that sends OPTIONS to one with this certificate, and the answer that its application is told.
fn asks(own: TlsConfig, pair: &Pair, uri_host: &str) -> (Server, Arc<sip::Message>) {
    asks_one_with(own, &[pair], uri_host)
}

fn asks_one_with(own: TlsConfig, pairs: &[&Pair], host: &str) -> (Server, Arc<sip::Message>) {
    let folder = Folder::new();
    let write = |(number, pair): (usize, &&Pair)| pair.write(&folder, &format!("other{number}"));
    let other = tls(pairs.iter().enumerate().map(write).collect(), &[]);
    let (other, _application, _events) = start(secure(&store(other)));
    let (server, application, events) = start(secure(&store(own)));
    let port = address(&other, Transport::Tls).port();
    application.ask(&format!("sip:{host}:{port};transport=tls"));
    let response = response(&events);
    drop(events);
    (server, response)
}

#[test]
fn a_server_that_proves_the_name_of_the_uri_is_asked() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let good = [
        (authority.certificate(&["localhost"]), "localhost"),
        (authority.certificate(&["127.0.0.1"]), "127.0.0.1"),
        // RFC 5922 §7.1: a SIP URI names a domain too.
        (authority.for_uri("sip:localhost"), "localhost"),
    ];
    for (pair, host) in good {
        let own = alone(&folder, &authority, &["own.example"]);
        let (_server, response) = asks(own, &pair, host);
        assert_eq!(response.status(), 200, "{host}");
    }
}

#[test]
fn a_certificate_that_names_its_domain_by_a_uri_alone_is_shown_to_who_asks_for_it() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let first = authority.certificate(&["other.example"]);
    let by_uri = authority.for_uri("sip:LocalHost");
    let own = alone(&folder, &authority, &["own.example"]);
    let (_server, response) = asks_one_with(own, &[&first, &by_uri], "localhost");
    assert_eq!(response.status(), 200);
}

#[test]
fn a_server_that_does_not_is_not_sent_anything_and_the_request_says_why() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let another = "it is for another name";
    let bad = [
        (authority.certificate(&["other.example"]), another),
        (authority.expired(&["localhost"]), "it expired"),
        (
            Authority::new().certificate(&["localhost"]),
            "unknown authority",
        ),
        (authority.own("localhost"), "it is an authority's own"),
        (authority.for_uri("sip:other.example"), another),
        (authority.for_uri("sip:someone@localhost"), another),
    ];
    for (pair, why) in bad {
        let own = alone(&folder, &authority, &["own.example"]);
        let (server, response) = asks(own, &pair, "localhost");
        assert_eq!(response.status(), 503);
        assert_eq!(
            response.reason(),
            format!("Service Unavailable: certificate not trusted: {why}")
        );
        wait_for(&server, "it is counted and forgotten", |counts| {
            total(counts, "handshakes_failed") == 1 && connections(counts) == 0
        });
    }
}

#[test]
fn without_verification_anybody_is_asked() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let own = TlsConfig {
        verify: false,
        ..alone(&folder, &authority, &["own.example"])
    };
    let (_server, response) = asks(
        own,
        &Authority::new().expired(&["other.example"]),
        "localhost",
    );
    assert_eq!(response.status(), 200);
}

fn certified(config: TlsConfig) -> (Server, Arc<Application>, Receiver<(u8, Event)>) {
    start(secure(&store(config)))
}

#[test]
fn a_client_without_a_certificate_is_refused_where_one_is_demanded() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let config = demanding(
        alone(&folder, &authority, &["sip.example.com"]),
        ClientCertificates::Demanded,
    );
    let (server, _application, events) = certified(config);
    let to = address(&server, Transport::Tls);
    let mut client = Client::trusting(&authority);
    let refused = |client: &Client| {
        // In TLS 1.3 the client is told after its own handshake is over.
        client
            .connect(to, "sip.example.com")
            .map_or(true, |mut stream| stream.read(&mut [0; 16]).is_err())
    };
    assert!(refused(&client));
    client.own = Some(Authority::new().certificate(&["phone.example.com"]));
    assert!(refused(&client), "an authority that is not trusted");
    client.own = Some(authority.certificate(&["phone.example.com"]));
    assert!(is_answered(
        client.connect(to, "sip.example.com").unwrap(),
        "certified"
    ));
    let certificate = request(&events).peer_certificate.unwrap();
    assert_eq!(certificate.names, ["phone.example.com"]);
    assert!(
        certificate.subject.contains("CN=phone.example.com"),
        "{}",
        certificate.subject
    );
}

#[test]
fn a_client_that_is_asked_for_a_certificate_may_have_none() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let config = demanding(
        alone(&folder, &authority, &["sip.example.com"]),
        ClientCertificates::Asked,
    );
    let (server, _application, events) = certified(config);
    let to = address(&server, Transport::Tls);
    let mut client = Client::trusting(&authority);
    assert!(is_answered(
        client.connect(to, "sip.example.com").unwrap(),
        "without"
    ));
    assert!(request(&events).peer_certificate.is_none());
    client.own = Some(authority.certificate(&["phone.example.com"]));
    assert!(is_answered(
        client.connect(to, "sip.example.com").unwrap(),
        "with"
    ));
    assert!(request(&events).peer_certificate.is_some());
}

#[test]
fn new_certificates_are_for_new_connections_and_open_ones_stay() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let own = authority
        .certificate(&["old.example"])
        .write(&folder, "own");
    let store = store(tls(vec![own.clone()], &[]));
    let (server, _application, _events) = start(secure(&store));
    let to = address(&server, Transport::Tls);
    let client = Client::trusting(&authority);
    let mut kept = Peer::over(client.connect(to, "old.example").unwrap());
    authority
        .certificate(&["new.example"])
        .write(&folder, "own");
    store.reload_if_changed(SystemTime::now());
    assert!(is_answered(
        client.connect(to, "new.example").unwrap(),
        "new"
    ));
    assert!(client.connect(to, "old.example").is_err());
    let local = kept.stream.sock.local_addr().unwrap();
    kept.write(&options("TLS", local, "kept", ""));
    assert!(kept.read().starts_with("SIP/2.0 200 "));
    // What cannot be read leaves everything as it is.
    folder.write("own.key", "nonsense");
    store.reload_if_changed(SystemTime::now());
    assert!(store.reload().unwrap_err().to_string().contains("own.key"));
    assert!(is_answered(
        client.connect(to, "new.example").unwrap(),
        "still"
    ));
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let good = authority.certificate(&["a.example"]).write(&folder, "good");
    let other = authority
        .certificate(&["b.example"])
        .write(&folder, "other");
    let missing = folder.write("empty.pem", "");
    let cases = [
        (
            good.chain.clone(),
            folder.write("x", "").with_file_name("missing.key"),
            "missing.key",
            "cannot be read",
        ),
        (
            missing,
            good.key.clone(),
            "empty.pem",
            "holds no certificate",
        ),
        (
            good.chain.clone(),
            other.key.clone(),
            "other.key",
            "is not the key of",
        ),
        (
            good.key.clone(),
            good.key,
            "good.key",
            "holds no certificate",
        ),
    ];
    for (chain, key, file, what) in cases {
        let error = Store::open(tls(vec![CertificateFiles { chain, key }], &[]))
            .unwrap_err()
            .to_string();
        assert!(error.contains(file) && error.contains(what), "{error}");
    }
}

#[test]
fn a_tls_listener_without_certificates_is_refused_at_the_start() {
    let error = Server::start(listening(LISTEN)).err().unwrap().to_string();
    assert!(error.contains("needs a certificate"), "{error}");
}

fn hurried(folder: &Folder, authority: &Authority, handshakes: usize) -> Server {
    let store = store(alone(folder, authority, &["sip.example.com"]));
    let (server, application, _events) = start(ServerConfig {
        stream: StreamConfig {
            handshake_timeout: Duration::from_millis(200),
            message_timeout: Duration::from_millis(200),
            handshakes,
            ..StreamConfig::default()
        },
        ..secure(&store)
    });
    drop(application);
    server
}

#[test]
fn a_handshake_that_does_not_end_costs_itself_alone() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let server = hurried(&folder, &authority, 100);
    let to = address(&server, Transport::Tls);
    let client = Client::trusting(&authority);
    let mut good = Peer::over(client.connect(to, "sip.example.com").unwrap());
    let mut slow: Vec<TcpPeer> = (0..20).map(|_| TcpPeer::connect(to)).collect();
    for (number, peer) in slow.iter_mut().enumerate() {
        // Nothing, a piece of a record's header, or of the record.
        peer.stream
            .write_all(&[22, 3, 1, 2, 0, 1, 0][..number % 8])
            .unwrap();
    }
    let local = good.stream.sock.local_addr().unwrap();
    good.write(&options("TLS", local, "meanwhile", ""));
    for peer in &mut slow {
        peer.read_to_end();
    }
    let counts = wait_for(&server, "only the good one is left", |counts| {
        connections(counts) == 1
    });
    assert_eq!(total(&counts, "handshakes_failed"), 20);
}

#[test]
fn a_record_that_does_not_end_is_a_message_that_does_not_end() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let server = hurried(&folder, &authority, 100);
    let client = Client::trusting(&authority);
    let mut stream = client
        .connect(address(&server, Transport::Tls), "sip.example.com")
        .unwrap();
    stream.sock.write_all(&[23, 3, 3, 1, 0, 1]).unwrap();
    Peer::over(stream.sock).read_to_end();
    wait_for(&server, "it is forgotten", |counts| {
        connections(counts) == 0
    });
}

#[test]
fn of_too_many_handshakes_the_oldest_gives_way() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let store = store(alone(&folder, &authority, &["sip.example.com"]));
    let (server, _application, _events) = start(ServerConfig {
        // The bound is that of each.
        shards: 1,
        stream: StreamConfig {
            handshakes: 3,
            ..StreamConfig::default()
        },
        ..secure(&store)
    });
    let to = address(&server, Transport::Tls);
    let mut slow: Vec<TcpPeer> = (0..3).map(|_| TcpPeer::connect(to)).collect();
    wait_for(&server, "they are there", |counts| connections(counts) == 3);
    let client = Client::trusting(&authority);
    assert!(is_answered(
        client.connect(to, "sip.example.com").unwrap(),
        "newer"
    ));
    assert_eq!(slow[0].read_to_end(), "", "the oldest was closed");
}

#[test]
fn plain_text_at_a_tls_port_is_a_failed_handshake() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let server = hurried(&folder, &authority, 100);
    let mut peer = TcpPeer::connect(address(&server, Transport::Tls));
    let local = peer.stream.local_addr().unwrap();
    peer.write(&options("TCP", local, "plain", ""));
    peer.read_to_end();
    let counts = wait_for(&server, "it is forgotten", |counts| {
        connections(counts) == 0
    });
    assert_eq!(
        (
            total(&counts, "handshakes_failed"),
            total(&counts, "panics")
        ),
        (1, 0)
    );
}

#[test]
fn a_connection_is_reused_for_the_names_that_its_peer_proved_in_any_case() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let other = tls(
        vec![
            authority
                .certificate(&["localhost", "127.0.0.1"])
                .write(&folder, "other"),
        ],
        &[],
    );
    let (other, _application, _events) = start(secure(&store(other)));
    let port = address(&other, Transport::Tls).port();
    let (server, application, events) =
        start(secure(&store(alone(&folder, &authority, &["own.example"]))));
    for (host, opened) in [
        ("localhost", 1),
        ("localhost", 1),
        ("127.0.0.1", 1),
        ("LOCALHOST", 1),
    ] {
        application.ask(&format!("sip:{host}:{port};transport=tls"));
        assert_eq!(response(&events).status(), 200, "{host}");
        assert_eq!(
            total(&server.counts(), "connections_opened"),
            opened,
            "{host}"
        );
    }
}

#[test]
fn many_shards_have_their_certificates_in_common() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let config = demanding(
        alone(&folder, &authority, &["sip.example.com"]),
        ClientCertificates::Demanded,
    );
    let (server, _application, events) = start(ServerConfig {
        shards: 3,
        ..secure(&store(config))
    });
    let mut client = Client::trusting(&authority);
    client.own = Some(authority.certificate(&["phone.example.com"]));
    let mut peer = Peer::over(
        client
            .connect(address(&server, Transport::Tls), "sip.example.com")
            .unwrap(),
    );
    let local = peer.stream.sock.local_addr().unwrap();
    for number in 0..20 {
        peer.write(&options("TLS", local, &format!("shards{number}"), ""));
        assert!(peer.read().starts_with("SIP/2.0 200 "));
        assert!(request(&events).peer_certificate.is_some(), "{number}");
    }
}
