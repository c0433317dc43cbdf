//! RFC 3263 against a name server that the test commands: which targets, in which order, asked for how often.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
#[path = "support/dns.rs"]
mod dns;

use dns::{NameServer, Reply, cname, record};
use engine::id::ResolveId;
use engine::transport::Transport;
use engine::{Resolve, ResolveError, Resolved};
use hickory_proto::rr::RecordType;
use hickory_proto::rr::rdata::A;
use net::DnsConfig;
use net::resolve::{Names, TARGETS, Way};
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

const UDP4: (Transport, bool) = (Transport::Udp, true);
const UDP6: (Transport, bool) = (Transport::Udp, false);
const TCP4: (Transport, bool) = (Transport::Tcp, true);
const TLS4: (Transport, bool) = (Transport::Tls, true);

fn config(server: &NameServer) -> DnsConfig {
    DnsConfig {
        servers: vec![server.address],
        hosts: false,
        timeout: Duration::from_millis(400),
        limit: Duration::from_secs(3),
        ..DnsConfig::default()
    }
}

fn names(server: &NameServer, ways: &[(Transport, bool)]) -> Names {
    with(&config(server), ways)
}

fn with(config: &DnsConfig, ways: &[(Transport, bool)]) -> Names {
    let way = |(transport, is_ipv4): &(Transport, bool)| Way {
        transport: *transport,
        is_ipv4: *is_ipv4,
    };
    Names::new(config, ways.iter().map(way).collect())
}

/// The question for a URI: `sip:host`, `sips:host:port`, with `;transport=`.
fn question(uri: &str, draw: u64) -> Resolve {
    let (scheme, rest) = uri.split_once(':').unwrap();
    let (place, transport) = match rest.split_once(";transport=") {
        Some((place, name)) => (place, Transport::from_name(name)),
        None => (rest, None),
    };
    let (host, port) = match place.split_once(':') {
        Some((host, port)) => (host, Some(port.parse().unwrap())),
        None => (place, None),
    };
    Resolve {
        id: ResolveId(1),
        host: host.to_owned(),
        port,
        transport,
        secure: scheme == "sips",
        draw,
    }
}

async fn ask(names: &Names, uri: &str) -> Result<Vec<String>, ResolveError> {
    let located = names.locate(&question(uri, 1)).await;
    located.targets.map(|targets| texts(&targets))
}

fn texts(targets: &[Resolved]) -> Vec<String> {
    let text = |target: &Resolved| format!("{} {}", target.transport, target.address);
    targets.iter().map(text).collect()
}

/// RFC 3263 §4.1's domain.
fn example() -> NameServer {
    let server = NameServer::start();
    server.naptr(
        "example.com",
        60,
        &[
            (50, 50, "SIPS+D2T", "_sips._tcp.example.com"),
            (90, 50, "SIP+D2T", "_sip._tcp.example.com"),
            (100, 50, "SIP+D2U", "_sip._udp.example.com"),
        ],
    );
    server.srv(
        "_sips._tcp.example.com",
        60,
        &[(0, 1, 5061, "one.example.com")],
    );
    server.srv(
        "_sip._tcp.example.com",
        60,
        &[
            (0, 1, 5060, "one.example.com"),
            (1, 1, 5070, "two.example.com"),
        ],
    );
    server.srv(
        "_sip._udp.example.com",
        60,
        &[(0, 1, 5080, "two.example.com")],
    );
    server.host("one.example.com", 60, &["192.0.2.1"]);
    server.host("two.example.com", 60, &["192.0.2.2"]);
    server.host("example.com", 60, &["192.0.2.99"]);
    server
}

