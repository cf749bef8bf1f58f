#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    chancery_server::fuzz_targets::polling_query(input);
});
