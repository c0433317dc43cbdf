//! Session descriptions are read as phones write them, and rewriting changes the lines that are meant and no other byte.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
use bytes::Bytes;
use proptest::prelude::*;
use sip::sdp::{Direction, HoldState, Rewrite, hold_state};
use sip::{Limits, Message, Sdp};

/// A desk phone's offer.
const PHONE: &str = "v=0\r\no=alice 2890844526 2890844526 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\na=x-nat:0\r\n\
    m=audio 49170 RTP/AVP 0 8 18 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n\
    m=video 0 RTP/AVP 31\r\n";
/// A browser's, shortened.
const BROWSER: &str = "v=0\r\no=- 673858621984976475 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n\
    m=audio 9 UDP/TLS/RTP/SAVPF 111 0\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:6hn9\r\na=ice-pwd:8iglOGaMeJO6oPl65z5QtSJQ\r\na=fingerprint:sha-256 3A:96\r\na=sendrecv\r\na=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 transport-cc\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n\
    m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=bundle-only\r\na=rtpmap:96 VP8/90000\r\na=recvonly\r\na=ice-ufrag:6hn9\r\n";
/// Everything that the grammar forbids and that is on the wire all the same.
const CARELESS: &str = "v=0\no=root 99999999999999999999999 99999999999999999999999 IN IP4 192.0.2.1 \nb=AS:84\nc=IN IP4 192.0.2.9\na=inactive\nt=0 0\n\
    m=audio 4000/2 RTP/SAVP  0 8 \na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNf\nb=AS:64\ny=what\nc=IN IP6 2001:db8::1";

fn read(text: &str) -> Sdp<'_> {
    Sdp::parse(text.as_bytes()).unwrap()
}

