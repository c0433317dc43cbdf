//! Which connection over TLS takes what: a response goes to whoever proves to be the sent-by of its Via (RFC 3261 §18.2.2), a request to who
//! proved its name and asked for such by `alias` (RFC 5923), and nothing goes to anybody else.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod certificates;
mod support;
use certificates::{Authority, Client, Folder, TlsStream, demanding, store, tls};
use engine::command::{Command, Proxy, ProxyOptions};
use engine::event::Event;
use engine::id::{ApplicationId, CommandId};
use engine::seam::{Commands, Events};
use engine::transport::Transport;
use net::tls::ClientCertificates;
use net::{Server, ServerConfig, StreamConfig};
use std::net::TcpListener;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use support::{
    Application, Peer, address, connections, listening, options, receive, response, start, total,
    udp_peer, wait_for,
};

const LISTEN: &str = "sip:127.0.0.1:0;transport=tls";

/// A server with a certificate for these names, which asks for those of its clients.
fn serve(
    folder: &Folder,
    authority: &Authority,
    names: &[&str],
) -> (Server, Arc<Application>, Receiver<(u8, Event)>) {
    serve_with(folder, authority, names, true)
}

fn serve_with(
    folder: &Folder,
    authority: &Authority,
    names: &[&str],
    alias: bool,
) -> (Server, Arc<Application>, Receiver<(u8, Event)>) {
    let pair = authority.certificate(names).write(folder, names[0]);
    let trusted = folder.write("authority.pem", &authority.pem);
    let config = tls(vec![pair], &[&trusted]);
    start(ServerConfig {
        tls: Some(store(demanding(config, ClientCertificates::Asked))),
        stream: StreamConfig {
            alias,
            ..StreamConfig::default()
        },
        ..listening(LISTEN)
    })
}

fn connect(server: &Server, client: &Client, name: &str) -> Peer<TlsStream> {
    let to = address(server, Transport::Tls);
    Peer::over(client.connect(to, name).unwrap())
}

/// An OPTIONS whose Via says that it is from `sent_by`.
fn from(sent_by: &str, peer: &Peer<TlsStream>, call_id: &str) -> String {
    let local = peer.stream.sock.local_addr().unwrap();
    options("TLS", local, call_id, "").replacen(&local.to_string(), sent_by, 1)
}

/// An INVITE that was answered over a connection which ended: the 200 is repeated (RFC 3261 §13.3.1.4).
fn answers_without_connection(server: &Server, client: &Client, sent_by: &str) {
    let mut peer = connect(server, client, "own.example");
    let contact = format!("Contact: <sip:caller@{sent_by};transport=tls>\r\nContent-Length");
    let invite = from(sent_by, &peer, "invite")
        .replace("OPTIONS", "INVITE")
        .replace("Content-Length", &contact);
    peer.write(&invite);
    while !peer.read().starts_with("SIP/2.0 200 ") {}
}

#[test]
fn a_response_whose_connection_is_gone_goes_to_whoever_proves_to_be_the_sent_by() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let (other, _other_application, _other_events) = serve(&folder, &authority, &["localhost"]);
    let (server, _application, _events) = serve(&folder, &authority, &["own.example"]);
    let sent_by = format!("LocalHost.:{}", address(&other, Transport::Tls).port());
    answers_without_connection(&server, &Client::trusting(&authority), &sent_by);
    wait_for(&other, "the response is there", |counts| {
        total(counts, "stray_responses") > 0
    });
    assert_eq!(total(&server.counts(), "connections_opened"), 1);
    assert_eq!(total(&server.counts(), "handshakes_failed"), 0);
}

#[test]
fn nobody_else_at_that_address_is_sent_a_response() {
    let (folder, authority) = (Folder::new(), Authority::new());
    // It proves the address, and the Via named a domain.
    let (other, _other_application, _other_events) = serve(&folder, &authority, &["127.0.0.1"]);
    let (server, _application, _events) = serve(&folder, &authority, &["own.example"]);
    let sent_by = format!("localhost:{}", address(&other, Transport::Tls).port());
    answers_without_connection(&server, &Client::trusting(&authority), &sent_by);
    wait_for(&server, "it is refused", |counts| {
        total(counts, "handshakes_failed") > 0
    });
    assert_eq!(total(&other.counts(), "stray_responses"), 0);
}

#[test]
fn nobody_is_connected_to_for_a_host_that_a_browser_gave_itself() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let (server, _application, events) = serve(&folder, &authority, &["own.example"]);
    answers_without_connection(&server, &Client::trusting(&authority), "q1w2e3.invalid");
    wait_for(&server, "the connection is gone", |counts| {
        connections(counts) == 0
    });
    wait_for(&server, "the answer is repeated", |counts| {
        total(counts, "retransmissions_out") > 0
    });
    assert_eq!(total(&server.counts(), "connections_opened"), 0);
    drop(events);
}

