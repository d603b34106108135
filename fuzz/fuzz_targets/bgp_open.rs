#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| twill_fuzz::bgp_open(data));
