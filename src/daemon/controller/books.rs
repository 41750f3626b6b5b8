//! The durable side of the controller: audit log and journal.
//!
//! **Invariant:** a cut begins only after [`Books::record`] and [`Books::save`] have returned `Ok`. Everything else goes
//! on without them and says so.
//!
//! Sealing is never part of a decision: a record makes a seal due, and the controller has it written when it has nothing
//! more urgent to do.

mod beside;
mod late;

use std::path::PathBuf;

use tracing::{error, warn};

use self::late::Late;
pub(super) use self::late::Room;
use super::recovery::LastRun;
use crate::api::error::{ApiError, Code};
use crate::api::{AuditHead, AuditPage, AuditQuery};
use crate::daemon::clock::Clock;
use crate::model::emergency::{Emergency, Moment};
use crate::model::ledger::SEAL_EVERY_MS;
use crate::model::names::EmergencyId;
use crate::model::record::{Draft, EventKind, Head};
use crate::model::snapshot::Snapshot;
use crate::store::audit::{AUDIT, AuditError, AuditFile, Filter, SEGMENT_BYTES, Take, id_beginning};
use crate::store::directory::StateDirectory;
use crate::store::journal::{self, Aside, JournalContents};
use crate::store::ratchet::{Keeping, Ratchet};
use crate::store::{StoreError, is_full};

/// Records in one answer where the query names no limit.
const PAGE_DEFAULT: usize = 1_000;
/// A seal is this old at most while an emergency is held.
const SEAL_EVERY_HELD_MS: u64 = 60 * 1000;

/// Whether an emergency is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watch {
    /// One is.
    Held,
    /// None is.
    Idle,
}

/// A record is not durable.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecordError {
    /// The log was found broken at the start.
    #[error("the audit log takes no records: {0}")]
    Closed(String),
    /// The record could not be appended.
    #[error("the audit log did not take the record")]
    Append(#[source] AuditError),
}

/// Audit log and journal.
#[derive(Debug)]
pub(super) struct Books {
    directory: StateDirectory,
    boot_id: String,
    /// None while it cannot be used; then `fault` says why.
    audit: Option<AuditFile>,
    fault: Option<String>,
    /// The last record that log or journal are known to have held: kept also while the log cannot be used, so that the
    /// next journal still bears witness against it.
    witnessed: Option<Head>,
    behind: bool,
    /// Whether what went wrong last with the log was that the disk has no room.
    full: bool,
    /// Records that the log has not taken.
    late: Late,
    /// Whether a journal that ends while records wait leaves its word for the next daemon.
    leaves_word: bool,
    /// None while there are none to be had; then records stay unsealed, and the log shows it.
    keys: Option<Ratchet>,
    /// Whether a decision was recorded since the last seal.
    unsealed_decision: bool,
    /// When the last seal was written or tried, on CLOCK_BOOTTIME.
    sealed_ms: u64,
}

impl Books {
    /// Opens both. A broken audit log is no reason not to start, because a restore must never wait for it: it is kept
    /// as a fault, and no cut begins.
    pub(super) fn open(directory: StateDirectory, keeping: &Keeping, clock: &dyn Clock) -> Self {
        let now = clock.now();
        let keys = open_keys(keeping, &now);
        let mut books = Self {
            directory,
            boot_id: now.boot_id.clone(),
            audit: None,
            fault: None,
            keys,
            unsealed_decision: false,
            sealed_ms: now.boottime_ms,
            witnessed: None,
            behind: false,
            full: false,
            late: Late::default(),
            leaves_word: false,
        };
        if let Ok(Some(contents)) = journal::load_contents(&books.directory) {
            books.witnessed = contents.audit_head;
        }
        books.reopen(&now);
        books.make_reserve();
        books
    }

    /// The heads that the log must hold. The journal's word for the last record, and that of the keys for the last seal,
    /// show a log that was cut off at a line, which the chain alone cannot.
    fn kept(&self) -> Vec<Head> {
        if let Some(head) = self.audit.as_ref().and_then(AuditFile::head) {
            return vec![head];
        }
        // Somebody who moves a damaged log away begins a new one, with new keys.
        let moved_away = matches!(self.directory.holds(AUDIT), Ok(false));
        let keys = self.keys.as_ref().and_then(Ratchet::kept).filter(|_| !moved_away);
        self.witnessed.into_iter().chain(keys).collect()
    }

