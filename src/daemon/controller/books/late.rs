//! A disk without room: the reserve for the end of a cut, and the records that wait until there is room again.
//!
//! A decision that is not held up by its record is carried out, and its record is kept in memory, in order, until the
//! log takes it; then it says when it happened. A process that dies meanwhile takes the waiting ones with it.

use std::collections::VecDeque;
use std::error::Error as _;

use serde_json::{Value, json};
use tracing::{info, warn};

use super::{Books, RecordError, Watch};
use crate::model::emergency::Moment;
use crate::model::record::{Draft, rfc3339};
use crate::store::audit::{AuditError, Filter, Take};
use crate::store::{StoreError, is_full, reserve};

/// Records that wait; of more than these the oldest go, and the next one that is written says how many.
const WAITING_MAX: usize = 256;
/// Between two attempts, on CLOCK_BOOTTIME: opening the log checks it whole.
const TRY_EVERY_MS: u64 = 2_000;

/// What a write may use when the disk is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::daemon::controller) enum Room {
    /// What is free.
    Free,
    /// The reserve as well: it is the life of an emergency that is held.
    Reserve,
}

/// Records that the log has not taken.
#[derive(Debug, Default)]
pub(super) struct Late {
    waiting: VecDeque<Waiting>,
    dropped: u64,
    tried_ms: Option<u64>,
}

#[derive(Debug)]
struct Waiting {
    draft: Draft,
    happened: Moment,
    /// The record's number in a failed append, which may have reached the disk all the same.
    tried_as: Option<u64>,
}

impl Late {
    fn is_due(&mut self, now: &Moment) -> bool {
        let due = self
            .tried_ms
            .is_none_or(|tried| now.boottime_ms.saturating_sub(tried) >= TRY_EVERY_MS);
        if due {
            self.tried_ms = Some(now.boottime_ms);
        }
        due
    }
}

impl Books {
    /// Records what goes on without its record: if the log does not take it now, it waits.
    pub(in crate::daemon::controller) fn note(
        &mut self,
        draft: Draft,
        now: &Moment,
        room: Room,
    ) -> Result<(), RecordError> {
        let Err(error) = self.record(draft.clone(), now) else {
            return Ok(());
        };
        self.wait(draft, now, &error);
        if self.full && room == Room::Reserve && self.give_up_reserve() {
            // What failed at `fdatasync` may be in the log, which shows when it is opened.
            self.reopen(now);
            return self.write_waiting(now);
        }
        Err(error)
    }

    fn wait(&mut self, draft: Draft, now: &Moment, error: &RecordError) {
        if self.late.waiting.is_empty() && matches!(error, RecordError::Append(AuditError::Seal(_))) {
            self.late.dropped += 1;
            return;
        }
        // Where others wait, the error is that of the first of them.
        let tried_as = if self.late.waiting.is_empty() {
            tried_as(error)
        } else {
            None
        };
        if self.late.waiting.len() == WAITING_MAX {
            self.late.waiting.pop_front();
            self.late.dropped += 1;
        }
        self.late.waiting.push_back(Waiting {
            draft,
            happened: now.clone(),
            tried_as,
        });
    }

    /// How many records wait.
    pub(in crate::daemon::controller) fn waiting(&self) -> usize {
        self.late.waiting.len()
    }

    /// Writes what waits, oldest first, so that whatever is recorded next stands behind it.
    pub(super) fn write_waiting(&mut self, now: &Moment) -> Result<(), RecordError> {
        while let Some(first) = self.late.waiting.front() {
            if !self.is_in_the_log(first) {
                let draft = late(first, self.late.dropped, now);
                if let Err(error) = self.append(draft, now) {
                    if matches!(error, RecordError::Append(AuditError::Seal(_))) {
                        self.late.waiting.pop_front();
                        self.late.dropped += 1;
                        continue;
                    }
                    if let Some(first) = self.late.waiting.front_mut() {
                        first.tried_as = tried_as(&error);
                    }
                    return Err(error);
                }
                self.late.dropped = 0;
            }
            self.late.waiting.pop_front();
        }
        Ok(())
    }

