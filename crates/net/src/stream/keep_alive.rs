//! Keep-alives over TCP and TLS (RFC 5626 §4.4.1): which connections are asked whether they live, when, and who owes an answer.
//!
//! Only connections that we opened: whoever opened one keeps it. A peer that knows nothing of RFC 5626 skips line ends between messages
//! (RFC 3261 §7.5) and does not answer: silence ends a connection only where its peer agreed to outbound, or answered before.
use super::waiting::Awaited;
use crate::config::{KeepAlive, StreamConfig};
use crate::resolve::random::Draw;
use engine::transport::Transport;
use sip::{HeaderName, Message, Method};
use std::time::Duration;
use tokio::time::Instant;

/// How long a registration lasts that does not say (RFC 3261 §10.2.1.1).
const EXPIRES: u32 = 3600;
/// The longest that one is believed to last: none is meant to, and times have to be added up.
const LONGEST: u32 = 7 * 86_400;

/// When one connection is asked.
pub(super) struct KeepsAlive {
    which: KeepAlive,
    /// The longest time between two; zero: none are sent.
    interval: Duration,
    is_opened: bool,
    /// Until when a registration lasts that was accepted over this connection.
    registered_until: Option<Instant>,
    due: Option<Instant>,
    asked: Option<Instant>,
    owes_answers: bool,
    draw: Option<Draw>,
}

impl KeepsAlive {
    pub fn new(config: &StreamConfig, transport: Transport) -> KeepsAlive {
        // A WebSocket has pings of its own (RFC 7118 §6).
        let is_asked = matches!(transport, Transport::Tcp | Transport::Tls);
        KeepsAlive {
            which: config.keep_alive,
            interval: if is_asked {
                config.keep_alive_interval
            } else {
                Duration::ZERO
            },
            is_opened: false,
            registered_until: None,
            due: None,
            asked: None,
            owes_answers: false,
            draw: None,
        }
    }

    /// We opened the connection.
    pub fn opened(&mut self, now: Instant) {
        self.is_opened = true;
        if self.which == KeepAlive::Opened {
            self.schedule(now);
        }
    }

    /// A message came: one that accepts a registration says for how long, and how often the registrar wants to hear of us (§4.4,
    /// Flow-Timer). With that, or with `outbound` required, it says that it answers keep-alives (§6).
    pub fn note(&mut self, message: &Message, now: Instant) {
        let is_accepted = self.is_opened
            && !self.interval.is_zero()
            && message.status() / 100 == 2
            && message.method() == Method::Register;
        if !is_accepted {
            return;
        }
        let flow_timer = flow_timer(message);
        self.owes_answers |= flow_timer.is_some() || message.requires("outbound");
        self.interval = self.interval.min(flow_timer.unwrap_or(self.interval));
        // Other addresses of record may be registered over the same connection: the end of one shortens nothing.
        let until = lifetime(message).map(|time| now + time);
        self.registered_until = self.registered_until.max(until);
        if self.is_kept(now)
            && self
                .due
                .is_none_or(|due| due > now + self.interval || due < now)
        {
            self.schedule(now);
        }
    }

    fn is_kept(&self, at: Instant) -> bool {
        self.which == KeepAlive::Opened || self.registered_until.is_some_and(|until| at < until)
    }

    /// The next falls between 80 and 100 % of the interval, so that not all who lost their server at once ask it at once.
    fn schedule(&mut self, now: Instant) {
        if self.interval.is_zero() {
            return;
        }
        let draw = self.draw.get_or_insert_with(|| {
            let mut seed = [0; 8];
            // Without chance they are asked at the same times, which harms little.
            let _ = getrandom::fill(&mut seed);
            Draw::new(u64::from_ne_bytes(seed))
        });
        let share = u32::try_from(draw.up_to(200)).unwrap_or(0);
        self.due = Some(now + self.interval * (800 + share) / 1000);
    }

    /// What is waited for next, for a connection over which something came last at `last_read`.
    pub fn deadline(
        &self,
        last_read: Instant,
        pong_timeout: Duration,
    ) -> Option<(Instant, Awaited)> {
        // Whatever came since is as good as an answer.
        let owed = self
            .asked
            .filter(|asked| self.owes_answers && last_read <= *asked);
        if let Some(asked) = owed {
            return Some((asked + pong_timeout, Awaited::Pong));
        }
        let due = self.due.filter(|due| self.is_kept(*due))?;
        Some((due, Awaited::KeepAlive))
    }

    /// The peer was asked, or would have been, had nothing waited to be written.
    pub fn asked(&mut self, now: Instant, is_sent: bool) {
        self.asked = is_sent.then_some(now);
        self.schedule(now);
    }

    /// A line end came alone; says whether it is an answer: some peers send single ones for reasons of their own.
    pub fn answered(&mut self, now: Instant, pong_timeout: Duration) -> bool {
        let asked = self.asked.take();
        let is_answer = asked.is_some_and(|asked| now <= asked + pong_timeout);
        self.owes_answers |= is_answer;
        is_answer
    }
}

