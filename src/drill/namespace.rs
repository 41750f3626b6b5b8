//! Scratch namespaces: a way in for a process with one thread, which never comes back, and further ones to build peers in.
//!
//! A network namespace belongs to a thread, and a socket to the namespace that it was made in. So a [`Namespace`] is a
//! file descriptor, and [`Namespace::run`] runs a closure on a thread of its own that has joined it; a socket or a
//! child process made there stays there. No fork, because a program with threads must not fork.
//!
//! **Invariant:** whoever holds a [`NotInitial`] runs on a thread whose network namespace is neither that of process 1, as
//! far as it may be read, nor that which the process came from. In a container process 1 is the container's.

use std::fmt;
use std::fs::File;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::thread;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::{Gid, Uid};

/// Which network namespace it is: device and inode of its file (namespaces(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamespaceId {
    device: u64,
    inode: u64,
}

/// The calling thread's own network namespace.
const OWN: &str = "/proc/thread-self/ns/net";
/// The network namespace of process 1; reading it needs the right to trace that process.
const OF_INIT: &str = "/proc/1/ns/net";

impl NamespaceId {
    /// The namespace of the calling thread.
    ///
    /// # Errors
    /// If `/proc` is not mounted.
    pub fn current() -> Result<Self, NamespaceError> {
        let file = File::open(OWN).map_err(|source| NamespaceError::Unreadable {
            path: PathBuf::from(OWN),
            source,
        })?;
        Self::of_file(&file, Path::new(OWN))
    }

    fn of_file(file: &File, path: &Path) -> Result<Self, NamespaceError> {
        let data = file.metadata().map_err(|source| NamespaceError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            device: data.dev(),
            inode: data.ino(),
        })
    }

    /// The namespace of process 1, where it may be read.
    fn of_init() -> Option<Self> {
        std::fs::metadata(OF_INIT).ok().map(|data| Self {
            device: data.dev(),
            inode: data.ino(),
        })
    }
}

impl fmt::Display for NamespaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.device, self.inode)
    }
}

impl FromStr for NamespaceId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (device, inode) = text.split_once(':').unwrap_or((text, ""));
        Ok(Self {
            device: device.parse()?,
            inode: inode.parse()?,
        })
    }
}

/// Proof that the thread which holds it is not in the initial network namespace. It cannot leave the thread.
#[derive(Clone, Copy, Debug)]
pub struct NotInitial {
    outside: Option<NamespaceId>,
    stays_on_its_thread: PhantomData<*const ()>,
}

/// Compares the calling thread's network namespace with that of process 1, where readable, and with `outside`: the
/// one that was recorded before a scratch namespace was entered.
///
/// # Errors
/// If it is one of the two, or if neither is known, because then nothing is proved.
pub fn refuse_initial(outside: Option<NamespaceId>) -> Result<NotInitial, NamespaceError> {
    judge(NamespaceId::current()?, NamespaceId::of_init(), outside)
}

fn judge(
    own: NamespaceId,
    of_init: Option<NamespaceId>,
    outside: Option<NamespaceId>,
) -> Result<NotInitial, NamespaceError> {
    if of_init.is_none() && outside.is_none() {
        return Err(NamespaceError::NoWitness);
    }
    if of_init == Some(own) || outside == Some(own) {
        return Err(NamespaceError::Initial { own });
    }
    Ok(NotInitial {
        outside,
        stays_on_its_thread: PhantomData,
    })
}

/// A scratch world: this process in a network and a mount namespace of its own.
#[derive(Debug)]
pub struct Scratch {
    proof: NotInitial,
}

impl Scratch {
    /// Leaves the network and the mounts of the host behind, for ever. Without the right to, through a new user
    /// namespace in which the caller is root (user_namespaces(7)).
    ///
    /// The process must have one thread only: others would stay outside.
    ///
    /// # Errors
    /// If there are several threads or the kernel refuses; [`NamespaceError::hint`] says which sysctl forbids it.
    pub fn enter() -> Result<Self, NamespaceError> {
        let outside = NamespaceId::current()?;
        refuse_threads()?;
        let new = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS;
        match unshare(new) {
            Err(Errno::EPERM) => {
                become_root_of_new_user_namespace()?;
                unshare(new).map_err(|errno| NamespaceError::Refused {
                    what: "a network and a mount namespace",
                    errno,
                })?;
            }
            other => other.map_err(|errno| NamespaceError::Refused {
                what: "a network and a mount namespace",
                errno,
            })?,
        }
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>)
            .map_err(|errno| NamespaceError::Propagation { errno })?;
        Ok(Self {
            proof: refuse_initial(Some(outside))?,
        })
    }

    /// The proof for the calling thread.
    #[must_use]
    pub fn proof(&self) -> NotInitial {
        self.proof
    }
}

