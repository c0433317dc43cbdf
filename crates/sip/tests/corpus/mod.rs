//! The messages of `corpus/devices`, by name.
#![allow(clippy::disallowed_methods)] // A test reads its vectors from files.
use std::path::Path;

/// Every message of the corpus.
pub fn devices() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus/devices");
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
    assert!(all.len() >= 15, "the corpus is not where it should be");
    all
}
