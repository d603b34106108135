#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| twill_fuzz::kube_node(data));
