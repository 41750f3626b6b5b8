//! The audit file: appended to, never changed, checked whole before it is appended to.
//!
//! An append returns when its record is durable. One that failed leaves the file poisoned: after a failed `fdatasync`
//! the kernel may hold pages for clean that never reached the disk, so nothing is tried again on that descriptor.
//! At a seal, a file that has grown to its limit is closed and the next one begun; the closed ones are not read again but
//! to answer questions. Preallocating the file would spare the file system's journal from recording each new length, and make `fdatasync`
//! cheaper; the zeros behind the end would then have to be told from a torn tail.

mod read;

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use nix::fcntl::OFlag;

use self::read::{beginning, section, section_from, walk};
use super::directory::{StateDirectory, raw_error};
use super::disk::Disk;
use super::error::StoreError;
use super::ratchet::Ratchet;
use crate::model::chain::{Break, Verdict};
use crate::model::emergency::Moment;
use crate::model::epoch::{self, Seal};
use crate::model::merkle::{self, Frontier};
use crate::model::names::Digest;
use crate::model::record::{Draft, EventKind, Head, LINE_MAX_BYTES, Record, SealError, seal};
use crate::model::segment::{self, Opening};

pub use self::read::{Filter, RECORDS_MAX, Take, id_beginning, verify, verify_holding};

/// The name of the audit file in a state directory.
pub const AUDIT: &str = "audit.jsonl";
/// Each is one crash in the middle of an append; more of them is a fault that a person must look at.
const TORN_MAX: u32 = 1000;
/// A file that is longer is closed at the next seal: some 30,000 records, read and checked in a fraction of a second.
pub const SEGMENT_BYTES: u64 = 16 << 20;
/// The next file, complete, while it takes its place.
const AUDIT_NEXT: &str = ".audit.jsonl.next";

/// Why the audit log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A file could not be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It was changed.
    #[error("the audit log {path:?} is broken")]
    Broken {
        /// Which file.
        path: PathBuf,
        /// The first bad record.
        #[source]
        damage: Break,
    },
    /// Too many torn tails.
    #[error("failed to set aside the torn last line of {path:?}: {TORN_MAX} such files are there already")]
    TornTooOften {
        /// Which log.
        path: PathBuf,
    },
    /// The record could not be made.
    #[error("failed to make the audit record")]
    Seal(#[from] SealError),
    /// The record is not known to be durable.
    #[error("failed to append record {sequence} to the audit log {path:?}")]
    Append {
        /// Which file.
        path: PathBuf,
        /// The record's number.
        sequence: u64,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file does not begin as a file of a log does.
    #[error("the audit log {path:?} begins with a record that is neither its first nor opens a file")]
    Opening {
        /// Which file.
        path: PathBuf,
    },
    /// There is nothing to seal, or what is there cannot be.
    #[error("failed to seal the audit log {path:?}: {why}")]
    NotSealed {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Somebody moved the file away, removed it, or cut it off.
    #[error("the audit log {path:?} is no longer the file that was opened, or is shorter than it was")]
    Replaced {
        /// Which file.
        path: PathBuf,
    },
    /// An earlier append failed.
    #[error("the audit log {path:?} takes no more records since an append failed")]
    Poisoned {
        /// Which file.
        path: PathBuf,
    },
}

impl AuditError {
    /// What an operator can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Store(e) => e.hint(),
            Self::Broken { path, .. } | Self::Opening { path } | Self::NotSealed { path, .. } => {
                format!("copy {path:?} and look at it with `portcullis audit verify`; then move it away")
            }
            Self::TornTooOften { path } => {
                format!("find out what kills the daemon, then move {path:?}'s torn files away")
            }
            Self::Replaced { path } => {
                format!(
                    "put the log back as {path:?}, or keep what is left of it and restart the daemon: it begins a new one"
                )
            }
            Self::Seal(_) => "this is a defect of portcullis: please report it".to_owned(),
            Self::Append { path, .. } | Self::Poisoned { path } => {
                format!("look at free space and at the kernel log, then restart the daemon: it checks {path:?} first")
            }
        }
    }
}

