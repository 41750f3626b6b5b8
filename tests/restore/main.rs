//! What was cut comes back: the real daemon and command line on the real kernel, in a host that carries everything that
//! a restore finds hard.

#![allow(
    clippy::allow_attributes,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "test code"
)]

#[path = "../world/mod.rs"]
mod world;

mod armed;
mod around;
mod carriers;
mod flood;
mod foreign;
mod generated;
mod host;
mod legs;
mod life;
mod overlap;
mod policy;
mod undo;
mod vigil;
