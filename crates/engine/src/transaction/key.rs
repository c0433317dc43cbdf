//! How messages find their transaction (RFC 3261 §17.1.3, §17.2.3).
//!
//! A server transaction is found by a keyed 128-bit digest of what identifies it: no text is kept, and nobody outside can
//! make two collide. A client transaction is found by the number that its own branch carries, proven by random bits.
use crate::id::TransactionId;
use sip::Method;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hasher};

/// The start of a branch made by RFC 3261's rules (§8.1.1.7).
pub(crate) const MAGIC_COOKIE: &str = "z9hG4bK";
/// Marks the transaction number of a CANCEL, which shares its INVITE's branch (RFC 3261 §9.1).
const CANCEL_BIT: u64 = 1 << 55;

/// A keyed digest; equal only for equal input, as far as anyone can tell.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Digest(u64, u64);

impl Digest {
    /// Half of it.
    pub(crate) fn first(self) -> u64 {
        self.0
    }

    /// Sixteen hexadecimal digits that follow from the input: the To tag of a response without state.
    pub(crate) fn token(self) -> String {
        format!("{:016x}", self.1)
    }

    /// Half of it, where a number is wanted.
    pub(crate) fn number(self) -> u64 {
        self.0
    }
}

/// Makes digests with a secret of this engine.
#[derive(Clone, Debug)]
pub(crate) struct Digester(DefaultHasher);

impl Digester {
    /// A digester with this secret.
    pub(crate) fn new(secret: [u64; 2]) -> Digester {
        let mut hasher = DefaultHasher::new();
        for word in secret {
            hasher.write_u64(word);
        }
        Digester(hasher)
    }

    /// A number that follows from the input, for whoever needs no more than that.
    pub(crate) fn number(&self, part: &[u8]) -> u64 {
        let mut hasher = self.0.clone();
        hasher.write(part);
        hasher.finish()
    }

    /// The digest of a list of parts; the boundaries count.
    pub(crate) fn digest(&self, parts: &[&[u8]]) -> Digest {
        let mut hasher = self.0.clone();
        for part in parts {
            hasher.write(part);
            hasher.write_u64(part.len() as u64);
        }
        let first = hasher.finish();
        hasher.write_u64(first);
        Digest(first, hasher.finish())
    }
}

/// The parts of a request that identify its server transaction.
pub(crate) struct ServerKey<'a> {
    /// The top Via's branch; empty when it has none.
    pub(crate) branch: &'a str,
    /// The top Via's host and port, as text.
    pub(crate) sent_by: (&'a str, u16),
    /// The whole top Via, for keys without the magic cookie.
    pub(crate) via: &'a str,
    /// The request-URI.
    pub(crate) uri: &'a str,
    /// The Call-ID.
    pub(crate) call_id: &'a str,
    /// The From tag.
    pub(crate) from_tag: &'a str,
    /// The CSeq number.
    pub(crate) sequence: u32,
}

impl ServerKey<'_> {
    /// The digest for a request of this method: ACK is looked up as INVITE, and a CANCEL's victim likewise.
    pub(crate) fn digest(&self, digester: &Digester, method: &Method) -> Digest {
        let method = match method {
            Method::Ack => Method::Invite.as_str(),
            other => other.as_str(),
        };
        if self.branch.len() > MAGIC_COOKIE.len() && self.branch.starts_with(MAGIC_COOKIE) {
            let (host, port) = self.sent_by;
            let lower;
            let host = if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
                lower = host.to_ascii_lowercase();
                lower.as_str()
            } else {
                host
            };
            return digester.digest(&[
                self.branch.as_bytes(),
                host.as_bytes(),
                &port.to_be_bytes(),
                method.as_bytes(),
            ]);
        }
        // RFC 3261 §17.2.3: keys of RFC 2543. The To tag is left out, since an ACK carries the one that the response gave.
        digester.digest(&[
            b"2543",
            self.uri.as_bytes(),
            self.from_tag.as_bytes(),
            self.call_id.as_bytes(),
            &self.sequence.to_be_bytes(),
            self.via.as_bytes(),
            method.as_bytes(),
        ])
    }
}

/// The branch of a client transaction: the cookie, the transaction's number, random bits of this attempt.
pub(crate) fn client_branch(id: TransactionId, secret: u64) -> String {
    let mut branch = String::with_capacity(MAGIC_COOKIE.len() + 33);
    let number = id.to_bits() & !CANCEL_BIT;
    // Writing to a String cannot fail.
    let _ = write!(branch, "{MAGIC_COOKIE}{number:016x}{secret:016x}");
    branch
}

/// What a branch of ours says: the transaction, the random bits. A CANCEL's branch names the INVITE.
pub(crate) fn parse_client_branch(branch: &str) -> Option<(TransactionId, u64)> {
    let digits = branch.strip_prefix(MAGIC_COOKIE)?;
    // A proxy's branch goes on after a separator (RFC 3261 §16.6 item 8).
    let (number, secret) = (digits.get(..16)?, digits.get(16..32)?);
    if digits
        .as_bytes()
        .get(32)
        .is_some_and(u8::is_ascii_alphanumeric)
    {
        return None;
    }
    let number = u64::from_str_radix(number, 16).ok()?;
    Some((
        TransactionId::from_bits(number),
        u64::from_str_radix(secret, 16).ok()?,
    ))
}

/// The identifier of the CANCEL of the INVITE with this identifier.
pub(crate) fn cancel_of(invite: TransactionId) -> TransactionId {
    TransactionId::from_bits(invite.to_bits() | CANCEL_BIT)
}

#[cfg(test)]
mod tests {
    //! Requests of one transaction share a digest, others do not; a branch gives back its transaction.
    use super::*;

    fn key<'a>(branch: &'a str, host: &'a str) -> ServerKey<'a> {
        ServerKey {
            branch,
            sent_by: (host, 5060),
            via: "v",
            uri: "sip:a@b",
            call_id: "c",
            from_tag: "f",
            sequence: 1,
        }
    }

    #[test]
    fn ack_and_invite_share_a_key_and_cancel_has_its_own() {
        let digester = Digester::new([1, 2]);
        let invite = key("z9hG4bKx", "Host.example").digest(&digester, &Method::Invite);
        assert_eq!(
            invite,
            key("z9hG4bKx", "host.example").digest(&digester, &Method::Ack)
        );
        assert_ne!(
            invite,
            key("z9hG4bKx", "host.example").digest(&digester, &Method::Cancel)
        );
        assert_ne!(
            invite,
            key("z9hG4bKy", "host.example").digest(&digester, &Method::Invite)
        );
        assert_ne!(
            invite,
            key("z9hG4bKx", "other.example").digest(&digester, &Method::Invite)
        );
        assert_ne!(
            invite,
            key("z9hG4bKx", "host.example").digest(&Digester::new([1, 3]), &Method::Invite)
        );
    }

    #[test]
    fn a_branch_without_the_cookie_is_told_apart_by_the_other_fields() {
        let digester = Digester::new([1, 2]);
        let one = key("1", "h").digest(&digester, &Method::Invite);
        let mut other = key("1", "h");
        other.sequence = 2;
        assert_ne!(one, other.digest(&digester, &Method::Invite));
    }

    #[test]
    fn a_client_branch_names_its_transaction() {
        let id = TransactionId::new(3, 77);
        assert_eq!(parse_client_branch(&client_branch(id, 9)), Some((id, 9)));
        assert_eq!(client_branch(cancel_of(id), 9), client_branch(id, 9));
        assert_eq!(parse_client_branch("z9hG4bKnope"), None);
    }
}
