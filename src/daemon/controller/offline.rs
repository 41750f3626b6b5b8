//! A restore without a daemon: one process takes the books, ends everything, and goes.
//!
//! It is the daemon's own restore, but nothing is laid again on the way: every emergency of the journal is told to end
//! before the first is put back. What cannot be recorded is put back all the same; then the journal leaves under another
//! name, which needs no room on the disk, and the next daemon records from it that the host was restored without it.

use serde_json::json;
use tracing::warn;

use super::books::Room;
use super::damaged::BroughtBack;
use super::{Controller, StartError};
use crate::api::error::chain;
use crate::api::offline::{OfflineRestore, Way};
use crate::api::{EmergencyState, ReceiptView};
use crate::daemon::clock::Clock;
use crate::daemon::policies::Policies;
use crate::kernel::Kernel;
use crate::model::emergency::{Event, State};
use crate::model::names::EmergencyId;
use crate::model::record::{Actor, Draft, EventKind};
use crate::planning;
use crate::store::directory::StateDirectory;
use crate::store::journal::{Aside, Recovered};
use crate::store::ratchet::Keeping;

/// What stands in the way of one emergency may be what another took: after a second pass over them it is back.
const PASSES: u32 = 2;

impl Controller {
    /// Ends everything that the books in the directory hold, brings the host back, and lets the books go.
    ///
    /// # Errors
    /// If the kernel cannot be read.
    pub fn restore_offline(
        kernel: Box<dyn Kernel>,
        clock: Box<dyn Clock>,
        directory: StateDirectory,
        keeping: &Keeping,
        asker: &Actor,
    ) -> Result<OfflineRestore, StartError> {
        let mut host = Self::idle(
            kernel,
            clock,
            directory,
            keeping,
            Policies::default(),
            None,
            super::Arm::Off,
        );
        host.books.leave_word();
        let before = host.look()?;
        let (way, receipts) = match host.books.load() {
            Ok(Some(recovered)) => host.end_all(recovered, asker)?,
            Ok(None) => {
                let (baseline, _) = host.books.load_baseline();
                if baseline.is_none() && planning::without_ours(&before, &[]) == before {
                    return Ok(Self::nothing());
                }
                let back = host.bring_back(baseline, "the journal is gone")?;
                host.left = back.left();
                host.books.drop_baseline();
                way_of(back)
            }
            Err(damaged) => way_of(host.start_damaged(damaged)?),
        };
        let after = host.look()?;
        let changed = super::views::differences(&before, &after);
        let way = if way == Way::Baseline && changed.is_empty() && host.left.is_empty() {
            Way::Nothing
        } else {
            way
        };
        let details = json!({
            "by": way,
            "changes": changed.len(),
            "left": host.left,
            "emergencies": receipts.iter().map(|r| &r.emergency).collect::<Vec<_>>(),
        });
        let draft = Draft {
            actor: asker.clone(),
            details,
            ..Draft::of_daemon(EventKind::RestoredOffline)
        };
        host.note_with(draft, Room::Reserve);
        let warnings = host.leave();
        let journal_stays = host.journal_stays();
        Ok(OfflineRestore {
            way,
            receipts,
            changed,
            left: host.left.clone(),
            journal_stays,
            recorded: host.books.waiting() == 0,
            warnings,
        })
    }

    fn nothing() -> OfflineRestore {
        OfflineRestore {
            way: Way::Nothing,
            receipts: Vec::new(),
            changed: Vec::new(),
            left: Vec::new(),
            journal_stays: false,
            recorded: true,
            warnings: Vec::new(),
        }
    }

