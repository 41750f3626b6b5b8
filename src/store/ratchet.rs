//! The secrets with which the audit log is sealed: made here, moved forward here, destroyed here.
//!
//! At any time there is the secret of the running epoch and, while a seal is being written, that of the next. They are
//! in memory and, so that a restart within a boot goes on, in a file that must lie on tmpfs: what was written to a disk
//! cannot be said to be gone. The file is overwritten in place, so that the pages that held a spent secret are those
//! that hold its successor. A reboot takes it away, and a new chain of keys begins. Swap is a disk too: a host that
//! swaps should encrypt it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ed25519_dalek::{SigningKey, VerifyingKey};
use nix::fcntl::OFlag;
use nix::sys::statfs::{TMPFS_MAGIC, fstatfs};
use zeroize::Zeroizing;

use super::directory::raw_error;
use super::error::StoreError;
use crate::model::epoch::Seal;
use crate::model::record::Head;

/// The file has always the same length, so that nothing of an earlier one outlasts it.
const FILE_BYTES: usize = 512;
const FORMAT: &str = "portcullis-audit-key/1";
/// Group and others, any right.
const RIGHTS_OF_OTHERS: u32 = 0o077;

/// Where the secrets of a log are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keeping {
    /// In memory only: each start of the daemon begins a new chain of keys.
    Memory,
    /// In this file too, if it lies on tmpfs.
    File(PathBuf),
}

/// The secret of the running epoch.
pub struct Ratchet {
    boot_id: String,
    epoch: u64,
    secret: SigningKey,
    /// The next epoch's, while the seal that names it may or may not be in the log.
    next: Option<SigningKey>,
    /// The last seal of this chain of keys.
    sealed: Option<Head>,
    file: Option<(PathBuf, File)>,
}

impl std::fmt::Debug for Ratchet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ratchet")
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

impl Ratchet {
    /// Takes the secrets of this boot from the file, or makes new ones.
    ///
    /// # Errors
    /// If the file cannot be used, is open to others, or does not lie on tmpfs; or if the kernel gives no random bytes.
    pub fn open(keeping: &Keeping, boot_id: &str) -> Result<Self, StoreError> {
        let mut ratchet = Self::new(boot_id)?;
        if let Keeping::File(path) = keeping {
            let file = open_volatile(path)?;
            if let Some(found) = read(&file, boot_id).map_err(raw_error("read", path))? {
                ratchet = found;
            }
            ratchet.file = Some((path.clone(), file));
        }
        Ok(ratchet)
    }

    fn new(boot_id: &str) -> Result<Self, StoreError> {
        Ok(Self {
            boot_id: boot_id.to_owned(),
            epoch: 1,
            secret: new_secret()?,
            next: None,
            sealed: None,
            file: None,
        })
    }

    /// The record of the last seal that these secrets know of: the log must hold it.
    #[must_use]
    pub fn kept(&self) -> Option<Head> {
        self.sealed
    }

    /// Goes on behind the last seal of the log; begins a new chain of keys if it holds no secret that this one names.
    ///
    /// # Errors
    /// If the kernel gives no random bytes.
    pub fn go_on(&mut self, last: Option<&Seal>) -> Result<(), StoreError> {
        let named = |secret: &SigningKey| last.is_some_and(|seal| seal.next == secret.verifying_key());
        let fresh = self.sealed.is_none() && self.next.is_none() && self.epoch == 1;
        let (secret, epoch) = match (last, self.next.take()) {
            // The seal that names the next key reached the log before the secrets moved on.
            (Some(seal), Some(next)) if named(&next) => (next, seal.epoch + 1),
            (Some(seal), _) if named(&self.secret) => {
                self.epoch = seal.epoch + 1;
                return Ok(());
            }
            _ if fresh => return Ok(()),
            _ => (new_secret()?, 1),
        };
        (self.secret, self.epoch, self.sealed) = (secret, epoch, None);
        Ok(())
    }

    /// The running epoch, from 1.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The secret of the running epoch.
    pub(super) fn secret(&self) -> &SigningKey {
        &self.secret
    }

    /// Makes the next epoch's key, and keeps both until [`Self::advance`].
    ///
    /// # Errors
    /// If there are no random bytes, or the file cannot be written.
    pub(super) fn prepare(&mut self) -> Result<VerifyingKey, StoreError> {
        let next = new_secret()?;
        let key = next.verifying_key();
        self.next = Some(next);
        self.write()?;
        Ok(key)
    }

