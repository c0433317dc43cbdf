//! How a WebSocket begins: an HTTP request that asks for the sub-protocol `sip`, and its answer (RFC 6455 §4, RFC 7118 §4). Anything
//! else that speaks HTTP gets a short answer and is closed.
use super::Failure;
use super::websocket::WebSocket;
use std::fmt::Write as _;
use std::sync::Arc;
use tungstenite::handshake::machine::TryParse;
use tungstenite::handshake::{client, derive_accept_key, server};
use tungstenite::http::HeaderMap;

/// How long the head of an HTTP request or response may be. Browsers send about one kilobyte, with cookies a few.
const HEAD: usize = 16 * 1024;
const SUB_PROTOCOL: &str = "sip";

/// What is asked of those who upgrade.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::stream) struct WebSocketRules {
    /// The longest SIP message, in bytes.
    pub max_message_bytes: usize,
    /// The pages (`https://phone.example.com`) whose scripts may connect; empty: all. Those who send no Origin are no browsers.
    pub origins: Vec<String>,
}

/// A handshake under way.
pub(super) struct Upgrade {
    rules: Arc<WebSocketRules>,
    head: Vec<u8>,
    /// For the side that asks: the server it asks, and the key whose answer it wants.
    asking: Option<(String, String)>,
}

/// How far it came.
pub(super) enum Answered {
    Partly,
    /// Open; what came behind the head is the WebSocket's.
    Open(Box<WebSocket>, Vec<u8>),
}

impl Upgrade {
    pub fn accepting(rules: Arc<WebSocketRules>) -> Upgrade {
        Upgrade {
            rules,
            head: Vec::new(),
            asking: None,
        }
    }

    pub fn opening(rules: Arc<WebSocketRules>, host: &str) -> Upgrade {
        Upgrade {
            rules,
            head: Vec::new(),
            asking: Some((host.to_owned(), client::generate_key())),
        }
    }

    /// What the side that opened the connection begins with.
    pub fn request(&self) -> Vec<u8> {
        let Some((host, key)) = &self.asking else {
            return Vec::new();
        };
        format!(
            "GET / HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {SUB_PROTOCOL}\r\n\r\n"
        )
        .into_bytes()
    }

    /// Takes what came; `reply` is what the peer is owed for it.
    pub fn receive(&mut self, bytes: &[u8], reply: &mut Vec<u8>) -> Result<Answered, Failure> {
        // Only where the end may be: a head that comes byte by byte is not searched from its start each time.
        let searched = self.head.len().saturating_sub(3);
        self.head.extend_from_slice(bytes);
        let unsearched = self.head.get(searched..).unwrap_or_default();
        let end = unsearched
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .map(|at| searched + at + 4);
        if end.unwrap_or(self.head.len()) > HEAD {
            return Err(self.refuse(
                "431 Request Header Fields Too Large",
                "the head of the request is too long",
                reply,
            ));
        }
        let Some(end) = end else {
            return Ok(Answered::Partly);
        };
        let rest = self.head.split_off(end);
        let is_server = self.asking.is_none();
        match self.asking.take() {
            Some((_, key)) => self.answered(&key)?,
            None => self.answer(reply)?,
        }
        let socket = WebSocket::new(is_server, self.rules.max_message_bytes);
        Ok(Answered::Open(socket, rest))
    }

    /// Reads the request and answers it.
    fn answer(&self, reply: &mut Vec<u8>) -> Result<(), Failure> {
        let request = match server::Request::try_parse(&self.head) {
            Ok(Some((_, request))) => request,
            Ok(None) | Err(_) => {
                return Err(self.refuse("400 Bad Request", "this is a WebSocket server for SIP (RFC 7118): an HTTP/1.1 GET that upgrades is wanted", reply));
            }
        };
        let headers = request.headers();
        let response = server::create_response(&request).map_err(|error| {
            let asks = headers.get("Sec-WebSocket-Key").is_some();
            let is_other_version = headers
                .get("Sec-WebSocket-Version")
                .is_none_or(|version| version.as_bytes() != b"13");
            match asks {
                true if is_other_version => {
                    let why = "this server speaks version 13 of WebSocket (RFC 6455 section 4.4)";
                    self.refuse("426 Upgrade Required", why, reply)
                }
                true => {
                    let why = format!("this is no WebSocket upgrade: {error}");
                    self.refuse("400 Bad Request", &why, reply)
                }
                false => {
                    let why = "this is a WebSocket server for SIP (RFC 7118), not a web server";
                    self.refuse("426 Upgrade Required", why, reply)
                }
            }
        })?;
        if !offers_sip(headers) {
            return Err(self.refuse("400 Bad Request", "the sub-protocol \"sip\" is wanted (Sec-WebSocket-Protocol: sip, RFC 7118 section 4)", reply));
        }
        if let Some(origin) = headers.get("Origin")
            && !self.rules.origins.is_empty()
            && !self
                .rules
                .origins
                .iter()
                .any(|allowed| origin.as_bytes().eq_ignore_ascii_case(allowed.as_bytes()))
        {
            return Err(self.refuse(
                "403 Forbidden",
                "pages of this origin may not connect here",
                reply,
            ));
        }
        let accept = response
            .headers()
            .get("Sec-WebSocket-Accept")
            .and_then(|value| value.to_str().ok());
        let mut text = String::from(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
        );
        let _ = write!(
            text,
            "Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: {SUB_PROTOCOL}\r\n\r\n",
            accept.unwrap_or_default()
        );
        reply.extend_from_slice(text.as_bytes());
        Ok(())
    }

    /// Reads the server's answer to our request.
    fn answered(&self, key: &str) -> Result<(), Failure> {
        let failed = |why: String| Err(Failure::Handshake(why));
        let response = match client::Response::try_parse(&self.head) {
            Ok(Some((_, response))) => response,
            Ok(None) => return failed("its answer is no HTTP response".to_owned()),
            Err(error) => return failed(format!("its answer is no HTTP response: {error}")),
        };
        let headers = response.headers();
        let has = |name: &str, wanted: &str| {
            let value = headers.get(name).and_then(|value| value.to_str().ok());
            value.is_some_and(|value| value.trim() == wanted)
        };
        if response.status().as_u16() != 101 {
            return failed(format!(
                "it answered the WebSocket upgrade with {}",
                response.status()
            ));
        }
        if !has("Sec-WebSocket-Accept", &derive_accept_key(key.as_bytes())) {
            return failed(
                "it answered another WebSocket key than ours: is it a cache?".to_owned(),
            );
        }
        if !has("Sec-WebSocket-Protocol", SUB_PROTOCOL) {
            return failed(
                "it does not speak the WebSocket sub-protocol sip (RFC 7118)".to_owned(),
            );
        }
        Ok(())
    }

    fn refuse(&self, status: &str, why: &str, reply: &mut Vec<u8>) -> Failure {
        if self.asking.is_none() {
            let _ = write!(
                Text(reply),
                "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nConnection: Upgrade, close\r\n\r\n{why}\n",
                why.len() + 1
            );
        }
        Failure::Handshake(why.to_owned())
    }
}

/// Bytes that text is written to.
struct Text<'a>(&'a mut Vec<u8>);

impl std::fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// Whether `sip` is among the sub-protocols offered, in one header field or several.
fn offers_sip(headers: &HeaderMap) -> bool {
    let values = headers.get_all("Sec-WebSocket-Protocol").into_iter();
    let mut offers = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    offers.any(|offer| offer.trim().eq_ignore_ascii_case(SUB_PROTOCOL))
}
