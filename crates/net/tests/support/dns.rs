//! A name server that a test commands: what it says to each question, how long it takes, what it refuses, and what it was asked.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
use hickory_proto::op::{Message, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, NAPTR, SOA, SRV};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// What the server does with a question.
#[derive(Clone, Debug)]
pub enum Reply {
    /// These records.
    Records(Vec<Record>),
    /// The name exists, without such records; believed for so many seconds.
    Empty(u32),
    /// The name does not exist; believed for so many seconds.
    NoName(u32),
    /// SERVFAIL.
    Failure,
    /// Nothing.
    Silence,
    /// These records over TCP; over UDP only that they did not fit.
    Long(Vec<Record>),
    /// These records under the identifier of another question, then nothing.
    WrongId(Vec<Record>),
    /// Bytes that are no DNS message.
    Garbage(Vec<u8>),
    /// Something, after a while.
    After(Duration, Box<Reply>),
}

type Question = (String, RecordType);

#[derive(Default)]
struct State {
    replies: HashMap<Question, Reply>,
    asked: Vec<Question>,
    over_tcp: usize,
    everything: Option<Reply>,
}

/// The server; dropping it ends it.
pub struct NameServer {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
    ended: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl NameServer {
    /// Starts it on a free port of 127.0.0.1. It knows no name.
    pub fn start() -> NameServer {
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
                break (udp, tcp);
            }
        };
        let address = udp.local_addr().unwrap();
        let (state, ended) = (Arc::<Mutex<State>>::default(), Arc::<AtomicBool>::default());
        let (of_udp, of_tcp, end) = (state.clone(), state.clone(), ended.clone());
        let threads = vec![
            std::thread::spawn(move || serve_udp(&udp, &of_udp)),
            std::thread::spawn(move || serve_tcp(&tcp, &of_tcp, &end)),
        ];
        NameServer {
            address,
            state,
            ended,
            threads,
        }
    }

    /// What it does with this question from now on.
    pub fn set(&self, name: &str, kind: RecordType, reply: Reply) {
        let key = (name.to_ascii_lowercase(), kind);
        self.state.lock().unwrap().replies.insert(key, reply);
    }

    /// What it does with every question, whatever else was said; none: as it was told for each.
    pub fn set_all(&self, reply: Option<Reply>) {
        self.state.lock().unwrap().everything = reply;
    }

    /// The addresses of a host.
    pub fn host(&self, name: &str, ttl: u32, addresses: &[&str]) {
        for kind in [RecordType::A, RecordType::AAAA] {
            let of_kind = addresses
                .iter()
                .map(|address| address.parse::<IpAddr>().unwrap())
                .filter(|address| address.is_ipv4() == (kind == RecordType::A));
            let records: Vec<Record> = of_kind
                .map(|address| match address {
                    IpAddr::V4(address) => RData::A(A(address)),
                    IpAddr::V6(address) => RData::AAAA(AAAA(address)),
                })
                .map(|data| record(name, ttl, data))
                .collect();
            let reply = if records.is_empty() {
                Reply::Empty(ttl)
            } else {
                Reply::Records(records)
            };
            self.set(name, kind, reply);
        }
    }

    /// SRV records: priority, weight, port and target each.
    pub fn srv(&self, name: &str, ttl: u32, targets: &[(u16, u16, u16, &str)]) {
        let records = targets.iter().map(|target| srv(name, ttl, *target));
        self.set(name, RecordType::SRV, Reply::Records(records.collect()));
    }

    /// NAPTR records with the flag `s`: order, preference, service and replacement each.
    pub fn naptr(&self, name: &str, ttl: u32, rules: &[(u16, u16, &str, &str)]) {
        let records = rules.iter().map(|(order, preference, service, to)| {
            let text = |text: &str| text.as_bytes().into();
            let data = NAPTR::new(
                *order,
                *preference,
                text("s"),
                text(service),
                text(""),
                absolute(to),
            );
            record(name, ttl, RData::NAPTR(data))
        });
        self.set(name, RecordType::NAPTR, Reply::Records(records.collect()));
    }

    /// How often this was asked.
    pub fn count(&self, name: &str, kind: RecordType) -> usize {
        let state = self.state.lock().unwrap();
        let asked = state.asked.iter();
        asked
            .filter(|(asked, of)| asked == name && *of == kind)
            .count()
    }

    /// Everything that was asked so far, in order.
    pub fn asked(&self) -> Vec<Question> {
        self.state.lock().unwrap().asked.clone()
    }

    /// How many questions came over TCP.
    pub fn over_tcp(&self) -> usize {
        self.state.lock().unwrap().over_tcp
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let _ = UdpSocket::bind("127.0.0.1:0")
            .unwrap()
            .send_to(b"", self.address);
        let _ = TcpStream::connect(self.address);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// A name from the root.
pub fn absolute(text: &str) -> Name {
    let mut name = Name::from_ascii(text).unwrap();
    name.set_fqdn(true);
    name
}

/// A record.
pub fn record(name: &str, ttl: u32, data: RData) -> Record {
    Record::from_rdata(absolute(name), ttl, data)
}

/// An SRV record.
pub fn srv(name: &str, ttl: u32, target: (u16, u16, u16, &str)) -> Record {
    let (priority, weight, port, host) = target;
    let data = SRV::new(priority, weight, port, absolute(host));
    record(name, ttl, RData::SRV(data))
}

/// A CNAME record.
pub fn cname(name: &str, ttl: u32, to: &str) -> Record {
    record(name, ttl, RData::CNAME(CNAME(absolute(to))))
}

fn serve_udp(socket: &UdpSocket, state: &Arc<Mutex<State>>) {
    let mut buffer = [0; 4096];
    while let Ok((length, from)) = socket.recv_from(&mut buffer) {
        if length == 0 {
            return;
        }
        let Some((question, reply)) = decide(&buffer[..length], state) else {
            continue;
        };
        let socket = socket.try_clone().unwrap();
        answer(reply, false, &question, move |bytes| {
            let _ = socket.send_to(&bytes, from);
        });
    }
}

fn serve_tcp(listener: &TcpListener, state: &Arc<Mutex<State>>, ended: &Arc<AtomicBool>) {
    while let Ok((stream, _)) = listener.accept() {
        if ended.load(Ordering::Relaxed) {
            return;
        }
        let state = state.clone();
        std::thread::spawn(move || serve_stream(stream, &state));
    }
}

fn serve_stream(mut stream: TcpStream, state: &Arc<Mutex<State>>) {
    let mut length = [0; 2];
    while stream.read_exact(&mut length).is_ok() {
        let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
        if stream.read_exact(&mut bytes).is_err() {
            return;
        }
        state.lock().unwrap().over_tcp += 1;
        let Some((question, reply)) = decide(&bytes, state) else {
            continue;
        };
        let mut to = stream.try_clone().unwrap();
        answer(reply, true, &question, move |bytes| {
            let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
            let _ = to.write_all(&[&length[..], &bytes].concat());
        });
    }
}

fn decide(bytes: &[u8], state: &Arc<Mutex<State>>) -> Option<(Message, Reply)> {
    let question = Message::from_vec(bytes).ok()?;
    let query = question.queries.first()?.clone();
    let mut name = query.name().to_ascii().to_ascii_lowercase();
    name.pop();
    let key = (name, query.query_type());
    let mut state = state.lock().unwrap();
    state.asked.push(key.clone());
    let set = state.everything.clone();
    let reply = set.or_else(|| state.replies.get(&key).cloned());
    Some((question, reply.unwrap_or(Reply::NoName(60))))
}

fn answer(
    reply: Reply,
    over_tcp: bool,
    question: &Message,
    send: impl FnOnce(Vec<u8>) + Send + 'static,
) {
    let mut message = Message::response(question.metadata.id, OpCode::Query);
    message.metadata.recursion_available = true;
    message.queries = question.queries.clone();
    match reply {
        Reply::Records(records) => message.answers = records,
        Reply::Empty(ttl) => message.authorities = vec![soa(ttl)],
        Reply::NoName(ttl) => {
            message.metadata.response_code = ResponseCode::NXDomain;
            message.authorities = vec![soa(ttl)];
        }
        Reply::Failure => message.metadata.response_code = ResponseCode::ServFail,
        Reply::Silence => return,
        Reply::Long(records) if over_tcp => message.answers = records,
        Reply::Long(_) => message.metadata.truncation = true,
        Reply::WrongId(records) => {
            message.metadata.id = message.metadata.id.wrapping_add(1);
            message.answers = records;
        }
        Reply::Garbage(bytes) => return send(bytes),
        Reply::After(wait, reply) => {
            let question = question.clone();
            std::thread::spawn(move || {
                std::thread::sleep(wait);
                answer(*reply, over_tcp, &question, send);
            });
            return;
        }
    }
    send(message.to_vec().unwrap());
}

fn soa(ttl: u32) -> Record {
    let data = SOA::new(
        absolute("ns.example"),
        absolute("admin.example"),
        1,
        60,
        60,
        60,
        ttl,
    );
    record("example", ttl, RData::SOA(data))
}
