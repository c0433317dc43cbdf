//! Via branches of a proxy: how a request that comes back is recognised, and the branch of a proxy without state.
//!
//! Loop detection is that of RFC 3261 §16.3 item 4 with the choice of fields of RFC 5393 §4.2.2: what decides where a request
//! goes, as it was received. Max-Breadth (RFC 5393 §5) is not here.
use crate::proxy::OwnNames;
use sip::{HeaderName, Message};
use std::fmt::Write as _;

/// The start of a branch made by RFC 3261's rules (§8.1.1.7).
const MAGIC_COOKIE: &str = "z9hG4bK";
/// What separates the unique part of a branch from the mark.
const SEPARATOR: char = '.';

/// FNV-1a over parts whose boundaries count. It need not withstand an attacker: who forges a mark gets his own request refused.
struct Mixer(u64);

impl Mixer {
    fn new() -> Mixer {
        Mixer(0xcbf2_9ce4_8422_2325)
    }

    fn add(&mut self, part: &[u8]) {
        for byte in part.iter().chain(&[0xff]) {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

/// The mark of a request as received: the same when it comes back unchanged (a loop), another when its request-URI or route
/// changed on the way (a spiral, which is allowed).
#[must_use]
pub fn mark(request: &Message) -> u32 {
    let mut mixer = Mixer::new();
    mixer.add(request.request_uri().as_bytes());
    for name in [
        HeaderName::Route,
        HeaderName::ProxyRequire,
        HeaderName::ProxyAuthorization,
    ] {
        for field in request.headers(name) {
            mixer.add(&field.value());
        }
    }
    mixer.add(request.call_id().unwrap_or_default().as_bytes());
    if let Ok(from) = request.from() {
        mixer.add(from.tag().unwrap_or_default().as_bytes());
    }
    if let Ok(to) = request.to() {
        mixer.add(to.tag().unwrap_or_default().as_bytes());
    }
    if let Ok(cseq) = request.cseq() {
        mixer.add(&cseq.number.to_be_bytes());
        mixer.add(cseq.method.as_str().as_bytes());
    }
    let Mixer(hash) = mixer;
    (hash ^ (hash >> 32)) as u32
}

/// The branch parameter of a forwarded request: `unique`, which starts with the magic cookie and differs for every attempt, and
/// the mark of the request it is forwarded for.
#[must_use]
pub fn branch_parameter(unique: &str, mark: u32) -> String {
    let mut branch = String::with_capacity(unique.len() + 9);
    // Writing to a String cannot fail.
    let _ = write!(branch, "{unique}{SEPARATOR}{mark:08x}");
    branch
}

/// How often the request has passed here.
#[must_use]
pub fn passages(request: &Message, own: &dyn OwnNames) -> usize {
    let vias = request.vias().flatten();
    vias.filter(|via| own.is_own(via.host, via.port)).count()
}

/// Whether the request passed here before and is on its way to the same place again.
#[must_use]
pub fn is_loop(request: &Message, own: &dyn OwnNames) -> bool {
    let mut ours = request
        .vias()
        .flatten()
        .filter(|via| own.is_own(via.host, via.port))
        .peekable();
    if ours.peek().is_none() {
        return false;
    }
    let mark = mark(request);
    ours.any(|via| via.branch().and_then(mark_of) == Some(mark))
}

/// The mark in a branch of ours.
fn mark_of(branch: &str) -> Option<u32> {
    let (_, digits) = branch.strip_prefix(MAGIC_COOKIE)?.rsplit_once(SEPARATOR)?;
    if digits.len() != 8 {
        return None;
    }
    u32::from_str_radix(digits, 16).ok()
}

/// The branch of a request forwarded without state (RFC 3261 §16.11): the same for its repetitions, for the CANCEL and for the
/// ACK of a non-2xx response, as all of them carry the same branch from the previous hop; or, for an old peer without the
/// magic cookie, the same top Via, tags, Call-ID, CSeq number and request-URI.
#[must_use]
pub fn stateless_branch(request: &Message) -> String {
    let mut branch = String::with_capacity(MAGIC_COOKIE.len() + 17);
    // The mark of the INVITE would differ from that of its ACK; a loop of a stateless proxy ends by Max-Forwards.
    let _ = write!(branch, "{MAGIC_COOKIE}s{:016x}", stateless_key(request));
    branch
}

/// The key in a branch that `stateless_branch` made.
#[must_use]
pub fn key_of(branch: &str) -> Option<u64> {
    let digits = branch.strip_prefix(MAGIC_COOKIE)?.strip_prefix('s')?;
    // The engine's mark may follow.
    u64::from_str_radix(digits.get(..16)?, 16).ok()
}

/// What the branch of `stateless_branch` is made of: a request and its CANCEL and ACK have the same.
#[must_use]
pub fn stateless_key(request: &Message) -> u64 {
    let mut mixer = Mixer::new();
    let via = request.top_via().ok();
    let branch = via
        .as_ref()
        .and_then(|via| via.branch())
        .filter(|branch| branch.starts_with(MAGIC_COOKIE));
    match (branch, &via) {
        (Some(branch), Some(via)) => {
            let (host, port) = via.sent_by();
            mixer.add(branch.as_bytes());
            mixer.add(host.to_ascii_lowercase().as_bytes());
            mixer.add(&port.unwrap_or_default().to_be_bytes());
        }
        _ => {
            for value in request.values(HeaderName::Via).take(1) {
                mixer.add(value.as_bytes());
            }
            mixer.add(
                request
                    .from()
                    .ok()
                    .and_then(|from| from.tag().map(str::to_owned))
                    .unwrap_or_default()
                    .as_bytes(),
            );
            mixer.add(request.call_id().unwrap_or_default().as_bytes());
            mixer.add(
                &request
                    .cseq()
                    .map(|cseq| cseq.number)
                    .unwrap_or_default()
                    .to_be_bytes(),
            );
            mixer.add(request.request_uri().as_bytes());
        }
    }
    let Mixer(hash) = mixer;
    hash
}