    /// Moves the keys to where the log stands.
    fn match_keys(&mut self) {
        let (Some(audit), Some(keys)) = (&self.audit, &mut self.keys) else {
            return;
        };
        let last = audit.last_seal().map_err(|error| super::chain(&error));
        let moved = last.and_then(|last| keys.go_on(last.as_ref()).map_err(|error| super::chain(&error)));
        if let Err(error) = moved {
            warn!(error, "the audit log cannot be sealed, going on without");
            self.keys = None;
        }
    }

    /// Seals the log if it is time to: after a decision, every minute while an emergency is held, every hour otherwise.
    ///
    /// It takes as long as any record. A failure is not tried again before the next seal is due by time.
    pub(super) fn seal_if_due(&mut self, now: &Moment, watch: Watch) {
        let every_ms = match watch {
            Watch::Held => SEAL_EVERY_HELD_MS,
            Watch::Idle => SEAL_EVERY_MS,
        };
        let full = self
            .audit
            .as_ref()
            .is_some_and(|audit| audit.length_bytes() >= SEGMENT_BYTES);
        let late = now.boottime_ms.saturating_sub(self.sealed_ms) >= every_ms;
        if late || self.unsealed_decision || full {
            self.seal(now);
        }
    }

    /// Seals the log now, as at the end.
    pub(super) fn seal(&mut self, now: &Moment) {
        (self.unsealed_decision, self.sealed_ms) = (false, now.boottime_ms);
        let (Some(audit), Some(keys), None) = (&mut self.audit, &mut self.keys, &self.fault) else {
            return;
        };
        let sealed = audit.seal(keys, now).map(|_| ());
        if let Err(error) = sealed.and_then(|()| audit.rotate(&self.directory, SEGMENT_BYTES, now)) {
            let error = super::chain(&error);
            warn!(error, "the audit log was not sealed, going on");
            // The next record opens the log anew, and so checks it.
            self.fault = Some(error);
        }
    }

    fn reopen(&mut self, now: &Moment) {
        self.witnessed = self.last();
        let kept = self.kept();
        self.audit = None;
        match AuditFile::open_holding(&self.directory, AUDIT, &kept) {
            Ok((file, torn)) => {
                (self.audit, self.fault) = (Some(file), None);
                self.match_keys();
                if let Some(torn) = torn {
                    let details =
                        serde_json::json!({ "set_aside_as": torn.name, "bytes": torn.bytes, "digest": torn.digest });
                    let draft = Draft {
                        details,
                        ..Draft::of_daemon(EventKind::AuditTorn)
                    };
                    if let Err(error) = self.append(draft, now) {
                        warn!(
                            error = super::chain(&error),
                            "the torn tail of the audit log could not be recorded"
                        );
                    }
                }
            }
            Err(broken) => {
                error!(
                    error = super::chain(&broken),
                    "the audit log cannot be used: restores go on, no cut begins"
                );
                self.full = is_full(&broken);
                self.fault = Some(super::chain(&broken));
            }
        }
    }

    /// Makes a record durable. After a failed append the log is opened anew, and so verified, before the next one.
    pub(super) fn record(&mut self, draft: Draft, now: &Moment) -> Result<(), RecordError> {
        if self.fault.is_some() {
            self.reopen(now);
        }
        self.write_waiting(now)?;
        self.append(draft, now)
    }

    fn append(&mut self, draft: Draft, now: &Moment) -> Result<(), RecordError> {
        let Some(file) = &mut self.audit else {
            return Err(RecordError::Closed(self.fault.clone().unwrap_or_default()));
        };
        self.unsealed_decision |= draft.event.is_decision();
        file.append(draft, now).map(|_| ()).map_err(|error| {
            self.fault = Some(super::chain(&error));
            let error = RecordError::Append(error);
            self.full = error.is_full();
            error
        })
    }

    /// How the daemon before this one ended. Asked before this one records its start. The last seal follows the stop, and
    /// a rotation the seal.
    pub(super) fn last_run(&self) -> LastRun {
        match self.audit.as_ref().and_then(AuditFile::last_event) {
            Some(EventKind::DaemonStopped) => LastRun::Stopped,
            Some(_) | None => LastRun::Died,
        }
    }

    /// What recovery would find.
    pub(super) fn load(&self) -> Result<Option<journal::Recovered>, StoreError> {
        journal::load(&self.directory)
    }

    /// Sets a damaged journal aside, so that the next start does not meet it again.
    pub(super) fn set_aside_journal(&self, aside: Aside) -> Result<Vec<String>, StoreError> {
        journal::set_aside(&self.directory, aside)
    }

