//! The text forms of identifiers: message identifiers, transactions as UUIDs, dialogs as `<Call-ID>;from-tag=<tag>`.
//!
//! Transactions and dialogs are named without a table: the text says everything needed to find them again.
use engine::command::DialogReference;
use engine::id::{DialogId, DialogRole, TransactionId};
use sip::Message;

/// The text of a UUID, in bytes.
pub const UUID_BYTES: usize = 36;

const FROM_TAG: &str = ";from-tag=";

/// Opens the name of a dialog that Call-ID and tag cannot name; 16 hexadecimal digits follow.
const PLAIN_NAME: &str = "dracht:";

/// Eight hexadecimal digits, all at once: each nibble is moved to a byte of its own, then made a digit.
fn hexadecimal(value: u32) -> [u8; 8] {
    let spread = u64::from(value);
    let spread = ((spread & 0xffff_0000) << 16) | (spread & 0x0000_ffff);
    let spread = ((spread & 0x0000_ff00_0000_ff00) << 8) | (spread & 0x0000_00ff_0000_00ff);
    let spread = ((spread & 0x00f0_00f0_00f0_00f0) << 4) | (spread & 0x000f_000f_000f_000f);
    let is_letter = ((spread + 0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101;
    (spread + 0x3030_3030_3030_3030 + is_letter * 0x27).to_be_bytes()
}

const TEMPLATE: [u8; UUID_BYTES] = *b"00000000-0000-0000-0000-000000000000";

fn uuid(high: u64, low: u64) -> [u8; UUID_BYTES] {
    let mut text = TEMPLATE;
    let [a, b, c, d, e, f, g, h] = hexadecimal((high >> 32) as u32);
    let [i, j, k, l, m, n, o, p] = hexadecimal(high as u32);
    let (left, right) = text.split_at_mut(18);
    left.copy_from_slice(&[a, b, c, d, e, f, g, h, b'-', i, j, k, l, b'-', m, n, o, p]);
    right.copy_from_slice(&uuid_tail(low));
    text
}

/// The second half of a UUID's text, from the hyphen before the variant on.
fn uuid_tail(low: u64) -> [u8; 18] {
    let [a, b, c, d, e, f, g, h] = hexadecimal((low >> 32) as u32);
    let [i, j, k, l, m, n, o, p] = hexadecimal(low as u32);
    [b'-', a, b, c, d, b'-', e, f, g, h, i, j, k, l, m, n, o, p]
}

fn parse_uuid(text: &[u8]) -> Option<(u64, u64)> {
    if text.len() != UUID_BYTES {
        return None;
    }
    let mut halves = [0_u64; 2];
    for (index, (&byte, &shape)) in text.iter().zip(TEMPLATE.iter()).enumerate() {
        if shape == b'-' {
            if byte != b'-' {
                return None;
            }
            continue;
        }
        let nibble = char::from(byte).to_digit(16)?;
        let half = halves.get_mut(usize::from(index >= 18))?;
        *half = (*half << 4) | u64::from(nibble);
    }
    let [high, low] = halves;
    Some((high, low))
}

/// Makes the identifiers of the frames of one connection: the form of a version 4 UUID, a random half and a counter.
#[derive(Clone, Debug)]
pub struct MessageIds {
    text: [u8; UUID_BYTES],
    counter: u64,
}

impl MessageIds {
    /// Identifiers that differ from those made from another `seed`.
    #[must_use]
    pub fn new(seed: u64) -> MessageIds {
        MessageIds {
            text: uuid((seed & !0xf000) | 0x4000, 0),
            counter: 0,
        }
    }

    /// The next identifier.
    pub fn next_text(&mut self) -> &[u8; UUID_BYTES] {
        self.counter += 1;
        let (_, right) = self.text.split_at_mut(18);
        let low = (self.counter & 0x0fff_ffff_ffff_ffff) | 0x8000_0000_0000_0000;
        right.copy_from_slice(&uuid_tail(low));
        &self.text
    }
}

/// Names transactions by texts of the form of a version 4 UUID, reversibly: the identifier's 64 bits, masked, and 56 bits of
/// salt, by which a text that this server did not make is told apart.
#[derive(Copy, Clone, Debug)]
pub struct TransactionNames {
    mask: u64,
    salt: u64,
}

impl TransactionNames {
    /// Names for one server, from two random numbers.
    #[must_use]
    pub fn new(mask: u64, salt: u64) -> TransactionNames {
        TransactionNames {
            mask,
            salt: salt & 0x00ff_ffff_ffff_ffff,
        }
    }

    /// The text of `transaction`.
    #[must_use]
    pub fn text(self, transaction: TransactionId) -> [u8; UUID_BYTES] {
        let bits = transaction.to_bits() ^ self.mask;
        // 48 bits, the version digit 4, 12 bits; then the variant digit 8, 4 bits, the salt.
        let high = (bits & 0xffff_ffff_ffff_0000) | 0x4000 | ((bits >> 4) & 0x0fff);
        uuid(
            high,
            0x8000_0000_0000_0000 | ((bits & 15) << 56) | self.salt,
        )
    }

    /// The transaction of that text; none when this server made no such text.
    #[must_use]
    pub fn transaction(self, text: &[u8]) -> Option<TransactionId> {
        let (high, low) = parse_uuid(text)?;
        let bits = (high & 0xffff_ffff_ffff_0000) | ((high & 0x0fff) << 4) | ((low >> 56) & 15);
        let transaction = TransactionId::from_bits(bits ^ self.mask);
        let is_ours =
            high & 0xf000 == 0x4000 && low >> 60 == 8 && low & 0x00ff_ffff_ffff_ffff == self.salt;
        is_ours.then_some(transaction)
    }
}

/// Who put a message on the wire: it tells which of From and To is the local side (RFC 3261 §12.1: in a response they stand as
/// in its request).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Sender {
    /// The request is, or was, the application's: From is the local side.
    Application,
    /// The request is, or was, the peer's: From is the remote side.
    Peer,
}

/// Whether `text` may stand in a meta line: no separator, no control character.
fn is_plain(text: &str) -> bool {
    !text
        .bytes()
        .any(|byte| byte == b'|' || byte < b' ' || byte == 0x7f)
}

/// Appends the name of the dialog `dialog` that `message` belongs to: `<Call-ID>;from-tag=<tag>` with the From tag of the request
/// that created the dialog. `sender` says whose request the message is, or answers.
///
/// A Call-ID or tag that would break the frame (RFC 3261 §25.1 permits none) gives a name made of the identifier instead, and so
/// does a further fork of a request, which would have the name of the first.
pub fn write_dialog(out: &mut Vec<u8>, message: &Message, dialog: DialogId, sender: Sender) {
    let is_from = (sender == Sender::Application) == (dialog.role() == DialogRole::Uac);
    if dialog.is_fork() || !write_tags(out, message, is_from) {
        write_plain(out, dialog);
    }
}

/// Appends the name of a dialog of which no message is at hand: by its Call-ID and the From tag of the request that created it.
pub fn write_named(out: &mut Vec<u8>, call_id: &str, from_tag: &str, dialog: DialogId) {
    if dialog.is_fork() || !write_pair(out, call_id, from_tag) {
        write_plain(out, dialog);
    }
}

fn write_plain(out: &mut Vec<u8>, dialog: DialogId) {
    out.extend_from_slice(PLAIN_NAME.as_bytes());
    out.extend_from_slice(&hexadecimal((dialog.to_bits() >> 32) as u32));
    out.extend_from_slice(&hexadecimal(dialog.to_bits() as u32));
    out.extend_from_slice(FROM_TAG.as_bytes());
}

/// Appends the name a dialog has, or would have, that the request of `message` creates. Appends nothing when it cannot be named.
pub fn write_new_dialog(out: &mut Vec<u8>, message: &Message) {
    write_tags(out, message, true);
}

fn write_tags(out: &mut Vec<u8>, message: &Message, is_from: bool) -> bool {
    let address = if is_from {
        message.from()
    } else {
        message.to()
    };
    let tag = address
        .as_ref()
        .ok()
        .and_then(sip::header::Address::tag)
        .unwrap_or_default();
    write_pair(out, message.call_id().unwrap_or_default(), tag)
}

fn write_pair(out: &mut Vec<u8>, call_id: &str, tag: &str) -> bool {
    if !is_plain(call_id) || !is_plain(tag) || call_id.starts_with(PLAIN_NAME) {
        return false;
    }
    out.extend_from_slice(call_id.as_bytes());
    out.extend_from_slice(FROM_TAG.as_bytes());
    out.extend_from_slice(tag.as_bytes());
    true
}

/// The dialog that an application names; none when the text has not the form of a name.
#[must_use]
pub fn parse_dialog(text: &[u8]) -> Option<DialogReference> {
    let text = std::str::from_utf8(text).ok()?;
    let (call_id, from_tag) = text.rsplit_once(FROM_TAG)?;
    if let Some(digits) = call_id.strip_prefix(PLAIN_NAME) {
        let bits = u64::from_str_radix(digits, 16).ok()?;
        return Some(DialogReference::Id(DialogId::from_bits(bits)));
    }
    Some(DialogReference::Tags {
        call_id: call_id.to_owned(),
        from_tag: from_tag.to_owned(),
    })
}