#[tokio::test]
async fn the_domain_chooses_among_the_transports_that_we_have() {
    let server = example();
    let all = names(&server, &[UDP4, TCP4, TLS4]);
    let expected = [
        "tls 192.0.2.1:5061",
        "tcp 192.0.2.1:5060",
        "tcp 192.0.2.2:5070",
        "udp 192.0.2.2:5080",
    ];
    assert_eq!(ask(&all, "sip:example.com").await.unwrap(), expected);
    let plain = names(&server, &[UDP4, TCP4]);
    assert_eq!(ask(&plain, "sip:example.com").await.unwrap(), expected[1..]);
    let udp = names(&server, &[UDP4]);
    assert_eq!(ask(&udp, "sip:example.com").await.unwrap(), expected[3..]);
}

#[tokio::test]
async fn sips_takes_secure_transports_only() {
    let server = example();
    let all = names(&server, &[UDP4, TCP4, TLS4]);
    let found = ask(&all, "sips:example.com").await.unwrap();
    assert_eq!(found, ["tls 192.0.2.1:5061"]);
    // Without NAPTR records only `_sips._tcp` is asked for, and the port is that of TLS.
    server.host("plain.example", 60, &["192.0.2.7"]);
    let found = ask(&all, "sips:plain.example").await.unwrap();
    assert_eq!(found, ["tls 192.0.2.7:5061"]);
    assert_eq!(server.count("_sip._udp.plain.example", RecordType::SRV), 0);
    assert_eq!(server.count("_sips._tcp.plain.example", RecordType::SRV), 1);
}

#[tokio::test]
async fn a_port_skips_services_and_a_transport_skips_naptr() {
    let server = example();
    let all = names(&server, &[UDP4, TCP4, TLS4]);
    let found = ask(&all, "sip:example.com:5099").await.unwrap();
    assert_eq!(found, ["udp 192.0.2.99:5099"]);
    let found = ask(&all, "sips:example.com:5099").await.unwrap();
    assert_eq!(found, ["tls 192.0.2.99:5099"]);
    let found = ask(&all, "sip:example.com:5099;transport=tcp")
        .await
        .unwrap();
    assert_eq!(found, ["tcp 192.0.2.99:5099"]);
    assert_eq!(server.count("example.com", RecordType::NAPTR), 0);
    let found = ask(&all, "sip:example.com;transport=tcp").await.unwrap();
    assert_eq!(found, ["tcp 192.0.2.1:5060", "tcp 192.0.2.2:5070"]);
    assert_eq!(server.count("example.com", RecordType::NAPTR), 0);
}

#[tokio::test]
async fn without_naptr_each_transport_is_looked_for() {
    let server = NameServer::start();
    server.srv("_sip._tcp.b.example", 60, &[(0, 0, 5062, "h.b.example")]);
    server.srv("_sip._udp.b.example", 60, &[(0, 0, 5061, "h.b.example")]);
    server.host("h.b.example", 60, &["192.0.2.3"]);
    let both = names(&server, &[TCP4, UDP4]);
    let found = ask(&both, "sip:b.example").await.unwrap();
    assert_eq!(found, ["udp 192.0.2.3:5061", "tcp 192.0.2.3:5062"]);
}

#[tokio::test]
async fn without_any_service_the_host_itself_is_asked() {
    let server = NameServer::start();
    server.host("host.example", 60, &["192.0.2.3"]);
    let both = names(&server, &[TCP4, UDP4]);
    assert_eq!(
        ask(&both, "sip:host.example").await.unwrap(),
        ["udp 192.0.2.3:5060"]
    );
    let tcp = names(&server, &[TCP4]);
    assert_eq!(
        ask(&tcp, "sip:host.example").await.unwrap(),
        ["tcp 192.0.2.3:5060"]
    );
    assert_eq!(
        ask(&both, "sip:nothing.example").await,
        Err(ResolveError::NotFound)
    );
}

#[tokio::test]
async fn a_service_that_is_decidedly_not_there_is_not_looked_for_at_the_host() {
    let server = NameServer::start();
    server.srv("_sip._udp.no.example", 60, &[(0, 0, 0, "")]);
    server.host("no.example", 60, &["192.0.2.3"]);
    let udp = names(&server, &[UDP4]);
    assert_eq!(
        ask(&udp, "sip:no.example").await,
        Err(ResolveError::NotFound)
    );
}

