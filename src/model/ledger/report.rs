//! What is noted of a log, and what an examination finds.

use std::fmt;
use std::time::Duration;

use crate::model::chain::{Break, Flaw};
use crate::model::duration::written;
use crate::model::epoch::{Seal, SealFlaw};
use crate::model::merkle::Frontier;
use crate::model::names::Digest;
use crate::model::note::{Checkpoint, NoteKey};
use crate::model::record::Head;

/// What was noted of a log elsewhere, and must be true of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Anchors {
    /// First keys of chains of keys.
    pub keys: Vec<NoteKey>,
    /// Heads.
    pub noted: Vec<Noted>,
}

/// The log had so many records, and then this was so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    /// Records.
    pub size: u64,
    /// What stood there.
    pub hash: NotedHash,
    /// Which log, where that was noted.
    pub origin: Option<String>,
}

/// A hash that was noted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotedHash {
    /// The last record's hash, or the Merkle root.
    Whole(Digest),
    /// The first hexadecimal digits of the Merkle root.
    Short(String),
}

impl From<Head> for Noted {
    fn from(head: Head) -> Self {
        Self {
            size: head.sequence,
            hash: NotedHash::Whole(head.hash),
            origin: None,
        }
    }
}

impl From<Checkpoint> for Noted {
    fn from(checkpoint: Checkpoint) -> Self {
        Self {
            size: checkpoint.size,
            hash: NotedHash::Whole(checkpoint.root),
            origin: Some(checkpoint.origin),
        }
    }
}

/// What a log turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every record is proved to be as it was written.
    Intact,
    /// So are all up to the last proof; records follow.
    TailUnproved,
    /// It fits together, but nobody vouches for a key that it is sealed with, or it is sealed with none.
    KeyUnknown,
    /// A record is not what was written.
    Altered(Damage),
    /// It ends before a head that was noted.
    Truncated(Noted),
    /// It fits together, but is not the continuation of what was noted or sealed: an older state was put back.
    RolledBack(Damage),
}

impl Verdict {
    /// The word in JSON.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Intact => "intact",
            Self::TailUnproved => "tail-unproved",
            Self::KeyUnknown => "key-unknown",
            Self::Altered(_) => "altered",
            Self::Truncated(_) => "truncated",
            Self::RolledBack(_) => "rolled-back",
        }
    }

    /// Whether the log contradicts itself or what was noted of it.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Intact | Self::TailUnproved | Self::KeyUnknown => false,
            Self::Altered(_) | Self::Truncated(_) | Self::RolledBack(_) => true,
        }
    }
}

/// The first bad record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record {sequence}: {why}")]
pub struct Damage {
    /// Of the records from here on, one is bad; this one, unless `until` says otherwise.
    pub sequence: u64,
    /// Up to here.
    pub until: u64,
    /// Where the check stopped: line of its file, from 1.
    pub line: u64,
    /// And bytes before that line.
    pub offset: u64,
    /// What is wrong.
    pub why: Why,
}

/// What is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// It does not continue the chain.
    #[error(transparent)]
    Chain(#[from] Flaw),
    /// Its seal does not hold.
    #[error(transparent)]
    Seal(#[from] SealFlaw),
    /// It opens a file of the log, but not as the records before it would have it.
    #[error("it opens a file, but what it says of the files before it is not so")]
    Opening,
    /// It contradicts what was noted.
    #[error("the log of then had another record or root at {0}")]
    Noted(u64),
    /// What was noted is of another log.
    #[error("what was noted is of the log {noted}, this is {found}")]
    Origin {
        /// That log.
        noted: String,
        /// This one.
        found: String,
    },
}

/// Keys of one boot, each vouched for by the one before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyChain {
    /// Its first key, which nothing in the log vouches for.
    pub first: NoteKey,
    /// Record of its first seal.
    pub from: u64,
    /// Record of its last seal.
    pub to: u64,
    /// Epochs sealed.
    pub epochs: u64,
    /// The boot.
    pub boot_id: String,
    /// Whether the first key, or a head behind the first seal, was noted elsewhere.
    pub vouched: bool,
}

/// Records that nothing proves: whoever was root then could have rewritten them, or removed some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Behind this record.
    pub after: u64,
    /// How many records stand in it.
    pub records: u64,
    /// When it begins (RFC 3339); none at the beginning of the log.
    pub since: Option<String>,
    /// When it ends; none if it goes on until now.
    pub until: Option<String>,
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self.since.as_deref().unwrap_or("the beginning");
        let until = self.until.as_deref().unwrap_or("now");
        write!(f, "from {since} (record {}) until {until}: ", self.after)?;
        match self.records {
            0 => f.write_str("that no records were cut off there"),
            1 => f.write_str("one record, and that no others were cut off"),
            many => write!(f, "{many} records, and that no others were cut off"),
        }
    }
}

/// What does not change the verdict, but should be known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Remark {
    /// No seal for longer than a running daemon lets pass.
    #[error("no seal for {minutes} minutes before record {before}: the daemon was stopped, or seals are missing")]
    Silence {
        /// How long.
        minutes: u64,
        /// The next seal.
        before: u64,
    },
    /// A chain of keys began without a reboot.
    #[error("record {at} begins a new chain of keys within one boot: the daemon had lost its keys")]
    KeysLost {
        /// Its first seal.
        at: u64,
    },
    /// The wall clock was set back, or a record was dated back.
    #[error(
        "record {at} bears a date {} before that of the seal before it: the clock was set back, or the date is wrong",
        written(Duration::from_secs(seconds.unsigned_abs()))
    )]
    ClockBack {
        /// Which record.
        at: u64,
        /// How far, in seconds.
        seconds: i64,
    },
    /// The remains of an append that was never acknowledged.
    #[error("{bytes} bytes behind the last record are the remains of an append that was never acknowledged")]
    Torn {
        /// How many.
        bytes: u64,
    },
}

/// Everything that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// In a word.
    pub verdict: Verdict,
    /// The last good record.
    pub head: Option<Head>,
    /// The tree over all good records.
    pub tree: Frontier,
    /// What checkpoints call the log; none if it is empty.
    pub origin: Option<String>,
    /// Chains of keys, oldest first.
    pub chains: Vec<KeyChain>,
    /// The last seal.
    pub last_seal: Option<Seal>,
    /// The last record that a seal or a noted head proves.
    pub proved: u64,
    /// What nothing proves. The last one goes on until now and is always there.
    pub windows: Vec<Window>,
    /// What else is to be known.
    pub remarks: Vec<Remark>,
}

impl From<Break> for Damage {
    fn from(broken: Break) -> Self {
        Self {
            sequence: broken.sequence,
            until: broken.sequence,
            line: broken.line,
            offset: broken.offset,
            why: broken.flaw.into(),
        }
    }
}
