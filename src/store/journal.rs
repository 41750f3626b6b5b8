//! The journal: what a restart needs to go on after a crash at any instant.
//!
//! `journal.json` holds the emergencies that are held; `baseline.json` and its copy hold the snapshot that the host goes
//! back to. The baseline is written before the first journal and removed after the last, so that a journal never stands
//! without one. In between it is replaced by what has grown by what later cuts take, and after a reboot by the new host.
//! Each file begins with a line that tells damage from absence:
//!
//! ```text
//! portcullis-journal 1 <bytes that follow> <their SHA-256>
//! ```

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::directory::StateDirectory;
use super::error::StoreError;
use crate::model::approval::Proposed;
use crate::model::emergency::{Emergency, State};
use crate::model::names::Digest;
use crate::model::record::Head;
use crate::model::review::Review;
use crate::model::snapshot::Snapshot;

/// The version that this program writes, and the only one that it reads.
pub const VERSION: u32 = 1;

const MAGIC: &str = "portcullis-journal";
const JOURNAL: &str = "journal.json";
const BASELINES: [&str; 2] = ["baseline.json", "baseline-copy.json"];
/// A journal that was set aside, and whether somebody must look at what it left.
const DAMAGED: &str = "journal.json.damaged";
const WORD: &str = "restored-offline.json";
/// Declarations that wait for other people. They hold nothing, so they are no part of the journal.
const PROPOSALS: &str = "proposals.json";
const REVIEWS: &str = "reviews.json";
/// Far more than the proposals, or the open reviews, that there may be at once.
const WAITING_MAX_BYTES: u64 = 1 << 20;
const UNSETTLED: &str = "journal.json.unsettled";
/// Emergencies are few; what is long in one is its withdrawn routes.
const JOURNAL_MAX_BYTES: u64 = 1 << 30;
/// Room for some two million routes.
const BASELINE_MAX_BYTES: u64 = 1 << 30;
/// How often a file is read before it counts as unreadable, and the pause between: a tenth of a second of a deadline.
const READ_TRIES: u32 = 6;
const READ_PAUSE: Duration = Duration::from_millis(20);
/// Longer than any header: the name, two numbers and a digest.
const HEADER_MAX_BYTES: usize = 128;

/// What `journal.json` holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalContents {
    /// [`VERSION`].
    pub version: u32,
    /// The boot in which this was saved: what the kernel held in another boot is gone.
    pub boot_id: String,
    /// Those that are held, the stuck ones included; and the ended ones that a held one may depend on.
    pub emergencies: Vec<Emergency>,
    /// The audit log's last record when this was saved: a log that does not hold it was cut off or put back.
    pub audit_head: Option<Head>,
}

impl JournalContents {
    /// Contents of this version.
    #[must_use]
    pub fn new(boot_id: &str, emergencies: Vec<Emergency>, audit_head: Option<Head>) -> Self {
        Self {
            version: VERSION,
            boot_id: boot_id.to_owned(),
            emergencies,
            audit_head,
        }
    }
}

/// What a restart finds.
#[derive(Debug)]
pub struct Recovered {
    /// What was held.
    pub contents: JournalContents,
    /// What the host goes back to; none if no copy is intact.
    pub baseline: Option<Snapshot>,
    /// What is wrong with which copy of the baseline.
    pub damage: Vec<StoreError>,
}

/// Reads what the last process left; none if it held nothing.
///
/// # Errors
/// If the journal cannot be read, is damaged or of another version. [`load_baseline`] may still give the baseline.
pub fn load(directory: &StateDirectory) -> Result<Option<Recovered>, StoreError> {
    let Some(contents) = load_contents(directory)? else {
        return Ok(None);
    };
    let (baseline, damage) = load_baseline(directory);
    Ok(Some(Recovered {
        contents,
        baseline,
        damage,
    }))
}

