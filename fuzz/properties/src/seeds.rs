//! What the fuzzers begin with: made from `corpus/` when it is wanted, and scripts of calls written here.
use crate::control::{SECRET, SEPARATOR, names};
use crate::typed_headers::NAMES;
use engine::id::TransactionId;
use sip::{HeaderName, Limits, Message};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The folder of the vectors.
#[must_use]
pub fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus")
}

/// Every file of a folder that ends so, in order.
///
/// # Panics
/// When the folder cannot be read.
#[must_use]
pub fn files(folder: &Path, ending: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let entries =
        std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_file() && path.to_string_lossy().ends_with(ending))
        .collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let bytes =
                std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            (path, bytes)
        })
        .collect()
}

/// Every message of the corpus; what once went wrong among them.
pub fn messages() -> &'static [Vec<u8>] {
    static MESSAGES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    MESSAGES.get_or_init(|| {
        let folders = ["devices", "rfc4475", "rfc5118", "regressions"];
        let all = folders
            .iter()
            .flat_map(|folder| files(&corpus().join(folder), ".sip"));
        all.map(|(_, bytes)| bytes).collect()
    })
}

/// The inputs that a target begins with.
///
/// # Panics
/// For a name that is no target's.
#[must_use]
pub fn of(target: &str) -> Vec<Vec<u8>> {
    match target {
        "parser" => messages().to_vec(),
        "framing" => streams(),
        "typed_headers" => values(),
        "patches" => patches(),
        "engine" => CALLS
            .iter()
            .map(|call| call.replace(' ', "\n").into_bytes())
            .collect(),
        "control" => conversations(),
        other => panic!("{other} is no target"),
    }
}

fn streams() -> Vec<Vec<u8>> {
    let pairs = messages().chunks(3).enumerate();
    let mut out: Vec<Vec<u8>> = pairs
        .map(|(index, messages)| {
            let between: &[u8] = [&b""[..], b"\r\n", b"\r\n\r\n", b"\n"][index % 4];
            [&[b'0' + (index % 40) as u8], &messages.join(between)[..]].concat()
        })
        .collect();
    out.extend(
        messages()
            .iter()
            .map(|message| [b"\x05", &message[..]].concat()),
    );
    out
}

/// The first byte of an input about this header field.
fn which(name: HeaderName) -> Option<u8> {
    let index = NAMES.iter().position(|other| *other == name)?;
    u8::try_from(index).ok()
}

const SAMPLES: &[(HeaderName, &str)] = &[
    (HeaderName::SessionExpires, "1800;refresher=uas;x=\"y;z\""),
    (HeaderName::Event, "presence.winfo;id=93809824;x=\"a;b\""),
    (
        HeaderName::SubscriptionState,
        "terminated;reason=giveup;retry-after=30;expires=0",
    ),
    (
        HeaderName::Replaces,
        "98732@h;from-tag=r33;to-tag=ff87;early-only",
    ),
    (HeaderName::Join, "98732@h;from-tag=r33;to-tag=ff87"),
    (
        HeaderName::TargetDialog,
        "98732@h;local-tag=r33;remote-tag=ff87",
    ),
    (
        HeaderName::ReferTo,
        "\"Bob \\\"B\\\"\" <sip:b@h;x=y?Replaces=1%40h%3Bto-tag%3Da%3Bfrom-tag%3Db>;x=y",
    ),
    (HeaderName::RAck, "776656 1 INVITE"),
    (
        HeaderName::Reason,
        "SIP ;cause=580 ;text=\"Pre\\\"condition, Failure\", Q.850;cause=16",
    ),
    (
        HeaderName::RetryAfter,
        "18000 (I'm (in) a \\) meeting);duration=3600",
    ),
    (
        HeaderName::PAssertedIdentity,
        "\"Cullen, J.\" <sip:+15550100@h;user=phone>, tel:+15550100;ext=1",
    ),
    (
        HeaderName::RemotePartyId,
        "\"A\" <sip:a@h>;party=calling;screen=yes;privacy=off;x=\"y\"",
    ),
    (HeaderName::Privacy, "id;critical, history"),
    (
        HeaderName::HistoryInfo,
        "<sip:bob@h;cause=486?Reason=SIP%3Bcause%3D302&Privacy=history>;index=1.1;mp=1",
    ),
    (
        HeaderName::Diversion,
        "\"A\" <tel:+15550100>;reason=\"out of\";counter=1;limit=9;privacy=full;screen=no",
    ),
    (
        HeaderName::UserToUser,
        "56a390f3d2b7;purpose=isdn-uui;content=isdn-uui;encoding=hex",
    ),
    (
        HeaderName::GeolocationError,
        "100 ; code=\"Cannot Process Location\"",
    ),
    (
        HeaderName::Contact,
        "sip:%61lice:secret@EXAMPLE.com:5060;transport=TCP?subject=x\nsip:alice:secret@example.com:5060;transport=tcp?Subject=x",
    ),
    (
        HeaderName::Contact,
        "<sips:alice@[2001:db8::9:1]:5061;lr>;q=0.5;expires=3600",
    ),
    (
        HeaderName::Via,
        "SIP/2.0/UDP [2001:db8::9:1]:5060;branch=z9hG4bK87asdks7;rport=1;received=192.0.2.1",
    ),
    (
        HeaderName::WwwAuthenticate,
        "Digest realm=\"a, b\", nonce=\"c\\\"\", qop=\"auth,auth-int\", algorithm=SHA-256",
    ),
    (
        HeaderName::ContentType,
        "multipart/mixed;boundary=\"x\"\r\n\r\n--x\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--x--\r\n",
    ),
];

