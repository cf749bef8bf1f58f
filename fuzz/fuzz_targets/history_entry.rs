#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    chancery_consensus::fuzz_targets::history_entry(input);
});
