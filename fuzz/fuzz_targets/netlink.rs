#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| twill_fuzz::netlink(data));
