//! The only door to the disk: the state directory, the journal for crash recovery, the audit file and
//! the secrets that seal it.
//!
//! **Invariant:** `Ok` from anything that writes means that it is durable. What is damaged is an error that names the
//! file, never an empty answer: whoever asked decides in which direction to go on.

pub mod alerts;
pub mod audit;
pub mod directory;
pub mod disk;
mod error;
pub mod journal;
pub mod orders;
#[cfg(test)]
mod power;
pub mod ratchet;
pub mod reserve;

pub use error::{Defect, StoreError, is_full};
