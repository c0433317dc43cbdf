//! What is written is read back the same, and a patched message equals one rebuilt with the same fields.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use sip::{Address, Build, HeaderName, Limits, Message, Params, Patch, Uri, Via};

type Fields = Vec<(String, String)>;

fn read(bytes: Bytes) -> Message {
    Message::parse(bytes, &Limits::default()).unwrap()
}

/// The fields of a message; Content-Length left out, which writing adds.
fn fields(message: &Message) -> Fields {
    let all = message
        .fields()
        .filter(|field| field.name() != HeaderName::ContentLength);
    all.map(|field| {
        (
            field.raw_name().to_ascii_lowercase(),
            field.text().into_owned(),
        )
    })
    .collect()
}

/// A field as any peer may send it: names known and unknown, values of any text without line ends.
fn field() -> impl Strategy<Value = (String, String)> {
    let name = prop_oneof![
        "Route",
        "Via",
        "v",
        "Subject",
        "Supported",
        "X-[a-z]{1,3}",
        "[!%*_+`'~a-z-]{2,10}"
    ];
    let value = prop_oneof![
        "[ -~]{0,40}",
        "\\PC{0,20}",
        "<sip:[a-z,]{1,6}@h;lr>(, ?<sip:b>){0,3}",
        "\"(a|,|\\\\\"){0,5}\" <sip:c>, d;e=\"f,g\""
    ];
    (
        name,
        value.prop_map(|value| value.trim_matches([' ', '\t', '\r', '\n']).to_owned()),
    )
}

fn build(fields: &Fields, body: &[u8]) -> Bytes {
    let start = Build::request("INVITE", "sip:a@b");
    fields
        .iter()
        .fold(start, |build, (name, value)| build.named(name, value))
        .finish(body)
}

