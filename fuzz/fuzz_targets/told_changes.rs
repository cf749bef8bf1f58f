#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    chancery_client::fuzz_targets::told_changes(input);
});
