//! The verbs of the network: what peers send, what becomes of connections, names and time.
use super::stage::{Stage, origin};
use super::texts::{EXTRAS, METHODS, OWN, SDP, STATUSES, TARGETS};
use crate::script::Step;
use crate::seeds;
use bytes::Bytes;
use engine::id::ConnectionId;
use engine::transport::{Origin, Transport};
use engine::{ResolveError, Resolved, TransmitError};
use sip::{HeaderName, Message};
use std::net::SocketAddr;
use std::time::Duration;

/// Plays a step, if it is the network's.
pub fn play(stage: &mut Stage, step: Step<'_>) -> bool {
    match step.verb() {
        b'r' => request(stage, step),
        b'd' => in_dialog(stage, step),
        b'a' => acknowledge(stage, step),
        b'c' => cancel(stage, step),
        b's' => respond(stage, step),
        b'x' => repeat(stage, step),
        b'm' => damaged(stage, step),
        b't' => stage.advance(step.choose(0, PAUSES)),
        b'k' => {
            let connection = ConnectionId(step.number(0) as u64 % 100 + 1);
            stage.engine.handle_connection_closed(stage.now, connection);
        }
        b'n' => resolved(stage, step),
        b'f' => undelivered(stage, step),
        _ => return false,
    }
    true
}

const PAUSES: &[Duration] = &[
    Duration::from_millis(1),
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(16),
    Duration::from_secs(33),
    Duration::from_secs(64),
    Duration::from_secs(200),
    Duration::from_secs(1800),
    Duration::from_secs(4000),
    Duration::from_secs(44_000),
    Duration::from_millis(200),
];

/// The host that a browser gives itself.
const BROWSER: &str = "x7k2.invalid";

/// Who sends it: peers on UDP, on TCP, on IPv6; where browsers come, one of those on TCP is one.
fn sender(stage: &Stage, step: Step<'_>, index: usize) -> Origin {
    let number = step.number(index) % 9;
    let udp = |text: String| origin(Transport::Udp, text.parse().expect("an address"), None);
    match number {
        0..4 => udp(format!("192.0.2.{}:5060", 101 + number)),
        4 => udp("[2001:db8::5]:5060".to_owned()),
        _ => {
            let peer = format!("192.0.2.{}:4000{number}", 97 + number);
            let connection = ConnectionId(number as u64);
            let is_browser = stage.is_open && number == 8;
            origin(
                if is_browser {
                    Transport::Ws
                } else {
                    Transport::Tcp
                },
                peer.parse().expect("an address"),
                Some(connection),
            )
        }
    }
}

/// How a peer names itself in Via and Contact.
fn named(from: &Origin) -> String {
    match from.transport {
        Transport::Ws => BROWSER.to_owned(),
        _ => from.peer.to_string(),
    }
}

/// Where a request goes: to one of the targets or, where browsers come, to one of them, by its host or down its flow.
pub fn target(stage: &Stage, step: Step<'_>, index: usize) -> String {
    let chosen = step.choose(index, TARGETS);
    if !stage.is_open {
        return chosen.to_owned();
    }
    match chosen {
        "sip:placeholder" => format!("sip:a@{BROWSER};transport=ws"),
        "http://example.com" => {
            let origin = sender(stage, step, index);
            let token = stage.replier.flow_token(&origin).unwrap_or_default();
            format!("sip:{token}@flow.invalid;lr")
        }
        _ => chosen.to_owned(),
    }
}

