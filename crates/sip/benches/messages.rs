//! What the work on one message costs, in nanoseconds: `cargo bench -p sip`.
use bytes::Bytes;
use sip::{Build, HeaderName, Limits, Message, Patch};
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

/// Runs `work` in batches of 500 and prints the fastest batch's mean: what the work costs when nothing else runs.
#[allow(clippy::disallowed_methods)] // A bench reads the clock; the crate does not.
fn measure<T>(name: &str, mut work: impl FnMut() -> T) {
    const BATCH: u32 = 500;
    let mut best = f64::MAX;
    for _ in 0..400 {
        let start = Instant::now();
        for _ in 0..BATCH {
            black_box(work());
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e9 / f64::from(BATCH));
    }
    println!("{name:<44} {best:>8.0} ns");
}

#[allow(clippy::disallowed_methods, clippy::unwrap_used)]
fn read(name: &str) -> Bytes {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../corpus/devices")
        .join(name);
    Bytes::from(std::fs::read(path).unwrap())
}

#[allow(clippy::unwrap_used)]
fn main() {
    let limits = Limits::default();
    for name in [
        "generator-invite.sip",
        "desk-phone-invite.sip",
        "desk-phone-ok.sip",
    ] {
        let bytes = read(name);
        let size = bytes.len();
        measure(&format!("parse {name} ({size} bytes)"), || {
            Message::parse(bytes.clone(), &limits)
        });
    }
    let invite = Message::parse(read("desk-phone-invite.sip"), &limits).unwrap();
    measure("validate INVITE", || invite.validate());
    measure("top Via", || {
        invite.top_via().map(|via| via.branch().map(str::len))
    });
    measure("From", || {
        invite.from().map(|from| from.tag().map(str::len))
    });
    measure("CSeq", || invite.cseq());
    measure("request-URI", || invite.uri().map(|uri| uri.port()));
    measure("patch INVITE to forward it", || {
        let mut patch = Patch::new(&invite);
        patch.request_uri("sip:2001@198.51.100.40:5060;transport=udp");
        patch.prepend(
            HeaderName::Via,
            "SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK0011223344556677",
        );
        patch.prepend(HeaderName::RecordRoute, "<sip:192.0.2.10;lr>");
        patch.set(HeaderName::MaxForwards, "69");
        patch.write()
    });
    let ok = Message::parse(read("desk-phone-ok.sip"), &limits).unwrap();
    measure("patch 200 to forward it (top Via off)", || {
        let mut patch = Patch::new(&ok);
        patch.remove_first_value(HeaderName::Via);
        patch.write()
    });
    measure("reply 180 to INVITE", || {
        Build::reply(&invite, 180, "Ringing", Some("0123456789abcdef")).finish(b"")
    });
}
