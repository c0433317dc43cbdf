//! See `properties::parser`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::parser::run(data));