fn is(name: &str, wanted: HeaderName) -> bool {
    HeaderName::from_bytes(name.as_bytes()) == wanted
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(fields_in in vec(field(), 0..12), body in vec(any::<u8>(), 0..200)) {
        let fields_in: Fields = fields_in.into_iter().filter(|(name, _)| !is(name, HeaderName::ContentLength)).collect();
        let message = read(build(&fields_in, &body));
        let expected: Fields = fields_in.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect();
        prop_assert_eq!(fields(&message), expected);
        prop_assert_eq!(message.body(), &body[..]);
        prop_assert_eq!(Patch::new(&message).write(), message.bytes());
    }

    #[test]
    fn a_patch_equals_a_rebuild(fields_in in vec(field(), 0..10), body in vec(any::<u8>(), 0..20), line_feeds in any::<bool>()) {
        let fields_in: Fields = fields_in.into_iter().filter(|(name, _)| !is(name, HeaderName::ContentLength)).collect();
        let mut bytes = build(&fields_in, &body).to_vec();
        if line_feeds {
            let head = bytes.len() - body.len();
            let text: Vec<u8> = bytes[..head].iter().copied().filter(|byte| *byte != b'\r').collect();
            bytes = [text, body.clone()].concat();
        }
        let message = read(Bytes::from(bytes));
        let mut patch = Patch::new(&message);
        patch.request_uri("sip:new@target");
        patch.prepend(HeaderName::Via, "v1");
        patch.prepend(HeaderName::Via, "v2");
        patch.set(HeaderName::Subject, "s");
        patch.remove(HeaderName::Supported);
        patch.remove_named("X-a");
        patch.append(HeaderName::Path, "p");
        patch.append_named("X-a", "kept");
        let written = patch.write();

        let mut expected: Fields = Vec::new();
        let via = fields_in.iter().position(|(name, _)| is(name, HeaderName::Via)).unwrap_or(usize::MAX);
        let added = [("via".to_owned(), "v2".to_owned()), ("via".to_owned(), "v1".to_owned())];
        if via == usize::MAX {
            expected.extend(added.clone());
        }
        let mut subject = false;
        for (index, (name, value)) in fields_in.iter().enumerate() {
            if index == via {
                expected.extend(added.clone());
            }
            if is(name, HeaderName::Subject) {
                if !subject {
                    expected.push(("subject".to_owned(), "s".to_owned()));
                }
                subject = true;
            } else if !is(name, HeaderName::Supported) && !name.eq_ignore_ascii_case("x-a") {
                expected.push((name.to_ascii_lowercase(), value.clone()));
            }
        }
        if !subject {
            expected.push(("subject".to_owned(), "s".to_owned()));
        }
        expected.extend([("path".to_owned(), "p".to_owned()), ("x-a".to_owned(), "kept".to_owned())]);
        // What is set without a place stands where it was said, among what is appended.
        let patched = read(written.clone());
        let mut got = fields(&patched);
        let mut wanted = expected;
        if !subject {
            got.sort();
            wanted.sort();
        }
        prop_assert_eq!(got, wanted);
        prop_assert_eq!(patched.body(), &body[..]);
        prop_assert_eq!(patched.request_uri(), "sip:new@target");
        prop_assert!(!memchr_bare(&written[..written.len() - body.len()]), "line ends are CRLF");
    }

    #[test]
    fn removing_and_replacing_first_values_touches_only_them(fields_in in vec(field(), 0..8), replace in any::<bool>()) {
        let fields_in: Fields = fields_in.into_iter().filter(|(name, _)| !is(name, HeaderName::ContentLength)).collect();
        let message = read(build(&fields_in, b""));
        let before: Vec<String> = message.values(HeaderName::Route).map(|value| value.into_owned()).collect();
        let mut patch = Patch::new(&message);
        if replace {
            patch.replace_first_value(HeaderName::Route, "<sip:new>");
        } else {
            patch.remove_first_value(HeaderName::Route);
        }
        let patched = read(patch.write());
        let after: Vec<String> = patched.values(HeaderName::Route).map(|value| value.into_owned()).collect();
        let mut expected = before;
        if replace {
            if let Some(first) = expected.first_mut() {
                *first = "<sip:new>".to_owned();
            }
        } else if !expected.is_empty() {
            expected.remove(0);
        }
        prop_assert_eq!(after, expected);
        let others = |message: &Message| -> Fields { fields(message).into_iter().filter(|(name, _)| name != "route").collect() };
        prop_assert_eq!(others(&patched), others(&message));
    }

    #[test]
    fn a_first_value_replaced_in_place_equals_the_patch_read_again(fields_in in vec(field(), 0..8), new in "[a-z]{1,80}", body in vec(any::<u8>(), 0..20)) {
        let fields_in: Fields = fields_in.into_iter().filter(|(name, _)| !is(name, HeaderName::ContentLength)).collect();
        let message = read(build(&fields_in, &body));
        let Some(replaced) = message.with_first_value(HeaderName::Route, new.as_bytes()) else {
            return Ok(());
        };
        let mut patch = Patch::new(&message);
        patch.replace_first_value(HeaderName::Route, new);
        let patched = read(patch.write());
        let routes = |message: &Message| -> Vec<String> { message.values(HeaderName::Route).map(|value| value.into_owned()).collect() };
        prop_assert_eq!(routes(&replaced), routes(&patched));
        let again = read(replaced.bytes());
        let places = |message: &Message| -> Vec<(usize, Vec<u8>)> { message.fields().map(|field| (field.offset(), field.raw_value().to_vec())).collect() };
        prop_assert_eq!(places(&replaced), places(&again));
        prop_assert_eq!(fields(&replaced).len(), fields(&patched).len());
        prop_assert_eq!(replaced.body(), &body[..]);
        prop_assert_eq!(replaced.request_uri(), message.request_uri());
    }

    #[test]
    fn no_text_upsets_the_typed_headers(text in "\\PC{0,60}|[ -~\r\n\t]{0,60}|(sip:|<|>|\"|;|@|:|%|\\[|\\]|a|1|=|,| |\\\\){0,25}") {
        if let Ok(uri) = Uri::parse(&text) {
            prop_assert!(uri.equivalent(&uri));
            let _ = (uri.user_decoded(), uri.headers().count(), uri.params().iter().count());
        }
        let _ = Address::parse(&text).map(|address| (address.tag().map(str::len), address.uri().is_ok()));
        let _ = Via::parse(&text).map(|via| (via.branch().map(str::len), via.received_address(), via.rport()));
        let _ = Params::new(&text).iter().map(|(name, _)| name.len()).sum::<usize>();
    }
}

