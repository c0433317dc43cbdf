//! See `properties::typed_headers`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::typed_headers::run(data));