fn refuse_threads() -> Result<(), NamespaceError> {
    let tasks = "/proc/self/task";
    let count = std::fs::read_dir(tasks)
        .map_err(|source| NamespaceError::Unreadable {
            path: PathBuf::from(tasks),
            source,
        })?
        .count();
    if count != 1 {
        return Err(NamespaceError::SeveralThreads { count });
    }
    Ok(())
}

fn become_root_of_new_user_namespace() -> Result<(), NamespaceError> {
    let (uid, gid) = (Uid::effective(), Gid::effective());
    unshare(CloneFlags::CLONE_NEWUSER).map_err(|errno| NamespaceError::Refused {
        what: "a user namespace",
        errno,
    })?;
    // setgroups must be denied before an unprivileged process may write its gid map (user_namespaces(7)).
    for (file, text) in [
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/uid_map", format!("0 {uid} 1")),
        ("/proc/self/gid_map", format!("0 {gid} 1")),
    ] {
        std::fs::write(file, text).map_err(|source| NamespaceError::Map { file, source })?;
    }
    Ok(())
}

/// A network namespace beside that of the process. It lives as long as this value or a thread, socket or mount in it.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    file: File,
    outside: Option<NamespaceId>,
}

impl Namespace {
    /// Makes a new, empty network namespace.
    ///
    /// # Errors
    /// If the kernel refuses.
    ///
    /// # Panics
    /// Never: the thread that makes it does not panic.
    pub fn new(name: &str, proof: NotInitial) -> Result<Self, NamespaceError> {
        let made = thread::scope(|scope| {
            scope
                .spawn(|| {
                    unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| NamespaceError::Refused {
                        what: "a network namespace",
                        errno,
                    })?;
                    File::open(OWN).map_err(|source| NamespaceError::Unreadable {
                        path: PathBuf::from(OWN),
                        source,
                    })
                })
                .join()
        });
        let file = made.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok(Self {
            name: name.to_owned(),
            file,
            outside: proof.outside,
        })
    }

    /// Opens a network namespace that has a name, such as `/run/netns/NAME` of ip-netns(8).
    ///
    /// # Errors
    /// If it cannot be opened, or is the initial one.
    pub fn open(name: &str, path: &Path, proof: NotInitial) -> Result<Self, NamespaceError> {
        let file = File::open(path).map_err(|source| NamespaceError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        judge(
            NamespaceId::of_file(&file, path)?,
            NamespaceId::of_init(),
            proof.outside,
        )?;
        Ok(Self {
            name: name.to_owned(),
            file,
            outside: proof.outside,
        })
    }

    /// The name it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// For moving links into it (IFLA_NET_NS_FD) and for `setns`.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Moves the calling thread into this namespace and proves it.
    ///
    /// # Errors
    /// If the kernel refuses, or the thread is then in the initial namespace.
    pub fn join(&self) -> Result<NotInitial, NamespaceError> {
        setns(&self.file, CloneFlags::CLONE_NEWNET).map_err(|errno| NamespaceError::Join {
            name: self.name.clone(),
            errno,
        })?;
        refuse_initial(self.outside)
    }

    /// Runs `work` in this namespace, on a thread of its own, and waits for it. A panic in it goes on in the caller.
    ///
    /// # Errors
    /// As [`Namespace::join`].
    pub fn run<T: Send>(&self, work: impl FnOnce(NotInitial) -> T + Send) -> Result<T, NamespaceError> {
        let ended = thread::scope(|scope| scope.spawn(|| self.join().map(work)).join());
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Another handle on the same namespace.
    ///
    /// # Errors
    /// If file descriptors have run out.
    pub fn try_clone(&self) -> Result<Self, NamespaceError> {
        let file = self.file.try_clone().map_err(|source| NamespaceError::Unreadable {
            path: PathBuf::from(&self.name),
            source,
        })?;
        Ok(Self {
            name: self.name.clone(),
            file,
            outside: self.outside,
        })
    }
}

/// Why there is no scratch namespace.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// The calling thread is where it must not change anything.
    #[error("refused to work in the initial network namespace {own}")]
    Initial {
        /// The thread's own.
        own: NamespaceId,
    },
    /// Nothing to compare with.
    #[error(
        "cannot tell whether this is the initial network namespace: {OF_INIT} is not readable and none was recorded"
    )]
    NoWitness,
    /// Only a process with one thread can be moved as a whole.
    #[error("cannot enter a scratch namespace with {count} threads: the others would stay outside")]
    SeveralThreads {
        /// How many there are.
        count: usize,
    },
    /// unshare(2) failed.
    #[error("failed to make {what}: {}", errno.desc())]
    Refused {
        /// Which namespaces.
        what: &'static str,
        /// The kernel's answer.
        errno: Errno,
    },
    /// An id map was not accepted.
    #[error("failed to write {file}")]
    Map {
        /// Which file.
        file: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Mounts would have been seen outside.
    #[error("failed to make all mounts private: {}", errno.desc())]
    Propagation {
        /// The kernel's answer.
        errno: Errno,
    },
    /// setns(2) failed.
    #[error("failed to join network namespace {name}: {}", errno.desc())]
    Join {
        /// Its name.
        name: String,
        /// The kernel's answer.
        errno: Errno,
    },
    /// A namespace's file could not be opened.
    #[error("failed to open {}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl NamespaceError {
    /// What the operator can do about it: names the sysctl that forbids namespaces, where one does.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Refused { .. } | Self::Map { .. } => {
                what_forbids(|name| std::fs::read_to_string(format!("/proc/sys/{}", name.replace('.', "/"))).ok())
            }
            Self::NoWitness => {
                Some("run it as root, or through `portcullis drill`, which records where it came from".to_owned())
            }
            Self::Initial { .. }
            | Self::SeveralThreads { .. }
            | Self::Propagation { .. }
            | Self::Join { .. }
            | Self::Unreadable { .. } => None,
        }
    }
}

