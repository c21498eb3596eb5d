#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chacha::fuzzing::forwarded(data));
