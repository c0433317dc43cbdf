//! A client of the control protocol and a SIP peer on UDP, with the real engine between them: calls in both directions, CANCEL,
//! proxying, refusals; and afterwards every table is empty.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that goes wrong is to stop"
)]
mod client;

use client::Client;
use control::{ControlConfig, Listener, serve};
use engine::config::Timers;
use net::{Companion, ServerConfig};
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// A server with one shard, its control listener on the shard's thread.
struct Server {
    net: net::Server,
    sip: SocketAddr,
    control: SocketAddr,
}

impl Server {
    fn start() -> Server {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let control = listener.address().unwrap();
        let companion: Companion = Box::new(move |commands| {
            Box::pin(async move {
                serve(listener, ControlConfig::new("cymru"), commands)
                    .await
                    .unwrap()
            })
        });
        let timers = Timers {
            t1: Duration::from_millis(50),
            t2: Duration::from_millis(100),
            t4: Duration::from_millis(100),
            ..Timers::default()
        };
        let listen = net::listen::parse("sip:127.0.0.1:0;transport=udp").unwrap();
        let config = ServerConfig {
            listen: listen.into_iter().collect(),
            timers,
            drachtio_compatible: true,
            companions: vec![companion],
            ..ServerConfig::default()
        };
        let net = net::Server::start(config).unwrap();
        let sip = net.listeners()[0].bound;
        Server { net, sip, control }
    }

    fn client(&self) -> Client {
        let mut client = Client::connect(self.control);
        client.send("m0|authenticate|cymru|");
        let welcome = client.next();
        assert!(
            welcome.ends_with(&format!("|udp/{}", self.sip)),
            "{welcome}"
        );
        client
    }

    /// Waits until nothing is left of any call; fails after ten seconds. An INVITE that was sent and refused stays `refused` times: its
    /// timer D is 32 seconds, whatever T1 is (RFC 3261 §17.1.1.2).
    fn wait_idle(&self, client: &mut Client, refused: usize) {
        let idle = format!(
            "\"server_transactions\":0,\"client_transactions\":{refused},\"dialogs\":0,\"proxies\":0,\"timers\":{refused},\"resolves\":0,"
        );
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            client.send("status|status");
            let status = client.next();
            assert!(
                status.contains("|response|status|OK|"),
                "an unexpected frame: {status}"
            );
            if status.contains(&idle) {
                return;
            }
            assert!(Instant::now() < deadline, "not idle: {status}");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.net.stop(Duration::from_secs(5));
    }
}

/// A SIP peer that sends and reads datagrams.
struct Peer {
    socket: UdpSocket,
    server: SocketAddr,
}

impl Peer {
    fn new(server: &Server) -> Peer {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        Peer {
            socket,
            server: server.sip,
        }
    }

    fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    fn send(&self, message: &str) {
        self.socket
            .send_to(message.as_bytes(), self.server)
            .unwrap();
    }

    /// The next message that starts with `start`; repetitions of others are passed over.
    fn receive(&self, start: &str) -> String {
        let mut buffer = [0; 65_536];
        let mut passed = Vec::new();
        while passed.len() < 20 {
            let Ok((length, _)) = self.socket.recv_from(&mut buffer) else {
                break;
            };
            let message = String::from_utf8(buffer[..length].to_vec()).unwrap();
            if message.starts_with(start) {
                return message;
            }
            passed.push(message);
        }
        panic!("no {start}; received {passed:#?}");
    }

    /// A request of a call whose From tag is `ft1`.
    fn request(&self, method: &str, sequence: u32, branch: &str, to_tag: Option<&str>) -> String {
        let to_tag = to_tag.map(|tag| format!(";tag={tag}")).unwrap_or_default();
        let (peer, server) = (self.address(), self.server);
        format!(
            "{method} sip:bob@{server} SIP/2.0\r\nVia: SIP/2.0/UDP {peer};branch=z9hG4bK-{branch}\r\nMax-Forwards: 70\r\n\
             From: <sip:alice@{peer}>;tag=ft1\r\nTo: <sip:bob@{server}>{to_tag}\r\nCall-ID: cid-1@peer\r\nCSeq: {sequence} {method}\r\n\
             Contact: <sip:alice@{peer}>\r\nContent-Length: 0\r\n\r\n"
        )
    }

