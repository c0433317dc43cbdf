//! What is dropped before it is parsed: garbage, scanners, what is past a rate, banned sources; over UDP and over streams. A bystander is
//! answered throughout, and every reason has its count.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod support;

use engine::admit::{Admission, Rate};
use engine::seam::Commands;
use engine::transport::Transport;
use net::admission::{Action, AdmissionConfig, Filter};
use net::{Server, ServerConfig};
use socket2::{Domain, Socket, Type};
use std::net::SocketAddr;
use std::time::Duration;
use support::{TcpPeer, address, listening, options, receive, start, total, udp_peer, wait_for};

/// A server that trusts nobody.
fn strict(shards: u8, change: impl FnOnce(&mut AdmissionConfig)) -> ServerConfig {
    let mut admission = AdmissionConfig {
        limits: Admission {
            trusted: Vec::new(),
            ..Admission::default()
        },
        ..AdmissionConfig::default()
    };
    change(&mut admission);
    ServerConfig {
        shards,
        admission,
        ..listening("sip:127.0.0.1:0;transport=udp,tcp")
    }
}

fn scanner(local: SocketAddr, call_id: &str) -> String {
    options("UDP", local, call_id, "").replace(
        "Content-Length",
        "User-Agent: friendly-scanner\r\nContent-Length",
    )
}

/// Waits until a total is as wanted.
fn wait(server: &Server, name: &str, count: u64) {
    wait_for(server, name, |counts| total(counts, name) == count);
}

/// A request that is answered: what was sent before has been dealt with.
fn is_served(server: &Server, from: &str, call_id: &str) {
    let peer = udp_peer(from);
    let text = options("UDP", peer.local_addr().unwrap(), call_id, "");
    peer.send_to(text.as_bytes(), address(server, Transport::Udp))
        .unwrap();
    assert!(receive(&peer).0.starts_with("SIP/2.0 200"));
}

#[test]
fn garbage_and_scanners_get_no_answer_and_are_counted() {
    let (server, _application, _events) = start(strict(1, |_| {}));
    let to = address(&server, Transport::Udp);
    let peer = udp_peer("127.0.0.7:0");
    for _ in 0..50 {
        peer.send_to(b"\x00\x01garbage that is no SIP message at all\r\n\r\n", to)
            .unwrap();
    }
    peer.send_to(scanner(peer.local_addr().unwrap(), "scan").as_bytes(), to)
        .unwrap();
    wait(&server, "dropped_garbage", 50);
    wait(&server, "dropped_filter", 1);
    is_served(&server, "127.0.0.7:0", "same");
    peer.set_nonblocking(true).unwrap();
    assert!(peer.recv_from(&mut [0; 100]).is_err(), "no answer to any");
    let counts = server.counts();
    assert_eq!(total(&counts, "malformed"), 0, "nothing of it was parsed");
    assert_eq!(total(&counts, "bans_begun"), 0);
}

#[test]
fn a_source_past_its_rate_is_dropped_and_another_is_served() {
    let (server, _application, _events) = start(strict(1, |admission| {
        admission.limits.rate = Some(Rate::new(1, 10));
    }));
    let to = address(&server, Transport::Udp);
    let peer = udp_peer("127.0.0.7:0");
    for number in 0..100 {
        let text = options(
            "UDP",
            peer.local_addr().unwrap(),
            &format!("many{number}"),
            "",
        );
        peer.send_to(text.as_bytes(), to).unwrap();
    }
    is_served(&server, "127.0.0.8:0", "other");
    let counts = wait_for(&server, "all of them", |counts| {
        total(counts, "dropped_rate") + total(counts, "requests_in_options") == 101
    });
    // A slow machine lets in one more for each second.
    let dropped = total(&counts, "dropped_rate");
    assert!((80..=90).contains(&dropped), "{dropped}");
}

#[test]
fn all_strangers_together_have_a_rate_and_trusted_networks_none() {
    let (server, _application, _events) = start(strict(1, |admission| {
        admission.limits.strangers_rate = Some(Rate::new(1, 10));
        admission.limits.trusted = vec!["127.0.1.0/24".parse().unwrap()];
    }));
    let to = address(&server, Transport::Udp);
    for number in 1..=100 {
        let peer = udp_peer(&format!("127.0.0.{number}:0"));
        let text = options(
            "UDP",
            peer.local_addr().unwrap(),
            &format!("one{number}"),
            "",
        );
        peer.send_to(text.as_bytes(), to).unwrap();
    }
    for number in 0..50 {
        is_served(&server, "127.0.1.1:0", &format!("trusted{number}"));
    }
    let counts = server.counts();
    assert!(total(&counts, "dropped_strangers") >= 80, "{counts:?}");
}

