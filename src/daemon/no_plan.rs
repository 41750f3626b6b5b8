//! Why a policy has no plan, in one form for the daemon's answers and a drill's.

use super::resolver::ResolveError;
use crate::planning::{Refusal, Unsafe};

/// What every refusal of a plan says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoPlan {
    /// The stable code.
    pub code: &'static str,
    /// What is in the way.
    pub why: String,
    /// What to do.
    pub hint: String,
}

impl From<ResolveError> for NoPlan {
    fn from(error: ResolveError) -> Self {
        Self {
            code: "name-unresolved",
            why: error.to_string(),
            hint: "write the address into the policy".to_owned(),
        }
    }
}

impl From<Refusal> for NoPlan {
    fn from(refusal: Refusal) -> Self {
        Self {
            code: refusal.code(),
            why: refusal.to_string(),
            hint: refusal.hint().to_owned(),
        }
    }
}

impl From<Unsafe> for NoPlan {
    fn from(seen: Unsafe) -> Self {
        Self {
            code: "unsafe-plan",
            why: seen.to_string(),
            hint: "report this: planner and checker disagree".to_owned(),
        }
    }
}
