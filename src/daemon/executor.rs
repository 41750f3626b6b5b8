//! Carries out steps. It decides nothing: what to do stands in the plan, what a failure means stands with the caller.

use tracing::debug;

use crate::kernel::{ChangeError, Kernel, KernelError};
use crate::model::plan::Step;

/// A step that did not go through whole.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The kernel refused a change; those after it in the same send ran all the same.
    #[error("step {summary:?}: {error}")]
    Refused {
        /// The step.
        summary: String,
        /// The first refusal in it.
        #[source]
        error: ChangeError,
    },
    /// The door to the kernel failed: what was done is known only after reading back.
    #[error("step {summary:?} may or may not have been carried out")]
    Unknown {
        /// The step.
        summary: String,
        /// Why.
        #[source]
        error: KernelError,
    },
}

/// Carries the steps out in order and stops at the first that does not go through.
///
/// # Errors
/// That first failure. What went before stands and is the caller's to undo.
pub fn run(kernel: &mut dyn Kernel, steps: &[Step]) -> Result<(), StepError> {
    steps.iter().try_for_each(|step| one(kernel, step))
}

/// Carries all steps out, whatever fails, and gives back everything that failed: the way to undo.
#[must_use]
pub fn run_all(kernel: &mut dyn Kernel, steps: &[Step]) -> Vec<StepError> {
    steps.iter().filter_map(|step| one(kernel, step).err()).collect()
}

fn one(kernel: &mut dyn Kernel, step: &Step) -> Result<(), StepError> {
    let outcomes = kernel.apply(&step.changes).map_err(|error| StepError::Unknown {
        summary: step.summary.clone(),
        error,
    })?;
    debug!(phase = ?step.phase, summary = step.summary, changes = outcomes.len(), "step acknowledged");
    match outcomes.into_iter().find_map(Result::err) {
        Some(error) => Err(StepError::Refused {
            summary: step.summary.clone(),
            error,
        }),
        None => Ok(()),
    }
}