    /// Ends what the journal holds. All are told to end first, so that putting one back lays no other again.
    fn end_all(&mut self, recovered: Recovered, asker: &Actor) -> Result<(Way, Vec<ReceiptView>), StartError> {
        let all = recovered.contents.emergencies.iter().cloned();
        (self.ended, self.emergencies) = all.partition(|e| e.state == State::Ended);
        if recovered.contents.boot_id == self.now().boot_id {
            self.take_up_baseline(recovered.baseline, &recovered.damage)?;
        } else {
            // The kernel took nothing over: what the host came up with is what it goes back to.
            let now = self.look()?;
            self.baseline = Some(planning::without_ours(&now, &[]));
        }
        let ids: Vec<EmergencyId> = self.emergencies.iter().map(|e| e.id).collect();
        let mut receipts = vec![None; ids.len()];
        for _ in 0..PASSES {
            for id in &ids {
                let details = json!({ "offline": true });
                self.transition(*id, Event::RevertRequested, asker, EventKind::RevertRequested, details);
            }
            for (receipt, id) in receipts.iter_mut().zip(&ids) {
                if self.emergencies.iter().any(|e| e.id == *id) {
                    *receipt = Some(self.restore(*id));
                }
            }
        }
        if self.emergencies.is_empty() {
            self.sweep("nothing is held")?;
            if let Err(error) = self.save(Room::Reserve) {
                warn!(error = chain(&error), "the journal could not be removed, going on");
            }
        }
        let receipts: Vec<ReceiptView> = receipts.into_iter().flatten().collect();
        self.left = receipts.iter().flat_map(|r| r.residues.clone()).collect();
        Ok((Way::Journal, receipts))
    }

    /// What could not be written, and what follows from it.
    fn leave(&mut self) -> Vec<String> {
        let mut warnings = Vec::new();
        // A journal that could not be written says still that a cut is held.
        if self.journal_stays()
            && !self.emergencies.is_empty()
            && let Err(error) = self.books.set_aside_journal(Aside::Unsettled)
        {
            warn!(error = chain(&error), "the journal could not be set aside, going on");
        }
        let stays = self.journal_stays();
        if stays {
            let journal = self.books.journal_path();
            warnings.push(format!(
                "the journal could not be removed, so the next start of portcullisd would lay the cut again: before it, \
                 make the disk writable and run `rm {}`",
                journal.display()
            ));
        }
        if self.books.waiting() == 0 {
            self.books.drop_word();
        } else {
            warnings.push(if stays {
                "the restore could not be recorded in the audit log".to_owned()
            } else {
                "the restore could not be recorded in the audit log: keep this output; the next start of portcullisd \
                 records that there was one"
                    .to_owned()
            });
        }
        self.books.seal(&self.clock.now());
        warnings
    }

    /// Whether a journal stands that says still that a cut is held.
    fn journal_stays(&self) -> bool {
        self.books.is_behind() && !self.books.journal_is_gone()
    }

    /// Records that the host was restored without a daemon, where that could not be recorded then.
    pub(super) fn record_offline_restore(&mut self) {
        match self.books.word_left() {
            Ok(None) => {}
            Ok(Some(journal)) => {
                let ended = journal.emergencies.iter();
                let ended: Vec<_> = ended.map(|e| json!({ "id": e.id, "policy": e.policy })).collect();
                self.note(Draft {
                    details: json!({ "ended": ended, "boot_id": journal.boot_id, "then": "was not recorded" }),
                    ..Draft::of_daemon(EventKind::RestoredOffline)
                });
                self.books.drop_word();
            }
            Err(error) => {
                let why = chain(&error);
                self.note(Draft {
                    details: json!({ "then": "was not recorded", "why": why }),
                    ..Draft::of_daemon(EventKind::RestoredOffline)
                });
                self.books.drop_word();
            }
        }
    }
}

fn way_of(back: BroughtBack) -> (Way, Vec<ReceiptView>) {
    match back {
        BroughtBack::ToBaseline { receipt, .. } => {
            let state = if receipt.residues.is_empty() {
                EmergencyState::Ended
            } else {
                EmergencyState::Stuck
            };
            (Way::Baseline, vec![ReceiptView { state, ..*receipt }])
        }
        BroughtBack::AfterReboot | BroughtBack::ByMarks => (Way::Marks, Vec::new()),
    }
}