/// The journal without the baseline.
///
/// # Errors
/// As [`load`].
pub fn load_contents(directory: &StateDirectory) -> Result<Option<JournalContents>, StoreError> {
    let contents: Option<JournalContents> = read(directory, JOURNAL, JOURNAL_MAX_BYTES)?;
    match contents {
        Some(contents) if contents.version != VERSION => Err(StoreError::UnknownVersion {
            path: directory.path_of(JOURNAL),
            found: contents.version,
            known: VERSION,
        }),
        contents => Ok(contents),
    }
}

/// What the journal in the directory at `path` says now, read beside whoever has the directory.
///
/// # Errors
/// As [`load`], and if the directory cannot be opened.
pub fn glance(path: &Path) -> Result<Option<JournalContents>, StoreError> {
    let directory = StateDirectory::to_read(path)?;
    read(&directory, JOURNAL, JOURNAL_MAX_BYTES)
}

/// The baseline from the first intact copy, and what is wrong with the others.
#[must_use]
pub fn load_baseline(directory: &StateDirectory) -> (Option<Snapshot>, Vec<StoreError>) {
    let mut intact: Option<(Vec<u8>, Snapshot)> = None;
    let mut damage = Vec::new();
    for name in BASELINES {
        match patiently(|| directory.read(name, BASELINE_MAX_BYTES)) {
            // A large one takes long to decode, and the same bytes say the same.
            Ok(Some(bytes)) if intact.as_ref().is_some_and(|(first, _)| *first == bytes) => {}
            Ok(Some(bytes)) => match decode(directory, name, &bytes) {
                Ok(snapshot) => intact = intact.or(Some((bytes, snapshot))),
                Err(e) => damage.push(e),
            },
            Ok(None) => damage.push(damaged(directory, name, "it is missing")),
            Err(e) => damage.push(e),
        }
    }
    (intact.map(|(_, baseline)| baseline), damage)
}

/// Writes the journal, durably.
///
/// # Errors
/// If it could not be made durable; then the contents of before may stand.
pub fn save(directory: &StateDirectory, contents: &JournalContents) -> Result<(), StoreError> {
    directory.replace(JOURNAL, &encode(directory, JOURNAL, contents)?)
}

/// Writes both copies of the baseline, durably, before the first emergency is saved.
///
/// # Errors
/// If an emergency is held, or if a copy could not be made durable.
pub fn save_baseline(directory: &StateDirectory, baseline: &Snapshot) -> Result<(), StoreError> {
    if directory.holds(JOURNAL)? {
        return Err(StoreError::BaselineHeld {
            attempted: "replace",
            path: directory.path_of(BASELINES[0]),
        });
    }
    directory.replace_all(&BASELINES, &encode(directory, BASELINES[0], baseline)?)
}

/// Replaces the baseline while a journal stands: of a host that was rebooted, where what was held of the old one went
/// with the kernel that held it; or by one that has grown.
///
/// # Errors
/// If a copy could not be made durable.
pub fn renew_baseline(directory: &StateDirectory, baseline: &Snapshot) -> Result<(), StoreError> {
    directory.replace_all(&BASELINES, &encode(directory, BASELINES[0], baseline)?)
}

/// Whether anybody must still look at what a damaged journal left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aside {
    /// Everything is known to be back.
    Settled,
    /// Something is missing, or nobody can know: the file's new name says so until a person removes it.
    Unsettled,
}

/// Lets the journal go under another name, and the baseline with it: nothing is held any more, and that could not be
/// recorded. It needs no room on the disk.
///
/// # Errors
/// If a file could not be renamed or removed.
pub fn leave_word(directory: &StateDirectory) -> Result<(), StoreError> {
    if directory.holds(JOURNAL)? {
        directory.rename(JOURNAL, WORD)?;
        directory.sync()?;
    }
    directory.remove(&BASELINES)
}

