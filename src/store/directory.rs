//! The state directory: one owner, one process at a time, and nothing in it that somebody else could have planted.
//!
//! Files are opened relative to the directory's descriptor, never through a path, and checked after opening. It follows
//! no symbolic link and blocks on no FIFO.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, Flock, FlockArg, OFlag, open, openat};
use nix::sys::stat::{Mode, fstatat, mkdirat};

use super::disk::{Disk, RealDisk};
use super::error::{Defect, StoreError};

const LOCK: &str = "lock";
/// S_IWGRP and S_IWOTH.
const WRITE_BY_OTHERS: u32 = 0o022;
/// S_IWOTH.
const WRITE_BY_ALL: u32 = 0o002;
/// S_ISVTX: in a sticky directory only its owner replaces an entry.
const STICKY: u32 = 0o1000;
const PERMISSIONS: u32 = 0o7777;
/// S_IFMT and S_IFLNK.
const KIND: u32 = 0o170_000;
const KIND_SYMLINK: u32 = 0o120_000;
/// `/proc/locks` has a line of about 60 bytes for each lock on the host.
const PROC_LOCKS_MAX_BYTES: u64 = 1 << 20;

/// An open and locked state directory. The lock is given back when it is dropped, also by a crash.
#[derive(Debug)]
pub struct StateDirectory {
    path: PathBuf,
    directory: OwnedFd,
    owner: u32,
    disk: Arc<dyn Disk>,
    /// None only for [`Self::to_read`], which hands nobody a way to write.
    _lock: Option<Flock<OwnedFd>>,
}

/// A lock beside that of the state directory, under a name of its own. Given back when it is dropped, also by a crash.
#[derive(Debug)]
pub struct NamedLock {
    _lock: Flock<OwnedFd>,
}

/// The process that has a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its process id, at the moment of looking.
    pub pid: i32,
    /// What `/proc/PID/comm` says.
    pub command: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "process {} ({})",
            self.pid,
            crate::model::record::printable(&self.command)
        )
    }
}

impl Holder {
    /// Who holds the `flock(2)` on this file, from `/proc/locks` (`proc_locks(5)`), so that nothing need be written to say
    /// it. None if nobody does, or nobody in this process id namespace.
    #[must_use]
    pub fn of(file: &File) -> Option<Self> {
        let inode = format!(":{}", file.metadata().ok()?.ino());
        let mut table = String::new();
        let locks = File::open("/proc/locks").ok()?;
        locks.take(PROC_LOCKS_MAX_BYTES).read_to_string(&mut table).ok()?;
        let own = file.metadata().ok()?;
        // The device is written there as the file system knows it, which need not be what stat(2) says (btrfs), so a
        // number alone may be another file's: the holder is one who has this very file open.
        let pid = table.lines().find_map(|line| {
            let fields: Vec<_> = line.split_ascii_whitespace().collect();
            let pid = match fields[..] {
                [_, "FLOCK", _, _, pid, place, ..] if place.ends_with(&inode) => pid.parse::<i32>().ok(),
                _ => None,
            };
            pid.filter(|pid| has_open(*pid, (own.dev(), own.ino())))
        })?;
        let command = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
        let command = OsStr::from_bytes(command.trim_ascii()).to_string_lossy().into_owned();
        Some(Self { pid, command })
    }
}

/// Whether a process has this file open, by its descriptors in `/proc` (proc_pid_fd(5)).
fn has_open(pid: i32, file: (u64, u64)) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    let same = |entry: fs::DirEntry| fs::metadata(entry.path()).is_ok_and(|m| (m.dev(), m.ino()) == file);
    descriptors.flatten().any(same)
}

