//! Signed orders: whom this host knows, what they may order, and whether what came is theirs.
//!
//! An order is a small canonical document, signed by `ssh-keygen -Y sign` (SSHSIG). It carries its authority over any
//! transport, so nothing here depends on who brought it. Pure: no clock, no input or output, nothing random; whoever asks
//! gives the time and the bytes.
//!
//! **Invariant:** everything that is not expressly accepted is refused, each refusal under a code of its own, and a
//! signature is never what an order is told apart by: there are other signatures of the same bytes that verify.

pub mod key;
pub mod order;
pub mod people;
mod refusal;
pub mod signature;

pub use self::refusal::Refusal;

#[cfg(test)]
pub(crate) mod tests;
