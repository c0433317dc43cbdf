//! No truncated and no corrupted frame makes the control side panic, leak or grow; a client is all that is lost.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that goes wrong is to stop"
)]
mod corpus;
mod recorder;

use bytes::Bytes;
use control::disconnect::Disconnect;
use control::frame::Decoder;
use control::link::Link;
use control::server::Server;
use control::session::Session;
use control::{ControlBounds, ControlConfig};
use engine::seam::Commands;
use recorder::Recorder;
use std::sync::Arc;

const AUTHENTICATE: &[u8] = b"22#m0|authenticate|cymru|";

struct Desk {
    recorder: Arc<Recorder>,
    server: Arc<Server>,
}

impl Desk {
    fn new() -> Desk {
        let recorder = Arc::new(Recorder::default());
        let commands: Arc<dyn Commands> = Arc::clone(&recorder) as Arc<dyn Commands>;
        let bounds = ControlBounds {
            payload: 4096,
            commands: 4,
            ..ControlBounds::default()
        };
        let config = ControlConfig {
            secret: "cymru".to_owned(),
            tls: None,
            bounds,
        };
        Desk {
            server: Arc::new(Server::new(config, commands)),
            recorder,
        }
    }

    /// One connection that sends `bytes`: as the read task does it, without the socket. Gives why it ended, if it did.
    fn connect(&self, bytes: &[u8]) -> Option<Disconnect> {
        let link = Arc::new(Link::new(
            &self.server.config.bounds,
            self.server.message_ids(),
            self.server.names,
        ));
        let mut session = Session::new(
            Arc::clone(&self.server),
            Arc::clone(&link),
            "192.0.2.1:9".parse().unwrap(),
        );
        let mut decoder = Decoder::new(self.server.config.bounds.payload);
        decoder.push(bytes);
        let ended = loop {
            match decoder.next_payload() {
                Ok(Some(payload)) => match session.handle_payload(&payload) {
                    Ok(_) => {}
                    Err(disconnect) => break Some(disconnect),
                },
                Ok(None) => break None,
                Err(error) => break Some(Disconnect::Frame(error)),
            }
        };
        session.submit();
        drop(session);
        link.close();
        assert_eq!(link.queued_bytes(), 0);
        let weak = Arc::downgrade(&link);
        drop(link);
        self.recorder.look(|record| {
            assert_eq!(
                record.attached.len(),
                record.detached.len(),
                "an application stayed attached"
            );
            record.attached.clear();
            record.detached.clear();
            record.batches.clear();
        });
        assert!(weak.upgrade().is_none(), "the link outlives its connection");
        ended
    }
}

/// Every distinct frame of the examples, with a transaction that this server has named.
fn frames(desk: &Desk) -> Vec<Vec<u8>> {
    let name = desk.server.names.text(engine::id::TransactionId::new(0, 5));
    let name = std::str::from_utf8(&name).unwrap();
    let mut frames = vec![AUTHENTICATE.to_vec(), b"9#m1|status".to_vec()];
    for entry in corpus::entries("examples")
        .into_iter()
        .filter(|entry| entry.is_from_application)
    {
        let mut text = String::from_utf8(entry.frame.to_vec()).unwrap();
        while let Some(start) = text.find("|e00000") {
            text.replace_range(start + 1..start + 37, name);
        }
        frames.push(text.into_bytes());
    }
    frames
}

#[test]
fn truncated_frames_wait_and_go_with_the_connection() {
    let desk = Desk::new();
    for frame in frames(&desk) {
        for end in 0..frame.len() {
            let ended = desk.connect(&[AUTHENTICATE, &frame[..end]].concat());
            assert_eq!(ended, None, "{:?}", String::from_utf8_lossy(&frame[..end]));
        }
        // The same, the truth told about the length.
        let payload = frame.iter().position(|&byte| byte == b'#').unwrap() + 1;
        for end in payload + 1..frame.len() {
            let length = format!("{}#", end - payload);
            desk.connect(&[AUTHENTICATE, length.as_bytes(), &frame[payload..end]].concat());
        }
    }
}

#[test]
fn corrupted_frames_cost_at_most_the_connection() {
    let desk = Desk::new();
    let mut tried = 0_u32;
    for frame in frames(&desk) {
        let mut bytes = [AUTHENTICATE, &frame].concat();
        for index in AUTHENTICATE.len()..bytes.len() {
            let original = bytes[index];
            // Every value in the meta line and what follows it closely; in the text that is only copied, each kind of byte.
            let is_near = index < AUTHENTICATE.len() + 160;
            for value in 0..=u8::MAX {
                if value != original
                    && (is_near || b"\0\t\n\r \"#:;<>@|\x7f\x80\xff".contains(&value))
                {
                    bytes[index] = value;
                    desk.connect(&bytes);
                    tried += 1;
                }
            }
            bytes[index] = original;
        }
    }
    assert!(tried > 100_000, "{tried} corruptions");
}

#[test]
fn nothing_is_done_before_authenticate() {
    let desk = Desk::new();
    for frame in frames(&desk)
        .iter()
        .filter(|frame| !frame.windows(14).any(|window| window == b"|authenticate|"))
    {
        assert_eq!(
            desk.connect(frame),
            Some(Disconnect::NotAuthenticated),
            "{}",
            String::from_utf8_lossy(frame)
        );
    }
}

#[test]
fn commands_without_an_outcome_are_bounded() {
    let desk = Desk::new();
    let link = Arc::new(Link::new(
        &desk.server.config.bounds,
        desk.server.message_ids(),
        desk.server.names,
    ));
    let mut session = Session::new(
        Arc::clone(&desk.server),
        Arc::clone(&link),
        "192.0.2.1:9".parse().unwrap(),
    );
    session
        .handle_payload(&Bytes::from("m0|authenticate|cymru|"))
        .unwrap();
    for number in 0..10 {
        let payload = format!("m{number}|sip||\r\nOPTIONS sip:a@b SIP/2.0\r\n\r\n");
        session.handle_payload(&payload.into()).unwrap();
    }
    session.submit();
    assert_eq!(desk.recorder.look(|record| record.commands(0).len()), 4);
    let replies = link.with(|state| String::from_utf8(state.frames.frames().to_vec()).unwrap());
    assert_eq!(
        replies
            .matches("|NOK|too many commands of this client are without an outcome")
            .count(),
        6
    );
}

#[test]
fn commands_without_an_outcome_expire() {
    use control::answers::Answers;
    use control::request::Asked;
    use std::time::{Duration, Instant};
    let start = Instant::now();
    let mut answers = Answers::new(10);
    let first = answers.insert(b"m1", Asked::NewRequest, start).unwrap();
    let second = answers
        .insert(b"m2", Asked::NewRequest, start + Duration::from_secs(50))
        .unwrap();
    let expired = answers.expire(start + Duration::from_secs(70), Duration::from_secs(60));
    assert_eq!(expired.len(), 1);
    assert_eq!(expired[0].message_id.as_slice(), b"m1");
    assert!(answers.get(first).is_none() && answers.get(second).is_some());
    let third = answers.insert(b"m3", Asked::NewRequest, start).unwrap();
    assert_ne!(
        first, third,
        "a number must not come back for another command"
    );
    assert!(answers.take(first).is_none());
    assert_eq!(answers.len(), 2);
}
