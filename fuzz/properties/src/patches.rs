//! Any message with any edits: the patch equals the message rebuilt with the same fields, and reads again. The input is lines of
//! edits (`script`), an empty line, and the message.
use crate::reading::shown;
use crate::script::{Step, steps};
use bytes::Bytes;
use sip::{HeaderName, Limits, Message, Patch};

type Fields = Vec<(String, Vec<u8>)>;

const NAMES: &[HeaderName] = &[
    HeaderName::Via,
    HeaderName::Route,
    HeaderName::RecordRoute,
    HeaderName::Contact,
    HeaderName::Subject,
    HeaderName::Supported,
    HeaderName::MaxForwards,
    HeaderName::To,
];
const OTHERS: &[&str] = &["X-a", "x-A", "Foo", "v", "Subject"];

/// Holds the properties for one input.
pub fn run(data: &[u8]) {
    let Some(end) = data.windows(2).position(|pair| pair == b"\n\n") else {
        return;
    };
    let (edits, message) = (&data[..end], &data[end + 2..]);
    let message = Bytes::copy_from_slice(message);
    let Ok(message) = Message::parse(message, &Limits::default()) else {
        return;
    };
    patched(&message, edits);
    first_value(&message, edits);
}

/// A message as its parts, edited one after the other.
struct Rebuilt {
    uri: Option<String>,
    prepended: Vec<(String, Vec<u8>)>,
    appended: Vec<(String, Vec<u8>)>,
    set: Vec<(String, Vec<u8>)>,
    removed: Vec<String>,
    first: Vec<(String, usize, Option<Vec<u8>>)>,
    body: Option<Vec<u8>>,
}

fn canonical(name: &str) -> String {
    match HeaderName::from_bytes(name.as_bytes()) {
        HeaderName::Other => name.to_ascii_lowercase(),
        known => known.as_str().to_ascii_lowercase(),
    }
}

/// What a value becomes on the wire: it cannot end its line.
fn one_line(value: &[u8]) -> Vec<u8> {
    let out = value.iter().map(|byte| match byte {
        b'\r' | b'\n' | 0 => b' ',
        other => *other,
    });
    out.collect()
}

/// The same, as it is read.
fn plain(value: &[u8]) -> Vec<u8> {
    one_line(value).trim_ascii().to_vec()
}

impl Rebuilt {
    fn first(&mut self, name: &str) -> &mut (String, usize, Option<Vec<u8>>) {
        let name = canonical(name);
        let at = self.first.iter().position(|(other, _, _)| *other == name);
        let at = at.unwrap_or_else(|| {
            self.first.push((name, 0, None));
            self.first.len() - 1
        });
        &mut self.first[at]
    }

    /// Does the same to the parts and to the patch.
    fn edit(&mut self, patch: &mut Patch<'_>, step: Step<'_>) {
        let known = step.choose(0, NAMES);
        let other = step.choose(0, OTHERS);
        let value = step.rest(1);
        let name = known.as_str();
        match step.verb() {
            b'p' => {
                patch.prepend(known, value);
                self.prepended.push((canonical(name), plain(value)));
            }
            b'a' => {
                patch.append(known, value);
                self.appended.push((canonical(name), plain(value)));
            }
            b'A' => {
                patch.append_named(other, value);
                self.appended.push((canonical(other), plain(value)));
            }
            b's' | b'S' => {
                let name = if step.verb() == b's' { name } else { other };
                patch.set_named(name, value);
                self.set.retain(|(before, _)| *before != canonical(name));
                self.set.push((canonical(name), plain(value)));
            }
            b'r' | b'R' => {
                let name = if step.verb() == b'r' { name } else { other };
                patch.remove_named(name);
                self.removed.push(canonical(name));
            }
            b'f' => {
                patch.remove_first_value(known);
                self.first(name).1 += 1;
            }
            b'F' => {
                patch.replace_first_value(known, value);
                self.first(name).2 = Some(one_line(value));
            }
            b'u' => {
                let uri = format!("sip:{}@h", step.number(0));
                patch.request_uri(&uri);
                self.uri = Some(uri);
            }
            b'b' => {
                patch.body(Some("text/plain"), value);
                self.set.retain(|(before, _)| before != "content-type");
                self.set
                    .push(("content-type".to_owned(), b"text/plain".to_vec()));
                self.body = Some(value.to_vec());
            }
            _ => {}
        }
    }

