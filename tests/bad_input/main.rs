//! Bad input gets a clear error and changes nothing.

#![allow(
    clippy::allow_attributes,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "test code"
)]

#[path = "../daemon/mod.rs"]
mod daemon;
#[path = "../world/mod.rs"]
mod world;

mod audit_file;
mod command_line;
mod names;
mod policies;
mod requests;
mod slow_clients;
mod state_directory;

use daemon::{Home, Said, policy};
use world::topology::one_uplink as host;

const LONG_MS: u64 = 1_800_000;

fn home() -> Home {
    Home::with(&[("additive.toml", &policy("additive", "\"gate\", \"seal\"", "closed"))])
}

/// No byte that a terminal would act on, and only text.
#[track_caller]
fn assert_printable(what: &str, text: &str) {
    let bad = text.chars().find(|c| c.is_control() && *c != '\n');
    assert_eq!(bad, None, "{what}: {text:?}");
    assert!(!text.contains('\u{fffd}'), "{what}: bytes that are no text in {text:?}");
}

#[track_caller]
fn assert_error(said: &Said, exit: i32, parts: &[&str]) {
    assert_eq!(said.exit, Some(exit), "{said:?}");
    for part in parts {
        assert!(said.stderr.contains(part), "{part:?} is not in {said:?}");
    }
    assert_printable("standard error", &said.stderr);
}
