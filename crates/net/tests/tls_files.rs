//! The files of certificates: all that is in them is read, what cannot be used is named, and nothing worse takes the place of what is in use.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod certificates;
mod support;
use certificates::{Authority, Client, Folder, Pair, demanding, store, tls};
use engine::transport::{PeerCertificate, Transport};
use net::ServerConfig;
use net::tls::{CertificateFiles, ClientCertificates, Store};
use rcgen::SanType;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use support::{Peer, address, listening, log, options, request, start};

fn serving(store: &Arc<Store>) -> ServerConfig {
    ServerConfig {
        tls: Some(store.clone()),
        ..listening("sip:127.0.0.1:0;transport=tls")
    }
}

/// What a server with this certificate thinks of a peer that shows the other.
fn shown(
    own: CertificateFiles,
    folder: &Folder,
    authority: &Authority,
    pair: Pair,
) -> Arc<PeerCertificate> {
    let trusted = folder.write("authority.pem", &authority.pem);
    let config = demanding(tls(vec![own], &[&trusted]), ClientCertificates::Demanded);
    let (server, _application, events) = start(serving(&store(config)));
    let client = Client {
        own: Some(pair),
        ..Client::trusting(authority)
    };
    let to = address(&server, Transport::Tls);
    let mut peer = Peer::over(client.connect(to, "own.example").unwrap());
    let local = peer.stream.sock.local_addr().unwrap();
    peer.write(&options("TLS", local, "shown", ""));
    assert!(peer.read().starts_with("SIP/2.0 200 "));
    request(&events).peer_certificate.unwrap()
}

#[test]
fn the_names_past_the_first_hundred_of_a_certificate_are_found_and_told() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let names: Vec<String> = (0..250).map(|n| format!("n{n}.example")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let own = authority
        .certificate(&["own.example"])
        .write(&folder, "own");
    let many = authority.certificate(&names).write(&folder, "many");
    let (server, _application, _events) = start(serving(&store(tls(vec![own.clone(), many], &[]))));
    let client = Client::trusting(&authority);
    let to = address(&server, Transport::Tls);
    for name in ["n0.example", "n64.example", "n249.example"] {
        assert!(client.connect(to, name).is_ok(), "{name}");
    }
    let certificate = shown(own, &folder, &authority, authority.certificate(&names));
    assert_eq!(certificate.names, names);
    assert_eq!(certificate.domains.len(), 250);
}

#[test]
fn names_that_pass_for_those_of_another_kind_are_left_out() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let own = authority
        .certificate(&["own.example"])
        .write(&folder, "own");
    let uri = |text: &str| SanType::URI(text.try_into().unwrap());
    let domain = |text: &str| SanType::DnsName(text.try_into().unwrap());
    let pair = authority.for_names(vec![
        uri("trunk.carrier.example"),
        uri("@trunk.carrier.example:5061"),
        uri("sip:carrier.example\n"),
        domain("trunk\u{1b}.example"),
        domain("sip:carrier.example"),
        domain("Phone.example"),
        uri("sip:phone.example"),
    ]);
    let certificate = shown(own, &folder, &authority, pair);
    assert_eq!(certificate.names, ["phone.example", "sip:phone.example"]);
    assert_eq!(certificate.domains, ["phone.example", "phone.example"]);
}

const JUNK: &str = "-----BEGIN CERTIFICATE-----\nAAECAwQF\n-----END CERTIFICATE-----\n";

#[test]
fn each_certificate_of_a_chain_is_read() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let good = authority.certificate(&["own.example"]);
    let files = good.write(&folder, "own");
    let config = tls(vec![files], &[]);
    let in_use = store(config.clone());
    folder.write("own.pem", &format!("{}{}", good.chain, authority.pem));
    in_use.reload().unwrap();
    for (chain, number) in [
        (
            format!("{}{JUNK}{}", good.chain, authority.pem),
            "2 of the 3",
        ),
        (format!("{JUNK}{}", good.chain), "1 of the 2"),
    ] {
        folder.write("own.pem", &chain);
        let expected = format!("certificate {number} in it cannot be read");
        for error in [
            Store::open(config.clone()).unwrap_err(),
            in_use.reload().unwrap_err(),
        ] {
            let error = error.to_string();
            assert!(
                error.contains("own.pem: ") && error.contains(&expected),
                "{error}"
            );
        }
    }
}

