//! Tokens: what the user part of our Record-Route and Path URIs says, and what an application is given as a request's flow.
//!
//! A token is a flow (RFC 5626 §3.2: the way to a peer that only the peer can open), or a mark that says no more than that this
//! server gave it out, with a keyed code over it. SipHash-2-4 with a 128-bit key and a 64-bit code: the key stays here, a guess
//! costs a request, and nothing else hangs on it, so that half the length of an HMAC does. One in Record-Route is bound to its
//! call; one in Path or in an application's hands is not, and leads to its flow and nowhere else.
//!
//! It refuses to know whether a flow is open: `flows` does.
use crate::config::RelayKey;
use crate::id::ConnectionId;
use crate::transport::{ListenerId, Origin, Transport};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use siphasher::sip::SipHasher24;
use std::hash::Hasher;
use std::net::{IpAddr, SocketAddr};

/// The host of the URI that leads down a flow: `sip:TOKEN@flow.invalid;lr`. It never leaves this server (RFC 2606 §2).
pub const FLOW_HOST: &str = "flow.invalid";
/// How a token begins, so that it is told from a user's name.
const START: &str = "dr";
/// The longest token: an IPv6 address in it.
const LONGEST: usize = 64;
/// The length of the code.
const CODE: usize = 8;

/// The way to a peer that only the peer can open.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Flow {
    /// Its connection.
    Connection(ConnectionId),
    /// On UDP: from this listener to the address that it sends from.
    Datagram(ListenerId, SocketAddr),
    /// One of another process, which had the same key: it ended with that.
    Gone,
}

impl Flow {
    /// The flow that a message came over.
    #[must_use]
    pub fn of(origin: &Origin) -> Flow {
        match origin.connection {
            Some(connection) => Flow::Connection(connection),
            None => Flow::Datagram(origin.listener, origin.peer),
        }
    }
}

/// A flow as a token has it.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct TokenFlow {
    /// The flow.
    pub flow: Flow,
    /// Whether the peer may be reached by its Contact as well, once the flow is gone.
    pub is_soft: bool,
    /// Whether the token was given out for this very call.
    pub is_bound: bool,
}

/// What a user part says.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Token {
    /// It is no token.
    Absent,
    /// It looks like one, and this server did not make it, or not for this call.
    Forged,
    /// The mark of this call.
    Mark,
    /// A flow.
    Flow(TokenFlow),
}

impl Token {
    /// Whether a user part may be one: the others need not be looked at.
    pub(crate) fn is_likely(user: &str) -> bool {
        user.starts_with(START)
    }
}

/// Makes and reads tokens.
#[derive(Clone, Debug)]
pub struct Signer {
    hasher: SipHasher24,
    epoch: u32,
}

impl Signer {
    /// With this key.
    #[must_use]
    pub fn new(key: &RelayKey) -> Signer {
        let [first, second] = key.secret;
        Signer {
            hasher: SipHasher24::new_with_keys(first, second),
            epoch: key.epoch,
        }
    }

    /// The mark of a call: what Record-Route carries where there is no flow.
    #[must_use]
    pub fn mark(&self, call_id: &str) -> String {
        self.write(b'm', &[], call_id)
    }

    /// The token of a flow; for one call only when `call_id` names it.
    #[must_use]
    pub fn flow(&self, flow: Flow, is_soft: bool, call_id: Option<&str>) -> String {
        let mut payload = Vec::with_capacity(20 + CODE);
        match flow {
            Flow::Connection(connection) => {
                payload.push(u8::from(is_soft));
                payload.extend_from_slice(&self.epoch.to_be_bytes());
                payload.extend_from_slice(&connection.0.to_be_bytes());
            }
            Flow::Datagram(listener, peer) => {
                payload.push(u8::from(is_soft) | 2);
                payload.extend_from_slice(&listener.0.to_be_bytes());
                payload.extend_from_slice(&peer.port().to_be_bytes());
                match peer.ip() {
                    IpAddr::V4(address) => payload.extend_from_slice(&address.octets()),
                    IpAddr::V6(address) => payload.extend_from_slice(&address.octets()),
                }
            }
            Flow::Gone => payload.push(4),
        }
        match call_id {
            Some(call_id) => self.write(b'b', &payload, call_id),
            None => self.write(b'f', &payload, ""),
        }
    }

