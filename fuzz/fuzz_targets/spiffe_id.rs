#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    chancery_credential::fuzz_targets::spiffe_id(input);
});
