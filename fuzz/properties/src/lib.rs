//! What must hold whatever bytes come: one function a target, called by its fuzzer (`fuzz/fuzz_targets`) and by ordinary tests
//! (`tests/replay.rs`), which play every seed and everything that once went wrong (`corpus/regressions/<target>/`).
//!
//! A function takes any bytes and panics when a property does not hold. It reads no clock and no chance: the same bytes do the same.
pub mod control;
pub mod engine;
pub mod framing;
pub mod parser;
pub mod patches;
pub mod reading;
pub mod script;
pub mod seeds;
pub mod typed_headers;

/// A target: its name, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// Every target; `fuzz/fuzz_targets` has a file of that name for each.
pub const TARGETS: &[Target] = &[
    ("parser", parser::run),
    ("framing", framing::run),
    ("typed_headers", typed_headers::run),
    ("patches", patches::run),
    ("engine", engine::run),
    ("control", control::run),
];