#[tokio::test]
async fn weights_share_the_requests_while_the_records_are_cached() {
    let server = NameServer::start();
    server.srv(
        "_sip._udp.w.example",
        60,
        &[(0, 75, 5060, "a.w.example"), (0, 25, 5060, "b.w.example")],
    );
    server.host("a.w.example", 60, &["192.0.2.1"]);
    server.host("b.w.example", 60, &["192.0.2.2"]);
    let udp = names(&server, &[UDP4]);
    let mut first = HashMap::new();
    for draw in 0..2000 {
        let located = udp
            .locate(&question("sip:w.example;transport=udp", draw))
            .await;
        let targets = located.targets.unwrap();
        assert_eq!(targets.len(), 2);
        *first.entry(targets[0].address.to_string()).or_insert(0_i32) += 1;
        assert_eq!(located.asked, draw == 0);
    }
    assert!((first["192.0.2.1:5060"] - 1500).abs() < 100, "{first:?}");
    assert_eq!(server.count("_sip._udp.w.example", RecordType::SRV), 1);
}

#[tokio::test]
async fn addresses_come_in_the_families_that_we_have() {
    let server = NameServer::start();
    server.host("both.example", 60, &["127.0.0.1", "::1"]);
    server.host("six.example", 60, &["::1"]);
    let four = names(&server, &[UDP4]);
    let six = names(&server, &[UDP6]);
    let dual = names(&server, &[UDP4, UDP6]);
    let uri = "sip:both.example:5060";
    assert_eq!(ask(&four, uri).await.unwrap(), ["udp 127.0.0.1:5060"]);
    assert_eq!(ask(&six, uri).await.unwrap(), ["udp [::1]:5060"]);
    let found = ask(&dual, uri).await.unwrap();
    // IPv6 first, where there is a route to it (RFC 6724).
    let mut expected = vec!["udp [::1]:5060", "udp 127.0.0.1:5060"];
    if std::net::UdpSocket::bind("[::1]:0").is_err() {
        expected.reverse();
    }
    assert_eq!(found, expected);
    assert_eq!(server.count("both.example", RecordType::AAAA), 2);
    assert_eq!(
        ask(&four, "sip:six.example:5060").await,
        Err(ResolveError::NotFound)
    );
    assert_eq!(
        ask(&dual, "sip:six.example:5060").await.unwrap(),
        ["udp [::1]:5060"]
    );
}

#[tokio::test]
async fn addresses_that_no_server_has_are_left_out() {
    let server = NameServer::start();
    let udp = names(&server, &[UDP4, UDP6]);
    let worthless = ["0.0.0.0", "224.0.1.75", "255.255.255.255"];
    let six = ["::", "ff02::1", "::ffff:0.0.0.0", "::ffff:224.0.1.75"];
    let all: Vec<&str> = worthless.into_iter().chain(six).collect();
    server.host("none.example", 60, &all);
    let located = udp.locate(&question("sip:none.example:5060", 1)).await;
    assert_eq!(located.targets, Err(ResolveError::Unusable));
    assert_eq!(located.unusable, 7);
    // The next is taken, of the same name and of the same service.
    let some: Vec<&str> = all.iter().copied().chain(["192.0.2.7"]).collect();
    server.host("some.example", 60, &some);
    let expected = ["udp 192.0.2.7:5060"];
    assert_eq!(ask(&udp, "sip:some.example:5060").await.unwrap(), expected);
    server.srv(
        "_sip._udp.service.example",
        60,
        &[
            (0, 1, 5060, "none.example"),
            (1, 1, 5060, "0.0.0.0"),
            (2, 1, 5060, "some.example"),
        ],
    );
    assert_eq!(ask(&udp, "sip:service.example").await.unwrap(), expected);
}