    /// Destroys the secret of the epoch that was sealed with this record.
    ///
    /// # Errors
    /// If the file cannot be written; the spent secret may then still be in it.
    pub(super) fn advance(&mut self, sealed: Head) -> Result<(), StoreError> {
        if let Some(next) = self.next.take() {
            // The old value is overwritten with zeros when it is dropped.
            self.secret = next;
            self.epoch += 1;
        }
        self.sealed = Some(sealed);
        self.write()
    }

    fn write(&self) -> Result<(), StoreError> {
        let Some((path, file)) = &self.file else {
            return Ok(());
        };
        let none = || Zeroizing::new("-".to_owned());
        let secret = hex(&self.secret);
        let next = self.next.as_ref().map_or_else(none, hex);
        let sealed = self.sealed.map_or_else(|| "- -".to_owned(), |head| head.to_string());
        let mut text = Zeroizing::new(String::with_capacity(FILE_BYTES));
        // Pushed piece by piece: a format would leave copies behind.
        for line in [FORMAT, &self.boot_id, &self.epoch.to_string(), &secret, &next, &sealed] {
            text.push_str(line);
            text.push('\n');
        }
        while text.len() < FILE_BYTES {
            text.push('\n');
        }
        file.write_all_at(text.as_bytes(), 0).map_err(raw_error("write", path))
    }
}

fn hex(secret: &SigningKey) -> Zeroizing<String> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = Zeroizing::new(String::with_capacity(64));
    for byte in secret.as_bytes() {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

fn secret_of(hex: &str) -> Option<SigningKey> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).ok()?;
    }
    Some(SigningKey::from_bytes(&bytes))
}

fn new_secret() -> Result<SigningKey, StoreError> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    getrandom::fill(&mut *bytes).map_err(|e| raw_error("read", Path::new("getrandom(2)"))(io::Error::other(e)))?;
    Ok(SigningKey::from_bytes(&bytes))
}

/// Opens the file, or creates it with mode 0600.
fn open_volatile(path: &Path) -> Result<File, StoreError> {
    let failed = |attempted| raw_error(attempted, path);
    let mut options = OpenOptions::new();
    let flags = OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    options.read(true).write(true).create(true).truncate(false);
    let file = options
        .mode(0o600)
        .custom_flags(flags.bits())
        .open(path)
        .map_err(failed("open"))?;
    let metadata = file.metadata().map_err(failed("look at"))?;
    let own = metadata.is_file()
        && metadata.nlink() == 1
        && metadata.uid() == nix::unistd::geteuid().as_raw()
        && metadata.mode() & RIGHTS_OF_OTHERS == 0;
    if !own {
        return Err(failed("trust")(io::Error::other("it is not a file that is ours alone")));
    }
    let system = fstatfs(&file).map_err(|e| failed("look at")(e.into()))?;
    if system.filesystem_type() != TMPFS_MAGIC {
        let why = "it does not lie on tmpfs, so a spent key could not be destroyed";
        return Err(failed("keep keys in")(io::Error::other(why)));
    }
    Ok(file)
}

/// What the file holds; none if it is new, of another boot, or torn.
fn read(file: &File, boot_id: &str) -> io::Result<Option<Ratchet>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(FILE_BYTES + 1));
    file.take(FILE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(std::str::from_utf8(&bytes).ok().and_then(|text| parse(text, boot_id)))
}

fn parse(text: &str, boot_id: &str) -> Option<Ratchet> {
    let mut lines = text.lines();
    if lines.next()? != FORMAT || lines.next()? != boot_id {
        return None;
    }
    let epoch = lines.next()?.parse().ok()?;
    let secret = secret_of(lines.next()?)?;
    let next = secret_of(lines.next()?);
    let sealed = match lines.next()?.split_once(' ')? {
        ("-", "-") => None,
        (sequence, hash) => Some(Head {
            sequence: sequence.parse().ok()?,
            hash: hash.parse().ok()?,
        }),
    };
    Some(Ratchet {
        boot_id: boot_id.to_owned(),
        epoch,
        secret,
        next,
        sealed,
        file: None,
    })
}

#[cfg(test)]
mod tests;
