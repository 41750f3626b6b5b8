//! What one person did without the approval that a policy demands, until another one has looked at it.
//!
//! A review is opened before such a cut begins, and stays open whatever becomes of that. It is closed by somebody else, with
//! what they found. Pure.

use serde::{Deserialize, Serialize};

use super::approval::Person;
use super::emergency::{Declaration, Moment};
use super::names::{EmergencyId, PolicyName};

/// A declaration that waits to be looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// The emergency.
    pub id: EmergencyId,
    /// The policy, whose approval was left out.
    pub policy: PolicyName,
    /// What was stated.
    pub declaration: Declaration,
    /// Who declared alone.
    pub declarer: Person,
    /// When.
    pub opened: Moment,
}

/// Who declared alone cannot close the review.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{by} may be who declared it ({declarer}): another person must review it")]
pub struct NotAnother {
    /// Who tried.
    pub by: String,
    /// Who declared.
    pub declarer: String,
}

impl Review {
    /// Whether this person may close it.
    ///
    /// # Errors
    /// If it may be who declared.
    pub fn closed_by(&self, by: &Person) -> Result<(), NotAnother> {
        if by.may_be(&self.declarer) {
            return Err(NotAnother {
                by: by.name.clone(),
                declarer: self.declarer.name.clone(),
            });
        }
        Ok(())
    }
}