/// A torn last line that was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// The file that now holds it.
    pub name: String,
    /// How many bytes.
    pub bytes: u64,
    /// Their digest.
    pub digest: Digest,
}

/// An audit file whose chain is good.
#[derive(Debug)]
pub struct AuditFile {
    path: PathBuf,
    file: File,
    disk: Arc<dyn Disk>,
    head: Option<Head>,
    length: u64,
    condition: Condition,
    state: State,
}

/// What a file holds beside its chain.
#[derive(Clone, Debug, Default)]
struct State {
    /// The first record of this file.
    first: Option<u64>,
    /// The closed file before it.
    before: Option<String>,
    tree: Frontier,
    origin: String,
    seal: Option<Record>,
    /// The last event that is none of the log's own.
    event: Option<EventKind>,
}

impl State {
    fn take(&mut self, record: &Record, line: &[u8]) {
        if self.first.is_none() {
            self.first = Some(record.sequence);
            if record.sequence == 1 {
                self.origin = epoch::origin(record.hash);
            }
        }
        if record.event == EventKind::Sealed {
            self.seal = Some(record.clone());
        }
        if !matches!(record.event, EventKind::Sealed | EventKind::AuditRotated) {
            self.event = Some(record.event);
        }
        self.tree.push(merkle::leaf(line.strip_suffix(b"\n").unwrap_or(line)));
    }

