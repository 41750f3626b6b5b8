//! One input, and no more memory for it than a daemon should ever need.

use std::alloc::System;

use cap::Cap;

/// What one input may allocate at once beside what was there before.
const INPUT_MAX_BYTES: usize = 64 << 20;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// Runs a target on an input; an allocation over the limit fails, which ends the process, and the fuzzer keeps the input.
pub fn run(target: fn(&[u8]), bytes: &[u8]) {
    let limit = ALLOCATOR.allocated() + INPUT_MAX_BYTES;
    ALLOCATOR.set_limit(limit).expect("the limit is above what is allocated");
    target(bytes);
    ALLOCATOR
        .set_limit(usize::MAX)
        .expect("the limit is above what is allocated");
}
