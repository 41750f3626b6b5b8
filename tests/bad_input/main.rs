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

use portcullis::drill::namespace::Namespace;

use daemon::{Home, Said, policy};
use world::{World, ip, wait_for_dad};

const LONG_MS: u64 = 1_800_000;

/// A host with one uplink.
fn host(world: World) -> Namespace {
    let (here, router) = (world.namespace("h"), world.namespace("r"));
    ip(
        &here,
        "link add name u0 type veth peer name v0 netns r
         link set dev u0 up
         addr add 10.0.0.2/24 brd + dev u0
         addr add fd00:0::2/64 dev u0",
    );
    ip(
        &router,
        "link set dev v0 up\naddr add 10.0.0.1/24 dev v0\naddr add fd00:0::1/64 dev v0 nodad",
    );
    wait_for_dad(&here);
    ip(&here, "route add default via 10.0.0.1\nroute add default via fd00:0::1");
    here
}

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
