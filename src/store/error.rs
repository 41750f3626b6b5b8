//! What can go wrong with the state directory and its files.

use super::directory::Holder;
use std::io;
use std::path::PathBuf;

/// The state directory or a file in it cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A system call failed.
    #[error("failed to {attempted} {path:?}")]
    Io {
        /// What was tried.
        attempted: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Somebody else could have a hand in it.
    #[error("refused to use {path:?}: {defect}")]
    Refused {
        /// Which file or directory.
        path: PathBuf,
        /// What is wrong with it.
        defect: Defect,
    },
    /// Another daemon has it.
    #[error("the state directory {path:?} is in use by {}", holder.as_ref().map_or_else(|| "another process".to_owned(), ToString::to_string))]
    InUse {
        /// The state directory.
        path: PathBuf,
        /// Who holds the lock, where `/proc/locks` says it.
        holder: Option<Holder>,
    },
    /// More than this program would ever write.
    #[error("{path:?} is longer than {limit_bytes} bytes")]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// The limit.
        limit_bytes: u64,
    },
    /// Not what was written.
    #[error("{path:?} is damaged: {why}")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What does not fit.
        why: String,
    },
    /// Written by another version of this program.
    #[error("{path:?} is of version {found}, this program knows version {known}")]
    UnknownVersion {
        /// Which file.
        path: PathBuf,
        /// What it says.
        found: u32,
        /// What this program knows.
        known: u32,
    },
    /// The baseline is what a held emergency goes back to.
    #[error("refused to {attempted} the baseline {path:?} while an emergency is held")]
    BaselineHeld {
        /// `replace` or `remove`.
        attempted: &'static str,
        /// Which file.
        path: PathBuf,
    },
    /// A value has no JSON form.
    #[error("failed to encode {path:?}")]
    Encode {
        /// Which file it was for.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// Whether a cause of the error is that the disk, or the quota, has no room.
#[must_use]
pub fn is_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if matches!(kind, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)) {
            return true;
        }
        cause = error.source();
    }
    false
}

impl StoreError {
    /// Whether the disk, or the quota, had no room.
    #[must_use]
    pub fn is_full(&self) -> bool {
        is_full(self)
    }

    /// What an operator can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Io { path, .. } => format!("look at `stat {path:?}`, at free space and at the kernel log"),
            Self::Refused { path, defect } => match defect {
                Defect::Symlink => format!("name the place itself: `readlink -f {path:?}`"),
                Defect::NotADirectory => format!("move {path:?} away"),
                Defect::NoName => "name a directory, such as /var/lib/portcullis".to_owned(),
                Defect::Owner { expected, .. } => format!("find out who made it, then `chown {expected} {path:?}`"),
                Defect::Writable { .. } => {
                    format!("find out who wrote to it, then `chmod go-w {path:?}`")
                }
                Defect::ParentWritable { .. } => format!("`chmod o-w` or `chmod +t` the directory above {path:?}"),
                Defect::NotAFile => format!("find out who made it, then move {path:?} away"),
                Defect::Links { .. } => format!("find the other names with `find -samefile {path:?}`"),
            },
            Self::InUse { .. } => "stop that process first, or use another state directory".to_owned(),
            Self::TooLarge { path, .. } => format!("this program did not write it; move {path:?} away"),
            Self::Damaged { path, .. } => format!("keep a copy of {path:?}; its twin or the audit log may tell more"),
            Self::UnknownVersion { .. } => "start the version that wrote it, or revert with that version".to_owned(),
            Self::BaselineHeld { .. } => "revert the emergency first".to_owned(),
            Self::Encode { .. } => "this is a defect of portcullis: please report it".to_owned(),
        }
    }
}

/// What makes a file or directory unfit to be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Defect {
    /// It points elsewhere.
    #[error("it is a symbolic link")]
    Symlink,
    /// It is something else.
    #[error("it is not a directory")]
    NotADirectory,
    /// `/`, `..` or nothing.
    #[error("it does not end in a name")]
    NoName,
    /// Somebody else made it.
    #[error("it belongs to uid {found}, not to uid {expected}")]
    Owner {
        /// Whose it is.
        found: u32,
        /// Whose it must be.
        expected: u32,
    },
    /// Somebody else may change it.
    #[error("its mode {mode:04o} lets others write")]
    Writable {
        /// Permission bits.
        mode: u32,
    },
    /// Somebody else may put another in its place.
    #[error("the mode {mode:04o} of the directory above it lets anybody replace it")]
    ParentWritable {
        /// Permission bits of the parent.
        mode: u32,
    },
    /// A FIFO, a device, a socket, a directory.
    #[error("it is not a regular file")]
    NotAFile,
    /// It has names elsewhere.
    #[error("it has {found} hard links")]
    Links {
        /// How many names.
        found: u64,
    },
}
