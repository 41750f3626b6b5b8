//! What waits for other people, to be approved or reviewed: on the disk beside the journal, as it holds nothing.

use super::Books;
use crate::model::approval::Proposed;
use crate::model::review::Review;
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

    /// Makes the open reviews durable.
    pub(in crate::daemon::controller) fn save_reviews(&self, reviews: &[Review]) -> Result<(), StoreError> {
        journal::save_reviews(&self.directory, reviews)
    }

    /// The reviews that were open.
    pub(in crate::daemon::controller) fn load_reviews(&self) -> Result<Vec<Review>, StoreError> {
        journal::load_reviews(&self.directory)
    }
}