impl StateDirectory {
    /// Opens the directory, creates it with mode 0700 if it is absent (its parent must exist), and locks it.
    ///
    /// # Errors
    /// If it is a symbolic link, somebody else's, or open to writing by others; if its parent lets anybody replace it;
    /// if another process has it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_on(path, Arc::new(RealDisk))
    }

    /// The same on a disk that tests make fail. Opening and locking themselves do not go through it.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_on(path: impl AsRef<Path>, disk: Arc<dyn Disk>) -> Result<Self, StoreError> {
        let mut opened = Self::unlocked(path.as_ref(), disk, Absent::Create)?;
        opened._lock = Some(lock(opened.directory.as_fd(), &opened.path, LOCK, opened.owner)?);
        Ok(opened)
    }

    /// Takes the lock of this name in the directory, beside whoever has the directory itself; none if it is taken.
    ///
    /// # Errors
    /// As [`Self::open`], but for being in use.
    pub fn lock_named(path: &Path, name: &str) -> Result<Option<NamedLock>, StoreError> {
        let opened = Self::to_read(path)?;
        match lock(opened.directory.as_fd(), path, name, opened.owner) {
            Ok(lock) => Ok(Some(NamedLock { _lock: lock })),
            Err(StoreError::InUse { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens it without the lock, for looking at what whoever has it wrote: every file in it is replaced whole.
    pub(super) fn to_read(path: &Path) -> Result<Self, StoreError> {
        Self::unlocked(path, Arc::new(RealDisk), Absent::Refuse)
    }

    fn unlocked(path: &Path, disk: Arc<dyn Disk>, absent: Absent) -> Result<Self, StoreError> {
        let (parent_path, name) = split(path)?;
        let owner = nix::unistd::geteuid().as_raw();
        let parent = open(parent_path, directory_flags(), Mode::empty()).map_err(io_error("open", parent_path))?;
        check_parent(
            File::from(parent.try_clone().map_err(raw_error("open", parent_path))?),
            path,
        )?;
        let directory = open_or_create(parent.as_fd(), name, path, absent)?;
        let directory = check_directory(directory, path, owner)?;
        Ok(Self {
            path: path.to_owned(),
            directory,
            owner,
            disk,
            _lock: None,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where a file of it is, for messages.
    #[must_use]
    pub fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Puts `bytes` in the place of the file, durably: afterwards it holds the old contents or the new, whole.
    ///
    /// # Errors
    /// If a step failed. Before the last one the old contents stand; after it the new ones stand, but may not outlast
    /// a power cut.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.replace_all(&[name], bytes)
    }

    /// Puts the same bytes in the place of several files, with one sync of the directory for all of them.
    ///
    /// # Errors
    /// As [`Self::replace`], for each file by itself.
    pub fn replace_all(&self, names: &[&str], bytes: &[u8]) -> Result<(), StoreError> {
        names.iter().try_for_each(|name| self.check_name(name))?;
        for name in names {
            self.write_new(&temporary(name), bytes)?;
        }
        for name in names {
            let renamed = self.disk.rename(self.directory.as_fd(), &temporary(name), name);
            renamed.map_err(raw_error("replace", &self.path_of(name)))?;
        }
        self.sync()
    }

    /// The file's contents; none if there is no such file.
    ///
    /// # Errors
    /// If it is not an ordinary file of ours, is longer than the limit, or cannot be read.
    pub fn read(&self, name: &str, limit_bytes: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(file) = self.open_file(name, OFlag::O_RDONLY)? else {
            return Ok(None);
        };
        let path = self.path_of(name);
        let mut bytes = Vec::new();
        let read = file.take(limit_bytes.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(raw_error("read", &path))?;
        if bytes.len() as u64 > limit_bytes {
            return Err(StoreError::TooLarge { path, limit_bytes });
        }
        Ok(Some(bytes))
    }

    /// Removes these files, durably and in this order. One that is not there counts as removed.
    ///
    /// # Errors
    /// If a step failed.
    pub fn remove(&self, names: &[&str]) -> Result<(), StoreError> {
        names.iter().try_for_each(|name| self.unlink(name))?;
        self.sync()
    }

    /// Whether there is anything of this name.
    ///
    /// # Errors
    /// If the directory cannot be searched.
    pub fn holds(&self, name: &str) -> Result<bool, StoreError> {
        self.check_name(name)?;
        match fstatat(self.directory.as_fd(), name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::ENOENT) => Ok(false),
            Err(errno) => Err(io_error("look for", &self.path_of(name))(errno)),
        }
    }

    /// Opens an ordinary file of ours; none if there is no such file.
    pub(super) fn open_file(&self, name: &str, access: OFlag) -> Result<Option<File>, StoreError> {
        self.check_name(name)?;
        match open_checked(self.directory.as_fd(), name, access, &self.path_of(name), self.owner) {
            Ok(fd) => Ok(Some(File::from(fd))),
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Creates a file that must not be there yet; its name is durable after [`Self::sync`].
    pub(super) fn create(&self, name: &str) -> Result<File, StoreError> {
        let created = self.disk.create(self.directory.as_fd(), name);
        created.map_err(raw_error("create", &self.path_of(name)))
    }

    /// Gives a file another name, in the place of whatever had it; durable after [`Self::sync`].
    pub(super) fn rename(&self, from: &str, to: &str) -> Result<(), StoreError> {
        self.check_name(from)?;
        self.check_name(to)?;
        let renamed = self.disk.rename(self.directory.as_fd(), from, to);
        renamed.map_err(raw_error("rename", &self.path_of(from)))
    }

    /// Makes the names in the directory durable.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        let synced = self.disk.sync_directory(self.directory.as_fd());
        synced.map_err(raw_error("make durable", &self.path))
    }

    /// Writes and syncs all of a new file; its name is durable after [`Self::sync`].
    pub(super) fn write_new(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.unlink(name)?;
        let file = self.create(name)?;
        let path = self.path_of(name);
        let mut written = 0;
        while written < bytes.len() {
            let taken = self.disk.write_at(&file, written as u64, &bytes[written..]);
            match taken.map_err(raw_error("write", &path))? {
                0 => return Err(raw_error("write", &path)(io::ErrorKind::WriteZero.into())),
                more => written += more,
            }
        }
        self.disk.sync(&file).map_err(raw_error("make durable", &path))
    }

    /// The disk under it.
    pub(super) fn disk(&self) -> Arc<dyn Disk> {
        Arc::clone(&self.disk)
    }

    /// A name with a slash, or `..`, would leave the directory.
    fn check_name(&self, name: &str) -> Result<(), StoreError> {
        if Path::new(name).file_name() != Some(OsStr::new(name)) {
            return Err(refused(&self.path_of(name), Defect::NoName));
        }
        Ok(())
    }

    pub(super) fn unlink(&self, name: &str) -> Result<(), StoreError> {
        if !self.holds(name)? {
            return Ok(());
        }
        let removed = self.disk.unlink(self.directory.as_fd(), name);
        removed.map_err(raw_error("remove", &self.path_of(name)))
    }
}

/// What a crash leaves of a replacement; the next one of the same file removes it.
fn temporary(name: &str) -> String {
    format!(".{name}.new")
}

/// For errors of nix.
fn io_error(attempted: &'static str, path: &Path) -> impl FnOnce(Errno) -> StoreError {
    let path = path.to_owned();
    move |errno| StoreError::Io {
        attempted,
        path,
        source: errno.into(),
    }
}

/// For errors of std.
pub(super) fn raw_error(attempted: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io {
        attempted,
        path,
        source,
    }
}

fn refused(path: &Path, defect: Defect) -> StoreError {
    StoreError::Refused {
        path: path.to_owned(),
        defect,
    }
}

fn directory_flags() -> OFlag {
    OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC
}

fn split(path: &Path) -> Result<(&Path, &OsStr), StoreError> {
    let last = path.components().next_back();
    match (last, path.parent()) {
        (Some(Component::Normal(name)), Some(parent)) if parent.as_os_str().is_empty() => Ok((Path::new("."), name)),
        (Some(Component::Normal(name)), Some(parent)) => Ok((parent, name)),
        _ => Err(refused(path, Defect::NoName)),
    }
}

fn check_parent(parent: File, path: &Path) -> Result<(), StoreError> {
    let mode = parent.metadata().map_err(raw_error("look at", path))?.mode() & PERMISSIONS;
    if mode & WRITE_BY_ALL != 0 && mode & STICKY == 0 {
        return Err(refused(path, Defect::ParentWritable { mode }));
    }
    Ok(())
}

/// What to do where there is no directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Absent {
    Create,
    Refuse,
}

fn open_or_create(parent: BorrowedFd<'_>, name: &OsStr, path: &Path, absent: Absent) -> Result<File, StoreError> {
    let open_it = || openat(parent, name, directory_flags() | OFlag::O_NOFOLLOW, Mode::empty());
    let opened = match open_it() {
        Err(Errno::ENOENT) if absent == Absent::Create => {
            mkdirat(parent, name, Mode::S_IRWXU).map_err(io_error("create", path))?;
            nix::unistd::fsync(parent).map_err(io_error("make durable", path))?;
            open_it()
        }
        other => other,
    };
    match opened {
        Ok(fd) => Ok(File::from(fd)),
        Err(Errno::ELOOP | Errno::ENOTDIR) if is_symlink(parent, name) => Err(refused(path, Defect::Symlink)),
        Err(Errno::ENOTDIR) => Err(refused(path, Defect::NotADirectory)),
        Err(errno) => Err(io_error("open", path)(errno)),
    }
}

fn is_symlink(directory: BorrowedFd<'_>, name: &OsStr) -> bool {
    fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok_and(|stat| stat.st_mode & KIND == KIND_SYMLINK)
}

fn check_directory(directory: File, path: &Path, owner: u32) -> Result<OwnedFd, StoreError> {
    let metadata = directory.metadata().map_err(raw_error("look at", path))?;
    check_access(&metadata, path, owner)?;
    Ok(directory.into())
}

/// Owner and mode. An access control list that lets somebody else write shows in the group's bits (`acl(5)`).
fn check_access(metadata: &fs::Metadata, path: &Path, owner: u32) -> Result<(), StoreError> {
    if metadata.uid() != owner {
        let (found, expected) = (metadata.uid(), owner);
        return Err(refused(path, Defect::Owner { found, expected }));
    }
    let mode = metadata.mode() & PERMISSIONS;
    if mode & WRITE_BY_OTHERS != 0 {
        return Err(refused(path, Defect::Writable { mode }));
    }
    Ok(())
}

fn open_checked(
    directory: BorrowedFd<'_>,
    name: &str,
    access: OFlag,
    path: &Path,
    owner: u32,
) -> Result<OwnedFd, StoreError> {
    // Without O_NONBLOCK opening a FIFO would wait for its other end.
    let flags = access | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let opened = openat(directory, name, flags, Mode::S_IRUSR | Mode::S_IWUSR);
    let file = match opened {
        Ok(fd) => File::from(fd),
        Err(Errno::ELOOP) => return Err(refused(path, Defect::Symlink)),
        // A socket, a device without driver, a directory opened for writing.
        Err(Errno::ENXIO | Errno::ENODEV | Errno::EISDIR) => return Err(refused(path, Defect::NotAFile)),
        Err(errno) => return Err(io_error("open", path)(errno)),
    };
    let metadata = file.metadata().map_err(raw_error("look at", path))?;
    if !metadata.is_file() {
        return Err(refused(path, Defect::NotAFile));
    }
    check_access(&metadata, path, owner)?;
    if metadata.nlink() != 1 {
        let found = metadata.nlink();
        return Err(refused(path, Defect::Links { found }));
    }
    Ok(file.into())
}

fn lock(directory: BorrowedFd<'_>, path: &Path, name: &str, owner: u32) -> Result<Flock<OwnedFd>, StoreError> {
    let lock_path = path.join(name);
    let file = open_checked(directory, name, OFlag::O_RDONLY | OFlag::O_CREAT, &lock_path, owner)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(lock),
        Err((file, Errno::EWOULDBLOCK)) => Err(StoreError::InUse {
            path: path.to_owned(),
            holder: Holder::of(&File::from(file)),
        }),
        Err((_, errno)) => Err(io_error("lock", &lock_path)(errno)),
    }
}

#[cfg(test)]
mod tests;