    /// A response to a request that was received.
    fn respond(&self, request: &str, status: &str, to_tag: &str) {
        let mut response = format!("SIP/2.0 {status}\r\n");
        for line in request.lines().skip(1).take_while(|line| !line.is_empty()) {
            let name = line.split(':').next().unwrap().to_ascii_lowercase();
            if matches!(
                name.as_str(),
                "via" | "from" | "call-id" | "cseq" | "record-route"
            ) {
                response.push_str(&format!("{line}\r\n"));
            } else if name == "to" {
                let tag = if line.contains(";tag=") {
                    String::new()
                } else {
                    format!(";tag={to_tag}")
                };
                response.push_str(&format!("{line}{tag}\r\n"));
            }
        }
        response.push_str(&format!(
            "Contact: <sip:carol@{}>\r\nContent-Length: 0\r\n\r\n",
            self.address()
        ));
        self.send(&response);
    }
}

fn tokens(frame: &str) -> Vec<&str> {
    frame.lines().next().unwrap().split('|').collect()
}

fn header<'a>(message: &'a str, name: &str) -> &'a str {
    let prefix = format!("{name}: ");
    message
        .lines()
        .find_map(|line| line.strip_prefix(&prefix))
        .unwrap_or_else(|| panic!("no {name} in {message}"))
}

fn tag(value: &str) -> &str {
    value.split(";tag=").nth(1).unwrap()
}

const DIALOG: &str = "cid-1@peer;from-tag=ft1";

#[test]
fn a_call_is_received_answered_and_hung_up_by_the_peer() {
    let server = Server::start();
    let (mut client, peer) = (server.client(), Peer::new(&server));
    client.send("m1|route|invite");
    client.next();
    let invite = peer.request("INVITE", 1, "1", None);
    peer.send(&invite);
    peer.receive("SIP/2.0 100 ");
    let frame = client.next();
    let meta = tokens(&frame);
    let (port, size) = (peer.address().port().to_string(), invite.len().to_string());
    assert_eq!(
        meta[1..7],
        ["sip", "network", &size, "udp", "127.0.0.1", &port]
    );
    let transaction = meta[8].to_owned();
    assert_eq!(
        meta[9..],
        ["", "127.0.0.1", &server.sip.port().to_string(), ""]
    );
    assert!(frame.contains("\r\nINVITE sip:bob@"));

    client.send(&format!(
        "m2|sip|{transaction}|\r\nSIP/2.0 180 Ringing\r\n\r\n"
    ));
    let ringing = client.next();
    let meta = tokens(&ringing);
    assert_eq!(meta[1..5], ["response", "m2", "OK", "application"]);
    assert_eq!(meta[6..9], ["udp", "127.0.0.1", &port]);
    assert_eq!(
        meta[10..],
        [transaction.as_str(), DIALOG, "", "Msg sent:", ""]
    );
    let on_the_wire = peer.receive("SIP/2.0 180 ");
    assert_eq!(
        ringing.split_once("\r\n").unwrap().1,
        on_the_wire,
        "the echo is what was sent"
    );

    client.send(&format!(
        "m3|sip|{transaction}|\r\nSIP/2.0 200 OK\r\nContent-Length: 3\r\n\r\nv=0\r\n"
    ));
    let ok = client.next();
    assert_eq!(tokens(&ok)[11], DIALOG);
    let ok = peer.receive("SIP/2.0 200 ");
    assert!(
        ok.ends_with("Content-Length: 5\r\n\r\nv=0\r\n")
            && header(&ok, "Content-Type") == "application/sdp",
        "{ok}"
    );
    let to_tag = tag(header(&ok, "To"));
    peer.send(&peer.request("ACK", 1, "2", Some(to_tag)));
    let ack = client.next();
    assert_eq!(tokens(&ack)[8..], [transaction.as_str(), DIALOG, ""]);
    assert!(ack.contains("\r\nACK sip:"));

    peer.send(&peer.request("BYE", 2, "3", Some(to_tag)));
    let bye = client.next();
    let meta = tokens(&bye);
    assert_eq!(meta[9..], [DIALOG, ""]);
    assert_ne!(meta[8], transaction);
    client.send(&format!("m4|sip|{}|\r\nSIP/2.0 200 OK\r\n\r\n", meta[8]));
    assert!(client.next().contains("|response|m4|OK|application|"));
    peer.receive("SIP/2.0 200 ");
    server.wait_idle(&mut client, 0);
}

