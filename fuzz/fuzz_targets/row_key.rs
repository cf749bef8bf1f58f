#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    chancery_storage::fuzz_targets::row_key(input);
});