    /// An append that failed at `fdatasync` is found in the log, whole, when that is opened anew.
    fn is_in_the_log(&self, waiting: &Waiting) -> bool {
        let (Some(sequence), Some(audit)) = (waiting.tried_as, &self.audit) else {
            return false;
        };
        let filter = Filter {
            after_sequence: Some(sequence.saturating_sub(1)),
            take: Take::First(1),
            ..Filter::default()
        };
        let found = audit.records(&self.directory, &filter).unwrap_or_default();
        let (draft, moment) = (&waiting.draft, &waiting.happened);
        found.first().is_some_and(|r| {
            (r.sequence, r.event, r.emergency) == (sequence, draft.event, draft.emergency)
                && (&r.actor, &r.policy) == (&draft.actor, &draft.policy)
                && (r.details == draft.details || r.details.get(LATE).is_some())
                && r.boottime_ms >= moment.boottime_ms
        })
    }

    /// Tries again what a disk without room had refused, and makes the reserve again when nothing needs the room.
    pub(in crate::daemon::controller) fn catch_up(&mut self, now: &Moment, watch: Watch) {
        let lacks = watch == Watch::Idle && !self.behind && !self.has_reserve();
        if (self.late.waiting.is_empty() && !lacks) || !self.late.is_due(now) {
            return;
        }
        if !self.late.waiting.is_empty() {
            let count = self.late.waiting.len();
            if self.fault.is_some() {
                self.reopen(now);
            }
            match self.write_waiting(now) {
                Ok(()) => info!(count, "recorded late"),
                Err(error) => warn!(%error, waiting = self.late.waiting.len(), "still not recorded, going on"),
            }
        }
        if lacks && self.late.waiting.is_empty() {
            self.make_reserve();
        }
    }

    pub(super) fn make_reserve(&mut self) {
        if let Err(error) = reserve::make(&self.directory) {
            let error = super::super::chain(&error);
            warn!(
                error,
                "no room for the reserve: on a full disk the end of a cut would be recorded late"
            );
        }
    }

    /// Whether the reserve is there.
    pub(in crate::daemon::controller) fn has_reserve(&self) -> bool {
        reserve::stands(&self.directory).unwrap_or(false)
    }

    /// Gives up the reserve; says whether it is worth trying again.
    pub(super) fn give_up_reserve(&mut self) -> bool {
        match reserve::give_up(&self.directory) {
            Ok(given) => {
                if given {
                    warn!("the disk is full: the reserve for the end of a cut is given up");
                }
                given
            }
            Err(error) => {
                warn!(error = super::super::chain(&error), "the reserve could not be given up");
                false
            }
        }
    }

    /// Runs a write of the journal, and once more with the reserve given up.
    pub(super) fn with_room(
        &mut self,
        room: Room,
        write: impl Fn(&Self) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        match write(self) {
            Err(error) if room == Room::Reserve && is_full(&error) && self.give_up_reserve() => write(self),
            done => done,
        }
    }
}

const LATE: &str = "recorded_late";

fn tried_as(error: &RecordError) -> Option<u64> {
    match error {
        RecordError::Append(AuditError::Append { sequence, .. }) => Some(*sequence),
        RecordError::Append(_) | RecordError::Closed(_) => None,
    }
}

/// The record has its place and time in the chain; what happened before has its own time in the details.
fn late(waiting: &Waiting, dropped: u64, now: &Moment) -> Draft {
    let happened = &waiting.happened;
    if happened == now && dropped == 0 {
        return waiting.draft.clone();
    }
    let mut mark = json!({
        "boot_id": happened.boot_id,
        "boottime_ms": happened.boottime_ms,
        "time": rfc3339(happened.wall_ms).unwrap_or_else(|_| "unknown".to_owned()),
        "wall_ms": happened.wall_ms,
    });
    if happened.boot_id == now.boot_id {
        mark["late_ms"] = now.boottime_ms.saturating_sub(happened.boottime_ms).into();
    }
    if dropped > 0 {
        mark["dropped_before"] = dropped.into();
    }
    let mut draft = waiting.draft.clone();
    draft.details = match draft.details {
        Value::Object(mut members) => {
            members.insert(LATE.to_owned(), mark);
            Value::Object(members)
        }
        Value::Null => json!({ LATE: mark }),
        other @ (Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            json!({ LATE: mark, "details": other })
        }
    };
    draft
}

impl RecordError {
    /// Whether the disk had no room for it.
    pub(super) fn is_full(&self) -> bool {
        self.source().is_some_and(is_full)
    }
}
