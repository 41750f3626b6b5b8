//! The shipped policies and the methods, driven through both binaries on the real kernel: each kind of traffic is cut
//! exactly where the plan's coverage says so, lifelines answer throughout, and a revert leaves nothing behind.
//!
//! `PORTCULLIS_BIN_DIR` names the directory of the binaries, where those that cargo built may not be read.

#![expect(
    clippy::unwrap_used,
    clippy::unwrap_in_result,
    reason = "test code: a panic is the failure"
)]

#[path = "../world/mod.rs"]
mod world;

mod binaries;
mod emergency;
mod lifelines;
mod link_control;
mod methods;
mod promise;
mod shipped;
mod traps;
