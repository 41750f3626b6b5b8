//! How much of the kernel's state a decision needs to see. Routes may be a million, and may never hold still.

use std::collections::BTreeSet;

use tracing::warn;

use super::Controller;
use crate::api::error::chain;
use crate::kernel::{Kernel, KernelError, Kinds};
use crate::model::cut::Cut;
use crate::model::policy::Method;
use crate::model::snapshot::Snapshot;
use crate::planning;

/// Where gate and seal have their objects, and what seal lets on-link lifelines resolve by.
pub(super) const ADDITIVE: Kinds = Kinds {
    links: true,
    addresses: true,
    rules: true,
    traffic_control: true,
    ..Kinds::NONE
};

/// A kernel that cannot be read is asked again this often before a restore gives up.
const PATIENCE: u32 = 8;

/// Whether gate and seal are all that these cuts use.
pub(super) fn only_add<'a>(cuts: impl IntoIterator<Item = &'a Cut>) -> bool {
    cuts.into_iter().all(|cut| cut.methods.iter().all(adds))
}

fn adds(method: &Method) -> bool {
    matches!(method, Method::Gate | Method::Seal)
}

/// What a plan is drawn against, and what the host goes back to. Gate and seal need neither a table of routes that holds
/// still, nor to put one back.
pub(super) fn ground(
    kernel: &mut dyn Kernel,
    in_force: &[Cut],
    methods: &BTreeSet<Method>,
) -> Result<Snapshot, KernelError> {
    if only_add(in_force) && methods.iter().all(adds) {
        kernel.glance(Kinds::ALL, ADDITIVE)
    } else {
        kernel.snapshot(Kinds::ALL)
    }
}

fn unreadable(error: &KernelError) -> String {
    format!("the kernel cannot be read: {}", chain(error))
}

impl Controller {
    /// What must be seen to tell whether the held cuts stand.
    pub(super) fn read_held(&mut self) -> Result<Snapshot, KernelError> {
        let adds = self.baseline.is_some() && only_add(self.held().map(|e| &e.cut));
        if adds && !self.watches_routes() {
            self.kernel.snapshot(ADDITIVE)
        } else {
            self.look()
        }
    }

    /// Whether a route that appears could leak past what is held, and there are not too many to look.
    fn watches_routes(&self) -> bool {
        let Some(baseline) = &self.baseline else { return false };
        // A cut that could not be laid is told of by whoever would lay it.
        let can_split = |cut: &Cut| planning::can_split(cut, baseline).unwrap_or(false);
        baseline.routes.len() <= planning::WATCHED_MAX && self.held().any(|e| can_split(&e.cut))
    }

    /// Everything; routes as they are found where they never hold still.
    pub(super) fn look(&mut self) -> Result<Snapshot, KernelError> {
        self.kernel.glance(Kinds::ALL, ADDITIVE)
    }

    /// The same for a restore.
    ///
    /// # Errors
    /// The last failure, in words.
    pub(super) fn look_patiently(&mut self) -> Result<Snapshot, String> {
        let read = self.patiently(|kernel| kernel.glance(Kinds::ALL, ADDITIVE));
        read.map_err(|error| unreadable(&error))
    }

    /// A restore must not end because one reading failed.
    ///
    /// # Errors
    /// The last failure, in words.
    pub(super) fn read_patiently(&mut self, kinds: Kinds) -> Result<Snapshot, String> {
        let read = self.patiently(|kernel| kernel.snapshot(kinds));
        read.map_err(|error| unreadable(&error))
    }

    /// What the host came up with after a reboot.
    pub(super) fn ground_patiently(&mut self) -> Result<Snapshot, KernelError> {
        let held = self.held_cuts();
        self.patiently(|kernel| ground(kernel, &held, &BTreeSet::new()))
    }

    fn patiently(
        &mut self,
        read: impl Fn(&mut dyn Kernel) -> Result<Snapshot, KernelError>,
    ) -> Result<Snapshot, KernelError> {
        for _ in 1..PATIENCE {
            match read(&mut *self.kernel) {
                Err(error) => warn!(error = chain(&error), "the kernel could not be read, trying again"),
                read => return read,
            }
        }
        read(&mut *self.kernel)
    }
}