/// Whether a line feed stands alone.
fn memchr_bare(head: &[u8]) -> bool {
    head.iter()
        .enumerate()
        .any(|(at, byte)| *byte == b'\n' && (at == 0 || head[at - 1] != b'\r'))
}

#[test]
fn a_new_body_brings_its_type_and_length() {
    let text = "INVITE sip:a@b SIP/2.0\r\nl: 3\r\nContent-Type: text/plain\r\nVia: x\r\n\r\nold";
    let message = read(Bytes::from_static(text.as_bytes()));
    let mut patch = Patch::new(&message);
    patch.body(Some("application/sdp"), b"v=0\r\n");
    let expected = "INVITE sip:a@b SIP/2.0\r\nContent-Type: application/sdp\r\nVia: x\r\nContent-Length: 5\r\n\r\nv=0\r\n";
    assert_eq!(patch.write(), expected);
    let mut patch = Patch::new(&message);
    patch.body(None, b"");
    assert_eq!(
        patch.write(),
        "INVITE sip:a@b SIP/2.0\r\nVia: x\r\nContent-Length: 0\r\n\r\n"
    );
}

#[test]
fn single_fields_are_taken_off_by_their_number() {
    let text = "INFO sip:a@b SIP/2.0\r\nProxy-Authorization: 0\r\nVia: x\r\nproxy-authorization : 1\r\nProxy-Authorization: 2,\r\n 2\r\n\r\n";
    let message = read(Bytes::from_static(text.as_bytes()));
    let without = |numbers: &[usize]| {
        let mut patch = Patch::new(&message);
        for number in numbers {
            patch.remove_field(HeaderName::ProxyAuthorization, *number);
        }
        let written = patch.write();
        let left = read(written);
        let fields = left
            .fields()
            .filter(|field| field.name() == HeaderName::ProxyAuthorization);
        fields
            .map(|field| field.text().chars().next().unwrap())
            .collect::<String>()
    };
    assert_eq!(without(&[0]), "12");
    assert_eq!(without(&[1]), "02");
    assert_eq!(without(&[2]), "01");
    // Numbers are those of the message as it was read, whatever else is taken off.
    assert_eq!(without(&[0, 1]), "2");
    assert_eq!(without(&[2, 0, 0]), "1");
    assert_eq!(without(&[3, 99]), "012");
}

#[test]
fn a_via_that_stands_first_in_a_list_is_taken_off_or_completed() {
    let text = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a;branch=1 ,\r\n SIP/2.0/UDP b\r\nVia: SIP/2.0/TCP c\r\n\r\n";
    let message = read(Bytes::from_static(text.as_bytes()));
    let mut patch = Patch::new(&message);
    patch.remove_first_value(HeaderName::Via);
    assert_eq!(
        patch.write(),
        "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP b\r\nVia: SIP/2.0/TCP c\r\nContent-Length: 0\r\n\r\n"
    );
    let mut patch = Patch::new(&message);
    patch.remove_first_value(HeaderName::Via);
    patch.remove_first_value(HeaderName::Via);
    patch.replace_first_value(HeaderName::Via, "new");
    assert_eq!(
        patch.write(),
        "SIP/2.0 200 OK\r\nVia: new\r\nContent-Length: 0\r\n\r\n"
    );
}