#[test]
fn a_call_is_placed_acknowledged_and_hung_up_by_the_application() {
    let server = Server::start();
    let (mut client, peer) = (server.client(), Peer::new(&server));
    let target = peer.address();
    client.send(&format!(
        "m1|sip||\r\nINVITE sip:carol@{target} SIP/2.0\r\nfrom: <sip:bob@localhost>\r\n\r\nv=0\r\n"
    ));
    let echo = client.next();
    let meta = tokens(&echo);
    let port = server.sip.port().to_string();
    assert_eq!(meta[1..5], ["response", "m1", "OK", "application"]);
    assert_eq!(meta[6..9], ["udp", "127.0.0.1", &port]);
    assert_eq!(meta[11..], ["Msg sent:", ""]);
    let transaction = meta[10].to_owned();
    let invite = peer.receive("INVITE ");
    assert_eq!(echo.split_once("\r\n").unwrap().1, invite);
    let dialog = format!(
        "{};from-tag={}",
        header(&invite, "Call-ID"),
        tag(header(&invite, "From"))
    );

    for status in ["100 Trying", "180 Ringing", "200 OK"] {
        peer.respond(&invite, status, "ct9");
    }
    for status in ["180 Ringing", "200 OK"] {
        let frame = client.next();
        let meta = tokens(&frame);
        assert_eq!(meta[1..3], ["sip", "network"]);
        assert_eq!(meta[8..], [transaction.as_str(), &dialog, ""], "{frame}");
        assert!(
            frame.contains(&format!("\r\nSIP/2.0 {status}\r\n")),
            "{frame}"
        );
    }
    client.send(&format!(
        "m2|sip||{dialog}\r\nACK sip:placeholder SIP/2.0\r\n\r\n"
    ));
    let echo = client.next();
    assert_eq!((tokens(&echo)[2], tokens(&echo)[11]), ("m2", "Msg sent:"));
    assert!(
        peer.receive("ACK ")
            .starts_with(&format!("ACK sip:carol@{target} SIP/2.0\r\n"))
    );

    client.send(&format!(
        "m3|sip||{dialog}\r\nBYE sip:placeholder SIP/2.0\r\n\r\n"
    ));
    let echo = client.next();
    let transaction = tokens(&echo)[10].to_owned();
    let bye = peer.receive("BYE ");
    peer.respond(&bye, "200 OK", "ct9");
    let answer = client.next();
    assert_eq!(
        tokens(&answer)[8..],
        [transaction.as_str(), &dialog, ""],
        "{answer}"
    );
    assert!(answer.contains("\r\nSIP/2.0 200 OK\r\n"));
    server.wait_idle(&mut client, 0);
}

#[test]
fn a_call_is_cancelled_by_the_application() {
    let server = Server::start();
    let (mut client, peer) = (server.client(), Peer::new(&server));
    client.send(&format!(
        "m1|sip||\r\nINVITE sip:carol@{} SIP/2.0\r\n\r\n",
        peer.address()
    ));
    let echo = client.next();
    let transaction = tokens(&echo)[10].to_owned();
    let invite = peer.receive("INVITE ");
    peer.respond(&invite, "180 Ringing", "ct9");
    assert!(client.next().contains("\r\nSIP/2.0 180 "));
    client.send(&format!(
        "m2|sip|{transaction}|\r\nCANCEL sip:x SIP/2.0\r\nReason: SIP;cause=200\r\n\r\n"
    ));
    let echo = client.next();
    let meta = tokens(&echo);
    assert_eq!((meta[2], meta[3], meta[11]), ("m2", "OK", "Msg sent:"));
    assert_ne!(meta[10], transaction);
    let cancel = peer.receive("CANCEL ");
    assert_eq!(header(&cancel, "Reason"), "SIP;cause=200");
    peer.respond(&cancel, "200 OK", "ct9");
    peer.respond(&invite, "487 Request Terminated", "ct9");
    peer.receive("ACK ");
    let answer = client.next();
    assert_eq!(tokens(&answer)[8], transaction);
    assert!(
        answer.contains("\r\nSIP/2.0 487 "),
        "the 200 to the CANCEL is not passed up: {answer}"
    );
    client.send(&format!(
        "m3|sip|{transaction}|\r\nCANCEL sip:x SIP/2.0\r\n\r\n"
    ));
    assert!(client.next().contains(&format!(
        "|response|m3|NOK|unable to cancel unknown transaction id: {transaction}"
    )));
    server.wait_idle(&mut client, 1);
}

