//! Replays the fuzzer's corpus through the functions that the fuzzer runs: with Rust alone, and at every test.

#![allow(clippy::allow_attributes, clippy::unwrap_used, reason = "test code")]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

#[path = "../fuzz/targets.rs"]
mod targets;

/// As the fuzzer's own limit, with room for a build without optimisation.
const LONGEST: Duration = Duration::from_secs(5);

#[test]
fn every_input_of_the_corpus_is_read_without_a_panic_and_soon() {
    for (name, run) in targets::TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
        let inputs: Vec<_> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert!(
            inputs.len() >= 3,
            "the corpus of {name} has only {} inputs",
            inputs.len()
        );
        for path in inputs {
            let begun = Instant::now();
            run(&fs::read(&path).unwrap());
            assert!(
                begun.elapsed() < LONGEST,
                "{} took {:?}",
                path.display(),
                begun.elapsed()
            );
        }
        run(b"");
    }
}