#[test]
fn a_rule_bans_its_source_on_every_shard_until_that_is_lifted() {
    let (server, _application, _events) = start(strict(2, |admission| {
        admission.filters = Filter::scanners(Action::Ban(Duration::from_secs(60)));
    }));
    let to = address(&server, Transport::Udp);
    let peer = udp_peer("127.0.0.7:0");
    peer.send_to(scanner(peer.local_addr().unwrap(), "scan").as_bytes(), to)
        .unwrap();
    wait_for(&server, "the ban on both shards", |counts| {
        counts.len() == 2 && counts.iter().all(|shard| shard.bans == 1)
    });
    let bans = server.bans();
    assert_eq!(bans.len(), 1);
    assert_eq!(bans[0].network.to_string(), "127.0.0.7");
    assert_eq!(bans[0].reason, "friendly-scanner*");
    // Whatever it says, and from whichever port.
    for number in 0..20 {
        let other = udp_peer("127.0.0.7:0");
        let text = options(
            "UDP",
            other.local_addr().unwrap(),
            &format!("banned{number}"),
            "",
        );
        other.send_to(text.as_bytes(), to).unwrap();
    }
    wait(&server, "dropped_banned", 20);
    is_served(&server, "127.0.0.8:0", "other");
    server.ban("127.0.0.7".parse().unwrap(), None);
    wait_for(&server, "no ban", |counts| {
        counts.iter().all(|shard| shard.bans == 0)
    });
    is_served(&server, "127.0.0.7:0", "lifted");
}

#[test]
fn a_network_that_is_banned_loses_its_connections_and_gets_no_new_ones() {
    let (server, _application, _events) = start(strict(1, |_| {}));
    let to = address(&server, Transport::Tcp);
    let mut peer = TcpPeer::connect(to);
    let local = peer.stream.local_addr().unwrap();
    peer.write(&options("TCP", local, "before", ""));
    assert!(peer.read().starts_with("SIP/2.0 200"));
    server.ban(
        "127.0.0.0/8".parse().unwrap(),
        Some(Duration::from_secs(60)),
    );
    wait_for(&server, "the ban", |counts| counts[0].bans == 1);
    assert_eq!(peer.read_to_end(), "");
    let mut refused = TcpPeer::connect(to);
    assert_eq!(refused.read_to_end(), "");
    wait(&server, "connections_refused_source", 1);
}

#[test]
fn a_source_has_so_many_connections_and_gets_one_again_when_one_is_closed() {
    let (server, _application, _events) = start(strict(1, |admission| admission.connections = 3));
    let to = address(&server, Transport::Tcp);
    let mut peers: Vec<TcpPeer> = (0..3).map(|_| TcpPeer::connect(to)).collect();
    wait_for(&server, "three", |counts| counts[0].connections == 3);
    let mut fourth = TcpPeer::connect(to);
    assert_eq!(fourth.read_to_end(), "");
    peers.pop();
    wait_for(&server, "two", |counts| counts[0].connections == 2);
    let mut again = TcpPeer::connect(to);
    again.write(&options(
        "TCP",
        again.stream.local_addr().unwrap(),
        "again",
        "",
    ));
    assert!(again.read().starts_with("SIP/2.0 200"));
}

#[test]
fn rules_hold_on_streams_and_may_answer() {
    let (server, _application, _events) = start(strict(1, |admission| {
        admission.filters = vec![Filter::user_agent("friendly-scanner", Action::Answer(603))];
    }));
    let mut peer = TcpPeer::connect(address(&server, Transport::Tcp));
    let local = peer.stream.local_addr().unwrap();
    peer.write(&scanner(local, "scan").replace("SIP/2.0/UDP", "SIP/2.0/TCP"));
    assert!(peer.read().starts_with("SIP/2.0 603"));
    assert_eq!(total(&server.counts(), "dropped_filter"), 1);
    peer.write(&options("TCP", local, "fine", ""));
    assert!(peer.read().starts_with("SIP/2.0 200"));
}

