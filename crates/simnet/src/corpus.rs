//! The messages of `corpus/`, for tests and benches of any crate.
use std::path::{Path, PathBuf};

/// One vector.
#[derive(Clone, Debug)]
pub struct Vector {
    /// The file's name without its ending.
    pub name: String,
    /// Its bytes, one message as it stands on the wire.
    pub bytes: Vec<u8>,
}

/// The folder of all vectors.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus")
}

/// Every `*.sip` of a folder of the corpus (`devices`, `regressions`, ...), by name.
///
/// # Panics
/// When the folder cannot be read: a test without its vectors proves nothing.
#[must_use]
pub fn load(name: &str) -> Vec<Vector> {
    let folder = folder().join(name);
    let entries =
        std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let files = entries.filter_map(Result::ok).map(|entry| entry.path());
    let mut vectors: Vec<Vector> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "sip"))
        .map(|path| Vector {
            name: path
                .file_stem()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default(),
            bytes: std::fs::read(&path)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display())),
        })
        .collect();
    vectors.sort_by(|one, two| one.name.cmp(&two.name));
    vectors
}
