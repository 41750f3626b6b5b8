//! Declarations that wait for other people: on the disk beside the journal, as they hold nothing.

use super::Books;
use crate::model::approval::Proposed;
use crate::store::{StoreError, journal};

impl Books {
    /// Makes the proposals that wait durable.
    pub(in crate::daemon::controller) fn save_proposals(&self, proposals: &[Proposed]) -> Result<(), StoreError> {
        journal::save_proposals(&self.directory, proposals)
    }

    /// The proposals that waited.
    pub(in crate::daemon::controller) fn load_proposals(&self) -> Result<Vec<Proposed>, StoreError> {
        journal::load_proposals(&self.directory)
    }
}