#[test]
fn malformed_messages_are_answered_now_and_then() {
    let (server, _application, _events) = start(strict(1, |admission| {
        admission.limits.refused_rate = Some(Rate::new(1, 5));
    }));
    let to = address(&server, Transport::Udp);
    let peer = udp_peer("127.0.0.7:0");
    for number in 0..50 {
        let text = options(
            "UDP",
            peer.local_addr().unwrap(),
            &format!("bad{number}"),
            "",
        );
        let text = text.replace("Max-Forwards: 70", "Max-Forwards: 70\r\nno colon here");
        peer.send_to(text.as_bytes(), to).unwrap();
    }
    wait(&server, "malformed", 50);
    let silent = total(&server.counts(), "refused_silently");
    assert!((40..=45).contains(&silent), "{silent}");
    assert!(receive(&peer).0.starts_with("SIP/2.0 400"));
}

/// An OPTIONS request with a body of so many bytes.
fn large(transport: &str, local: SocketAddr, call_id: &str, body: usize) -> String {
    options(transport, local, call_id, &"x".repeat(body))
}

#[test]
fn a_source_past_its_bytes_is_dropped_and_another_is_served() {
    let (server, _application, _events) = start(strict(1, |admission| {
        admission.limits.byte_rate = Some(Rate::new(1, 50_000));
    }));
    let to = address(&server, Transport::Udp);
    let peer = udp_peer("127.0.0.7:0");
    let local = peer.local_addr().unwrap();
    for number in 0..20 {
        let text = large("UDP", local, &format!("large{number}"), 9_000);
        peer.send_to(text.as_bytes(), to).unwrap();
    }
    // What still fits is taken.
    let small = options("UDP", local, "small", "");
    peer.send_to(small.as_bytes(), to).unwrap();
    wait(&server, "dropped_bytes", 15);
    wait(&server, "requests_in_options", 6);
    is_served(&server, "127.0.0.8:0", "other");
    assert_eq!(total(&server.counts(), "dropped_rate"), 0);
}

#[test]
fn a_connection_is_held_to_the_rate_and_the_bytes_of_its_source() {
    for (rate, bytes, reason) in [
        (Some(Rate::new(1, 5)), None, "dropped_rate"),
        (None, Some(Rate::new(1, 50_000)), "dropped_bytes"),
    ] {
        let (server, _application, _events) = start(strict(1, |admission| {
            admission.limits.rate = rate;
            admission.limits.byte_rate = bytes;
        }));
        // Two connections of one source: it is not asked how many it has. What is too much is answered, as nobody repeats it.
        let to = address(&server, Transport::Tcp);
        for connection in 0..2 {
            let mut peer = TcpPeer::connect(to);
            let local = peer.stream.local_addr().unwrap();
            for number in 0..10 {
                let call_id = format!("large{connection}-{number}");
                peer.write(&large("TCP", local, &call_id, 9_500));
            }
            let taken = |counts: &[engine::counts::Counts]| total(counts, "requests_in_options");
            let counts = wait_for(&server, "all of them", |counts| {
                total(counts, reason) + taken(counts) == 10 * (connection + 1)
            });
            // A slow machine lets in one more for each second.
            assert!((5..=7).contains(&taken(&counts)), "{reason}: {counts:?}");
            for _ in 0..10 {
                let answer = peer.read();
                let is_busy = answer.starts_with("SIP/2.0 503") && answer.contains("Retry-After");
                assert!(is_busy || answer.starts_with("SIP/2.0 200"), "{answer}");
            }
        }
        is_served(&server, "127.0.0.8:0", "other");
    }
}

#[test]
fn what_ends_a_call_is_taken_over_a_connection_past_the_rate() {
    let (server, _application, _events) = start(strict(1, |admission| {
        admission.limits.rate = Some(Rate::new(1, 5));
    }));
    let mut peer = TcpPeer::connect(address(&server, Transport::Tcp));
    let local = peer.stream.local_addr().unwrap();
    for number in 0..10 {
        peer.write(&options("TCP", local, &format!("many{number}"), ""));
    }
    let statuses: Vec<String> = (0..10).map(|_| peer.read()[8..11].to_owned()).collect();
    assert!(statuses.contains(&"503".to_owned()), "{statuses:?}");
    for method in ["BYE", "CANCEL"] {
        peer.write(&options("TCP", local, method, "").replace("OPTIONS", method));
        let answer = peer.read();
        assert!(!answer.starts_with("SIP/2.0 503"), "{method}: {answer}");
    }
    // The rules hold for it all the same.
    let scan = scanner(local, "scan").replace("OPTIONS", "BYE");
    peer.write(&scan.replace("SIP/2.0/UDP", "SIP/2.0/TCP"));
    wait(&server, "dropped_filter", 1);
}