/// What [`leave_word`] left; it is as old as the last save of that journal.
///
/// # Errors
/// As [`load`].
pub fn word_left(directory: &StateDirectory) -> Result<Option<JournalContents>, StoreError> {
    read(directory, WORD, JOURNAL_MAX_BYTES)
}

/// Removes it.
///
/// # Errors
/// If it could not be removed.
pub fn drop_word(directory: &StateDirectory) -> Result<(), StoreError> {
    directory.remove(&[WORD])
}

/// Removes a baseline that no journal needs.
///
/// # Errors
/// If there is a journal, or if a copy could not be removed.
pub fn drop_baseline(directory: &StateDirectory) -> Result<(), StoreError> {
    if directory.holds(JOURNAL)? {
        return Err(StoreError::BaselineHeld {
            attempted: "remove",
            path: directory.path_of(BASELINES[0]),
        });
    }
    directory.remove(&BASELINES)
}

/// Makes the proposals that wait durable; with none the file goes.
///
/// # Errors
/// If the file could not be replaced or removed.
pub fn save_proposals(directory: &StateDirectory, proposals: &[Proposed]) -> Result<(), StoreError> {
    save_list(directory, PROPOSALS, proposals)
}

fn save_list<T: Serialize>(directory: &StateDirectory, name: &str, waiting: &[T]) -> Result<(), StoreError> {
    if waiting.is_empty() {
        return directory.remove(&[name]);
    }
    directory.replace(name, &encode(directory, name, &waiting)?)
}

/// The proposals that waited.
///
/// # Errors
/// If the file cannot be read or is damaged.
pub fn load_proposals(directory: &StateDirectory) -> Result<Vec<Proposed>, StoreError> {
    Ok(read(directory, PROPOSALS, WAITING_MAX_BYTES)?.unwrap_or_default())
}

/// Makes the open reviews durable; with none the file goes.
///
/// # Errors
/// If the file could not be replaced or removed.
pub fn save_reviews(directory: &StateDirectory, reviews: &[Review]) -> Result<(), StoreError> {
    save_list(directory, REVIEWS, reviews)
}

/// The reviews that were open.
///
/// # Errors
/// If the file cannot be read or is damaged.
pub fn load_reviews(directory: &StateDirectory) -> Result<Vec<Review>, StoreError> {
    Ok(read(directory, REVIEWS, WAITING_MAX_BYTES)?.unwrap_or_default())
}

/// Where the journal is, for messages.
#[must_use]
pub fn path(directory: &StateDirectory) -> PathBuf {
    directory.path_of(JOURNAL)
}

/// Moves a damaged journal aside, and the baseline with it, for a person to look at, and gives their new names. The last
/// ones moved so go. Nothing is written, so a full disk is no obstacle.
///
/// # Errors
/// If one of them could not be moved.
pub fn set_aside(directory: &StateDirectory, aside: Aside) -> Result<Vec<String>, StoreError> {
    let journal = match aside {
        Aside::Settled => DAMAGED.to_owned(),
        Aside::Unsettled => UNSETTLED.to_owned(),
    };
    // The baseline need not be damaged: it is what the host had before, for whoever puts the rest back by hand.
    let kept = BASELINES.map(|name| (name, format!("{name}.kept")));
    let mut moved = Vec::new();
    for (name, new) in std::iter::once((JOURNAL, journal)).chain(kept) {
        if directory.holds(name)? {
            directory.rename(name, &new)?;
            moved.push(new);
        }
    }
    directory.sync()?;
    Ok(moved)
}

/// Whether there is a journal, intact or not.
///
/// # Errors
/// If the directory cannot be searched.
pub fn stands(directory: &StateDirectory) -> Result<bool, StoreError> {
    directory.holds(JOURNAL)
}

/// The same of the directory at `path`, looked at beside whoever has it; not so if there is none to be looked at.
#[must_use]
pub fn stands_at(path: &Path) -> bool {
    StateDirectory::to_read(path)
        .and_then(|directory| stands(&directory))
        .unwrap_or(false)
}

