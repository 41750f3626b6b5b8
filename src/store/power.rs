//! A disk that forgets, for tests: when the power is cut, what was not synced may be gone, in several ways; and when a
//! sync fails, what it should have written is forgotten although it can still be read, as Linux does it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use nix::errno::Errno;

use super::disk::{Disk, RealDisk};

/// What outlasts a power cut besides what was synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outlasts {
    Nothing,
    /// The directory was written out by chance, the files were not.
    Names,
    /// Of the changes to the directory only the last was written out.
    LastName,
    /// The files were written out by chance, up to the middle of the last write; the directory was not.
    Data,
    Everything,
}

impl Outlasts {
    pub(super) const ALL: [Self; 5] = [Self::Nothing, Self::Names, Self::LastName, Self::Data, Self::Everything];
}

/// A real directory with a second account of what of it is on the platters.
#[derive(Debug)]
pub(super) struct ForgetfulDisk {
    directory: PathBuf,
    dies_at: u64,
    sync_fails_at: u64,
    account: Mutex<Account>,
}

#[derive(Debug, Default)]
struct Account {
    calls: u64,
    syncs: u64,
    files: Vec<Durable>,
    /// Inode numbers are used again; places in `files` are not.
    by_inode: BTreeMap<u64, usize>,
    names: BTreeMap<String, usize>,
    /// What the last rename or removal since the last sync touched.
    last_change: Vec<String>,
}

#[derive(Clone, Debug, Default)]
struct Durable {
    bytes: Vec<u8>,
    pending: Vec<Pending>,
}

#[derive(Clone, Debug)]
enum Pending {
    Write(u64, Vec<u8>),
    Truncate(u64),
}

impl Durable {
    fn take(&mut self, pending: Pending) {
        match pending {
            Pending::Write(at, bytes) => {
                let at = usize::try_from(at).unwrap();
                let length = self.bytes.len().max(at + bytes.len());
                self.bytes.resize(length, 0);
                self.bytes[at..at + bytes.len()].copy_from_slice(&bytes);
            }
            Pending::Truncate(length) => self.bytes.resize(usize::try_from(length).unwrap(), 0),
        }
    }
}

impl ForgetfulDisk {
    /// Everything in the directory is on the platters. The n-th call and all later ones fail; so does, alone, the n-th
    /// `fdatasync`.
    pub(super) fn new(directory: &Path, dies_at: u64, sync_fails_at: u64) -> Arc<Self> {
        let mut account = Account::default();
        for (name, inode) in list(directory) {
            let bytes = fs::read(directory.join(&name)).unwrap();
            account.by_inode.insert(inode, account.files.len());
            account.names.insert(name, account.files.len());
            account.files.push(Durable {
                bytes,
                pending: Vec::new(),
            });
        }
        Arc::new(Self {
            directory: directory.to_owned(),
            dies_at,
            sync_fails_at,
            account: Mutex::new(account),
        })
    }

    /// Whether it came to the call at which it dies.
    pub(super) fn died(&self) -> bool {
        self.account().calls >= self.dies_at
    }

    /// Leaves in the directory what is found there when the power is back.
    pub(super) fn cut_power(&self, outlasts: Outlasts) {
        let mut account = self.account();
        let names = match outlasts {
            Outlasts::Nothing | Outlasts::Data => account.names.clone(),
            Outlasts::LastName => account.with_last_change(&self.directory),
            Outlasts::Names | Outlasts::Everything => account.now(&self.directory),
        };
        let files = account.files.iter_mut().map(|file| match outlasts {
            Outlasts::Nothing | Outlasts::Names | Outlasts::LastName => file.bytes.clone(),
            Outlasts::Data | Outlasts::Everything => {
                let mut pending = std::mem::take(&mut file.pending);
                if let (Outlasts::Data, Some(Pending::Write(_, bytes))) = (outlasts, pending.last_mut()) {
                    bytes.truncate(bytes.len() / 2);
                }
                pending.into_iter().for_each(|p| file.take(p));
                file.bytes.clone()
            }
        });
        let files: Vec<_> = files.collect();
        for (name, _) in list(&self.directory) {
            fs::remove_file(self.directory.join(name)).unwrap();
        }
        for (name, file) in names {
            fs::write(self.directory.join(name), &files[file]).unwrap();
        }
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap()
    }

    fn turn(&self) -> io::Result<()> {
        let mut account = self.account();
        account.calls += 1;
        if account.calls >= self.dies_at {
            Err(Errno::EIO.into())
        } else {
            Ok(())
        }
    }

    fn pend(&self, file: &File, pending: Pending) {
        let mut account = self.account();
        account.of(file).pending.push(pending);
    }
}

impl Account {
    fn of(&mut self, file: &File) -> &mut Durable {
        let place = self.by_inode[&file.metadata().unwrap().ino()];
        &mut self.files[place]
    }

    fn now(&self, directory: &Path) -> BTreeMap<String, usize> {
        list(directory)
            .into_iter()
            .map(|(name, inode)| (name, self.by_inode[&inode]))
            .collect()
    }

    fn with_last_change(&self, directory: &Path) -> BTreeMap<String, usize> {
        let (mut names, now) = (self.names.clone(), self.now(directory));
        for name in &self.last_change {
            names.remove(name);
            names.extend(now.get_key_value(name).map(|(name, file)| (name.clone(), *file)));
        }
        names
    }
}

/// The files but the lock, with their inodes.
fn list(directory: &Path) -> BTreeMap<String, u64> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    let named = entries.map(|e| (e.file_name().into_string().unwrap(), e.metadata().unwrap().ino()));
    named.filter(|(name, _)| name != "lock").collect()
}

impl Disk for ForgetfulDisk {
    fn create(&self, directory: BorrowedFd<'_>, name: &str) -> io::Result<File> {
        self.turn()?;
        let file = RealDisk.create(directory, name)?;
        let mut account = self.account();
        let place = account.files.len();
        account.by_inode.insert(file.metadata()?.ino(), place);
        account.files.push(Durable::default());
        Ok(file)
    }

    fn write_at(&self, file: &File, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        self.turn()?;
        self.pend(file, Pending::Write(offset, bytes.to_vec()));
        RealDisk.write_at(file, offset, bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.turn()?;
        let mut account = self.account();
        account.syncs += 1;
        let fails = account.syncs == self.sync_fails_at;
        let durable = account.of(file);
        let pending = std::mem::take(&mut durable.pending);
        if fails {
            return Err(Errno::EIO.into());
        }
        pending.into_iter().for_each(|p| durable.take(p));
        Ok(())
    }

    fn sync_directory(&self, _: BorrowedFd<'_>) -> io::Result<()> {
        self.turn()?;
        let mut account = self.account();
        account.names = account.now(&self.directory);
        account.last_change.clear();
        Ok(())
    }

    fn rename(&self, directory: BorrowedFd<'_>, from: &str, to: &str) -> io::Result<()> {
        self.turn()?;
        self.account().last_change = vec![from.to_owned(), to.to_owned()];
        RealDisk.rename(directory, from, to)
    }

    fn unlink(&self, directory: BorrowedFd<'_>, name: &str) -> io::Result<()> {
        self.turn()?;
        self.account().last_change = vec![name.to_owned()];
        RealDisk.unlink(directory, name)
    }

    fn truncate(&self, file: &File, length: u64) -> io::Result<()> {
        self.turn()?;
        self.pend(file, Pending::Truncate(length));
        RealDisk.truncate(file, length)
    }
}
