//! Writes a message from another one with edits: what is not edited is copied as sent, in runs, in one pass.
//!
//! Every edit but an addition speaks of the message as it was read, not of what other edits did to it.
use crate::build::{push_end, push_field};
use crate::field::Field;
use crate::grammar::{push_line, push_value};
use crate::head::Span;
use crate::message::Message;
use crate::name::HeaderName;
use bytes::Bytes;
use smallvec::SmallVec;

/// A name that an edit speaks of.
#[derive(Clone, Debug)]
enum Name {
    Known(HeaderName),
    Named(Box<str>),
}

impl Name {
    fn of(name: &str) -> Name {
        match HeaderName::from_bytes(name.as_bytes()) {
            HeaderName::Other => Name::Named(name.into()),
            known => Name::Known(known),
        }
    }

    fn matches(&self, field: &Field<'_>) -> bool {
        match self {
            Name::Known(name) => field.name() == *name,
            Name::Named(name) => field.raw_name().eq_ignore_ascii_case(name),
        }
    }

    fn as_str(&self) -> &str {
        match self {
            Name::Known(name) => name.as_str(),
            Name::Named(name) => name,
        }
    }
}

#[derive(Clone, Debug)]
enum Change {
    Prepend(Vec<u8>),
    Append(Vec<u8>),
    Set(Vec<u8>),
    Remove,
    /// Where the field begins, in the message.
    RemoveAt(u32),
    RemoveFirst,
    ReplaceFirst(Vec<u8>),
}

#[derive(Clone, Debug)]
struct Edit {
    name: Name,
    change: Change,
}

/// Edits of a message, applied in one pass by [`Patch::write`].
#[derive(Clone, Debug)]
pub struct Patch<'a> {
    message: &'a Message,
    uri: Option<Box<str>>,
    edits: SmallVec<[Edit; 6]>,
    body: Option<Vec<u8>>,
}

/// What becomes of one field of the message.
enum Fate {
    Keep,
    Drop,
    /// The field with this value instead.
    Rewrite(Vec<u8>),
}

