//! What is kept on the disk beside the journal because it holds nothing: declarations that wait for other people, what is
//! known of signed orders, and the alerts of hooks.

use super::Books;
use crate::model::alert::Alerts;
use crate::model::approval::Proposed;
use crate::model::names::{Digest, EmergencyId};
use crate::model::record::Head;
use crate::model::review::Review;
use crate::model::spent::Spent;
use crate::store::audit::{Filter, Take};
use crate::store::{StoreError, alerts, journal, orders};

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

    /// Makes the alerts of hooks durable.
    pub(in crate::daemon::controller) fn save_alerts(&self, all: &Alerts) -> Result<(), StoreError> {
        alerts::save(&self.directory, all)
    }

    /// The alerts that were raised.
    pub(in crate::daemon::controller) fn load_alerts(&self) -> Result<Alerts, StoreError> {
        alerts::load(&self.directory)
    }

    /// Whether the log can be read and has no record of this emergency: it was never declared.
    pub(in crate::daemon::controller) fn knows_nothing_of(&self, id: EmergencyId) -> bool {
        let filter = Filter {
            emergency: Some(id),
            take: Take::Last(1),
            ..Filter::default()
        };
        let found = self.audit.as_ref().map(|audit| audit.records(&self.directory, &filter));
        found.is_some_and(|found| found.is_ok_and(|records| records.is_empty()))
    }

    /// Makes the list of the orders that were carried out durable.
    pub(in crate::daemon::controller) fn save_spent(&self, spent: &Spent) -> Result<(), StoreError> {
        orders::save_spent(&self.directory, spent)
    }

    /// That list; none where there was never one.
    pub(in crate::daemon::controller) fn load_spent(&self) -> Result<Option<Spent>, StoreError> {
        orders::load_spent(&self.directory)
    }

    /// The number of this host.
    pub(in crate::daemon::controller) fn host(&self) -> Result<Digest, StoreError> {
        orders::host(&self.directory)
    }

    /// The last record, for whoever signs to be a witness of it; zero in a log without one.
    pub(in crate::daemon::controller) fn end(&self) -> Head {
        self.last().unwrap_or(Head {
            sequence: 0,
            hash: Digest::zero(),
        })
    }
}
