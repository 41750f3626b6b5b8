//! A start whose journal cannot be read: what a cut added is known by its marks, what it took by the baseline.
//!
//! | journal | baseline | what is done |
//! |---|---|---|
//! | damaged | a copy is intact, a cut was laid in this boot | everything that any cut can have taken is put back, ours removed |
//! | damaged | a copy is intact, the cut was laid before a reboot | ours removed: the kernel took nothing over |
//! | damaged | none is intact | ours removed; nobody knows what else was taken |
//!
//! Where something is left, or nobody knows, the journal keeps a name that says so, and the host is stuck until a person
//! has looked and removed it.

use serde_json::json;
use tracing::{error, warn};
use uuid::Uuid;

use super::books::Room;
use super::{Controller, StartError};
use crate::api::ReceiptView;
use crate::api::error::chain;
use crate::model::names::EmergencyId;
use crate::model::record::{Draft, EventKind};
use crate::model::snapshot::Snapshot;
use crate::planning;
use crate::store::StoreError;
use crate::store::journal::Aside;

/// Lines of one record; a table of routes would not fit.
const LINES_MAX: usize = 200;

/// How a host was brought back without a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BroughtBack {
    /// To the baseline, as this receipt says.
    ToBaseline {
        /// The proof.
        receipt: Box<ReceiptView>,
        /// What the kernel holds otherwise than before.
        changed: Vec<String>,
    },
    /// Without our marks: no cut was laid since the host came up.
    AfterReboot,
    /// Without our marks: there is no baseline.
    ByMarks,
}

impl BroughtBack {
    /// What is not back, or not known to be; empty where all is well.
    pub(super) fn left(&self) -> Vec<String> {
        match self {
            Self::ToBaseline { receipt, .. } => receipt.residues.clone(),
            Self::AfterReboot => Vec::new(),
            Self::ByMarks => vec![
                "no copy of the baseline is intact: withdrawn routes and links that were set down are not known"
                    .to_owned(),
            ],
        }
    }
}

impl Controller {
    /// Brings the host back as far as anybody can know, records it, and lets the journal go.
    ///
    /// # Errors
    /// If somebody else had a hand in the journal: that is for a person to look at first. If the kernel cannot be read.
    pub(super) fn start_damaged(&mut self, damage: StoreError) -> Result<BroughtBack, StartError> {
        if matches!(damage, StoreError::Refused { .. }) {
            return Err(damage.into());
        }
        let why = &chain(&damage);
        let (baseline, _) = self.books.load_baseline();
        error!(
            why,
            baseline = baseline.is_some(),
            "the journal is damaged: bringing the host back without it"
        );
        let back = self.bring_back(baseline, "the journal is damaged")?;
        self.left = back.left();
        let aside = if self.left.is_empty() {
            Aside::Settled
        } else {
            Aside::Unsettled
        };
        let set_aside = self.books.set_aside_journal(aside).unwrap_or_else(|error| {
            let error = chain(&error);
            warn!(
                error,
                "the damaged journal could not be set aside: the next start finds it again"
            );
            self.left
                .push(format!("the damaged journal could not be set aside: {error}"));
            Vec::new()
        });
        let draft = Draft {
            details: details(why, &back, &self.left, &set_aside),
            ..Draft::of_daemon(EventKind::StateDamaged)
        };
        self.note_with(draft, Room::Reserve);
        Ok(back)
    }

    /// Puts back what any cut can have taken where a baseline says what there was, and removes what is ours.
    pub(super) fn bring_back(&mut self, baseline: Option<Snapshot>, why: &str) -> Result<BroughtBack, StartError> {
        let back = match baseline {
            Some(_) if !self.books.cut_in_this_boot() => BroughtBack::AfterReboot,
            Some(baseline) => {
                let before = self.look()?;
                let receipt = Box::new(self.put_back_to(baseline));
                let after = self.look()?;
                let changed = super::views::differences(&before, &after);
                BroughtBack::ToBaseline { receipt, changed }
            }
            None => BroughtBack::ByMarks,
        };
        // With a baseline nothing is left to be swept, unless the planner had refused.
        self.sweep(why)?;
        Ok(back)
    }

    fn put_back_to(&mut self, baseline: Snapshot) -> ReceiptView {
        let cut = planning::any_cut(&baseline);
        let nobody = EmergencyId::new(Uuid::nil());
        self.baseline = Some(baseline);
        let receipt = self.put_back(nobody, &cut).unwrap_or_else(|why| ReceiptView {
            residues: vec![why],
            ..ReceiptView::unknown("")
        });
        self.baseline = None;
        ReceiptView {
            emergency: "unknown".to_owned(),
            ..receipt
        }
    }

    /// What a person must look at before anything else, a line each; empty when there is nothing.
    pub(super) fn attention(&self) -> Vec<String> {
        let mut lines = match self.books.unsettled() {
            Ok(None) if self.left.is_empty() => return Vec::new(),
            // Removed since: somebody has looked.
            Ok(None) if self.books.journal_is_gone() => return Vec::new(),
            Ok(None) => vec!["the journal was damaged".to_owned()],
            Ok(Some(path)) => vec![format!(
                "a damaged journal was found, and not everything is known to be back; look, then remove {}",
                path.display()
            )],
            Err(error) => vec![chain(&error)],
        };
        lines.extend(self.left.iter().cloned());
        lines
    }
}

fn details(why: &str, back: &BroughtBack, left: &[String], set_aside: &[String]) -> serde_json::Value {
    let few = |lines: &[String]| lines.iter().take(LINES_MAX).cloned().collect::<Vec<_>>();
    let common = json!({ "why": why, "left": few(left), "set_aside": set_aside });
    let more = match back {
        BroughtBack::ToBaseline { receipt, changed } => json!({
            "by": "baseline",
            "baseline": receipt.baseline_digest,
            "restored": receipt.restored_digest,
            "changes": changed.len(),
            "changed": few(changed),
            "conflicts": few(&receipt.conflicts),
            "kept_foreign_changes": few(&receipt.kept_foreign_changes),
            "not_recreated": few(&receipt.not_recreated),
            "to_come": few(&receipt.to_come),
        }),
        BroughtBack::AfterReboot => json!({ "by": "marks", "after": "reboot" }),
        BroughtBack::ByMarks => json!({ "by": "marks" }),
    };
    let (Some(common), Some(more)) = (common.as_object(), more.as_object()) else {
        return common;
    };
    common.iter().chain(more).map(|(k, v)| (k.clone(), v.clone())).collect()
}