#[tokio::test]
async fn srv_records_without_a_port_are_left_out() {
    let server = NameServer::start();
    let udp = names(&server, &[UDP4]);
    server.host("host.example", 60, &["192.0.2.7"]);
    let portless = (0, 1, 0, "host.example");
    server.srv("_sip._udp.none.example", 60, &[portless]);
    let located = udp.locate(&question("sip:none.example", 1)).await;
    assert_eq!(located.targets, Err(ResolveError::Unusable));
    assert_eq!(located.unusable, 1);
    let next = (1, 1, 5070, "host.example");
    server.srv("_sip._udp.some.example", 60, &[portless, next]);
    let located = udp.locate(&question("sip:some.example", 1)).await;
    assert_eq!(located.targets.unwrap().len(), 1);
    assert_eq!(located.unusable, 1);
}

#[tokio::test]
async fn records_live_for_their_ttl_and_no_longer() {
    let server = NameServer::start();
    server.host("t.example", 30, &["192.0.2.1"]);
    let udp = names(&server, &[UDP4]);
    let uri = "sip:t.example:5060";
    assert_eq!(ask(&udp, uri).await.unwrap(), ["udp 192.0.2.1:5060"]);
    server.host("t.example", 30, &["192.0.2.2"]);
    pass(Duration::from_secs(29)).await;
    assert_eq!(ask(&udp, uri).await.unwrap(), ["udp 192.0.2.1:5060"]);
    pass(Duration::from_secs(2)).await;
    assert_eq!(ask(&udp, uri).await.unwrap(), ["udp 192.0.2.2:5060"]);
    assert_eq!(server.count("t.example", RecordType::A), 2);
}

/// Lets time pass without waiting for it. The clock stands still for that moment only: a real server takes real time.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn that_a_name_does_not_exist_is_believed_as_long_as_its_zone_says() {
    let server = NameServer::start();
    server.set("gone.example", RecordType::A, Reply::NoName(20));
    let udp = names(&server, &[UDP4]);
    let uri = "sip:gone.example:5060";
    assert_eq!(ask(&udp, uri).await, Err(ResolveError::NotFound));
    assert_eq!(ask(&udp, uri).await, Err(ResolveError::NotFound));
    assert_eq!(server.count("gone.example", RecordType::A), 1);
    server.host("gone.example", 60, &["192.0.2.4"]);
    pass(Duration::from_secs(21)).await;
    assert_eq!(ask(&udp, uri).await.unwrap(), ["udp 192.0.2.4:5060"]);
}

#[tokio::test]
async fn what_was_right_is_used_while_no_server_answers() {
    let server = NameServer::start();
    server.host("s.example", 30, &["192.0.2.1"]);
    let udp = names(&server, &[UDP4]);
    let uri = "sip:s.example:5060";
    ask(&udp, uri).await.unwrap();
    server.set_all(Some(Reply::Failure));
    pass(Duration::from_secs(60)).await;
    assert_eq!(ask(&udp, uri).await.unwrap(), ["udp 192.0.2.1:5060"]);
    // An hour past its TTL it is not.
    pass(Duration::from_secs(3700)).await;
    assert_eq!(ask(&udp, uri).await, Err(ResolveError::Failed));
    // And the first answer counts again.
    server.set_all(None);
    server.host("s.example", 30, &["192.0.2.2"]);
    pass(Duration::from_secs(6)).await;
    assert_eq!(ask(&udp, uri).await.unwrap(), ["udp 192.0.2.2:5060"]);
    let strict = DnsConfig {
        stale: Duration::ZERO,
        ..config(&server)
    };
    let udp = with(&strict, &[UDP4]);
    ask(&udp, uri).await.unwrap();
    server.set_all(Some(Reply::Failure));
    pass(Duration::from_secs(60)).await;
    assert_eq!(ask(&udp, uri).await, Err(ResolveError::Failed));
}