impl<'a> Patch<'a> {
    /// No edits yet.
    #[must_use]
    pub fn new(message: &'a Message) -> Patch<'a> {
        Patch {
            message,
            uri: None,
            edits: SmallVec::new(),
            body: None,
        }
    }

    fn edit(&mut self, name: Name, change: Change) {
        self.edits.push(Edit { name, change });
    }

    /// Replaces the request-URI; nothing in a response.
    pub fn request_uri(&mut self, uri: &str) {
        self.uri = Some(uri.into());
    }

    /// Adds a field before the first of that name, or before all fields where there is none. Of several, the last is topmost.
    pub fn prepend(&mut self, name: HeaderName, value: impl Into<Vec<u8>>) {
        self.edit(Name::Known(name), Change::Prepend(value.into()));
    }

    /// Adds a field behind all others.
    pub fn append(&mut self, name: HeaderName, value: impl Into<Vec<u8>>) {
        self.edit(Name::Known(name), Change::Append(value.into()));
    }

    /// Adds a field of any name behind all others.
    pub fn append_named(&mut self, name: &str, value: impl Into<Vec<u8>>) {
        self.edit(Name::of(name), Change::Append(value.into()));
    }

    /// Replaces every field of that name by one, in the first one's place, or adds it behind all others. The last one set counts.
    pub fn set(&mut self, name: HeaderName, value: impl Into<Vec<u8>>) {
        self.set_by(Name::Known(name), value.into());
    }

    /// As [`Patch::set`], for any name.
    pub fn set_named(&mut self, name: &str, value: impl Into<Vec<u8>>) {
        self.set_by(Name::of(name), value.into());
    }

    fn set_by(&mut self, name: Name, value: Vec<u8>) {
        let same = |edit: &Edit| {
            matches!(edit.change, Change::Set(_))
                && edit.name.as_str().eq_ignore_ascii_case(name.as_str())
        };
        self.edits.retain(|edit| !same(edit));
        self.edit(name, Change::Set(value));
    }

    /// Removes every field of that name.
    pub fn remove(&mut self, name: HeaderName) {
        self.edit(Name::Known(name), Change::Remove);
    }

    /// Removes one field of that name: the first is number 0. Nothing where there are fewer.
    pub fn remove_field(&mut self, name: HeaderName, number: usize) {
        let mut fields = self.message.fields();
        let field = fields
            .by_ref()
            .filter(|field| field.name() == name)
            .nth(number);
        if let Some(start) = field.map(|field| field.span.whole.start) {
            self.edit(Name::Known(name), Change::RemoveAt(start));
        }
    }

    /// Removes every field of any name.
    pub fn remove_named(&mut self, name: &str) {
        self.edit(Name::of(name), Change::Remove);
    }

    /// Removes the first value of that name: one of a comma list, or the field when it is its only one. Said twice, the first two.
    pub fn remove_first_value(&mut self, name: HeaderName) {
        self.edit(Name::Known(name), Change::RemoveFirst);
    }

    /// Replaces the first value of that name, one of a comma list, too; nothing where there is none. After
    /// [`Patch::remove_first_value`] of the same name it is the first that is left. The last one said counts.
    pub fn replace_first_value(&mut self, name: HeaderName, value: impl Into<Vec<u8>>) {
        self.edit(Name::Known(name), Change::ReplaceFirst(value.into()));
    }

    /// Replaces the body, its Content-Type (none: as it was, or none for an empty body) and the Content-Length.
    pub fn body(&mut self, content_type: Option<&str>, body: &[u8]) {
        match content_type {
            Some(content_type) => self.set(HeaderName::ContentType, content_type),
            None if body.is_empty() => self.remove(HeaderName::ContentType),
            None => {}
        }
        self.body = Some(body.to_vec());
    }

    /// The message with the edits. A Content-Length is added where there was none, so that it can go over a stream; line feeds
    /// that stood alone become CRLF.
    #[must_use]
    pub fn write(&self) -> Bytes {
        let message = self.message;
        let body = self.body.as_deref().unwrap_or(message.body());
        let size = message.as_bytes().len() + 64 + self.body.as_ref().map_or(0, Vec::len);
        let size = self
            .edits
            .iter()
            .fold(size, |size, edit| size + edit.size())
            + self.uri.as_ref().map_or(0, |uri| uri.len());
        let mut out = Vec::with_capacity(size);
        self.push_start_line(&mut out);
        self.push_fields(&mut out);
        let touched = self
            .edits
            .iter()
            .any(|edit| matches!(edit.name, Name::Known(HeaderName::ContentLength)));
        if self.body.is_some() || (message.header(HeaderName::ContentLength).is_none() && !touched)
        {
            push_end(&mut out, body);
        } else {
            out.extend_from_slice(b"\r\n");
            out.extend_from_slice(body);
        }
        Bytes::from(out)
    }

    fn push_start_line(&self, out: &mut Vec<u8>) {
        let bytes = self.message.as_bytes();
        let head = self.message.head();
        let line = bytes.get(..head.fields_start as usize).unwrap_or_default();
        let uri = self.uri.as_deref().zip(self.message.uri_range());
        match uri {
            Some((uri, range)) => {
                out.extend_from_slice(
                    bytes
                        .get(..range.start as usize)
                        .unwrap_or_default()
                        .trim_ascii_start(),
                );
                push_value(out, uri.as_bytes());
                out.extend_from_slice(b" SIP/2.0\r\n");
            }
            None => {
                let start = line
                    .iter()
                    .take_while(|byte| matches!(byte, b'\r' | b'\n'))
                    .count();
                let line = line.get(start..).unwrap_or_default();
                out.extend_from_slice(
                    line.strip_suffix(b"\r\n")
                        .or(line.strip_suffix(b"\n"))
                        .unwrap_or(line),
                );
                out.extend_from_slice(b"\r\n");
            }
        }
    }

    fn push_fields(&self, out: &mut Vec<u8>) {
        let message = self.message;
        let bytes = message.as_bytes();
        let mut first_values = self.first_values();
        // Additions that found their place, by the edit's index.
        let mut placed: SmallVec<[bool; 6]> = self.edits.iter().map(|_| false).collect();
        for (index, edit) in self.edits.iter().enumerate().rev() {
            if let Change::Prepend(value) = &edit.change {
                if !message.fields().any(|field| edit.name.matches(&field)) {
                    push_field(out, edit.name.as_str().as_bytes(), value);
                    mark(&mut placed, index);
                }
            }
        }
        let mut run = message.head().fields_start as usize..message.head().fields_start as usize;
        for field in message.fields() {
            let touched = self.touches(&field);
            if !touched && !message.head().bare_line_feed {
                run.end = field.span.whole.end as usize;
                continue;
            }
            out.extend_from_slice(bytes.get(run.clone()).unwrap_or_default());
            run = field.span.whole.end as usize..field.span.whole.end as usize;
            if touched {
                self.push_before(out, &field, &mut placed);
            }
            match if touched {
                self.fate(&field, &mut first_values)
            } else {
                Fate::Keep
            } {
                Fate::Keep => push_kept(out, &field),
                Fate::Drop => {}
                Fate::Rewrite(value) => push_received(out, &field, &value),
            }
        }
        out.extend_from_slice(bytes.get(run).unwrap_or_default());
        for (edit, placed) in self.edits.iter().zip(placed) {
            if let (Change::Append(value) | Change::Set(value), false) = (&edit.change, placed) {
                push_field(out, edit.name.as_str().as_bytes(), value);
            }
        }
    }

    fn touches(&self, field: &Field<'_>) -> bool {
        let length = self.body.is_some() && field.name() == HeaderName::ContentLength;
        length
            || self
                .edits
                .iter()
                .any(|edit| !matches!(edit.change, Change::Append(_)) && edit.name.matches(field))
    }

    /// Writes what stands before the first field of a name: what is prepended, and what replaces all of them.
    fn push_before(&self, out: &mut Vec<u8>, field: &Field<'_>, placed: &mut SmallVec<[bool; 6]>) {
        for (index, edit) in self.edits.iter().enumerate().rev() {
            if let (Change::Prepend(value), Some(false)) = (&edit.change, placed.get(index)) {
                if edit.name.matches(field) {
                    push_field(out, edit.name.as_str().as_bytes(), value);
                    mark(placed, index);
                }
            }
        }
        for (index, edit) in self.edits.iter().enumerate() {
            if let (Change::Set(value), Some(false)) = (&edit.change, placed.get(index)) {
                if edit.name.matches(field) {
                    push_field(out, edit.name.as_str().as_bytes(), value);
                    mark(placed, index);
                }
            }
        }
    }

    /// For each name of which first values change: how many are still to go, and what replaces the next.
    fn first_values(&self) -> SmallVec<[FirstValues<'_>; 2]> {
        let mut all: SmallVec<[FirstValues<'_>; 2]> = SmallVec::new();
        for edit in &self.edits {
            let (remove, replacement) = match &edit.change {
                Change::RemoveFirst => (1, None),
                Change::ReplaceFirst(value) => (0, Some(value.as_slice())),
                _ => continue,
            };
            let Name::Known(name) = edit.name else {
                continue;
            };
            match all.iter_mut().find(|one| one.name == name) {
                Some(one) => {
                    one.remove += remove;
                    one.replacement = replacement.or(one.replacement);
                }
                None => all.push(FirstValues {
                    name,
                    remove,
                    replacement,
                }),
            }
        }
        all
    }

    fn fate(&self, field: &Field<'_>, first_values: &mut SmallVec<[FirstValues<'_>; 2]>) -> Fate {
        let gone = |edit: &Edit| match edit.change {
            Change::Remove | Change::Set(_) => edit.name.matches(field),
            Change::RemoveAt(start) => start == field.span.whole.start,
            _ => false,
        };
        let length = self.body.is_some() && field.name() == HeaderName::ContentLength;
        if length || self.edits.iter().any(gone) {
            return Fate::Drop;
        }
        match first_values.iter_mut().find(|one| one.name == field.name()) {
            Some(one) if one.remove > 0 || one.replacement.is_some() => one.apply(field),
            _ => Fate::Keep,
        }
    }
}

/// What is to happen to the first values of a name.
struct FirstValues<'a> {
    name: HeaderName,
    remove: usize,
    replacement: Option<&'a [u8]>,
}