/// A port at which nobody listens.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A peer whose certificate names this one sends a request with these parameters in its Via, and a request is sent to `to` at its port.
fn aliased(names: Option<&str>, sent_by: &str, params: &str, to: &str) -> Option<String> {
    let (folder, authority) = (Folder::new(), Authority::new());
    let (server, application, events) = serve(&folder, &authority, &["own.example"]);
    let client = Client {
        own: names.map(|name| authority.certificate(&[name])),
        ..Client::trusting(&authority)
    };
    let mut peer = connect(&server, &client, "own.example");
    let port = free_port();
    let request = from(&format!("{sent_by}:{port}"), &peer, "alias").replacen(
        ";rport",
        &format!("{params};rport"),
        1,
    );
    peer.write(&request);
    assert!(peer.read().starts_with("SIP/2.0 200 "));
    application.ask(&format!("sip:{to}:{port};transport=tls"));
    // Nobody listens there: either the connection takes it, or none does.
    wait_for(&server, "it is sent or not", |counts| {
        total(counts, "connections_opened") > 0 || total(counts, "stream_sent") > 1
    });
    if total(&server.counts(), "connections_opened") > 0 {
        let response = response(&events);
        assert_eq!(response.status(), 503);
        assert_eq!(response.reason(), "Service Unavailable: connection refused");
        return None;
    }
    Some(peer.read())
}

#[test]
fn a_proved_alias_is_followed() {
    let request = aliased(Some("localhost"), "localhost", ";alias", "localhost").unwrap();
    assert!(request.starts_with("OPTIONS sip:localhost:"), "{request}");
    // One name, however it is written (RFC 1035 §2.3.3).
    let request = aliased(Some("localhost"), "LocalHost.", ";alias", "localhost").unwrap();
    assert!(request.starts_with("OPTIONS sip:localhost:"), "{request}");
}

#[test]
fn an_alias_without_proof_is_not() {
    for (certificate, sent_by, params) in [
        (None, "localhost", ";alias"),
        (Some("other.example"), "localhost", ";alias"),
        // A name that stands for many proves none (RFC 5922 §7.2).
        (Some("*"), "localhost", ";alias"),
        (Some("localhost"), "other.example", ";alias"),
        (Some("localhost"), "localhost", ""),
    ] {
        let request = aliased(certificate, sent_by, params, "localhost");
        assert_eq!(request, None, "{certificate:?} {sent_by} {params}");
    }
}

/// A server whose certificate is for this name, and another that sent a request to it by that name and has the connection.
struct Connected {
    there: Server,
    here: Server,
    application: Arc<Application>,
    answered: Receiver<(u8, Event)>,
    authority: Authority,
    _folder: Folder,
    _rest: (Arc<Application>, Receiver<(u8, Event)>),
}

fn connected(name: &str) -> Connected {
    let (folder, authority) = (Folder::new(), Authority::new());
    let (there, theirs, events) = serve(&folder, &authority, &[name]);
    let (here, application, answered) = serve(&folder, &authority, &["own.example"]);
    let connected = Connected {
        there,
        here,
        application,
        answered,
        authority,
        _folder: folder,
        _rest: (theirs, events),
    };
    assert_eq!(connected.ask(name), 200);
    connected
}

impl Connected {
    fn port(&self) -> u16 {
        address(&self.there, Transport::Tls).port()
    }

    /// Sends a request to that server under this host.
    fn ask(&self, host: &str) -> u16 {
        let uri = format!("sip:{host}:{};transport=tls", self.port());
        self.application.ask(&uri);
        response(&self.answered).status()
    }

    /// A peer that has a certificate for `localhost` as well says that it is `sent_by`, at the port of that server.
    fn claim(&self, sent_by: &str) -> Peer<TlsStream> {
        let client = Client {
            own: Some(self.authority.certificate(&[sent_by])),
            ..Client::trusting(&self.authority)
        };
        let mut peer = connect(&self.here, &client, "own.example");
        let sent_by = format!("{sent_by}:{}", self.port());
        let request = from(&sent_by, &peer, "claim").replacen(";rport", ";alias;rport", 1);
        peer.write(&request);
        assert!(peer.read().starts_with("SIP/2.0 200 "));
        peer
    }
}

#[test]
fn who_proved_a_name_is_not_sent_what_is_for_the_address() {
    let connected = connected("localhost");
    assert_eq!(connected.ask("127.0.0.1"), 503);
    assert_eq!(total(&connected.here.counts(), "handshakes_failed"), 1);
    assert_eq!(connected.ask("localhost"), 200);
}

