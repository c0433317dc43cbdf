//! See `properties::control`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::control::run(data));
