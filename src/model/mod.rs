//! The nouns. Plain data and total functions: no clock, no input or output, no tokio, no tracing.

pub mod alert;
pub mod approval;
pub mod canonical;
pub mod chain;
pub mod change;
pub mod cut;
pub mod diff;
pub mod duration;
pub mod effect;
pub mod emergency;
pub mod epoch;
pub mod export;
#[cfg(test)]
pub(crate) mod fixture;
pub mod ledger;
pub mod lookup;
pub mod merkle;
pub mod names;
pub mod note;
pub mod object;
pub mod place;
pub mod plan;
pub mod policy;
pub mod policy_file;
pub mod proposal;
pub mod receipt;
pub mod record;
pub mod review;
pub mod segment;
pub mod snapshot;
pub mod spent;
pub mod sysctl;
pub mod text;