    fn write(&self, kind: u8, payload: &[u8], call_id: &str) -> String {
        let mut bytes = Vec::with_capacity(payload.len() + CODE);
        bytes.extend_from_slice(payload);
        bytes.extend_from_slice(&self.code(kind, payload, call_id).to_be_bytes());
        let mut text = String::with_capacity(LONGEST);
        text.push_str(START);
        text.push(char::from(kind));
        URL_SAFE_NO_PAD.encode_string(bytes, &mut text);
        text
    }

    fn code(&self, kind: u8, payload: &[u8], call_id: &str) -> u64 {
        let mut hasher = self.hasher;
        hasher.write(&[kind, u8::try_from(payload.len()).unwrap_or(u8::MAX)]);
        hasher.write(payload);
        hasher.write(call_id.as_bytes());
        hasher.finish()
    }

    /// Reads the user part of a URI in a request of this call.
    #[must_use]
    pub fn read(&self, user: &str, call_id: &str) -> Token {
        let Some((kind, text)) = user
            .strip_prefix(START)
            .filter(|_| user.len() <= LONGEST)
            .and_then(|rest| rest.split_at_checked(1))
        else {
            return Token::Absent;
        };
        let bound = match kind {
            "m" | "b" => call_id,
            "f" => "",
            _ => return Token::Absent,
        };
        let kind = kind.as_bytes().first().copied().unwrap_or_default();
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(text) else {
            return Token::Absent;
        };
        let Some((payload, code)) = bytes.split_last_chunk::<CODE>() else {
            return Token::Absent;
        };
        // Compared as one number: its duration does not tell how much of it is right.
        if u64::from_be_bytes(*code) != self.code(kind, payload, bound) {
            return Token::Forged;
        }
        if kind == b'm' {
            return Token::Mark;
        }
        self.read_flow(payload)
            .map_or(Token::Forged, |(flow, is_soft)| {
                Token::Flow(TokenFlow {
                    flow,
                    is_soft,
                    is_bound: kind == b'b',
                })
            })
    }

    fn read_flow(&self, payload: &[u8]) -> Option<(Flow, bool)> {
        let (flags, rest) = payload.split_first()?;
        let is_soft = flags & 1 != 0;
        if flags & 4 != 0 {
            return Some((Flow::Gone, is_soft));
        }
        if flags & 2 == 0 {
            let (epoch, rest) = rest.split_first_chunk::<4>()?;
            let connection = u64::from_be_bytes(rest.try_into().ok()?);
            // Numbers of connections begin anew in each process.
            let flow = if u32::from_be_bytes(*epoch) == self.epoch {
                Flow::Connection(ConnectionId(connection))
            } else {
                Flow::Gone
            };
            return Some((flow, is_soft));
        }
        let (listener, rest) = rest.split_first_chunk::<2>()?;
        let (port, address) = rest.split_first_chunk::<2>()?;
        let address = match address.len() {
            4 => IpAddr::from(<[u8; 4]>::try_from(address).ok()?),
            _ => IpAddr::from(<[u8; 16]>::try_from(address).ok()?),
        };
        let peer = SocketAddr::new(address, u16::from_be_bytes(*port));
        let listener = ListenerId(u16::from_be_bytes(*listener));
        Some((Flow::Datagram(listener, peer), is_soft))
    }

    /// The URI that leads down a flow, for a next hop.
    #[must_use]
    pub fn flow_uri(&self, flow: Flow, is_soft: bool) -> String {
        format!("sip:{}@{FLOW_HOST};lr", self.flow(flow, is_soft, None))
    }
}