#[tokio::test]
async fn many_who_want_one_name_share_one_question() {
    let server = NameServer::start();
    let reply = Reply::Records(vec![record(
        "many.example",
        60,
        hickory_proto::rr::RData::A(A([192, 0, 2, 1].into())),
    )]);
    let slow = Reply::After(Duration::from_millis(100), Box::new(reply));
    server.set("many.example", RecordType::A, slow);
    let udp = names(&server, &[UDP4]);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..500 {
        let udp = udp.clone();
        tasks.spawn(async move { ask(&udp, "sip:many.example:5060").await });
    }
    for found in tasks.join_all().await {
        assert_eq!(found.unwrap(), ["udp 192.0.2.1:5060"]);
    }
    assert_eq!(server.count("many.example", RecordType::A), 1);
    assert_eq!(udp.lookups(), 1);
}

#[tokio::test]
async fn a_broken_record_leaves_the_others_alone() {
    let server = NameServer::start();
    server.srv(
        "_sip._udp.mixed.example",
        60,
        &[
            (0, 0, 5060, "silent.example"),
            (1, 0, 5060, "failing.example"),
            (2, 0, 5060, "good.example"),
        ],
    );
    for kind in [RecordType::A, RecordType::AAAA] {
        server.set("silent.example", kind, Reply::Silence);
        server.set("failing.example", kind, Reply::Failure);
    }
    server.host("good.example", 60, &["192.0.2.1"]);
    server.set("bad.example", RecordType::NAPTR, Reply::Silence);
    let udp = names(&server, &[UDP4]);
    let began = Instant::now();
    let found = ask(&udp, "sip:mixed.example").await.unwrap();
    assert_eq!(found, ["udp 192.0.2.1:5060"]);
    assert!(began.elapsed() < Duration::from_secs(2));
    // While another domain's server says nothing, this one is answered from what is known.
    let other = udp.clone();
    let bad = tokio::spawn(async move { ask(&other, "sip:bad.example").await });
    tokio::task::yield_now().await;
    for _ in 0..100 {
        ask(&udp, "sip:good.example:5060").await.unwrap();
    }
    assert!(!bad.is_finished());
    assert_eq!(server.count("good.example", RecordType::A), 1);
    bad.await.unwrap().unwrap_err();
}

#[tokio::test]
async fn a_crowd_of_dead_domains_keeps_nobody_waiting() {
    let server = example();
    for number in 0..200 {
        for kind in [RecordType::A, RecordType::AAAA] {
            server.set(&format!("dead{number}.example"), kind, Reply::Silence);
        }
    }
    let config = DnsConfig {
        concurrent: 4,
        ..config(&server)
    };
    let names = std::sync::Arc::new(with(&config, &[UDP4]));
    let crowd: Vec<_> = (0..200)
        .map(|number| {
            let names = names.clone();
            tokio::spawn(async move {
                let _ = ask(&names, &format!("sip:dead{number}.example:5060")).await;
            })
        })
        .collect();
    while server.asked().is_empty() {
        tokio::task::yield_now().await;
    }
    // Whoever comes while they wait is not behind them.
    let begun = Instant::now();
    assert!(ask(&names, "sip:one.example.com:5060").await.is_ok());
    let waited = begun.elapsed();
    assert!(waited < Duration::from_secs(2), "{waited:?}");
    for one in crowd {
        one.await.unwrap();
    }
    // Their requests are over, and so are their questions.
    let begun = Instant::now();
    assert!(ask(&names, "sip:two.example.com:5060").await.is_ok());
    let waited = begun.elapsed();
    assert!(waited < Duration::from_secs(2), "{waited:?}");
}

