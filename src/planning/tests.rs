//! The planner against the model kernel: golden plans, laws, and packets followed through every intermediate state.

mod armed;
mod carried;
mod coverage;
mod golden;
pub(super) mod hosts;
mod later;
mod laws;
mod legs;
mod neighbours;
pub(crate) mod packets;
mod refusals;
mod safety;
mod sessions;
mod unmarked;
mod ways;
