//! WebSocket (RFC 7118): one message is one SIP message whatever its frames; what is no upgrade to `sip` gets an answer and is closed; a peer
//! that is slow, too loud or gone costs itself alone.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod certificates;
mod support;
use certificates::{Authority, Client, Folder, store, tls};
use engine::seam::Commands;
use engine::transport::Transport;
use net::{Server, ServerConfig, StreamConfig};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use support::{
    Peer, TcpPeer, address, connections, listening, options, request, response, start, total,
    wait_for,
};
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::frame::{Frame, FrameHeader};
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Message, WebSocket};

const LISTEN: &str = "sip:127.0.0.1:0;transport=ws";
const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: sip.example.com\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nOrigin: https://phone.example.com\r\n\
                       Sec-WebSocket-Protocol: chat, sip\r\n\r\n";

fn with(stream: StreamConfig) -> (Server, std::sync::Arc<support::Application>) {
    let (server, application, _events) = start(ServerConfig {
        stream,
        ..listening(LISTEN)
    });
    (server, application)
}

/// The answer to an HTTP request, and the stream behind it.
fn upgrade<S: Read + Write>(mut stream: S, request: &str) -> (String, S) {
    stream.write_all(request.as_bytes()).unwrap();
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    (String::from_utf8(head).unwrap(), stream)
}

/// A phone in a browser, as far as the network sees it.
fn browser<S: Read + Write>(stream: S) -> WebSocket<S> {
    let (head, stream) = upgrade(stream, UPGRADE);
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(
        head.contains("\r\nSec-WebSocket-Protocol: sip\r\n"),
        "{head}"
    );
    assert!(
        head.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
        "{head}"
    );
    WebSocket::from_raw_socket(stream, Role::Client, Some(WebSocketConfig::default()))
}

fn connect(to: SocketAddr) -> WebSocket<TcpStream> {
    browser(support::connect(to))
}

fn options_text(call_id: &str) -> String {
    let local = "192.0.2.5:5060".parse().unwrap();
    // Messages of a WebSocket need no Content-Length (RFC 7118 §5).
    options("WS", local, call_id, "").replace("Content-Length: 0\r\n", "")
}