#[tokio::test]
async fn a_stream_of_dead_domains_keeps_no_name_from_its_many_questions() {
    let server = example();
    for number in 0..600 {
        for name in ["", "_sip._udp."] {
            for kind in [RecordType::NAPTR, RecordType::SRV, RecordType::A] {
                server.set(&format!("{name}dead{number}.example"), kind, Reply::Silence);
            }
        }
    }
    let config = DnsConfig {
        concurrent: 64,
        timeout: Duration::from_secs(2),
        limit: Duration::from_secs(8),
        ..config(&server)
    };
    let names = std::sync::Arc::new(with(&config, &[UDP4]));
    let mut crowd = tokio::task::JoinSet::new();
    let flood = |number: u32, crowd: &mut tokio::task::JoinSet<_>| {
        let names = names.clone();
        crowd.spawn(async move { ask(&names, &format!("sip:dead{number}.example")).await });
    };
    for number in 0..64 {
        flood(number, &mut crowd);
    }
    let mut beat = tokio::time::interval(Duration::from_millis(10));
    let mut healthy = std::pin::pin!(async {
        // By now all turns are taken.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let begun = Instant::now();
        let found = ask(&names, "sip:example.com").await;
        (found, begun.elapsed())
    });
    for number in 64..600 {
        tokio::select! {
            (found, waited) = &mut healthy => {
                assert!(!found.unwrap().is_empty());
                assert!(waited < Duration::from_secs(2), "{waited:?}");
                return;
            }
            _ = beat.tick() => flood(number, &mut crowd),
        }
    }
    panic!("no answer within 5 s");
}

#[tokio::test]
async fn naptr_and_srv_that_fail_leave_the_addresses() {
    let server = NameServer::start();
    server.set("old.example", RecordType::NAPTR, Reply::Failure);
    server.set("_sip._udp.old.example", RecordType::SRV, Reply::Failure);
    server.host("old.example", 60, &["192.0.2.1"]);
    let udp = names(&server, &[UDP4]);
    assert_eq!(
        ask(&udp, "sip:old.example").await.unwrap(),
        ["udp 192.0.2.1:5060"]
    );
}

#[tokio::test]
async fn an_alias_lives_no_longer_than_its_own_ttl() {
    let server = NameServer::start();
    let leads_to = |last: u8| {
        let address = hickory_proto::rr::RData::A(A([192, 0, 2, last].into()));
        let records = vec![
            cname("alias.example", 10, "real.example"),
            record("real.example", 3600, address),
        ];
        server.set("alias.example", RecordType::A, Reply::Records(records));
        // As a name server that follows no alias for others says it.
        let only = Reply::Records(vec![cname("short.example", 10, "alias.example")]);
        server.set("short.example", RecordType::A, only);
    };
    let udp = names(&server, &[UDP4]);
    for last in [7, 8] {
        leads_to(last);
        for uri in ["sip:alias.example:5060", "sip:short.example:5060"] {
            let found = ask(&udp, uri).await.unwrap();
            assert_eq!(found, [format!("udp 192.0.2.{last}:5060")], "{uri}");
        }
        pass(Duration::from_secs(11)).await;
    }
}

#[tokio::test]
async fn cnames_are_followed_and_their_loops_end() {
    let server = NameServer::start();
    let chain = vec![
        cname("alias.example", 60, "real.example"),
        record(
            "real.example",
            60,
            hickory_proto::rr::RData::A(A([192, 0, 2, 5].into())),
        ),
    ];
    server.set("alias.example", RecordType::A, Reply::Records(chain));
    let only = Reply::Records(vec![cname("short.example", 60, "real.example")]);
    server.set("short.example", RecordType::A, only);
    server.host("real.example", 60, &["192.0.2.5"]);
    for (name, to) in [
        ("ring.example", "gnir.example"),
        ("gnir.example", "ring.example"),
    ] {
        let reply = Reply::Records(vec![cname(name, 60, to)]);
        server.set(name, RecordType::A, reply);
    }
    let own = Reply::Records(vec![cname("self.example", 60, "self.example")]);
    server.set("self.example", RecordType::A, own);
    let udp = names(&server, &[UDP4]);
    for alias in ["sip:alias.example:5060", "sip:short.example:5060"] {
        assert_eq!(ask(&udp, alias).await.unwrap(), ["udp 192.0.2.5:5060"]);
    }
    for ring in ["sip:ring.example:5060", "sip:self.example:5060"] {
        ask(&udp, ring).await.unwrap_err();
    }
    assert!(server.count("ring.example", RecordType::A) < 20);
}