/// The journal that was set aside as [`Aside::Unsettled`], while it is there.
///
/// # Errors
/// If the directory cannot be searched.
pub fn unsettled(directory: &StateDirectory) -> Result<Option<PathBuf>, StoreError> {
    Ok(directory.holds(UNSETTLED)?.then(|| directory.path_of(UNSETTLED)))
}

/// Removes the journal and then the baseline, durably, when the last emergency has ended.
///
/// # Errors
/// If one of `contents` has not ended, or if a file could not be removed.
pub fn clear(directory: &StateDirectory, contents: &JournalContents) -> Result<(), StoreError> {
    if contents.emergencies.iter().any(|e| e.state != State::Ended) {
        return Err(StoreError::BaselineHeld {
            attempted: "remove",
            path: directory.path_of(BASELINES[0]),
        });
    }
    directory.remove(&[JOURNAL])?;
    directory.remove(&BASELINES)
}

pub(super) fn encode(directory: &StateDirectory, name: &str, value: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    let json = serde_json::to_vec(value).map_err(|source| StoreError::Encode {
        path: directory.path_of(name),
        source,
    })?;
    let mut framed = format!("{MAGIC} {VERSION} {} {}\n", json.len(), Digest::of(&json)).into_bytes();
    framed.extend_from_slice(&json);
    Ok(framed)
}

pub(super) fn read<T: for<'a> Deserialize<'a>>(
    directory: &StateDirectory,
    name: &str,
    limit_bytes: u64,
) -> Result<Option<T>, StoreError> {
    let Some(bytes) = patiently(|| directory.read(name, limit_bytes))? else {
        return Ok(None);
    };
    decode(directory, name, &bytes).map(Some)
}

fn decode<T: for<'a> Deserialize<'a>>(directory: &StateDirectory, name: &str, bytes: &[u8]) -> Result<T, StoreError> {
    let json = unframe(directory, name, bytes)?;
    serde_json::from_slice(json).map_err(|e| damaged(directory, name, &e.to_string()))
}

/// Reads again where the call itself failed: an error of the moment must not count as damage, after which what `routes` and
/// `link` took away does not come back.
fn patiently<T>(mut read: impl FnMut() -> Result<T, StoreError>) -> Result<T, StoreError> {
    for _ in 1..READ_TRIES {
        match read() {
            Err(StoreError::Io { .. }) => std::thread::sleep(READ_PAUSE),
            other => return other,
        }
    }
    read()
}

/// The JSON behind a header that fits it.
fn unframe<'a>(directory: &StateDirectory, name: &str, bytes: &'a [u8]) -> Result<&'a [u8], StoreError> {
    let broken = |why| damaged(directory, name, why);
    let end = bytes.iter().take(HEADER_MAX_BYTES).position(|&b| b == b'\n');
    let header = end.and_then(|end| std::str::from_utf8(&bytes[..end]).ok());
    let (Some(end), Some(header)) = (end, header) else {
        return Err(broken("it does not begin with a header"));
    };
    let json = &bytes[end + 1..];
    let mut words = header.split(' ');
    let version = (words.next() == Some(MAGIC))
        .then(|| words.next())
        .flatten()
        .and_then(|word| word.parse().ok());
    match version {
        Some(VERSION) => {}
        None => return Err(broken("its header is of another file")),
        Some(found) => {
            return Err(StoreError::UnknownVersion {
                path: directory.path_of(name),
                found,
                known: VERSION,
            });
        }
    }
    if header != format!("{MAGIC} {VERSION} {} {}", json.len(), Digest::of(json)) {
        return Err(broken("its contents are not those that its header names"));
    }
    Ok(json)
}

fn damaged(directory: &StateDirectory, name: &str, why: &str) -> StoreError {
    StoreError::Damaged {
        path: directory.path_of(name),
        why: why.to_owned(),
    }
}

#[cfg(test)]
mod tests;