    /// The journal that was set aside and that a person must still look at.
    pub(super) fn unsettled(&self) -> Result<Option<PathBuf>, StoreError> {
        journal::unsettled(&self.directory)
    }

    /// This process goes when it is done, and what it could not record with it: the journal is to say so afterwards.
    pub(super) fn leave_word(&mut self) {
        self.leaves_word = true;
    }

    /// The journal of a restore without a daemon that was not recorded.
    pub(super) fn word_left(&self) -> Result<Option<JournalContents>, StoreError> {
        journal::word_left(&self.directory)
    }

    /// Lets it go, once that is recorded.
    pub(super) fn drop_word(&self) {
        if self.waiting() == 0
            && let Err(error) = journal::drop_word(&self.directory)
        {
            let error = super::chain(&error);
            warn!(
                error,
                "what a restore without a daemon left behind is recorded, and could not be removed"
            );
        }
    }

    /// Removes a baseline without a journal.
    pub(super) fn drop_baseline(&self) {
        if let Err(error) = journal::drop_baseline(&self.directory) {
            warn!(
                error = super::chain(&error),
                "the baseline could not be removed, going on"
            );
        }
    }

    /// Where the journal is, for messages.
    pub(super) fn journal_path(&self) -> PathBuf {
        journal::path(&self.directory)
    }

    /// Whether no journal stands.
    pub(super) fn journal_is_gone(&self) -> bool {
        matches!(journal::stands(&self.directory), Ok(false))
    }

    /// The baseline from whichever copy is intact, and what is wrong with the others.
    pub(super) fn load_baseline(&self) -> (Option<Snapshot>, Vec<StoreError>) {
        journal::load_baseline(&self.directory)
    }

    /// Whether a cut was laid since the host came up, by the log. A log that cannot say so is no reason to leave a host
    /// cut.
    pub(super) fn cut_in_this_boot(&self) -> bool {
        let last = |event| {
            let filter = Filter {
                event: Some(event),
                take: Take::Last(1),
                ..Filter::default()
            };
            let records = self
                .audit
                .as_ref()?
                .records(&self.directory, &filter)
                .unwrap_or_default();
            records.last().map(|record| record.boot_id == self.boot_id)
        };
        let laid = [EventKind::Declared, EventKind::InForce, EventKind::Recovered].map(last);
        laid == [None; 3] || laid.contains(&Some(true))
    }

    /// Makes the journal durable; with nothing left to hold, it goes, and the baseline with it.
    pub(super) fn save(&mut self, emergencies: &[Emergency], room: Room) -> Result<(), StoreError> {
        let contents = JournalContents::new(&self.boot_id, emergencies.to_vec(), self.last());
        let saved = if emergencies.is_empty() && self.leaves_word && self.waiting() > 0 {
            journal::leave_word(&self.directory)
        } else if emergencies.is_empty() {
            journal::clear(&self.directory, &contents)
        } else {
            self.with_room(room, |books| journal::save(&books.directory, &contents))
        };
        self.behind = saved.is_err();
        saved
    }

    /// Whether the journal may hold something else than was last to be saved: a failed save can have got half way.
    pub(super) fn is_behind(&self) -> bool {
        self.behind
    }

    /// Makes the baseline durable, in both copies, before the first emergency is saved.
    pub(super) fn save_baseline(&self, baseline: &Snapshot) -> Result<(), StoreError> {
        journal::save_baseline(&self.directory, baseline)
    }

    /// Replaces a baseline of which nothing is held any more, because the host was rebooted, or by one that has grown.
    pub(super) fn renew_baseline(&self, baseline: &Snapshot) -> Result<(), StoreError> {
        journal::renew_baseline(&self.directory, baseline)
    }

    fn last(&self) -> Option<Head> {
        self.audit.as_ref().and_then(AuditFile::head).or(self.witnessed)
    }

    /// Whether the log can be read, holds the declaration of an emergency, and nothing of it that comes later.
    pub(super) fn knows_no_more_than_declared(&self, id: EmergencyId) -> bool {
        let Some(audit) = &self.audit else { return false };
        let filter = Filter {
            emergency: Some(id),
            ..Filter::default()
        };
        let found = audit.records(&self.directory, &filter);
        found.is_ok_and(|all| {
            all.iter().any(|r| r.event == EventKind::Declared) && all.iter().all(|r| r.event.leads_up_to_a_cut())
        })
    }