fn body(step: Step<'_>, index: usize, method: &str) -> &'static str {
    let wants = matches!(method, "INVITE" | "UPDATE" | "PRACK");
    if wants && step.number(index).is_multiple_of(2) {
        SDP
    } else {
        ""
    }
}

fn finish(mut head: String, body: &str) -> Bytes {
    if !body.is_empty() {
        head.push_str("Content-Type: application/sdp\r\n");
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    Bytes::from(head)
}

/// `r`: sender, method, call, From tag, To tag, branch, CSeq, extra, extra, target, body.
fn request(stage: &mut Stage, step: Step<'_>) {
    let from = sender(stage, step, 0);
    let method = step.choose(1, METHODS);
    let to = match step.number(4) % 4 {
        0 => "<sip:bob@192.0.2.1>".to_owned(),
        tag => format!("<sip:bob@192.0.2.1>;tag=t{tag}"),
    };
    let uri = match step.number(9) % 4 {
        0 => "sip:bob@192.0.2.1".to_owned(),
        1 => target(stage, step, 9),
        2 => "sip:bob@example.com".to_owned(),
        _ => "sip:192.0.2.1".to_owned(),
    };
    let branch = match step.number(5) % 8 {
        7 => "old".to_owned(),
        number => format!("z9hG4bK{number}"),
    };
    let head = format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/{} {};branch={branch};rport\r\n{}From: <sip:a@example.com>;tag=f{}\r\nTo: {to}\r\n\
         Call-ID: call-{}\r\nCSeq: {} {method}\r\nContact: <sip:a@{}>\r\n{}",
        from.transport.via(),
        named(&from),
        step.choose(7, EXTRAS),
        step.number(3) % 3,
        step.number(2) % 4,
        step.number(6) % 10,
        named(&from),
        step.choose(8, EXTRAS),
    );
    stage.receive(from, finish(head, body(step, 10, method)));
}

/// `d`: sender, dialog, method, CSeq, branch, extra, extra, body.
fn in_dialog(stage: &mut Stage, step: Step<'_>) {
    let from = sender(stage, step, 0);
    let Some(known) = step.recent(1, &stage.known).cloned() else {
        return;
    };
    let method = step.choose(2, METHODS);
    let head = format!(
        "{method} sip:{OWN} SIP/2.0\r\nVia: SIP/2.0/{} {};branch=z9hG4bKd{}\r\n{}From: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {} {method}\r\n\
         Contact: <sip:a@{}>\r\n{}",
        from.transport.via(),
        named(&from),
        step.number(4) % 16,
        step.choose(5, EXTRAS),
        known.peer,
        known.own,
        known.call_id,
        step.number(3) % 20,
        named(&from),
        step.choose(6, EXTRAS),
    );
    stage.receive(from, finish(head, body(step, 7, method)));
}

fn value(message: &Message, name: HeaderName) -> String {
    message
        .header(name)
        .map(|field| field.text().into_owned())
        .unwrap_or_default()
}

/// `a`: response, sender, manner. The ACK of a response that the engine sent, in the transaction of the INVITE or in one of its own.
fn acknowledge(stage: &mut Stage, step: Step<'_>) {
    let from = sender(stage, step, 1);
    let Some(response) = step.recent(0, &stage.responses) else {
        return;
    };
    let Ok(cseq) = response.cseq() else { return };
    let via = match step.number(2) % 3 {
        0 => value(response, HeaderName::Via),
        _ => format!(
            "SIP/2.0/{} {};branch=z9hG4bKack{}",
            from.transport.via(),
            from.peer,
            step.number(2)
        ),
    };
    let head = format!(
        "ACK sip:bob@{OWN} SIP/2.0\r\nVia: {via}\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {} ACK\r\n",
        value(response, HeaderName::From),
        value(response, HeaderName::To),
        value(response, HeaderName::CallId),
        cseq.number,
    );
    stage.receive(from, finish(head, ""));
}

/// `c`: request, manner, extra. The CANCEL of a request that came, its Via as it was, or changed on the way.
fn cancel(stage: &mut Stage, step: Step<'_>) {
    let Some((from, bytes)) = step.recent(0, &stage.received).cloned() else {
        return;
    };
    let Ok(message) = Message::parse(bytes, &sip::Limits::default()) else {
        return;
    };
    let (Ok(cseq), Ok(via)) = (message.cseq(), message.top_via()) else {
        return;
    };
    let branch = via.branch().unwrap_or_default();
    let via = match step.number(1) % 4 {
        0 => value(&message, HeaderName::Via),
        1 => format!("SIP/2.0/UDP 203.0.113.7:61000;branch={branch}"),
        2 => format!("SIP/2.0/UDP {};branch={branch}x", from.peer),
        _ => format!("SIP/2.0/TCP {};branch={branch}", from.peer),
    };
    let head = format!(
        "CANCEL {} SIP/2.0\r\nVia: {via}\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {} CANCEL\r\n{}",
        message.request_uri(),
        value(&message, HeaderName::From),
        value(&message, HeaderName::To),
        value(&message, HeaderName::CallId),
        cseq.number,
        step.choose(2, EXTRAS),
    );
    stage.receive(from, finish(head, ""));
}

/// `s`: request, status, To tag, extra, sender, body. The answer to a request that the engine sent.
fn respond(stage: &mut Stage, step: Step<'_>) {
    let Some((request, transmit)) = step.recent(0, &stage.requests).cloned() else {
        return;
    };
    let status = step.choose(1, STATUSES);
    let mut lines = String::new();
    for field in request.fields() {
        let name = field.name();
        if matches!(
            name,
            HeaderName::Via | HeaderName::From | HeaderName::CallId | HeaderName::CSeq
        ) || (name == HeaderName::RecordRoute && status < 300)
        {
            lines.push_str(&format!("{}: {}\r\n", name.as_str(), field.text()));
        }
    }
    let mut to = value(&request, HeaderName::To);
    if !request.to().is_ok_and(|to| to.tag().is_some()) && status != 100 {
        to.push_str(&format!(";tag=t{}", step.number(2) % 4));
    }
    let peer = transmit.destination.peer;
    let head = format!(
        "SIP/2.0 {status} X\r\n{lines}To: {to}\r\nContact: <sip:b@{peer}>\r\n{}",
        step.choose(3, EXTRAS)
    );
    let method = request.method();
    let body = body(step, 5, method.as_str());
    let transport = transmit.destination.transport;
    let connection = transport.is_reliable().then(|| {
        transmit
            .destination
            .connection
            .unwrap_or(ConnectionId(20 + u64::from(peer.port() % 10)))
    });
    let from = match step.number(4) % 4 {
        3 => sender(stage, step, 4),
        _ => origin(transport, peer, connection),
    };
    let bytes = finish(head, body);
    if let Ok(message) = Message::parse(bytes.clone(), &sip::Limits::default()) {
        stage.learn(&message, true);
    }
    stage.receive(from, bytes);
}

/// `x`: message. It comes again.
fn repeat(stage: &mut Stage, step: Step<'_>) {
    if let Some((from, bytes)) = step.recent(0, &stage.received).cloned() {
        stage.receive(from, bytes);
    }
}

/// `m`: sender, message of the corpus or of a peer, then place (two bytes) and value, over and over.
fn damaged(stage: &mut Stage, step: Step<'_>) {
    let from = sender(stage, step, 0);
    let corpus = seeds::messages();
    let number = step.number(1);
    let chosen = match step.recent(2, &stage.received) {
        Some((_, bytes)) if number.is_multiple_of(2) => bytes.to_vec(),
        _ => corpus[(number / 2) % corpus.len()].clone(),
    };
    let mut bytes = chosen;
    for change in step.rest(3).chunks(3) {
        let [high, low, value] = change else { break };
        if bytes.is_empty() {
            return;
        }
        let place = (usize::from(*high) * 256 + usize::from(*low)) % bytes.len();
        match high % 3 {
            0 => bytes[place] = *value,
            1 => drop(bytes.remove(place)),
            _ => bytes.insert(place, *value),
        }
    }
    stage.receive(from, Bytes::from(bytes));
}

/// `n`: question, answer.
fn resolved(stage: &mut Stage, step: Step<'_>) {
    let Some(question) = step.recent(0, &stage.questions) else {
        return;
    };
    let target = |transport, text: &str| Resolved {
        transport,
        address: text.parse::<SocketAddr>().expect("an address"),
    };
    let answer = match step.number(1) % 7 {
        0 => Ok(vec![target(Transport::Udp, "192.0.2.102:5060")]),
        1 => Ok(vec![
            target(Transport::Tcp, "192.0.2.103:5060"),
            target(Transport::Udp, "192.0.2.104:5060"),
            target(Transport::Udp, "[2001:db8::5]:5060"),
        ]),
        2 => Ok(Vec::new()),
        3 => Err(ResolveError::NotFound),
        4 => Err(ResolveError::Timeout),
        5 => Ok(vec![target(Transport::Tls, "192.0.2.105:5061")]),
        _ => Ok(vec![target(Transport::Udp, OWN)]),
    };
    stage.engine.handle_resolved(stage.now, question.id, answer);
}

/// `f`: message, why.
fn undelivered(stage: &mut Stage, step: Step<'_>) {
    let Some(transmit) = step.recent(0, &stage.transmits) else {
        return;
    };
    let error = step.choose(
        1,
        &[
            TransmitError::Refused,
            TransmitError::Unreachable,
            TransmitError::TimedOut,
            TransmitError::Closed,
            TransmitError::TooLarge,
            TransmitError::Congested,
        ],
    );
    stage
        .engine
        .handle_transmit_failed(stage.now, transmit.token, error);
}