    /// The fields as a set: what is where is the business of the tests of `sip`, here it is that nothing is lost, doubled or changed.
    fn fields(&self, message: &Message) -> Fields {
        let mut out = self.prepended.clone();
        let mut first = self.first.clone();
        for field in message.fields() {
            let name = canonical(field.raw_name());
            let gone = self.removed.contains(&name) || self.set.iter().any(|(set, _)| *set == name);
            if field.name() == HeaderName::ContentLength || gone {
                continue;
            }
            let change = first.iter_mut().find(|(other, remove, replace)| {
                *other == name && (*remove > 0 || replace.is_some())
            });
            let Some((_, remove, replace)) = change else {
                out.push((name, field.value().into_owned()));
                continue;
            };
            let mut values: Vec<Vec<u8>> = Vec::new();
            for value in field.values() {
                if *remove > 0 {
                    *remove -= 1;
                    continue;
                }
                let value = replace.take().unwrap_or_else(|| value.into_owned());
                // Nothing in the first one's place is no value: the comma behind it goes too.
                if !(values.is_empty() && value.is_empty()) {
                    values.push(value);
                }
            }
            if !values.concat().is_empty() {
                out.push((name, values.join(&b", "[..])));
            }
        }
        out.extend(self.appended.clone());
        out.extend(self.set.clone());
        out
    }
}

fn sorted(mut fields: Fields) -> Fields {
    for (name, value) in &mut fields {
        *name = canonical(name);
        *value = plain(value);
    }
    fields.sort();
    fields
}

fn patched(message: &Message, edits: &[u8]) {
    let mut patch = Patch::new(message);
    let mut rebuilt = Rebuilt {
        uri: None,
        prepended: Vec::new(),
        appended: Vec::new(),
        set: Vec::new(),
        removed: Vec::new(),
        first: Vec::new(),
        body: None,
    };
    for step in steps(edits) {
        rebuilt.edit(&mut patch, step);
    }
    let written = patch.write();
    let read = Message::parse(written.clone(), &Limits::unlimited());
    let read = read.unwrap_or_else(|error| panic!("{error}: {}", written.escape_ascii()));
    assert_eq!(sorted(shown(&read).fields), sorted(rebuilt.fields(message)));
    assert_eq!(
        read.body(),
        rebuilt.body.as_deref().unwrap_or(message.body())
    );
    assert_eq!(read.is_request(), message.is_request());
    let uri = rebuilt.uri.filter(|_| message.is_request());
    assert_eq!(
        read.request_uri(),
        uri.as_deref().unwrap_or(message.request_uri())
    );
    assert_eq!(
        Patch::new(&read).write(),
        written,
        "a patch is a message as we write it"
    );
}

/// Whether it is one value whatever stands behind it: one that ends within brackets or quotes takes in the next, whose comma one way
/// keeps and the other writes.
fn is_one_value(value: &[u8]) -> bool {
    let head = b"OPTIONS sip:a SIP/2.0\r\nRoute: ";
    let text = [head, &one_line(value)[..], b", next\r\n\r\n"].concat();
    let read = Message::parse(Bytes::from(text), &Limits::unlimited());
    read.is_ok_and(|message| message.values(HeaderName::Route).count() == 2)
}

/// The quick way to change the first value does what the patch does.
fn first_value(message: &Message, edits: &[u8]) {
    let Some(step) = steps(edits).next() else {
        return;
    };
    let (name, value) = (step.choose(0, NAMES), step.rest(1));
    if !is_one_value(value) {
        return;
    }
    let Some(quick) = message.with_first_value(name, value) else {
        return;
    };
    let mut patch = Patch::new(message);
    patch.replace_first_value(name, value);
    let patched = Message::parse(patch.write(), &Limits::unlimited()).expect("a patch is read");
    let values = |message: &Message| -> Vec<String> {
        message
            .values(name)
            .map(std::borrow::Cow::into_owned)
            .collect()
    };
    assert_eq!(values(&quick), values(&patched));
    assert_eq!(quick.body(), patched.body());
    let again = Message::parse(quick.bytes(), &Limits::unlimited()).expect("it is read again");
    assert_eq!(
        crate::reading::places(&again),
        crate::reading::places(&quick)
    );
}
