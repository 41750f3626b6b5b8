//! A disk that forgets: a real folder with a second account of what of it would outlast a cut of the power.
//!
//! When the power is cut, each write and each change of a name that was not synced is there, or not, or (a write) half
//! there, in any combination: later ones without earlier ones, too.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::{FileExt as _, MetadataExt};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::fate::{Fate, Killed};
use super::random::Random;
use crate::store::disk::{Disk, RealDisk};

/// Of a longer write only the two ends are kept, and zeros between them: only the reserve is written so, of which nobody
/// reads more than its last byte.
const LONG: usize = 256 << 10;
const END: usize = 4 << 10;

#[derive(Debug)]
pub(super) struct Platter {
    folder: PathBuf,
    fate: Arc<Fate>,
    account: Mutex<Account>,
}

#[derive(Debug, Default)]
struct Account {
    files: Vec<Written>,
    /// Inode numbers are used again; places in `files` are not.
    by_inode: BTreeMap<u64, usize>,
    durable: BTreeMap<String, usize>,
    names: Vec<Renamed>,
    /// Grows with everything that becomes durable.
    version: u64,
}

#[derive(Clone, Debug, Default)]
struct Written {
    durable: Vec<u8>,
    pending: Vec<Pending>,
}

#[derive(Clone, Debug)]
enum Pending {
    Write(u64, Vec<u8>),
    Truncate(u64),
}

/// A change of names: these go, this one comes.
#[derive(Clone, Debug)]
struct Renamed {
    gone: Option<String>,
    there: Option<(String, usize)>,
}

impl Written {
    fn take(&mut self, pending: Pending) {
        match pending {
            Pending::Write(at, bytes) => {
                let at = usize::try_from(at).unwrap();
                let length = self.durable.len().max(at + bytes.len());
                self.durable.resize(length, 0);
                self.durable[at..at + bytes.len()].copy_from_slice(&bytes);
            }
            Pending::Truncate(length) => self.durable.resize(usize::try_from(length).unwrap(), 0),
        }
    }

    fn sync(&mut self) {
        for pending in std::mem::take(&mut self.pending) {
            self.take(pending);
        }
    }
}

impl Account {
    fn of(&mut self, file: &File) -> &mut Written {
        let place = self.by_inode[&file.metadata().unwrap().ino()];
        &mut self.files[place]
    }

    fn rename(&mut self, renamed: Renamed) {
        if let Some(gone) = renamed.gone {
            self.durable.remove(&gone);
        }
        self.durable.extend(renamed.there);
    }
}

/// What is kept of a write.
fn ends(bytes: &[u8]) -> Vec<(u64, &[u8])> {
    if bytes.len() <= LONG {
        return vec![(0, bytes)];
    }
    let last = bytes.len() - END;
    vec![(0, &bytes[..END]), (u64::try_from(last).unwrap(), &bytes[last..])]
}

/// The files but the lock.
fn list(folder: &Path) -> Vec<(String, u64)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let named = entries.map(|e| (e.file_name().into_string().unwrap(), e.metadata().unwrap().ino()));
    let mut named: Vec<_> = named.filter(|(name, _)| name != "lock").collect();
    named.sort();
    named
}

impl Platter {
    /// Over a folder, all of which is on the platters.
    pub(super) fn new(folder: &Path, fate: &Arc<Fate>) -> Arc<Self> {
        let mut account = Account::default();
        let there = if folder.exists() { list(folder) } else { Vec::new() };
        for (name, inode) in there {
            account.by_inode.insert(inode, account.files.len());
            account.durable.insert(name.clone(), account.files.len());
            account.files.push(Written {
                durable: fs::read(folder.join(name)).unwrap(),
                pending: Vec::new(),
            });
        }
        Arc::new(Self {
            folder: folder.to_owned(),
            fate: Arc::clone(fate),
            account: Mutex::new(account),
        })
    }