fn read_text<S: Read + Write>(socket: &mut WebSocket<S>) -> String {
    loop {
        match socket.read().unwrap() {
            Message::Text(text) => return text.to_string(),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

fn frame(payload: &[u8], opcode: OpCode, is_final: bool) -> Message {
    let header = FrameHeader {
        is_final,
        opcode,
        ..FrameHeader::default()
    };
    Message::Frame(Frame::from_payload(header, payload.to_vec().into()))
}

#[test]
fn a_message_is_answered_whether_it_is_text_or_binary() {
    let (server, _application) = with(StreamConfig::default());
    let mut socket = connect(address(&server, Transport::Ws));
    socket.send(Message::text(options_text("text"))).unwrap();
    let answer = read_text(&mut socket);
    assert!(
        answer.starts_with("SIP/2.0 200 ") && answer.contains("Call-ID: text\r\n"),
        "{answer}"
    );
    socket
        .send(Message::binary(options_text("binary").into_bytes()))
        .unwrap();
    assert!(read_text(&mut socket).contains("Call-ID: binary\r\n"));
}

#[test]
fn a_message_may_come_in_many_frames_with_a_ping_in_between() {
    let (server, _application) = with(StreamConfig::default());
    let mut socket = connect(address(&server, Transport::Ws));
    let text = options_text("frames");
    let parts: Vec<&[u8]> = text.as_bytes().chunks(7).collect();
    for (number, part) in parts.iter().enumerate() {
        let opcode = if number == 0 {
            Data::Text
        } else {
            Data::Continue
        };
        let is_final = number + 1 == parts.len();
        socket
            .send(frame(part, OpCode::Data(opcode), is_final))
            .unwrap();
        if number == 3 {
            socket
                .send(Message::Ping(b"there?".to_vec().into()))
                .unwrap();
        }
    }
    assert_eq!(
        socket.read().unwrap(),
        Message::Pong(b"there?".to_vec().into())
    );
    assert!(read_text(&mut socket).contains("Call-ID: frames\r\n"));
}

#[test]
fn what_cannot_be_read_costs_itself_and_not_the_connection() {
    let (server, _application) = with(StreamConfig::default());
    let mut socket = connect(address(&server, Transport::Ws));
    socket.send(Message::text("this is not SIP")).unwrap();
    socket.send(Message::text(options_text("after"))).unwrap();
    assert!(read_text(&mut socket).contains("Call-ID: after\r\n"));
    assert_eq!(total(&server.counts(), "malformed"), 1);
}

#[test]
fn a_message_that_is_too_long_is_refused_and_the_connection_closed() {
    let (server, _application) = with(StreamConfig::default());
    let mut socket = connect(address(&server, Transport::Ws));
    socket.send(Message::text("x".repeat(140_000))).unwrap();
    match socket.read().unwrap() {
        Message::Close(Some(close)) => assert_eq!(close.code, CloseCode::Size),
        other => panic!("{other:?}"),
    }
    wait_for(&server, "it is forgotten", |counts| {
        connections(counts) == 0
    });
}

#[test]
fn a_frame_without_a_mask_is_refused() {
    let (server, _application) = with(StreamConfig::default());
    let (_, mut stream) = upgrade(support::connect(address(&server, Transport::Ws)), UPGRADE);
    // RFC 6455 §5.1: clients mask.
    stream.write_all(&[0x81, 0x02, b'h', b'i']).unwrap();
    let mut frame = [0; 4];
    stream.read_exact(&mut frame).unwrap();
    assert_eq!(frame, [0x88, 0x02, 0x03, 0xea], "closed with 1002");
}

#[test]
fn a_keep_alive_of_a_script_is_answered() {
    let (server, _application) = with(StreamConfig::default());
    let mut socket = connect(address(&server, Transport::Ws));
    socket.send(Message::text("\r\n\r\n")).unwrap();
    assert_eq!(read_text(&mut socket), "\r\n");
    assert_eq!(total(&server.counts(), "malformed"), 0);
}

#[test]
fn pongs_that_are_not_read_are_bounded_and_their_connection_closed() {
    for bytes in [125, 0] {
        let (server, _application) = with(StreamConfig {
            write_queue: 32 * 1024,
            ..StreamConfig::default()
        });
        let mut socket = connect(address(&server, Transport::Ws));
        let mut ping = vec![0x89, 0x80 | bytes, 0, 0, 0, 0];
        ping.resize(6 + usize::from(bytes), 0);
        let pings = ping.repeat(1000);
        // The kernel's buffers take some megabytes of pongs, then the queue takes 32 KiB, then it is over.
        let is_closed =
            (0..64_000_000 / pings.len()).any(|_| socket.get_mut().write_all(&pings).is_err());
        assert!(is_closed, "the connection was kept: {:?}", server.counts());
        wait_for(&server, "it is forgotten", |counts| {
            connections(counts) == 0
        });
        let mut other = connect(address(&server, Transport::Ws));
        other.send(Message::text(options_text("other"))).unwrap();
        assert!(read_text(&mut other).contains("Call-ID: other\r\n"));
    }
}

#[test]
fn closing_is_answered() {
    let (server, _application) = with(StreamConfig::default());
    let mut socket = connect(address(&server, Transport::Ws));
    socket.close(None).unwrap();
    assert!(matches!(socket.read().unwrap(), Message::Close(_)));
    assert!(socket.read().is_err());
    let counts = wait_for(&server, "it is forgotten", |counts| {
        connections(counts) == 0
    });
    assert_eq!(total(&counts, "handshakes_failed"), 0);
}

#[test]
fn what_is_no_upgrade_to_sip_gets_an_answer_and_is_closed() {
    let (server, _application) = with(StreamConfig {
        origins: vec!["https://phone.example.com".to_owned()],
        ..StreamConfig::default()
    });
    let to = address(&server, Transport::Ws);
    let cases = [
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), "426 "),
        ("POST / HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), "400 "),
        (
            options("TCP", "192.0.2.1:5060".parse().unwrap(), "sip", ""),
            "400 ",
        ),
        ("\r\n\r\n\r\n".to_owned(), "400 "),
        (UPGRADE.replace("chat, sip", "chat"), "400 "),
        (UPGRADE.replace("Sec-WebSocket-Protocol", "X-Other"), "400 "),
        (UPGRADE.replace("Version: 13", "Version: 8"), "426 "),
        (
            UPGRADE.replace("Upgrade: websocket", "Upgrade: other"),
            "400 ",
        ),
        (UPGRADE.replace("phone.example.com", "evil.example"), "403 "),
        (
            format!("GET / HTTP/1.1\r\nCookie: {}\r\n\r\n", "x".repeat(17_000)),
            "431 ",
        ),
    ];
    let count = cases.len();
    for (text, status) in cases {
        let mut peer = TcpPeer::connect(to);
        peer.write(&text);
        let answer = peer.read_to_end();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{text}: {answer}"
        );
        // RFC 6455 §4.2.2: what would have been taken.
        assert!(
            answer.contains("\r\nSec-WebSocket-Version: 13\r\nConnection: Upgrade, close\r\n"),
            "{answer}"
        );
    }
    let counts = wait_for(&server, "they are forgotten", |counts| {
        connections(counts) == 0
    });
    assert_eq!(
        (
            total(&counts, "handshakes_failed"),
            total(&counts, "panics")
        ),
        (count as u64, 0)
    );
    // A page that may, and a phone that is no browser.
    browser(support::connect(to));
    let (head, _) = upgrade(support::connect(to), &UPGRADE.replace("Origin", "X-Origin"));
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
}

#[test]
fn a_silent_peer_is_asked_and_closed_when_it_does_not_answer() {
    let (server, _application) = with(StreamConfig {
        ping_interval: Duration::from_millis(50),
        pong_timeout: Duration::from_millis(200),
        ..StreamConfig::default()
    });
    let to = address(&server, Transport::Ws);
    let (_, mut dead) = upgrade(support::connect(to), UPGRADE);
    let mut alive = connect(to);
    let mut pings = 0;
    // Reading answers the pings.
    while pings < 8 {
        if let Message::Ping(_) = alive.read().unwrap() {
            alive.flush().unwrap();
            pings += 1;
        }
    }
    let mut said = Vec::new();
    dead.read_to_end(&mut said).unwrap();
    assert!(said.starts_with(&[0x89, 0x00]), "a ping came: {said:?}");
    wait_for(&server, "the other stays", |counts| {
        connections(counts) == 1
    });
    alive.send(Message::text(options_text("alive"))).unwrap();
    assert!(read_text(&mut alive).starts_with("SIP/2.0 200 "));
}

#[test]
fn pings_give_a_message_that_does_not_end_no_time_and_thousands_of_them_end_the_connection() {
    let (server, _application) = with(StreamConfig {
        message_timeout: Duration::from_millis(300),
        ..StreamConfig::default()
    });
    let to = address(&server, Transport::Ws);
    let ping = [0x89, 0x80, 0, 0, 0, 0];
    let (_, mut slow) = upgrade(support::connect(to), UPGRADE);
    slow.write_all(&[0x01, 0x81, 0, 0, 0, 0, b'x']).unwrap();
    let ended = (0..500).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        slow.write_all(&ping).is_err()
    });
    assert!(ended, "10 s with pings in between");
    let (_, mut flood) = upgrade(support::connect(to), UPGRADE);
    // The server may be gone before all of it is written.
    let _ = flood.write_all(&ping.repeat(5000));
    let _ = flood.read_to_end(&mut Vec::new());
    wait_for(&server, "both are closed", |counts| {
        connections(counts) == 0 && total(counts, "connections_closed") == 2
    });
}

