//! What signed orders need on the disk: the list of those that were carried out, and the number by which they name this host.

use std::io;
use std::path::Path;

use super::directory::{StateDirectory, raw_error};
use super::error::StoreError;
use super::journal::{encode, read};
use crate::model::names::Digest;
use crate::model::spent::Spent;

const SPENT: &str = "orders.json";
/// Room for a full list: a challenge and a time each.
const SPENT_MAX_BYTES: u64 = 1 << 20;
const HOST: &str = "host.json";
const HOST_MAX_BYTES: u64 = 1024;

/// Makes the list durable.
///
/// # Errors
/// If the file could not be replaced.
pub fn save_spent(directory: &StateDirectory, spent: &Spent) -> Result<(), StoreError> {
    directory.replace(SPENT, &encode(directory, SPENT, spent)?)
}

/// The list; none where no order was ever carried out.
///
/// # Errors
/// If the file cannot be read or is damaged.
pub fn load_spent(directory: &StateDirectory) -> Result<Option<Spent>, StoreError> {
    read(directory, SPENT, SPENT_MAX_BYTES)
}

/// The number of this host, the same for as long as its state directory stands; drawn when it is first asked for.
///
/// # Errors
/// If the file cannot be read, is damaged, or could not be written.
pub fn host(directory: &StateDirectory) -> Result<Digest, StoreError> {
    if let Some(known) = read(directory, HOST, HOST_MAX_BYTES)? {
        return Ok(known);
    }
    let host = random()?;
    directory.replace(HOST, &encode(directory, HOST, &host)?)?;
    Ok(host)
}

/// 32 random bytes.
///
/// # Errors
/// If the kernel has none.
pub fn random() -> Result<Digest, StoreError> {
    let mut bytes = [0; 32];
    let failed = |error| raw_error("read", Path::new("getrandom(2)"))(io::Error::other(error));
    getrandom::fill(&mut bytes).map_err(failed)?;
    Ok(Digest::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory() -> (tempfile::TempDir, StateDirectory) {
        let folder = tempfile::tempdir().unwrap();
        let directory = StateDirectory::open(folder.path().join("state")).unwrap();
        (folder, directory)
    }

    #[test]
    fn a_host_keeps_its_number_and_no_two_have_one() {
        let ((_one, one), (_two, two)) = (directory(), directory());
        assert_eq!(host(&one).unwrap(), host(&one).unwrap());
        assert_ne!(host(&one).unwrap(), host(&two).unwrap());
    }

    #[test]
    fn the_list_comes_back_and_damage_is_told_from_absence() {
        let (_folder, directory) = directory();
        assert_eq!(load_spent(&directory).unwrap(), None);
        let mut spent = Spent::default();
        spent.spend(&Digest::of(b"x"), 1_000, 0);
        save_spent(&directory, &spent).unwrap();
        assert_eq!(load_spent(&directory).unwrap(), Some(spent));
        directory.replace(SPENT, b"nothing").unwrap();
        assert!(load_spent(&directory).is_err());
    }
}