#[test]
fn a_call_is_cancelled_by_the_peer() {
    let server = Server::start();
    let (mut client, peer) = (server.client(), Peer::new(&server));
    client.send("m1|route|invite");
    client.next();
    peer.send(&peer.request("INVITE", 1, "1", None));
    let frame = client.next();
    let transaction = tokens(&frame)[8].to_owned();
    peer.receive("SIP/2.0 100 ");
    peer.send(&peer.request("CANCEL", 1, "1", None));
    peer.receive("SIP/2.0 200 ");
    let refused = peer.receive("SIP/2.0 487 ");
    peer.send(&peer.request("ACK", 1, "1", Some(tag(header(&refused, "To")))));
    let cancel = client.next();
    assert_eq!(
        tokens(&cancel)[8..],
        [transaction.as_str(), "", ""],
        "{cancel}"
    );
    assert!(cancel.contains("\r\nCANCEL sip:"));
    client.send(&format!("m2|sip|{transaction}|\r\nSIP/2.0 200 OK\r\n\r\n"));
    assert!(
        client
            .next()
            .ends_with("|response|m2|NOK|Response not sent due to unknown transaction")
    );
    server.wait_idle(&mut client, 0);
}

#[test]
fn a_call_is_proxied_and_each_final_response_reported() {
    let server = Server::start();
    let (mut client, caller) = (server.client(), Peer::new(&server));
    let (busy, callee) = (Peer::new(&server), Peer::new(&server));
    client.send("m1|route|invite");
    client.next();
    caller.send(&caller.request("INVITE", 1, "1", None));
    let frame = client.next();
    let transaction = tokens(&frame)[8].to_owned();
    let targets = format!("sip:{}|sip:{}", busy.address(), callee.address());
    client.send(&format!(
        "m2|proxy|{transaction}|remainInDialog|fullResponse||serial|2s|18s|{targets}\r\nINVITE sip:x SIP/2.0\r\nX-Added: yes\r\n\r\n"
    ));
    let invite = busy.receive("INVITE ");
    assert_eq!(header(&invite, "X-Added"), "yes");
    busy.respond(&invite, "486 Busy Here", "x1");
    busy.receive("ACK ");
    let invite = callee.receive("INVITE ");
    callee.respond(&invite, "180 Ringing", "x2");
    caller.receive("SIP/2.0 180 ");
    callee.respond(&invite, "200 OK", "x2");
    let ok = caller.receive("SIP/2.0 200 ");
    for (peer, status) in [(&busy, "486 Busy Here"), (&callee, "200 OK")] {
        let frame = client.next();
        let meta = tokens(&frame);
        assert_eq!(meta[1..5], ["response", "m2", "OK", "network"]);
        assert_eq!(
            meta[6..9],
            ["udp", "127.0.0.1", &peer.address().port().to_string()]
        );
        assert_eq!(meta[10..], ["", "", "continue"]);
        assert!(
            frame.contains(&format!("\r\nSIP/2.0 {status}\r\n")),
            "{frame}"
        );
    }
    assert!(client.next().ends_with("|response|m2|OK|done"));
    // The ACK takes the route that the server recorded, and goes on to the callee.
    let ack = caller.request("ACK", 1, "2", Some("x2")).replace(
        "\r\nContact:",
        &format!("\r\nRoute: {}\r\nContact:", header(&ok, "Record-Route")),
    );
    let ack = ack.replacen(
        &format!("sip:bob@{}", server.sip),
        &format!("sip:carol@{}", callee.address()),
        1,
    );
    caller.send(&ack);
    callee.receive("ACK sip:carol@");
    server.wait_idle(&mut client, 1);
}

#[test]
fn nobody_asked_for_a_method_so_it_is_refused() {
    let server = Server::start();
    let (mut client, peer) = (server.client(), Peer::new(&server));
    client.send("m1|route|invite");
    client.next();
    client.send("m2|remove_route|invite");
    client.next();
    peer.send(&peer.request("INVITE", 1, "1", None));
    let refused = peer.receive("SIP/2.0 503 ");
    peer.send(&peer.request("ACK", 1, "1", Some(tag(header(&refused, "To")))));
    server.wait_idle(&mut client, 0);
}

#[test]
fn requests_in_dialogs_nobody_knows_fail() {
    let server = Server::start();
    let mut client = server.client();
    client.send("m1|sip||no-such-dialog;from-tag=zz\r\nBYE sip:placeholder SIP/2.0\r\n\r\n");
    assert!(
        client.next().ends_with(
            "|response|m1|NOK|Server error: unable to find dialog for dialog id provided"
        )
    );
    client.send("m2|sip||\r\nOPTIONS not-a-uri SIP/2.0\r\n\r\n");
    assert!(
        client
            .next()
            .contains("|response|m2|NOK|invalid request-uri: ")
    );
    client.send("m3|sip||\r\nMESSAGE sip:a@127.0.0.1:9 SIP/2.0\r\n\r\nhello");
    assert!(
        client
            .next()
            .ends_with("|response|m3|NOK|missing content-type")
    );
}