fn rewritten(text: &str, change: impl Fn(&mut Rewrite<'_>)) -> String {
    let sdp = read(text);
    let mut rewrite = Rewrite::new(&sdp);
    change(&mut rewrite);
    String::from_utf8(rewrite.finish()).unwrap()
}

#[test]
fn a_phone_is_read() {
    let sdp = read(PHONE);
    let origin = sdp.origin().unwrap();
    assert_eq!(
        (origin.username, origin.session_id, origin.version),
        ("alice", "2890844526", "2890844526")
    );
    assert_eq!(sdp.attribute("x-nat").unwrap().value, Some("0"));
    let audio = &sdp.media()[0];
    assert_eq!(
        (audio.kind, audio.port, audio.ports, audio.protocol),
        ("audio", 49170, 1, "RTP/AVP")
    );
    assert_eq!(audio.formats().collect::<Vec<_>>(), ["0", "8", "18", "101"]);
    assert_eq!(audio.rtpmap("101").unwrap().encoding, "telephone-event");
    assert_eq!(
        audio.rtpmap("8").unwrap().encoding,
        "PCMA",
        "assigned, without an rtpmap"
    );
    assert_eq!(
        (audio.fmtp("18"), audio.fmtp("0")),
        (Some("annexb=no"), None)
    );
    assert_eq!(audio.connection().unwrap().address, "192.0.2.1");
    assert!(audio.own_connection().is_none());
    assert!(!audio.has_ice() && !audio.has_crypto() && !audio.has_fingerprint());
    assert!(sdp.media()[1].is_rejected());
    assert!(!sdp.is_hold());
}

#[test]
fn a_browser_is_read() {
    let sdp = read(BROWSER);
    let (audio, video) = (&sdp.media()[0], &sdp.media()[1]);
    assert!(audio.has_ice() && audio.has_fingerprint());
    assert_eq!(
        audio.direction(),
        Direction::SendRecv,
        "with ICE the address says nothing"
    );
    let opus = audio.rtpmap("111").unwrap();
    assert_eq!(
        (opus.encoding, opus.clock_rate, opus.channels),
        ("opus", 48_000, 2)
    );
    assert!(!video.is_rejected(), "a bundle carries it");
    assert_eq!(video.direction(), Direction::RecvOnly);
}

#[test]
fn what_devices_send_is_read() {
    let sdp = read(CARELESS);
    assert_eq!(sdp.origin().unwrap().version, "99999999999999999999999");
    let audio = &sdp.media()[0];
    assert_eq!(
        (audio.port, audio.ports, audio.formats().count()),
        (4000, 2, 2)
    );
    assert_eq!(
        audio.direction(),
        Direction::Inactive,
        "by the session's attribute"
    );
    assert!(audio.has_crypto());
    assert_eq!(audio.connection().unwrap().address, "2001:db8::1");
    assert_eq!(rewritten(CARELESS, |_| {}), CARELESS);
    let latin = b"v=0\r\ns=J\xf6rg\r\nm=audio 4000 RTP/AVP 0\r\n";
    let sdp = Sdp::parse(latin).unwrap();
    assert_eq!((sdp.name(), sdp.origin()), (None, None));
    let mut rewrite = Rewrite::new(&sdp);
    rewrite.set_direction(0, Direction::SendOnly);
    assert_eq!(
        rewrite.finish(),
        b"v=0\r\ns=J\xf6rg\r\nm=audio 4000 RTP/AVP 0\r\na=sendonly\r\n"
    );
}

#[test]
fn what_cannot_be_told_apart_is_refused_by_line() {
    let error = |text: &str| Sdp::parse(text.as_bytes()).unwrap_err().to_string();
    assert!(error("").contains("empty"));
    assert!(error("o=- 1 1 IN IP4 h\r\n").contains("line 1"));
    assert!(error("v=0\r\nm=audio\r\n").contains("line 2"));
    let many = format!("v=0\r\n{}", "m=a 1 x 0\r\n".repeat(101));
    assert!(error(&many).contains("line 102"));
    assert!(error("v=0\r\nm=audio 65536 RTP/AVP 0\r\n").contains("m=audio 4000 RTP/AVP 0"));
}

#[test]
fn hold_is_told_from_directions_and_from_the_address() {
    let held = |text: &str| read(text).is_hold();
    let with = |word: &str| PHONE.replace("a=sendrecv", word);
    assert!(held(&with("a=sendonly")) && held(&with("a=inactive")));
    assert!(!held(&with("a=recvonly")) && !held(&with("a=label:1")));
    let old = PHONE.replace("c=IN IP4 192.0.2.1", "c=IN IP4 0.0.0.0");
    assert!(held(&old));
    assert_eq!(read(&old).media()[0].direction(), Direction::SendOnly);
    assert!(!held(&PHONE.replace("49170", "0")), "no stream is no hold");
    let (active, hold) = (with("a=sendrecv"), with("a=sendonly"));
    let (active, hold) = (read(&active), read(&hold));
    assert_eq!(hold_state(None, &active), HoldState::Active);
    assert_eq!(hold_state(None, &hold), HoldState::Hold);
    assert_eq!(hold_state(Some(&active), &hold), HoldState::Hold);
    assert_eq!(hold_state(Some(&hold), &hold), HoldState::Held);
    assert_eq!(hold_state(Some(&hold), &active), HoldState::Resume);
    for direction in Direction::ALL {
        assert_eq!(direction.reversed().reversed(), direction);
        assert_eq!(
            Direction::of(direction.sends(), direction.receives()),
            direction
        );
    }
}

#[test]
fn holding_changes_one_line_and_the_version_another() {
    let hold = |rewrite: &mut Rewrite<'_>| {
        rewrite.hold();
        rewrite.bump_version();
    };
    let held = rewritten(PHONE, hold);
    assert_eq!(
        held,
        PHONE
            .replace("a=sendrecv", "a=sendonly")
            .replace("2890844526 IN", "2890844527 IN")
    );
    assert_eq!(
        rewritten(&held, |it| it.resume()),
        PHONE.replace("2890844526 IN", "2890844527 IN")
    );
    // No attribute: one is added at the section's end, which may have no line end.
    let careless = CARELESS.replace("a=inactive\n", "");
    assert_eq!(
        rewritten(&careless, |it| it.hold()),
        format!("{careless}\na=sendonly\n")
    );
    assert_eq!(
        rewritten(CARELESS, |it| it.hold()),
        CARELESS,
        "it was on hold"
    );
    // recvonly, held by the other side, becomes inactive.
    let browser = rewritten(BROWSER, |it| it.hold());
    assert_eq!(
        browser,
        BROWSER
            .replace("a=sendrecv", "a=sendonly")
            .replace("a=recvonly", "a=inactive")
    );
    let twice = PHONE.replace("a=sendrecv", "a=sendrecv\r\na=recvonly");
    assert_eq!(
        rewritten(&twice, |it| it.hold()),
        PHONE.replace("a=sendrecv", "a=sendonly")
    );
}

