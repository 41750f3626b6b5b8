//! The alerts of hooks on the disk. They are no part of the journal: an emergency outlasts the loss of them, to its deadline.

use super::directory::StateDirectory;
use super::error::StoreError;
use super::journal::{encode, read};
use crate::model::alert::Alerts;

const ALERTS: &str = "alerts.json";
/// More than the sources of many policies can say, each of [`EACH_MAX`](crate::model::alert::EACH_MAX) incidents.
const ALERTS_MAX_BYTES: u64 = 1 << 28;

/// Makes the alerts durable; with none the file goes.
///
/// # Errors
/// If the file could not be replaced or removed.
pub fn save(directory: &StateDirectory, alerts: &Alerts) -> Result<(), StoreError> {
    if alerts.is_empty() {
        return directory.remove(&[ALERTS]);
    }
    directory.replace(ALERTS, &encode(directory, ALERTS, alerts)?)
}

/// The alerts as they were last saved.
///
/// # Errors
/// If the file cannot be read or is damaged.
pub fn load(directory: &StateDirectory) -> Result<Alerts, StoreError> {
    Ok(read(directory, ALERTS, ALERTS_MAX_BYTES)?.unwrap_or_default())
}
