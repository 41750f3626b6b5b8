//! Files that the daemon obeys: nobody but root and its own user may have written them.
//!
//! What was opened is checked, not a path, so nothing can be exchanged between the look and the reading. A symbolic link
//! is followed: it stands in a directory that only they can write, and what it leads to is checked.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;

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
    let about = file.metadata()?;
    let own = nix::unistd::geteuid().as_raw();
    let refused = |why| Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    if about.uid() != 0 && about.uid() != own {
        return refused(Untrusted::Owner { uid: about.uid() });
    }
    if about.mode() & WRITE_BY_OTHERS != 0 {
        return refused(Untrusted::Mode {
            mode: about.mode() & 0o7777,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// Somebody else's, and ours where the tests run as root.
    const DAEMON: u32 = 1;

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
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.toml");
        std::fs::write(&path, "").unwrap();
        // Only root gives files away; for all others a file of somebody else is looked at as it is.
        let expected = if nix::unistd::geteuid().is_root() {
            match std::os::unix::fs::chown(&path, Some(DAEMON), None) {
                Ok(()) => "uid 1;",
                Err(error) if error.raw_os_error() == Some(nix::libc::EINVAL) => "trusted",
                Err(error) => panic!("{error}"),
            }
        } else {
            "trusted"
        };
        assert!(why(open(&path)).contains(expected), "{}", why(open(&path)));
    }
}