/// Whether a transport is one over which browsers come, which have no address of their own (RFC 7118 §5).
pub(crate) fn is_web(transport: Transport) -> bool {
    matches!(transport, Transport::Ws | Transport::Wss)
}

/// Whether a host is one that nobody has (RFC 2606 §2): a browser writes one where others write their address (RFC 7118 §5.6).
#[must_use]
pub fn is_invalid(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    host.len()
        .checked_sub(8)
        .and_then(|at| host.get(at..))
        .is_some_and(|end| end.eq_ignore_ascii_case(".invalid"))
}

#[cfg(test)]
mod tests {
    //! A token says what was put into it, to whoever has the key and within its call; what was changed says nothing.
    use super::*;

    fn signer(secret: u64, epoch: u32) -> Signer {
        Signer::new(&RelayKey {
            secret: [secret, 7],
            epoch,
        })
    }

    fn flows() -> [Flow; 3] {
        [
            Flow::Connection(ConnectionId(u64::MAX - 3)),
            Flow::Datagram(ListenerId(3), "192.0.2.4:5062".parse().unwrap()),
            Flow::Datagram(ListenerId(300), "[2001:db8::5]:65535".parse().unwrap()),
        ]
    }

    #[test]
    fn a_token_gives_back_its_flow() {
        let signer = signer(1, 9);
        for flow in flows() {
            for is_soft in [false, true] {
                let text = signer.flow(flow, is_soft, None);
                assert!(text.len() <= LONGEST, "{text}");
                let uri = format!("sip:{text}@192.0.2.1;lr");
                let uri = sip::Uri::parse(&uri).unwrap();
                let read = signer.read(uri.user().unwrap(), "any call");
                let is_bound = false;
                let expected = TokenFlow {
                    flow,
                    is_soft,
                    is_bound,
                };
                assert_eq!(read, Token::Flow(expected));
            }
        }
    }

    #[test]
    fn one_that_is_bound_is_worth_nothing_in_another_call() {
        let signer = signer(1, 9);
        let mark = signer.mark("call");
        assert_eq!(signer.read(&mark, "call"), Token::Mark);
        assert_eq!(signer.read(&mark, "other"), Token::Forged);
        for flow in flows() {
            let text = signer.flow(flow, false, Some("call"));
            assert!(matches!(signer.read(&text, "call"), Token::Flow(read) if read.is_bound));
            assert_eq!(signer.read(&text, "other"), Token::Forged);
        }
    }

    #[test]
    fn what_was_changed_or_made_with_another_key_is_forged() {
        let signer = signer(1, 9);
        let text = signer.flow(flows()[1], false, None);
        for at in 3..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            // The last character has bits that say nothing: the decoder refuses them.
            assert_ne!(signer.read(&changed, ""), signer.read(&text, ""), "{at}");
        }
        let other = Signer::new(&RelayKey {
            secret: [2, 7],
            epoch: 9,
        });
        assert_eq!(other.read(&text, ""), Token::Forged);
        for user in ["", "bob", "dr", "drf", "drm", "drx0", "drf====", "drfAAAA"] {
            assert_eq!(signer.read(user, "call"), Token::Absent, "{user}");
        }
    }

    #[test]
    fn a_connection_of_the_process_before_is_gone_and_an_address_is_not() {
        let (before, now) = (signer(1, 8), signer(1, 9));
        let read = |flow| now.read(&before.flow(flow, false, None), "");
        assert!(matches!(read(flows()[0]), Token::Flow(read) if read.flow == Flow::Gone));
        assert!(matches!(read(flows()[1]), Token::Flow(read) if read.flow == flows()[1]));
    }

    #[test]
    fn the_hosts_of_browsers_are_known_by_their_end() {
        assert!(is_invalid("df7jal23ls0d.invalid"));
        assert!(is_invalid("a.INVALID."));
        assert!(!is_invalid("invalid"));
        assert!(!is_invalid("a.invalid.example"));
        assert!(!is_invalid("ü.example"));
    }
}
