//! How much of the kernel's state a decision needs to see. Routes may be a million, and may never hold still.

use tracing::warn;

use super::Controller;
use crate::api::error::chain;
use crate::kernel::Kinds;
use crate::model::cut::Cut;
use crate::model::policy::Method;
use crate::model::snapshot::Snapshot;

/// Where gate and seal have their objects.
pub(super) const ADDITIVE: Kinds = Kinds {
    links: true,
    rules: true,
    traffic_control: true,
    ..Kinds::NONE
};

/// A kernel that cannot be read is asked again this often before a restore gives up.
const PATIENCE: u32 = 8;

/// Whether gate and seal are all that these cuts use.
pub(super) fn only_add<'a>(cuts: impl IntoIterator<Item = &'a Cut>) -> bool {
    let adds = |method: &Method| matches!(method, Method::Gate | Method::Seal);
    cuts.into_iter().all(|cut| cut.methods.iter().all(adds))
}

impl Controller {
    /// What must be read to see whether the held cuts stand.
    pub(super) fn kinds_held(&self) -> Kinds {
        if self.baseline.is_some() && only_add(self.held().map(|e| &e.cut)) {
            ADDITIVE
        } else {
            Kinds::ALL
        }
    }

    /// A restore must not end because one reading failed.
    pub(super) fn read_patiently(&mut self, kinds: Kinds) -> Result<Snapshot, String> {
        let mut last = String::new();
        for _ in 0..PATIENCE {
            match self.kernel.snapshot(kinds) {
                Ok(snapshot) => return Ok(snapshot),
                Err(error) => last = chain(&error),
            }
            warn!(error = last, "the kernel could not be read, trying again");
        }
        Err(format!("the kernel cannot be read: {last}"))
    }
}
