//! The claim on a network namespace: of all processes that would cut and restore in it, one at a time.
//!
//! Two daemons with different state directories would each take the other's cut for leftovers of its own. The lock of the
//! state directory cannot see that, so there is a second one on the namespace itself: `flock(2)` on `/proc/self/ns/net`,
//! whose inode is the namespace's own (`namespaces(7)`). It leaves no file behind, ends with the process in whatever way
//! that ends, and `/proc/locks` names its holder.
//!
//! The order is always the same: first the state directory, then the namespace; so a daemon that relieves a guardian gets
//! the second from it too, and nobody waits for the other. Nothing in the kernel is read or changed before both are had.
//!
//! Anybody may open that file and so lock it. A lock of another user's process is therefore no daemon's, and is no reason
//! not to end a cut: it is named in the log and passed over.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use tracing::warn;

use crate::model::record::printable;
use crate::store::directory::Holder;

/// The namespace of the calling thread.
const NAMESPACE: &str = "/proc/thread-self/ns/net";
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// How long a process that is there may go on holding it: one that has just given its state directory up needs less.
const PASSING: Duration = Duration::from_secs(1);
/// How long nobody that `/proc/locks` can name may hold it: a process that is dying.
const DYING: Duration = Duration::from_secs(6);

/// The claim on the network namespace of the thread that made it. Given back when it is dropped, also by a crash.
#[derive(Debug)]
pub struct Claim {
    /// None where another user's process has the lock, which no daemon of ours can be.
    _lock: Option<Flock<File>>,
}

/// The network namespace cannot be claimed.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Another process cuts and restores in it.
    #[error("this network namespace is held by {}", spoken(holder.as_ref(), command_line.as_deref()))]
    Held {
        /// Who, where `/proc/locks` says it.
        holder: Option<Holder>,
        /// Its command line, which names its state directory.
        command_line: Option<String>,
    },
    /// The namespace's file cannot be opened or locked.
    #[error("failed to claim the network namespace by {NAMESPACE}")]
    System(#[source] io::Error),
}

impl ClaimError {
    /// What an operator can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Held { .. } => {
                "one daemon a network namespace: end its emergencies and stop it first, or start this one with \
                 its state directory; `grep FLOCK /proc/locks` lists the holders of locks"
                    .to_owned()
            }
            Self::System(_) => "mount /proc".to_owned(),
        }
    }
}

fn spoken(holder: Option<&Holder>, command_line: Option<&str>) -> String {
    match (holder, command_line) {
        (Some(holder), Some(line)) => format!("{holder}, started as `{}`", printable(line)),
        (Some(holder), None) => holder.to_string(),
        (None, _) => "another process".to_owned(),
    }
}

/// Claims the network namespace of the calling thread, waiting a little for whoever is about to leave it.
///
/// # Errors
/// If somebody else of this user holds it and stays, or if `/proc` cannot be used.
pub fn claim() -> Result<Claim, ClaimError> {
    claim_by(Path::new(NAMESPACE))
}

fn claim_by(path: &Path) -> Result<Claim, ClaimError> {
    let begun = Instant::now();
    loop {
        let file = File::open(path).map_err(ClaimError::System)?;
        let file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(Claim { _lock: Some(lock) }),
            Err((file, Errno::EWOULDBLOCK)) => file,
            Err((_, errno)) => return Err(ClaimError::System(errno.into())),
        };
        let holder = Holder::of(&file);
        if let Some(stranger) = holder.as_ref().filter(|h| is_of_another_user(h.pid)) {
            warn!(%stranger, "another user's process has locked this network namespace: going on without the lock");
            return Ok(Claim { _lock: None });
        }
        let patience = if holder.is_some() { PASSING } else { DYING };
        if begun.elapsed() > patience {
            let command_line = holder.as_ref().and_then(|h| command_line(h.pid));
            return Err(ClaimError::Held { holder, command_line });
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn is_of_another_user(pid: i32) -> bool {
    let owner = std::fs::metadata(process(pid)).map(|m| m.uid());
    owner.is_ok_and(|uid| uid != nix::unistd::geteuid().as_raw())
}

fn command_line(pid: i32) -> Option<String> {
    let words = std::fs::read(process(pid).join("cmdline")).ok()?;
    let words: Vec<_> = words.split(|b| *b == 0).filter(|w| !w.is_empty()).collect();
    (!words.is_empty()).then(|| {
        words
            .iter()
            .map(|w| String::from_utf8_lossy(w))
            .collect::<Vec<_>>()
            .join(" ")
    })
}

fn process(pid: i32) -> PathBuf {
    Path::new("/proc").join(pid.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_refused_soon_and_its_holder_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let first = claim_by(file.path()).unwrap();
        let begun = Instant::now();
        let refused = claim_by(file.path()).unwrap_err();
        assert!(begun.elapsed() < DYING / 2, "{:?}", begun.elapsed());
        let said = refused.to_string();
        assert!(said.contains(&format!("process {}", std::process::id())), "{said}");
        assert!(said.contains("started as"), "{said}");
        assert!(!refused.hint().is_empty());
        drop(first);
        assert!(claim_by(file.path()).is_ok());
    }

    #[test]
    fn whoever_is_about_to_leave_is_waited_for() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let leaving = claim_by(file.path()).unwrap();
        let leaves = std::thread::spawn(move || {
            std::thread::sleep(PASSING / 5);
            drop(leaving);
        });
        assert!(claim_by(file.path()).is_ok());
        leaves.join().unwrap();
    }
}
