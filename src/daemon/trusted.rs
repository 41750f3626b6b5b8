//! Files that the daemon obeys: nobody but root and its own user may have written them.
//!
//! What was opened is checked, not a path, so nothing can be exchanged between the look and the reading. A symbolic link
//! is followed: it stands in a directory that only they can write, and what it leads to is checked.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;

use super::rights::is_over_all;

/// S_IWGRP and S_IWOTH.
const WRITE_BY_OTHERS: u32 = 0o022;

/// Why a file or a directory is not obeyed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    /// Somebody else's.
    #[error("it belongs to uid {uid}; whoever that is could change it: `chown root` it")]
    Owner {
        /// Whose.
        uid: u32,
    },
    /// Others may write it.
    #[error("others than its owner may write it (mode {mode:04o}): `chmod go-w` it")]
    Mode {
        /// As it is.
        mode: u32,
    },
}

/// Opens an ordinary file without waiting, and checks it. A FIFO would hold a start up until somebody writes into it.
///
/// # Errors
/// If it cannot be opened, is no ordinary file, or is not to be trusted.
pub fn open(path: &Path) -> io::Result<File> {
    let file = opened(path, OFlag::O_NONBLOCK | OFlag::O_NOCTTY)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    check(&file).map(|()| file)
}

/// Opens a directory and checks it.
///
/// # Errors
/// If it cannot be opened, is no directory, or is not to be trusted.
pub fn open_directory(path: &Path) -> io::Result<File> {
    let directory = opened(path, OFlag::O_DIRECTORY)?;
    check(&directory).map(|()| directory)
}

fn opened(path: &Path, flags: OFlag) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(flags.bits()).open(path)
}

fn check(file: &File) -> io::Result<()> {
    let refused = |why| io::Error::new(io::ErrorKind::PermissionDenied, why);
    distrust(&file.metadata()?).map_or(Ok(()), |why| Err(refused(why)))
}

/// Why somebody else than root, or the user whom the daemon runs as, could have made a file or directory what it is.
#[must_use]
pub fn distrust(seen: &Metadata) -> Option<Untrusted> {
    judged(seen.uid(), seen.mode())
}

fn judged(uid: u32, mode: u32) -> Option<Untrusted> {
    if !is_over_all(uid) {
        return Some(Untrusted::Owner { uid });
    }
    let mode = mode & 0o7777;
    (mode & WRITE_BY_OTHERS != 0).then_some(Untrusted::Mode { mode })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn why(result: io::Result<File>) -> String {
        match result {
            Ok(_) => "trusted".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_others_may_write_is_not_obeyed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.toml");
        std::fs::write(&path, "").unwrap();
        for (mode, trusted) in [
            (0o644, true),
            (0o600, true),
            (0o664, false),
            (0o646, false),
            (0o666, false),
        ] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let seen = why(open(&path));
            assert_eq!(seen == "trusted", trusted, "{mode:o}: {seen}");
            assert!(trusted || seen.contains("chmod go-w"), "{seen}");
        }
        for (mode, trusted) in [(0o755, true), (0o700, true), (0o775, false), (0o1777, false)] {
            std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            let seen = why(open_directory(folder.path()));
            assert_eq!(seen == "trusted", trusted, "{mode:o}: {seen}");
        }
    }

    #[test]
    fn what_is_neither_roots_nor_ones_own_is_not_obeyed() {
        let own = nix::unistd::geteuid().as_raw();
        for (uid, mode, wanted) in [
            (0, 0o100_644, None),
            (own, 0o100_600, None),
            (own + 1, 0o100_600, Some(Untrusted::Owner { uid: own + 1 })),
            (own, 0o100_620, Some(Untrusted::Mode { mode: 0o620 })),
        ] {
            assert_eq!(judged(uid, mode), wanted, "{uid} {mode:o}");
        }
    }
}
