//! The calls that change the disk, as a seam: what is promised about failing disks is tested by failing each of them.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, fsync, unlinkat};

/// Every call by which this program changes its state directory. The bodies given are the real ones.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Creates a file that must not be there yet, for reading and writing, mode 0600.
    ///
    /// # Errors
    /// As `open(2)`.
    fn create(&self, directory: BorrowedFd<'_>, name: &str) -> io::Result<File> {
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = openat(directory, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)?;
        Ok(File::from(fd))
    }

    /// One `pwrite(2)`; says how many bytes it took.
    ///
    /// # Errors
    /// As `pwrite(2)`.
    fn write_at(&self, file: &File, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        file.write_at(bytes, offset)
    }

    /// `fdatasync(2)`.
    ///
    /// # Errors
    /// As `fdatasync(2)`. It must not be tried again on the same file: the kernel may have dropped the pages.
    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    /// Makes names durable.
    ///
    /// # Errors
    /// As `fsync(2)`.
    fn sync_directory(&self, directory: BorrowedFd<'_>) -> io::Result<()> {
        Ok(fsync(directory)?)
    }

    /// Puts a file in the place of another, in one directory.
    ///
    /// # Errors
    /// As `rename(2)`.
    fn rename(&self, directory: BorrowedFd<'_>, from: &str, to: &str) -> io::Result<()> {
        Ok(renameat(directory, from, directory, to)?)
    }

    /// Removes a name.
    ///
    /// # Errors
    /// As `unlink(2)`.
    fn unlink(&self, directory: BorrowedFd<'_>, name: &str) -> io::Result<()> {
        Ok(unlinkat(directory, name, UnlinkatFlags::NoRemoveDir)?)
    }

    /// Cuts a file off.
    ///
    /// # Errors
    /// As `ftruncate(2)`.
    fn truncate(&self, file: &File, length: u64) -> io::Result<()> {
        file.set_len(length)
    }
}

/// The disk as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {}

/// A real disk of which one call fails, for tests. A write that fails has written half of its bytes.
#[derive(Debug)]
pub struct FaultyDisk {
    fail_at: AtomicU64,
    errno: Errno,
    after: AfterFault,
    calls: AtomicU64,
}

/// What a [`FaultyDisk`] does once it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterFault {
    /// It works again.
    Heals,
    /// Every later call fails too, as if the process had died there.
    StaysBroken,
}

impl FaultyDisk {
    /// Fails at the n-th call, counted from 1, with this errno.
    #[must_use]
    pub fn new(fail_at: u64, errno: Errno, after: AfterFault) -> Self {
        Self {
            fail_at: AtomicU64::new(fail_at),
            errno,
            after,
            calls: AtomicU64::new(0),
        }
    }

    /// How many calls were made.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// From now on it works.
    pub fn heal(&self) {
        self.fail_at.store(u64::MAX, Ordering::Relaxed);
    }

    fn turn(&self) -> io::Result<()> {
        let fail_at = self.fail_at.load(Ordering::Relaxed);
        let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        let fails = match self.after {
            AfterFault::Heals => call == fail_at,
            AfterFault::StaysBroken => call >= fail_at,
        };
        if fails { Err(self.errno.into()) } else { Ok(()) }
    }
}

impl Disk for FaultyDisk {
    fn create(&self, directory: BorrowedFd<'_>, name: &str) -> io::Result<File> {
        self.turn().and_then(|()| RealDisk.create(directory, name))
    }

    fn write_at(&self, file: &File, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        if let Err(fault) = self.turn() {
            RealDisk.write_at(file, offset, &bytes[..bytes.len() / 2])?;
            return Err(fault);
        }
        RealDisk.write_at(file, offset, bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.turn().and_then(|()| RealDisk.sync(file))
    }

    fn sync_directory(&self, directory: BorrowedFd<'_>) -> io::Result<()> {
        self.turn().and_then(|()| RealDisk.sync_directory(directory.as_fd()))
    }

    fn rename(&self, directory: BorrowedFd<'_>, from: &str, to: &str) -> io::Result<()> {
        self.turn().and_then(|()| RealDisk.rename(directory, from, to))
    }

    fn unlink(&self, directory: BorrowedFd<'_>, name: &str) -> io::Result<()> {
        self.turn().and_then(|()| RealDisk.unlink(directory, name))
    }

    fn truncate(&self, file: &File, length: u64) -> io::Result<()> {
        self.turn().and_then(|()| RealDisk.truncate(file, length))
    }
}
