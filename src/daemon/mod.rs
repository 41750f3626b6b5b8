//! The effects: the only room that sees kernel, store and API together.
//!
//! [`main`] starts the threads: the server (async, on the main thread) takes requests off the socket and passes them to
//! the [`controller`], which owns the state and does everything else in order; the [`monitor`] rings when the kernel
//! changed. [`executor`] carries steps out and decides nothing. [`supervisor`] tells the
//! service manager.

pub mod actor;
pub mod check;
pub mod clock;
pub mod command;
pub mod config;
pub mod controller;
pub mod drop_directory;
pub mod executor;
pub mod guardian;
pub mod main;
pub mod monitor;
pub mod namespace;
pub mod no_plan;
pub mod offline;
pub mod peer;
pub mod people;
pub mod policies;
pub mod resolver;
pub mod rights;
pub mod server;
pub mod service;
pub mod supervisor;
mod trusted;
