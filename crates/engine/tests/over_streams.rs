//! Over a transport that loses nothing a final response goes out once, however soon it is given and however late its ACK comes
//! (RFC 3261 §17.2.1); over UDP it is repeated until that is there.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod alone;
use alone::{APPLICATION, config, started};
use engine::command::{Draft, Respond};
use engine::id::{CommandId, ConnectionId};
use engine::transport::{ListenerId, Origin, Transport};
use engine::{Command, Engine, Event, Time};
use std::time::Duration;

const OWN: &str = "192.0.2.1:5060";

/// How often the answer to an INVITE over this transport goes out in half a minute without its ACK.
fn sent(transport: Transport, status: u16, after: Duration) -> usize {
    let mut config = config(OWN, &[transport]);
    config.timers.trying = Duration::from_millis(200);
    // A stranger's refusal over UDP is repeated less often.
    config.admission = engine::admit::Admission::everybody();
    let mut engine = started(config);
    let text = format!(
        "INVITE sip:b@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/{} 192.0.2.9;branch=z9hG4bKa\r\nMax-Forwards: 70\r\n\
         From: <sip:a@192.0.2.9>;tag=f\r\nTo: <sip:b@192.0.2.1>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:a@192.0.2.9>\r\nContent-Length: 0\r\n\r\n",
        transport.via()
    );
    let origin = Origin {
        listener: ListenerId(0),
        transport,
        peer: "192.0.2.9:5060".parse().unwrap(),
        local: OWN.parse().unwrap(),
        connection: transport.is_reliable().then_some(ConnectionId(1)),
    };
    alone::receive(&mut engine, origin, &text);
    let now = Time::ZERO + after;
    pass(&mut engine, now);
    let transaction = match engine.poll_event().unwrap().1 {
        Event::Request(request) => request.transaction,
        other => panic!("{other:?}"),
    };
    let respond = Respond {
        id: CommandId(1),
        transaction,
        status,
        reason: String::new(),
        draft: Draft::default(),
    };
    engine.handle_command(now, APPLICATION, Command::Respond(respond));
    pass(&mut engine, now + Duration::from_secs(30));
    let sent = std::iter::from_fn(|| engine.poll_transmit());
    let start = format!("SIP/2.0 {status} ");
    sent.filter(|it| it.bytes.starts_with(start.as_bytes()))
        .count()
}

/// Lets every timer until then fire at its time.
fn pass(engine: &mut Engine, until: Time) {
    while let Some(next) = engine.poll_timeout().filter(|next| *next <= until) {
        engine.handle_timeout(next);
    }
}

#[test]
fn a_refusal_is_repeated_over_udp_alone() {
    for after in [0, 100, 500].map(Duration::from_millis) {
        for transport in [Transport::Tcp, Transport::Tls, Transport::Wss] {
            assert_eq!(sent(transport, 486, after), 1, "{transport} {after:?}");
        }
        assert!(sent(Transport::Udp, 486, after) > 5);
        // The 2xx is the user agent's to repeat, whatever the transport (§13.3.1.4).
        assert!(sent(Transport::Tcp, 200, after) > 5);
    }
}