impl FirstValues<'_> {
    fn apply(&mut self, field: &Field<'_>) -> Fate {
        let mut value: Vec<u8> = Vec::new();
        for one in field.list() {
            if self.remove > 0 {
                self.remove -= 1;
                continue;
            }
            if !value.is_empty() {
                value.extend_from_slice(b", ");
            }
            match self.replacement.take() {
                Some(replacement) => push_value(&mut value, replacement),
                None => value.extend_from_slice(&crate::grammar::unfold(one)),
            }
        }
        if value.is_empty() {
            Fate::Drop
        } else {
            Fate::Rewrite(value)
        }
    }
}

impl Edit {
    /// About how many bytes it adds.
    fn size(&self) -> usize {
        match &self.change {
            Change::Prepend(value)
            | Change::Append(value)
            | Change::Set(value)
            | Change::ReplaceFirst(value) => self.name.as_str().len() + value.len() + 4,
            Change::Remove | Change::RemoveAt(_) | Change::RemoveFirst => 0,
        }
    }
}

fn mark(placed: &mut SmallVec<[bool; 6]>, index: usize) {
    if let Some(placed) = placed.get_mut(index) {
        *placed = true;
    }
}

/// Writes a field as sent, but with CRLF where a line feed stood alone.
fn push_kept(out: &mut Vec<u8>, field: &Field<'_>) {
    let Span { folded, .. } = field.span;
    if field.raw().ends_with(b"\r\n") && !folded {
        out.extend_from_slice(field.raw());
    } else {
        push_received(out, field, &field.value());
    }
}

/// Writes a field with a value of the message: a NUL in it was sent so and goes on so, wherever its line ended (RFC 4475 §3.1.1.2).
fn push_received(out: &mut Vec<u8>, field: &Field<'_>, value: &[u8]) {
    out.extend_from_slice(field.raw_name().as_bytes());
    out.extend_from_slice(b": ");
    push_line(out, value);
    out.extend_from_slice(b"\r\n");
}
