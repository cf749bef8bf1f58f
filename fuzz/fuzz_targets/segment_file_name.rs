#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    chancery_server::fuzz_targets::segment_file_name(input);
});