/// The sysctls that forbid namespaces, the value that forbids, and what would allow.
const FORBIDDERS: [(&str, &str, &str); 4] = [
    ("kernel.unprivileged_userns_clone", "0", "1"),
    ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
    ("user.max_user_namespaces", "0", "1024"),
    ("user.max_net_namespaces", "0", "1024"),
];

fn what_forbids(read: impl Fn(&str) -> Option<String>) -> Option<String> {
    let (name, forbids, allows) = FORBIDDERS
        .into_iter()
        .find(|(name, forbids, _)| read(name).is_some_and(|value| value.trim() == *forbids))?;
    Some(format!(
        "{name} is {forbids}, which forbids it: run as root, or `sysctl -w {name}={allows}`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(inode: u64) -> NamespaceId {
        NamespaceId { device: 4, inode }
    }

    #[test]
    fn the_initial_namespace_is_refused_by_either_witness_and_without_any() {
        let (own, other) = (id(1), id(2));
        let table = [
            (Some(own), Some(other), false),
            (Some(own), None, false),
            (Some(other), Some(own), false),
            (None, Some(own), false),
            (None, None, false),
            (Some(other), Some(other), true),
            (Some(other), None, true),
            (None, Some(other), true),
        ];
        for (of_init, outside, accepted) in table {
            assert_eq!(
                judge(own, of_init, outside).is_ok(),
                accepted,
                "{of_init:?} {outside:?}"
            );
        }
    }

    #[test]
    fn an_id_survives_being_written_down() {
        let own = NamespaceId::current().unwrap();
        assert_eq!(own.to_string().parse(), Ok(own));
        assert!("4".parse::<NamespaceId>().is_err());
        assert!("x:1".parse::<NamespaceId>().is_err());
    }

    #[test]
    fn the_hint_names_the_sysctl_that_forbids() {
        for (name, forbids, allows) in FORBIDDERS {
            let hint = what_forbids(|asked| (asked == name).then(|| format!("{forbids}\n"))).unwrap();
            assert!(hint.contains(&format!("sysctl -w {name}={allows}")), "{hint}");
        }
        assert_eq!(what_forbids(|_| None), None);
        assert_eq!(
            what_forbids(|name| Some(if name.starts_with("user.") { "96365" } else { "" }.into())),
            None
        );
    }

    #[test]
    fn a_process_with_threads_is_not_taken_inside() {
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let other = thread::spawn(move || wait.recv());
        let refused = Scratch::enter();
        drop(release);
        assert!(matches!(refused, Err(NamespaceError::SeveralThreads { count }) if count > 1));
        assert!(other.join().unwrap().is_err());
    }
}