#[tokio::test]
async fn a_long_answer_comes_over_tcp_and_is_cut_to_what_is_useful() {
    let server = NameServer::start();
    let hosts: Vec<String> = (0..1000).map(|n| format!("h{n}.long.example")).collect();
    let records = hosts
        .iter()
        .map(|host| dns::srv("_sip._udp.long.example", 60, (1, 1, 5060, host)));
    let reply = Reply::Long(records.collect());
    server.set("_sip._udp.long.example", RecordType::SRV, reply);
    for (host, n) in hosts.iter().zip(0_u8..250) {
        server.host(host, 60, &[&format!("192.0.2.{n}")]);
    }
    let udp = names(&server, &[UDP4]);
    let found = ask(&udp, "sip:long.example;transport=udp").await.unwrap();
    assert_eq!(found.len(), TARGETS);
    assert!(server.over_tcp() >= 1);
    let addresses = server.asked();
    let addresses = addresses.iter().filter(|(_, kind)| *kind == RecordType::A);
    assert_eq!(addresses.count(), TARGETS);
}

#[tokio::test]
async fn answers_to_other_questions_and_garbage_are_not_believed() {
    let server = NameServer::start();
    let lie = || {
        vec![record(
            "lie.example",
            60,
            hickory_proto::rr::RData::A(A([192, 0, 2, 66].into())),
        )]
    };
    server.set("lie.example", RecordType::A, Reply::WrongId(lie()));
    // The answer is about another name than the question.
    server.set("other.example", RecordType::A, Reply::Records(lie()));
    server.set(
        "junk.example",
        RecordType::A,
        Reply::Garbage(vec![0xff; 300]),
    );
    server.set("none.example", RecordType::A, Reply::Garbage(Vec::new()));
    let udp = names(&server, &[UDP4]);
    for name in ["lie", "other", "junk", "none"] {
        let found = ask(&udp, &format!("sip:{name}.example:5060")).await;
        assert!(found.is_err(), "{name}: {found:?}");
    }
}

#[tokio::test]
async fn names_that_are_none_lead_nowhere_and_are_not_asked_for() {
    let server = NameServer::start();
    let udp = names(&server, &[UDP4]);
    let long = format!("sip:{}.example:5060", "x".repeat(64));
    for uri in ["sip:a..b:5060", long.as_str(), "sip:x\u{e9}.example:5060"] {
        assert_eq!(ask(&udp, uri).await, Err(ResolveError::NotFound), "{uri}");
    }
    assert_eq!(server.asked(), []);
}

#[tokio::test]
async fn the_hosts_file_comes_first_and_localhost_needs_nobody() {
    let server = NameServer::start();
    let config = DnsConfig {
        hosts: true,
        ..config(&server)
    };
    let udp = with(&config, &[UDP4]);
    assert_eq!(
        ask(&udp, "sip:localhost").await.unwrap(),
        ["udp 127.0.0.1:5060"]
    );
    assert_eq!(server.asked(), []);
    let without = names(&server, &[UDP4]);
    let found = ask(&without, "sip:localhost:5070").await.unwrap();
    assert_eq!(found, ["udp 127.0.0.1:5070"]);
    assert_eq!(server.asked(), []);
}

#[tokio::test]
async fn the_order_follows_from_the_draw() {
    let server = NameServer::start();
    let many: Vec<String> = (1..9).map(|n| format!("192.0.2.{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    server.host("rr.example", 60, &many);
    let udp = names(&server, &[UDP4]);
    let order = async |draw| {
        let located = udp.locate(&question("sip:rr.example:5060", draw)).await;
        texts(&located.targets.unwrap())
    };
    assert_eq!(order(5).await, order(5).await);
    assert_ne!(order(5).await, order(6).await);
}