#[test]
fn an_alias_draws_nothing_but_its_own_name_and_that_from_nobody_who_has_it() {
    let by_address = connected("127.0.0.1");
    let _peer = by_address.claim("localhost");
    assert_eq!(by_address.ask("127.0.0.1"), 200);
    let by_name = connected("localhost");
    let _peer = by_name.claim("localhost");
    assert_eq!(by_name.ask("localhost"), 200);
    for connected in [by_address, by_name] {
        assert_eq!(total(&connected.here.counts(), "connections_opened"), 1);
    }
}

/// Two servers with these certificates, of which the first sends to the second and is then sent to; the connections that each opened.
fn both_ways(alias: bool) -> [u64; 2] {
    let (folder, authority) = (Folder::new(), Authority::new());
    let names = ["127.0.0.1", "localhost"];
    let [(one, asks, answered), (other, asks_back, answered_back)] =
        [0, 1].map(|_| serve_with(&folder, &authority, &names, alias));
    let uri = |server: &Server| {
        let port = address(server, Transport::Tls).port();
        format!("sip:127.0.0.1:{port};transport=tls")
    };
    asks.ask(&uri(&other));
    assert_eq!(response(&answered).status(), 200);
    asks_back.ask(&uri(&one));
    assert_eq!(response(&answered_back).status(), 200);
    [one, other].map(|server| total(&server.counts(), "connections_opened"))
}

#[test]
fn our_own_alias_brings_us_requests_over_the_connection_that_we_opened() {
    assert_eq!(both_ways(true), [1, 0]);
    assert_eq!(both_ways(false), [1, 1]);
}

/// An application that forwards every request to one target without state.
struct Forwarding {
    commands: Arc<dyn Commands>,
    id: OnceLock<ApplicationId>,
    target: String,
}

impl Events for Forwarding {
    fn deliver(&self, _shard: u8, events: &mut Vec<Event>) {
        let forwarded = events.drain(..).filter_map(|event| match event {
            Event::Request(request) => Some(Command::Proxy(Proxy {
                id: CommandId(1),
                transaction: request.transaction,
                targets: vec![self.target.clone()],
                options: ProxyOptions {
                    stateless: true,
                    ..ProxyOptions::default()
                },
                headers: Vec::new(),
            })),
            _ => None,
        });
        let mut commands = forwarded.collect();
        let id = *self.id.get().unwrap();
        self.commands.submit(id, &mut commands);
    }

    fn backlog(&self) -> Duration {
        Duration::ZERO
    }
}

#[test]
fn what_is_answered_without_state_goes_back_over_the_connection_that_it_came_over() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let pair = authority
        .certificate(&["own.example"])
        .write(&folder, "own");
    let callee = udp_peer("127.0.0.1:0");
    let server = Server::start(ServerConfig {
        tls: Some(store(tls(vec![pair], &[]))),
        ..listening("sip:127.0.0.1:0;transport=tls,udp")
    })
    .unwrap();
    let application = Arc::new(Forwarding {
        commands: server.commands(),
        id: OnceLock::new(),
        target: format!("sip:{}", callee.local_addr().unwrap()),
    });
    let id = server.commands().attach(application.clone());
    application.id.set(id).unwrap();
    server.commands().submit(id, &mut vec![Command::RouteAll]);
    let mut peer = connect(&server, &Client::trusting(&authority), "own.example");
    // A phone has a name of its own, a browser one that nobody has.
    for sent_by in ["phone.example", "phone.example:5061", "q1w2e3.invalid"] {
        peer.write(&from(sent_by, &peer, sent_by));
        let (forwarded, proxy) = receive(&callee);
        let head: Vec<&str> = forwarded
            .lines()
            .filter(|line| {
                ["Via", "From", "To", "Cal", "CSe"].contains(&line.get(..3).unwrap_or(""))
            })
            .collect();
        let answer = format!(
            "SIP/2.0 200 OK\r\n{}\r\nContent-Length: 0\r\n\r\n",
            head.join("\r\n")
        );
        // Nobody on its way leads it elsewhere.
        let elsewhere = answer.replacen(";received=127.0.0.1", ";received=127.0.0.2", 1);
        assert_ne!(answer, elsewhere);
        callee.send_to(elsewhere.as_bytes(), proxy).unwrap();
        callee.send_to(answer.as_bytes(), proxy).unwrap();
        assert!(peer.read().starts_with("SIP/2.0 200 OK\r\n"), "{sent_by}");
    }
    let counts = server.counts();
    assert_eq!(total(&counts, "connections_opened"), 0);
    assert_eq!(total(&counts, "stray_responses"), 3);
}