#[test]
fn a_file_that_was_cut_is_told_the_line_that_it_lacks() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let good = authority.certificate(&["own.example"]);
    let files = good.write(&folder, "own");
    let config = tls(vec![files], &[]);
    for (file, text, line) in [
        ("own.pem", &good.chain, "-----END CERTIFICATE-----"),
        ("own.key", &good.key, "-----END PRIVATE KEY-----"),
    ] {
        folder.write(file, &text[..text.len() / 2]);
        let error = Store::open(config.clone()).unwrap_err().to_string();
        assert!(
            error.contains(&format!("its line {line} is missing")),
            "{error}"
        );
        folder.write(file, text);
    }
}

fn year(year: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs((year - 1970) * 31_556_952 + 86_400)
}

/// A store with a certificate of these years, in a folder, that reads its files when it is told to.
fn valid(authority: &Authority, folder: &Folder, from: i32, until: i32) -> Arc<Store> {
    let pair = authority.valid(&["own.example"], from, until);
    store(tls(vec![pair.write(folder, "own")], &[]))
}

/// Whether a client finds the certificate in use to be good today.
fn is_good(store: &Arc<Store>, authority: &Authority) -> bool {
    let (server, _application, _events) = start(serving(store));
    let to: SocketAddr = address(&server, Transport::Tls);
    Client::trusting(authority)
        .connect(to, "own.example")
        .is_ok()
}

#[test]
fn at_the_start_a_certificate_that_is_not_valid_is_used_and_told_of() {
    let authority = Authority::new();
    for (from, until, what) in [
        (2090, 2091, "from=\"2090-01-01\""),
        (2020, 2021, "until=\"2021-01-01\""),
    ] {
        let (folder, opened) = (Folder::new(), Mutex::new(None));
        let lines = log::of(|| {
            *opened.lock().unwrap() = Some(valid(&authority, &folder, from, until));
        });
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(
            lines[0].starts_with("ERROR") && lines[0].contains(what),
            "{lines:?}"
        );
        let store = opened.into_inner().unwrap().unwrap();
        assert!(store.server().is_some());
        // It is told of every day.
        assert_eq!(log::of(|| store.warn_of_expiry(SystemTime::now())), lines);
    }
}

#[test]
fn a_certificate_that_is_not_valid_takes_no_valid_ones_place() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let store = valid(&authority, &folder, 2000, 2095);
    for (from, until, what) in [
        (2090, 2091, "valid from 2090-01-01 on only"),
        (2020, 2021, "expired on 2021-01-01"),
    ] {
        let new = authority.valid(&["other.example", "own.example"], from, until);
        new.write(&folder, "own");
        let lines = log::of(|| store.reload_if_changed(SystemTime::now()));
        assert_eq!(lines.len(), 1, "{lines:?}");
        for part in [
            "ERROR",
            "own.pem",
            what,
            "the one in use is valid until 2095-01-01",
        ] {
            assert!(lines[0].contains(part), "{lines:?}");
        }
        assert!(store.reload().unwrap_err().to_string().contains(what));
        assert_eq!(
            log::of(|| store.reload_if_changed(SystemTime::now())),
            [""; 0]
        );
        assert!(is_good(&store, &authority), "{what}");
    }
}

#[test]
fn a_certificate_that_was_too_early_is_taken_over_when_it_is_valid() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let store = valid(&authority, &folder, 2000, 2095);
    authority
        .valid(&["own.example"], 2090, 2099)
        .write(&folder, "own");
    store.reload_if_changed(year(2089));
    assert!(is_good(&store, &authority));
    let lines = log::of(|| store.reload_if_changed(year(2090)));
    assert!(
        lines.iter().any(|line| line.contains("read anew")),
        "{lines:?}"
    );
    assert!(!is_good(&store, &authority), "it is good in 2090 only");
}

#[test]
fn a_certificate_that_is_not_valid_takes_the_place_of_one_that_is_no_better() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let store = valid(&authority, &folder, 2000, 2095);
    // For other names: they are wanted, whatever else is wrong.
    authority.expired(&["other.example"]).write(&folder, "own");
    store.reload().unwrap();
    authority
        .valid(&["other.example"], 2090, 2091)
        .write(&folder, "own");
    store.reload().unwrap();
}