#[test]
fn an_upgrade_or_a_frame_that_does_not_end_costs_itself_alone() {
    let (server, _application) = with(StreamConfig {
        handshake_timeout: Duration::from_millis(200),
        message_timeout: Duration::from_millis(200),
        ..StreamConfig::default()
    });
    let to = address(&server, Transport::Ws);
    let mut good = connect(to);
    let mut slow: Vec<TcpPeer> = (0..10).map(|_| TcpPeer::connect(to)).collect();
    for (number, peer) in slow.iter_mut().enumerate() {
        peer.write(&UPGRADE[..number * 20]);
    }
    let pieces: [&[u8]; 4] = [
        &[0x81],
        &[0x81, 0xfe, 0x01],
        &[0x81, 0x85, 1, 2, 3, 4, 5],
        &[0x01, 0x81, 0, 0, 0, 0, b'x'],
    ];
    let mut stuck: Vec<TcpStream> = Vec::new();
    for piece in pieces {
        let (_, mut stream) = upgrade(support::connect(to), UPGRADE);
        stream.write_all(piece).unwrap();
        stuck.push(stream);
    }
    good.send(Message::text(options_text("meanwhile"))).unwrap();
    assert!(read_text(&mut good).starts_with("SIP/2.0 200 "));
    for mut peer in slow.into_iter().chain(stuck.into_iter().map(Peer::over)) {
        peer.read_to_end();
    }
    wait_for(&server, "only the good one is left", |counts| {
        connections(counts) == 1
    });
}