    pub(super) fn path_of(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// What would surely be left of a file if the power were cut now.
    pub(super) fn durable<T>(&self, name: &str, look: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let account = self.account();
        let place = account.durable.get(name)?;
        Some(look(&account.files[*place].durable))
    }

    /// Leaves in the folder what is found there when the power is back.
    pub(super) fn cut_power(&self, random: &mut Random) {
        if !self.folder.exists() {
            return;
        }
        let mut account = self.account();
        let (names, data) = (*random.pick(&[0, 50, 100]), *random.pick(&[0, 50, 100]));
        for renamed in std::mem::take(&mut account.names) {
            if random.chance(names) {
                account.rename(renamed);
            }
        }
        for file in &mut account.files {
            for mut pending in std::mem::take(&mut file.pending) {
                if !random.chance(data) {
                    continue;
                }
                if let Pending::Write(_, bytes) = &mut pending
                    && random.chance(25)
                {
                    let kept = random.below(u64::try_from(bytes.len()).unwrap());
                    bytes.truncate(usize::try_from(kept).unwrap());
                }
                file.take(pending);
            }
        }
        for (name, _) in list(&self.folder) {
            fs::remove_file(self.folder.join(name)).unwrap();
        }
        for (name, place) in &account.durable {
            let (file, bytes) = (
                File::create(self.folder.join(name)).unwrap(),
                &account.files[*place].durable,
            );
            for (at, bytes) in ends(bytes) {
                file.write_all_at(bytes, at).unwrap();
            }
        }
    }

    /// Changes with everything that becomes durable.
    pub(super) fn version(&self) -> u64 {
        self.account().version
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap()
    }

    fn begin(&self) -> io::Result<()> {
        self.fate.turn();
        self.fate.disk()
    }
}

impl Disk for Platter {
    fn create(&self, directory: BorrowedFd<'_>, name: &str) -> io::Result<File> {
        self.begin()?;
        let file = RealDisk.create(directory, name)?;
        let mut account = self.account();
        let place = account.files.len();
        account.by_inode.insert(file.metadata()?.ino(), place);
        account.files.push(Written::default());
        let there = Some((name.to_owned(), place));
        account.names.push(Renamed { gone: None, there });
        Ok(file)
    }

    fn write_at(&self, file: &File, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let last = self.fate.is_last_turn();
        let works = self.fate.disk();
        let taken = if last || works.is_err() {
            &bytes[..bytes.len() / 2]
        } else {
            bytes
        };
        let mut written = Ok(0);
        for (at, bytes) in ends(taken) {
            let pending = Pending::Write(offset + at, bytes.to_vec());
            self.account().of(file).pending.push(pending);
            written = RealDisk.write_at(file, offset + at, bytes);
        }
        let written = written.map(|_| taken.len());
        if last {
            resume_unwind(Box::new(Killed));
        }
        works.and(written)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.fate.turn();
        let works = self.fate.disk();
        let mut account = self.account();
        let written = account.of(file);
        if works.is_err() {
            // Linux marks the pages clean all the same: nobody writes them again.
            written.pending.clear();
        }
        written.sync();
        account.version += 1;
        works
    }

    fn sync_directory(&self, _: BorrowedFd<'_>) -> io::Result<()> {
        self.begin()?;
        let mut account = self.account();
        for renamed in std::mem::take(&mut account.names) {
            account.rename(renamed);
        }
        account.version += 1;
        Ok(())
    }

    fn rename(&self, directory: BorrowedFd<'_>, from: &str, to: &str) -> io::Result<()> {
        self.begin()?;
        let inode = fs::metadata(self.folder.join(from))?.ino();
        RealDisk.rename(directory, from, to)?;
        let mut account = self.account();
        let there = Some((to.to_owned(), account.by_inode[&inode]));
        let gone = Some(from.to_owned());
        account.names.push(Renamed { gone, there });
        Ok(())
    }

    fn unlink(&self, directory: BorrowedFd<'_>, name: &str) -> io::Result<()> {
        self.begin()?;
        RealDisk.unlink(directory, name)?;
        let gone = Some(name.to_owned());
        self.account().names.push(Renamed { gone, there: None });
        Ok(())
    }

    fn truncate(&self, file: &File, length: u64) -> io::Result<()> {
        self.begin()?;
        self.account().of(file).pending.push(Pending::Truncate(length));
        RealDisk.truncate(file, length)
    }
}