fn values() -> Vec<Vec<u8>> {
    let samples = SAMPLES
        .iter()
        .map(|(name, value)| (*name, value.as_bytes().to_vec()));
    let mut out: Vec<(HeaderName, Vec<u8>)> = samples.collect();
    for bytes in messages() {
        let Ok(message) = Message::parse(bytes.clone().into(), &Limits::default()) else {
            continue;
        };
        out.extend(
            message
                .fields()
                .map(|field| (field.name(), field.value().into_owned())),
        );
        if !message.body().is_empty() {
            out.push((HeaderName::SessionExpires, message.body().to_vec()));
        }
    }
    let mut all: Vec<Vec<u8>> = out
        .into_iter()
        .filter_map(|(name, value)| Some([&[which(name)?], &value[..]].concat()))
        .collect();
    all.sort();
    all.dedup();
    all
}

fn patches() -> Vec<Vec<u8>> {
    const EDITS: &[&str] = &[
        "p0v\nf0\ns6:69",
        "A0x\nR1\nb0text",
        "F1<sip:new>\nu7",
        "r5\na3<sip:c>\np2<sip:r;lr>",
    ];
    let all = messages().iter().enumerate();
    all.map(|(index, message)| [EDITS[index % EDITS.len()].as_bytes(), b"\n\n", message].concat())
        .collect()
}

/// Calls and other business as scripts for the engine (`engine`), a space for each line end.
const CALLS: &[&str] = &[
    // Called, ringing, answered, acknowledged, and the peer hangs up.
    "K0 r00000000000 A0110 A0000 a001 d0022000 A0010 t1",
    // Called, and cancelled: by the same Via, and by one that a NAT changed.
    "K0 r0000000000 A011 c00 a00",
    "K0 r0000000000 A011 c01 a00 A000",
    // Called by TCP, whose connection goes.
    "K0 r6000000000 A011 k5 A000 t5",
    // Calls, is answered, acknowledges, and hangs up.
    "K0 S00000 s001 s0000 D010 D020 s00",
    // Calls a name; the first place does not answer, the second is refused, the third is busy.
    "K0 S00200 n01 f00 f00 s06",
    // A call that nobody answers.
    "K0 S00000 t5 t6",
    // Calls, cancels, and the 200 crosses it.
    "K0 S00000 s010 C00 s0000 t1",
    // Reliable provisional responses, both ways.
    "K0 r0000000100 A0120 d009401d A000 a00",
    "K0 S00010 s0112 s0113 D091 s000 D010",
    // A session timer that runs out; one that is refreshed.
    "K: r0000000400 A0000 a001 t8 t8",
    "K@ S00030 s0004 D010 t3 t8 s00",
    // A proxied call, forked to three; one answers.
    "K0 r0000000000 P0103:; s010 s100 s200 a01",
    "K0 r0000000000 P04?0:1 s014 s1000 s100 t7",
    // A proxied call that is redirected, then cancelled.
    "K0 r0000000000 P0800 s0>0K s010 c00 s07",
    // Stateless, and relayed by Route.
    "K0 r0000000000 P0@00 s00 c00",
    "K0 d00 r0200100@00 s000 r02001001@0",
    // Subscriptions, in and out, and a REFER with its NOTIFYs.
    "K0 r0600000700 A0400 D07710 s000 d0063007 A000",
    "K0 S06051 s0400 d007200: A000 t7 t8",
    "K0 r0800000;00 A0400 D0771 s00",
    // A dialog that moves.
    "K0 r0000000000 A0000 a001 E01 I000 D020 s00",
    // Applications that come and go, and one that is behind.
    "K0 T0 T1 r0000000000 T0 r0100010100 B05 B15 r0000020000",
    // A full table.
    "K1 r0000000000 r0010010000 r0020020000 r0030030000 r1000140000 S00000 S00000",
    // Merged requests, spirals, floods of one transaction.
    "K0 r0000000000 r0000010000 x0 x1 x0 r00000000I0",
    "Kp S00400 A000 D010",
    // Damaged messages.
    "K0 m010:0a m020Qz m03!0x m040",
    "K0 r0000000000 m0009X m00!0X x0",
    // On the open Internet: a browser registers, is called, and its connection goes; a flow is taken; strangers flood, and are known.
    "K01 r8500000000 A0000 S00800 s010 s0000 D010 D020 s00 k7",
    "K01 r8500000000 A0000 r0000100008 P0108 s0100 s000 c10 k7",
    "K01 r6500000000 A0000 S00Z00 s0000 D010 D020 k5 S00Z00 t6",
    "K01 r0000000000 r0010010000 r0020020000 r1000140000 r2000240000 r3000340000 A0000 A1000 a001 t1 r0000330000 t6",
    "K01 r000000000 A0800 a00 r0010010000 A0110 c00 B05 r1000140000 r2000240000 m010:0a x0 x0 x0",
    // Update, glare, a challenge.
    "K0 r0000000000 A0000 a001 d00:2000 D0:00 D000 d0003000 A0:0 s0:0",
    "K0 S00000 s0<0 S00000 s0000 D010 d0005000 D000",
];