#[test]
fn strangers_over_a_connection_get_through_a_flood_of_forged_datagrams() {
    let (server, _application, _events) = start(strict(1, |admission| {
        admission.limits.strangers_rate = Some(Rate::new(1, 10));
    }));
    for number in 1..=60 {
        let flooding = udp_peer(&format!("127.0.3.{number}:0"));
        let local = flooding.local_addr().unwrap();
        let text = options("UDP", local, &format!("flood{number}"), "");
        flooding
            .send_to(text.as_bytes(), address(&server, Transport::Udp))
            .unwrap();
    }
    wait_for(&server, "the flood to be too much", |counts| {
        total(counts, "dropped_strangers") >= 40
    });
    for number in 0..20 {
        let mut peer = TcpPeer::connect(address(&server, Transport::Tcp));
        let local = peer.stream.local_addr().unwrap();
        peer.write(&options("TCP", local, &format!("calm{number}"), ""));
        assert!(peer.read().starts_with("SIP/2.0 200"));
    }
}

#[test]
fn the_connections_of_a_source_are_counted_for_all_shards_together() {
    let (server, _application, _events) = start(strict(4, |admission| admission.connections = 3));
    let to = address(&server, Transport::Tcp);
    let open = |counts: &[engine::counts::Counts]| -> usize {
        counts.iter().map(|shard| shard.connections).sum()
    };
    let peers: Vec<TcpPeer> = (0..3).map(|_| TcpPeer::connect(to)).collect();
    wait_for(&server, "three", |counts| open(counts) == 3);
    // Their ports lead them to any shard.
    for _ in 0..20 {
        assert_eq!(TcpPeer::connect(to).read_to_end(), "");
    }
    assert_eq!(total(&server.counts(), "connections_refused_source"), 20);
    drop(peers);
    wait_for(&server, "none", |counts| open(counts) == 0);
    let _again: Vec<TcpPeer> = (0..3).map(|_| TcpPeer::connect(to)).collect();
    wait_for(&server, "three again", |counts| open(counts) == 3);
}

#[test]
fn a_source_opens_so_many_connections_at_a_time_and_others_theirs() {
    let (server, _application, _events) = start(strict(1, |admission| {
        admission.limits.connection_rate = Some(Rate::new(1, 5));
    }));
    let to = address(&server, Transport::Tcp);
    let connect = |from: &str| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let from: SocketAddr = format!("{from}:0").parse().unwrap();
        socket.bind(&from.into()).unwrap();
        socket.connect(&to.into()).unwrap();
        TcpPeer::new(socket.into())
    };
    // They may be gone again: it is the opening that costs.
    for _ in 0..5 {
        let mut peer = connect("127.0.0.7");
        peer.write(&options("TCP", peer.stream.local_addr().unwrap(), "a", ""));
        assert!(peer.read().starts_with("SIP/2.0 200"));
    }
    assert_eq!(connect("127.0.0.7").read_to_end(), "");
    wait(&server, "connections_refused_source", 1);
    let mut other = connect("127.0.0.8");
    other.write(&options("TCP", other.stream.local_addr().unwrap(), "b", ""));
    assert!(other.read().starts_with("SIP/2.0 200"));
}

#[test]
fn what_a_stream_sends_that_cannot_be_read_counts_as_what_can() {
    let (server, _application, _events) = start(strict(1, |admission| {
        admission.limits.rate = Some(Rate::new(1, 5));
    }));
    let to = address(&server, Transport::Tcp);
    for _ in 0..12 {
        let mut peer = TcpPeer::connect(to);
        peer.write("OPTIONS sip:x SIP/2.0\r\nContent-Length: -1\r\n\r\n");
        peer.read_to_end();
    }
    wait_for(&server, "all of it", |counts| {
        total(counts, "malformed") + total(counts, "dropped_rate") == 12
    });
    let counts = server.counts();
    assert!((5..8).contains(&total(&counts, "malformed")), "{counts:?}");
}