fn flow_timer(message: &Message) -> Option<Duration> {
    let value = message.header(HeaderName::FlowTimer)?;
    let seconds: u32 = std::str::from_utf8(value.raw_value()).ok()?.parse().ok()?;
    (seconds > 0).then(|| Duration::from_secs(seconds.into()))
}

/// How long the longest of the bindings lasts; none where nothing is bound.
fn lifetime(message: &Message) -> Option<Duration> {
    let usual = message.expires().ok().flatten().unwrap_or(EXPIRES);
    let contacts = message.contacts().ok()?;
    let bindings = contacts.iter().filter(|contact| !contact.is_wildcard());
    let seconds = bindings.map(|contact| {
        let own = contact.params.get_raw("expires").flatten();
        own.and_then(|text| text.parse().ok()).unwrap_or(usual)
    });
    let longest = seconds.max().filter(|seconds| *seconds > 0)?;
    Some(Duration::from_secs(longest.min(LONGEST).into()))
}

#[cfg(test)]
mod tests {
    //! A connection of ours over which a registration was accepted is asked while that lasts; silence ends it only where an answer is owed.
    use super::*;
    use bytes::Bytes;

    const PONG: Duration = Duration::from_secs(10);

    fn accepted(more: &str) -> Message {
        let text = format!(
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKa\r\nFrom: <sip:a@example.com>;tag=1\r\n\
             To: <sip:a@example.com>;tag=2\r\nCall-ID: a\r\nCSeq: 1 REGISTER\r\n{more}Content-Length: 0\r\n\r\n"
        );
        Message::parse(Bytes::from(text), &sip::Limits::default()).unwrap()
    }

    fn kept(which: KeepAlive, transport: Transport) -> KeepsAlive {
        let config = StreamConfig {
            keep_alive: which,
            ..StreamConfig::default()
        };
        KeepsAlive::new(&config, transport)
    }

    fn seconds(keeps: &KeepsAlive, now: Instant, read: Instant) -> Option<(u64, Awaited)> {
        let (at, awaited) = keeps.deadline(read, PONG)?;
        Some((at.duration_since(now).as_secs(), awaited))
    }

    #[test]
    fn a_registration_is_what_makes_a_connection_worth_keeping() {
        let now = Instant::now();
        let mut keeps = kept(KeepAlive::Registered, Transport::Tls);
        let contact = accepted("Contact: <sip:a@192.0.2.1>;expires=600\r\n");
        keeps.note(&contact, now);
        assert_eq!(seconds(&keeps, now, now), None, "the peer opened it");
        keeps.opened(now);
        assert_eq!(seconds(&keeps, now, now), None, "nothing is registered");
        keeps.note(&accepted(""), now);
        assert_eq!(seconds(&keeps, now, now), None, "nothing is bound");
        keeps.note(&contact, now);
        let (at, awaited) = seconds(&keeps, now, now).unwrap();
        assert!((96..=120).contains(&at), "{at}");
        assert_eq!(awaited, Awaited::KeepAlive);
        // Past its end nobody asks.
        keeps.asked(now + Duration::from_secs(590), true);
        assert_eq!(seconds(&keeps, now, now), None);
    }

    #[test]
    fn the_registrar_says_how_often_and_that_it_answers() {
        let now = Instant::now();
        let mut keeps = kept(KeepAlive::Registered, Transport::Tcp);
        keeps.opened(now);
        let timer = "Flow-Timer: 20\r\nContact: <sip:a@192.0.2.1>\r\n";
        keeps.note(&accepted(timer), now);
        let (at, _) = seconds(&keeps, now, now).unwrap();
        assert!((16..=20).contains(&at), "{at}");
        keeps.asked(now, true);
        assert_eq!(seconds(&keeps, now, now), Some((10, Awaited::Pong)));
        // Anything that comes is a sign of life.
        let later = now + Duration::from_secs(1);
        assert!(matches!(
            seconds(&keeps, now, later),
            Some((_, Awaited::KeepAlive))
        ));
        assert!(keeps.answered(later, PONG));
        assert!(!keeps.answered(later, PONG), "one answer for one question");
    }

    #[test]
    fn who_never_answered_owes_no_answer() {
        let now = Instant::now();
        let mut keeps = kept(KeepAlive::Opened, Transport::Tcp);
        keeps.opened(now);
        keeps.asked(now, true);
        assert!(matches!(
            seconds(&keeps, now, now),
            Some((_, Awaited::KeepAlive))
        ));
        assert!(!keeps.answered(now + PONG * 2, PONG), "too late for one");
        keeps.asked(now, true);
        assert!(keeps.answered(now, PONG));
        keeps.asked(now, true);
        assert_eq!(seconds(&keeps, now, now), Some((10, Awaited::Pong)));
    }

    #[test]
    fn a_web_socket_has_pings_of_its_own() {
        let now = Instant::now();
        let mut keeps = kept(KeepAlive::Opened, Transport::Wss);
        keeps.opened(now);
        assert_eq!(seconds(&keeps, now, now), None);
    }
}