#[test]
fn addresses_and_ports_are_rewritten() {
    let address = "198.51.100.7".parse().unwrap();
    assert_eq!(
        rewritten(PHONE, |it| {
            it.set_address(address);
            it.set_port(0, 20_000);
            it.set_port(9, 1);
        }),
        PHONE
            .replace("c=IN IP4 192.0.2.1", "c=IN IP4 198.51.100.7")
            .replace("49170", "20000")
    );
    let own = rewritten(PHONE, |it| {
        it.set_media_address(0, "2001:db8::7".parse().unwrap())
    });
    assert_eq!(
        own,
        PHONE.replace("101\r\n", "101\r\nc=IN IP6 2001:db8::7\r\n")
    );
    let none = PHONE.replace("c=IN IP4 192.0.2.1\r\n", "");
    assert_eq!(
        rewritten(&none, |it| it.set_address(address)),
        none.replace("s=-\r\n", "s=-\r\nc=IN IP4 198.51.100.7\r\n")
    );
    let careless = rewritten(CARELESS, |it| {
        it.set_address(address);
        it.set_port(0, 5000);
        it.bump_version();
    });
    assert!(
        careless.contains("m=audio 5000/2 RTP/SAVP  0 8\n"),
        "{careless}"
    );
    assert!(
        careless.contains(" 100000000000000000000000 IN IP4 192.0.2.1"),
        "{careless}"
    );
    assert_eq!(careless.matches("198.51.100.7").count(), 2);
}

#[test]
fn formats_sections_and_attributes_are_taken_out() {
    assert_eq!(
        rewritten(PHONE, |it| assert!(it.remove_format(0, "18"))),
        PHONE
            .replace(" 18 101", " 101")
            .replace("a=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\n", "")
    );
    assert_eq!(
        rewritten(PHONE, |it| assert!(!it.remove_format(1, "31"))),
        PHONE,
        "the only one stays"
    );
    assert_eq!(
        rewritten(PHONE, |it| assert!(!it.remove_format(0, "96"))),
        PHONE
    );
    assert_eq!(
        rewritten(PHONE, |it| it.remove_media(1)),
        PHONE.replace("m=video 0 RTP/AVP 31\r\n", "")
    );
    let browser = rewritten(BROWSER, |it| {
        it.remove_media(0);
        it.set_attribute(Some(0), "mid", Some("1"));
    });
    assert!(browser.ends_with("a=recvonly\r\na=ice-ufrag:6hn9\r\na=mid:1\r\n"));
    assert_eq!(
        rewritten(PHONE, |it| {
            it.set_attribute(Some(0), "ptime", Some("30"));
            it.remove_attribute(None, "x-nat");
            it.add_attribute(None, "tool", Some("a\r\nb"));
        }),
        PHONE
            .replace("ptime:20", "ptime:30")
            .replace("a=x-nat:0", "a=tool:a  b"),
        "no value ends its line"
    );
}