#[test]
fn a_request_of_ours_goes_over_a_websocket_that_we_open() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let pair = authority.certificate(&["127.0.0.1"]).write(&folder, "own");
    let store = store(tls(
        vec![pair],
        &[&folder.write("authority.pem", &authority.pem)],
    ));
    for (name, transport) in [("ws", Transport::Ws), ("wss", Transport::Wss)] {
        let config = || ServerConfig {
            tls: Some(store.clone()),
            ..listening(&format!("sip:127.0.0.1:0;transport={name}"))
        };
        let (other, _other_application, other_events) = start(config());
        let (server, application, events) = start(config());
        for opened in [1, 1] {
            application.ask(&format!(
                "sip:{};transport={name}",
                address(&other, transport)
            ));
            let asked = request(&other_events);
            assert_eq!(asked.origin.transport, transport);
            let via = format!("SIP/2.0/{} ", name.to_uppercase());
            let text = String::from_utf8(asked.message.bytes().to_vec()).unwrap();
            assert!(text.contains(&format!("Via: {via}")), "{text}");
            assert_eq!(response(&events).status(), 200);
            assert_eq!(total(&server.counts(), "connections_opened"), opened);
        }
    }
}

#[test]
fn a_web_server_that_is_asked_for_a_websocket_fails_the_request() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]).unwrap();
        stream
            .write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            .unwrap();
    });
    let (server, application, events) = start(listening(LISTEN));
    application.ask(&format!("sip:127.0.0.1:{port};transport=ws"));
    assert_eq!(response(&events).status(), 503);
    answering.join().unwrap();
    wait_for(&server, "it is forgotten", |counts| {
        connections(counts) == 0 && total(counts, "handshakes_failed") == 1
    });
}

#[test]
fn a_browser_is_answered_over_tls() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let pair = authority
        .certificate(&["sip.example.com"])
        .write(&folder, "own");
    let (server, _application, _events) = start(ServerConfig {
        tls: Some(store(tls(vec![pair], &[]))),
        ..listening("sips:127.0.0.1:0;transport=ws")
    });
    let client = Client::trusting(&authority);
    let stream = client
        .connect(address(&server, Transport::Wss), "sip.example.com")
        .unwrap();
    let mut socket = browser(stream);
    for number in 0..20 {
        socket
            .send(Message::text(options_text(&format!("wss{number}"))))
            .unwrap();
        assert!(read_text(&mut socket).contains(&format!("Call-ID: wss{number}\r\n")));
    }
    socket.close(None).unwrap();
    assert!(matches!(socket.read().unwrap(), Message::Close(_)));
    wait_for(&server, "it is forgotten", |counts| {
        connections(counts) == 0
    });
}

#[test]
fn a_browser_that_is_only_pinged_is_closed_by_a_ban() {
    let mut config = listening(LISTEN);
    config.admission.limits.trusted = Vec::new();
    config.stream.ping_interval = Duration::from_millis(100);
    let (server, _application, _events) = start(config);
    let mut socket = connect(address(&server, Transport::Ws));
    assert!(matches!(socket.read(), Ok(Message::Ping(_))));
    server.ban(
        "127.0.0.0/8".parse().unwrap(),
        Some(Duration::from_secs(60)),
    );
    // The goodbye, or the end of it.
    while matches!(socket.read(), Ok(Message::Ping(_))) {}
    wait_for(&server, "it is gone", |counts| connections(counts) == 0);
}
