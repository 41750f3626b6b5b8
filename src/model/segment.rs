//! The files of a log that outgrew one: each closes with a seal, and the next begins with a record that says where.
//!
//! The chain and the tree go on over all of them. The opening record holds what it takes to go on without reading the
//! closed files again; an examination of the whole log checks every word of it.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::merkle::Frontier;
use super::names::Digest;
use super::record::{Draft, EventKind, Head, Record};

/// What the name of a closed file begins and ends with; its first record stands between, in twelve digits.
const NAME: (&str, &str) = ("audit-", ".jsonl");
const NAME_DIGITS: usize = 12;

/// The name of a closed file.
#[must_use]
pub fn name_of(first_record: u64) -> String {
    format!("{}{first_record:0width$}{}", NAME.0, NAME.1, width = NAME_DIGITS)
}

/// What the first record of a file that is not the first says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opening {
    /// The file before it.
    pub closed: String,
    /// What checkpoints call the log.
    pub origin: String,
    /// The roots of the complete subtrees over all records before it.
    pub peaks: Vec<Digest>,
}

impl Opening {
    /// The record, up to its place in the chain.
    #[must_use]
    pub fn draft(&self) -> Draft {
        Draft {
            details: json!({ "closed": self.closed, "origin": self.origin, "peaks": self.peaks }),
            ..Draft::of_daemon(EventKind::AuditRotated)
        }
    }

    /// Reads it; none if the record opens no file, or not in this way.
    #[must_use]
    pub fn of(record: &Record) -> Option<Self> {
        let opening = (record.event == EventKind::AuditRotated).then(|| Self::deserialize(&record.details).ok());
        opening.flatten().filter(Self::has_a_name_of_ours)
    }

    /// The name comes from a file that may be anybody's, and is opened.
    fn has_a_name_of_ours(&self) -> bool {
        let digits = self
            .closed
            .strip_prefix(NAME.0)
            .and_then(|rest| rest.strip_suffix(NAME.1));
        digits.is_some_and(|digits| digits.len() == NAME_DIGITS && digits.bytes().all(|b| b.is_ascii_digit()))
    }

    /// The tree before the record; none if the peaks do not fit.
    #[must_use]
    pub fn tree(&self, record: &Record) -> Option<Frontier> {
        Frontier::from_peaks(record.sequence.checked_sub(1)?, self.peaks.clone())
    }
}

/// The record before this one, as it says.
#[must_use]
pub fn before(record: &Record) -> Option<Head> {
    let sequence = record.sequence.checked_sub(1)?;
    Some(Head {
        sequence,
        hash: record.previous,
    })
}
