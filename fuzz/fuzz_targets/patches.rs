//! See `properties::patches`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::patches::run(data));
