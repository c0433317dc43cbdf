//! Reads the conversations of `corpus/control/`.
#![allow(dead_code, reason = "each test uses its part")]
use bytes::Bytes;
use std::path::{Path, PathBuf};

/// One frame of a conversation.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The conversation and the number of the frame in it, for messages of failed tests.
    pub place: String,
    /// Whether the application sent it.
    pub is_from_application: bool,
    /// The frame: length, `#`, payload.
    pub frame: Bytes,
    /// The payload.
    pub payload: Bytes,
}

impl Entry {
    /// The tokens of the meta line.
    pub fn tokens(&self) -> Vec<String> {
        let end = self
            .payload
            .windows(2)
            .position(|pair| pair == b"\r\n")
            .unwrap_or(self.payload.len());
        String::from_utf8(self.payload[..end].to_vec())
            .unwrap()
            .split('|')
            .map(str::to_owned)
            .collect()
    }

    /// The SIP text behind the meta line; empty when there is none.
    pub fn text(&self) -> Bytes {
        let end = self
            .payload
            .windows(2)
            .position(|pair| pair == b"\r\n")
            .map_or(self.payload.len(), |end| end + 2);
        self.payload.slice(end..)
    }
}

/// Every frame of every conversation in `captures` or `examples`.
pub fn entries(directory: &str) -> Vec<Entry> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(root().join(directory))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    let entries: Vec<Entry> = files.iter().flat_map(|path| conversation(path)).collect();
    assert!(
        entries.len() > 50,
        "{directory}: only {} frames",
        entries.len()
    );
    entries
}

/// The frames of one conversation, by its path below `corpus/control`.
pub fn one(path: &str) -> Vec<Entry> {
    conversation(&root().join(path))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus/control")
}

fn conversation(path: &Path) -> Vec<Entry> {
    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
    let mut rest = Bytes::from(std::fs::read(path).unwrap());
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let is_from_application = rest.starts_with(b"A>S ");
        assert!(
            is_from_application || rest.starts_with(b"S>A "),
            "{name}: no entry at {:?}",
            rest.slice(..20.min(rest.len()))
        );
        let start = 4 + rest[4..].iter().position(|&byte| byte == b' ').unwrap() + 1;
        rest = rest.slice(start..);
        if rest.starts_with(b"closed") {
            let end = rest.windows(2).position(|pair| pair == b"\n\n").unwrap() + 2;
            rest = rest.slice(end..);
            continue;
        }
        let digits = rest.iter().position(|&byte| byte == b'#').unwrap();
        let length: usize = std::str::from_utf8(&rest[..digits])
            .unwrap()
            .parse()
            .unwrap();
        let frame = rest.slice(..digits + 1 + length);
        rest = rest.slice(digits + 1 + length..);
        assert!(
            rest.starts_with(b"\n\n"),
            "{name}: a frame that does not end where it says"
        );
        rest = rest.slice(2..);
        let payload = frame.slice(digits + 1..);
        entries.push(Entry {
            place: format!("{name}#{}", entries.len()),
            is_from_application,
            frame,
            payload,
        });
    }
    entries
}
