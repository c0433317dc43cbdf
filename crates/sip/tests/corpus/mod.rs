//! The messages of `corpus/`, by name.
#![allow(clippy::disallowed_methods, dead_code)] // A test reads its vectors from files; not every test reads all of them.
use std::path::Path;

/// Every message of `corpus/devices`.
pub fn devices() -> Vec<(String, Vec<u8>)> {
    let all = folder("devices");
    assert!(all.len() >= 15, "the corpus is not where it should be");
    all
}

/// Every message of RFC 4475 and of RFC 5118.
pub fn torture() -> Vec<(String, Vec<u8>)> {
    let all = [folder("rfc4475"), folder("rfc5118")].concat();
    assert_eq!(all.len(), 50 + 12, "the archives hold so many");
    all
}

/// Every message of a folder of the corpus.
pub fn folder(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../corpus")
        .join(name);
    let mut all: Vec<(String, Vec<u8>)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sip"))
        .map(|path| {
            (
                path.file_stem().unwrap().to_string_lossy().into_owned(),
                std::fs::read(&path).unwrap(),
            )
        })
        .collect();
    all.sort();
    all
}