    /// At the beginning of a file that is not the first, given its first record.
    fn opened(record: &Record) -> Option<Self> {
        let opening = Opening::of(record)?;
        Some(Self {
            first: None,
            tree: opening.tree(record)?,
            before: Some(opening.closed),
            origin: opening.origin,
            seal: None,
            event: None,
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Good,
    Poisoned,
}

impl AuditFile {
    /// Opens the log, creates it if it is absent, checks the whole chain, and sets a torn last line aside.
    ///
    /// # Errors
    /// If the chain is broken, or a file cannot be used.
    pub fn open(directory: &StateDirectory, name: &str) -> Result<(Self, Option<Torn>), AuditError> {
        Self::open_holding(directory, name, &[])
    }

    /// The same, and each of the heads kept from earlier must turn up in the chain.
    ///
    /// # Errors
    /// As [`Self::open`], and if the log was cut off before one of them or says otherwise.
    pub fn open_holding(
        directory: &StateDirectory,
        name: &str,
        kept: &[Head],
    ) -> Result<(Self, Option<Torn>), AuditError> {
        let path = directory.path_of(name);
        // The process that was to put the next file in its place may have died before it did.
        if name == AUDIT && !directory.holds(AUDIT)? && directory.holds(AUDIT_NEXT)? {
            directory.rename(AUDIT_NEXT, AUDIT)?;
        }
        let file = match directory.open_file(name, OFlag::O_RDWR)? {
            Some(file) => file,
            None => directory.create(name)?,
        };
        // Also where it was there: the process that created it may have died before this.
        directory.sync()?;
        let mut last = None;
        let length = file.metadata().map_err(raw_error("look at", &path))?.len();
        let (mut check, mut state) = beginning(&file, length, kept, &path)?;
        let verdict = walk(section(&file, length), &mut check, |record, line| {
            state.take(&record, line);
            last = Some(record);
        });
        let (head, tail) = match verdict.map_err(raw_error("read", &path))? {
            Verdict::Intact { head } => (head, None),
            Verdict::TornTail { head, length, .. } => (head, Some(length)),
            Verdict::Broken { damage, .. } => return Err(AuditError::Broken { path, damage }),
        };
        let mut audit = Self {
            path,
            file,
            disk: directory.disk(),
            head,
            length: check.good_bytes(),
            condition: Condition::Good,
            state,
        };
        if audit.state.seal.is_none() {
            audit.state.seal = audit.seal_before(directory)?;
        }
        let torn = tail.map(|bytes| audit.set_aside(directory, name, bytes)).transpose()?;
        audit.harden(last.as_ref())?;
        Ok((audit, torn))
    }

    /// Appends a record. When this returns, it is durable.
    ///
    /// # Errors
    /// If there is no such record to be made, which changes nothing; if it is not known to be durable, or an earlier
    /// one was not: then the file takes no more until it is opened again.
    pub fn append(&mut self, draft: Draft, moment: &Moment) -> Result<Record, AuditError> {
        if self.condition == Condition::Poisoned {
            let path = self.path.clone();
            return Err(AuditError::Poisoned { path });
        }
        self.stands()?;
        let (previous, sequence) = self.head.map_or((Digest::zero(), 1), |h| (h.hash, h.sequence + 1));
        let record = seal(draft, previous, sequence, moment)?;
        let line = record.line()?;
        self.condition = Condition::Poisoned;
        self.write(&line, self.length).map_err(|source| AuditError::Append {
            path: self.path.clone(),
            sequence,
            source,
        })?;
        self.condition = Condition::Good;
        self.head = Some(record.head());
        self.length += line.len() as u64;
        self.state.take(&record, &line);
        Ok(record)
    }

    /// Whether the file is still the one that was opened, at its name, and as long as it was left: a log that somebody
    /// moves away or cuts off under the process would take records that nobody finds.
    ///
    /// # Errors
    /// If it is not, or cannot be looked at.
    pub fn stands(&self) -> Result<(), AuditError> {
        let failed = |source| {
            AuditError::Store(StoreError::Io {
                attempted: "look at",
                path: self.path.clone(),
                source,
            })
        };
        let own = self.file.metadata().map_err(failed)?;
        let named = match std::fs::symlink_metadata(&self.path) {
            Ok(named) => Some((named.dev(), named.ino())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(error)),
        };
        if named == Some((own.dev(), own.ino())) && own.len() >= self.length {
            return Ok(());
        }
        let path = self.path.clone();
        Err(AuditError::Replaced { path })
    }

    /// Seals all records so far and moves the keys on. When this returns, the seal is durable and its key destroyed.
    ///
    /// # Errors
    /// If the log is empty, the keys cannot be moved on, or the seal is not known to be durable.
    pub fn seal(&mut self, keys: &mut Ratchet, moment: &Moment) -> Result<Record, AuditError> {
        if self.head.is_none() {
            return Err(self.not_sealed("it is empty"));
        }
        let next = keys.prepare()?;
        let draft = epoch::draft(
            &self.state.tree,
            &self.state.origin,
            keys.epoch(),
            keys.secret(),
            &next,
            moment,
        );
        let record = self.append(draft, moment)?;
        keys.advance(record.head())?;
        Ok(record)
    }

    /// Closes the file and begins the next, if it is longer than the limit and ends in a seal.
    ///
    /// # Errors
    /// If the next file cannot be made durable; then this one takes no more records until it is opened again.
    pub fn rotate(&mut self, directory: &StateDirectory, limit_bytes: u64, moment: &Moment) -> Result<(), AuditError> {
        let sealed = self.state.seal.as_ref().map(Record::head);
        let (Some(first), Some(head)) = (self.state.first, self.head) else {
            return Ok(());
        };
        if self.length < limit_bytes || sealed != self.head || self.condition == Condition::Poisoned {
            return Ok(());
        }
        let opening = Opening {
            closed: segment::name_of(first),
            origin: self.state.origin.clone(),
            peaks: self.state.tree.peaks().to_vec(),
        };
        let record = seal(opening.draft(), head.hash, head.sequence + 1, moment)?;
        let line = record.line()?;
        self.condition = Condition::Poisoned;
        directory.write_new(AUDIT_NEXT, &line)?;
        directory.rename(AUDIT, &opening.closed)?;
        directory.rename(AUDIT_NEXT, AUDIT)?;
        directory.sync()?;
        let missing = || raw_error("open", &self.path)(io::ErrorKind::NotFound.into());
        self.file = directory.open_file(AUDIT, OFlag::O_RDWR)?.ok_or_else(missing)?;
        self.condition = Condition::Good;
        self.head = Some(record.head());
        self.length = line.len() as u64;
        let seal = self.state.seal.take();
        self.state.first = None;
        self.state.before = Some(opening.closed);
        self.state.take(&record, &line);
        self.state.seal = seal;
        Ok(())
    }

    /// The Merkle tree over all records.
    #[must_use]
    pub fn tree(&self) -> &Frontier {
        &self.state.tree
    }

    /// What checkpoints call this log; empty while it is.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.state.origin
    }

    /// Bytes in the file that is appended to.
    #[must_use]
    pub fn length_bytes(&self) -> u64 {
        self.length
    }

    /// The last seal; none in a log without one.
    ///
    /// # Errors
    /// If what stands in its place is not one.
    pub fn last_seal(&self) -> Result<Option<Seal>, AuditError> {
        let read = self.state.seal.as_ref().map(epoch::read).transpose();
        read.map_err(|flaw| self.not_sealed(&flaw.to_string()))
    }

    /// What the last record of this file says, but for those that tell of the log itself.
    #[must_use]
    pub fn last_event(&self) -> Option<EventKind> {
        self.state.event
    }

    fn not_sealed(&self, why: &str) -> AuditError {
        AuditError::NotSealed {
            path: self.path.clone(),
            why: why.to_owned(),
        }
    }

    /// The seal with which the file before this one closed.
    fn seal_before(&self, directory: &StateDirectory) -> Result<Option<Record>, AuditError> {
        let Some(name) = &self.state.before else {
            return Ok(None);
        };
        let path = directory.path_of(name);
        let Some(file) = directory.open_file(name, OFlag::O_RDONLY)? else {
            return Ok(None);
        };
        let length = file.metadata().map_err(raw_error("look at", &path))?.len();
        let mut tail = Vec::new();
        let from = length.saturating_sub(LINE_MAX_BYTES as u64);
        let read = section_from(&file, from, length).read_to_end(&mut tail);
        read.map_err(raw_error("read", &path))?;
        let last = tail.split_inclusive(|b| *b == b'\n').next_back().unwrap_or_default();
        let seal: Option<Record> = serde_json::from_slice(last).ok();
        Ok(seal.filter(|record| record.event == EventKind::Sealed))
    }

    /// The last durable record; none in an empty log.
    #[must_use]
    pub fn head(&self) -> Option<Head> {
        self.head
    }

    /// One write and one fdatasync.
    fn write(&self, line: &[u8], offset: u64) -> io::Result<()> {
        if self.disk.write_at(&self.file, offset, line)? != line.len() {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.disk.sync(&self.file)
    }

    /// Writes the last record over itself. If its own append failed at `fdatasync`, it is in the page cache and may not
    /// be on the disk; a record behind it must not be durable before it is.
    fn harden(&self, last: Option<&Record>) -> Result<(), AuditError> {
        let Some(last) = last else {
            return Ok(());
        };
        let line = last.line()?;
        let written = self.write(&line, self.length - line.len() as u64);
        Ok(written.map_err(raw_error("make durable", &self.path))?)
    }

    /// Moves what stands behind the last whole record to a file of its own. A crash on the way leaves it in both.
    fn set_aside(&self, directory: &StateDirectory, name: &str, bytes: u64) -> Result<Torn, AuditError> {
        let mut tail = Vec::new();
        let read = section_from(&self.file, self.length, self.length + bytes).read_to_end(&mut tail);
        read.map_err(raw_error("read", &self.path))?;
        let torn_name = self.free_name(directory, name)?;
        if let Err(error) = directory.write_new(&torn_name, &tail) {
            // A disk that stays full must not use up the names: the tail still stands where it was.
            directory.unlink(&torn_name)?;
            return Err(error.into());
        }
        directory.sync()?;
        let cut = self.disk.truncate(&self.file, self.length);
        let cut = cut.and_then(|()| self.disk.sync(&self.file));
        cut.map_err(raw_error("cut the torn last line off", &self.path))?;
        Ok(Torn {
            name: torn_name,
            bytes,
            digest: Digest::of(&tail),
        })
    }

    fn free_name(&self, directory: &StateDirectory, name: &str) -> Result<String, AuditError> {
        let stem = name.strip_suffix(".jsonl").unwrap_or(name);
        for n in 1..=TORN_MAX {
            let candidate = format!("{stem}.torn-{n}");
            if !directory.holds(&candidate)? {
                return Ok(candidate);
            }
        }
        let path = self.path.clone();
        Err(AuditError::TornTooOften { path })
    }
}

#[cfg(test)]
mod tests;
