#![no_main]

#[path = "../bounded.rs"]
mod bounded;
#[path = "../targets.rs"]
#[allow(dead_code)]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bounded::run(targets::policy, bytes));