fn message(content_type: &str, body: &str) -> Message {
    let text = format!(
        "INVITE sip:c@d SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: i\r\nCSeq: 1 INVITE\r\n\
         Content-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    Message::parse(Bytes::from(text), &Limits::default()).unwrap()
}

#[test]
fn the_description_is_found_among_parts() {
    let sdp = |content_type: &str, body: &str| {
        let message = message(content_type, body);
        message
            .sdp()
            .unwrap()
            .map(|sdp| String::from_utf8(sdp.as_bytes().to_vec()).unwrap())
    };
    assert_eq!(sdp("Application/SDP;x=y", PHONE).as_deref(), Some(PHONE));
    assert_eq!(sdp("text/plain", PHONE), None);
    assert_eq!(sdp("application/sdp", ""), None);
    let parts = format!(
        "for people\r\n--b1\r\nContent-Type: application/isup;version=itu-t92+\r\n\r\n\u{1}\u{2}\r\n--b1  \r\ncontent-type:\r\n application/sdp\r\nContent-ID: <part2@h>\r\n\r\n{PHONE}\r\n--b1--\r\nepilogue"
    );
    let mixed = "multipart/mixed; boundary=\"b1\"";
    assert_eq!(sdp(mixed, &parts).as_deref(), Some(PHONE));
    let cut = &parts[..parts.find("\r\n--b1--").unwrap()];
    assert_eq!(
        sdp(mixed, cut).as_deref(),
        Some(PHONE),
        "a body that was cut off"
    );
    let nested = format!("--b2\nContent-Type: multipart/mixed;boundary=b1\n\n{parts}\n--b2--\n");
    assert_eq!(
        sdp("multipart/alternative;boundary=b2", &nested).as_deref(),
        Some(PHONE)
    );
    let whole = message(mixed, &parts);
    assert_eq!(
        whole.body_part_by_id("part2@h").unwrap().body,
        PHONE.as_bytes()
    );
    assert_eq!(whole.whole_body().unwrap().parts().count(), 2);
    assert!(whole.body_part("text/plain").is_none());
    assert!(
        message("multipart/mixed", &parts)
            .body_part("application/sdp")
            .is_none()
    );
    assert!(message("application/sdp", "nonsense").sdp().is_err());
}

fn touch(bytes: &[u8]) {
    let Ok(sdp) = Sdp::parse(bytes) else { return };
    let _ = (
        sdp.origin(),
        sdp.name(),
        sdp.connection(),
        sdp.is_hold(),
        hold_state(Some(&sdp), &sdp),
    );
    for media in sdp.media() {
        for format in media.formats() {
            let _ = (media.rtpmap(format), media.fmtp(format));
        }
        let _ = (media.direction(), media.has_ice(), media.has_fingerprint());
    }
    let mut rewrite = Rewrite::new(&sdp);
    assert_eq!(rewrite.finish(), bytes);
    rewrite.hold();
    rewrite.bump_version();
    rewrite.set_address(std::net::Ipv4Addr::LOCALHOST.into());
    rewrite.set_media_address(0, std::net::Ipv6Addr::LOCALHOST.into());
    rewrite.set_port(0, 7);
    rewrite.set_attribute(Some(0), "x", None);
    rewrite.remove_format(0, "0");
    rewrite.resume();
    let written = rewrite.finish();
    assert_eq!(
        Sdp::parse(&written).unwrap().media().len(),
        sdp.media().len()
    );
}

#[test]
fn no_damage_makes_it_panic() {
    for text in [PHONE, BROWSER, CARELESS] {
        let mut bytes = text.as_bytes().to_vec();
        for end in 0..bytes.len() {
            touch(&bytes[..end]);
        }
        for at in 0..bytes.len() {
            let kept = bytes[at];
            for damaged in *b"\0\r\n :=/9m\xff" {
                bytes[at] = damaged;
                touch(&bytes);
            }
            bytes[at] = kept;
        }
    }
}

#[test]
fn no_damage_to_parts_makes_it_panic() {
    let parts = "--b1\r\nContent-Type: application/sdp\r\n x\r\n\r\nv=0\r\n--b1\r\nContent-ID: <a>\r\n\r\n--b1--\r\n";
    for at in 0..parts.len() {
        for damaged in ["", "\r\n", "\n", ":", "--b1\r\n", " ", "\0"] {
            let body = format!("{}{damaged}{}", &parts[..at], &parts[at + 1..]);
            for content_type in [
                "multipart/mixed;boundary=b1",
                "multipart/mixed;boundary=\"b1",
            ] {
                let message = message(content_type, &body);
                let _ = (message.sdp().is_ok(), message.body_part_by_id("a"));
            }
        }
    }
}

proptest! {
    #[test]
    fn any_lines_are_kept_byte_for_byte(lines in proptest::collection::vec("[a-z]=[ -~]{0,20}|[ -~]{0,5}", 0..12), crlf in any::<bool>(), last in any::<bool>()) {
        let end = if crlf { "\r\n" } else { "\n" };
        let mut text = format!("v=0{end}m=audio 4000 RTP/AVP 0{end}{}", lines.join(end));
        if last {
            text.push_str(end);
        }
        if let Ok(sdp) = Sdp::parse(text.as_bytes()) {
            prop_assert_eq!(Rewrite::new(&sdp).finish(), text.as_bytes());
            // What a change leaves alone is there as before.
            let mut rewrite = Rewrite::new(&sdp);
            rewrite.set_port(0, 4002);
            let written = String::from_utf8(rewrite.finish()).unwrap();
            prop_assert_eq!(written, text.replacen("4000", "4002", 1));
        }
    }

    #[test]
    fn a_direction_that_was_set_is_read(at in 0_usize..4, before in 0_usize..5) {
        let old = Direction::ALL.get(before).map_or(String::new(), |it| format!("a={}\r\n", it.as_str()));
        let text = format!("v=0\r\n{old}m=audio 4000 RTP/AVP 0\r\na=ptime:20\r\n");
        let wanted = Direction::ALL[at];
        let sdp = read(&text);
        let mut rewrite = Rewrite::new(&sdp);
        rewrite.set_direction(0, wanted);
        let written = rewrite.finish();
        prop_assert_eq!(Sdp::parse(&written).unwrap().media()[0].direction(), wanted);
    }
}