fn frame(payload: &str) -> String {
    format!("{}#{payload}", payload.len())
}

/// The payloads that an application sends in a conversation: `A>S`, a time, a length, `#` and the payload.
fn payloads(text: &[u8]) -> Vec<&[u8]> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.windows(4).position(|part| part == b"A>S ") {
        rest = &rest[at + 4..];
        let Some(mark) = rest.iter().position(|byte| *byte == b'#') else {
            break;
        };
        let digits = rest[..mark]
            .rsplit(|byte| *byte == b' ')
            .next()
            .unwrap_or_default();
        let length = std::str::from_utf8(digits)
            .ok()
            .and_then(|digits| digits.parse::<usize>().ok());
        let Some(payload) = length.and_then(|length| rest.get(mark + 1..mark + 1 + length)) else {
            continue;
        };
        out.push(payload);
        rest = &rest[mark + 1 + payload.len()..];
    }
    out
}

/// Conversations of a control connection: those of `corpus/control`, each after an INVITE that it may answer.
fn conversations() -> Vec<Vec<u8>> {
    let name = names().text(TransactionId::new(0, 1));
    let name = String::from_utf8_lossy(&name).into_owned();
    let separator = char::from(SEPARATOR);
    let welcome = format!("c{}", frame(&format!("m0|authenticate|{SECRET}|")));
    let invite = "nINVITE sip:bob@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.101;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
        From: <sip:a@example.com>;tag=f\r\nTo: <sip:bob@192.0.2.1>\r\nCall-ID: call-0\r\nCSeq: 1 INVITE\r\nContact: <sip:a@192.0.2.101>\r\n\
        Content-Length: 0\r\n\r\n";
    let route = format!("c{}", frame("m1|route|INVITE"));
    let begin = format!("\u{10}{welcome}{separator}{route}{separator}{invite}{separator}");
    let mut out = Vec::new();
    for folder in ["examples", "captures"] {
        for (_, bytes) in files(&corpus().join("control").join(folder), ".txt") {
            for payload in payloads(&bytes) {
                let mut text = String::from_utf8_lossy(payload).into_owned();
                while let Some(start) = text
                    .find("|e00000")
                    .filter(|start| text.is_char_boundary(start + 37))
                {
                    text.replace_range(start + 1..start + 37, &name);
                }
                out.push(format!("{begin}c{}", frame(&text)).into_bytes());
            }
        }
    }
    let sip = |transaction: &str, dialog: &str, text: &str| {
        format!(
            "c{}",
            frame(&format!("m2|sip|{transaction}|{dialog}|\r\n{text}\r\n\r\n"))
        )
    };
    let steps = [
        sip(&name, "", "SIP/2.0 200 OK\r\nContent-Type: application/sdp"),
        sip("", "call-0;from-tag=f", "BYE placeholder SIP/2.0"),
        sip("", "", "OPTIONS sip:x@192.0.2.102 SIP/2.0"),
        sip(
            "",
            "",
            "INVITE sip:x@carol.example SIP/2.0\r\nFrom: <sip:me@localhost>",
        ),
        format!(
            "c{}",
            frame(&format!(
                "m3|proxy|{name}|remainInDialog|fullResponse|followRedirects|simultaneous|1s|30s|sip:a@192.0.2.102\r\nINVITE sip:a@192.0.2.102 SIP/2.0\r\n\r\n"
            ))
        ),
        format!("c{}", frame(&format!("m4|cancel_proxy|{name}|480"))),
        format!("c{}", frame("m5|status")),
        format!("c{}", frame("m6|export|call-0;from-tag=f|release")),
        format!("c{}", frame("m7|remove_route|INVITE")),
        "t9".to_owned(),
    ];
    for (index, step) in steps.iter().enumerate() {
        out.push(format!("{begin}{step}").into_bytes());
        out.push(format!("{begin}{}{separator}{step}{separator}t3", steps[index / 2]).into_bytes());
    }
    out.sort();
    out.dedup();
    out
}