    /// The last record that the log is known to hold whole.
    #[cfg(test)]
    pub(super) fn acknowledged(&self) -> Option<Head> {
        let stands = self.audit.as_ref().is_none_or(|audit| audit.stands().is_ok());
        self.last().filter(|_| self.fault.is_none() && stands)
    }

    /// Where the log stands.
    pub(super) fn head(&self) -> AuditHead {
        let (sequence, hash) = self
            .last()
            .map_or((0, String::new()), |h| (h.sequence, h.hash.to_string()));
        let tree = self.audit.as_ref().map(AuditFile::tree);
        let seal = self
            .audit
            .as_ref()
            .and_then(|audit| audit.last_seal().unwrap_or_default());
        let moved = || self.audit.as_ref().and_then(|audit| audit.stands().err());
        let fault = self.fault.clone().or_else(|| moved().map(|error| super::chain(&error)));
        AuditHead {
            healthy: fault.is_none(),
            fault,
            sequence,
            hash,
            root: tree.map(|tree| tree.root().to_string()).unwrap_or_default(),
            short: tree.map(|tree| tree.root().short()).unwrap_or_default(),
            checkpoint: seal.map(|seal| seal.note),
        }
    }

    /// The records that a query asks for: the oldest behind `after`, else the newest.
    pub(super) fn page(&self, query: &AuditQuery) -> Result<AuditPage, ApiError> {
        let limit = query
            .limit
            .unwrap_or(PAGE_DEFAULT)
            .clamp(1, crate::store::audit::RECORDS_MAX - 1);
        // One more than asked for tells whether there are more.
        let filter = filter(query, limit + 1)?;
        let failed = |why: String| {
            ApiError::new(
                Code::Internal,
                format!("failed to read the audit log: {why}"),
                "run `portcullis audit verify`",
            )
        };
        let Some(file) = &self.audit else {
            return Err(failed(self.fault.clone().unwrap_or_default()));
        };
        let mut records = file
            .records(&self.directory, &filter)
            .map_err(|e| failed(super::chain(&e)))?;
        let more = records.len() > limit;
        if more && filter.take == Take::Last(limit + 1) {
            records.remove(0);
        }
        records.truncate(limit);
        let records = records.into_iter().map(serde_json::to_value).collect::<Result<_, _>>();
        Ok(AuditPage {
            records: records.map_err(|e| failed(e.to_string()))?,
            more,
        })
    }
}

/// Secrets that cannot be kept for the next start are kept in memory.
fn open_keys(keeping: &Keeping, now: &Moment) -> Option<Ratchet> {
    let opened = Ratchet::open(keeping, &now.boot_id).or_else(|error| {
        let error = super::chain(&error);
        warn!(
            error,
            "the keys of the audit log are kept in memory only: a restart begins a new chain of keys"
        );
        Ratchet::open(&Keeping::Memory, &now.boot_id)
    });
    opened
        .inspect_err(|error| {
            warn!(
                error = super::chain(error),
                "the audit log cannot be sealed, going on without"
            )
        })
        .ok()
}

fn filter(query: &AuditQuery, limit: usize) -> Result<Filter, ApiError> {
    let wrong = |field: &str, why: String| {
        ApiError::new(
            Code::BadRequest,
            format!("`{field}` is not valid: {why}"),
            "see `portcullis audit show --help`",
        )
    };
    let since = query.since.as_deref().map(str::parse::<jiff::Timestamp>).transpose();
    let begins = query.emergency.as_deref().map(id_beginning).transpose();
    let event = query.kind.as_deref().map(str::parse::<EventKind>).transpose();
    let uid = query.actor.as_deref().map(uid).transpose();
    Ok(Filter {
        after_sequence: query.after,
        since_ms: since
            .map_err(|e| wrong("since", e.to_string()))?
            .map(jiff::Timestamp::as_millisecond),
        emergency: None,
        emergency_begins: begins.map_err(|e| wrong("emergency", e))?,
        uid: uid.map_err(|e| wrong("actor", e))?,
        event: event.map_err(|e| wrong("kind", e.to_string()))?,
        take: if query.after.is_some() {
            Take::First(limit)
        } else {
            Take::Last(limit)
        },
    })
}

fn uid(actor: &str) -> Result<u32, String> {
    let known = actor.parse().ok().or_else(|| crate::daemon::actor::uid_of(actor));
    known.ok_or_else(|| format!("{actor:?} is neither a uid nor a user of this host"))
}

#[cfg(test)]
mod tests;
